"""What is done to the broker."""

from behave import when


@when("the broker is {how} and started again")
def the_broker_is_restarted(context, how):
    context.scene.restart(how)
