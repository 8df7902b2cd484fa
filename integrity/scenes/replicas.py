"""What each replica of the scenario's topics holds: after any fault, and healed, all must hold the same."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from integrity.brokers.base import Broker
from integrity.brokers.cluster import as_cluster
from integrity.clients.base import Partition
from integrity.history import on_disk
from integrity.history.on_disk import Row
from integrity.scene import Scene
from integrity.scenes.replication import Replication
from integrity.waiting import WaitTimeout, wait_until

#: A record, and the checksum of the batch in which a broker has it.
Copy = tuple[Row, int]

#: Seconds, before timeout_factor, for followers to have what the leader has once nobody publishes any more.
CATCH_UP_SECONDS = 20.0

#: Seconds between two looks: each reads all segments of the topics.
LOOK_SECONDS = 0.1


def require_alike(scene: Scene) -> None:
    """Wait until every replica has caught up. Raises AssertionError, with the first differences, when they diverge;
    Stalled when one does not get in sync.
    """
    cluster = as_cluster(scene.broker)
    scene.part(Replication).wait_until_whole()
    found: list[str] = []

    def alike() -> bool:
        states = cluster.states(scene.topics)
        if len(states) < sum(scene.partitions[topic] for topic in scene.topics):
            found[:] = ["nobody tells where every partition has its replicas"]
            return False
        held = {node.label: held_by(node, scene.topics) for node in cluster.nodes}
        replicas = {place: [cluster.node(number).label for number in state.replicas] for place, state in states.items()}
        found[:] = _differences(held, replicas)
        return not found

    try:
        wait_until(
            alike,
            what="all replicas to hold the same",
            seconds=CATCH_UP_SECONDS,
            check=cluster.check_alive,
            poll_seconds=LOOK_SECONDS,
        )
    except WaitTimeout as timeout:
        raise AssertionError(f"{timeout}: {'; '.join(found)}") from timeout


def held_by(node: Broker, topics: list[str]) -> dict[Partition, list[Copy]]:
    """The records of each partition that the broker has a replica of, in the order of its files."""
    with node.look() as directory:
        held: dict[Partition, list[Copy]] = {}
        for copy in on_disk.copies(directory, topics):
            held.setdefault((copy[0].topic, copy[0].partition), []).append(copy)
    return held


def _differences(
    held: Mapping[str, Mapping[Partition, list[Copy]]], replicas: Mapping[Partition, Sequence[str]]
) -> list[str]:
    """Of each partition the first place where two of its replicas differ, in words.

    held: what each broker has, by its label. replicas: on which brokers each partition should be; one that has nothing
    of it differs from one that has.
    """
    found = []
    for place, labels in sorted(replicas.items()):
        rows = [(label, held[label].get(place, [])) for label in labels]
        for (one, its), (other, others) in itertools.pairwise(rows):
            pair = next((pair for pair in itertools.zip_longest(its, others) if pair[0] != pair[1]), None)
            if pair is not None:
                found.append(f"{place[0]}-{place[1]}: {one} has {_words(pair[0])}, {other} has {_words(pair[1])}")
    return found


def _words(copy: Copy | None) -> str:
    if copy is None:
        return "nothing more"
    row, checksum = copy
    return f"message {row.sequence} of publisher {row.publisher} at offset {row.offset} (batch {checksum:08x})"
