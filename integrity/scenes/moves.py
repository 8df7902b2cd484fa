"""Changes of a topic that an operator makes while clients work: its leader, its replicas' places, its partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from integrity.brokers import administration
from integrity.brokers.base import Broker
from integrity.brokers.cluster import ROLE_SECONDS, SYNC_SECONDS, Cluster, State, as_cluster
from integrity.clients.base import Partition
from integrity.scene import Scene
from integrity.scenes.load import PROGRESS_SECONDS, Load
from integrity.scenes.replication import Replication
from integrity.waiting import wait_until


def pass_the_lead_on(scene: Scene) -> None:
    """Make every broker in turn the one that should lead, and have it elected; the work goes on under each."""
    replication = scene.part(Replication)
    with scene.part(Load).going_on():
        order = replication.state().replicas
    for turn in (*range(1, len(order)), 0):
        _make_leader(scene, {0: order[turn:] + order[:turn]})


def lead_everywhere(scene: Scene, node: Broker) -> None:
    """Make this broker the one that should lead every partition, and have it elected; the work goes on under it."""
    number = node.config.node
    placement = _placement(scene)
    _make_leader(scene, {p: (number, *(each for each in its if each != number)) for p, its in placement.items()})


def _make_leader(scene: Scene, wanted: Mapping[int, tuple[int, ...]]) -> None:
    """Put these partitions' replicas into this order, the same broker first in each, and have that one elected."""
    replication, load, topic = scene.part(Replication), scene.part(Load), scene.topics[0]
    cluster = replication.cluster
    (number,) = {first for first, *_ in wanted.values()}

    def wait_for(holds: Callable[[int, State], bool], what: str) -> None:
        def all_do() -> bool:
            states = {partition: state for (_, partition), state in cluster.states([topic]).items()}
            return all(partition in states and holds(partition, states[partition]) for partition in wanted)

        with load.going_on():
            wait_until(all_do, what=what, seconds=ROLE_SECONDS, check=cluster.check_alive)

    administration.move_replicas(cluster.any_address(), topic, wanted)
    wait_for(
        lambda partition, state: state.replicas == wanted[partition], f"broker {number} to be the one that should lead"
    )
    replication.wait_until_whole()
    with load.in_the_middle():
        _elect(scene, sorted(wanted))
        wait_for(lambda _, state: state.leader == number, f"broker {number} to lead")
    scene.note(f"broker {number}", "elected", "as the preferred leader")
    load.wait_for_progress()


def _elect(scene: Scene, partitions: Sequence[int]) -> None:
    """Have the preferred leaders of these partitions elected. Raises Stalled when the cluster refuses all the time.

    One that has just dropped out of sync, on a busy machine, is not elected.
    """
    cluster, refused = as_cluster(scene.broker), ""

    def elected() -> bool:
        nonlocal refused
        try:
            administration.elect_preferred(cluster.any_address(), scene.topics[0], partitions)
        except administration.Refused as refusal:
            refused = str(refusal)
            return False
        return True

    with scene.part(Load).going_on():
        wait_until(
            elected,
            what="the preferred leader to be elected",
            seconds=ROLE_SECONDS,
            check=cluster.check_alive,
            detail=lambda: refused,
        )


def _placement(scene: Scene) -> dict[int, tuple[int, ...]]:
    """On which brokers each partition of the first topic is. Raises Stalled when nobody tells."""
    cluster, topic = as_cluster(scene.broker), scene.topics[0]
    with scene.part(Load).going_on():
        return wait_until(
            lambda: {number: state.replicas for (_, number), state in cluster.states([topic]).items()},
            what=f"somebody to tell where the replicas of {topic} are",
            seconds=ROLE_SECONDS,
            check=cluster.check_alive,
        )


def move_replicas(scene: Scene) -> None:
    """Move each partition's replicas on by one broker, the leader's among them, until all have been everywhere."""
    replication, load, topic = scene.part(Replication), scene.part(Load), scene.topics[0]
    cluster = replication.cluster
    nodes = [node.config.node for node in cluster.nodes]
    for _ in nodes:
        wanted = {
            number: tuple(nodes[(nodes.index(replica) + 1) % len(nodes)] for replica in replicas)
            for number, replicas in _placement(scene).items()
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
