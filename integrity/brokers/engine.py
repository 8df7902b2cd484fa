"""The container engine: is there one, has it an image, can it get one, and what did a run leave in it.

docker and testcontainers are imported where they are needed: a run without containers never pays for them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from integrity import progress
from integrity.errors import Unavailable
from integrity.waiting import WaitTimeout, attended, scaled, wait_until

#: On every container, volume and network of a run; its value is the run's id.
LABEL = "kafka-integrity.run"

#: Images that ``make image`` builds. No registry is ever asked for them: there the name could be anybody's.
OWN_IMAGES = "kafka-integrity/"

#: Seconds, before timeout_factor, for the engine's first answer, for a registry's by way of it, and for any other.
GREETING_SECONDS = 5
REGISTRY_SECONDS = 15
REQUEST_SECONDS = 120

#: Seconds, before timeout_factor, between two signs of progress of a pull; a large layer is unpacked without any.
PULL_SECONDS = 300

_NEEDS_NONE = "-D broker=embedded needs none"


def engine():
    """A client (docker.DockerClient) of the engine that answers here; close it when done.

    The engine is looked for where testcontainers looks: its properties file, DOCKER_HOST, docker's context.
    Raises Unavailable, in one line, when none answers or when the one that does is another machine's.
    """
    # Its cleaner is a container too, from an image that may not be had; runs.py and remove_leftovers replace it.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from docker.errors import DockerException
    from testcontainers.core.docker_client import DockerClient, get_docker_host

    host = get_docker_host() or "the default socket"
    address = urlsplit(host)
    if address.scheme == "ssh" or (address.scheme == "tcp" and not _is_loopback(address.hostname)):
        raise Unavailable(
            f"the container engine at {host} is on another machine, but brokers are published on loopback only: "
            f"unset DOCKER_HOST, or use no engine ({_NEEDS_NONE})"
        )
    try:
        client = DockerClient(timeout=scaled(GREETING_SECONDS)).client
    except (DockerException, OSError) as error:
        if "Permission denied" in str(error):
            reason = f"the container engine at {host} refuses this user: add the user to the group docker"
        else:
            reason = (
                f"no container engine answers at {host}: start one (sudo systemctl start docker, or Docker Desktop)"
            )
        raise Unavailable(f"{reason}; {_NEEDS_NONE}") from error
    client.api.timeout = scaled(REQUEST_SECONDS)
    return client


def _is_loopback(host: str | None) -> bool:
    return host is None or host in ("localhost", "::1") or host.startswith("127.")


@contextmanager
def _one_line(words: Callable[[str], Unavailable]) -> Iterator[None]:
    """Raise what ``words`` makes of the reason, in one line, for whatever asking the engine raises.

    What comes in a stream (a pull's progress) is read past requests, and then the errors are urllib3's own.
    """
    from docker.errors import DockerException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (DockerException, HTTPError, OSError, WaitTimeout) as error:  # requests' errors are OSErrors
        reason = getattr(error, "explanation", None) or error
        raise words(" ".join(str(reason).split())) from error


def full_name(image: str) -> str:
    """The name the engine knows ``image`` by: with a tag, and with testcontainers' prefix where one is set.

    The prefix (TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX) is how a company's mirror is named.
    """
    from testcontainers.core.config import testcontainers_config

    if "@" not in image and ":" not in image.rpartition("/")[2]:
        image += ":latest"
    return image if image.startswith(OWN_IMAGES) else testcontainers_config.hub_image_name_prefix + image


def has_image(image: str) -> bool:
    """Whether the engine has the image already. Raises Unavailable when no engine answers."""
    return image_id(image) is not None


def image_id(image: str) -> str | None:
    """The engine's id of the image, or None when it has none of that name. Raises as ``has_image``."""
    from docker.errors import ImageNotFound

    with closing(engine()) as client, _one_line(lambda reason: Unavailable(f"the engine tells of no image: {reason}")):
        try:
            return client.images.get(full_name(image)).id
        except ImageNotFound:
            return None


def can_pull(image: str) -> bool:
    """Whether a registry that the engine reaches has the image; nothing is pulled.

    Raises Unavailable when no engine answers.
    """
    from docker.errors import APIError
    from requests import RequestException

    if image.startswith(OWN_IMAGES):
        return False
    with closing(engine()) as client:
        client.api.timeout = scaled(REGISTRY_SECONDS)
        try:
            client.images.get_registry_data(full_name(image))
        except (APIError, RequestException):
            return False
        return True


def obtain_image(image: str) -> None:
    """Make sure that the engine has the image, pulling it, with progress to see, where it has not.

    Raises Unavailable, in one line, when there is no engine or the image cannot be had.
    """
    if has_image(image):
        return
    if image.startswith(OWN_IMAGES):
        raise Unavailable(f"the engine has no image {image}: `make image` builds it, without a registry")
    progress.say(f"Pulling {image} (once per engine)…")
    with closing(engine()) as client, _one_line(lambda reason: _cannot_be_had(image, reason)):
        try:
            _pull(client, full_name(image))
        finally:
            progress.replace_line("")


def _pull(client, name: str) -> None:
    """Raises Unavailable when nothing has come for PULL_SECONDS: docker's library would wait without a bound."""
    sizes: dict[str, tuple[int, int]] = {}
    repository, tag = _split(name)
    heard = time.monotonic()

    def pull() -> None:
        nonlocal heard
        for part in client.api.pull(repository, tag=tag, stream=True, decode=True):
            heard = time.monotonic()
            if "error" in part:
                raise _cannot_be_had(name, " ".join(part["error"].split()))
            detail = part.get("progressDetail") or {}
            if part.get("status") == "Downloading" and "total" in detail:
                sizes[part["id"]] = (detail.get("current", 0), detail["total"])
                got, total = (sum(column) / 1e6 for column in zip(*sizes.values(), strict=True))
                progress.replace_line(f"  {got:.0f} of {total:.0f} MB")

    def check() -> None:
        if time.monotonic() - heard > scaled(PULL_SECONDS):
            raise _cannot_be_had(name, f"the engine has told of no progress for {scaled(PULL_SECONDS):.0f} s")

    attended(pull, check)


def _split(name: str) -> tuple[str, str]:
    """("apache/kafka", "4.3.1") of "apache/kafka:4.3.1"; a digest stands for a tag."""
    if "@" in name:
        repository, _, tag = name.partition("@")
    else:
        repository, _, tag = name.rpartition(":")
    return repository, tag


def _cannot_be_had(image: str, reason: str) -> Unavailable:
    return Unavailable(
        f"the image {image} cannot be had: {reason}; "
        f"check its name and the network, or build one offline with `make image`"
    )


@dataclass
class Removed:
    """What a sweep has taken away: names of containers, volumes and networks."""

    containers: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.containers or self.volumes or self.networks)

    def __str__(self) -> str:
        parts = {"container": self.containers, "volume": self.volumes, "network": self.networks}
        return ", ".join(f"{len(names)} {kind}{'s' * (len(names) > 1)}" for kind, names in parts.items() if names)


