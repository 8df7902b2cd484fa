"""One direction of a connection: bytes on their way, seen as frames.

The bulk of a frame that no rule concerns goes from socket to socket as it comes, through one shared buffer, and is
never looked at. A frame that may be concerned is put together first and handed to the owner.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from integrity.faults.network.loop import Loop, Timer

#: Bytes moved at a time. One buffer serves every stream: what cannot be written at once is copied.
_BUFFER = bytearray(1 << 18)
_VIEW = memoryview(_BUFFER)

#: Bytes that may wait in a stream with an added delay; without one, a stream that cannot write stops reading.
DELAYED_BYTES = 16 << 20

#: Seconds between two writes of a throttled stream.
THROTTLE_SECONDS = 0.02


class Fate(Enum):
    """What to do with a frame whose head has been seen."""

    PASS = "pass"
    COLLECT = "collect"
    OPAQUE = "opaque"  # no frame at all: everything from here on passes unseen


class Owner(Protocol):
    """Decides about frames."""

    def head(self, stream: Stream, data: memoryview) -> tuple[int, Fate] | None:
        """Bytes (with the length) and fate of the frame that starts here; None when more of it is needed to tell."""

    def frame(self, stream: Stream, frame: bytes) -> None:
        """A collected frame is complete: ``emit`` it or not."""

    def boundary(self, stream: Stream) -> None:
        """A frame has just ended; called only while ``stream.interested`` is set."""

    def ended(self, stream: Stream) -> None:
        """The source has ended and everything was written."""

    def broken(self, stream: Stream, error: OSError) -> None:
        """The source or the sink failed."""


class Stream:
    """Moves bytes from source to sink. Both are non-blocking sockets that the owner closes."""

    def __init__(self, loop: Loop, source: socket.socket, sink: socket.socket, owner: Owner) -> None:
        self._loop, self._source, self._sink, self._owner = loop, source, sink, owner
        self._queue: deque[tuple[bytes | memoryview, float]] = deque()
        self._queued = 0
        self._rest = b""
        self._passing = 0
        self._collected: bytearray | None = None
        self._missing = 0
        self._opaque = self._eof = self._blocked = self._closed = self._running = False
        self._silent, self._seconds, self._rate = False, 0.0, None
        self._written_at = 0.0
        #: When to go on writing what is delayed; one at most, however much of it there is.
        self._wake: Timer | None = None
        self._after: Callable[[], None] | None = None
        #: Whether the owner wants to hear of boundaries.
        self.interested = False

    # -- what the owner does to it --------------------------------------------------------------------
    def start(self) -> None:
        """Begin to read."""
        self._running = True
        self._watch()

    def condition(self, *, silent: bool, seconds: float, rate: float | None) -> None:
        """What lasting faults do to it from now on."""
        self._silent, self._seconds, self._rate = silent, seconds, rate
        self._flush()

    def block(self) -> None:
        """Take no further frame until ``unblock``."""
        self._blocked = True
        self._watch()

    def unblock(self) -> None:
        """Go on after ``block``; after ``then`` there is nothing to go on with."""
        if self._after is not None:
            return
        self._blocked = False
        if self.interested and not self._closed:
            self._owner.boundary(self)
        if not self._closed:
            self._feed(memoryview(b""))
            self._watch()

    @property
    def at_boundary(self) -> bool:
        """Whether no frame is half way through."""
        return not (self._passing or self._collected is not None or self._blocked or self._opaque)

    def make_opaque(self) -> None:
        """Look at nothing any more."""
        self._opaque = True
        if self._collected is not None:
            collected, self._collected = self._collected, None
            self.emit(collected)

    def emit(self, data: bytes | bytearray | memoryview, seconds: float = 0.0) -> None:
        """Write this next, ``seconds`` later than it otherwise would be."""
        if self._closed or not data:
            return
        seconds += self._seconds
        sent = 0
        if not self._queue and not self._silent and not seconds and self._rate is None:
            try:
                sent = self._sink.send(data)
            except BlockingIOError:
                pass  # the rest is queued below
            except OSError as error:
                self._owner.broken(self, error)
                return
            if sent == len(data):
                return
        rest = bytes(data[sent:])
        self._queue.append((rest, time.monotonic() + seconds if seconds else 0.0))
        self._queued += len(rest)
        self._flush()

    def then(self, callback: Callable[[], None]) -> None:
        """Take nothing more; call back when all that was emitted is written."""
        self._blocked = True
        self._after = callback
        self._flush()

    def close(self) -> None:
        """Do nothing any more."""
        self._closed = True
        self._queue.clear()
        self._wake_at(None)

    # -- reading --------------------------------------------------------------------------------------
    def _watch(self) -> None:
        room = DELAYED_BYTES if self._seconds else 1
        wanted = (
            self._running and not (self._eof or self._blocked or self._silent or self._closed) and self._queued < room
        )
        self._loop.reading(self._source, self._readable if wanted else None)

    def _readable(self) -> None:
        try:
            count = self._source.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            self._owner.broken(self, error)
            return
        if count:
            self._feed(_VIEW[:count])
        else:
            self._eof = True
            # What is left of a frame goes the way of all bytes: half a frame arrives as half a frame.
            self.emit(bytes(self._collected or b"") + self._rest)
            self._flush()
        if not self._closed:
            self._watch()

    def _feed(self, data: memoryview) -> None:
        if self._rest:
            data = memoryview(self._rest + data)
            self._rest = b""
        start = at = 0
        end = len(data)
        while at < end and not (self._blocked or self._closed):
            if self._opaque:
                at = end
            elif self._passing:
                step = min(self._passing, end - at)
                at += step
                self._passing -= step
                if not self._passing and self.interested:
                    self.emit(data[start:at])
                    start = at
                    self._owner.boundary(self)
            elif self._collected is not None:
                step = min(self._missing, end - at)
                self._collected += data[at : at + step]
                at += step
                start = at
                self._missing -= step
                if not self._missing:
                    frame, self._collected = bytes(self._collected), None
                    self._owner.frame(self, frame)
                    if self.interested and not self._blocked:
                        self._owner.boundary(self)
            else:
                found = self._owner.head(self, data[at:])
                if found is None:
                    break
                size, fate = found
                if fate is Fate.PASS:
                    self._passing = size
                elif fate is Fate.COLLECT:
                    self.emit(data[start:at])
                    start = at
                    self._collected, self._missing = bytearray(), size
                else:
                    self._opaque = True
        if self._closed:
            return
        if at > start:
            self.emit(data[start:at])
        if at < end:
            self._rest = bytes(data[at:])

    # -- writing --------------------------------------------------------------------------------------
    def _flush(self) -> None:
        if self._closed:
            return
        blocked, wake = False, None
        while self._queue and not self._silent and not blocked:
            data, due = self._queue[0]
            now = time.monotonic()
            allowed = len(data)
            if self._rate is not None:
                # A moment of its own per write; what was not used while idle is not saved up.
                due = max(due, self._written_at + THROTTLE_SECONDS)
                allowed = max(1, int(self._rate * THROTTLE_SECONDS))
            if due > now:
                wake = due
                break
            try:
                sent = self._sink.send(memoryview(data)[:allowed])
            except BlockingIOError:
                blocked = True
                continue
            except OSError as error:
                self._owner.broken(self, error)
                return
            self._written_at = now
            self._queued -= sent
            if sent == len(data):
                self._queue.popleft()
            else:
                self._queue[0] = (memoryview(data)[sent:], self._queue[0][1])
        self._wake_at(wake)
        self._loop.writing(self._sink, self._flush if blocked else None)
        if not self._queue:
            if self._after is not None:
                callback, self._after = self._after, None
                callback()
                return
            if self._eof and not self._blocked:
                self._owner.ended(self)
        if not self._closed:
            self._watch()

    def _wake_at(self, moment: float | None) -> None:
        """Go on writing at that moment and at no other; None: nothing waits for a moment."""
        if self._wake is not None:
            if self._wake[0] == moment:
                return
            self._loop.cancel(self._wake)
        self._wake = None if moment is None else self._loop.at(moment, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self._flush()
