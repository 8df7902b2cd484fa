"""Anomalies that a scenario expects: what Kafka does not promise, and proof that the checks would see it."""

from behave import then
from hamcrest import assert_that, equal_to, greater_than, has_length

from integrity.matchers import shows_only
from integrity.scenes import disk_faults
from integrity.scenes.whereabouts import where_lost


@then("acknowledged messages are found to be lost on disk")
def found_lost_on_disk(context):
    verdict = context.scene.verdict()
    assert_that(verdict.count("lost"), greater_than(0), f"lost messages ({verdict.words()})")
    assert_that(where_lost(verdict), equal_to({"it was lost on disk"}), "where the missing messages are")
    assert_that(verdict, shows_only("lost"))


@then("every acknowledged message is found to be lost on disk")
def all_found_lost_on_disk(context):
    found_lost_on_disk(context)
    lost = context.scene.facts.verdict["anomalies"]["lost"]["count"]
    assert_that(lost, equal_to(context.scene.facts.verdict["acknowledged"]), "lost messages")


@then("a reader is told that the log is damaged")
def a_reader_is_told(context):
    assert_that(disk_faults.told_of_damage(context.scene), has_length(1), "readers that were told of damage")


@then("nothing that is read is damaged, out of order or doubled")
def nothing_read_is_wrong(context):
    verdict = context.scene.verdict()
    assert_that(verdict, shows_only())
    assert_that(verdict.read, greater_than(0), "records read")


@then("messages are found to be there twice")
def found_there_twice(context):
    assert_that(context.scene.verdict(), shows_only("duplicated"))
