"""A direction of a connection whose bytes are kept back: what it has to do later ends with them, or with the fault."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Channel

import pytest

from integrity.faults.network import codec
from integrity.faults.network.connection import Connection
from integrity.faults.network.exchange import Told
from integrity.faults.network.flights import Flight
from integrity.faults.network.loop import Loop
from integrity.faults.network.server import Server
from integrity.faults.network.stream import Fate, Stream

#: Seconds of delay; and of the longest test, whose last timer ends it.
DELAY = 0.2
BOUND = 10.0


class Unseen:
    """An owner that looks at nothing."""

    def head(self, stream: Stream, data: memoryview) -> tuple[int, Fate]:
        return 0, Fate.OPAQUE

    def ended(self, stream: Stream) -> None:
        raise AssertionError("nothing has ended")

    def broken(self, stream: Stream, error: OSError) -> None:
        raise error


@dataclass
class Way:
    """A stream, who writes to it, and who reads from it."""

    loop: Loop
    stream: Stream
    near: socket.socket
    far: socket.socket
    most: int = 0
    arrived: bytearray = field(default_factory=bytearray)

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Let things happen, and remember the most timers there were."""
        deadline = time.monotonic() + BOUND
        while not condition():
            assert time.monotonic() < deadline
            self.most = max(self.most, self.loop.pending)
            tick = self.loop.at(time.monotonic() + 0.005, lambda: None)  # a turn waits for something to happen
            self.loop.turn()
            self.loop.cancel(tick)
            with suppress(BlockingIOError):
                self.arrived += self.far.recv(1 << 16)

    def send(self, data: bytes) -> None:
        """Send it and see it come into the stream, whatever that makes of it."""
        self.near.sendall(data)
        self.loop.turn()
        self.most = max(self.most, self.loop.pending)


@pytest.fixture
def way() -> Iterator[Way]:
    loop = Loop()
    near, source = socket.socketpair()
    sink, far = socket.socketpair()
    for end in (source, sink, far):
        end.setblocking(False)
    stream = Stream(loop, source, sink, Unseen())
    stream.start()
    yield Way(loop, stream, near, far)
    for end in (source, sink):
        loop.forget(end)
    for end in (near, source, sink, far):
        end.close()
    loop.close()


def condition(way: Way, **effect: object) -> None:
    way.stream.condition(**{"silent": False, "seconds": 0.0, "rate": None} | effect)


def test_much_that_is_delayed_waits_for_one_moment_at_a_time(way: Way) -> None:
    """A timer for each piece, each of which sets the next, never ends while there is traffic: they fill the process."""
    condition(way, seconds=DELAY)
    began = time.monotonic()
    for number in range(200):
        way.send(b"%03d" % number)
    assert way.most == 1
    way.turn_until(lambda: len(way.arrived) == 600)
    assert bytes(way.arrived) == b"".join(b"%03d" % number for number in range(200))
    assert time.monotonic() - began >= DELAY
    assert way.most == 1
    assert way.loop.pending == 0


@pytest.mark.parametrize("effect", [{"seconds": 3600.0}, {"rate": 1.0}], ids=["slowed down", "throttled"])
def test_nothing_is_left_to_do_for_one_that_is_closed(way: Way, effect: dict[str, float]) -> None:
    condition(way, **effect)
    way.send(b"abcd")
    assert way.loop.pending == 1
    way.stream.close()
    assert way.loop.pending == 0


def test_nothing_is_left_to_do_when_no_fault_keeps_it_back_any_more(way: Way) -> None:
    condition(way, rate=1.0)
    way.send(b"abcd")
    assert way.loop.pending == 1
    condition(way)
    assert way.loop.pending == 0
    assert way.far.recv(100) == b"abcd"


def test_nothing_is_done_later_by_one_that_is_silent(way: Way) -> None:
    condition(way, seconds=DELAY)
    way.send(b"ab")
    condition(way, seconds=DELAY, silent=True)
    assert way.loop.pending == 0
    condition(way, seconds=DELAY)
    way.turn_until(lambda: bytes(way.arrived) == b"ab")


def test_what_is_under_way_when_the_delay_ends_arrives_in_its_time_and_the_rest_after_it(way: Way) -> None:
    condition(way, seconds=DELAY)
    began = time.monotonic()
    way.send(b"ab")
    condition(way)
    way.near.sendall(b"cd")
    assert way.loop.pending == 1
    way.turn_until(lambda: bytes(way.arrived) == b"abcd")
    assert time.monotonic() - began >= DELAY
    way.send(b"ef")
    assert way.far.recv(100) == b"ef"


# -- rewriting --------------------------------------------------------------------------------------------
def test_nobody_is_reminded_of_an_answer_that_has_come(way: Way) -> None:
    """Each frame that is rewritten would otherwise leave a timer for half a minute."""
    asked: list[Callable[[Told], None]] = []
    with Channel(os.dup(way.near.fileno())) as channel, socket.socket() as client, socket.socket() as broker:
        server = Server(channel, rewrite_seconds=30.0)
        server.ask = lambda ask, done: asked.append(done)
        connection = Connection(server, 1, "broker", client, broker)
        flight = Flight(codec.Head(1, 1, "broker", "somebody", 3, 12, 7))
        connection._ask(connection._requests, [], flight, b"", lambda told: None, request=True)
        assert server.loop.pending == 1
        connection.closed = True  # even then
        asked.pop()(Told(1, "drop"))
        assert server.loop.pending == 0
        server.loop.close()
