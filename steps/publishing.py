"""What is published, and acknowledged."""

from behave import given, register_type, when

from integrity.scenes import content, order, publishers
from integrity.scenes.reading import publish_a_day
from integrity.scenes.volume import Volume
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


@given("a message for each minute of a day was acknowledged")
def a_message_for_each_minute(context):
    publish_a_day(context.scene)


@when("a publisher sends {messages:Count} messages")
def a_publisher_sends(context, messages):
    publishers.publish(context.scene, messages)


@when("a publisher sends {messages:Count} messages to all partitions in turn")
def a_publisher_sends_in_turn(context, messages):
    publishers.publish(context.scene, messages, partitions=order.in_turn(context.scene))


@when("{number:Count} publishers send {messages:Count} messages each at the same time")
def publishers_send_at_once(context, number, messages):
    publishers.publish_together(context.scene, number, messages, partitions=order.in_turn(context.scene))


@when("{number:Count} publishers send {messages:Count} messages each with {keys:Count} different keys")
def publishers_send_with_keys(context, number, messages, keys):
    publishers.publish_together(context.scene, number, messages, keys=[f"key {key}".encode() for key in range(keys)])


# -- content --------------------------------------------------------------------------------------------
@when("messages with {kind} are published")
def messages_with_content_are_published(context, kind):
    content.publish(context.scene, [kind], "none")


@when("messages of every kind are published with {codec} compression")
def messages_of_every_kind_are_published(context, codec):
    content.publish(context.scene, content.KINDS, "none" if codec == "no" else codec)


@when("messages are published, one of them over the topic's limit")
def one_message_is_over_the_limit(context):
    context.scene.part(content.TooLarge).publish()


# -- volume ---------------------------------------------------------------------------------------------
@when("several publishers send very many messages while several readers read them")
def very_many_messages(context):
    context.scene.part(Volume).run(context.session.settings.messages)
