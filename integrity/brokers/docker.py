"""A real Kafka broker in a container, through testcontainers: any image that takes ``KAFKA_*``.

One recipe serves apache/kafka, confluentinc/cp-kafka and the image that ``make image`` builds. Three things that
testcontainers' own Kafka module does otherwise make restarts possible: the host's port is chosen before the first
start, so that it can be advertised from the start and stays the same; the data lies in a named volume; and
a restart starts the same container again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from integrity.brokers import container_files, docker_image, kraft
from integrity.brokers.base import Broker, BrokerConfig, BrokerFailed
from integrity.brokers.docker_image import environment
from integrity.brokers.engine import (
    LABEL,
    can_pull,
    engine,
    full_name,
    has_image,
    obtain_image,
    remove_container,
    remove_leftovers,
    remove_volume,
)
from integrity.waiting import scaled

__all__ = ["DockerBroker", "can_pull", "engine", "has_image", "obtain_image", "remove_leftovers"]

#: Seconds for the engine to freeze a container, and what it says of one try in vain.
FREEZE_SECONDS = 10.0
UNABLE_TO_FREEZE = "unable to freeze"

#: The volume's place in the container; in all three images this folder exists and is the broker user's.
DATA = "/var/lib/kafka/data"

#: The same as the embedded broker's, so that three of them fit on a laptop.
HEAP = "-Xmx512m"

#: Where controllers reach each other, in a network of their own.
CONTROLLER_PORT = 9093

#: A container's address in a network changes when it is started or connected again; Java remembers addresses for 30 s.
#: (That there is none it remembers for 10 s whatever is said here: so says its security file, but for our image.)
FRESH_NAMES = "-Dsun.net.inetaddr.ttl=1"

#: Seconds for which "it is running" is believed while it should be; asking the engine at every look of a wait would
#: slow the start.
LOOK_SECONDS = 0.25

#: How many paths one command line takes, and seconds, before timeout_factor, for those to be deleted.
PATHS_AT_ONCE = 500
DELETE_SECONDS = 60.0


class _Run(Protocol):
    """What a broker needs of integrity.runs.Run: its hexadecimal id, for labels and names, and whose the port is."""

    @property
    def id(self) -> str: ...

    def release_port(self, port: int) -> None: ...


class DockerBroker(Broker):
    """One combined KRaft node (broker and controller) in a container, published on loopback only.

    image: any that takes ``KAFKA_*``; it is pulled at the first start where the engine has it not.
    port: a free port of this machine, leased of ``run``; it is released when the broker is discarded.
    Container and volume carry the label ``kafka-integrity.run`` with the run's id.
    """

    kind = "docker"
    in_container = True
    # Every look goes through the engine, or through its proxy: both take their share of the processors.
    poll_seconds = 0.04
    # An engine in a virtual machine may have a forwarder on this one, which looks every few seconds (Lima's: three)
    # which ports there still are.
    closing_seconds = 10.0

    def __init__(self, config: BrokerConfig, *, image: str, run: _Run, port: int) -> None:
        super().__init__(config)
        self._image = self._own_image = image
        self._run = run
        self._labels = {LABEL: run.id}
        self._port = port
        self._name = f"kafka-integrity-{run.id}-{config.node}-{secrets.token_hex(3)}"
        self._client = engine()
        self._started = None  # testcontainers' DockerContainer, from the first start on
        self._earlier_log = ""
        self._seen_alive = 0.0
        self._networks: list[str] = []
        self._discarded = False

    # -- what it is ---------------------------------------------------------------------------------
    @property
    def controller_address(self) -> str:
        """``host:port`` at which the other controllers of its cluster reach it, in a network they share."""
        return f"{self._name}:{CONTROLLER_PORT}"

    @property
    def port(self) -> int:
        """Where clients reach it, on this machine and in the container."""
        return self._port

    def join(self, network: str) -> None:
        """Be in this network as well from the first start on; others there reach it by its name."""
        self._networks.append(network)

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def version(self) -> str:
        return self._image

    @property
    def name(self) -> str:
        """The name of its container and of its volume."""
        return self._name

    @property
    def started_at(self) -> float | None:
        state = self._state()
        return datetime.fromisoformat(state["StartedAt"]).timestamp() if state.get("Running") else None

    @property
    def data_directory(self) -> None:
        """None: the volume is the engine's, which may be in a virtual machine; see ``files``."""
        return None

    def is_alive(self) -> bool:
        if self._expected_alive and time.monotonic() - self._seen_alive < LOOK_SECONDS:
            return True
        if not self._state().get("Running"):
            return False
        self._seen_alive = time.monotonic()
        return True

    def log(self, mark: int = 0) -> str:
        if self._started is None:
            return self._earlier_log[mark:]
        return (self._earlier_log + self._container.logs().decode(errors="replace"))[mark:]

    @contextmanager
    def files(self) -> Iterator[Path]:
        """A copy of the data directory while the broker is down; what is changed in it goes back at the end.

        Owners are kept, deletions too. When the block raises, nothing goes back. Raises BrokerFailed while the
        broker runs or when it never did.
        """
        if self._started is None or self.is_alive():
            raise BrokerFailed(f"the files of {self.label} can be had only after it was started and taken down")
        with container_files.lent(self._container, DATA, self._delete_files) as folder:
            yield folder

    @contextmanager
    def look(self) -> Iterator[Path]:
        """A copy of the data directory to read in, whether the broker runs or not."""
        with container_files.copied(self._container, DATA) as folder:
            yield folder

    def peek(self, name: str) -> bytes:
        """The content of a file directly in the data directory, whether the broker runs or not."""
        return container_files.content(self._container, f"{DATA}/{name}")

    # -- what happens to it -------------------------------------------------------------------------
    def become(self, version: str | None) -> None:
        own = self._own_image
        self.recreate(own if version is None else docker_image.of_version(own, version))

    def recreate(self, image: str | None = None) -> None:
        """Remove the container of a broker that is down; the next start makes a new one on the same data.

        image: for the new one, where it is to be another (an upgrade). The address and the log so far are kept.
        Raises BrokerFailed while the broker runs.
        """
        if self.is_alive():
            raise BrokerFailed(f"{self.label} still runs: it can be recreated only while it is down")
        if self._started is not None:
            self._earlier_log = self.log()
            remove_container(self._client, self._name)
            self._let_go()
        self._image = image or self._image

    def _launch(self) -> None:
        from docker.errors import APIError

        try:
            if self._started is None:
                self._create_and_start()
            else:
                self._container.start()
        except APIError as error:
            reason = " ".join(str(error.explanation or error).split())
            raise BrokerFailed(f"the engine could not start {self.label} ({self._image}): {reason}") from error

    def _create_and_start(self) -> None:
        obtain_image(self._image)
        from testcontainers.core.container import DockerContainer

        self.server_properties = self._settings()
        variables = self._variables(self.server_properties)
        self._client.volumes.create(self._name, labels=self._labels)
        container = DockerContainer(self._image)
        container.image = full_name(self._image)
        container.with_name(self._name).with_envs(**variables)
        container.with_volume_mapping(self._name, DATA, "rw")
        # with_bind_ports knows no address and would publish on every interface.
        container.ports[f"{self._port}/tcp"] = ("127.0.0.1", self._port)
        # The network is named because testcontainers otherwise looks for one the suite itself might be in.
        root = {"user": "0:0"} if docker_image.has_no_data(self._image) else {}
        container.with_kwargs(labels=self._labels, network="bridge", **root)
        self._started = container
        try:
            container.start()
        except BaseException:
            if container._container is None:  # the engine has made none: there is nothing to ask for a log or a state
                self._let_go()
            raise
        for network in self._networks:
            self._client.networks.get(network).connect(self._container)

    def _terminate(self) -> None:
        self._signal(self._container.attrs["Config"].get("StopSignal") or "SIGTERM")

    def _kill(self) -> None:
        self._signal("SIGKILL")
        # A frozen container gets the signal only when it is let go; most engines do that on their own.
        if self._state().get("Paused"):
            self._thaw()

    def _signal(self, name: str) -> None:
        from docker.errors import APIError

        self._seen_alive = 0.0
        try:
            self._container.kill(name)
        except APIError as error:
            if self._state().get("Running"):
                raise BrokerFailed(f"the engine could not send {name} to {self.label}: {error}") from error

    def _freeze(self) -> None:
        self._wait(self._pauses, what=f"the engine to freeze {self.label}", seconds=FREEZE_SECONDS)

    def _pauses(self) -> bool:
        """Whether the engine freezes it now. False when it tried in vain and has let all of it go again.

        With control groups of version 1 a freeze that meets a process which is just being made may never be complete;
        "a game of chances", as those say who made it (https://github.com/opencontainers/runc/pull/2791).
        """
        from docker.errors import APIError

        try:
            self._container.pause()
        except APIError as error:
            if UNABLE_TO_FREEZE in str(error):
                return False
            raise BrokerFailed(f"the engine could not freeze {self.label}: {error}") from error
        return True

    def _thaw(self) -> None:
        from docker.errors import APIError

        try:
            self._container.unpause()
        except APIError as error:
            # One that has died or was killed meanwhile is not frozen any more; why it did is for others to tell.
            if self._state().get("Running"):
                raise BrokerFailed(f"the engine could not thaw {self.label}: {error}") from error

    def _discard(self) -> None:
        if self._discarded:
            return
        self._seen_alive = 0.0
        remove_container(self._client, self._name)
        remove_volume(self._client, self._name)
        self._let_go()
        self._client.close()
        self._run.release_port(self._port)
        self._discarded = True

    def _let_go(self) -> None:
        """Forget the container, which is gone, and close the client that testcontainers has for it."""
        if self._started is not None:
            self._started.get_docker_client().client.close()
            self._started = None

    # -- how ----------------------------------------------------------------------------------------
    @property
    def _container(self):
        """Docker's own object for the one container that all starts share."""
        if self._started is None:
            raise BrokerFailed(f"{self.label} has not been started")
        return self._started.get_wrapped_container()

    def _state(self) -> dict:
        """The engine's account of the container at this moment; empty when there is none."""
        from docker.errors import NotFound

        if self._started is None:
            return {}
        try:
            self._container.reload()
        except NotFound:
            return {}
        return self._container.attrs["State"]

    def _settings(self) -> dict[str, str]:
        controller_port = 9093 if self._port != 9093 else 9094
        own = {
            "process.roles": "broker,controller",
            "node.id": str(self.config.node),
            "controller.quorum.voters": f"{self.config.node}@localhost:{controller_port}",
            # The port is the same inside and outside, so that the advertised address is true in both places.
            "listeners": f"PLAINTEXT://0.0.0.0:{self._port},CONTROLLER://localhost:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": DATA,
        }
        return own | kraft.defaults(self.config.brokers) | dict(self.config.settings) | self._adopted

    def _variables(self, settings: Mapping[str, str]) -> dict[str, str]:
        variables = environment(settings) | {"CLUSTER_ID": kraft.CLUSTER_ID, "KAFKA_HEAP_OPTS": HEAP}
        return variables | ({"JAVA_TOOL_OPTIONS": FRESH_NAMES} if self._networks else {})

    def _delete_files(self, names: list[str]) -> None:
        """Delete from the volume, by a helper of the same image: a stopped container runs no command."""
        for first in range(0, len(names), PATHS_AT_ONCE):
            paths = [f"{DATA}/{name}" for name in names[first : first + PATHS_AT_ONCE]]
            helper = self._client.containers.create(
                full_name(self._image),
                entrypoint=["rm", "-rf", "--"],
                command=paths,
                user="0:0",
                network_mode="none",
                volumes={self._name: {"bind": DATA, "mode": "rw"}},
                labels=self._labels,
            )
            try:
                self._delete_by(helper)
            except BaseException as error:
                try:
                    remove_container(self._client, helper.id)
                except Exception as consequence:  # noqa: BLE001 - what hangs can seldom be removed
                    error.add_note(f"nor could the container that was to delete them be removed: {consequence}")
                raise
            remove_container(self._client, helper.id)

    def _delete_by(self, helper) -> None:
        from requests import RequestException

        helper.start()
        seconds = scaled(DELETE_SECONDS)
        try:
            # Unless it is told a bound, docker's library waits without one, whatever its client's is.
            code = helper.wait(timeout=seconds)["StatusCode"]
        except RequestException as error:
            what = f"the engine to delete files of {self.label}"
            raise BrokerFailed(f"waited for {what}, up to {seconds:.0f} s, in vain: {error}") from error
        if code:
            said = helper.logs().decode(errors="replace").strip()
            raise BrokerFailed(f"files of {self.label} could not be deleted (exit code {code}): {said}")
