"""Whether the brokers that a command takes down had anything of a scenario's, where a cluster has several.

A broker that led none of a scenario's partitions can come and go without any message of it being in danger. So can one
that coordinates neither its groups nor its transactions, without danger to what is known of those. Of each kind the
scenario has, the holder of one must have gone: a sentence about a group's place is not proven by the loss of a leader.
Only what is the scenario's own counts: what the run has and had not when it began. To have met a kind once is enough: a
leader that has come back leads nothing for a while, so a command that takes down the same one again and again meets it
once.

Groups and transactional ids are known to their coordinators only, so each broker is asked for those that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kafka.protocol.admin import ListGroupsRequest, ListTransactionsRequest

from integrity.clients import wire
from integrity.clients.types import Connection
from integrity.errors import Unavailable

#: Seconds for an answer about every topic of the cluster, or every group of a broker's, before timeout_factor.
ANSWER_SECONDS = 5.0

#: Seconds for each address that is asked who is still there.
LOOK_SECONDS = 2.0

#: Looks in a row without any answer that count as there being nobody: one alone may be slowness.
SILENT_LOOKS = 2

#: The kinds of what a scenario has at brokers: what is said of one that has gone and had none of them.
PARTITIONS = "led none of this scenario's partitions"
GROUPS = "coordinated none of this scenario's groups"
TRANSACTIONS = "coordinated none of this scenario's transactions"

#: How a broker is asked for what it coordinates (Kafka 2.6 and 3.0), and the names in its answer.
_COORDINATED: dict[str, tuple[Callable[[], Any], Callable[[Any], Iterable[str]]]] = {
    GROUPS: (
        lambda: ListGroupsRequest[4](states_filter=[]),
        lambda answer: (group.group_id for group in answer.groups),
    ),
    TRANSACTIONS: (
        lambda: ListTransactionsRequest[0](state_filters=[], producer_id_filters=[]),
        lambda answer: (state.transactional_id for state in answer.transaction_states),
    ),
}

#: The ids of the brokers that have something, by its name, by its kind.
Holders = dict[str, dict[str, set[int]]]


class Leaders:
    """Those of a scenario's partitions, and the coordinators of its groups and transactions, from before a command."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: What the run had before the scenario, by kind.
        self._earlier: dict[str, set[str]] = {}
        self._addresses = ""
        self._nodes: set[int] = set()
        #: Who has something of the scenario's, by kind.
        self._holders: dict[str, set[int]] = {}
        #: The kinds that an earlier command of the scenario met.
        self._met_before: set[str] = set()
        #: Those that were seen to be gone.
        self.gone: set[int] = set()
        self._silent = 0

    def begin(self) -> None:
        """A scenario begins: what is there is none of its own. If that is not told, what was there before is not."""
        self._met_before, self._holders = set(), {}
        self._earlier |= {kind: set(named) for kind, named in self._found().items()}

    def note(self) -> None:
        """Before the command: who has what the scenario has made. Nobody, where that is not told."""
        self._met_before |= {kind for kind, nodes in self._holders.items() if not nodes.isdisjoint(self.gone)}
        self._holders, self.gone, self._silent = {}, set(), 0
        for kind, named in self._found().items():
            new = named.keys() - self._earlier.get(kind, set())
            self._holders[kind] = set().union(*(named[name] for name in new)) & self._nodes

    def _found(self) -> Holders:
        """What the run has; nothing of a kind of which that is not told, nor where there is one broker only."""
        try:
            answer = wire.metadata(
                self._connection.bootstrap_servers, self._connection.properties, ANSWER_SECONDS, topics=None
            )
        except Unavailable:
            return {}
        self._nodes = {broker.node_id for broker in answer.brokers}
        # A run may have been told of some of them only; who is gone is a question for all.
        self._addresses = ",".join(_address(broker) for broker in answer.brokers)
        if len(self._nodes) < 2:
            return {}
        led = {topic.name: {part.leader_id for part in topic.partitions} for topic in answer.topics}
        found = {PARTITIONS: {name: nodes for name, nodes in led.items() if self._is_own(name)}}
        for kind in _COORDINATED:
            named = self._coordinated(kind, answer.brokers)
            if named is not None:
                found[kind] = named
        return found

    def _coordinated(self, kind: str, brokers: Iterable[Any]) -> dict[str, set[int]] | None:
        """Who coordinates what the run has of this kind; None if one of the brokers does not say."""
        request, names_in = _COORDINATED[kind]
        found: dict[str, set[int]] = {}
        for broker in brokers:
            try:
                answer = wire.ask(_address(broker), self._connection.properties, request(), ANSWER_SECONDS)
            except Unavailable:
                return None
            if answer.error_code:
                return None
            for name in filter(self._is_own, names_in(answer)):
                found.setdefault(name, set()).add(broker.node_id)
        return found

    def _is_own(self, name: str) -> bool:
        return name.startswith(self._connection.prefix)

    @property
    def unmet(self) -> list[str]:
        """The kinds of which the scenario has something, and nobody that has it is gone, now or earlier in it."""
        return [
            kind
            for kind, nodes in self._holders.items()
            if nodes and kind not in self._met_before and nodes.isdisjoint(self.gone)
        ]

    @property
    def met(self) -> bool:
        """Whether there is no such kind."""
        return not self.unmet

    def lose(self, nodes: Iterable[int]) -> None:
        """These are gone: somebody was told of the others only."""
        self.gone |= set(nodes)

    def look(self) -> bool:
        """Ask who is gone, unless that is known well enough; whether it is by then."""
        if not self.met:
            self.lose(self._nodes - self._there())
        return self.met

    @property
    def longest_silence(self) -> float:
        """Seconds, before timeout_factor, for as many looks as it takes when nobody answers at any address."""
        return SILENT_LOOKS * LOOK_SECONDS * len(self._nodes)

    def _there(self) -> set[int]:
        """Who has not gone, as far as one look shows."""
        try:
            answer = wire.metadata(self._addresses, self._connection.properties, LOOK_SECONDS)
        except wire.Closed:
            return set()
        except wire.NoAnswer:
            self._silent += 1
            return set() if self._silent >= SILENT_LOOKS else self._nodes
        except wire.AccessDenied:
            self._silent = 0
            return self._nodes
        self._silent = 0
        return {broker.node_id for broker in answer.brokers}


def _address(broker: Any) -> str:
    return f"{broker.host}:{broker.port}"
