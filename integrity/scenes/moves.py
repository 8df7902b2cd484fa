"""Changes of a topic that an operator makes while clients work: its leader, its replicas' places, its partitions."""

from __future__ import annotations

from collections.abc import Sequence

from integrity.brokers import administration
from integrity.brokers.base import Broker
from integrity.brokers.cluster import SYNC_SECONDS, Cluster
from integrity.clients.base import Partition
from integrity.scene import Scene
from integrity.scenes.leads import Leads
from integrity.scenes.load import PROGRESS_SECONDS, Load
from integrity.scenes.replication import Replication
from integrity.waiting import wait_until


def pass_the_lead_on(scene: Scene) -> None:
    """Make every broker in turn the one that should lead, and have it elected; the work goes on under each."""
    first, *others = scene.part(Leads).placement()[0]
    for number in (*others, first):
        _make_leader(scene, number, [0])


def lead_everywhere(scene: Scene, node: Broker) -> None:
    """Make this broker the one that should lead every partition, and have it elected; the work goes on under it."""
    _make_leader(scene, node.config.node, sorted(scene.part(Leads).placement()))


def _make_leader(scene: Scene, number: int, partitions: Sequence[int]) -> None:
    """Make the broker of this number the one that should lead these partitions, and have it elected."""
    leads, load = scene.part(Leads), scene.part(Load)
    leads.prefer(number, partitions)
    with load.in_the_middle():
        leads.elect(number, partitions)
    scene.note(f"broker {number}", "elected", "as the preferred leader")
    load.wait_for_progress()


def move_replicas(scene: Scene) -> None:
    """Move each partition's replicas on by one broker, the leader's among them, until all have been everywhere."""
    replication, load, topic = scene.part(Replication), scene.part(Load), scene.topics[0]
    cluster = replication.cluster
    nodes = [node.config.node for node in cluster.nodes]
    for _ in nodes:
        wanted = {
            number: tuple(nodes[(nodes.index(replica) + 1) % len(nodes)] for replica in replicas)
            for number, replicas in scene.part(Leads).placement().items()
        }
        with load.in_the_middle():
            administration.move_replicas(cluster.any_address(), topic, wanted)
        with load.going_on():
            wait_until(
                lambda wanted=wanted: wanted == _places_of_whole(cluster, topic),
                what=f"the replicas to be moved to {wanted}",
                seconds=SYNC_SECONDS,
                check=load.check,
                detail=lambda: str(cluster.states([topic])),
            )
        scene.note("the cluster", "moved replicas", str(wanted))
        load.wait_for_progress()


def _places_of_whole(cluster: Cluster, topic: str) -> dict[int, tuple[int, ...]]:
    """Where the replicas of each partition are that is led and has all of them in sync."""
    return {number: state.replicas for (_, number), state in cluster.states([topic]).items() if state.is_whole}


def add_partitions(scene: Scene, count: int) -> None:
    """Add partitions to the topic, and let one more publisher begin, which sends to all of them."""
    topic = scene.topics[0]
    with scene.driver.admin(scene.connection) as admin:
        scene.partitions[topic] += count
        admin.add_partitions(topic, scene.partitions[topic])
    scene.note(topic, "partitions added", str(count))
    load = scene.part(Load)
    scene.part(Replication).wait_until_whole()
    load.publish()
    with scene.driver.admin(scene.connection) as admin, load.going_on():
        # A client that is left to choose sends many in a row to one partition.
        wait_until(
            lambda: all(admin.end_offsets([topic]).values()),
            what="messages in every partition",
            seconds=PROGRESS_SECONDS,
            check=load.check,
            detail=lambda: str(admin.end_offsets([topic])),
        )


def ends(scene: Scene) -> dict[Partition, int]:
    """The end of each partition of the scene's topics."""
    with scene.driver.admin(scene.connection) as admin:
        return admin.end_offsets(scene.topics)
