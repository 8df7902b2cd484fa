"""Topics of a scenario."""

from behave import given, register_type

from integrity.vocabulary import count

register_type(Count=count)


@given("a topic with {partitions:Count} partitions")
@given("a topic with {partitions:Count} partition")
def a_topic(context, partitions):
    context.scene.create_topic(partitions)
