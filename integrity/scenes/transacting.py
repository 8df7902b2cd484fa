"""A transactional publisher at work: one transaction after the other, most of them committed, while faults happen.

It does as an application should: when it is not told how a transaction ended, it lets a successor with the same
transactional id begin, which settles what was left open. What became of every transaction is in the history.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from integrity.clients import Publisher
from integrity.faults.process import FaultNotProven
from integrity.history import schema
from integrity.scene import PUBLISH_SECONDS, READ_SECONDS, Scene
from integrity.scenes.following import POLL_SECONDS
from integrity.scenes.gate import Gate, holding
from integrity.scenes.load import Load
from integrity.scenes.reading import read_committed
from integrity.scenes.worker import Worker
from integrity.waiting import scaled, wait_until

#: Messages of a transaction in each topic; every third transaction is aborted.
MESSAGES = 20
ABORTED_EVERY = 3

#: Seconds for which a transaction is left open once its messages are acknowledged: the processors are left to brokers
#: that restart.
OPEN_SECONDS = 0.05

#: Seconds for a request of the publisher's: it soon turns to others.
REQUEST_SECONDS = 1.0

#: Seconds, before timeout_factor, for which it waits for its messages' acknowledgement, and then to be told how its
#: transaction ended; as long for its making. One that is not told by then is followed by a successor.
END_SECONDS = 5.0


class Transacting:
    """The publisher and its successors. A part of the scene; ``id`` is their transactional id."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.id = f"transactions-{uuid.uuid4().hex[:8]}"
        #: How many transactions ended how, as the history has it.
        self.outcomes: Counter[str] = Counter()
        #: Why publishers could not be made.
        self._troubles: Counter[str] = Counter()
        self._worker: Worker | None = None
        #: What it passes before each commit or abort.
        self._gate = Gate()

    def begin(self) -> None:
        """Let the publisher begin, and a reader of committed messages follow it."""
        self._worker = Worker(self._scene, "transactional publisher", self._work)
        self._wait_for_more()
        self._scene.part(Load).read(committed_only=True, request_timeout=REQUEST_SECONDS)

    def _work(self, worker: Worker) -> None:
        while not worker.stopping.is_set():
            try:
                successor = self._successor()
            except self._scene.driver.errors as error:
                # No coordinator has let it begin: it has just gone, or is not there yet.
                self._troubles[str(error)] += 1
                worker.stopping.wait(POLL_SECONDS)
                continue
            with successor as publisher:
                while not worker.stopping.is_set() and self._one(publisher, worker):
                    pass

    def _successor(self) -> Publisher:
        return self._scene.driver.publisher(
            self._scene.connection,
            self._scene.recorder,
            transactional_id=self.id,
            request_timeout=REQUEST_SECONDS,
            delivery_timeout=END_SECONDS,
        )

    def _one(self, publisher: Publisher, worker: Worker) -> bool:
        """One transaction; returns whether the publisher was told how it ended, and can begin another."""
        publisher.begin()
        wanted = publisher.counts["acknowledged"] + MESSAGES * len(self._scene.topics)
        for topic in self._scene.topics:
            publisher.publish(topic, MESSAGES, partitions=range(self._scene.partitions[topic]))
        publisher.flush(PUBLISH_SECONDS)
        worker.stopping.wait(OPEN_SECONDS)
        if publisher.counts["acknowledged"] == wanted:
            self._gate.wait(scaled(READ_SECONDS))
        is_to_abort = sum(self.outcomes.values()) % ABORTED_EVERY == ABORTED_EVERY - 1
        outcome = publisher.abort(END_SECONDS) if is_to_abort else publisher.commit(END_SECONDS)
        self.outcomes[outcome] += 1
        return publisher.last_error is None

    @contextmanager
    def in_the_middle(self) -> Iterator[None]:
        """Within, its transaction is open, and what it has published in it acknowledged; afterwards it is to be ended.

        Nothing where it is not at work. Raises Stalled when it does not get so far, FaultNotProven when the transaction
        was not held open to the end.
        """
        if self._worker is None:
            yield
            return
        try:
            with self._scene.part(Load).going_on():
                wait_until(
                    holding([self._gate]),
                    what="the transactional publisher to be in the middle of a transaction",
                    seconds=READ_SECONDS,
                    check=self._worker.check,
                    detail=self._words,
                )
            yield
            if not self._gate.is_waited_at:
                raise FaultNotProven("the transaction that was held open did not last until the broker was down")
        finally:
            self._gate.open()

    def _wait_for_more(self) -> None:
        """Wait until another transaction has been committed."""
        before = self.outcomes[schema.COMMITTED]
        with self._scene.part(Load).going_on():
            wait_until(
                lambda: self.outcomes[schema.COMMITTED] > before,
                what="another transaction to be committed",
                seconds=PUBLISH_SECONDS,
                check=self._worker.check,
                detail=self._words,
            )

    def _words(self) -> str:
        troubles = f"; publishers that could not be made: {dict(self._troubles)}" if self._troubles else ""
        return f"transactions so far: {dict(self.outcomes)}{troubles}"

    def finish(self) -> None:
        """See another transaction committed, stop, and read everything that is committed."""
        self._wait_for_more()
        self._scene.part(Load).wait_for_progress()
        self.close()
        self._scene.part(Load).finish()
        read_committed(self._scene)
        for outcome, count in self.outcomes.items():
            self._scene.facts.numbers[f"transactions {outcome}"] = count

    def close(self) -> None:
        """Stop the publisher. Raises what its client has raised."""
        worker, self._worker = self._worker, None
        self._gate.open()
        if worker is not None:
            worker.stop()
