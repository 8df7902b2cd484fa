"""Publishing and reading in the background, while a fault is under way.

Each publisher and each reader works in a thread of its own until it has done its share or is told to stop. An error
that a thread ends with is never lost: ``stop`` and ``join`` raise it. Memory is bounded by the publisher's
max_unsettled: with a dead broker a publisher waits.

    with Load(client, connection, recorder) as load:
        load.publish("orders", publishers=3)
        load.read("orders", readers=2)
        load.wait_for_acknowledged(1_000)
        broker.kill(); broker.start()
        load.wait_for_more_acknowledged(1_000)
        load.stop()
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from integrity.clients.base import Connection, Driver, Publisher, PublisherOptions, Reader, ReaderOptions
from integrity.clients.messages import Message
from integrity.clients.values import Values
from integrity.history.recorder import Recorder
from integrity.waiting import scaled, wait_until

#: Messages a background publisher sends between two looks at whether it is to stop.
STRETCH = 200

#: Seconds that a background publisher rests between two stretches when a rate is asked for.
REST_SECONDS = 0.02


class _Worker:
    """One thread and how it ended."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.error: BaseException | None = None
        self._work = work
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again where the load is stopped
            self.error = error


class LoadFailed(Exception):
    """A publisher or reader in the background ended with an error, which is this one's cause."""


class Load:
    """Publishers and readers at work in the background; all of them record into the same recorder.

    ``acknowledged`` and ``read_count`` are how far they have got, a few hundred behind at most.
    """

    def __init__(self, driver: Driver, connection: Connection, recorder: Recorder | None) -> None:
        self._driver = driver
        self._connection = connection
        self._recorder = recorder
        self._stopping = threading.Event()
        self._workers: list[_Worker] = []
        self._acknowledged: list[int] = []
        self._read: list[int] = []
        #: Publishers by the time they are closed: how many of their sends ended how.
        self.outcomes: list[dict[str, int]] = []

    # -- setting it to work -------------------------------------------------------------------------
    def publish(
        self,
        topic: str,
        count: int | None = None,
        *,
        publishers: int = 1,
        size: int = 100,
        keys: Sequence[bytes | None] | None = None,
        per_second: float | None = None,
        options: PublisherOptions | None = None,
        **changes: Any,
    ) -> None:
        """Publish to the topic with so many publishers; ``count`` messages each, or until stopped.

        per_second: about so many messages a second for each publisher; None is as fast as it goes.
        """
        for number in range(publishers):
            place = len(self._acknowledged)
            self._acknowledged.append(0)

            def work(place: int = place) -> None:
                publisher = self._driver.publisher(self._connection, self._recorder, options, **changes)
                try:
                    self._publish(publisher, place, topic, count, size, keys, per_second)
                finally:
                    publisher.close(scaled(30.0))
                    self.outcomes.append(publisher.counts)

            self._start(f"publisher {number}", work)

    def read(
        self,
        topics: str | Sequence[str],
        *,
        readers: int = 1,
        options: ReaderOptions | None = None,
        work: Callable[[Reader], None] | None = None,
        **changes: Any,
    ) -> None:
        """Read the topics until stopped: as members of a group when ``group`` is given, else each on its own.

        work: called after each poll that brought something (to commit, say).
        """
        names = [topics] if isinstance(topics, str) else list(topics)
        for number in range(readers):
            place = len(self._read)
            self._read.append(0)

            def run(place: int = place) -> None:
                with self._driver.reader(self._connection, self._recorder, options, **changes) as reader:
                    self._read_until_stopped(reader, place, names, work)

            self._start(f"reader {number}", run)

    # -- watching and ending it ---------------------------------------------------------------------
    @property
    def acknowledged(self) -> int:
        """How many messages have been acknowledged so far."""
        return sum(self._acknowledged)

    @property
    def read_count(self) -> int:
        """How many records have been read so far, redelivered ones included."""
        return sum(self._read)

    def check(self) -> None:
        """Raise LoadFailed when a publisher or reader has ended with an error, or what the connection's check does."""
        self._connection.check()
        for worker in self._workers:
            if worker.error is not None:
                raise LoadFailed(f"{worker.thread.name} failed: {worker.error}") from worker.error

    def wait_for_acknowledged(self, count: int, seconds: float = 60.0) -> None:
        """Wait until so many messages in all are acknowledged."""
        wait_until(
            lambda: self.acknowledged >= count,
            what=f"{count} messages to be acknowledged",
            seconds=seconds,
            check=self.check,
            detail=lambda: f"{self.acknowledged} are",
        )

    def wait_for_more_acknowledged(self, more: int = 1, seconds: float = 60.0) -> None:
        """Wait until ``more`` messages beyond those of now are acknowledged: publishing goes on."""
        self.wait_for_acknowledged(self.acknowledged + more, seconds)

    def wait_for_read(self, count: int, seconds: float = 60.0) -> None:
        """Wait until so many records in all are read."""
        wait_until(
            lambda: self.read_count >= count,
            what=f"{count} records to be read",
            seconds=seconds,
            check=self.check,
            detail=lambda: f"{self.read_count} are",
        )

    def join(self, seconds: float = 300.0) -> None:
        """Wait until all publishers that have a count are done, then stop the rest. Raises LoadFailed, WaitTimeout."""
        wait_until(
            lambda: not any(w.thread.is_alive() for w in self._workers if w.thread.name.startswith("publisher")),
            what="the publishers to be done",
            seconds=seconds,
            check=self.check,
        )
        self.stop()

    def stop(self, seconds: float = 60.0) -> None:
        """Stop everything and wait until every publisher has its outcomes. Raises LoadFailed, WaitTimeout."""
        self._stopping.set()
        wait_until(
            lambda: not any(worker.thread.is_alive() for worker in self._workers),
            what="the publishers and readers to end",
            seconds=seconds,
        )
        self.check()

    def __enter__(self) -> Load:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stopping.set()
        if kind is None:
            self.stop()

    # -- what the threads do ------------------------------------------------------------------------
    def _start(self, name: str, work: Callable[[], None]) -> None:
        worker = _Worker(name, work)
        self._workers.append(worker)
        worker.thread.start()

    def _publish(
        self,
        publisher: Publisher,
        place: int,
        topic: str,
        count: int | None,
        size: int,
        keys: Sequence[bytes | None] | None,
        per_second: float | None,
    ) -> None:
        sent = 0
        values = Values(size)
        began = time.monotonic()
        while not self._stopping.is_set() and (count is None or sent < count):
            if per_second is None:
                stretch = STRETCH if count is None else min(STRETCH * 50, count - sent)
                sent += publisher.publish(topic, stretch, size=size, keys=keys)
            else:
                due = int((time.monotonic() - began) * per_second) + 1
                for _ in range(min(due, count or due) - sent):
                    key = keys[sent % len(keys)] if keys else None
                    publisher.send(Message(topic, values[sent], key))
                    sent += 1
                publisher.serve(REST_SECONDS)
            publisher.serve()
            self._acknowledged[place] = publisher.counts["acknowledged"]
        publisher.flush(30.0)
        self._acknowledged[place] = publisher.counts["acknowledged"]

    def _read_until_stopped(
        self, reader: Reader, place: int, topics: Sequence[str], work: Callable[[Reader], None] | None
    ) -> None:
        if reader.options.group is not None:
            reader.subscribe(topics)
        else:
            reader.assign_topics(topics)
        while not self._stopping.is_set():
            if count := reader.drain(0.1):
                self._read[place] += count
                if work is not None:
                    work(reader)
