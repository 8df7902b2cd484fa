"""Too few replicas in sync: publishing is refused until enough are back."""

from __future__ import annotations

import re
from collections.abc import Callable

from integrity.brokers.base import Broker
from integrity.brokers.cluster import ROLE_SECONDS
from integrity.faults import process
from integrity.scene import Scene
from integrity.scenes.load import Load
from integrity.scenes.replication import FOLLOWER, Replication
from integrity.waiting import WaitTimeout, wait_until

#: The broker's reason, NOT_ENOUGH_REPLICAS (19), in the words of kafka-python and of librdkafka.
TOO_FEW = re.compile(r"NotEnoughReplicas|NOT_ENOUGH_REPLICAS|insufficient in-sync replicas", re.IGNORECASE)

#: So many refusals are seen, and then so many again in which nothing may be acknowledged.
ENOUGH_REFUSALS = 50


def refuse_for_a_while(scene: Scene) -> None:
    """Kill a follower, without which too few are in sync, see that publishing is refused, and start it again.

    Raises AssertionError when anything is acknowledged meanwhile, or is refused for another reason only.
    """
    replication, load = scene.part(Replication), scene.part(Load)
    whole = len(replication.state().replicas)

    def refused(node: Broker) -> None:
        # Those under way counted first: what is acknowledged between the two looks is counted twice, not left out.
        most = load.open + load.acknowledged
        replication.wait_for_in_sync(whole - 1)
        _wait_for_refusals(scene)
        before = load.acknowledged
        _wait_for_refusals(scene)
        if load.acknowledged != before:
            raise AssertionError(f"{load.acknowledged - before} messages were acknowledged by too few")
        if load.acknowledged > most:
            raise AssertionError(
                f"{load.acknowledged - most} messages were acknowledged that were sent after {node.label} was killed"
            )
        reasons = load.errors()
        if not any(TOO_FEW.search(reason) for reason in reasons):
            raise AssertionError(f"publishing was refused, but not as too few replicas are in sync: {reasons}")

    def kill(node: Broker, check: Callable[[], None]) -> None:
        process.restart(
            node, "killed", in_the_middle_of=load.meeting("killed", check), while_down=lambda: refused(node)
        )

    replication.at_holder(FOLLOWER, kill)
    replication.recovered()


def _wait_for_refusals(scene: Scene) -> None:
    """Wait until more messages are refused. Raises AssertionError when none is: the brokers are to refuse them."""
    load = scene.part(Load)
    goal = load.rejected + ENOUGH_REFUSALS
    try:
        wait_until(
            lambda: load.rejected >= goal,
            what="publishing to be refused",
            seconds=ROLE_SECONDS,
            check=load.check,
            detail=lambda: f"{load.rejected} refused, {load.acknowledged} acknowledged",
        )
    except WaitTimeout as timeout:
        raise AssertionError(f"too few replicas are in sync, and publishing is not refused: {timeout}") from timeout
