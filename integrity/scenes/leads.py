"""Who should lead the partitions of the scene's first topic, and does: what an operator changes while clients work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from integrity.brokers import administration
from integrity.brokers.base import Broker
from integrity.brokers.cluster import ROLE_SECONDS, Cluster, State, as_cluster
from integrity.scene import Scene
from integrity.scenes.load import Load
from integrity.waiting import wait_until

T = TypeVar("T")


class Leads:
    """The lead of the partitions of the scene's first topic. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @property
    def _cluster(self) -> Cluster:
        return as_cluster(self._scene.broker)

    @property
    def _topic(self) -> str:
        return self._scene.topics[0]

    def placement(self) -> dict[int, tuple[int, ...]]:
        """On which brokers each partition is, the one that should lead it first. Raises Stalled when nobody tells."""
        return self._wait_for(
            lambda: {number: state.replicas for number, state in self._states().items()},
            f"somebody to tell where the replicas of {self._topic} are",
        )

    def give(self, number: int, partitions: Sequence[int]) -> None:
        """Have the broker of this number lead these partitions. Raises Stalled."""
        self.prefer(number, partitions)
        self.elect(number, partitions)

    def take_from(self, node: Broker) -> None:
        """Have another broker lead the first partition. Raises Stalled."""
        self.give(next(number for number in self.placement()[0] if number != node.config.node), [0])

    def prefer(self, number: int, partitions: Iterable[int]) -> None:
        """Make the broker of this number the one that should lead these partitions, and wait until all replicas are in
        sync. Raises Stalled."""
        now = self.placement()
        wanted = {each: (number, *(node for node in now[each] if node != number)) for each in partitions}
        administration.move_replicas(self._cluster.any_address(), self._topic, wanted)

        def moved() -> bool:
            states = self._states()
            return all(each in states and states[each].replicas == order for each, order in wanted.items())

        self._wait_for(moved, f"broker {number} to be the one that should lead")
        with self._scene.part(Load).going_on():
            self._cluster.wait_until_whole()

    def elect(self, number: int, partitions: Sequence[int]) -> None:
        """Have the broker of this number, which is the one that should lead these partitions, elected. Raises Stalled.

        One that has just dropped out of sync, on a busy machine, is not elected, or leads for a moment only: so that is
        asked for until it leads.
        """
        refused = ""

        def leads() -> bool:
            nonlocal refused
            states = self._states()
            if all(each in states and states[each].leader == number for each in partitions):
                return True
            try:
                administration.elect_preferred(self._cluster.any_address(), self._topic, partitions)
            except administration.Refused as refusal:
                refused = str(refusal)
            return False

        self._wait_for(leads, f"broker {number} to be elected, and to lead", lambda: refused)

    def _states(self) -> dict[int, State]:
        """How each partition stands; empty when nobody tells."""
        return {number: state for (_, number), state in self._cluster.states([self._topic]).items()}

    def _wait_for(self, holds: Callable[[], T], what: str, detail: Callable[[], str] = str) -> T:
        with self._scene.part(Load).going_on():
            return wait_until(holds, what=what, seconds=ROLE_SECONDS, check=self._cluster.check_alive, detail=detail)

    def close(self) -> None:
        """Nothing is under way."""
