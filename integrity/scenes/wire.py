"""Faults on the way between the clients and the broker, and proof that each of them happened.

Clients reach the broker through a proxy from ``begin`` on; see integrity.faults.network for what it can do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka.protocol.api_message import ApiMessage

from integrity.clients import IDENTITY_HEADER, Connection, security
from integrity.clients.wire import metadata
from integrity.errors import NotPossible, SuiteError
from integrity.faults.network import Exchange, Fault, Proxy, Records
from integrity.faults.process import FaultNotProven
from integrity.scene import Scene


class Wire:
    """The network between a scene's clients and its broker: a part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._proxy: Proxy | None = None

    def begin(self) -> None:
        """Let clients reach the broker, from now on, by a network that can fail.

        Raises NotPossible where connections are encrypted: what cannot be read cannot be struck in the right place.
        """
        if self._proxy is not None:
            return
        direct = self._scene.broker.connection
        if security.parse(direct.properties).uses_tls:
            raise NotPossible("faults in the midst of requests need connections that are not encrypted")
        self._proxy = Proxy(self._scene.brokers.run, _addresses(direct), listener=self._scene.note)
        self._scene.route = self._proxy.bootstrap_servers

    @property
    def proxy(self) -> Proxy:
        """The network itself. Raises SuiteError when the scenario has not asked for one that can fail."""
        if self._proxy is None:
            raise SuiteError("this scenario's network cannot fail: it lacks 'a network that can fail'")
        return self._proxy

    def close(self) -> None:
        """End the network. Raises what its rewriting functions raised, ProxyFailed when it was gone before."""
        if self._proxy is not None:
            self._proxy.close()


def _addresses(direct: Connection) -> dict[str, str]:
    """Every broker's address as the cluster tells it to clients, by a name for it."""
    brokers = metadata(direct.bootstrap_servers, direct.properties).brokers
    return {f"broker {broker.node_id}": f"{broker.host}:{broker.port}" for broker in brokers}


@contextmanager
def proven(fault: Fault, strikes: int = 1) -> Iterator[Fault]:
    """The fault, in force within the block. Raises FaultNotProven when it strikes less often than ``strikes`` times."""
    with fault:
        yield fault
    prove(fault, strikes)


def prove(fault: Fault, strikes: int = 1) -> None:
    """Raise FaultNotProven unless the fault has struck so many times."""
    if fault.count < strikes:
        raise FaultNotProven(
            f"the fault {fault.words!r} struck {fault.count} times and was to strike {strikes}: nothing was tried"
        )


class InFlight:
    """What a client's Produce requests had unanswered at the same moment, at most.

    requests: how many on one connection. batches: how many on all of them; a request has a batch for each partition
    that it writes to, and partitions with several leaders are written to over as many connections. again: how many
    messages have come once more, on any connection.
    """

    def __init__(self, proxy: Proxy, client: str) -> None:
        self.requests = self.batches = self.again = 0
        self._known: set[bytes] = set()  # the messages' identities
        self._proxy, self._client = proxy, client
        #: By request: its connection, and how many batches it has.
        self._asked: dict[int, tuple[int, int]] = {}
        self._fault = proxy.rewrite("Produce", request=self._ask, answer=self._answer, client=client)

    def _ask(self, message: ApiMessage, exchange: Exchange) -> None:
        batches = [one.records for topic in message.topic_data for one in topic.partition_data]
        self._asked[exchange.head.number] = exchange.connection, len(batches)
        entries = [entry for batch in batches for entry in Records.parse(batch).entries]
        identities = {value for entry in entries for name, value in entry.headers if name == IDENTITY_HEADER}
        self.again += len(self._known & identities)
        self._known |= identities

    def _answer(self, message: ApiMessage, exchange: Exchange) -> None:
        # Asked of the proxy: what was refused there, or was under way on a connection that was cut, is not any more.
        unanswered = set(self._proxy.unanswered("Produce", client=self._client))
        self._asked = {number: asked for number, asked in self._asked.items() if number in unanswered}
        connections = [connection for connection, _ in self._asked.values()]
        self.requests = max(self.requests, connections.count(exchange.connection))
        self.batches = max(self.batches, sum(batches for _, batches in self._asked.values()))

    def __enter__(self) -> InFlight:
        return self

    def __exit__(self, *_: object) -> None:
        self._fault.lift()
