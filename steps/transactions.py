"""Transactional publishers, and what committed readers see of them."""

from behave import given, register_type, then, when
from hamcrest import assert_that, equal_to, is_not, matches_regexp

from integrity.history.schema import COMMITTED
from integrity.matchers import intact, shows_only
from integrity.scenes import late_commit
from integrity.scenes.copying import DEMANDED, HARDSHIPS, Copying
from integrity.scenes.isolation import REFUSED, Isolation
from integrity.scenes.load import Load
from integrity.scenes.reading import read_committed
from integrity.scenes.words import nothing
from integrity.vocabulary import count, demands, one_of

register_type(Count=count, Hardship=one_of(*HARDSHIPS))


@when("{publishers:Count} publishers commit {number:Count} transactions each and abort as many, all at the same time")
def transactions_at_the_same_time(context, publishers, number):
    context.scene.part(Isolation).work_together(publishers, number)


@when("a publisher commits and aborts transactions, and the connection is cut at every step of them")
def cut_at_every_step(context):
    context.scene.part(Isolation).cut_at_every_step()


# -- one that is left open ------------------------------------------------------------------------------
@given("a publisher has left a transaction open, and its successor has begun")
def a_successor_has_begun(context):
    context.scene.part(Isolation).hand_over()


@given("a publisher has left a transaction open until it timed out")
def a_transaction_has_timed_out(context):
    context.scene.part(Isolation).time_out()


@when("that publisher goes on and tries to commit")
def that_publisher_goes_on(context):
    context.scene.part(Isolation).try_after_all()


@then("it is refused")
def it_is_refused(context):
    isolation = context.scene.part(Isolation)
    assert_that(isolation.late_outcome, is_not(equal_to(COMMITTED)), "what became of its transaction")
    assert_that(isolation.refusal, matches_regexp(REFUSED), "what it was told")
    assert_that(isolation.taken_late, equal_to(0), "messages that were still taken from it")


@then("a reader of committed messages sees nothing of it")
def nothing_of_it_is_seen(context):
    isolation = context.scene.part(Isolation)
    read_committed(context.scene)
    assert_that(isolation.seen_of_the_open_one(), nothing(), "messages of its transaction that were seen")


@then("every other message is read once, in order and unchanged")
def every_other_message_is_read(context):
    assert_that(context.scene.verdict(), intact())


@given("a reader of committed messages follows")
def a_committed_reader_follows(context):
    context.scene.part(Load).read(committed_only=True)


@given("a transaction with a message in every partition is open")
def a_transaction_in_every_partition(context):
    context.scene.part(Isolation).leave_open()


@when("others publish and commit behind it {times:Count} times, and then it is committed")
def others_publish_behind_it(context, times):
    context.scene.part(Isolation).publish_behind(times)


@then("the last stable offset was never beyond its first message")
def the_last_stable_offset_stays(context):
    assert_that(context.scene.part(Isolation).passed, nothing(), "partitions in which it was passed")


# -- a late commit --------------------------------------------------------------------------------------
@when("a commit is held on its way, sent again, and arrives when the publisher's next transaction is open")
def a_late_commit(context):
    late_commit.publish(context.scene)


@then("a reader of committed messages is found to see the next transaction, although it was aborted")
def an_aborted_read_is_found(context):
    read_committed(context.scene)
    assert_that(context.scene.verdict(), shows_only("aborted_read"))


# -- copies ---------------------------------------------------------------------------------------------
@given("a group whose members copy every message from one topic to another in transactions")
def a_group_that_copies(context):
    context.scene.part(Copying).begin()


@when("{what:Hardship} while it copies")
@demands(lambda what: DEMANDED.get(what, ""))
def something_happens_while_it_copies(context, what):
    context.scene.part(Copying).go_on_while(what)


@then("every message is copied exactly once, in order and unchanged")
def every_message_is_copied_once(context):
    assert_that(context.scene.verdict(), intact(), "what was published")
    assert_that(context.scene.part(Copying).verdict(), intact(), "what was copied")
