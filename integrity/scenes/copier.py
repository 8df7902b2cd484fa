"""A service that reads from one topic, copies to another, and does both in transactions: consume, transform, produce.

Each works in a thread of its own, as a member of the group that shares the work. It is written as Kafka's documentation
asks: the group's offsets are part of the transaction, and whatever fails is aborted and done again from where the group
stands. Both by making publisher and member anew: the new publisher's epoch has the coordinator abort what was open, and
fences whatever of it is still on its way. One that aborted and went on could not tell: kafka-python (3.0.12) sends the
offsets of a transaction that was aborted while they waited for their coordinator with the next one (and a broker takes
late requests of the same epoch for the next transaction's, KAFKA-17754); the group then passes what was never copied.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

from integrity.clients import Message, Publisher, Reader, Record
from integrity.clients.base import Partition
from integrity.faults.network import Proxy
from integrity.history import schema
from integrity.scene import PUBLISH_SECONDS, READ_SECONDS, Scene
from integrity.scenes.following import POLL_SECONDS
from integrity.scenes.gate import Gate
from integrity.scenes.load import Load
from integrity.scenes.member import HEARTBEAT_SECONDS
from integrity.scenes.transacting import END_SECONDS, REQUEST_SECONDS
from integrity.scenes.worker import Worker
from integrity.waiting import scaled, wait_until

#: Records of a transaction, at most.
TAKEN_AT_ONCE = 500

#: Seconds for which a transaction is left open before its commit: a fault is likely to meet one, and what is published
#: meanwhile is copied by one transaction, not by many, each of which costs every broker a dozen requests.
OPEN_SECONDS = 0.2

#: A copier silent for so long (seconds) is given up, and its partitions go to the others. One that was only slow
#: is refused its commit and begins anew, so a busy machine costs time and nothing else.
SESSION_SECONDS = 5.0

#: How the client ids of all copiers begin, and what stands for them all.
CLIENTS = "copier-"
ALL_CLIENTS = f"{CLIENTS}*"


class NotCopied(Exception):
    """A transaction that did not come to its commit."""


class Copier:
    """One member, at work from its making until it is stopped or dies.

    identity: its transactional id, which is its successor's as well; its client id is its own. group, source, target:
    whom it works with, from where, and to where; a record goes to the partition that it came from.
    """

    def __init__(self, scene: Scene, identity: str, group: str, source: str, target: str) -> None:
        self.identity, self.client = identity, f"{CLIENTS}{uuid.uuid4().hex[:8]}"
        #: Records in transactions that were committed.
        self.copied = 0
        #: How its transactions ended, and what its clients raised.
        self.endings: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self._scene, self._group, self._source, self._target = scene, group, source, target
        self._cut_off: Proxy | None = None
        #: What it passes before each commit.
        self.gate = Gate()
        self.is_dead = False
        #: Whether the last transaction may still be open at the broker.
        self._in_doubt = False
        self._worker = Worker(scene, self.client, self._work)

    # -- its work ---------------------------------------------------------------------------------------------
    def _work(self, worker: Worker) -> None:
        while not (worker.stopping.is_set() or self.is_dead):
            try:
                with ExitStack() as at_the_end:
                    reader = self._reader()
                    at_the_end.callback(self._leave, reader)
                    publisher = at_the_end.enter_context(self._publisher())
                    self._in_doubt = False  # its making has ended whatever was open under its transactional id
                    reader.subscribe([self._source])
                    while not worker.stopping.is_set() and self._step(worker, reader, publisher):
                        pass
            except self._scene.driver.errors as error:
                self._trouble(error)
        self._settle()

    def _settle(self) -> None:
        """Have the coordinator end what the last publisher may have left open: readers would wait for its time-out."""
        if self._in_doubt and not self.is_dead:
            self._publisher().close()

    def _reader(self) -> Reader:
        return self._scene.driver.reader(
            self._scene.connection,
            self._scene.recorder,
            group=self._group,
            committed_only=True,
            session_timeout=SESSION_SECONDS,
            heartbeat_interval=HEARTBEAT_SECONDS,
            client_id=self.client,
        )

    def _publisher(self) -> Publisher:
        return self._scene.driver.publisher(
            self._scene.connection,
            identify=False,
            transactional_id=self.identity,
            client_id=self.client,
            request_timeout=REQUEST_SECONDS,
            delivery_timeout=END_SECONDS,
        )

    def _step(self, worker: Worker, reader: Reader, publisher: Publisher) -> bool:
        """Copy what one poll brings; whether reader and publisher are good for another one."""
        records = reader.poll(POLL_SECONDS, TAKEN_AT_ONCE)
        if not records:
            return True
        offsets = {(record.topic, record.partition): record.offset + 1 for record in records}
        self._in_doubt = True
        try:
            self._fill(publisher, reader, records, offsets)
        except (NotCopied, *self._scene.driver.errors) as error:
            self._trouble(error)
            self.endings[schema.ABORTED] += 1  # by the next publisher
            return False
        worker.stopping.wait(OPEN_SECONDS)
        self.gate.wait(scaled(READ_SECONDS))
        if self._cut_off is not None:
            # In force for good: a client that is closed may not even abort what it has begun.
            self._cut_off.cut_off(client=self.client)
            self.is_dead = True
            return False
        outcome = publisher.commit(END_SECONDS)
        self.endings[outcome] += 1
        if outcome != schema.COMMITTED:
            self._trouble(publisher.last_error)
            return False
        self._in_doubt = False
        self.copied += len(records)
        return True

    def _fill(
        self, publisher: Publisher, reader: Reader, records: Sequence[Record], offsets: dict[Partition, int]
    ) -> None:
        """A transaction, but for its end. Raises NotCopied when a copy was not acknowledged."""
        publisher.begin()
        before = publisher.counts["acknowledged"]
        for record in records:
            publisher.send(
                Message(self._target, record.value, record.key, record.headers, record.partition, record.timestamp)
            )
        publisher.flush(PUBLISH_SECONDS)
        if publisher.counts["acknowledged"] - before != len(records):
            raise NotCopied(f"not every copy was acknowledged: {dict(publisher.errors)}")
        reader.processed(records)
        publisher.send_offsets(offsets, reader, END_SECONDS)

    def _trouble(self, error: object) -> None:
        self.troubles[f"{type(error).__name__}: {error}"] += 1

    # -- its end ----------------------------------------------------------------------------------------------
    def die(self, proxy: Proxy) -> None:
        """Fall silent in the middle of a transaction, before its commit: nobody hears of it again.

        Raises Stalled when it does not get so far.
        """
        self._cut_off = proxy
        with self._scene.part(Load).going_on():
            wait_until(
                lambda: self.is_dead,
                what=f"{self.client} to be handed something, and to die at its work",
                seconds=READ_SECONDS,
                check=self._worker.check,
                detail=self.words,
            )

    def _leave(self, reader: Reader) -> None:
        if self.is_dead:
            reader.abandon()
        else:
            reader.close()

    def check(self) -> None:
        """Raise what has ended its work."""
        self._worker.check()

    def prepare_to_stop(self) -> None:
        """Ask it to end; see ``stop``."""
        self.gate.open()
        self._worker.prepare_to_stop()

    def stop(self) -> None:
        """Ask it to end, and wait until it has. Raises what has ended its work."""
        self._worker.stop()

    def words(self) -> str:
        """How it fared, for an error's text."""
        return f"{self.client} has copied {self.copied:,}; endings {dict(self.endings)}, troubles {dict(self.troubles)}"
