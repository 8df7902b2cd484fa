"""Somebody else's cluster, as a Broker: asked through clients, and taken down only by the commands that were given.

What is promised to its owner
    Topics, groups and transactional ids of a run carry the run's prefix; topics and groups are deleted at the end of
    each feature, and nothing else is written to, changed or deleted. If a scenario ends while the cluster is down, it
    is started again.

What proves that it was down
    Kafka tells no client when a broker was started. So while a command runs, and after it, new clients look at the
    cluster again and again. It counts as having been down only if
    - one of them was refused at every address, or had its connection closed there without an answer, or
    - SILENT_LOOKS of them in a row got no answer at any address for whatever other reason (silence, no way there, no
      such name): a single slow answer is no proof, or
    - one of them was told of fewer brokers than before.
    A cluster that does not let a client in (credentials, certificates, protocol) has answered, and is up. A single
    broker cannot be restarted unseen: it must close its listener. Of one of several brokers it is proven that the
    cluster gave it up and took it back, not that its process is a new one; behind a load balancer that last sign is the
    only one. And one that led none of a scenario's partitions, or coordinated none of its groups or transactions where
    it has any, proves nothing about them: the scenario is skipped (see leaders).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from integrity.brokers import commands, leavings
from integrity.brokers.base import Broker, BrokerConfig, BrokerFailed
from integrity.brokers.leaders import SILENT_LOOKS, Leaders
from integrity.clients import wire
from integrity.clients.security import secrets
from integrity.clients.types import Connection
from integrity.endings import end_all
from integrity.errors import NotPossible, Unavailable
from integrity.waiting import WaitTimeout, wait_until

#: Seconds, before timeout_factor: until a broker that was asked to go has gone, and until all are back.
GONE_SECONDS = 60.0
READY_SECONDS = 300.0

#: Seconds for a look at the cluster; a broker that is just starting accepts connections and answers late.
LOOK_SECONDS = 2.0

#: Seconds, before timeout_factor, for which a cluster that should be whole is looked at again before it is called
#: otherwise: one slow answer proves nothing.
PATIENCE_SECONDS = 10.0

#: The same for a cluster that nobody has taken down, before the first scenario on it: it is not about to start.
THERE_SECONDS = 60.0

#: The event of a scenario that begins while the cluster's owner has taken a broker away, say. Nobody's act here.
INCOMPLETE = "incomplete"

#: Replicas of a topic, where there are as many brokers.
REPLICAS = 3

#: What ``demand`` takes, and why an external cluster cannot do it. None: it can if a command was given.
_NOT_HERE = {
    "frozen": "an external cluster cannot be frozen",
    "files": "the files of an external cluster are not the suite's to read or change",
    "log": "the logs of an external cluster are not the suite's to read",
    "settings": "the settings of an external cluster are not the suite's to choose",
    "container": "the containers of an external cluster are not the suite's to remove",
    "roles": "the brokers of an external cluster cannot be taken down one by one",
}


class ExternalBroker(Broker):
    """The whole cluster behind ``bootstrap_servers``.

    connection: with the prefix of the run's topics and groups. note: the file that says so to later runs (see
    leavings). A command is a list of words, or None: then scenarios that need it are skipped. known: the node ids of
    its brokers, where they have been seen before; without, those of the first look.
    """

    kind = "external"
    lends_files = False
    least_session = 6.0  # group.min.session.timeout.ms, unless its owner has lowered it

    def __init__(
        self,
        connection: Connection,
        *,
        note: Path,
        stop_command: Sequence[str] | None = None,
        start_command: Sequence[str] | None = None,
        kill_command: Sequence[str] | None = None,
        known: frozenset[int] = frozenset(),
    ) -> None:
        super().__init__(BrokerConfig())
        self.label = "the cluster"
        self._connection = connection
        self._note = note
        self._commands = {"stop_command": stop_command, "start_command": start_command, "kill_command": kill_command}
        self._secrets = secrets(connection.properties)
        self._nodes = known
        self._since: float | None = None
        self._is_down = False
        self._seen_down = ""
        self._silent = 0
        self._denied = ""
        self._leaders = Leaders(connection)
        self.beside = ""
        self._transcript = ""
        #: What the last look for all brokers found, in words.
        self._found = "nobody has looked yet"

    # -- what it is ---------------------------------------------------------------------------------
    @property
    def bootstrap_servers(self) -> str:
        return self.connection.bootstrap_servers

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def client_properties(self) -> Mapping[str, str]:
        return self.connection.properties

    @property
    def version(self) -> str:
        return f"an existing cluster at {self.bootstrap_servers}"

    @property
    def known(self) -> frozenset[int]:
        """The node ids of its brokers, as first seen; none before that."""
        return self._nodes

    @property
    def _can_go(self) -> bool:
        """Whether there is a command that takes it down."""
        return any(self._commands[option] is not None for option in ("stop_command", "kill_command"))

    @property
    def replication(self) -> int:
        return max(1, min(REPLICAS, len(self._nodes)))

    @property
    def started_at(self) -> float | None:
        """When it was first seen whole, or seen whole again after it was down; None while it is down."""
        return None if self._is_down else self._since

    @property
    def data_directory(self) -> Path | None:
        """None: its files are somewhere else."""
        return None

    def is_alive(self) -> bool:
        """True when somebody answers, be it to say that we may not come in."""
        try:
            self._look()
        except wire.NoAnswer:
            return False
        except wire.AccessDenied:
            return True
        return True

    def is_usable(self) -> bool:
        """True when new clients find it good, within PATIENCE_SECONDS; see ``_is_good``."""
        return not self._is_down and self._is_soon(self._is_good)

    def check_alive(self) -> None:
        """Nothing: a cluster that does not answer for a moment is its clients' business, and shows there."""

    def log(self, mark: int = 0) -> str:
        """What the commands have printed; the brokers' own logs are somewhere else."""
        return self._transcript[mark:]

    def demand(self, ability: str) -> None:
        """Raise NotPossible, with the reason, when this cannot be had: "stopped", "killed", or a key of _NOT_HERE."""
        if ability in _NOT_HERE:
            raise NotPossible(_NOT_HERE[ability])
        option = {"stopped": "stop_command", "killed": "kill_command"}[ability]
        if self._commands[option] is None:
            raise NotPossible(f"the cluster cannot be {ability}: no -D {option} was given")

    # -- its life -----------------------------------------------------------------------------------
    def begin_scenario(self) -> None:
        if self._can_go:
            self._leaders.begin()
            return
        with suppress(Unavailable):  # one slow answer proves nothing, and what is amiss shows at the clients
            if not self._has_all(self._look()):
                self.listener(self.label, INCOMPLETE, self._found)

    def await_ready(self) -> None:
        """Wait until new clients find it good; see ``_is_good``. Raises BrokerFailed."""
        untouched = self._since is None and not self._is_down
        unstarted = not untouched and self._commands["start_command"] is None
        try:
            wait_until(
                self._is_good,
                what=f"{self._good} of the cluster at {self.bootstrap_servers} to answer",
                seconds=THERE_SECONDS if untouched else READY_SECONDS,
                detail=lambda: f"{self._found}{'; no -D start_command was given' if unstarted else ''}",
                poll_seconds=commands.LOOK_SECONDS,
            )
        except WaitTimeout as timeout:
            raise BrokerFailed(str(timeout)) from timeout
        if self._is_down or self._since is None:
            self._since = time.time()
        self._is_down = False
        self.listener(self.label, "ready", "")

    def launch(self) -> None:
        """Start it if it was taken down; a cluster that is up is left alone."""
        if self._is_down and self._commands["start_command"] is not None:
            self._launch()
            self.listener(self.label, "started", "")

    def stop(self) -> None:
        """Take it down in order. Raises NotPossible without a stop_command, BrokerFailed when it is not seen to go."""
        self._take_down("stopped", "stop_command")

    def kill(self) -> None:
        """Take it down without warning. Raises NotPossible without a kill_command, BrokerFailed as ``stop`` does."""
        self._take_down("killed", "kill_command")

    def freeze(self) -> None:
        self.demand("frozen")

    def thaw(self) -> None:
        self.demand("frozen")

    def refuses_connections(self) -> bool:
        """True when it was seen to be down, in the sense of this module's first lines, since it was taken down."""
        return bool(self._seen_down)

    def _take_down(self, how: str, option: str) -> None:
        self.demand(how)
        if not self.is_usable():
            raise BrokerFailed(f"the cluster was to be {how}, and is not whole to begin with: {self._found}")
        self._leaders.note()
        self._is_down, self._seen_down, self._silent, self._denied, self.beside = True, "", 0, "", ""
        try:
            self._run(option, watch=self._watch)
        except BrokerFailed:
            # It may have failed before it did anything: what never went is not to be started.
            self._is_down = bool(self._seen_down) or not self._is_soon(self._is_whole)
            raise
        try:
            wait_until(
                self._watch,
                what=f"a broker to go, after the {option} had ended",
                seconds=GONE_SECONDS,
                poll_seconds=commands.LOOK_SECONDS,
            )
        except WaitTimeout as timeout:
            self._is_down = False
            answers = f"it answers, but does not let us in any more ({self._denied})" if self._denied else ""
            raise BrokerFailed(
                f"{timeout}: {answers or 'every broker still answers'}, so nothing shows that it was {how}"
            ) from timeout
        self.beside = self._says_beside(option)
        self.listener(self.label, how, self._seen_down)

    def _says_beside(self, option: str) -> str:
        """Why what has gone proves nothing, in a sentence; empty where it does. Of several others may go later."""
        try:
            wait_until(
                self._leaders.look,
                what="a broker to go that has what the scenario is about",
                seconds=PATIENCE_SECONDS + self._leaders.longest_silence,
                poll_seconds=commands.LOOK_SECONDS,
            )
        except WaitTimeout:
            gone = " and ".join(f"broker {node}" for node in sorted(self._leaders.gone)) or "a broker"
            return (
                f"the {option} took down {gone}, which {' and '.join(self._leaders.unmet)}: that proves nothing of "
                "them; a command that takes down every broker would"
            )
        return ""

    def _run(self, option: str, **more) -> None:
        words = self._commands[option]
        assert words is not None, "demand has been asked"
        output = commands.run(option, words, secrets=self._secrets, **more)
        self._transcript += f"-D {option}:\n{output}\n"

    def _watch(self) -> str:
        """Look, and remember the first sign of its being down; returns the sign, in words."""
        if self._seen_down:
            self._leaders.look()  # a command may take down one broker after the other
        else:
            self._look_for_a_sign()
        return self._seen_down

    def _look_for_a_sign(self) -> None:
        try:
            found = self._look()
        except wire.Closed:
            self._seen_down = "no address answered"
        except wire.NoAnswer:
            self._silent += 1
            if self._silent >= SILENT_LOOKS:
                self._seen_down = f"no address answered, {SILENT_LOOKS} times in a row"
        except wire.AccessDenied as error:
            self._silent, self._denied = 0, str(error)
        else:
            self._silent, self._denied = 0, ""
            if missing := self._nodes - found:
                self._leaders.lose(missing)
                self._seen_down = f"without broker {', '.join(map(str, sorted(missing)))}"

    def _is_whole(self) -> bool:
        """Whether every broker is there that was there at the first look, which is this one if none was before."""
        try:
            return self._has_all(self._look())
        except Unavailable as error:
            self._found = str(error)
            return False

    def _has_all(self, found: frozenset[int]) -> bool:
        """Whether these, of a look, are all the brokers there are; those of the first look are."""
        self._nodes = self._nodes or found
        self._found = f"brokers {sorted(found)} are there, of {sorted(self._nodes | found)}"
        return bool(found) and self._nodes <= found

    def _is_good(self) -> bool:
        """Whether scenarios can work with it: whole, where a command may take it down, which is to be seen.

        Where none does, its owner may be restarting one broker after the other: then all of the run's partitions must
        be led, whoever is missing.
        """
        if self._is_whole():
            return True
        if self._can_go:
            return False
        try:
            answer = wire.metadata(self.bootstrap_servers, self.client_properties, LOOK_SECONDS, topics=None)
        except Unavailable as error:
            self._found = str(error)
            return False
        own = [topic for topic in answer.topics if topic.name.startswith(self.connection.prefix)]
        unled = [topic.name for topic in own if any(part.leader_id < 0 for part in topic.partitions)]
        if unled:
            self._found += f"; nobody leads partitions of {', '.join(unled)}"
        return bool(answer.brokers) and not unled

    @property
    def _good(self) -> str:
        return "all brokers" if self._can_go else "brokers that lead all partitions of this run's"

    def _is_soon(self, condition: Callable[[], bool]) -> bool:
        try:
            return wait_until(
                condition,
                what=f"{self._good} of the cluster to answer",
                seconds=PATIENCE_SECONDS,
                poll_seconds=commands.LOOK_SECONDS,
            )
        except WaitTimeout:
            return False

    def _look(self) -> frozenset[int]:
        """The node ids that a new client is told of. Raises what wire.metadata does."""
        answer = wire.metadata(self.bootstrap_servers, self.client_properties, LOOK_SECONDS)
        return frozenset(broker.node_id for broker in answer.brokers)

    # -- what the shared life cycle calls elsewhere -----------------------------------------------------
    def _launch(self) -> None:
        self._run("start_command")

    def _discard(self) -> None:
        """Start it if it is down, and delete what the run made. Raises BrokerFailed when either cannot be done."""
        has_made_something = self._since is not None
        endings: list[Callable[[], object]] = [self.start] if self._is_down else []
        if has_made_something:
            endings.append(lambda: leavings.remove(self.connection))
        end_all(endings)
        self._note.unlink(missing_ok=True)

    def _terminate(self) -> NoReturn:
        raise NotImplementedError("stop does it")

    _kill = _freeze = _thaw = _terminate
