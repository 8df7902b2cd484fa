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
    history = History()
    first, _second = history.send(0, transaction=1), history.send(1, transaction=1)
    history.transaction(1, "unknown")
    history.read_sent([first], committed_only=True)
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


def test_a_partition_without_an_end_is_unread(tmp_path: Path) -> None:
    history = sound(3)
    history.send(0, partition=1)
    history.end(partition=0)
    verdict = check(history.save(tmp_path))
    assert [(gap.topic, gap.partition, gap.acknowledged) for gap in verdict.unread] == [("t", 1, 1)]


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
