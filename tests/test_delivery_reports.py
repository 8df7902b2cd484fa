"""confluent-kafka's delivery reports: each settles its own row, in whatever order they come."""

from __future__ import annotations

import gc
import random
import weakref

import pytest
from confluent_kafka import Message

from integrity.clients.confluent.reports import Report, Reports
from integrity.history.columns import ACKNOWLEDGED, PublisherLog, SendChunk


class Chunk(SendChunk):
    __slots__ = ("__weakref__",)


def reports_of() -> Reports:
    return Reports(PublisherLog(0, None), single_attempt=False, same_batch=True)


@pytest.mark.parametrize("placed", [False, True])
def test_reports_in_any_order_settle_their_own_rows(placed: bool) -> None:
    """``placed``: the partitions stand in the chunk already, and are left as they are."""
    reports, chunk = reports_of(), SendChunk(0, "t", None)
    under_way: list[tuple[int, Report]] = []
    dice = random.Random(4)
    for begin in range(0, 10_000, 100):
        rows = range(begin, begin + 100)
        under_way += zip(rows, reports.of(chunk, rows, placed=placed), strict=True)
        dice.shuffle(under_way)
        while len(under_way) > (150 if begin < 9_900 else 0):
            row, report = under_way.pop()
            report(None, Message(topic="t", partition=row % 3, offset=2 * row))
    assert list(chunk.offsets[:10_000]) == [2 * row for row in range(10_000)]
    assert list(chunk.partitions[:10_000]) == [-1 if placed else row % 3 for row in range(10_000)]
    assert set(chunk.outcomes[:10_000]) == {ACKNOWLEDGED}
    assert min(chunk.settled[:10_000]) > 0


def test_no_offset_is_acknowledged_without_one() -> None:
    reports, chunk = reports_of(), SendChunk(0, "t", None)
    (report,) = reports.of(chunk, [7])
    report(None, Message(topic="t", partition=0))
    assert (chunk.outcomes[7], chunk.offsets[7], chunk.settled[7] > 0) == (ACKNOWLEDGED, -1, True)


def test_a_chunk_whose_reports_have_come_is_kept_by_nobody() -> None:
    reports, chunk = reports_of(), Chunk(0, "t", None)
    (report,) = reports.of(chunk, [0])
    report(None, Message(topic="t", partition=0, offset=0))
    gone = weakref.ref(chunk)
    del chunk, report
    gc.collect()
    assert gone() is None
