"""What is published, and acknowledged."""

from behave import given, register_type

from integrity.vocabulary import count

register_type(Count=count)


@given('the message "{value}" was acknowledged on topic "{topic}"')
def the_message_was_acknowledged(context, value, topic):
    context.scene.produce(topic, [value])


@given('the messages "{first}", "{second}" and "{third}" were produced to topic "{topic}"')
def the_messages_were_produced(context, first, second, third, topic):
    context.scene.produce(topic, [first, second, third])


@given("{messages:Count} messages were acknowledged")
def messages_were_acknowledged(context, messages):
    context.scene.publish(messages)
