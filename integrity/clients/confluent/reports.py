"""Delivery reports of confluent-kafka: each tells one row of a chunk what became of its message.

librdkafka reports in an order of its own, and a report's message carries neither headers nor anything else to know it
by, so every message needs a callback that knows its row: a function that the whole chunk shares, with the row bound to
it. That costs a tenth of a microsecond; a run has Python look for cyclic garbage rarely, or it would look over all
that are under way again and again (see integrity.session).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat

from confluent_kafka import KafkaError, Message, Producer

from integrity.clients.errors import outcome_of
from integrity.history.columns import ACKNOWLEDGED, PublisherLog, SendChunk

#: What librdkafka calls with an error or None, and the message.
Report = Callable[[KafkaError | None, Message], None]


class Reports:
    """One publisher's reports."""

    def __init__(self, log: PublisherLog, *, single_attempt: bool, same_batch: bool) -> None:
        #: The time (ns since the epoch) that reports are served at, or 0 to ask for it with each.
        self.clock = 0
        self._log = log
        self._single_attempt = single_attempt
        self._same_batch = same_batch

    def of(self, chunk: SendChunk, rows: Sequence[int], *, placed: bool = False) -> list[Report]:
        """The reports of these rows of a chunk. placed: their partitions were chosen, and are recorded, already."""
        partitions, offsets, settled, outcomes = chunk.partitions, chunk.offsets, chunk.settled, chunk.outcomes
        now = time.time_ns

        def delivered(row: int, error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failed(chunk, row, error)
                return
            if not placed:
                partitions[row] = message.partition()
            offset = message.offset()
            # There is none with acks=0.
            if offset is not None:
                offsets[row] = offset
            settled[row] = self.clock or now()
            outcomes[row] = ACKNOWLEDGED

        return list(map(partial, repeat(delivered), rows))

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

    def _failed(self, chunk: SendChunk, row: int, error: KafkaError) -> None:
        """A message ended in an error."""
        outcome = outcome_of(error.code(), single_attempt=self._single_attempt, same_batch=self._same_batch)
        self._log.failed(chunk, row, outcome, f"{error.name()}: {error.str()}")
