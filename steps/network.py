"""The network between the clients and the broker, and how it fails."""

from behave import given, register_type, then, when
from hamcrest import assert_that

from integrity.matchers import shows_only
from integrity.scenes import sending_again
from integrity.scenes.wire import Wire
from integrity.vocabulary import count, one_of, skippable

register_type(Count=count, NetworkFault=one_of(*sending_again.FAULTS))


@given("a network that can fail")
@skippable
def a_network_that_can_fail(context):
    context.scene.part(Wire).begin()


# -- publishers -----------------------------------------------------------------------------------------
@when("a publisher sends {messages:Count} messages in small batches, and {how:NetworkFault} again and again")
def a_publisher_sends_while_the_network_fails(context, messages, how):
    sending_again.publish(context.scene, messages, how)


@when(
    "a publisher without idempotence sends {messages:Count} messages in small batches, one at a time, "
    "and {how:NetworkFault} again and again"
)
def without_idempotence_one_at_a_time(context, messages, how):
    sending_again.publish(context.scene, messages, how, idempotent=False, in_flight=1)


@when(
    "a publisher without idempotence sends {messages:Count} messages in small batches, several at a time, "
    "and {how:NetworkFault} again and again"
)
def without_idempotence_several_at_a_time(context, messages, how):
    sending_again.publish(context.scene, messages, how, idempotent=False)


@then("messages are found to be out of order")
def found_out_of_order(context):
    assert_that(context.scene.verdict(), shows_only("reordered"))
