"""The container engine: is there one, has it an image, can it get one, and what did a run leave in it.

docker and testcontainers are imported where they are needed: a run without containers never pays for them.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from integrity import progress
from integrity.brokers import reach, registry
from integrity.errors import Unavailable
from integrity.machine import Room
from integrity.settings import Settings
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

#: Of an id, engines show so many characters to people.
SHORT_ID = 12

#: Where engines listen when nobody says otherwise (Docker, Docker Desktop), and where testcontainers is told otherwise.
SOCKETS = ("/var/run/docker.sock", "~/.docker/run/docker.sock", "~/.docker/desktop/docker.sock")
PROPERTIES = "~/.testcontainers.properties"

_NEEDS_NONE = "-D broker=embedded needs none"

#: Characters of a reason that the engine gives for having no image.
REASON = 300

#: The user and the password in an address.
_USER = re.compile(r"(?<=://)[^/\s@]+@")


class NoEngine(Unavailable):
    """No engine can be had. why: the reason alone, which names the address; the text says what to do as well."""

    def __init__(self, why: str, what_to_do: str) -> None:
        super().__init__(f"{why}: {what_to_do}")
        self.why = why


class NoImage(Unavailable):
    """The engine has not this image and cannot get it. why: the reason alone; the text says what to do as well."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.why = why


def is_likely() -> bool:
    """A look at the file system, so that an embedded run need not load an engine's client to learn there is none."""
    if os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT"):
        return True
    config = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker", "config.json").expanduser()
    places = [*SOCKETS, PROPERTIES]
    return any(Path(place).expanduser().exists() for place in places) or _mentions(config, b'"currentContext"')


def _mentions(file: Path, word: bytes) -> bool:
    return file.is_file() and word in file.read_bytes()


def address() -> str:
    """Where the engine is to be: as testcontainers' properties, DOCKER_HOST or docker's context say, or the default.

    testcontainers itself passes over ``docker.host``, as its siblings for other languages call it, and DOCKER_CONTEXT.
    Raises NoEngine when the context cannot be read.
    """
    from docker.constants import DEFAULT_UNIX_SOCKET
    from docker.context import ContextAPI
    from testcontainers.core.config import testcontainers_config

    properties = testcontainers_config.tc_properties
    host = properties.get("tc.host") or os.environ.get("DOCKER_HOST") or properties.get("docker.host")
    if host:
        return host
    name = os.environ.get("DOCKER_CONTEXT")
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # docker has no kind of its own for a file that it cannot read
        raise NoEngine(
            f"docker's context cannot be read: {error}", f"see `docker context ls`; {_NEEDS_NONE}"
        ) from error
    if context is None:
        raise NoEngine(
            f"docker has no context {name or 'of the name in its config.json'}",
            f"`docker context use` one of `docker context ls`; {_NEEDS_NONE}",
        )
    default = DEFAULT_UNIX_SOCKET.removeprefix("http+")
    return default if context.Name == "default" else context.Host or default


def engine():
    """A client (docker.DockerClient) of the engine that answers here; close it when done.

    Raises NoEngine, in one line, when none answers, when the one that does is another machine's, or when this is a
    container beside those that it runs.
    """
    # Its cleaner is a container too, from an image that may not be had; runs.py and remove_leftovers replace it.
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
    from docker import from_env
    from docker.errors import DockerException
    from testcontainers.core.config import testcontainers_config

    # It would log in with this for each client, pull or no pull; see integrity.brokers.registry. What sets it, warns.
    testcontainers_config._docker_auth_config = None
    host = address()
    where = urlsplit(host)
    if where.scheme == "ssh" or (where.scheme in ("tcp", "http", "https") and not _is_loopback(where.hostname)):
        raise NoEngine(
            f"the container engine at {host} is on another machine, but brokers are published on loopback only",
            f"choose another (DOCKER_HOST, docker context use), or use no engine ({_NEEDS_NONE})",
        )
    # For docker's library, and for testcontainers, which asks for the address once more.
    os.environ["DOCKER_HOST"] = host
    try:
        client = from_env(timeout=scaled(GREETING_SECONDS))
        is_outside = where.scheme.endswith("unix") and reach.is_out_of_reach(client)
    except (DockerException, OSError) as error:
        if "Permission denied" in str(error):
            why, what_to_do = f"the container engine at {host} refuses this user", "add the user to the group docker"
        else:
            why = f"no container engine answers at {host}"
            what_to_do = "start one (sudo systemctl start docker, or Docker Desktop)"
        raise NoEngine(why, f"{what_to_do}; {_NEEDS_NONE}") from error
    if is_outside:
        client.close()
        raise NoEngine(
            f"this is a container, and the engine at {host} is outside of it: brokers are published on the loopback of "
            f"the engine's machine",
            f"run on that machine itself, or in a container that has its network (--network=host); {_NEEDS_NONE}",
        )
    client.api.timeout = scaled(REQUEST_SECONDS)
    return client


