"""Who reads what."""

from behave import given, register_type, when

from integrity.scenes import order, publishers
from integrity.scenes.commit_ahead import CommitsByItself
from integrity.scenes.groups import Groups
from integrity.scenes.reading import NOON, Reading
from integrity.vocabulary import count

register_type(Count=count)


@when('a consumer group reads topic "{topic}" from the beginning')
def a_consumer_group_reads(context, topic):
    context.scene.consume(topic)


# -- readers that start somewhere -----------------------------------------------------------------------
@when("a reader has read everything")
def a_reader_has_read_everything(context):
    context.scene.part(Reading).start_at_offset(0)


@when("a reader starts at offset {offset:Count}")
def a_reader_starts_at_offset(context, offset):
    context.scene.part(Reading).start_at_offset(offset)


@when("a reader starts at noon")
def a_reader_starts_at_noon(context):
    context.scene.part(Reading).start_at_time(NOON)


# -- groups ---------------------------------------------------------------------------------------------
@given("a consumer group with {members:Count} members that commit what they have processed")
@given("a consumer group with {members:Count} member that commits what it has processed")
def a_consumer_group(context, members):
    context.scene.part(Groups).begin(members)


@when("{groups:Count} consumer groups of {members:Count} member each read the topic to its end")
def consumer_groups_read(context, groups, members):
    for _ in range(groups):
        context.scene.part(Groups).begin(members)
    context.scene.part(Groups).finish()


@when("{messages:Count} messages are published to all partitions in turn and the group reads to the end")
def a_group_reads_what_is_published(context, messages):
    publishers.publish(context.scene, messages, partitions=order.in_turn(context.scene))
    context.scene.part(Groups).finish()


@when("the group comes back and reads to the end")
def the_group_comes_back(context):
    context.scene.part(Groups).come_back()


@when("a member that commits automatically dies before it has processed what it took")
def a_member_dies_before_its_work_is_done(context):
    context.scene.part(CommitsByItself).work_and_die()


@when("a member {changes} while messages are published and the group works on them")
def a_member_changes(context, changes):
    context.scene.part(Groups).work_through(changes)
