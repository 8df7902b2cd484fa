"""Delivery reports of confluent-kafka: each tells one row of a chunk what became of its message.

librdkafka reports in an order of its own, and a report's message carries neither headers nor anything else to know it
by, so every message needs a callback that knows its row. A fresh one for each costs more than sending it: Python's
garbage collector starts at every 700 new objects and looks over those that are under way. So they are used again, and
there are as many as were ever under way at once. One is free again only once it was called, which librdkafka does once
for each message, so none ever stands for two.
"""

from __future__ import annotations

import time
from array import array

from confluent_kafka import KafkaError, Message, Producer

from integrity.clients.errors import outcome_of
from integrity.history.columns import ACKNOWLEDGED, PublisherLog, SendChunk

#: A chunk's partitions, offsets, settled and outcomes, and the chunk.
Columns = tuple[array, array, array, bytearray, SendChunk]


class Report:
    """What to hand over with a message: ``callback``, once ``columns`` (Reports.columns_of) and ``row`` are set."""

    __slots__ = ("_reports", "callback", "columns", "row")

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self.columns: Columns | None = None
        self.row = -1
        self.callback = self._delivered

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        row, reports = self.row, self._reports
        partitions, offsets, settled, outcomes, chunk = self.columns
        if error is None:
            partitions[row] = message.partition()
            offset = message.offset()
            # There is none with acks=0.
            if offset is not None:
                offsets[row] = offset
            settled[row] = reports.clock or time.time_ns()
            outcomes[row] = ACKNOWLEDGED
        else:
            reports.failed(chunk, row, error)
        # A report that waits for its next message must not keep a chunk in memory.
        self.columns = None
        reports.free.append(self)


class Reports:
    """One publisher's reports; one thread takes them."""

    def __init__(self, log: PublisherLog, *, single_attempt: bool, same_batch: bool) -> None:
        self.free: list[Report] = []
        #: The time (ns since the epoch) that reports are served at, or 0 to ask for it with each.
        self.clock = 0
        self._log = log
        self._single_attempt = single_attempt
        self._same_batch = same_batch

    def take(self, count: int) -> list[Report]:
        """So many reports; what is not handed over to librdkafka in the end goes back to ``free``."""
        free = self.free
        taken: list[Report] = []
        # One by one: whoever closes a publisher that is held up serves its reports in a thread of his own.
        while free and len(taken) < count:
            taken.append(free.pop())
        return taken + [Report(self) for _ in range(count - len(taken))]

    @staticmethod
    def columns_of(chunk: SendChunk) -> Columns:
        """Where a chunk's messages are settled, looked up once for many."""
        return chunk.partitions, chunk.offsets, chunk.settled, chunk.outcomes, chunk

    def serve(self, producer: Producer) -> None:
        """Take in the reports that have come, without waiting, all with one time: that of just before.

        That is when they were already here, and after every send they are about. If anything it is too early: a check
        that takes a last acknowledgement for the end of its transaction may then let something pass, but never raises a
        false alarm. While reports are waited for, each asks for a time of its own.
        """
        self.clock = time.time_ns()
        try:
            producer.poll(0)
        finally:
            self.clock = 0

    def failed(self, chunk: SendChunk, row: int, error: KafkaError) -> None:
        """A message ended in an error."""
        outcome = outcome_of(error.code(), single_attempt=self._single_attempt, same_batch=self._same_batch)
        self._log.failed(chunk, row, outcome, f"{error.name()}: {error.str()}")
