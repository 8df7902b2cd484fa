"""What readers of a scenario got, kept for the sentences that speak of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from kafka.errors import RequestTimedOutError, UnknownError

from integrity.clients import Message, Record
from integrity.clients.base import Partition
from integrity.clients.errors import code_of
from integrity.scene import READ_SECONDS, Scene
from integrity.scenes import order, publishers

#: A day that is over, as ms since the epoch: it began on 29 February 2024, 00:00 UTC.
DAY = 1_709_164_800_000
MINUTE_MS = 60_000
MINUTES = 24 * 60
NOON = DAY + MINUTES // 2 * MINUTE_MS

#: A day's messages come in so small batches (bytes) that a broker's indexes have several entries: one for each 4 KiB at
#: most, and none within a batch.
BATCH_BYTES = 2 << 10


class Reading:
    """The records one new reader got. A part of the scene; what is read stands in the history as well."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        #: What the reader that started somewhere got.
        self.got: list[Record] = []

    @cached_property
    def records(self) -> list[Record]:
        """Everything in the scene's topics, from their beginning, in the order a reader got it."""
        return self.read_from({})

    def read_from(self, start: dict[Partition, int]) -> list[Record]:
        """Read on to the end, from these offsets or, in the other partitions, from the beginning.

        Raises AssertionError when a partition could not be read to its end, or a broker that is there refuses.
        """
        with self._scene.driver.reader(self._scene.connection, self._scene.recorder) as reader, self._answered():
            result = reader.read_to_end(self._scene.topics, READ_SECONDS, start=start, keep=True)
        result.require_complete()
        return list(result.records)

    def start_at_offset(self, offset: int) -> None:
        """Let a new reader start at this offset of every partition; see ``got``."""
        self.got = self.read_from(dict.fromkeys(order.scene_partitions(self._scene), offset))

    def start_at_time(self, timestamp: int) -> None:
        """Let a new reader start at what is of this time (ms since the epoch) or later; see ``got``."""
        with self._scene.driver.admin(self._scene.connection) as admin, self._answered():
            start = admin.offsets_at(self._scene.topics, timestamp)
        self.got = self.read_from(start)

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Within, a broker is asked for what it has: an error is no answer. Raises AssertionError.

        That a client was not answered, or not in time, is another matter: such an error stays what it is.
        """
        try:
            yield
        except self._scene.driver.errors as error:
            self._scene.connection.check()
            code = code_of(error)
            # A request that has timed out: kafka-python says the same of one that nobody has answered.
            if code is None or code < UnknownError.errno or code == RequestTimedOutError.errno:
                raise
            raise AssertionError(f"a reader asked for what is there, and got an error: {error!r}") from error

    def close(self) -> None:
        """Nothing is under way."""


def read_committed(scene: Scene) -> None:
    """Read everything as a reader that sees committed transactions only, into the history.

    Raises AssertionError when a partition could not be read to its end: nothing of a transaction is seen by a reader
    that stands before it, as where the broker has lost how it ended.
    """
    with scene.driver.reader(scene.connection, scene.recorder, committed_only=True) as reader:
        result = reader.read_to_end(scene.topics, READ_SECONDS)
    if not result.complete:
        scene.connection.check()
    result.require_complete("a reader of committed messages")


def publish_a_day(scene: Scene) -> None:
    """Publish a message for each minute of DAY, to all partitions in turn; all must be acknowledged."""
    partitions = order.in_turn(scene)
    messages = (
        Message(
            scene.topics[0],
            b"minute %d" % minute,
            partition=partitions[minute % len(partitions)],
            timestamp=DAY + minute * MINUTE_MS,
        )
        for minute in range(MINUTES)
    )
    publishers.send(scene, messages, batch_bytes=BATCH_BYTES)
