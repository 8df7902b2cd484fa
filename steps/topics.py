"""Topics of a scenario."""

from behave import given, register_type

from integrity.making_topics import LIMIT
from integrity.scenes import cleaning, keepsakes
from integrity.vocabulary import count

register_type(Count=count)


@given("a topic with {partitions:Count} partitions")
@given("a topic with {partitions:Count} partition")
def a_topic(context, partitions):
    context.scene.create_topic(partitions)


@given("a topic with {partitions:Count} partition that takes no batch over a megabyte")
def a_topic_with_a_limit(context, partitions):
    context.scene.create_topic(partitions, **LIMIT)


@given("a topic that keeps messages of any age")
def a_topic_for_ever(context):
    context.scene.create_topic(**{"retention.ms": "-1"})


@given("a topic with {partitions:Count} partitions that keeps messages of any age")
def a_topic_with_partitions_for_ever(context, partitions):
    context.scene.create_topic(partitions, **{"retention.ms": "-1"})


@given("a topic with {partitions:Count} partitions and the settings")
def a_topic_with_settings(context, partitions):
    keepsakes.create_topic_with(context.scene, partitions, {row["setting"]: row["value"] for row in context.table})


@given("these settings of it were changed")
def settings_were_changed(context):
    keepsakes.change_settings(context.scene, {row["setting"]: row["value"] for row in context.table})


@given("{partitions:Count} partitions were added to it")
def partitions_were_added(context, partitions):
    keepsakes.add_partitions(context.scene, partitions)


@given("a topic with {partitions:Count} partitions that keeps the latest value of each key")
def a_compacted_topic(context, partitions):
    context.scene.create_topic(partitions, **cleaning.COMPACTED)


@given("a topic with {partitions:Count} partitions that keeps the latest value of each key, and deletions for a day")
def a_compacted_topic_that_keeps_deletions(context, partitions):
    cleaning.create_topic_with_deletions(context.scene, partitions)


@given("a topic with {partitions:Count} partitions that keeps messages for a day")
def a_topic_for_a_day(context, partitions):
    context.scene.create_topic(partitions, **cleaning.KEEPS_A_DAY)
