"""The network of a cluster's containers: they reach each other by name, and any one of them can be cut off.

Clients come from this machine by published ports, which belong to the engine's default network; so a container that
leaves this one is reached by clients and not by the other brokers.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import closing, suppress

from integrity.brokers.docker import CONTROLLER_PORT, DockerBroker
from integrity.brokers.engine import LABEL, engine
from integrity.listening import Listener, ignore
from integrity.runs import Run

#: The listener at which brokers reach each other, and its port.
LISTENER, PORT = "BROKERS", 9095


class DockerNetwork:
    """A labelled network of the run for these brokers, which must not have been started yet."""

    def __init__(self, run: Run, nodes: Sequence[DockerBroker]) -> None:
        self.listener: Listener = ignore
        self._name = f"kafka-integrity-{run.id}-{secrets.token_hex(3)}"
        self._isolated: list[DockerBroker] = []
        with closing(engine()) as client:
            client.networks.create(self._name, driver="bridge", labels={LABEL: run.id})
        for node in nodes:
            node.join(self._name)
            clients = f"PLAINTEXT://127.0.0.1:{node.port}"
            node.adopt(
                {
                    "inter.broker.listener.name": LISTENER,
                    "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,{LISTENER}:PLAINTEXT",
                    "listeners": f"PLAINTEXT://0.0.0.0:{node.port},{LISTENER}://0.0.0.0:{PORT},"
                    f"CONTROLLER://0.0.0.0:{CONTROLLER_PORT}",
                    "advertised.listeners": f"{clients},{LISTENER}://{node.name}:{PORT},"
                    f"CONTROLLER://{node.controller_address}",
                }
            )

    def isolate(self, node: DockerBroker) -> None:
        """Let this broker's container leave the network."""
        with closing(engine()) as client:
            client.networks.get(self._name).disconnect(node.name)
        self._isolated.append(node)

    def heal(self) -> None:
        """Let every container that left come back."""
        with closing(engine()) as client:
            while self._isolated:
                client.networks.get(self._name).connect(self._isolated[-1].name)
                self._isolated.pop()

    def close(self) -> None:
        """Remove the network, if it is there; its containers must be gone."""
        from docker.errors import NotFound

        with closing(engine()) as client, suppress(NotFound):
            client.networks.get(self._name).remove()
