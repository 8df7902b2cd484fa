"""Handles of faults in force: how often they struck, waiting for it, lifting them, releasing what was held."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kafka.protocol.api_message import ApiMessage

from integrity.faults.network import codec, wire
from integrity.faults.network.exchange import Struck
from integrity.waiting import WaitTimeout, scaled, wait_until

if TYPE_CHECKING:
    from integrity.faults.network.proxy import Proxy

#: Bound of a wait for a fault to strike, and of the answer to a released request (seconds, before timeout_factor).
STRIKE_SECONDS = 30.0
RELEASE_SECONDS = 10.0


class Fault:
    """A fault in force. As a context manager it is lifted at the end.

    count: how often it has struck so far; for a rewrite, how many messages it has changed. strikes: False for what
    holds up everything for a while, where there is nothing to count.
    """

    def __init__(self, proxy: Proxy, number: int, words: str, *, strikes: bool = True) -> None:
        self._proxy = proxy
        self.number = number
        self.words = words
        self.strikes = strikes
        self.count = 0
        self.lifted = False

    def struck(self, report: Struck) -> None:
        """Called by the proxy at each strike."""
        self.count += 1

    def wait(self, count: int = 1, seconds: float = STRIKE_SECONDS) -> None:
        """Wait until it has struck ``count`` times. Raises WaitTimeout, or ProxyFailed when the proxy is gone."""
        wait_until(
            lambda: self.count >= count,
            what=f"the fault {self.words!r} to strike {count} times",
            seconds=seconds,
            check=self._proxy.check,
            detail=lambda: f"it struck {self.count} times",
        )

    def lift(self) -> None:
        """End it; more than once is fine, and where that failed the next call tries again.

        What is under way (a delay, a rewriting) is carried out.
        """
        if not self.lifted:
            self._proxy._lift(self)
            self.lifted = True

    def __enter__(self) -> Fault:
        return self

    def __exit__(self, *_: object) -> None:
        self.lift()


class Held(Fault):
    """Requests kept back, oldest first."""

    def __init__(self, proxy: Proxy, number: int, words: str) -> None:
        super().__init__(proxy, number, words)
        self._kept: list[tuple[codec.Head, bytes]] = []

    def struck(self, report: Struck) -> None:
        self._kept.append((report.head, report.frame))
        super().struck(report)

    @property
    def requests(self) -> list[ApiMessage]:
        """What is held now, decoded."""
        return [codec.decode(frame, head.api, head.version, request=True) for head, frame in list(self._kept)]

    def release(self, seconds: float = RELEASE_SECONDS, not_yet: Collection[int] = ()) -> list[Any]:
        """Send all that is held to its broker, each on a new connection; returns the answers, decoded (None: acks=0).

        not_yet: error codes by which a broker says that it cannot tell at this moment: it is sent the same once more,
        for so many seconds. Raises OSError when the broker cannot be reached or does not answer in time.
        """
        answers = []
        while self._kept:
            head, frame = self._kept.pop(0)
            answers.append(self._send(head, frame, seconds, not_yet))
            self._proxy.listener("network", "request released", str(head))
        return answers

    def _send(self, head: codec.Head, frame: bytes, seconds: float, not_yet: Collection[int]) -> Any:
        """The last answer, once it is another one than ``not_yet`` or the seconds are over."""
        wants, decoded = codec.is_answered(frame, head), None

        def answered() -> bool:
            nonlocal decoded
            answer = wire.send(self._proxy.links[head.link].broker, frame, scaled(seconds), answered=wants)
            decoded = codec.decode(answer, head.api, head.version, request=False) if answer else None
            return not not_yet or decoded is None or decoded.error_code not in not_yet

        with suppress(WaitTimeout):  # whoever has released it is told what was answered
            wait_until(answered, what=f"another answer to {head}", seconds=seconds, check=self._proxy.check)
        return decoded
