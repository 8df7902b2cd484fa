"""Whether what an engine publishes on loopback can be reached from where this process is.

Not from a container that merely has the engine's socket mounted, as CI does with its jobs and editors with their
development containers: its loopback is its own. docker is imported where it is needed.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil

#: What Docker and Podman put into every container, and Kubernetes into the environment of one.
MARKS = ("/.dockerenv", "/run/.containerenv")
KUBERNETES = "KUBERNETES_SERVICE_HOST"


def is_out_of_reach(client) -> bool:
    """Whether this is a container, and the engine that ``client`` (docker.DockerClient) has in another network.

    Not so where the engine runs in the same container or pod, or the container has the network of the engine's machine:
    with that it has the machine's name, unless it was given one, and the address of the engine's own bridge in any
    case. Raises as docker does.
    """
    if KUBERNETES not in os.environ and not any(Path(mark).exists() for mark in MARKS):
        return False
    return client.info().get("Name") != socket.gethostname() and not (_bridges(client) & _own_addresses())


def _bridges(client) -> set[str]:
    """The addresses that the engine's default network has on the engine's machine; none where there is no such."""
    from docker.errors import NotFound

    try:
        network = client.networks.get("bridge").attrs
    except NotFound:
        return set()
    return {each["Gateway"] for each in network.get("IPAM", {}).get("Config") or () if each.get("Gateway")}


def _own_addresses() -> set[str]:
    return {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
