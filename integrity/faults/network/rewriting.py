"""Runs the caller's rewriting functions on frames that the proxy's process asks about, one after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from kafka.protocol.api_message import ApiMessage

from integrity.faults.network import codec, process
from integrity.faults.network.exchange import CUT, DROP, Ask, Exchange, Noticed, Reply, Rewriter, Struck, Told, Verdict
from integrity.waiting import scaled

#: Exchanges whose answer has not come; a lost connection leaves its own behind, so the oldest are forgotten.
OPEN_EXCHANGES = 1000

#: (request's function, answer's function) of a rule.
Functions = tuple[Rewriter | None, Rewriter | None]


class Rewriting(threading.Thread):
    """A thread of its own: a function may use the proxy's other operations, which wait for the proxy's process."""

    def __init__(
        self,
        functions: dict[int, Functions],
        names: dict[Any, str],
        tell: Callable[[object], None],
        report: Callable[[Struck | Noticed], None],
    ) -> None:
        super().__init__(name="proxy-rewriting", daemon=True)
        self._functions, self._names = functions, names
        self._tell, self._report = tell, report
        self._asked: queue.SimpleQueue[Ask | None] = queue.SimpleQueue()
        self._open: dict[int, Exchange] = {}
        #: The frame in hand.
        self._at: codec.Head | None = None
        #: What the caller's functions raised.
        self.errors: list[Exception] = []

    def put(self, ask: Ask) -> None:
        """Have a frame rewritten."""
        self._asked.put(ask)

    def stop(self) -> None:
        """End the thread after what it is doing. Raises ProxyFailed when a function of the caller's does not end."""
        self._asked.put(None)
        bound = scaled(process.REWRITE_SECONDS)
        self.join(bound)
        if self.is_alive():
            raise process.ProxyFailed(f"waited {bound} s for the rewriting function at {self._at} to end, in vain")

    def run(self) -> None:
        """Answer every Ask, in order."""
        while (ask := self._asked.get()) is not None:
            self._at = ask.head
            try:
                told = self._rewrite(ask)
            except Exception as error:  # noqa: BLE001 - the caller's function; raised again by check() and close()
                error.add_note(f"raised by a rewriting function at {ask.head}")
                self.errors.append(error)
                words = f"{type(error).__name__}: {error}; {ask.head}; its connection is closed"
                self._report(Noticed("rewriting failed", words))
                told = Told(ask.token, "cut")
            try:
                self._tell(told)
            except OSError:
                return  # the proxy's process is gone; check() says so

    def _rewrite(self, ask: Ask) -> Told:
        try:
            message = codec.decode_exactly(ask.frame, ask.head, request=ask.is_request)
            exchange = self._exchange(ask)
        except codec.NotDecoded as error:
            self._report(Noticed("passed unread", f"{error}; {ask.head}"))
            return Told(ask.token, "send", ask.frame)
        frame = ask.frame
        for number in ask.rules:
            request, answer = self._functions[number]
            function = request if ask.is_request else answer
            if function is None:
                continue
            result = function(message, exchange)
            if isinstance(result, Verdict):
                self._struck(ask, number, {DROP: "dropped", CUT: "and its connection cut"}[result])
                return Told(ask.token, result.value)
            if isinstance(result, Reply):
                self._struck(ask, number, "answered by the proxy")
                return Told(ask.token, "reply", self._encode(ask, result.message))
            message = message if result is None else result
            before, frame = frame, self._encode(ask, message)
            if frame != before:
                self._struck(ask, number, "rewritten")
        return Told(ask.token, "send", frame)

    def _exchange(self, ask: Ask) -> Exchange:
        exchange = self._open.pop(ask.head.number, None)
        if exchange is None:
            exchange = Exchange(ask.head, self._names, ask.frame if ask.is_request else ask.request)
        if ask.is_request and any(self._functions[number][1] is not None for number in ask.rules):
            self._open[ask.head.number] = exchange
            if len(self._open) > OPEN_EXCHANGES:
                del self._open[next(iter(self._open))]
        return exchange

    @staticmethod
    def _encode(ask: Ask, message: ApiMessage) -> bytes:
        return codec.encode(message, ask.head.api, ask.head.version, ask.head.correlation, ask.head.client)

    def _struck(self, ask: Ask, number: int, how: str) -> None:
        side = "request" if ask.is_request else "answer"
        self._report(Struck(number, f"{side} {how}", str(ask.head)))
