"""What a broker removes on purpose: by key, by age, on request."""

from behave import given, register_type, then
from hamcrest import assert_that

from integrity.scenes import cleaning
from integrity.scenes.words import nothing
from integrity.vocabulary import count, skippable

register_type(Count=count)


@given("a broker that cleans up all the time")
@skippable
def a_broker_that_cleans_up(context):
    context.scene.use_broker(cleaning.QUICK_CLEANING)


@given(
    "{rounds:Count} values for each of {keys:Count} keys were acknowledged on both, and the deletion of {deleted:Count}"
)
def values_were_acknowledged(context, rounds, keys, deleted):
    cleaning.publish_values(context.scene, keys, rounds, deleted)


@given("{old:Count} messages that are days old have expired, and {new:Count} new ones were acknowledged")
def aged_messages_were_acknowledged(context, old, new):
    cleaning.publish_aged(context.scene, old, new)


@given("both topics were compacted")
def both_topics_were_compacted(context):
    cleaning.wait_for_compaction(context.scene)


@given("the first {messages:Count} messages of each partition were deleted")
def the_first_messages_were_deleted(context, messages):
    cleaning.delete_first(context.scene, messages)


@given("the broker has noted where its logs begin now")
@skippable
def the_broker_has_noted(context):
    cleaning.wait_until_noted(context.scene)


@then("a reader finds the latest value of each key, and no deleted key")
def a_reader_finds_the_latest(context):
    assert_that(cleaning.wrong_values(context.scene), nothing(), "keys without their latest value")


@then("a reader of the topic that keeps deletions finds every one of them")
def a_reader_finds_the_deletions(context):
    assert_that(cleaning.missing_deletions(context.scene), nothing(), "deletions that are gone")


@then("what was removed stays removed")
def what_was_removed_stays_removed(context):
    assert_that(cleaning.wrong_beginnings(context.scene), nothing(), "logs that begin elsewhere")
