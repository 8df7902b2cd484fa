"""Transactions as committed readers see them: several at once, cut off at every step, fenced, timed out, left open."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from integrity.clients import Message, NotAcknowledged, Publisher
from integrity.clients.base import Partition
from integrity.errors import SuiteError
from integrity.faults.network import Fault, Proxy
from integrity.history import schema
from integrity.history.database import connect, files_of, parquet
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes import order, publishers
from integrity.scenes.load import Load
from integrity.scenes.threads import run_together
from integrity.scenes.transactions import OPEN_SECONDS, end_all_open
from integrity.scenes.wire import Wire, proven
from integrity.scenes.words import place
from integrity.waiting import WaitTimeout, wait_until

#: Messages of a transaction in each topic.
MESSAGES = 30

#: The requests a transaction is made of, and how the network fails at each of them.
STEPS = ("AddPartitionsToTxn", "Produce", "EndTxn")
CUTS: tuple[Callable[..., Fault], ...] = (Proxy.cut_before, Proxy.cut_inside, Proxy.lose_answer)

#: What a publisher is told whose transaction the broker has ended, or whose successor has begun; in the words of
#: kafka-python and of librdkafka.
REFUSED = r"(?i)fenced|producer.?epoch|(txn|transaction).?state"

#: Seconds, before timeout_factor, for which a transaction may be open while others publish behind it on somebody's
#: cluster: no longer than that takes on a slow machine, as brokers may have been told to take no long ones.
OPEN_SECONDS_THERE = 60.0

#: Seconds after which a broker gives up a transaction that nobody ends, before timeout_factor.
TIMEOUT_SECONDS = 2.0

#: How often a transaction is begun that may be given up before there is a message of it in each partition.
TRIES = 3

#: Seconds for the broker to notice it; by default it looks every ten seconds.
NOTICE_SECONDS = 60.0


class Isolation:
    """Transactional publishers of a scene, the one that is spoken of among them. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._id = f"transactions-{uuid.uuid4().hex[:8]}"
        self._publisher: Publisher | None = None
        #: Where the first message of the open transaction stands in each partition.
        self._first: dict[Partition, int] = {}
        #: What became of its commit, and what the publisher was told, when it tried to commit after all; and how many
        #: messages were taken from it then.
        self.late_outcome: str | None = None
        self.refusal = ""
        self.taken_late = 0
        #: Where the last stable offset was seen beyond the open transaction's first message, in words.
        self.passed: list[str] = []

    def _make(self, identity: str, **options: object) -> Publisher:
        scene = self._scene
        return scene.driver.publisher(scene.connection, scene.recorder, transactional_id=identity, **options)

    def _one(self, publisher: Publisher, wanted: str) -> None:
        """One transaction over all topics, to be committed or aborted."""
        publisher.begin()
        for topic in self._scene.topics:
            publisher.publish(topic, MESSAGES, partitions=range(self._scene.partitions[topic]))
        publisher.flush(PUBLISH_SECONDS)
        outcome = publisher.commit() if wanted == schema.COMMITTED else publisher.abort()
        if outcome != wanted or publisher.last_error is not None:
            raise AssertionError(f"a transaction that was to be {wanted} ended as {outcome}: {publisher.last_error}")

    # -- beside each other, and over a bad network ------------------------------------------------------------
    def work_together(self, number: int, transactions: int) -> None:
        """So many publishers at once commit so many transactions each, and abort as many; a reader follows them."""

        def work() -> None:
            with self._make(f"{self._id}-{uuid.uuid4().hex[:8]}") as publisher:
                for _ in range(transactions):
                    self._one(publisher, schema.COMMITTED)
                    self._one(publisher, schema.ABORTED)

        with self._make(self._id) as first:
            self._one(first, schema.COMMITTED)
        load = self._scene.part(Load)
        load.read(committed_only=True)
        run_together([work] * number)
        load.finish()

    def cut_at_every_step(self) -> None:
        """Commit a transaction and abort one for each step and each way in which the network may fail at it."""
        proxy = self._scene.part(Wire).proxy
        with self._make(self._id) as publisher:
            for step in STEPS:
                for cut in CUTS:
                    for wanted in (schema.COMMITTED, schema.ABORTED):
                        with proven(cut(proxy, api=step)):
                            self._one(publisher, wanted)

    # -- one that is left open --------------------------------------------------------------------------------
    def leave_open(self, **options: object) -> None:
        """Begin a transaction with a message in each partition, each acknowledged, and leave it there."""
        seconds = OPEN_SECONDS_THERE if self._scene.broker.kind == "external" else OPEN_SECONDS
        self._publisher = self._make(self._id, **({"transaction_timeout": seconds} | options))
        self._publisher.begin()
        for topic, number in order.scene_partitions(self._scene):
            receipt = self._publisher.send_and_wait(Message(topic, b"open", partition=number), PUBLISH_SECONDS)
            self._first[topic, number] = receipt.offset

    def time_out(self) -> None:
        """Leave a transaction open until the broker has given it up, others publishing behind it meanwhile."""
        self._leave_open_for(TIMEOUT_SECONDS)
        publishers.publish(self._scene, MESSAGES)
        with self._scene.driver.admin(self._scene.connection) as admin:
            topics = self._scene.topics
            try:
                wait_until(
                    lambda: admin.end_offsets(topics, committed_only=True) == admin.end_offsets(topics),
                    what="the broker to give up a transaction that nobody ends",
                    seconds=NOTICE_SECONDS,
                    check=self._scene.connection.check,
                )
            except WaitTimeout as timeout:
                raise AssertionError(f"a transaction that had timed out stayed open: {timeout}") from timeout

    def _leave_open_for(self, seconds: float) -> None:
        """Leave one open that times out so soon; another one where the machine is too busy to get as far by then."""
        for tries_left in reversed(range(TRIES)):
            try:
                # Neither client takes longer bounds than the transaction's own.
                self.leave_open(transaction_timeout=seconds, delivery_timeout=seconds, request_timeout=seconds)
            except (NotAcknowledged, *self._scene.driver.errors):
                if not tries_left:
                    raise
                if self._publisher is not None:
                    self._publisher.close()  # its transaction is recorded as aborted, which the broker sees to
                self._publisher, self._id = None, f"transactions-{uuid.uuid4().hex[:8]}"
                self._first.clear()
            else:
                return

    def hand_over(self) -> None:
        """Leave a transaction open, and let a successor with the same transactional id begin, which commits its own."""
        self.leave_open()
        with self._make(self._id) as successor:
            self._one(successor, schema.COMMITTED)

    def try_after_all(self) -> None:
        """Let the publisher of the open transaction try to commit and, refused, to send more.

        In this order: kafka-python 3.0.12 takes a refused message of a transaction that timed out for a reason to give
        itself a new epoch, and may then report a commit of nothing as the commit that was asked for.
        """
        publisher = self._open
        before = publisher.counts["acknowledged"]
        self.late_outcome, self.refusal = publisher.commit(), publisher.last_error or "nothing"
        for topic in self._scene.topics:
            publisher.publish(topic, MESSAGES)
        publisher.flush(PUBLISH_SECONDS)
        self.taken_late = publisher.counts["acknowledged"] - before
        self._scene.note(f"publisher {publisher.id}", "refused", self.refusal)

    def publish_behind(self, times: int) -> None:
        """Let others publish and commit behind the open transaction, looking for the last stable offset each time."""
        load = self._scene.part(Load)
        with self._make(f"{self._id}-other") as other, self._scene.driver.admin(self._scene.connection) as admin:
            for _ in range(times):
                self._one(other, schema.COMMITTED)
                self._one(other, schema.ABORTED)
                publishers.publish(self._scene, MESSAGES)
                stable = admin.end_offsets(self._scene.topics, committed_only=True)
                self.passed += [
                    f"{place(where, offset)}, the transaction's first message at offset {self._first[where]:,}"
                    for where, offset in stable.items()
                    if offset > self._first[where]
                ]
        if self._open.commit() != schema.COMMITTED:
            raise AssertionError(f"the open transaction could not be committed: {self._open.last_error}")
        load.finish()

    @property
    def _open(self) -> Publisher:
        if self._publisher is None:
            raise SuiteError("no transaction was left open in this scenario: it lacks the step that leaves one")
        return self._publisher

    # -- what was seen ----------------------------------------------------------------------------------------
    def seen_of_the_open_one(self) -> list[str]:
        """Where a committed reader saw messages of the publisher whose transaction was left open, in words."""
        self._scene.verdict()
        query = (
            f'SELECT topic, partition, "offset", sequence FROM {parquet(files_of(self._scene.folder, "reads"))} '
            "WHERE publisher = ? AND committed_only ORDER BY ALL"
        )
        with connect() as database:
            rows = database.execute(query, [self._open.id]).fetchall()
        return [f"message {sequence} in {place((topic, number), offset)}" for topic, number, offset, sequence in rows]

    def close(self) -> None:
        """The scenario is over."""
        if self._publisher is not None:
            end_all_open(self._scene, [self._publisher])