def room() -> Room:
    """What the engine's machine has, be it used or not: it may be a virtual one, with a part of this one's.

    Raises Unavailable when no engine answers, or it cannot tell.
    """
    with (
        closing(engine()) as client,
        _one_line(lambda reason: Unavailable(f"the engine tells not what it has: {reason}")),
    ):
        has = client.info()
    return Room(has["NCPU"], has["MemTotal"])


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
        raise words(_USER.sub("", " ".join(str(reason).split()))) from error


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


def described(image: str) -> str:
    """The image's name and, as short as engines show it, its id, and its digest in the registry that it came from.

    A name may stand for another image tomorrow. The name alone where the engine cannot tell just now: reports want it,
    and no broker does. Raises Unavailable when the engine has none of that name.
    """
    from docker.errors import ImageNotFound

    try:
        found = _attributes(image)
    except Unavailable as error:
        if isinstance(error.__cause__, ImageNotFound):
            raise
        return image
    digests = [digest.rpartition("@")[2] for digest in found.get("RepoDigests") or ()]
    marks = [f"id {_short(found['Id'])}", *(f"digest {_short(digest)}" for digest in digests[:1])]
    return f"{image} ({', '.join(marks)})"


def _attributes(image: str) -> dict[str, Any]:
    with closing(engine()) as client, _one_line(lambda reason: Unavailable(f"the engine tells of no image: {reason}")):
        return client.images.get(full_name(image)).attrs


def _short(id: str) -> str:
    return id.removeprefix("sha256:")[:SHORT_ID]


def can_pull(image: str) -> bool:
    """Whether a registry that the engine reaches has the image; nothing is pulled.

    Raises Unavailable when no engine answers, or when it cannot be told who to be to the registry.
    """
    from docker.errors import DockerException
    from requests import RequestException

    if image.startswith(OWN_IMAGES):
        return False
    name = full_name(image)
    with closing(engine()) as client:
        client.api.timeout = scaled(REGISTRY_SECONDS)
        try:
            client.images.get_registry_data(name, auth_config=registry.credentials(name))
        except (DockerException, RequestException):
            return False
        return True


def obtain_image(image: str) -> None:
    """Make sure that the engine has the image, pulling it, with progress to see, where it has not.

    Raises NoImage, in one line, when the image cannot be had, and Unavailable when there is no engine.
    """
    if has_image(image):
        return
    if image.startswith(OWN_IMAGES):
        how = "`make image` builds it, without a registry"
        raise NoImage(f"the engine has no image {image}: {how}", how)
    progress.say(f"Pulling {image} (once per engine)…")
    with closing(engine()) as client, _one_line(lambda reason: _cannot_be_had(image, reason)):
        try:
            _pull(client, full_name(image))
        finally:
            progress.replace_line("")


def _pull(client, name: str) -> None:
    """Raises NoImage when nothing has come for PULL_SECONDS: docker's library would wait without a bound."""
    sizes: dict[str, tuple[int, int]] = {}
    repository, tag = _split(name)
    credentials = registry.credentials(name)
    heard = time.monotonic()

    def pull() -> None:
        nonlocal heard
        for part in client.api.pull(repository, tag=tag, stream=True, decode=True, auth_config=credentials):
            heard = time.monotonic()
            if "error" in part:
                raise _cannot_be_had(name, _USER.sub("", " ".join(part["error"].split())))
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


def _cannot_be_had(image: str, reason: str) -> NoImage:
    reason = reason[:REASON]
    return NoImage(
        f"the image {image} cannot be had: {reason}; "
        f"check its name and the network, or build one offline with `make image`, for "
        f"-D image={OWN_IMAGES}kafka:{Settings.kafka}",
        reason,
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
            # One that an earlier removal has left "dead" has lost its name.
            names = container["Names"] or [container["Id"][:SHORT_ID]]
            removed.containers.append(names[0].lstrip("/"))
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
