"""Clients that are at work while something happens to the broker."""

from behave import given, register_type, then

from integrity.scenes.load import Load
from integrity.vocabulary import count

register_type(Count=count)


@given("a publisher is at work")
def a_publisher_is_at_work(context):
    context.scene.part(Load).publish()


@given("{publishers:Count} publishers are at work")
def publishers_are_at_work(context, publishers):
    context.scene.part(Load).publish(publishers)


@given("{publishers:Count} impatient publishers are at work, which soon send again what is not acknowledged")
def impatient_publishers_are_at_work(context, publishers):
    context.scene.part(Load).publish(publishers, request_timeout=0.5)


@given("a reader follows them")
@given("a reader follows it")
def a_reader_follows(context):
    context.scene.part(Load).read()


@then("the work goes on")
def the_work_goes_on(context):
    context.scene.part(Load).finish_everywhere()


@given("a publisher of large messages is at work")
def a_publisher_of_large_messages(context):
    context.scene.part(Load).publish(size=25_000, max_unsettled=100)


@then("the publisher finishes what it had under way")
def the_publisher_finishes(context):
    context.scene.part(Load).finish_what_is_under_way()
