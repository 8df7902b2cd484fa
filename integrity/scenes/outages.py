"""What happens to several of the three brokers, at once or one after the other, while clients work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from integrity.brokers.base import Broker
from integrity.faults import process
from integrity.faults.disk import own_files, power
from integrity.scene import Scene
from integrity.scenes.load import Load
from integrity.scenes.replication import PassedOn, Replication
from integrity.waiting import nothing


class Outages:
    """What happens to the scene's brokers. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._replication = scene.part(Replication)

    def roll(
        self,
        how: str,
        before_each: Callable[[], None] = nothing,
        once_down: Callable[[], None] = nothing,
        after_each: Callable[[], None] = nothing,
    ) -> None:
        """Take one broker after the other down and start it, the leader last; the work goes on all the time.

        before_each, once_down: what is done right before a broker is taken down, and right after. after_each: what else
        is to be seen to go on once it is back. Raises Stalled when a broker's replicas do not get in sync again, or
        somebody does not get on, before the next one is taken down.
        """
        replication = self._replication

        def go_on_without(node: Broker) -> None:
            once_down()
            replication.goes_on_without(node)

        followers = replication.followers()
        # Not asked for who leads once more: the lead may have passed on since.
        leader = [node for node in replication.cluster.nodes if node not in followers]
        for node in [*followers, *leader]:
            before_each()
            process.restart(
                node,
                how,
                in_the_middle_of=self._scene.part(Load).meeting(how),
                while_down=partial(go_on_without, node),
            )
            replication.recovered()
            after_each()

    def take_all_down(self, how: str) -> None:
        """Take every broker down at the same time and start all of them when none is left."""
        cluster = self._replication.cluster
        self._take_down(cluster.nodes, how)
        # Not the cluster as a whole: its start waits for every replica itself, which is no error of the suite's.
        cluster.each(process.bring_back)
        self._replication.recovered()

    def lose_power(self, roles: Sequence[str]) -> None:
        """Kill the holders of these roles at the same time, take away what they had not flushed, and start them.

        A broker that has several of the roles is one broker; leader and follower are two.
        Raises FaultNotProven when the roles have passed on by then, again and again, or others are not in sync, or when
        nothing of the scene's topics was taken from one of them.
        """

        def strike(holders: Sequence[Broker], check: Callable[[], None]) -> None:
            def check_all() -> None:
                check()
                self._require_whole()

            self._lose_power(holders, check_all)

        self._replication.at_holders(roles, strike)

    def _require_whole(self) -> None:
        """Raise PassedOn unless every replica is in sync: one that is not need not have what the others lose."""
        states = self._replication.cluster.states(self._scene.topics).items()
        if lagging := [f"{topic}-{number} is {state}" for (topic, number), state in states if not state.is_whole]:
            raise PassedOn(f"replicas had dropped out of sync by themselves: {'; '.join(lagging)}")

    def lose_power_everywhere(self) -> None:
        """The same for every broker, whatever their roles are."""
        self._lose_power(self._replication.cluster.nodes)

    def _lose_power(self, holders: Sequence[Broker], check: Callable[[], None] = nothing) -> None:
        nodes = list(dict.fromkeys(holders))
        self._take_down(nodes, "killed", check)
        for node in nodes:
            self.cut(node)
        self._replication.cluster.each(process.bring_back, nodes)
        self._replication.recovered()

    def _take_down(self, nodes: Sequence[Broker], how: str, check: Callable[[], None] = nothing) -> None:
        """check: as in Load.meeting. Raises RestartNotProven when one of them still accepts connections afterwards."""
        with self._scene.part(Load).meeting(how, check):
            self._replication.cluster.each(process.WAYS_DOWN[how], nodes)
        for node in nodes:
            process.require_down(node, how)

    def cut(self, node: Broker) -> None:
        """Take from a broker that is down what it had not flushed. Raises FaultNotProven when that was nothing."""
        self._scene.tampered = True
        with own_files(node) as files:
            cuts = [each for each in power.lose_unflushed(files) if each.partition[0] in self._scene.topics]
        taken = sum(each.batches for each in cuts)
        if not taken:
            raise process.FaultNotProven(f"the power failed at {node.label}, and everything had been flushed")
        self._scene.facts.numbers[f"batches lost by {node.label}"] = taken
        self._scene.note(node.label, "lost power", f"{taken} batches that were not flushed are gone")

    def close(self) -> None:
        """Nothing is under way."""
