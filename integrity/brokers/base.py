"""One interface for every broker, and the life cycle they share.

A broker is created, started, and from then on stopped, killed, frozen and started again on the same data
and the same address. Subclasses only say how their process or container is launched and signalled; when a
broker counts as ready, stopped or dead is decided here, once for all of them.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from integrity.brokers import probe
from integrity.clients.types import Connection
from integrity.errors import NotPossible
from integrity.listening import Listener, ignore
from integrity.waiting import WaitTimeout, wait_until

#: Bounds in seconds, before timeout_factor. Generous: a wait ends as soon as its condition holds.
READY_SECONDS = 60.0
STOP_SECONDS = 60.0
KILL_SECONDS = 20.0

#: The volume of a broker with a small disk (MiB), and the file that takes half of it until room is made.
SMALL_DISK_MIB = 32
BALLAST = "taken"

#: Lines of a broker's log that go into an error's text.
TAIL_LINES = 15

#: A line of a log that tells what went wrong, among how many at the log's end it is looked for (a broker that gives up
#: still tells of all that it shuts down), and how much of it is told in one line.
_COMPLAINT = re.compile(r" (ERROR|FATAL) |^\s*(Caused by: )?\S*(Exception|Error): ")
_COMPLAINT_LINES = 300
_COMPLAINT_CHARACTERS = 160


class BrokerFailed(Exception):
    """A broker did not start, did not stop, or died on its own; the text ends with the tail of its log."""


@dataclass(frozen=True)
class BrokerConfig:
    """What a broker is asked to be.

    node: the KRaft node id, 1 and up. settings: server properties over the suite's own defaults
    (``{"log.flush.interval.messages": "1"}``). label: the name used in sentences, logs and events.
    brokers: how many there are in its cluster.
    """

    node: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    brokers: int = 1

    @property
    def label(self) -> str:
        return f"broker {self.node}"


def require_older(version: str, own: str) -> None:
    """Raise NotPossible unless ``version`` is an older one than ``own``; both like "3.9.1"."""
    if [int(part) for part in version.split(".")] >= [int(part) for part in own.split(".")]:
        raise NotPossible(f"Kafka {own} is under test, so there is no upgrade from {version}")


class Broker(ABC):
    """A real Kafka broker under the suite's control.

    ``listener`` may be replaced at any time; it hears 'started', 'ready', 'stopped', 'killed', 'frozen',
    'thawed' after each has happened.
    """

    #: "embedded", "docker" or "external"
    kind: str
    #: Seconds between two looks at it while something is waited for: of a start's 1.5 s 140 looks took 0.07 s of
    #: processor time, which the broker could have used.
    poll_seconds = 0.025
    #: Seconds, before timeout_factor, that its address may go on accepting connections once its process has gone, which
    #: are then somebody's in between. 0: there is nobody.
    closing_seconds = 0.0

    def __init__(self, config: BrokerConfig) -> None:
        self.config = config
        self.label = config.label
        self.listener: Listener = ignore
        #: Whether it is suspended: it lives, and whoever asks it something waits in vain.
        self.is_frozen = False
        self._expected_alive = False
        #: How often it was started.
        self._lives = 0
        #: "stopped" or "killed" until it is ready again.
        self._taken_down = ""
        self._adopted: dict[str, str] = {}
        #: Those that it was last started with (in a container: those that the suite has chosen, to which the image adds
        #: its own); none before its first start, and where they are not the suite's to know.
        self.server_properties: Mapping[str, str] = {}

    # -- what subclasses say ------------------------------------------------------------------------
    @property
    @abstractmethod
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients; it stays the same over restarts."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Kafka's version or the image's name, for reports."""

    @property
    @abstractmethod
    def started_at(self) -> float | None:
        """When the running process was started (seconds since the epoch, by the system's account), or None."""

    @property
    @abstractmethod
    def data_directory(self) -> Path | None:
        """Where the topics' files can be reached from this machine, or None."""

    @abstractmethod
    def is_alive(self) -> bool:
        """Whether its process runs (a frozen one does)."""

    @abstractmethod
    def log(self, mark: int = 0) -> str:
        """What the broker has logged since ``mark``, by default since it was created, over every start."""

    def log_mark(self) -> int:
        """The present end of its log, for ``log`` to begin at."""
        return len(self.log())

    @abstractmethod
    def _launch(self) -> None:
        """Start the process or container on the existing data; return without waiting for readiness."""

    @abstractmethod
    def _terminate(self) -> None:
        """Ask it to stop in order (SIGTERM); return without waiting."""

    @abstractmethod
    def _kill(self) -> None:
        """End it without warning (SIGKILL); return without waiting."""

    @abstractmethod
    def _freeze(self) -> None:
        """Stop it from being scheduled; its sockets stay open and silent."""

    @abstractmethod
    def _thaw(self) -> None:
        """Let a frozen one run on."""

    @abstractmethod
    def _discard(self) -> None:
        """Remove the process or container and its data. Called once, whatever state it is in."""

    def become(self, version: str | None) -> None:
        """Run this version of Kafka ("3.9.1") from the next start on, on the same data; None: the run's own again.

        Raises NotPossible where it cannot be had or is not older than the run's own, BrokerFailed while it runs.
        """
        raise NotPossible(f"the version of a broker of kind {self.kind} is not the suite's to choose")

    def use_small_disk(self) -> None:
        """Keep the data on a volume of some MiB, half of it taken, from the first start on.

        Raises NotPossible where no such volume can be had.
        """
        raise NotPossible(f"a disk small enough to be filled can be had for embedded brokers, not for {self.kind} ones")

    def make_room(self) -> None:
        """Give back the half of the small volume that was taken."""
        raise NotPossible(f"the disk of a broker of kind {self.kind} is not the suite's to change")

    # -- what every broker does ---------------------------------------------------------------------
    @property
    def nodes(self) -> Sequence[Broker]:
        """The single brokers of which it consists: itself, and for a cluster each of its members."""
        return [self]

    @property
    def client_properties(self) -> Mapping[str, str]:
        """What clients need beside its address, as Kafka's own clients take it (TLS, credentials)."""
        return {}

    @property
    def connection(self) -> Connection:
        """How clients reach it; what they wait for ends at once, with BrokerFailed, when it dies on its own."""
        return Connection(self.bootstrap_servers, self.client_properties, check=self.check_alive)

    @property
    def replication(self) -> int:
        """Replicas that a topic can have on it."""
        return len(self.nodes)

    #: Whether it is in a container, which can be removed and made again around its data.
    in_container = False

    #: Why the last time it was taken down proves nothing, in a sentence; empty where it does. It may be one of several.
    beside = ""

    #: Whether its files can be had, running or not; see ``files`` of each kind.
    lends_files = True

    def demand(self, ability: str) -> None:
        """Raise NotPossible where it cannot be "stopped", "killed" or "frozen", or its files, log or container be had.

        The last three are "files", "log", "container".
        """
        if ability == "container" and not self.in_container:
            raise NotPossible(f"an {self.kind} broker is in no container that could be removed")

    def begin_scenario(self) -> None:
        """Another scenario is about to work with it; what is there by then is none of that one's."""
        return

    def adopt(self, settings: Mapping[str, str]) -> None:
        """Server properties over all others, for the next start of its process (embedded) or the first (docker)."""
        self._adopted |= settings

    def start(self) -> None:
        """Start it and wait until a fresh client gets metadata that names it.

        Raises BrokerFailed, with the log's tail, when it dies on the way or is not ready within the bound.
        """
        self.launch()
        self.await_ready()

    def await_ready(self) -> None:
        """Wait until a launched broker is ready. Raises BrokerFailed as ``start`` does, or when it is taken down."""
        self._wait(
            lambda: probe.answers(self.bootstrap_servers, self.config.node),
            what=f"{self.label} to answer at {self.bootstrap_servers}",
            seconds=READY_SECONDS,
            check=self._check_coming,
        )
        self._taken_down = ""
        self.listener(self.label, "ready", "")

    def launch(self) -> None:
        """Start its process and return at once; ``start`` is what one usually wants."""
        self.is_frozen = False
        self._launch()
        # Only now: clients at work may ask at any moment whether it has died.
        self._lives += 1
        self._expected_alive = True
        self.listener(self.label, "started", "")

    def stop(self) -> None:
        """Stop it in order and wait until its process is gone. Raises BrokerFailed when it will not."""
        self._expected_alive = False
        self._terminate()
        self._wait_gone(STOP_SECONDS)
        self._taken_down = "stopped"
        self.listener(self.label, "stopped", "")

    def kill(self) -> None:
        """End it without warning, as a crash would, and wait until its process is gone."""
        self._expected_alive = False
        self._kill()
        self._wait_gone(KILL_SECONDS)
        self._taken_down = "killed"
        self.listener(self.label, "killed", "")

    def freeze(self) -> None:
        """Suspend it: connections stay open, nothing answers."""
        self._freeze()
        self.is_frozen = True
        self.listener(self.label, "frozen", "")

    def thaw(self) -> None:
        """Let it run on after a freeze."""
        self._thaw()
        self.is_frozen = False
        self.listener(self.label, "thawed", "")

    def expect_death(self) -> None:
        """Until it is started again, do not take it for a failure when it gives up by itself."""
        self._expected_alive = False

    def wait_for_death(self, why: str, seconds: float = STOP_SECONDS) -> None:
        """Wait until it gives up by itself, as it must when ``why``. Raises BrokerFailed when it goes on."""
        self.expect_death()
        self._wait(lambda: not self.is_alive(), what=f"{self.label} to give up because {why}", seconds=seconds)
        self.listener(self.label, "died", why)

    def discard(self) -> None:
        """Take it down and delete its data; safe in any state, and more than once."""
        self._expected_alive = False
        self._discard()

    def refuses_connections(self) -> bool:
        """True when its address refuses: nothing listens there any more."""
        return probe.refuses(self.bootstrap_servers)

    def is_usable(self) -> bool:
        """True when it runs and answers a new client now."""
        return self.is_alive() and probe.answers(self.bootstrap_servers, self.config.node)

    def check_alive(self) -> None:
        """Raise BrokerFailed, with the log's tail, when it should be running and is not; from any thread."""
        life = self._lives
        if not self._expected_alive or self.is_alive():
            return
        # It may have been taken down on purpose, and even started again, between these two looks.
        if self._expected_alive and self._lives == life:
            raise BrokerFailed(f"{self.label} died on its own{self._last_words()}")

    def _check_coming(self) -> None:
        # Where several are waited for at a time and the run is interrupted, the threads that wait are to end as well.
        if not self._expected_alive:
            raise BrokerFailed(f"{self.label} was taken down while it was waited for")
        self.check_alive()

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of its log, indented, for an error's text."""
        tail = self.log().splitlines()[-lines:]
        return "\n".join("    " + line for line in tail) or "    (the log is empty)"

    def _last_words(self) -> str:
        """How it was taken down and its log's last complaint, since many see one line only; then the log's tail."""
        late = self.log_tail(_COMPLAINT_LINES).splitlines()
        tail = "\n".join(late[-TAIL_LINES:])
        complaints = [line.strip() for line in late if _COMPLAINT.search(line)]
        after = f" after it was {self._taken_down}" if self._taken_down else ""
        complaint = f" ({complaints[-1][:_COMPLAINT_CHARACTERS]})" if complaints else ""
        return f"{after}{complaint}; the end of its log:\n{tail}"

    def _wait(self, condition: Callable[[], bool], *, what: str, seconds: float, check=None) -> None:
        try:
            wait_until(condition, what=what, seconds=seconds, check=check, poll_seconds=self.poll_seconds)
        except WaitTimeout as timeout:
            raise BrokerFailed(f"{timeout}{self._last_words()}") from timeout

    def _wait_gone(self, seconds: float) -> None:
        self._wait(lambda: not self.is_alive(), what=f"{self.label} to end", seconds=seconds)
