"""What is done to the broker."""

from behave import register_type, when

from integrity.scenes import going_down
from integrity.vocabulary import count, one_of

register_type(Count=count, Down=one_of("stopped", "killed"))


@when("the broker is {how:Down} and started again")
@when("the broker is {how:Down} and started again in the middle of it")
def the_broker_is_restarted(context, how):
    going_down.restart(context.scene, how)


@when("the broker is killed and started again {times:Count} times in a row")
def a_storm_of_kills(context, times):
    going_down.restart(context.scene, "killed", times)


@when("the broker is killed, and killed {times:Count} times more while it is still recovering")
def killed_while_recovering(context, times):
    going_down.kill_while_recovering(context.scene, times)


@when("the broker is frozen and thawed")
def frozen_and_thawed(context):
    going_down.freeze(context.scene, beyond_session=False)


@when("the broker is frozen for longer than its session lasts and thawed")
def frozen_beyond_its_session(context):
    going_down.freeze(context.scene, beyond_session=True)
