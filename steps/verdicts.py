"""What must hold in the end."""

from behave import register_type, then
from hamcrest import assert_that, equal_to, greater_than

from integrity.history.schema import REJECTED
from integrity.list_matchers import has_no_duplicates_of, holds_exactly, misses_nothing_of, preserves_order_of
from integrity.matchers import intact, shows_only
from integrity.scenes import order
from integrity.scenes.commit_ahead import CommitsByItself
from integrity.scenes.content import TooLarge
from integrity.scenes.deliveries import never_delivered, repeated, repeated_though_committed
from integrity.scenes.groups import Groups
from integrity.scenes.reading import NOON, Reading
from integrity.scenes.words import nothing, place
from integrity.vocabulary import count

register_type(Count=count)


@then('the first message a new reader of topic "{topic}" gets is "{value}"')
def the_first_message_is(context, topic, value):
    assert_that(context.scene.holdings(topic)[:1], equal_to([value]), "the first message a new reader gets")


@then('topic "{topic}" holds exactly the message "{value}"')
def the_topic_holds_exactly(context, topic, value):
    assert_that(context.scene.holdings(topic), holds_exactly([value]))


@then("the order of the messages is preserved")
def the_order_is_preserved(context):
    assert_that(context.scene.validating(), preserves_order_of(context.scene.sent))


@then("no message is there twice")
def no_message_is_there_twice(context):
    assert_that(context.scene.validating(), has_no_duplicates_of(context.scene.sent))


@then("no message is missing")
def no_message_is_missing(context):
    assert_that(context.scene.validating(), misses_nothing_of(context.scene.sent))


@then("every acknowledged message is read once, in order and unchanged")
def every_acknowledged_message_is_read(context):
    assert_that(context.scene.verdict(), intact())


# -- order ----------------------------------------------------------------------------------------------
@then("every partition holds {messages:Count} messages")
def every_partition_holds(context, messages):
    held = _by_partition(context)
    counts = {where: len(held.get(where, ())) for where in order.scene_partitions(context.scene)}
    wrong = [f"{place(where)} holds {count:,}" for where, count in counts.items() if count != messages]
    assert_that(wrong, nothing(), f"partitions that do not hold {messages:,} messages")


@then("the messages of different publishers are mixed in every partition")
def the_messages_are_mixed(context):
    order.require_mixed(context.scene.part(Reading).records)


@then("all messages with the same key are in the same partition")
def the_same_key_is_in_the_same_partition(context):
    places = order.partitions_of_keys(context.scene.part(Reading).records)
    torn = [f"{key!r} in {len(where)} partitions" for key, where in places.items() if len(where) > 1]
    assert_that(torn, nothing(), "keys in more than one partition")


@then("the keys are spread over all partitions")
def the_keys_are_spread(context):
    unused = set(order.scene_partitions(context.scene)) - set(_by_partition(context))
    assert_that([place(where) for where in sorted(unused)], nothing(), "partitions without a key")


@then("a reader of all partitions gets later messages before earlier ones")
def later_messages_before_earlier_ones(context):
    overtaken = order.overtaken(context.scene.part(Reading).records)
    assert_that(overtaken, greater_than(0), "messages read after a later one of their publisher")


def _by_partition(context):
    return order.by_partition(context.scene.part(Reading).records)


# -- content --------------------------------------------------------------------------------------------
@then("the message over the limit is rejected")
def the_large_message_is_rejected(context):
    receipt = context.scene.part(TooLarge).receipt
    assert_that(receipt.outcome, equal_to(REJECTED), f"what became of the message over the limit ({receipt.error})")


@then("nobody sees the message over the limit")
def nobody_sees_the_large_message(context):
    seen = [f"offset {offset}" for offset in context.scene.part(TooLarge).seen()]
    assert_that(seen, nothing(), "where a reader got the message over the limit")


