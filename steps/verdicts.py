"""What must hold in the end."""

from behave import then
from hamcrest import assert_that, equal_to

from integrity.list_matchers import has_no_duplicates_of, holds_exactly, misses_nothing_of, preserves_order_of
from integrity.matchers import intact


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