def remove_leftovers(run_id: str) -> Removed:
    """Remove the containers, then the volumes and networks that carry exactly this run's label; say which.

    Nothing else is touched. Raises Unavailable, in one line, when no engine answers or something cannot be removed.
    """
    removed = Removed()
    wanted = {"label": f"{LABEL}={run_id}"}
    what = "the engine could not remove what a run had left in it"
    with closing(engine()) as client, _one_line(lambda reason: Unavailable(f"{what}: {reason}")):
        for container in client.api.containers(all=True, filters=wanted):
            remove_container(client, container["Id"])
            removed.containers.append(container["Names"][0].lstrip("/"))
        for volume in client.volumes.list(filters=wanted):
            remove_volume(client, volume.name)
            removed.volumes.append(volume.name)
        for network in client.networks.list(filters=wanted):
            network.remove()
            removed.networks.append(network.name)
    return removed


def remove_container(client, name: str) -> None:
    """Remove a container, running or not, with its anonymous volumes; fine when there is none of that name."""
    from docker.errors import APIError, NotFound

    def is_gone() -> bool:
        try:
            client.api.remove_container(name, v=True, force=True)
        except NotFound:
            return True
        except APIError as error:
            if error.status_code == 409:  # somebody else's removal is in progress
                return False
            raise
        return True

    wait_until(is_gone, what=f"container {name} to be removed", seconds=30)


def remove_volume(client, name: str) -> None:
    """Remove a volume; fine when there is none of that name."""
    from docker.errors import NotFound

    try:
        client.api.remove_volume(name, force=True)
    except NotFound:
        return
