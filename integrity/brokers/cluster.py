"""Brokers that replicate to each other, taken together: one thing to start, to ask and to take down.

A Cluster is a Broker to whatever only wants to connect, wait or clean up; a fault picks one of its ``nodes``, by the
role that node has at that moment. Roles are asked of every node that answers, and the newest account counts: a broker
that was cut off still believes in its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from kafka.protocol.metadata import MetadataResponse

from integrity.brokers import administration, probe
from integrity.brokers.base import READY_SECONDS, Broker, BrokerConfig, BrokerFailed
from integrity.clients.types import Partition
from integrity.errors import NotPossible
from integrity.listening import Listener
from integrity.waiting import WaitTimeout, wait_until

#: Combined nodes of a cluster, each of them a broker and a controller.
SIZE = 3

#: Seconds, before timeout_factor: for a role to be taken by somebody, for every replica to be in sync again, and for
#: a cluster to show that it can serve another scenario (a new one takes about as long).
ROLE_SECONDS = 30.0
SYNC_SECONDS = 30.0
USABLE_SECONDS = 3.0

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """One partition as the cluster sees it: node ids; leader is -1 where there is none."""

    leader: int
    epoch: int
    replicas: tuple[int, ...]
    in_sync: frozenset[int]

    def __str__(self) -> str:
        return f"led by {self.leader} in epoch {self.epoch}, in sync {sorted(self.in_sync)} of {list(self.replicas)}"

    @property
    def is_whole(self) -> bool:
        """Whether somebody leads it and every replica is in sync."""
        return self.leader >= 0 and self.in_sync == set(self.replicas)

    def outdates(self, other: State) -> bool:
        """Whether this account is to be believed; within one leadership that of the smaller in-sync set."""
        return (self.epoch, -len(self.in_sync)) > (other.epoch, -len(other.in_sync))


class Network(Protocol):
    """What connects the brokers of a cluster with each other, where it can be cut."""

    listener: Listener

    def isolate(self, node: Broker) -> None:
        """Cut this broker off from the others, both ways; clients still reach it."""

    def heal(self) -> None:
        """Let everybody reach everybody again."""

    def close(self) -> None:
        """End it, once the brokers are gone. Where that has failed it can be tried again."""


class Cluster(Broker):
    """Brokers of one cluster. Its ``listener`` hears what happens to each; the subject is that broker's label.

    network: between them, where a scenario is to cut it.
    """

    def __init__(self, nodes: Sequence[Broker], network: Network | None = None) -> None:
        self._nodes = tuple(nodes)
        self._network = network
        self._isolated: set[Broker] = set()
        #: Whether the network once did not do as told; how it stands is then known to nobody.
        self._network_failed = False
        self.kind = nodes[0].kind
        super().__init__(BrokerConfig(node=0, settings=nodes[0].config.settings, brokers=len(nodes)))
        self.label = "the cluster"

    # -- what it is ---------------------------------------------------------------------------------
    @property
    def nodes(self) -> Sequence[Broker]:
        return self._nodes

    def node(self, number: int) -> Broker:
        """The broker with this node id."""
        return next(node for node in self._nodes if node.config.node == number)

    @property
    def listener(self) -> Listener:
        return self._nodes[0].listener

    @listener.setter
    def listener(self, listener: Listener) -> None:
        for node in self._nodes:
            node.listener = listener
        if self._network is not None:
            self._network.listener = listener

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(node.bootstrap_servers for node in self._nodes)

    @property
    def version(self) -> str:
        return self._nodes[0].version

    @property
    def started_at(self) -> float | None:
        """When the last of them was started; None unless all run."""
        times = [node.started_at for node in self._nodes]
        return None if None in times else max(times)

    @property
    def data_directory(self) -> None:
        """None: each node has its own."""
        return None

    def is_alive(self) -> bool:
        return all(node.is_alive() for node in self._nodes)

    def log(self, mark: int = 0) -> str:
        """The logs of all nodes, one after the other; of use for an error's text only. See the nodes' own."""
        return "\n".join(f"{node.label}:\n{node.log_tail()}" for node in self._nodes)[mark:]

    def check_alive(self) -> None:
        for node in self._nodes:
            node.check_alive()

    # -- all of them at once ------------------------------------------------------------------------
    def launch(self) -> None:
        self.each(Broker.launch)

    def await_ready(self) -> None:
        """Wait until every node answers, and every partition there is has all its replicas in sync."""
        self.each(Broker.await_ready)
        self.wait_until_whole(READY_SECONDS)

    def stop(self) -> None:
        """Stop all in order. The last ones find no controller to tell; only SIGKILL is sure to be quick."""
        self.each(Broker.stop)

    def kill(self) -> None:
        self.each(Broker.kill)

    def freeze(self) -> None:
        self.each(Broker.freeze)

    def thaw(self) -> None:
        self.each(Broker.thaw)

    def discard(self) -> None:
        """As for each broker; their network is closed whatever becomes of them, and again if that fails."""
        try:
            self.each(Broker.discard)
        except BaseException as error:
            try:
                self._close_network()
            except Exception as consequence:  # noqa: BLE001 - a network that brokers are left in can seldom be closed
                error.add_note(f"nor could their network be closed: {consequence}")
            raise
        self._close_network()

    def _close_network(self) -> None:
        if self._network is not None:
            self._network.close()
            self._network = None

    @property
    def closing_seconds(self) -> float:
        return max(node.closing_seconds for node in self._nodes)

    def refuses_connections(self) -> bool:
        return all(node.refuses_connections() for node in self._nodes)

    def is_usable(self) -> bool:
        """True when it is, or soon becomes, whole: all nodes there, every partition led, every replica in sync.

        Never again once its network has failed: a broker that is still cut off is not noticed at once.
        """
        if self._network_failed or not self.is_alive():
            return False
        try:
            self.wait_until_whole(USABLE_SECONDS)
        except (WaitTimeout, BrokerFailed):
            return False
        return True

    def isolate(self, node: Broker) -> None:
        """Cut a broker off from the others. Raises NotPossible where their network cannot be cut.

        Whatever else it raises, part of the cut may be in force: ``heal`` undoes that as well.
        """
        if self._network is None:
            raise NotPossible("the network between these brokers cannot be cut")
        with self._doubting_the_network():
            self._network.isolate(node)
        self._isolated.add(node)
        self.listener(node.label, "cut off", "from the other brokers")

    def heal(self) -> None:
        """Undo every ``isolate``. Where that fails, those that were cut off count as such until it is done."""
        if self._isolated or self._network_failed:
            with self._doubting_the_network():
                self._network.heal()
        for node in self._isolated:
            self.listener(node.label, "connected", "to the other brokers again")
        self._isolated.clear()

    @contextmanager
    def _doubting_the_network(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._network_failed = True
            raise

    def each(self, work: Callable[[Broker], T], nodes: Iterable[Broker] | None = None) -> list[T]:
        """Do this to each node (or to these) at the same time; raises the first error, when all are through."""
        chosen = list(self._nodes if nodes is None else nodes)
        with ThreadPoolExecutor(len(chosen)) as pool:
            futures = [pool.submit(work, node) for node in chosen]
        return [future.result() for future in futures]

    # -- what it says of itself ---------------------------------------------------------------------
    def states(self, topics: Iterable[str] | None = None) -> dict[Partition, State]:
        """Every partition of these topics, or of all. Of several accounts the newest. Empty when nobody answers."""
        named = None if topics is None else set(topics)
        found: dict[Partition, State] = {}
        for answer in self._ask_all(lambda node: probe.metadata(node.bootstrap_servers, every_topic=True)):
            for place, state in _partitions(answer):
                if (named is None or place[0] in named) and (place not in found or state.outdates(found[place])):
                    found[place] = state
        return found

    def registered(self) -> set[int]:
        """The nodes that every node that answers counts among the cluster's brokers."""
        views = self._ask_all(lambda node: probe.metadata(node.bootstrap_servers))
        return set.intersection(*({b.node_id for b in view.brokers} for view in views)) if views else set()

    def leader(self, topic: str, partition: int = 0) -> Broker:
        """The broker that leads the partition, waited for. Raises WaitTimeout when nobody comes to lead it."""

        def leads() -> int:
            state = self.states([topic]).get((topic, partition))
            return state.leader if state is not None and state.leader > 0 else 0

        what = f"{topic}-{partition} to have a leader"
        return self.node(wait_until(leads, what=what, seconds=ROLE_SECONDS, check=self.check_alive))

    def controller(self) -> Broker:
        """The active controller, waited for. Raises WaitTimeout when the controllers agree on nobody."""

        def leads() -> int:
            accounts = self._ask_all(lambda node: administration.quorum_leader(node.bootstrap_servers))
            node, _ = max(accounts, key=lambda account: account[1], default=(0, 0))
            return max(node, 0)

        what = "the cluster to have a controller"
        return self.node(wait_until(leads, what=what, seconds=ROLE_SECONDS, check=self.check_alive))

    def coordinator(self, kind: int, key: str) -> Broker:
        """The broker that coordinates a group or a transactional id (see administration), waited for."""

        def coordinates() -> int:
            accounts = self._ask_all(lambda node: administration.coordinator(node.bootstrap_servers, kind, key))
            # All agree, except for a moment after the role has passed on.
            return accounts[0] if accounts and len(set(accounts)) == 1 else 0

        what = f"{key} to have a coordinator"
        return self.node(wait_until(coordinates, what=what, seconds=ROLE_SECONDS, check=self.check_alive))

    def wait_until_whole(self, seconds: float = SYNC_SECONDS) -> None:
        """Wait until all nodes are registered and agree that every partition is led and every replica in sync.

        Raises WaitTimeout, which names what is missing, or BrokerFailed when a node has died on its own.
        """
        wait_until(
            lambda: not self._missing(),
            what="every replica to be in sync",
            seconds=seconds,
            check=self.check_alive,
            detail=self._missing,
            poll_seconds=0.05,
        )

    def _missing(self) -> str:
        """What keeps the cluster from being whole, in the words of the first node that knows of anything; empty when
        nothing does.

        One after the other: while one is not content, nobody needs to ask the others, who have better things to do.
        All have to give the same account: one that was cut off is content with what it knew before, and would tell
        clients that a newer topic is not there.
        """
        first: dict[Partition, State] | None = None
        for node in self._nodes:
            try:
                answer = probe.metadata(node.bootstrap_servers, every_topic=True)
            except OSError as error:
                return f"{node.label} does not answer ({error})"
            absent = {each.config.node for each in self._nodes} - {broker.node_id for broker in answer.brokers}
            if absent:
                return f"brokers {sorted(absent)} are not registered, by the account of {node.label}"
            account = dict(_partitions(answer))
            torn = {place: state for place, state in account.items() if not state.is_whole}
            if torn:
                return _words(torn)
            first = account if first is None else first
            differing = [place for place in first.keys() | account.keys() if first.get(place) != account.get(place)]
            if differing:
                return "; ".join(
                    f"{_words({place: told.get(place) for place in differing})}, by the account of {teller.label}"
                    for teller, told in ((self._nodes[0], first), (node, account))
                )
        return ""

    def any_address(self) -> str:
        """The address of a node that should answer."""
        return self._reachable()[0].bootstrap_servers

    def _reachable(self) -> list[Broker]:
        """The nodes that run, are not frozen, and can reach the others."""
        nodes = (node for node in self._nodes if node not in self._isolated)
        return [node for node in nodes if node.is_alive() and not node.is_frozen]

    def _ask_all(self, question: Callable[[Broker], T]) -> list[T]:
        """The answers of the nodes that give one; a node that is down, or has no answer yet, gives none."""

        def ask(node: Broker) -> T | None:
            try:
                return question(node)
            except (OSError, administration.Refused):
                return None

        asked = self._reachable()
        return [answer for answer in self.each(ask, asked) if answer is not None] if asked else []

    # -- what is done to its nodes, not to itself -----------------------------------------------------
    def _launch(self) -> None:
        self.launch()

    def _terminate(self) -> None:
        self.each(Broker._terminate)

    def _kill(self) -> None:
        self.each(Broker._kill)

    def _freeze(self) -> None:
        self.freeze()

    def _thaw(self) -> None:
        self.thaw()

    def _discard(self) -> None:
        self.discard()


def _partitions(answer: MetadataResponse) -> Iterator[tuple[Partition, State]]:
    """Every partition in a broker's account, and what it says of it."""
    for topic in answer.topics:
        for each in topic.partitions:
            replicas, in_sync = tuple(each.replica_nodes), frozenset(each.isr_nodes)
            yield (topic.name, each.partition_index), State(each.leader_id, each.leader_epoch, replicas, in_sync)


def _words(account: Mapping[Partition, State | None]) -> str:
    """What is said of these partitions; None is said of one that is not known."""
    return ", ".join(
        f"{topic}-{number} {state or 'is not known'}" for (topic, number), state in sorted(account.items())
    )


def as_cluster(broker: Broker) -> Cluster:
    """``broker``, which must be a cluster of this suite's. Raises NotPossible for a single or somebody else's one."""
    if not isinstance(broker, Cluster):
        raise NotPossible(
            f"this needs three brokers that can be taken down one by one; there is one {broker.kind} broker"
        )
    return broker
