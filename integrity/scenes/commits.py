"""What a group that is no longer at work has committed: kept for it by its coordinator, whoever that is."""

from __future__ import annotations

import uuid

from integrity.brokers import administration
from integrity.brokers.base import Broker
from integrity.brokers.cluster import as_cluster
from integrity.clients.base import Partition
from integrity.faults.process import FaultNotProven
from integrity.scene import Scene
from integrity.scenes.words import place

#: Names that are tried until one is a group's of the wanted coordinator: it has every third of them.
NAMES = 50


class Commits:
    """The commits of one group, acknowledged by ``coordinator`` right now; nobody commits for it any more.

    A group at work commits again and again, and so hides what its coordinator has forgotten.
    """

    def __init__(self, scene: Scene, coordinator: Broker) -> None:
        self._scene = scene
        self._group = _group_of(scene, coordinator)
        self._offsets: dict[Partition, int] = {
            (topic, number): number + 1 for topic in scene.topics for number in range(scene.partitions[topic])
        }
        with scene.driver.reader(scene.connection, group=self._group) as reader:
            reader.assign(dict.fromkeys(self._offsets, 0))
            reader.commit(self._offsets)

    def require_kept(self) -> None:
        """Raise AssertionError where the coordinator does not know them, or knows others."""
        with self._scene.driver.admin(self._scene.connection) as admin:
            now = admin.committed(self._group)
        wrong = [
            f"{place(where)}: {now.get(where, 'nothing')} instead of {offset}"
            for where, offset in self._offsets.items()
            if now.get(where) != offset
        ]
        if wrong:
            raise AssertionError(f"what {self._group} had committed before is forgotten: {'; '.join(wrong)}")


def _group_of(scene: Scene, coordinator: Broker) -> str:
    """A name of no group yet, whose coordinator would be this broker. Raises FaultNotProven for want of one."""
    cluster = as_cluster(scene.broker)
    for _ in range(NAMES):
        name = f"group-{uuid.uuid4().hex[:8]}"
        if cluster.coordinator(administration.GROUP, name) is coordinator:
            return name
    raise FaultNotProven(f"of {NAMES} groups none would have {coordinator.label} as its coordinator")
