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

#: Names that are tried until one is a group's of the wanted coordinator, which has every third of them, or more.
NAMES = 50


class Commits:
    """Groups that have committed and are gone: a part of the scene.

    A group at work commits again and again, and so hides what its coordinator has forgotten.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._committed: dict[str, dict[Partition, int]] = {}

    def commit(self, coordinator: Broker | None = None) -> None:
        """Let a group, of this coordinator's or of whoever's, commit an offset in every partition, and be gone."""
        scene = self._scene
        group = _some_name() if coordinator is None else _group_of(scene, coordinator)
        offsets = {(topic, number): number + 1 for topic in scene.topics for number in range(scene.partitions[topic])}
        with scene.driver.reader(scene.connection, group=group) as reader:
            reader.assign(dict.fromkeys(offsets, 0))
            reader.commit(offsets)
        self._committed[group] = offsets

    def forgotten(self) -> list[str]:
        """What the groups had committed, and whoever coordinates them now does not know, in words.

        Raises FaultNotProven when there are no such groups.
        """
        if not self._committed:
            raise FaultNotProven("no group had committed anything and was gone")
        with self._scene.driver.admin(self._scene.connection) as admin:
            now = {group: admin.committed(group) for group in self._committed}
        return [
            f"{group} in {place(where)}: {now[group].get(where, 'nothing')} instead of {offset}"
            for group, offsets in self._committed.items()
            for where, offset in offsets.items()
            if now[group].get(where) != offset
        ]

    def close(self) -> None:
        """Nothing is under way."""


def _group_of(scene: Scene, coordinator: Broker) -> str:
    """A name of no group yet, whose coordinator would be this broker. Raises FaultNotProven for want of one."""
    cluster = as_cluster(scene.broker)
    for _ in range(NAMES):
        name = _some_name()
        if cluster.coordinator(administration.GROUP, name) is coordinator:
            return name
    raise FaultNotProven(f"of {NAMES} groups none would have {coordinator.label} as its coordinator")


def _some_name() -> str:
    return f"group-{uuid.uuid4().hex[:8]}"
