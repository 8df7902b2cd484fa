"""Readiness of sockets and timers, on one thread."""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

Callback = Callable[[], None]

#: When, in time.monotonic(); a number to tell two of one moment apart; what then.
Timer = tuple[float, int, Callback]


class Loop:
    """Calls back when sockets can be read or written and when moments have come."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wanted: dict[Any, list[Callback | None]] = {}
        self._timers: list[Timer] = []
        self._numbers = itertools.count()

    def reading(self, source: Any, callback: Callback | None) -> None:
        """Call back whenever the source can be read; None ends that."""
        self._want(source, 0, callback)

    def writing(self, sink: Any, callback: Callback | None) -> None:
        """Call back whenever the sink can be written; None ends that."""
        self._want(sink, 1, callback)

    def _want(self, thing: Any, side: int, callback: Callback | None) -> None:
        wanted = self._wanted.get(thing)
        if wanted is None:
            if callback is None:
                return
            wanted = self._wanted[thing] = [None, None]
        elif wanted[side] is callback or wanted[side] == callback:
            return
        before = self._mask(wanted)
        wanted[side] = callback
        after = self._mask(wanted)
        if before == after:
            return
        if not before:
            self._selector.register(thing, after, wanted)
        elif not after:
            # Without interest it must go: a closed peer would be reported again and again.
            self._selector.unregister(thing)
            del self._wanted[thing]
        else:
            self._selector.modify(thing, after, wanted)

    @staticmethod
    def _mask(wanted: list[Callback | None]) -> int:
        return (selectors.EVENT_READ if wanted[0] else 0) | (selectors.EVENT_WRITE if wanted[1] else 0)

    def forget(self, thing: socket.socket) -> None:
        """No callbacks for it any more; call before closing it."""
        self.reading(thing, None)
        self.writing(thing, None)

    def at(self, moment: float, callback: Callback) -> Timer:
        """Call back once, at a moment of time.monotonic() or soon after; returns what ``cancel`` takes."""
        timer = (moment, next(self._numbers), callback)
        heapq.heappush(self._timers, timer)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Do not call back; one that has been called back is no matter."""
        if timer in self._timers:
            self._timers.remove(timer)
            heapq.heapify(self._timers)

    @property
    def pending(self) -> int:
        """How many timers are set."""
        return len(self._timers)

    def turn(self) -> None:
        """Wait for the next thing to happen, and let it happen."""
        timeout = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        for key, mask in self._selector.select(timeout):
            wanted = key.data
            # An earlier callback of this round may have withdrawn a later one.
            if mask & selectors.EVENT_READ and wanted[0] is not None:
                wanted[0]()
            if mask & selectors.EVENT_WRITE and wanted[1] is not None:
                wanted[1]()
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def close(self) -> None:
        """Let go of everything; the sockets themselves stay open."""
        self._selector.close()
