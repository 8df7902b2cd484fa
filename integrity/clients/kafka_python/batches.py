"""Settles kafka-python's messages batch by batch.

A callback per message would cost a publisher a tenth of its speed. kafka-python (pinned at 3.0) completes all messages
of a batch with one future, ``FutureRecordMetadata._produce_future``, whose value is (base offset, log append time,
function from index to error, or None); a message's place in its batch is ``args[0]``. When a batch turns out to be too
large, it is split: its future is never completed, and its messages are bound to the futures of the new batches;
``look_for_splits`` then falls back to one callback per message.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable
from functools import partial

from kafka.producer.future import FutureProduceResult, FutureRecordMetadata, RecordMetadata

from integrity.clients.errors import outcome_of
from integrity.history.columns import ACKNOWLEDGED, PublisherLog, SendChunk


class _Group:
    """Messages of one batch in one chunk: their rows, and how many of them are settled."""

    __slots__ = ("batch", "chunk", "done", "first_index", "futures", "rows", "settled")

    def __init__(self, batch: FutureProduceResult, chunk: SendChunk, first_index: int) -> None:
        self.batch = batch
        self.chunk = chunk
        self.first_index = first_index
        self.rows: list[int] = []
        self.futures: list[FutureRecordMetadata] = []
        self.settled = 0
        self.done = False


class Batches:
    """What is under way. The sending thread adds, kafka-python's sender thread settles.

    ``settled`` counts the messages with an outcome.
    """

    def __init__(self, log: PublisherLog, *, single_attempt: bool) -> None:
        self._log = log
        self._single_attempt = single_attempt
        self._groups: dict[FutureProduceResult, _Group] = {}
        self._lock = threading.Lock()
        self.settled = 0
        self.progress = threading.Event()

    def add(self, future: FutureRecordMetadata, chunk: SendChunk, row: int) -> None:
        """A message was handed over; its outcome goes to that row of the chunk."""
        batch = future._produce_future
        group = self._groups.get(batch)
        if group is None or group.chunk is not chunk:
            group = _Group(batch, chunk, future.args[0])
            group.rows.append(row)
            group.futures.append(future)
            if future.args[0] is None or future.args[0] < 0:
                # It never reached a batch: the topic's metadata was refused.
                self._follow(group)
                return
            self._groups[batch] = group
            batch._add_cb_eb(partial(self._completed, group), partial(self._broken, group))
            return
        group.rows.append(row)
        group.futures.append(future)
        if group.done:
            # The batch was answered between the send and this line.
            self._settle(group)

    def look_for_splits(self) -> None:
        """Follow the messages of batches that were split one by one."""
        for batch, group in list(self._groups.items()):
            if batch._latch.is_set() and not batch.is_done and self._groups.pop(batch, None) is not None:
                self._follow(group)

    def _completed(self, group: _Group, result: tuple[int, int, Callable[[int], Exception] | None]) -> None:
        group.done = True
        self._settle(group)
        if self._groups.get(group.batch) is group:
            del self._groups[group.batch]
        self.progress.set()

    def _broken(self, group: _Group, error: BaseException) -> None:
        self._completed(group, (-1, -1, lambda _: error))

    def _settle(self, group: _Group) -> None:
        with self._lock:
            begin, end = group.settled, len(group.rows)
            if begin == end:
                return
            group.settled = end
            rows = group.rows[begin:end]
            batch, chunk = group.batch, group.chunk
            first = group.first_index + begin
            base, _, error_of = batch.value if batch.exception is None else (-1, -1, lambda _: batch.exception)
            if error_of is not None:
                for index, row in enumerate(rows, first):
                    self._failed(chunk, row, error_of(index), refused=base is None)
            elif (steps := _in_equal_steps(rows)) is not None:
                self._acknowledge_run(chunk, steps, batch.topic_partition.partition, base, first)
            else:
                now, partition = time.time_ns(), batch.topic_partition.partition
                for index, row in enumerate(rows, first):
                    chunk.partitions[row] = partition
                    chunk.offsets[row] = base + index if base >= 0 else -1
                    chunk.settled[row] = now
                    chunk.outcomes[row] = ACKNOWLEDGED
            self.settled += len(rows)

    @staticmethod
    def _acknowledge_run(chunk: SendChunk, steps: range, partition: int, base: int, index: int) -> None:
        rows, count = slice(steps.start, steps.stop, steps.step), len(steps)
        chunk.partitions[rows] = array("i", [partition]) * count
        if base >= 0:
            chunk.offsets[rows] = array("q", range(base + index, base + index + count))
        chunk.settled[rows] = array("q", [time.time_ns()]) * count
        chunk.outcomes[rows] = bytes([ACKNOWLEDGED]) * count

    def _follow(self, group: _Group) -> None:
        for row, future in zip(group.rows, group.futures, strict=True):
            future.add_callback(partial(self._one_delivered, group.chunk, row))
            future.add_errback(partial(self._one_failed, group.chunk, row, future))

    def _one_delivered(self, chunk: SendChunk, row: int, metadata: RecordMetadata) -> None:
        with self._lock:
            chunk.partitions[row] = metadata.partition
            chunk.offsets[row] = metadata.offset
            chunk.settled[row] = time.time_ns()
            chunk.outcomes[row] = ACKNOWLEDGED
            self.settled += 1
        self.progress.set()

    def _one_failed(self, chunk: SendChunk, row: int, future: FutureRecordMetadata, error: BaseException) -> None:
        answer = future._produce_future.value
        with self._lock:
            self._failed(chunk, row, error, refused=answer is not None and answer[0] is None)
            self.settled += 1
        self.progress.set()

    def _failed(self, chunk: SendChunk, row: int, error: BaseException, *, refused: bool) -> None:
        """``refused``: the error is this batch's own. A batch that is given up because of another one's error has that
        error as well, but kafka-python completes it with base offset -1 instead of None (ProducerBatch.abort)."""
        code = getattr(error, "errno", None) if refused else None
        self._log.failed(chunk, row, outcome_of(code, single_attempt=self._single_attempt), str(error))


def _in_equal_steps(rows: list[int]) -> range | None:
    """These rows as a range, if they are one: so they are of a single partition, and of partitions taken in turn."""
    step = rows[1] - rows[0] if len(rows) > 1 else 1
    steps = range(rows[0], rows[-1] + 1, step)
    return steps if len(steps) == len(rows) and list(steps) == rows else None
