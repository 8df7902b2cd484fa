"""What is done to the broker."""

from behave import register_type, when

from integrity.faults.disk.damage import DAMAGES
from integrity.faults.disk.power import REMAINS
from integrity.faults.process import WAYS_DOWN
from integrity.scenes import disk_faults, going_down
from integrity.vocabulary import count, demands, one_of, skippable

register_type(Count=count, Down=one_of(*WAYS_DOWN), Damage=one_of(*DAMAGES), Remains=one_of(*REMAINS))


@when("the broker is {how:Down} and started again")
@when("the broker is {how:Down} and started again in the middle of it")
@demands(lambda how: how)
def the_broker_is_restarted(context, how):
    going_down.restart(context.scene, how)


@when("the broker is killed and started again {times:Count} times in a row")
@demands("killed")
def a_storm_of_kills(context, times):
    going_down.restart(context.scene, "killed", times)


@when("the broker is killed, and killed {times:Count} times more while it is still recovering")
@demands("log", "killed")
def killed_while_recovering(context, times):
    going_down.kill_while_recovering(context.scene, times)


@when("the broker is frozen and thawed")
@demands("frozen")
def frozen_and_thawed(context):
    going_down.freeze(context.scene, beyond_session=False)


@when("the broker is frozen for longer than its session lasts and thawed")
@demands("frozen")
def frozen_beyond_its_session(context):
    going_down.freeze(context.scene, beyond_session=True)


# -- files ----------------------------------------------------------------------------------------------
@when("the broker is {how:Down}, {what:Damage}, and it is started again")
@demands("files")
@skippable
def the_files_are_damaged(context, how, what):
    disk_faults.damage(context.scene, how, what)


@when("the power fails, and {remains:Remains} is left of what was written last")
@demands("files")
@skippable
def the_power_fails_and_leaves(context, remains):
    disk_faults.lose_power(context.scene, remains)


@when("the power fails")
@demands("files")
@skippable
def the_power_fails(context):
    disk_faults.lose_power(context.scene, must_take=False)


@when("the disk is full, the broker gives up, and it is started again once there is room")
@skippable
def the_disk_is_full(context):
    disk_faults.fill_disk(context.scene)
