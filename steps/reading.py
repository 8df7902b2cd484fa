"""Who reads what."""

from behave import when


@when('a consumer group reads topic "{topic}" from the beginning')
def a_consumer_group_reads(context, topic):
    context.scene.consume(topic)
