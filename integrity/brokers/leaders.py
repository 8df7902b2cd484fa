"""Whether the brokers that a command takes down led anything of a run's, where a cluster has several.

A broker that led none of a scenario's partitions can come and go without any message of it being in danger. Only the
scenario's topics count: those of the run that were not there when it began. To have met them once is enough: a leader
that has come back leads nothing for a while, so a command that takes down the same one again and again meets them once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from integrity.clients import wire
from integrity.clients.types import Connection
from integrity.errors import Unavailable

#: Seconds for an answer about every topic of the cluster, before timeout_factor.
ANSWER_SECONDS = 5.0

#: Seconds for each address that is asked who is still there.
LOOK_SECONDS = 2.0

#: Looks in a row without any answer that count as there being nobody: one alone may be slowness.
SILENT_LOOKS = 2


class Leaders:
    """Those of a scenario's partitions, from before a command is run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        #: The run's topics from before the scenario.
        self._earlier: set[str] = set()
        self._addresses = ""
        self._nodes: set[int] = set()
        self._leading: set[int] = set()
        #: Whether an earlier command of the scenario met them.
        self._met_before = False
        #: Those that were seen to be gone.
        self.gone: set[int] = set()
        self._silent = 0

    def begin(self) -> None:
        """A scenario begins: what is there is none of its own. If that is not told, what was there before is not."""
        self._met_before, self._leading = False, set()
        answer = self._ask()
        if answer is not None:
            self._earlier = set(self._own(answer))

    def note(self) -> None:
        """Before the command: who leads what the scenario has made. Nobody, where that is not told."""
        self._met_before |= not self._leading.isdisjoint(self.gone)
        self._leading, self.gone, self._silent = set(), set(), 0
        answer = self._ask()
        if answer is None:
            return
        self._nodes = {broker.node_id for broker in answer.brokers}
        # A run may have been told of some of them only; who is gone is a question for all.
        self._addresses = ",".join(f"{broker.host}:{broker.port}" for broker in answer.brokers)
        own = self._own(answer)
        if len(self._nodes) > 1:
            new = own.keys() - self._earlier
            self._leading = {part.leader_id for name in new for part in own[name].partitions} & self._nodes

    def _ask(self) -> Any:
        """What the cluster says of all its topics and brokers; None where it says nothing."""
        try:
            return wire.metadata(
                self._connection.bootstrap_servers, self._connection.properties, ANSWER_SECONDS, topics=None
            )
        except Unavailable:
            return None

    def _own(self, answer: Any) -> dict[str, Any]:
        """The run's topics, by their names."""
        return {topic.name: topic for topic in answer.topics if topic.name.startswith(self._connection.prefix)}

    @property
    def met(self) -> bool:
        """Whether one of them is gone or was earlier in the scenario, or there was none of which that could be said."""
        return self._met_before or not self._leading or not self._leading.isdisjoint(self.gone)

    def lose(self, nodes: Iterable[int]) -> None:
        """These are gone: somebody was told of the others only."""
        self.gone |= set(nodes)

    def look(self) -> bool:
        """Ask who is gone, unless that is known well enough; whether one of them is."""
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
