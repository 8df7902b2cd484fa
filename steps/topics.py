"""Topics of a scenario."""

from behave import given, register_type

from integrity.vocabulary import count

register_type(Count=count)


@given("a topic with {partitions:Count} partitions")
@given("a topic with {partitions:Count} partition")
def a_topic(context, partitions):
    context.scene.create_topic(partitions)


@given("a topic that keeps messages of any age")
def a_topic_for_ever(context):
    context.scene.create_topic(**{"retention.ms": "-1"})


@given("a topic with {partitions:Count} partitions that keeps messages of any age")
def a_topic_with_partitions_for_ever(context, partitions):
    context.scene.create_topic(partitions, **{"retention.ms": "-1"})
