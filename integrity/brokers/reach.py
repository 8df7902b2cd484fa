"""Whether what an engine publishes on loopback can be reached from where this process is.

Not from a container that merely has the engine's socket mounted, as CI does with its jobs and editors with their
development containers: its loopback is its own. docker is imported where it is needed.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import psutil

from integrity.machine import OWN_GROUPS
from integrity.mounts import MOUNTS

#: What Docker and Podman put into every container, and Kubernetes into the environment of one. What was imported from a
#: container's files has such a mark as well (a distribution of WSL), and so has a container that people work in as on
#: its machine (toolbox, distrobox).
MARKS = ("/.dockerenv", "/run/.containerenv")
KUBERNETES = "KUBERNETES_SERVICE_HOST"

#: What engines mount into a container from a folder of theirs that is named after it.
OWN_MOUNTS = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf")

#: So many characters of its id are a container's name in its network, unless it is given one.
NAME_LENGTH = 12


def is_out_of_reach(client) -> bool:
    """Whether this is a container that the engine of ``client`` (docker.DockerClient) runs, in a network of its own.

    The engine itself must say so; what it does not know may have its network in whatever way. Engines do not know pods,
    which are out of its network unless they share its machine's name, or have the address of its own bridge: the engine
    runs in the same pod, or the pod has the machine's network. Raises as docker does.
    """
    if KUBERNETES in os.environ:
        return client.info().get("Name") != socket.gethostname() and not (_bridges(client) & _own_addresses())
    if not any(Path(mark).exists() for mark in MARKS):
        return False
    name, told, addresses = socket.gethostname(), _told_of_itself(), _own_addresses()
    return any(
        _network(client, each["Id"]) != "host"
        for each in client.api.containers()
        if each["Id"][:NAME_LENGTH] == name or each["Id"] in told or _addresses(each) & addresses
    )


def _told_of_itself() -> str:
    """What the system tells this process of itself and has its container's id in it, if it is in one.

    Not all that is mounted: below /run/host, say, may be what the machine has mounted for other containers.
    """
    mounted = [line.split() for line in _text(MOUNTS).splitlines()]
    return "\n".join([_text(OWN_GROUPS), *(fields[3] for fields in mounted if fields[4] in OWN_MOUNTS)])


def _text(file: Path) -> str:
    """Empty where there is none, or it is not to be read: that tells nothing."""
    try:
        return file.read_text()
    except OSError:
        return ""


def _network(client, id: str) -> str:
    """The kind of network that the container has, or that the one has whose network it shares."""
    mode = client.api.inspect_container(id)["HostConfig"]["NetworkMode"]
    kind, _, other = mode.partition(":")
    return _network(client, other) if kind == "container" else mode


def _addresses(container: dict[str, Any]) -> set[str]:
    """Those that the engine has given it."""
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        each[which] for each in networks.values() for which in ("IPAddress", "GlobalIPv6Address") if each.get(which)
    }


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
