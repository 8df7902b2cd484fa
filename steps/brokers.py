"""The broker as the scenarios meet it."""

from behave import given


@given("a running broker")
def a_running_broker(context):
    context.scene.broker.check_alive()
