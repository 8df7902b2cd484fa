"""Topics on three brokers, the roles those have, and what happens to the holder of a role while clients work.

Whoever was looked up as the holder of a role has it at the moment of the fault. Before it comes back the others lead
all that it led, and, except in a storm, have its role as well (a follower's nobody has to take over) and have seen the
work go on without it. In the end every replica is in sync again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from integrity.brokers import administration
from integrity.brokers.base import Broker
from integrity.brokers.cluster import ROLE_SECONDS, Cluster, State, as_cluster
from integrity.faults import process
from integrity.scene import Scene
from integrity.scenes.commits import Commits
from integrity.scenes.groups import Groups
from integrity.scenes.leads import Leads
from integrity.scenes.load import Load
from integrity.scenes.transacting import Transacting
from integrity.waiting import nothing, wait_until

#: A frozen broker is kept so for at least this many of its sessions: long enough to be given up by its controller.
SESSIONS = 1.5

#: How often the holders of roles are looked up where a role passes on before anything is done to them.
LOOKS = 3

T = TypeVar("T")


class PassedOn(process.FaultNotProven):
    """Something was to be done to the holder of a role, who does not have it any more, or cannot be met at this moment.

    mend: what is done, once every replica is in sync, before the holder is looked up again; it raises Stalled.
    """

    def __init__(self, words: str, mend: Callable[[], None] = nothing) -> None:
        super().__init__(words)
        self.mend = mend


class Replication:
    """The scene's topics and the brokers behind them. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        #: Partitions whose leader was taken down, so that somebody else has led them since.
        self.had_other_leaders: set[str] = set()

    @property
    def cluster(self) -> Cluster:
        """The scene's brokers. Raises NotPossible when there is only one."""
        return as_cluster(self._scene.broker)

    # -- topics ---------------------------------------------------------------------------------------
    def create_topic(
        self, partitions: int, replicas: int, in_sync: int, *, led_by_controller: bool = False, **configs: str
    ) -> str:
        """Make a topic with so many replicas, ``in_sync`` of which must be in sync to publish; returns its name.

        The first partition is led by a broker that is not the controller, unless it is to be; the others in turn.
        """
        controller = self.cluster.controller().config.node
        others = [node.config.node for node in self.cluster.nodes if node.config.node != controller]
        order = [controller, *others] if led_by_controller else [*others, controller]
        turns = [order[first:] + order[:first] for first in range(len(order))]
        placement = [turns[number % len(turns)][:replicas] for number in range(partitions)]
        topic = f"topic-{len(self._scene.topics) + 1}-{uuid.uuid4().hex[:8]}"
        configs = {"min.insync.replicas": str(in_sync)} | configs
        administration.create_topic(self.cluster.any_address(), topic, placement, configs)
        self.cluster.wait_until_whole()
        self._scene.topics.append(topic)
        self._scene.partitions[topic] = partitions
        return topic

    # -- roles ----------------------------------------------------------------------------------------
    def leader(self) -> Broker:
        """Who leads the first partition of the scene's first topic."""
        return self.cluster.leader(self._scene.topics[0])

    def followers(self) -> list[Broker]:
        """The other brokers with a replica of it, the controller last."""
        leader, controller = self.leader(), self.cluster.controller()
        replicas = [self.cluster.node(number) for number in self.state().replicas]
        return sorted((node for node in replicas if node is not leader), key=lambda node: node is controller)

    def group_coordinator(self) -> Broker:
        """Who keeps the account of the scene's one group."""
        return self.cluster.coordinator(administration.GROUP, self._scene.part(Groups).one.name)

    def transaction_coordinator(self) -> Broker:
        """Who keeps the account of the transactions that are under way."""
        return self.cluster.coordinator(administration.TRANSACTIONS, self._scene.part(Transacting).id)

    def state(self) -> State:
        """The first partition of the scene's first topic as the cluster sees it. Raises WaitTimeout if nobody tells."""
        place = (self._scene.topics[0], 0)
        return wait_until(
            lambda: self.cluster.states([place[0]]).get(place),
            what=f"somebody to tell how {place[0]}-{place[1]} stands",
            seconds=ROLE_SECONDS,
            check=self.cluster.check_alive,
        )

    def wait_until_whole(self) -> None:
        """Wait until every broker is back and every replica in sync. Raises Stalled."""
        with self._scene.part(Load).going_on():
            self.cluster.wait_until_whole()

    def wait_for_in_sync(self, count: int) -> None:
        """Wait until exactly so many of the replicas of that partition are in sync. Raises Stalled."""
        self.wait_for_state(lambda state: len(state.in_sync) == count, f"{count} replicas to be in sync")

    def _wait_for(self, holds: Callable[[], T], what: str, detail: Callable[[], str] = str) -> T:
        with self._scene.part(Load).going_on():
            return wait_until(holds, what=what, seconds=ROLE_SECONDS, check=self.cluster.check_alive, detail=detail)

    def wait_until_alone_in_sync(self, node: Broker) -> None:
        """Wait until this broker leads that partition and is the only one in sync. Raises Stalled, and PassedOn where
        another one leads: whoever is given up first is not the one that was frozen, on a busy machine."""
        number = node.config.node

        def is_alone() -> bool:
            state = self.state()
            if state.leader not in (number, -1):
                raise PassedOn(f"{node.label} was to be alone in sync, and the partition is {state}")
            return state.leader == number and state.in_sync == {number}

        self._wait_for(is_alone, f"{node.label} to be the only one in sync", lambda: str(self.state()))

    def wait_for_state(self, holds: Callable[[State], bool], what: str) -> None:
        """Wait until this holds of that partition. Raises Stalled, with how it stands."""
        self._wait_for(lambda: holds(self.state()), what, lambda: str(self.state()))

    def holder(self, role: str) -> Broker:
        """Who has the role now, a key of ROLES; noted in the history.

        Raises PassedOn when it is two roles, and two brokers have them.
        """
        node = ROLES[role](self)
        if role == BOTH and self.cluster.controller() is not node:
            words = f"{node.label} leads, and another broker has become the controller meanwhile"
            raise PassedOn(words, self._give_the_lead_to_the_controller)
        self._scene.note(node.label, f"is the {role}")
        return node

    def at_holder(self, role: str, fault: Callable[[Broker, Callable[[], None]], T]) -> T:
        """Do this fault to the holder of the role: ``at_holders`` for one."""
        return self.at_holders([role], lambda nodes, check: fault(nodes[0], check))

    def at_holders(self, roles: Sequence[str], fault: Callable[[Sequence[Broker], Callable[[], None]], T]) -> T:
        """Do this fault to the holders of these roles, and return what it returns.

        A role may pass on, on a busy machine, while it is waited for what the fault is to meet. So the fault is given
        the brokers, in this order, and a check to make right before anything is done to them: where they do not have
        their roles any more it ends there, and is begun anew with those who have, when every replica is in sync again.
        What PassedOn says is to be mended is done before.
        Raises PassedOn, which says how it stands, when that happens LOOKS times; Stalled, also where nobody comes to
        have a role; and what the fault raises.
        """
        looks = 0
        while True:
            looks += 1
            try:
                with self._scene.part(Load).going_on():
                    holders = {role: self.holder(role) for role in roles}
                return fault(list(holders.values()), partial(self._still_held, holders))
            except PassedOn as passed_on:
                self._scene.note("the cluster", "passed a role on", str(passed_on))
                if looks == LOOKS:
                    raise
                self.wait_until_whole()
                passed_on.mend()

    def _give_the_lead_to_the_controller(self) -> None:
        with self._scene.part(Load).going_on():
            number = self.cluster.controller().config.node
        self._scene.part(Leads).give(number, [0])

    def _still_held(self, holders: Mapping[str, Broker]) -> None:
        """The check of ``at_holders``. Raises Stalled besides, where nobody comes to have a role."""
        with self._scene.part(Load).going_on():
            self._require(holders)

    def _require(self, holders: Mapping[str, Broker]) -> None:
        """Raise PassedOn unless each of these brokers has its role at this moment."""
        follower = holders.get(FOLLOWER)
        if follower is not None and follower in (holders.get(LEADER), holders.get(BOTH)):
            raise PassedOn(f"{follower.label} was taken for the leader and for its follower")
        for role, node in holders.items():
            if stands := self._passed_on(role, node):
                words = f"{node.label} was to be met as the {role}, and is not that any more: {stands}"
                raise PassedOn(words, self._give_the_lead_to_the_controller if role == BOTH else nothing)

    def _passed_on(self, role: str, node: Broker) -> str:
        """How it stands where the broker does not have the role any more; empty when it has it."""
        if role == FOLLOWER:
            state, number = self.state(), node.config.node
            # One that has dropped out of sync is given up already.
            follows = state.leader not in (number, -1) and number in state.in_sync
            return "" if follows else f"the partition is {state}"
        now = ROLES[role](self)
        if role == BOTH and now is node:
            now = self.cluster.controller()
        return "" if now is node else f"that is {now.label}"

    def led_by(self, node: Broker) -> list[str]:
        """The partitions of the scene's topics that the broker leads."""
        number = node.config.node
        states = self.cluster.states(self._scene.topics).items()
        return [f"{topic}-{p}" for (topic, p), state in states if state.leader == number]

    def require_other_leaders(self) -> None:
        """Raise FaultNotProven unless partitions had another leader, as the one they had was taken down."""
        if not self.had_other_leaders:
            raise process.FaultNotProven("the broker that was taken down led none of the partitions at that moment")

    # -- faults ---------------------------------------------------------------------------------------
    def restart(self, role: str, how: str, times: int = 1) -> None:
        """Take the holder of the role down, see the work go on without it, start it; so many times."""
        for _ in range(times):
            done = self.at_holder(role, partial(self._restart, role, how))
            self._scene.facts.numbers[f"{role} {how} and back (s)"] = round(done.took, 2)
            self.recovered()

    def _restart(self, role: str, how: str, node: Broker, check: Callable[[], None]) -> process.Restart:
        led: list[str] = []

        def right_before() -> None:
            check()
            led[:] = self.led_by(node)

        if role == GROUP_COORDINATOR:
            self._scene.part(Commits).commit(node)
        done = process.restart(
            node,
            how,
            in_the_middle_of=self._meeting(how, right_before),
            while_down=lambda: self.hands_over(node, role),
        )
        self.had_other_leaders.update(led)
        return done

    @contextmanager
    def _meeting(self, how: str, check: Callable[[], None]) -> Iterator[None]:
        """Within, a broker is taken down, and meets what is under way: messages, or a transaction."""
        with self._scene.part(Transacting).in_the_middle(), self._scene.part(Load).meeting(how, check):
            yield

    def freeze(self, role: str) -> None:
        """Freeze the holder of the role until the work goes on without it, and thaw it."""

        def freeze(node: Broker, check: Callable[[], None]) -> float:
            return process.freeze_and_thaw(
                node,
                in_the_middle_of=self._scene.part(Load).in_the_middle(check=check),
                until=lambda: self.hands_over(node, role),
                at_least=SESSIONS * process.session_seconds(node),
            )

        frozen = self.at_holder(role, freeze)
        self._scene.facts.numbers[f"{role} frozen for (s)"] = round(frozen, 2)
        self.recovered()

    def storm(self, role: str, times: int) -> None:
        """Kill whoever has the role as soon as somebody has it, so many times, each time starting the killed one."""

        def kill(node: Broker, check: Callable[[], None]) -> None:
            process.restart(
                node,
                "killed",
                in_the_middle_of=self._meeting("killed", check),
                while_down=lambda: self.others_lead(node),
            )

        for _ in range(times):
            self.at_holder(role, kill)
        self.recovered()

    def hands_over(self, node: Broker, role: str) -> None:
        """Wait until somebody else has the role, or a follower is no longer in sync, and the work goes on."""
        if role == FOLLOWER:
            self._wait_until_out_of_sync(node)
        else:
            self._wait_for(lambda: ROLES[role](self) is not node, f"another {role} than {node.label}")
        self.goes_on_without(node)

    def _wait_until_out_of_sync(self, node: Broker) -> None:
        """Wait until nobody waits for this broker's replica any more."""
        self.wait_for_state(
            lambda state: node.config.node not in state.in_sync, f"the replica on {node.label} to be out of sync"
        )

    def goes_on_without(self, node: Broker) -> None:
        """Wait until the others have taken over the broker's roles and every client at work gets on.

        Raises Stalled, which says who stalls, when that does not happen within the bound.
        """
        self.others_lead(node)
        self._scene.note("the cluster", "has taken over", f"without {node.label}")
        self._scene.part(Load).wait_for_progress()

    def others_lead(self, node: Broker) -> None:
        """Wait until every partition of the scene and the controllers are led by others than this broker.

        Raises Stalled when that does not happen.
        """
        number, partitions = node.config.node, sum(self._scene.partitions[topic] for topic in self._scene.topics)

        def taken_over() -> bool:
            # One that nobody tells of has no leader.
            leaders = [state.leader for state in self.cluster.states(self._scene.topics).values()]
            led_by_others = sum(leader not in (number, -1) for leader in leaders) == partitions
            return led_by_others and self.cluster.controller() is not node

        self._wait_for(taken_over, f"the others to take over from {node.label}")

    def recovered(self) -> None:
        """Wait until every broker is back, every replica in sync, and every client at work gets on.

        Where nobody is at work, see a message acknowledged in every partition. Raises Stalled when one of these fails.
        """
        load = self._scene.part(Load)
        self.wait_until_whole()
        self._scene.note("the cluster", "whole", "every replica in sync")
        if load.is_under_way:
            load.wait_for_progress()
        else:
            load.publish_once_everywhere()

    def close(self) -> None:
        """Nothing is under way."""


#: A role that nobody has to take over, and that which excludes it.
FOLLOWER = "follower"
LEADER = "leader"

#: Whoever has this role keeps what groups have committed.
GROUP_COORDINATOR = "coordinator of the group"

#: Two roles of one broker.
BOTH = "leader and controller"

#: The roles of brokers, in the features' words: of the first partition of the scene's first topic, of its one group, of
#: its transactions.
ROLES: dict[str, Callable[[Replication], Broker]] = {
    LEADER: Replication.leader,
    BOTH: Replication.leader,
    FOLLOWER: lambda replication: replication.followers()[0],
    "controller": lambda replication: replication.cluster.controller(),
    GROUP_COORDINATOR: Replication.group_coordinator,
    "coordinator of the transactions": Replication.transaction_coordinator,
}
