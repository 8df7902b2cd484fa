"""The network between the brokers of one cluster, as processes of this machine: it can be cut around any one of them.

Each broker is given two links: one by which the other brokers reach it (to copy its messages), one by which the other
controllers do. Clients reach it past both. A broker that is cut off is no longer reached by either link, and its own
connections, which are told by the client ids that Kafka gives them, no longer reach the others'.
Client ids: ``ReplicaFetcherThread`` uses ``broker-N-fetcher-F``, ``KafkaRaftManager`` ``raft-client-N``,
``NodeToControllerChannelManager`` plain ``N`` (Kafka 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from integrity.brokers.base import Broker
from integrity.endings import end_all
from integrity.faults.network.fault import Fault
from integrity.faults.network.proxy import Proxy
from integrity.listening import Listener
from integrity.runs import Run

#: The listener at which brokers reach each other.
LISTENER = "BROKERS"


class Between:
    """Links between these brokers, which must not have been started yet. Events go to ``listener``."""

    def __init__(self, run: Run, nodes: Sequence[Broker]) -> None:
        self._run = run
        self._proxy = Proxy(run)
        self._faults: list[Fault] = []
        self._nodes = list(nodes)
        self._ports: list[int] = []
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        voters = []
        for node in self._nodes:
            number = node.config.node
            voters.append(f"{number}@{self._proxy.link(_quorum(number), node.controller_address).address}")
        for node in self._nodes:
            port = self._run.lease_port()
            self._ports.append(port)
            link = self._proxy.link(_brokers(node.config.node), f"127.0.0.1:{port}")
            controller = self._proxy.links[_quorum(node.config.node)]
            clients = f"PLAINTEXT://{node.bootstrap_servers}"
            node.adopt(
                {
                    "controller.quorum.voters": ",".join(voters),
                    "inter.broker.listener.name": LISTENER,
                    "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,{LISTENER}:PLAINTEXT",
                    "listeners": f"{clients},{LISTENER}://127.0.0.1:{port},CONTROLLER://{node.controller_address}",
                    "advertised.listeners": f"{clients},{LISTENER}://{link.address},CONTROLLER://{controller.address}",
                }
            )

    @property
    def listener(self) -> Listener:
        return self._proxy.listener

    @listener.setter
    def listener(self, listener: Listener) -> None:
        self._proxy.listener = listener

    def isolate(self, node: Broker) -> None:
        """Cut this broker off from all others, both ways: packets vanish, and come when it is over."""
        number = node.config.node
        clients = (f"broker-{number}-*", f"raft-client-{number}", str(number))
        places = [{"link": _brokers(number)}, {"link": _quorum(number)}, *({"client": client} for client in clients)]
        for place in places:
            # Kept one by one: when the next one fails, ``heal`` has to lift those that are in force.
            self._faults.append(self._proxy.blackhole(**place))

    def heal(self) -> None:
        """Let everybody reach everybody again, also where ``isolate`` failed halfway.

        Raises the first error once all is tried; what could not be lifted is tried again by the next call.
        """
        end_all([partial(self._lift, fault) for fault in self._faults])

    def _lift(self, fault: Fault) -> None:
        fault.lift()
        self._faults.remove(fault)

    def close(self) -> None:
        """End the links. Raises ProxyFailed when they were gone before."""
        for port in self._ports:
            self._run.release_port(port)
        self._ports = []
        self._proxy.close()


def _brokers(number: int) -> str:
    return f"brokers to broker {number}"


def _quorum(number: int) -> str:
    return f"controllers to broker {number}"
