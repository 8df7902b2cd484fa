"""What a rewriting function is told and may return, and how its answer travels back to the proxy's process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from kafka.protocol.api_message import ApiMessage

from integrity.faults.network import codec


class Verdict(Enum):
    """Instead of a message."""

    DROP = "drop"
    CUT = "cut"


#: The frame is discarded.
DROP = Verdict.DROP
#: The frame is discarded and its connection closed.
CUT = Verdict.CUT


@dataclass(frozen=True)
class Reply:
    """Instead of a request: the broker does not get it, and this is what the client is answered."""

    message: ApiMessage


@dataclass
class Exchange:
    """One request and its answer.

    head: who asks what. topic_names: names of the topic ids (uuid) seen in metadata so far, for API versions that use
    ids. notes: whatever the two functions of one ``rewrite`` want to tell each other.
    """

    head: codec.Head
    topic_names: Mapping[Any, str]
    frame: bytes | None = None
    notes: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def request(self) -> ApiMessage | None:
        """The request as the client sent it; None for an answer whose request passed before the rule was made."""
        if self.frame is None:
            return None
        return codec.decode(self.frame, self.head.api, self.head.version, request=True)

    @property
    def api(self) -> str:
        """ "Produce", say."""
        return codec.api_name(self.head.api)

    @property
    def client(self) -> str | None:
        """The client id."""
        return self.head.client

    @property
    def connection(self) -> int:
        """The number of its connection, unique within a proxy."""
        return self.head.connection

    def topic(self, part: Any) -> str | None:
        """The topic's name of one of a message's topic structures, whether it names it or gives its id."""
        name = getattr(part, "topic", None) or getattr(part, "name", None)
        return name or self.topic_names.get(getattr(part, "topic_id", None))


#: Changes a message; see the package.
Rewriter = Callable[[ApiMessage, Exchange], "ApiMessage | Reply | Verdict | None"]


# -- between the processes ------------------------------------------------------------------------------
#: The command to forget everything, and to serve another proxy.
RENEW = "renew"


@dataclass(frozen=True)
class Struck:
    """A rule or condition struck; frame is the request's when it is held."""

    rule: int
    what: str
    detail: str
    head: codec.Head | None = None
    frame: bytes | None = None


@dataclass(frozen=True)
class Noticed:
    """Something worth an event that no rule did."""

    what: str
    detail: str


@dataclass(frozen=True)
class Learned:
    """Names of topic ids, seen in an answer."""

    names: dict[Any, str]


@dataclass(frozen=True)
class Ask:
    """Rewrite this frame by these rules. request: the request's frame, when an answer is to be rewritten."""

    token: int
    rules: list[int]
    head: codec.Head
    frame: bytes
    is_request: bool
    request: bytes | None


@dataclass(frozen=True)
class Told:
    """What became of an Ask: "send" or "reply" with a frame, "drop", "cut"."""

    token: int
    what: str
    frame: bytes = b""


@dataclass(frozen=True)
class Command:
    """Do ``what`` with ``arguments``, and answer with Done of the same number."""

    number: int
    what: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Done:
    """A command has been carried out; error is None unless it was not."""

    number: int
    value: Any = None
    error: str | None = None
