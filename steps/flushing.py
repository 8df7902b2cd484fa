"""What was flushed to the broker's disk, and what was not."""

from behave import given, register_type

from integrity.scenes import disk_faults
from integrity.vocabulary import count, skippable

register_type(Count=count)


@given("a broker that keeps account of what it has flushed")
@skippable
def a_broker_that_notes_quickly(context):
    context.scene.use_broker(disk_faults.QUICK_NOTES)


@given("{messages:Count} messages were acknowledged and flushed")
def acknowledged_and_flushed(context, messages):
    disk_faults.publish_flushed(context.scene, messages)


@given("{messages:Count} messages were acknowledged and not flushed")
def acknowledged_and_not_flushed(context, messages):
    disk_faults.publish_unflushed(context.scene, messages)


@given("a broker with a small disk")
@skippable
def a_broker_with_a_small_disk(context):
    context.scene.use_broker({}, small_disk=True)