# -- readers --------------------------------------------------------------------------------------------
@then("a new reader gets the same messages from the beginning")
def a_new_reader_gets_the_same(context):
    reading = context.scene.part(Reading)
    assert_that(_places(reading.records), holds_exactly(_places(reading.got)), "what the second reader got")


@then("it gets exactly the messages from offset {offset:Count} on")
def it_gets_from_an_offset(context, offset):
    reading = context.scene.part(Reading)
    wanted = [record for record in reading.records if record.offset >= offset]
    assert_that(_places(reading.got), holds_exactly(_places(wanted)), "what the reader got")


@then("it gets exactly the messages from noon on")
def it_gets_from_noon(context):
    reading = context.scene.part(Reading)
    wanted = [record for record in reading.records if record.timestamp >= NOON]
    assert_that(_places(reading.got), holds_exactly(_places(wanted)), "what the reader got")


def _places(records):
    """The records in words, partition by partition, in the order a reader got each partition's."""
    return [
        f"{topic}-{number} offset {record.offset}: message {record.sequence} of publisher {record.publisher}"
        for (topic, number), held in sorted(order.by_partition(records).items())
        for record in held
    ]


# -- groups ---------------------------------------------------------------------------------------------
@then("every group is handed every message")
def every_group_is_handed_every_message(context):
    for group in context.scene.part(Groups).all:
        missing = never_delivered(group.deliveries, context.scene.part(Reading).records)
        assert_that([place(*what) for what in missing], nothing(), f"what no member of {group.name} was handed")


@then("no group is handed a message twice")
def no_group_is_handed_a_message_twice(context):
    for group in context.scene.part(Groups).all:
        again = [str(delivery) for delivery in repeated(group.deliveries)]
        assert_that(again, nothing(), f"what {group.name} was handed again")


@then("every member is handed a share")
def every_member_is_handed_a_share(context):
    for member in context.scene.part(Groups).one.members:
        assert_that(len(member.deliveries), greater_than(0), f"records handed to member {member.number}")


@then("the group's committed offsets are those that its members committed last")
def the_committed_offsets_are_the_last(context):
    group = context.scene.part(Groups).one
    wrong = [
        f"{place(where)}: {group.committed.get(where)} instead of {offset}"
        for where, offset in group.committed_last.items()
        if group.committed.get(where) != offset
    ]
    assert_that(wrong, nothing(), f"committed offsets of {group.name} that are not the last ones its members committed")


@then("nothing is handed out again that the group had committed")
def nothing_committed_is_handed_out_again(context):
    group = context.scene.part(Groups).one
    wrong = [str(delivery) for delivery in repeated_though_committed(group.deliveries, group.commits)]
    assert_that(wrong, nothing(), f"what {group.name} was handed again although it had committed it")


@then("what the dead member had not committed is handed out again")
def the_dead_members_work_is_handed_out_again(context):
    group = context.scene.part(Groups).one
    left = {(delivery.place, delivery.offset) for member in group.members for delivery in member.taken_along}
    again = {(delivery.place, delivery.offset) for delivery in repeated(group.deliveries)}
    forgotten = [place(*what) for what in sorted(left - again)]
    assert_that(len(left), greater_than(0), "messages the dead member had not committed")
    assert_that(forgotten, nothing(), "what the dead member had not committed and nobody was handed again")


@then("the next member of the group is not handed what the dead one had committed and not processed")
def the_next_member_is_not_handed_it(context):
    group = context.scene.part(CommitsByItself)
    handed = {(delivery.place, delivery.offset) for delivery in group.handed_to_the_next()}
    again = [place(*what) for what in sorted(handed & group.passed_by)]
    assert_that(len(group.passed_by), greater_than(0), "messages committed and not processed")
    assert_that(again, nothing(), "what the next member was handed although the dead one had committed it")


@then("messages are found that were committed before they were processed")
def commit_ahead_is_found(context):
    assert_that(context.scene.verdict(), shows_only("commit_ahead"))
