"""Who may expect which order: publishers at work together, keys and their partitions, the order across partitions.

The order within a partition is the checker's business (``reordered``); here is what it does not look at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from integrity.clients import Record
from integrity.clients.base import Partition
from integrity.faults.process import FaultNotProven
from integrity.scene import Scene
from integrity.scenes.words import place


def in_turn(scene: Scene) -> list[int]:
    """The partitions of the scene's one topic, for messages that go to all of them in turn."""
    return sorted(partition for _, partition in scene_partitions(scene))


def scene_partitions(scene: Scene) -> list[Partition]:
    """Every partition of the scene's topics. Raises AssertionError when a topic is gone."""
    with scene.driver.admin(scene.connection) as admin:
        found = {topic: sorted(admin.leaders(topic)) for topic in scene.topics}
    gone = [topic for topic, partitions in found.items() if not partitions]
    if gone:
        raise AssertionError(f"{', '.join(gone)} is no longer there")
    return [(topic, partition) for topic, partitions in found.items() for partition in partitions]


def by_partition(records: Iterable[Record]) -> dict[Partition, list[Record]]:
    """The records of each partition, in the order they were read."""
    found: dict[Partition, list[Record]] = defaultdict(list)
    for record in records:
        found[record.topic, record.partition].append(record)
    return found


def partitions_of_keys(records: Iterable[Record]) -> dict[bytes | None, set[Partition]]:
    """In which partitions each key was read."""
    found: dict[bytes | None, set[Partition]] = defaultdict(set)
    for record in records:
        found[record.key].add((record.topic, record.partition))
    return found


def turns(records: Sequence[Record]) -> int:
    """How often, from one record to the next, the publisher changes: 0 when each one's messages lie in one block."""
    return sum(before.publisher != after.publisher for before, after in pairwise(records))


def require_mixed(records: Iterable[Record]) -> None:
    """Raise FaultNotProven where publishers were at work one after the other: there, no order can be broken."""
    for where, its in by_partition(records).items():
        blocks, seen = len({record.publisher for record in its}), turns(its) + 1
        if seen <= blocks:
            raise FaultNotProven(f"{blocks} publishers took {seen} turns in {place(where)}: they never met there")


def overtaken(records: Iterable[Record]) -> int:
    """How many records a reader got after a later one of the same publisher, from whatever partition."""
    highest: dict[int | None, int] = {}
    count = 0
    for record in records:
        if record.sequence is None:
            continue
        if record.sequence < highest.get(record.publisher, -1):
            count += 1
        else:
            highest[record.publisher] = record.sequence
    return count
