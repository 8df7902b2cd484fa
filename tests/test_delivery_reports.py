"""confluent-kafka's delivery reports: each settles its own row, in whatever order and however often they are used."""

from __future__ import annotations

import gc
import random
import weakref

from confluent_kafka import Message

from integrity.clients.confluent.reports import Report, Reports
from integrity.history.columns import ACKNOWLEDGED, PublisherLog, SendChunk


class Chunk(SendChunk):
    __slots__ = ("__weakref__",)


def reports_of() -> Reports:
    return Reports(PublisherLog(0, None), single_attempt=False, same_batch=True)


def hand_over(reports: Reports, chunk: SendChunk, rows: range) -> list[Report]:
    taken = reports.take(len(rows))
    for report, row in zip(taken, rows, strict=True):
        report.columns, report.row = Reports.columns_of(chunk), row
    return taken


def test_reports_in_any_order_settle_their_own_rows() -> None:
    reports, chunk, under_way = reports_of(), SendChunk(0, "t", None), []
    dice = random.Random(4)
    made = set()
    for begin in range(0, 10_000, 100):
        under_way += hand_over(reports, chunk, range(begin, begin + 100))
        made |= set(map(id, under_way))
        dice.shuffle(under_way)
        while len(under_way) > 150:
            report = under_way.pop()
            report.callback(None, Message(topic="t", partition=report.row % 3, offset=2 * report.row))
    for report in under_way:
        report.callback(None, Message(topic="t", partition=report.row % 3, offset=2 * report.row))
    assert list(chunk.offsets[:10_000]) == [2 * row for row in range(10_000)]
    assert list(chunk.partitions[:10_000]) == [row % 3 for row in range(10_000)]
    assert set(chunk.outcomes[:10_000]) == {ACKNOWLEDGED}
    assert len(made) == len(reports.free) == 250


def test_no_offset_is_acknowledged_without_one() -> None:
    reports, chunk = reports_of(), SendChunk(0, "t", None)
    (report,) = hand_over(reports, chunk, range(7, 8))
    report.callback(None, Message(topic="t", partition=0))
    assert (chunk.outcomes[7], chunk.offsets[7], chunk.settled[7] > 0) == (ACKNOWLEDGED, -1, True)


def test_a_free_report_keeps_no_chunk() -> None:
    reports, chunk = reports_of(), Chunk(0, "t", None)
    (report,) = hand_over(reports, chunk, range(1))
    report.callback(None, Message(topic="t", partition=0, offset=0))
    gone = weakref.ref(chunk)
    del chunk
    gc.collect()
    assert gone() is None
