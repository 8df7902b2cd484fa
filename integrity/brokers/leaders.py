"""Whether the brokers that a command takes down led anything of a run's, where a cluster has several.

A broker that led none of a scenario's partitions can come and go without any message of it being in danger. Only new
topics count: what was there when a broker was taken down before is of an earlier scenario, or has met that already,
and by then may have another leader.
"""

from __future__ import annotations

from collections.abc import Iterable

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
    """Those of the run's new partitions, from before a command is run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._topics: set[str] = set()
        self._addresses = ""
        self._nodes: set[int] = set()
        self._leading: set[int] = set()
        #: Those that were seen to be gone.
        self.gone: set[int] = set()
        self._silent = 0

    def note(self) -> None:
        """Before the command: who leads what the run has made since the last time. Nobody, where that is not told."""
        self._leading, self.gone, self._silent = set(), set(), 0
        try:
            answer = wire.metadata(
                self._connection.bootstrap_servers, self._connection.properties, ANSWER_SECONDS, topics=None
            )
        except Unavailable:
            return
        self._nodes = {broker.node_id for broker in answer.brokers}
        # A run may have been told of some of them only; who is gone is a question for all.
        self._addresses = ",".join(f"{broker.host}:{broker.port}" for broker in answer.brokers)
        own = {topic.name: topic for topic in answer.topics if topic.name.startswith(self._connection.prefix)}
        new = own.keys() - self._topics
        self._topics |= new
        if len(self._nodes) > 1:
            self._leading = {part.leader_id for name in new for part in own[name].partitions} & self._nodes

    @property
    def met(self) -> bool:
        """Whether one of them is gone, or there was none of which that could be said."""
        return not self._leading or not self._leading.isdisjoint(self.gone)

    def lose(self, nodes: Iterable[int]) -> None:
        """These are gone: somebody was told of the others only."""
        self.gone |= set(nodes)

    def look(self) -> bool:
        """Ask who is gone, unless that is known well enough; whether one of them is."""
        if not self.met:
            self.lose(self._nodes - self._there())
        return self.met

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
