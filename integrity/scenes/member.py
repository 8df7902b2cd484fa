"""One member of a consumer group at work: it polls, processes what it is handed, commits, and polls again.

Each works in a thread of its own, as a service would in a process of its own.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from integrity.clients import Reader
from integrity.clients.base import Partition
from integrity.clients.errors import code_of
from integrity.scene import READ_SECONDS, Scene
from integrity.scenes.deliveries import Commit, Delivery
from integrity.scenes.following import POLL_SECONDS
from integrity.scenes.load import Load
from integrity.scenes.worker import Worker
from integrity.waiting import wait_until

#: Records a member takes at a time: few, so that a change of members meets it at work.
TAKEN_AT_ONCE = 50

#: A silent member is given up after this long (seconds): of those that are to die soon, of the others only after a time
#: in which a busy machine will have let them answer. The others learn of a change within a heartbeat.
MORTAL_SESSION_SECONDS = 1.5
SESSION_SECONDS = 10.0
HEARTBEAT_SECONDS = 0.1

#: The broker's answers to a commit by somebody who is a member no longer, or was one of an older generation:
#: ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID and REBALANCE_IN_PROGRESS (kafka.apache.org/protocol, "Error Codes").
NO_LONGER_A_MEMBER = (22, 25, 27)

#: librdkafka's codes for a commit that the group's coordinator did not answer or could not take yet: lost connection,
#: all brokers down, timed out, waiting for the coordinator; REQUEST_TIMED_OUT and the coordinator's three (14 to 16).
NOT_NOW = (-195, -187, -185, -180, 7, 14, 15, 16)


class Member:
    """One member of a group, at work from its making until it leaves or dies."""

    def __init__(self, scene: Scene, group: str, session: float = SESSION_SECONDS) -> None:
        self.deliveries: list[Delivery] = []
        self.commits: list[Commit] = []
        #: The partitions it was last seen to hold, and the next offset in each that it has committed.
        self.holds: frozenset[Partition] = frozenset()
        self.reached: dict[Partition, int] = {}
        #: What it was handed last and took with it when it died.
        self.taken_along: list[Delivery] = []
        self.is_at_work = True
        #: Processed, and not committed yet because the broker was away.
        self._owed: dict[Partition, int] = {}
        self._dying = False
        self._scene, self._topics = scene, list(scene.topics)
        self._reader = scene.driver.reader(
            scene.connection,
            scene.recorder,
            group=group,
            session_timeout=session,
            heartbeat_interval=HEARTBEAT_SECONDS,
        )
        self.number = self._reader.id
        self._worker = Worker(scene, f"member {self.number} of {group}", self._work)

    def _work(self, worker: Worker) -> None:
        reader = self._reader
        with ExitStack() as at_the_end:
            at_the_end.callback(reader.close)
            reader.subscribe(self._topics)
            while not worker.stopping.is_set():
                records = reader.poll(POLL_SECONDS, TAKEN_AT_ONCE)
                self.holds = frozenset(reader.positions())
                if not records:
                    if self._owed:
                        self._commit(reader, [])
                    continue
                at = time.time_ns()
                handed = [Delivery(self.number, (r.topic, r.partition), r.offset, at) for r in records]
                self.deliveries += handed
                reader.processed(records)
                if self._dying:
                    at_the_end.pop_all()
                    reader.abandon()
                    self.taken_along = handed
                    return
                self._commit(reader, handed)

    def _commit(self, reader: Reader, handed: list[Delivery]) -> None:
        offsets = {place: offset for place, offset in self._owed.items() if place in self.holds}
        offsets |= {delivery.place: delivery.offset + 1 for delivery in handed}
        self._owed = {}
        try:
            reader.commit(offsets)
        except Exception as error:
            if _is_passing(error):
                self._owed = offsets
            elif not _is_refusal(error):
                raise
            # Refused: the group has moved on without this member, and hands out again what it could not commit.
            return
        at = time.time_ns()
        self.commits += [Commit(place, offset, at) for place, offset in offsets.items()]
        self.reached |= offsets

    def check(self) -> None:
        """Raise what its client has raised."""
        self._worker.check()

    def prepare_to_leave(self) -> None:
        """Take no more; see ``leave``. Returns at once."""
        self.is_at_work = False
        self._worker.prepare_to_stop()

    def leave(self) -> None:
        """Finish what is in hand, commit it, leave the group, and wait until that is done."""
        self.prepare_to_leave()
        self._worker.stop()

    def die(self) -> None:
        """Fall silent after processing something and before committing it. Raises Stalled when nothing comes."""
        self.is_at_work = False
        self._dying = True
        with self._scene.part(Load).going_on():
            wait_until(
                lambda: self.taken_along,
                what=f"member {self.number} to be handed something, and to die at its work",
                seconds=READ_SECONDS,
                check=self.check,
            )
        self._worker.stop()


def _is_refusal(error: Exception) -> bool:
    """Whether either client's error says that the committing reader is not, or no longer, the group's member."""
    if type(error).__name__ == "CommitFailedError":  # kafka-python's word for it when it knows before it asks
        return True
    return code_of(error) in NO_LONGER_A_MEMBER


def _is_passing(error: Exception) -> bool:
    """Whether either client's error says that the commit may be tried again: the broker is away, say."""
    if _is_refusal(error):
        return False
    return bool(getattr(error, "retriable", False)) or code_of(error) in NOT_NOW
