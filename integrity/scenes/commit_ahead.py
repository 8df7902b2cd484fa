"""A consumer group whose client commits by itself, while the work on what it was handed is still to be done."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

from integrity.clients import Record
from integrity.clients.base import Admin, Partition, Reader
from integrity.scene import READ_SECONDS, Scene
from integrity.scenes.deliveries import Delivery
from integrity.scenes.following import POLL_SECONDS
from integrity.scenes.groups import Group
from integrity.scenes.member import HEARTBEAT_SECONDS, MORTAL_SESSION_SECONDS
from integrity.waiting import wait_until

#: The client commits what it has handed out this often (seconds).
COMMIT_SECONDS = 0.1

#: Records the member takes at a time, and how many of the first of them it processes before it dies.
TAKEN_AT_ONCE = 200
PROCESSED = 50


class CommitsByItself:
    """The group, its first member, and the one that comes after it. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._name = f"group-{uuid.uuid4().hex[:8]}"
        self._taken: list[Record] = []
        self._committed: Mapping[Partition, int] = {}
        self._next: Group | None = None

    def work_and_die(self) -> None:
        """A member takes records, works on a few, and dies once its client has committed more than those.

        Raises WaitTimeout when the client never does.
        """
        scene = self._scene
        reader = scene.driver.reader(
            scene.connection,
            scene.recorder,
            group=self._name,
            auto_commit=True,
            auto_commit_interval=COMMIT_SECONDS,
            session_timeout=MORTAL_SESSION_SECONDS,
            heartbeat_interval=HEARTBEAT_SECONDS,
            max_poll_records=TAKEN_AT_ONCE,
        )
        with scene.driver.admin(scene.connection) as admin:
            try:
                reader.subscribe(scene.topics)
                self._taken += reader.read(PROCESSED, READ_SECONDS)
                reader.processed(self._taken[:PROCESSED])
                wait_until(
                    lambda: self._goes_ahead(reader, admin),
                    what="the client to commit what was not processed",
                    seconds=READ_SECONDS,
                    check=scene.connection.check,
                )
            finally:
                reader.abandon()
            self._look(admin)
        scene.note(f"member {reader.id}", "died", self._name)

    def _goes_ahead(self, reader: Reader, admin: Admin) -> bool:
        """Take more, as a member does whose work is done elsewhere; whether the group is ahead of the work."""
        self._taken += reader.poll(POLL_SECONDS)
        self._look(admin)
        return bool(self.passed_by)

    def _look(self, admin: Admin) -> None:
        """Note what the group has committed by now."""
        committed = admin.committed(self._name)
        at = time.time_ns() // 1000
        for (topic, partition), offset in committed.items():
            self._scene.recorder.row("commits", self._name, None, topic, partition, offset, at)
        self._committed = committed

    @property
    def passed_by(self) -> set[tuple[Partition, int]]:
        """Place and offset of what was taken, not processed, and lies below the group's committed offset."""
        places = (((record.topic, record.partition), record.offset) for record in self._taken[PROCESSED:])
        return {(place, offset) for place, offset in places if offset < self._committed.get(place, 0)}

    def handed_to_the_next(self) -> list[Delivery]:
        """Let another member take over and read to the end; what it was handed."""
        scene = self._scene
        with scene.driver.admin(scene.connection) as admin:
            ends = admin.end_offsets(scene.topics)
        self._next = Group(scene, 1, self._name, self._committed)
        self._next.finish(ends)
        return self._next.deliveries

    def close(self) -> None:
        """Let the next member leave, if there is one."""
        if self._next is not None:
            self._next.close()
