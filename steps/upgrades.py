"""Brokers of another version, and containers that are made again."""

from behave import given, register_type, when

from integrity.faults.process import WAYS_DOWN
from integrity.scenes import going_down, upgrades
from integrity.vocabulary import one_of, skippable

register_type(Down=one_of(*WAYS_DOWN))


@given("a broker of version {version}")
@skippable
def a_broker_of_a_version(context, version):
    context.scene.use_broker({}, version)


@given("a running broker in a container")
@skippable
def a_broker_in_a_container(context):
    context.scene.use_broker({}, in_container=True)


@when("the broker is upgraded to the version under test")
@skippable
def the_broker_is_upgraded(context):
    upgrades.upgrade(context.scene)


@when("its features are raised to those of its version, and it is killed and started again")
def its_features_are_raised(context):
    upgrades.raise_features(context.scene)
    going_down.restart(context.scene, "killed")


@when("the broker is {how:Down}, its container is removed, and a new one is started on the same volume")
def the_container_is_made_again(context, how):
    upgrades.recreate_container(context.scene, how)
