"""Messages that were acknowledged and have no second copy in sync: what Kafka does not promise to keep, and what it
keeps once the one copy is back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from integrity.brokers.base import Broker
from integrity.brokers.cluster import ROLE_SECONDS
from integrity.faults import process
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes.load import Load
from integrity.scenes.outages import Outages
from integrity.scenes.publishers import acknowledged
from integrity.scenes.replicas import held_by
from integrity.scenes.replication import LEADER, Replication
from integrity.waiting import wait_until

#: Messages are sent in so many portions, each acknowledged before the next: a follower that has asked already gets
#: the first of them, even if it sleeps.
PORTIONS = 10


def lose_leader_before_copies(scene: Scene, count: int) -> None:
    """Let the leader alone acknowledge ``count`` messages (acks=1) while its followers sleep; kill it, wake them."""
    replication = scene.part(Replication)
    leader, followers = replication.holder("leader"), replication.followers()
    with scene.driver.publisher(scene.connection, scene.recorder, acks="1", idempotent=False) as publisher:
        publisher.publish(scene.topics[0], 1)
        acknowledged(publisher, 1)
        with ExitStack() as asleep:
            for follower in followers:
                follower.freeze()
                asleep.callback(follower.thaw)
            for _ in range(PORTIONS):
                publisher.publish(scene.topics[0], count // PORTIONS)
                publisher.flush(PUBLISH_SECONDS)
            acknowledged(publisher, 1 + count // PORTIONS * PORTIONS)
            leader.kill()
    replication.others_lead(leader)
    leader.start()
    replication.recovered()


def elect_who_missed(scene: Scene, count: int) -> None:
    """Let the leader acknowledge messages alone, kill it, and have the follower that missed them lead."""
    leader, _ = _alone(scene, count, Broker.kill)
    scene.part(Replication).others_lead(leader)
    leader.start()
    scene.part(Replication).recovered()


def wait_for_who_has_all(scene: Scene, count: int) -> None:
    """Let the leader acknowledge messages alone, kill it, see that the follower that missed them leads nothing, and
    start it again.

    The controller elects as soon as it lets the follower in again, if it does at all. Raises AssertionError when it
    does.
    """
    replication = scene.part(Replication)
    leader, follower = _alone(scene, count, Broker.kill)
    number = follower.config.node

    def is_back() -> bool:
        return number in replication.cluster.registered() and replication.state().leader != leader.config.node

    with scene.part(Load).going_on():
        wait_until(
            is_back,
            what=f"{follower.label} to be let in again, and {leader.label} to be given up",
            seconds=ROLE_SECONDS,
            check=replication.cluster.check_alive,
            detail=lambda: str(replication.state()),
        )
    if replication.state().leader == number:
        raise AssertionError(f"{follower.label} leads, and has missed {count:,} messages that were acknowledged")
    scene.note("the partition", "waits for its leader", f"without {follower.label}")
    process.bring_back(leader)
    replication.recovered()


def lose_power_alone(scene: Scene, count: int) -> None:
    """Let the leader acknowledge messages alone, take from it what it had not flushed, and start it again."""

    def lose_power(leader: Broker) -> None:
        leader.kill()
        scene.part(Outages).cut(leader)
        leader.start()

    _alone(scene, count, lose_power)
    scene.part(Replication).recovered()


def lose_power_after_follower(scene: Scene) -> None:
    """Kill the follower, take from the leader what it had not flushed, and start both, the follower first.

    A follower that has crashed is no longer taken for one that is in sync, and with nobody else in sync the last leader
    leads again (KIP-966, "last known leader"). Raises FaultNotProven unless the follower's files hold everything, and
    where the leader is given up before it.
    """
    replication = scene.part(Replication)
    leader, (follower,) = replication.holder("leader"), replication.followers()
    process.WAYS_DOWN["killed"](follower)
    replication.wait_until_alone_in_sync(leader)
    process.WAYS_DOWN["killed"](leader)
    had, has = (sum(map(len, held_by(node, scene.topics).values())) for node in (leader, follower))
    if has < had:
        raise process.FaultNotProven(f"{follower.label} was to have all {had:,} messages, and has {has:,}")
    scene.note(follower.label, "has every message", f"{has:,} of them are in its files")
    scene.part(Outages).cut(leader)
    follower.start()
    leader.start()
    replication.recovered()


def _alone(scene: Scene, count: int, then: Callable[[Broker], None]) -> tuple[Broker, Broker]:
    """Freeze the follower until the leader is the only one in sync, publish, and do ``then`` to the leader; returns
    leader and follower.

    The follower has the first message and none of the others: what it had asked for was answered long before it was
    given up. It is thawed in the end. Begun anew where the leader is given up first; raises PassedOn when it always is.
    """
    return scene.part(Replication).at_holder(LEADER, partial(_leave_alone, scene, count, then))


def _leave_alone(
    scene: Scene, count: int, then: Callable[[Broker], None], leader: Broker, check: Callable[[], None]
) -> tuple[Broker, Broker]:
    replication = scene.part(Replication)
    (follower,) = replication.followers()
    check()
    # It gets to know the brokers while all of them answer: one that is frozen would keep it waiting.
    with scene.driver.publisher(scene.connection, scene.recorder) as publisher:
        publisher.publish(scene.topics[0], 1)
        acknowledged(publisher, 1)

        def work_alone() -> None:
            replication.wait_until_alone_in_sync(leader)
            publisher.publish(scene.topics[0], count)
            acknowledged(publisher, 1 + count)
            then(leader)

        process.freeze_and_thaw(follower, until=work_alone)
    return leader, follower
