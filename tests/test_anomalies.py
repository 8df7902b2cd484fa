"""Every anomaly in a history written by hand that shows exactly it, and the near misses that show nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import duckdb
import pytest

from integrity.anomalies import CHECKS, check
from integrity.anomalies.catalogue import STEPS
from integrity.history import database
from tests.histories import History, digest, sound

Maker = Callable[[], History]
PLANTED: list[tuple[str, int, Maker]] = []
SOUND: list[Maker] = []


def planted(name: str, count: int = 1) -> Callable[[Maker], Maker]:
    """The history shows exactly the anomaly ``name``, ``count`` times."""

    def keep(maker: Maker) -> Maker:
        PLANTED.append((name, count, maker))
        return maker

    return keep


def near_miss(maker: Maker) -> Maker:
    """The history looks odd and is intact."""
    SOUND.append(maker)
    return maker


def found(history: History, folder: Path) -> dict[str, int]:
    verdict = check(history.save(folder))
    return {name: finding.count for name, finding in verdict.findings.items()}


def test_every_anomaly_is_planted() -> None:
    assert {name for name, _, _ in PLANTED} == set(CHECKS)


def test_no_query_is_one_that_spark_takes_the_square_of_the_rows_for() -> None:
    """Seen: two minutes for a million rows, in the one query that looked ahead by UNBOUNDED FOLLOWING."""
    for each in [*CHECKS.values(), *STEPS]:
        assert not re.search("AND UNBOUNDED FOLLOWING", each.sql), each.name


@pytest.mark.parametrize(("name", "count", "maker"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_planted(name: str, count: int, maker: Maker, tmp_path: Path) -> None:
    assert found(maker(), tmp_path) == {name: count}


@pytest.mark.parametrize("maker", SOUND, ids=lambda maker: maker.__name__)
def test_near_miss(maker: Maker, tmp_path: Path) -> None:
    assert found(maker(), tmp_path) == {}
    assert check(tmp_path).intact


# lost -------------------------------------------------------------------------------------------------------------


@planted("lost", 2)
def acknowledged_and_read_by_nobody() -> History:
    history = sound(3)
    history.send(3)
    history.send(4)
    return history


@planted("lost")
def lost_in_the_middle_is_not_a_skip() -> History:
    history = History()
    sends = [history.send(offset) for offset in range(4)]
    history.read_sent(sends[:1] + sends[2:])
    history.read_sent(sends[:1] + sends[2:], reader=1)
    return history


@planted("lost")
def the_final_read_went_to_the_end() -> History:
    history = sound(3)
    history.send(3)
    history.end()
    return history


@planted("lost", 3)
def a_committed_transaction_is_missing_altogether() -> History:
    history = sound(2)
    for offset in (2, 3, 4):
        history.send(offset, transaction=1)
    history.transaction(1)
    return history


@planted("lost", 2)
def committed_readers_are_the_judges_of_a_transaction() -> History:
    history = History()
    plain = history.send(0)
    sends = [history.send(offset, transaction=1) for offset in (1, 2)]
    history.transaction(1)
    history.read_sent([plain], committed_only=True, reader=0)
    history.read_sent([plain, *sends], reader=1)
    return history


@near_miss
def unknown_and_unread() -> History:
    history = sound()
    history.send(outcome="unknown", settled=None)
    return history


@near_miss
def unknown_and_read() -> History:
    history = sound(2)
    send = history.send(outcome="unknown", settled=None)
    history.read(2, 0, send["sequence"])
    return history


@near_miss
def rejected_and_unread() -> History:
    history = sound()
    history.send(outcome="rejected")
    return history


@near_miss
def aborted_and_unread() -> History:
    history = sound(2)
    history.send(2, transaction=1)
    history.transaction(1, "aborted")
    return history


@near_miss
def a_transaction_of_unknown_outcome_is_partly_there() -> History:
    """A reader that is not restricted to committed messages does not show how it ended."""
    history = History()
    first, _second = history.send(0, transaction=1), history.send(1, transaction=1)
    history.transaction(1, "unknown")
    history.read_sent([first])
    return history


@planted("lost", 2)
def what_was_acknowledged_behind_the_end_that_was_asked_for_before_is_not_there_later() -> History:
    """The log was cut off: its end is below what was acknowledged."""
    history = sound(3)
    history.send(3, settled=5)
    history.send(4, settled=5)
    history.end(offset=3, begin=0, asked=50)
    return history


@near_miss
def a_committed_reading_does_not_judge_what_came_after_it() -> History:
    history = History()
    first = history.send(0, transaction=1)
    history.transaction(1)
    history.read_sent([first], committed_only=True, when=20)
    history.end(offset=2, committed_only=True, begin=0, asked=10)
    second = history.send(2, transaction=2, sent=30, settled=31)
    history.transaction(2)
    history.read_sent([first, second], reader=1)
    history.end(offset=4, reader=1, begin=0, asked=50)
    return history


@near_miss
def a_reading_from_the_middle_does_not_judge_what_is_below() -> History:
    history = History()
    sends = [history.send(offset) for offset in range(4)]
    history.read_sent(sends[2:])
    history.end(offset=4, begin=2, asked=50)
    history.read_sent(sends[:3], reader=1)
    history.end(reader=1, offset=2, begin=0, asked=50)
    return history


@planted("lost")
def without_ends_a_committed_reader_judges_the_partitions_that_it_read() -> History:
    """It read nothing of the other one, whose transaction another reader saw."""
    history = History()
    one, other = history.send(0), history.send(0, partition=1, transaction=1)
    history.transaction(1)
    history.send(1)
    history.read_sent([one], committed_only=True)
    history.read_sent([other], reader=1)
    return history


@near_miss
def a_transaction_without_a_row_is_unknown() -> History:
    history = sound(1)
    history.send(1, transaction=1)
    return history


@near_miss
def compaction_may_remove_a_range() -> History:
    history = History()
    sends = [history.send(offset) for offset in range(6)]
    history.read_sent([sends[0], sends[5]])
    history.excuse(offsets=(1, 4))
    return history


@near_miss
def compaction_may_remove_single_records() -> History:
    history = History()
    sends = [history.send(offset) for offset in range(4)]
    history.read_sent([sends[0], sends[3]])
    history.excuse(offsets=(1, 1))
    history.excuse(sequences=(2, 2))
    return history


@near_miss
def an_excuse_by_identities() -> History:
    history = History()
    sends = [history.send(offset) for offset in range(4)]
    history.read_sent([sends[0]])
    history.excuse(sequences=(1, 3))
    return history


@planted("lost")
def an_excuse_of_another_partition_excuses_nothing() -> History:
    history = sound(1)
    history.send(1)
    history.excuse(offsets=(0, 9), partition=1)
    history.excuse(sequences=(0, 9), publisher=1)
    return history


# vanished ---------------------------------------------------------------------------------------------------------


def read_and_read_again(again: range, *, end: int = 5, **more: object) -> History:
    """Offsets 0 to 4, which reader 0 read; those that reader 1 was handed later, on its way to ``end``."""
    history = History()
    sends = [history.send(offset, **more) for offset in range(5)]
    history.read_sent(sends, when=20)
    history.read_sent([sends[offset] for offset in again], reader=1)
    history.end(reader=1, offset=end, begin=0, asked=50)
    return history


@planted("vanished", 2)
def the_head_of_the_log_is_gone() -> History:
    return read_and_read_again(range(2, 5))


@planted("vanished", 2)
def the_tail_of_the_log_is_gone() -> History:
    return read_and_read_again(range(3), end=3)


@planted("vanished", 2)
def the_tail_is_there_and_is_handed_to_nobody_any_more() -> History:
    return read_and_read_again(range(3), end=5)


@planted("vanished", 5)
def the_topic_is_gone_with_all_that_was_in_it() -> History:
    return read_and_read_again(range(0), end=0)


@planted("vanished", 5)
def the_last_reading_is_handed_nothing() -> History:
    return read_and_read_again(range(0), end=5)


@planted("vanished")
def a_message_of_unknown_outcome_was_read_and_is_gone() -> History:
    history = read_and_read_again(range(5))
    send = history.send(outcome="unknown", settled=None)
    history.read(5, 0, send["sequence"], when=30, reader=2)
    return history


@near_miss
def a_transactions_marker_or_what_compaction_left_begins_the_log() -> History:
    history = read_and_read_again(range(2, 5))
    history.excuse(offsets=(0, 1))
    return history


@near_miss
def what_comes_behind_the_end_that_was_asked_for() -> History:
    history = read_and_read_again(range(5))
    history.read_sent([history.send(5, sent=60, settled=61)], reader=2, when=70)
    history.end(reader=2, offset=6, begin=5, asked=65)
    return history


@near_miss
def nobody_knows_where_a_reading_began() -> History:
    history = read_and_read_again(range(2, 5))
    history.rows["ends"][0]["from_offset"] = None
    return history


@near_miss
def a_reading_that_began_behind() -> History:
    history = read_and_read_again(range(2, 5))
    history.rows["ends"][0]["from_offset"] = 2
    history.end(reader=0, offset=5, begin=0, asked=15)
    return history


@near_miss
def an_open_transactions_messages_are_seen_by_uncommitted_readers_only() -> History:
    history = History()
    sends = [history.send(offset, transaction=1) for offset in range(2)]
    history.transaction(1, "aborted")
    history.read_sent([history.send(2)], reader=1, committed_only=True)
    history.read_sent(sends, when=20)
    history.end(reader=1, offset=4, begin=0, asked=50, committed_only=True)
    return history


@planted("vanished")
def a_message_outside_a_transaction_is_seen_by_everybody() -> History:
    history = History()
    first, second = history.send(0), history.send(1)
    history.read_sent([first, second], when=20)
    history.read_sent([second], reader=1, committed_only=True)
    history.end(reader=1, offset=2, begin=0, asked=50, committed_only=True)
    return history


def test_what_vanished_is_told_with_what_is_left(tmp_path: Path) -> None:
    history = read_and_read_again(range(2, 5))
    history.event(30, "broker 1", "killed")
    assert (
        "message 0 of publisher 0 was read at offset 0 of t-0 by reader 0, and is gone: reader 1 went from offset 0 to "
        "the end at 5 and was handed only offsets 2 to 4 (last event before it: broker 1 killed at 12:00:30.000)"
    ) in check(history.save(tmp_path)).words()


# duplicated -------------------------------------------------------------------------------------------------------


@planted("duplicated")
def one_message_at_two_offsets() -> History:
    history = sound(3)
    history.read(3, 0, 2)
    return history


@planted("duplicated")
def a_copy_further_up_is_not_reordered() -> History:
    history = sound(3)
    history.read(3, 0, 0)
    return history


@planted("duplicated")
def one_message_in_two_partitions() -> History:
    history = sound(3)
    history.read(2, 0, 2, partition=1)
    return history


@planted("duplicated")
def an_unknown_message_twice() -> History:
    history = sound(1)
    history.send(outcome="unknown")
    history.read(1, 0, 1)
    history.read(2, 0, 1)
    return history


@near_miss
def one_record_read_by_two_readers() -> History:
    history = sound()
    history.read_sent(history.rows["sends"], reader=1)
    return history


@near_miss
def a_retry_that_idempotence_removed() -> History:
    history = sound(2)
    history.send(outcome="unknown", settled=None)
    history.read(2, 0, 2)
    history.read(2, 0, 2, reader=1)
    return history


# reordered --------------------------------------------------------------------------------------------------------


@planted("reordered")
def a_later_message_at_a_lower_offset() -> History:
    history = History()
    first, second = history.send(1), history.send(0)
    history.read_sent([second, first])
    return history


@planted("reordered")
def unacknowledged_messages_have_an_order_too() -> History:
    history = sound(1)
    history.send(outcome="unknown")
    history.send(1)
    history.read(1, 0, 2)
    history.read(2, 0, 1)
    return history


@near_miss
def no_order_across_partitions() -> History:
    history = History()
    sends = [history.send(5), history.send(0, partition=1), history.send(6)]
    history.read_sent([sends[1], sends[0], sends[2]])
    return history


@near_miss
def no_order_between_publishers() -> History:
    history = History()
    sends = [history.send(1, publisher=0), history.send(0, publisher=1)]
    history.read_sent(reversed(sends))
    return history


# corrupted, phantom -----------------------------------------------------------------------------------------------


@planted("corrupted")
def another_content() -> History:
    history = sound(2)
    history.send(2)
    history.read(2, 0, 2, content=1)
    return history


@planted("corrupted")
def another_content_for_one_of_two_readers() -> History:
    history = sound(2)
    history.read(0, 0, 0, reader=1)
    history.read(1, 0, 1, reader=1, content=1)
    return history


@planted("corrupted")
def another_content_of_an_unknown_message() -> History:
    history = sound(1)
    history.send(outcome="unknown")
    history.read(1, 0, 1, content=1)
    return history


@planted("phantom")
def a_message_nobody_sent() -> History:
    history = sound(2)
    history.read(2, 0, 77)
    return history


@planted("phantom", 2)
def a_record_without_identity() -> History:
    history = sound(2)
    history.read(2, None)
    history.read(3, None)
    history.read(3, None, reader=1)
    return history


# inconsistent_offset, wrong_offset --------------------------------------------------------------------------------


@planted("inconsistent_offset")
def one_offset_two_messages() -> History:
    history = sound(2)
    history.send(outcome="unknown", publisher=1)
    history.read(0, 0, 0, reader=1)
    history.read(1, 1, 0, reader=1)
    return history


@planted("inconsistent_offset")
def a_message_seen_at_anothers_offset_as_well() -> History:
    history = sound(4)
    history.read(0, 0, 0, reader=1)
    history.read(1, 0, 3, reader=1)
    history.read(2, 0, 2, reader=1)
    history.read(3, 0, 3, reader=1)
    return history


@planted("wrong_offset")
def read_elsewhere_and_only_there() -> History:
    history = sound(2)
    history.send(2)
    history.read(9, 0, 2)
    return history


@planted("wrong_offset")
def read_in_another_partition() -> History:
    history = sound(2)
    history.send(2)
    history.read(2, 0, 2, partition=1)
    return history


@planted("wrong_offset")
def acknowledged_without_an_offset_and_read_in_another_partition() -> History:
    history = sound(2)
    history.send(None)
    history.read(2, 0, 2, partition=1)
    return history


@planted("wrong_offset")
def of_unknown_outcome_and_read_in_another_topic() -> History:
    history = sound(2)
    history.send(outcome="unknown", settled=None)
    history.read(2, 0, 2, topic="u")
    return history


@near_miss
def read_where_its_publisher_left_the_choice() -> History:
    history = sound(2)
    history.send(outcome="unknown", settled=None)["partition"] = None
    history.read(2, 0, 2, partition=1)
    return history


@near_miss
def acknowledged_without_an_offset() -> History:
    history = sound(2)
    history.send(None)
    history.read(2, 0, 2)
    return history


@near_miss
def acknowledged_with_minus_one() -> History:
    history = sound(2)
    history.send(-1)
    history.read(2, 0, 2)
    return history


# readers ----------------------------------------------------------------------------------------------------------


@planted("poll_skip")
def a_reader_passes_over_a_record() -> History:
    history = sound(4)
    for sequence in (0, 1, 3):
        history.read(sequence, 0, sequence, reader=1)
    return history


@planted("poll_skip", 2)
def a_committed_reader_passes_over_what_is_outside_transactions() -> History:
    history = sound(4)
    for sequence in (0, 3):
        history.read(sequence, 0, sequence, reader=1, committed_only=True)
    return history


@near_miss
def a_gap_of_transaction_markers() -> History:
    history = History()
    sends = [history.send(offset, transaction=offset // 3) for offset in (0, 1, 3, 4, 6)]
    for number in range(3):
        history.transaction(number)
    for reader in range(2):
        history.read_sent(sends, reader=reader, committed_only=True)
    return history


@near_miss
def a_committed_reader_passes_over_what_was_aborted() -> History:
    history = History()
    sends = [history.send(0), history.send(1, transaction=1), history.send(3)]
    history.transaction(1, "aborted")
    history.read_sent(sends)
    history.read_sent([sends[0], sends[2]], reader=1, committed_only=True)
    return history


@near_miss
def a_seek_passes_over_records() -> History:
    history = sound(5)
    history.read(0, 0, 0, reader=1)
    history.moved("seek", 4, reader=1)
    history.read(4, 0, 4, reader=1)
    return history


@near_miss
def removed_between_two_readers() -> History:
    history = sound(5)
    history.read(0, 0, 0, reader=1)
    history.read(4, 0, 4, reader=1)
    history.excuse(offsets=(1, 2))
    history.excuse(sequences=(3, 3))
    return history


@near_miss
def a_reader_starts_late_and_stops_early() -> History:
    history = sound(5)
    history.read(2, 0, 2, reader=1)
    history.read(3, 0, 3, reader=1)
    return history


@planted("poll_skip")
def a_seek_in_another_partition_excuses_nothing() -> History:
    history = sound(3)
    history.read(0, 0, 0, reader=1)
    history.moved("seek", 2, reader=1, partition=1)
    history.read(2, 0, 2, reader=1)
    return history


@planted("nonmonotonic_poll")
def a_reader_goes_back() -> History:
    history = sound(4)
    for sequence in (2, 3):
        history.read(sequence, 0, sequence)
    return history


@planted("nonmonotonic_poll")
def the_same_offset_again() -> History:
    history = sound(4)
    history.read(3, 0, 3)
    return history


@planted("nonmonotonic_poll")
def two_records_the_wrong_way_round() -> History:
    history = History()
    sends = [history.send(offset) for offset in range(4)]
    history.read_sent([sends[0], sends[2], sends[1], sends[3]])
    history.read_sent(sends, reader=1)
    return history


@planted("nonmonotonic_poll")
def one_row_twice() -> History:
    history = sound(4)
    history.rows["reads"].append(dict(history.rows["reads"][-1]))
    return history


@near_miss
def a_rebalance_goes_back() -> History:
    history = sound(4)
    history.moved("revoked")
    history.moved("assigned", 2)
    for sequence in (2, 3):
        history.read(sequence, 0, sequence)
    return history


@near_miss
def a_seek_goes_back() -> History:
    history = sound(4)
    history.moved("seek", 0)
    for sequence in range(4):
        history.read(sequence, 0, sequence)
    return history


@planted("nonmonotonic_poll")
def a_seek_excuses_one_jump_only() -> History:
    history = sound(4)
    history.moved("seek", 2)
    for sequence in (2, 3, 1):
        history.read(sequence, 0, sequence)
    return history


# transactions -----------------------------------------------------------------------------------------------------


@planted("aborted_read")
def an_aborted_message_seen_by_a_committed_reader() -> History:
    history = History()
    sends = [history.send(0), history.send(1, transaction=1)]
    history.transaction(1, "aborted")
    history.read_sent(sends, committed_only=True)
    return history


@planted("aborted_read")
def a_rejected_message_seen() -> History:
    history = sound(2)
    history.send(outcome="rejected")
    history.read(2, 0, 2)
    return history


@near_miss
def an_aborted_message_seen_by_an_uncommitted_reader() -> History:
    history = History()
    sends = [history.send(0), history.send(1, transaction=1)]
    history.transaction(1, "aborted")
    history.read_sent(sends)
    return history


@planted("torn_transaction")
def part_of_a_committed_transaction() -> History:
    history = History()
    sends = [history.send(offset, transaction=1) for offset in range(4)]
    history.transaction(1)
    history.read_sent(sends[:2], committed_only=True)
    return history


@planted("torn_transaction")
def a_transaction_whose_publisher_was_not_told_its_end_is_seen_in_part_by_a_committed_reader() -> History:
    history = History()
    sends = [history.send(0), history.send(1, transaction=1), history.send(2, transaction=1), history.send(4)]
    history.transaction(1, "unknown")
    history.read_sent([sends[0], sends[1], sends[3]], committed_only=True)
    return history


def all_of_it_and_in_legs(*legs: list[int]) -> History:
    """Reader 0 is handed offsets 0 to 5; reader 1 these, and is told to seek before each further leg."""
    history = History()
    sends = [history.send(offset) for offset in range(6)]
    history.read_sent(sends)
    for leg in legs:
        if leg is not legs[0]:
            history.moved("seek", leg[0], reader=1)
        history.read_sent([sends[offset] for offset in leg], reader=1)
    return history


@planted("poll_skip", 2)
def passed_over_in_a_leg_that_comes_back_to_where_it_was() -> History:
    return all_of_it_and_in_legs([4], [0, 1, 4, 5])


@planted("poll_skip")
def passed_over_and_handed_after_a_seek_there() -> History:
    return all_of_it_and_in_legs([0, 2], [1, 2, 3])


@planted("poll_skip")
def passed_over_the_second_time() -> History:
    return all_of_it_and_in_legs([0, 1, 2], [0, 2])


@planted("poll_skip")
def passed_over_the_second_time_after_a_whole_reading() -> History:
    history = all_of_it_and_in_legs([0, 1, 2, 3, 4, 5], [0, 1, 3, 4])
    history.end(reader=1, offset=6, begin=0, asked=50)
    history.end(offset=6, begin=0, asked=50)
    return history


@near_miss
def a_seek_after_a_whole_reading_passes_over_records_as_well() -> History:
    history = all_of_it_and_in_legs([0, 1], [4, 5])
    history.end(reader=1, offset=2, begin=0, asked=50)
    history.end(offset=6, begin=0, asked=50)
    return history


@near_miss
def legs_that_leave_out_what_lies_between_them() -> History:
    return all_of_it_and_in_legs([0, 1], [4, 5], [3, 4])


@planted("poll_skip")
def a_committed_reader_passed_over_part_of_a_transaction_that_another_one_shows_to_be_committed() -> History:
    history = History()
    sends = [history.send(0), history.send(1, transaction=1), history.send(2, transaction=1), history.send(4)]
    history.read_sent(sends, committed_only=True)
    history.read_sent([*sends[:2], sends[3]], committed_only=True, reader=1)
    return history


@planted("torn_transaction")
def committed_in_one_partition_and_aborted_in_another() -> History:
    history = History()
    sends = [history.send(0), history.send(0, partition=1)]
    sends += [history.send(1, transaction=1), history.send(1, transaction=1, partition=1)]
    history.transaction(1)
    history.read_sent(sends[:3], committed_only=True)
    history.read_sent(sends, reader=1)
    return history


@near_miss
def a_committed_transaction_removed_in_part() -> History:
    history = History()
    sends = [history.send(offset, transaction=1) for offset in range(4)]
    history.transaction(1)
    history.read_sent(sends[2:], committed_only=True)
    history.excuse(offsets=(0, 1))
    return history


@planted("precommitted_read")
def read_before_the_last_send_of_its_transaction() -> History:
    history = History()
    first, second = history.send(0, transaction=1), history.send(1, transaction=1, sent=10, settled=11)
    history.transaction(1)
    history.read_sent([first], committed_only=True, when=5)
    history.read_sent([second], committed_only=True, when=20)
    return history


@planted("precommitted_read")
def read_before_the_commit_was_asked_for() -> History:
    history = History()
    sends = [history.send(0, transaction=1)]
    history.transaction(1, ending=50)
    history.read_sent(sends, committed_only=True, when=49)
    return history


@near_miss
def an_uncommitted_reader_reads_ahead_of_the_commit() -> History:
    history = History()
    sends = [history.send(0, transaction=1)]
    history.transaction(1, ending=50)
    history.read_sent(sends, when=49)
    return history


# consumer groups --------------------------------------------------------------------------------------------------


@planted("commit_ahead", 2)
def committed_before_the_work_was_done() -> History:
    history = sound(4)
    history.process(0)
    history.process(1)
    history.process(2, when=201)
    history.commit(4)
    return history


@planted("commit_ahead", 4)
def committed_and_nothing_processed() -> History:
    history = sound(4).table("processed")
    history.commit(4)
    return history


@planted("commit_ahead")
def committed_past_what_no_member_was_handed() -> History:
    history = sound(4)
    for sequence in (0, 1):
        history.read(sequence, 0, sequence, reader=1)
        history.process(sequence, reader=1)
    history.commit(3, reader=1)
    return history


@near_miss
def committed_what_was_processed() -> History:
    history = sound(4)
    for offset in range(3):
        history.process(offset)
    history.commit(2, when=160)
    history.commit(3)
    return history


@near_miss
def committed_past_a_marker() -> History:
    history = History()
    sends = [history.send(offset, transaction=offset // 3) for offset in (0, 1, 3, 4)]
    history.transaction(0)
    history.transaction(1)
    history.read_sent(sends, committed_only=True)
    for offset in (0, 1):
        history.process(offset)
    history.commit(3)
    return history


@near_miss
def a_group_that_started_late() -> History:
    history = sound(5)
    for sequence in (3, 4):
        history.read(sequence, 0, sequence, reader=1)
        history.process(sequence, reader=1)
    history.commit(5, reader=1)
    return history


@near_miss
def a_group_that_sought_ahead() -> History:
    history = sound(5)
    history.moved("assigned", 0, reader=1, group="g")
    history.moved("seek", 4, reader=1, group="g")
    history.read(4, 0, 4, reader=1)
    history.process(4, reader=1)
    history.commit(5, reader=1)
    return history


@near_miss
def processed_by_another_member() -> History:
    history = sound(2)
    history.read(0, 0, 0, reader=1)
    history.process(0, reader=1)
    history.process(1, reader=0)
    history.commit(2, reader=0)
    return history


# what makes no anomaly and is not intact either ----------------------------------------------------------------------


def test_a_partition_that_was_not_read_to_its_end_is_unread_and_nothing_in_it_lost(tmp_path: Path) -> None:
    history = sound(3)
    history.send(3)
    history.end(complete=False)
    verdict = check(history.save(tmp_path))
    assert not verdict.findings
    assert not verdict.intact
    assert "t-0 was not read to its end" in verdict.words()


def test_what_was_acknowledged_behind_the_last_reading_is_unread(tmp_path: Path) -> None:
    """An earlier reading went to what was the end then. The one behind the last message did not get there."""
    history = sound(3)
    history.end(offset=3, begin=0, asked=50)
    history.send(3, sent=60, settled=61)
    history.end(reader=1, offset=4, begin=0, asked=70, complete=False)
    verdict = check(history.save(tmp_path))
    assert not verdict.findings
    assert verdict.reasons == (
        "t-0 was not read to its end: whether 4 messages that were acknowledged in it are there is open",
    )


def test_a_last_reading_that_does_not_get_to_the_end_is_told_whatever_an_earlier_one_was_handed(tmp_path: Path) -> None:
    history = read_and_read_again(range(3))
    history.rows["ends"][0]["complete"] = False
    history.end(reader=0, offset=5, begin=0, asked=15)
    verdict = check(history.save(tmp_path))
    assert not verdict.findings
    assert verdict.reasons == (
        "t-0 was not read to its end: whether 5 messages that were acknowledged in it are there is open",
    )


def test_a_message_of_no_known_place_is_told_of_by_a_reading_from_the_beginning_only(tmp_path: Path) -> None:
    history = sound(5)
    history.send(None)
    history.end(reader=1, offset=9, begin=5, asked=50)
    verdict = check(history.save(tmp_path))
    assert not verdict.findings
    assert len(verdict.reasons) == 1


def test_a_partition_without_an_end_is_unread(tmp_path: Path) -> None:
    history = sound(3)
    history.send(0, partition=1)
    history.end(partition=0)
    verdict = check(history.save(tmp_path))
    assert [(gap.topic, gap.partition, gap.open) for gap in verdict.unread] == [("t", 1, 1)]


def test_passed_over_in_a_partition_not_read_to_its_end_is_a_skip(tmp_path: Path) -> None:
    history = History()
    sends = [history.send(offset) for offset in range(4)]
    history.read_sent(sends[:1] + sends[2:3])
    history.end(complete=False)
    assert found(history, tmp_path) == {"poll_skip": 1}


def test_another_record_in_the_acknowledged_place_is_no_skip(tmp_path: Path) -> None:
    history = History()
    for offset in range(4):
        history.send(offset)
    for offset, sequence in ((0, 0), (1, 2), (3, 3)):
        history.read(offset, 0, sequence)
    history.end(complete=False)
    assert found(history, tmp_path) == {"wrong_offset": 1}


def test_nothing_read_is_vacuous_and_not_lost(tmp_path: Path) -> None:
    history = History()
    history.send(0)
    verdict = check(history.save(tmp_path))
    assert not verdict.findings
    assert verdict.reasons == ("nothing was read: the verdict would be vacuous",)


def test_nothing_read_to_the_end_is_lost(tmp_path: Path) -> None:
    history = History()
    history.send(0)
    history.end()
    assert found(history, tmp_path) == {"lost": 1}


def test_several_faults_are_all_named(tmp_path: Path) -> None:
    history = sound(3)
    history.send(3)
    history.read(4, 0, 0)
    history.read(5, 0, 99)
    history.send(6)
    history.read(6, 0, 4, content=digest(0, 4) + 1)
    assert found(history, tmp_path) == {"lost": 1, "duplicated": 1, "phantom": 1, "corrupted": 1}


def test_blocks_are_matched_exactly_at_their_edges(tmp_path: Path) -> None:
    # The checker leaves out blocks of 1,024 sequences whose sums agree; a swap keeps every sum but the fingerprints'.
    history = History()
    sends = [history.send(offset) for offset in range(3000)]
    history.read_sent(sends)
    reads = history.rows["reads"]
    reads[1023]["sequence"], reads[1024]["sequence"] = 1024, 1023
    reads[1023]["digest"], reads[1024]["digest"] = digest(0, 1024), digest(0, 1023)
    assert found(history, tmp_path) == {"wrong_offset": 2, "reordered": 1}


def test_a_history_is_judged_although_a_damaged_one_has_broken_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB answers nothing any more after an error of its own, and all small histories share one."""

    class Broken:
        def cursor(self) -> Broken:
            return self

        def execute(self, sql: str) -> None:
            raise duckdb.FatalException("the database has been invalidated because of a previous fatal error")

    opened = iter([Broken(), duckdb.connect()])
    monkeypatch.setattr(database, "_instance", cache(lambda process: next(opened)))
    assert check(sound().save(tmp_path)).intact


@pytest.mark.parametrize("maker", [maker for *_, maker in PLANTED] + SOUND, ids=lambda maker: maker.__name__)
def test_a_small_history_is_judged_as_if_it_were_large(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small ones are read into memory, large ones are not: what most tests see must hold for both."""
    small = check(maker().save(tmp_path))
    monkeypatch.setattr(database, "SMALL_BYTES", 0)
    assert check(tmp_path) == small
