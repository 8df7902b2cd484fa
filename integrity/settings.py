"""The ``-D`` options: validated once, into one frozen dataclass.

Defaults stand in behave.ini and here alike, so that behave's own file shows what there is; a test compares
the two. Every error is one line that names the valid values.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from integrity.brokers import kinds
from integrity.errors import BadOption
from integrity.reports.masking import mask_command

BROKERS = ("auto", *kinds.NAMES)
CLIENTS = ("kafka-python", "confluent-kafka")
KEEP = ("failed", "always", "never")

#: How many publishers, and how many readers, a shard may have in one scenario; their ids are 32-bit integers.
SHARD_IDS = 1_000_000
MOST_SHARDS = 2_000

#: behave's own settings share the user-data section under this prefix.
BEHAVES_OWN = "behave."


@dataclass(frozen=True)
class Shard:
    """One machine's part of a run on several: number 1 to ``of``."""

    number: int
    of: int

    @property
    def first_id(self) -> int:
        """The first id of its publishers and readers; no other shard's come near it."""
        return (self.number - 1) * SHARD_IDS

    @property
    def label(self) -> str:
        """What its parts of a history are called; integrity.history.shards reads it."""
        return f"shard{self.number}of{self.of}"

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class Settings:
    """The options of a run. Commands are word lists, run without a shell; None where not given.

    messages: scale of the volume scenarios, None for the client's default. seed: for every random choice
    of a run, None for a fresh one. timeout_factor: multiplies every bound (1.0: a laptop of two cores).
    shard: which part of a run on several machines this is, None for a run on one. jobs: how many features are worked on
    side by side, None for what the machine takes.
    """

    broker: str = "auto"
    image: str = "apache/kafka:4.3.1"
    kafka: str = "4.3.1"
    client: str = "kafka-python"
    bootstrap_servers: str = ""
    client_config: Path | None = None
    stop_command: tuple[str, ...] | None = None
    start_command: tuple[str, ...] | None = None
    kill_command: tuple[str, ...] | None = None
    messages: int | None = None
    seed: int | None = None
    keep: str = "failed"
    timeout_factor: float = 1.0
    shard: Shard | None = None
    jobs: int | None = None


OPTIONS = tuple(field.name for field in fields(Settings))


def from_userdata(userdata: Mapping[str, str]) -> Settings:
    """The settings in behave's user data. Raises BadOption, in one line, for the first thing wrong."""
    given = {name: str(value).strip() for name, value in userdata.items() if not name.startswith(BEHAVES_OWN)}
    for name in given:
        if name not in OPTIONS:
            raise BadOption(_unknown(name))
    values = {name: _PARSERS[name](name, text) for name, text in given.items() if text}
    settings = Settings(**values)
    _check_together(settings, given)
    return settings


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown option -D {name}: {hint}Valid ones are {', '.join(OPTIONS)}"


def shown(settings: Settings, name: str) -> str:
    """An option's value as one would type it, empty where it was not given. Secrets are not hidden here."""
    value = getattr(settings, name)
    return "" if value is None else shlex.join(value) if isinstance(value, tuple) else str(value)


#: What only an existing cluster has a use for.
_EXTERNAL_ONLY = ("client_config", "stop_command", "start_command", "kill_command", "shard")


def _check_together(settings: Settings, given: Mapping[str, str]) -> None:
    if settings.broker == "external" and not settings.bootstrap_servers:
        raise BadOption("-D broker=external needs -D bootstrap_servers=host:port[,host:port]")
    if settings.bootstrap_servers and settings.broker != "external":
        raise BadOption("-D bootstrap_servers is for an existing cluster: add -D broker=external")
    for name in _EXTERNAL_ONLY:
        if getattr(settings, name) is not None and settings.broker != "external":
            raise BadOption(f"-D {name} is for an existing cluster: add -D broker=external")
    if settings.start_command is not None and settings.stop_command is None and settings.kill_command is None:
        raise BadOption("-D start_command is run only after -D stop_command or -D kill_command: add one of them")


def _choice(valid: tuple[str, ...]):
    def parse(name: str, text: str) -> str:
        if text not in valid:
            near = difflib.get_close_matches(text, valid, n=1, cutoff=0.5)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise BadOption(f"-D {name}={text}: not one of {', '.join(valid)}{hint}")
        return text

    return parse


def _version(name: str, text: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise BadOption(f"-D {name}={text}: a version looks like 4.3.1")
    return text


def _image(name: str, text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][\w.\-/:]*(@sha256:[0-9a-f]{64})?", text):
        raise BadOption(f"-D {name}={text}: an image looks like apache/kafka:4.3.1")
    return text


def _whole(least: int, most: int):
    def parse(name: str, text: str) -> int:
        digits = text.replace(",", "").replace("_", "")
        if not digits.isdecimal() or not least <= int(digits) <= most:
            raise BadOption(f"-D {name}={text}: a whole number from {least} to {most:,} is needed")
        return int(digits)

    return parse


def _factor(name: str, text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = float("nan")
    if not 0.1 <= factor <= 100:
        raise BadOption(f"-D {name}={text}: a number from 0.1 to 100 is needed")
    return factor


def _servers(name: str, text: str) -> str:
    for server in text.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise BadOption(f"-D {name}={text}: {server.strip()!r} is not host:port")
    return text


def _shard(name: str, text: str) -> Shard:
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST_SHARDS:
        raise BadOption(f"-D {name}={text}: a shard looks like 2/5, the second of five (at most {MOST_SHARDS:,})")
    return Shard(int(match[1]), int(match[2]))


def _jobs(name: str, text: str) -> int | None:
    if text == "auto":
        return None
    try:
        return _whole(1, 64)(name, text)
    except BadOption:
        raise BadOption(f"-D {name}={text}: auto or a whole number from 1 to 64 is needed") from None


def _file(name: str, text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise BadOption(f"-D {name}={text}: there is no such file")
    return path


def _command(name: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise BadOption(f"-D {name}={mask_command(text)}: not a command line ({error})") from error


_PARSERS = {
    "broker": _choice(BROKERS),
    "image": _image,
    "kafka": _version,
    "client": _choice(CLIENTS),
    "bootstrap_servers": _servers,
    "client_config": _file,
    "stop_command": _command,
    "start_command": _command,
    "kill_command": _command,
    "messages": _whole(1, 1_000_000_000),
    "seed": _whole(0, 2**63 - 1),
    "keep": _choice(KEEP),
    "timeout_factor": _factor,
    "shard": _shard,
    "jobs": _jobs,
}
