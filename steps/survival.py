"""What else must be as it was when the broker is back: settings, times, groups, transactions, publishers."""

from behave import given, register_type, then, when
from hamcrest import assert_that, empty, equal_to, is_not

from integrity.faults.process import WAYS_DOWN
from integrity.matchers import intact
from integrity.scenes import keepsakes, retries
from integrity.scenes.commits import Commits
from integrity.scenes.groups import Groups
from integrity.scenes.keepsakes import Keepsakes
from integrity.scenes.load import Load
from integrity.scenes.reading import read_committed
from integrity.scenes.retries import SentAgain
from integrity.scenes.transactions import Transactions
from integrity.vocabulary import count, demands, one_of, skippable

register_type(Count=count, Down=one_of(*WAYS_DOWN))


# -- topics and times -----------------------------------------------------------------------------------
@then("the topic has {partitions:Count} partitions and the settings as they were made and changed")
def the_topic_is_as_it_was(context, partitions):
    assert_that(keepsakes.partition_counts(context.scene), equal_to([partitions]), "partitions")
    kept = context.scene.part(Keepsakes)["settings"]
    assert_that(keepsakes.settings_now(context.scene), equal_to(kept), "settings")


@given("a day of messages was acknowledged, and where each of its hours begins was noted")
def messages_over_a_day(context):
    keepsakes.publish_over_a_day(context.scene)


@then("each hour begins at the same offsets as before")
def each_hour_begins_where_it_did(context):
    kept = context.scene.part(Keepsakes)["hours"]
    assert_that(keepsakes.beginnings_of_hours(context.scene), equal_to(kept), "where each hour begins")


# -- groups ---------------------------------------------------------------------------------------------
@given("a consumer group with {members:Count} members at work, whose sessions last longer than a restart")
def a_patient_group_is_at_work(context, members):
    context.scene.part(Groups).begin(members, session=keepsakes.LONG_SESSION_SECONDS)
    group = context.scene.part(Groups).one
    group.wait_for_more(1)
    context.scene.part(Keepsakes).keep("members", keepsakes.members(context.scene, group.name))


@then("the group has the same members with the same partitions")
def the_group_has_the_same_members(context):
    group = context.scene.part(Groups).one
    group.wait_for_commits()
    kept = context.scene.part(Keepsakes)["members"]
    assert_that(kept, is_not(empty()), "members before")
    assert_that(keepsakes.members(context.scene, group.name), equal_to(kept), "members and their partitions")


@then("the group gets to the end")
def the_group_gets_to_the_end(context):
    context.scene.part(Load).finish()
    context.scene.part(Groups).finish()


@given("an earlier group has committed an offset in every partition")
def an_earlier_group_has_committed(context):
    context.scene.part(Commits).commit()


# -- publishers -----------------------------------------------------------------------------------------
@given("{messages:Count} messages were acknowledged to a publisher without idempotence")
def acknowledged_without_idempotence(context, messages):
    retries.publish_without_idempotence(context.scene, messages)


@when("the broker is {how:Down} and started again, and the publisher sends once more what it sent last")
@demands("files")
@skippable
def the_publisher_sends_again(context, how):
    retries.restart_and_send_again(context.scene, how)


@given("a message was acknowledged that its publisher is going to send again")
def a_message_to_be_sent_again(context):
    context.scene.part(SentAgain).publish()


@when("that message is sent again")
def that_message_is_sent_again(context):
    context.scene.part(SentAgain).send_again()


# -- transactions ---------------------------------------------------------------------------------------
@given("{number:Count} transactions of {messages:Count} messages were committed, and as many aborted")
def transactions_were_committed(context, number, messages):
    context.scene.part(Transactions).committed(number, messages)


@given("{number:Count} publishers have each a transaction with {messages:Count} acknowledged messages open")
def transactions_are_open(context, number, messages):
    context.scene.part(Transactions).leave_open(number, messages)


@when("one of the open transactions is committed, one is aborted, and one is left to a successor")
def the_open_transactions_end(context):
    context.scene.part(Transactions).end_in_every_way()


@then("a reader of committed messages sees every committed transaction whole, and nothing of the aborted ones")
def committed_transactions_are_whole(context):
    read_committed(context.scene)
    assert_that(context.scene.verdict(), intact())
