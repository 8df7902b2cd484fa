"""What a rule selects, how it counts, and what it does: plain data that goes from the caller to the proxy's process."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Action(StrEnum):
    """What happens to a frame that is struck; see the package's table."""

    DROP_REQUEST = "request dropped"
    DROP_ANSWER = "answer dropped"
    DELAY_REQUEST = "request delayed"
    DELAY_ANSWER = "answer delayed"
    CUT_BEFORE = "connection cut before the request"
    CUT_INSIDE = "connection cut inside the request"
    CUT_INSIDE_ANSWER = "connection cut inside the answer"
    LOSE_ANSWER = "answer lost"
    HOLD = "request held"
    REWRITE = "rewritten"


@dataclass(frozen=True)
class Where:
    """Which frames or connections; None is any.

    api: the request's number. client: a client id, with ``*`` and ``?``. connection: its number. link: its name.
    topic and transactional_id need the message itself.
    """

    api: int | None = None
    client: str | None = None
    topic: str | None = None
    transactional_id: str | None = None
    connection: int | None = None
    link: str | None = None

    @property
    def needs_message(self) -> bool:
        """Whether the head of a frame is not enough to decide."""
        return self.topic is not None or self.transactional_id is not None

    def fits_connection(self, connection: int, link: str, client: str | None) -> bool:
        """Whether it is about this connection; client is None until its first request."""
        return (
            (self.connection is None or self.connection == connection)
            and (self.link is None or self.link == link)
            and (self.client is None or (client is not None and fnmatchcase(client, self.client)))
        )

    def fits_message(self, topics: set[str], transactional_ids: set[str]) -> bool:
        """Whether it is about a message that names these."""
        return (self.topic is None or self.topic in topics) and (
            self.transactional_id is None or self.transactional_id in transactional_ids
        )


@dataclass(frozen=True)
class Rule:
    """A fault of requests or answers.

    n, every, times: see the package. seconds: of a delay. share: how much of the frame goes through before a cut
    inside it, 0 to 1. cut: whether a held request's connection is closed. request, answer: which sides are rewritten.
    """

    id: int
    action: Action
    where: Where
    n: int = 1
    every: int = 1
    times: int | None = 1
    seconds: float = 0.0
    share: float = 0.5
    cut: bool = True
    request: bool = False
    answer: bool = False

    @property
    def chosen_by_answer(self) -> bool:
        """Whether frames are chosen when the answer comes; all others are when the request does."""
        return self.action is Action.REWRITE and not self.request


class Tally:
    """A rule in force, and how often it was met."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.met = 0
        self.struck = 0

    def strikes(self) -> bool:
        """Count one more occasion; True when it is to be struck."""
        rule = self.rule
        self.met += 1
        if self.met < rule.n or (self.met - rule.n) % rule.every or self.spent:
            return False
        self.struck += 1
        return True

    @property
    def spent(self) -> bool:
        """Whether it will never strike again."""
        return self.rule.times is not None and self.struck >= self.rule.times


@dataclass(frozen=True)
class Condition:
    """A lasting fault of connections. seconds: added each way; rate: bytes per second each way, None for no limit."""

    id: int
    where: Where
    refuse: bool = False
    silent: bool = False
    seconds: float = 0.0
    rate: float | None = None
