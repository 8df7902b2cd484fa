"""A real Kafka broker as a process of this machine: no container, nothing installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from integrity import mounts
from integrity.brokers import jvm, kraft
from integrity.brokers.base import (
    BALLAST,
    KILL_SECONDS,
    SMALL_DISK_MIB,
    Broker,
    BrokerConfig,
    BrokerFailed,
    require_older,
)
from integrity.brokers.distribution import Distribution, fetch
from integrity.errors import NotPossible, Unavailable
from integrity.runs import Run
from integrity.waiting import scaled, wait_until

#: Seconds for the threads of a process to stop once it was told to.
FREEZE_SECONDS = 10.0


class EmbeddedBroker(Broker):
    """One combined KRaft node (broker and controller) listening on loopback.

    Its folder below the run's holds ``data``, ``server.properties`` and ``server.log`` (every start appends).
    """

    kind = "embedded"

    def __init__(
        self,
        config: BrokerConfig,
        *,
        distribution: Distribution,
        run: Run,
        extra_flags: list[str] | None = None,
    ) -> None:
        super().__init__(config)
        self._distribution = self._own_distribution = distribution
        self._run = run
        self._extra_flags = extra_flags
        self._port = run.lease_port()
        self._controller_port = run.lease_port()
        self._folder = run.directory / f"broker-{config.node}-{self._port}"
        self._log_file = self._folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._discarded = False

    # -- what it is ---------------------------------------------------------------------------------
    @property
    def controller_address(self) -> str:
        """``host:port`` at which the other controllers of its cluster reach it."""
        return f"127.0.0.1:{self._controller_port}"

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def version(self) -> str:
        return f"Apache Kafka {self._distribution.version}"

    @property
    def data_directory(self) -> Path:
        return self._folder / "data"

    @property
    def started_at(self) -> float | None:
        if self._process is None or self._process.poll() is not None:
            return None
        return psutil.Process(self._process.pid).create_time()

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self, mark: int = 0) -> str:
        if not self._log_file.exists():
            return ""
        with open(self._log_file, "rb") as file:
            file.seek(mark)
            return file.read().decode(errors="replace")

    def log_mark(self) -> int:
        return self._log_file.stat().st_size if self._log_file.exists() else 0

    @contextmanager
    def files(self) -> Iterator[Path]:
        """The data directory, for a fault that changes files while the broker is down."""
        yield self.data_directory

    @contextmanager
    def look(self) -> Iterator[Path]:
        """The data directory to read in, whether the broker runs or not; what is being written may be missed."""
        yield self.data_directory

    def peek(self, name: str) -> bytes:
        """The content of a file directly in the data directory, whether the broker runs or not."""
        return (self.data_directory / name).read_bytes()

    # -- what happens to it -------------------------------------------------------------------------
    def become(self, version: str | None) -> None:
        if self.is_alive():
            raise BrokerFailed(f"{self.label} still runs: its version can be changed only while it is down")
        if version is None:
            self._distribution = self._own_distribution
            return
        require_older(version, self._own_distribution.version)
        try:
            self._distribution = fetch(version)
        except Unavailable as error:
            raise NotPossible(str(error)) from error
        jvm.prepare(self._distribution, self._run)

    def use_small_disk(self) -> None:
        jvm.format_storage(self._distribution, self.data_directory, self.config.node)
        formatted = self.data_directory.rename(self._folder / "formatted")
        self.data_directory.mkdir()
        mounts.mount_small(self.data_directory, SMALL_DISK_MIB)
        shutil.copytree(formatted, self.data_directory, dirs_exist_ok=True)
        (self.data_directory / BALLAST).write_bytes(bytes(SMALL_DISK_MIB << 19))

    def make_room(self) -> None:
        (self.data_directory / BALLAST).unlink()

    def _launch(self) -> None:
        # Empty, it was replaced: as with every image that takes KAFKA_*, the next start formats it.
        if not self.data_directory.exists() or not any(self.data_directory.iterdir()):
            jvm.format_storage(self._distribution, self.data_directory, self.config.node)
        self.server_properties = self._settings()
        (self._folder / "server.properties").write_text(kraft.properties(self.server_properties))
        flags = self._extra_flags if self._extra_flags is not None else jvm.start_flags(self._distribution)
        words = jvm.command(
            self._distribution, self._folder, "kafka.Kafka", str(self._folder / "server.properties"), flags=flags
        )
        with open(self._log_file, "ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches the suite, which then stops the broker.
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )

    def _terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _freeze(self) -> None:
        if self.is_frozen:
            return
        self._signal(signal.SIGSTOP)
        # On a busy machine its threads may go on for a moment, and acknowledge what is sent after the freeze.
        wait_until(self._stands_still, what=f"{self.label} to stand still", seconds=FREEZE_SECONDS)

    def _stands_still(self) -> bool:
        """Whether every thread of the process has stopped; True as well when it has ended."""
        if self._process is None or self._process.poll() is not None:
            return True
        if hasattr(os, "waitid"):  # tells of a child once all of it has stopped; on macOS since Python 3.13
            return os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOHANG) is not None
        return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

    def _thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            # It may end, and its owner's script may have waited for it, between the look and the signal.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def _discard(self) -> None:
        if self._discarded:
            return
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._await_end(self._process)
        if self._folder.exists():
            mounts.unmount_below(self._folder)
            shutil.rmtree(self._folder)
        self._run.release_port(self._port)
        self._run.release_port(self._controller_port)
        self._discarded = True

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        seconds = scaled(KILL_SECONDS)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            # The system lets no process end that waits for a disk, and the disk may never answer.
            what = f"process {process.pid} of {self.label} to end, which was killed"
            raise BrokerFailed(f"waited {seconds:.0f} s for {what}, in vain") from None

    def _settings(self) -> dict[str, str]:
        own = {
            "process.roles": "broker,controller",
            "node.id": str(self.config.node),
            "controller.quorum.voters": f"{self.config.node}@127.0.0.1:{self._controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self._port},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self._port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(self.data_directory),
        }
        return own | kraft.defaults(self.config.brokers) | dict(self.config.settings) | self._adopted
