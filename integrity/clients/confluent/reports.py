"""Delivery reports of confluent-kafka: each tells one row of a chunk what became of its message.

librdkafka reports in an order of its own, and a report's message carries neither headers nor anything else to know it
by, so every message needs a callback that knows its row. A fresh one for each costs more than sending it: Python's
garbage collector starts at every 700 new objects and looks over those that are under way. So they are used again, and
there are as many as were ever under way at once. One is free again only once it was called, which librdkafka does once
for each message, so none ever stands for two.
"""

from __future__ import annotations

import time

from confluent_kafka import KafkaError, Message

from integrity.clients.errors import outcome_of
from integrity.history.columns import ACKNOWLEDGED, PublisherLog, SendChunk


class Report:
    """What to hand over with a message: ``callback``, once ``chunk`` and ``row`` are set."""

    __slots__ = ("_reports", "callback", "chunk", "row")

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self.chunk: SendChunk | None = None
        self.row = -1
        self.callback = self._delivered

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        chunk, row = self.chunk, self.row
        if error is None:
            chunk.partitions[row] = message.partition()
            offset = message.offset()
            # There is none with acks=0.
            if offset is not None:
                chunk.offsets[row] = offset
            chunk.settled[row] = time.time_ns()
            chunk.outcomes[row] = ACKNOWLEDGED
        else:
            self._reports.failed(chunk, row, error)
        # A report that waits for its next message must not keep a chunk in memory.
        self.chunk = None
        self._reports.free.append(self)


class Reports:
    """One publisher's reports; one thread takes them and serves the callbacks."""

    def __init__(self, log: PublisherLog, *, single_attempt: bool, same_batch: bool) -> None:
        self.free: list[Report] = []
        self._log = log
        self._single_attempt = single_attempt
        self._same_batch = same_batch

    def take(self, count: int) -> list[Report]:
        """So many reports; what is not handed over to librdkafka in the end goes back to ``free``."""
        free = self.free
        taken = free[-count:]
        del free[-count:]
        return taken + [Report(self) for _ in range(count - len(taken))]

    def failed(self, chunk: SendChunk, row: int, error: KafkaError) -> None:
        """A message ended in an error."""
        outcome = outcome_of(error.code(), single_attempt=self._single_attempt, same_batch=self._same_batch)
        self._log.failed(chunk, row, outcome, f"{error.name()}: {error.str()}")
