"""Requests in flight on one connection, and whose turn it is to be answered."""

from __future__ import annotations

from collections import deque

from integrity.faults.network.codec import Head
from integrity.faults.network.rules import Rule

#: Requests that are remembered. Only Produce with acks=0, which is never answered, comes near.
IN_FLIGHT = 10_000


class Flight:
    """A request whose answer is awaited.

    frame: the request's, when it was put together. rules: what is to happen to its answer. reply: the answer, where the
    proxy gives it instead of the broker.
    """

    __slots__ = ("frame", "head", "reply", "rules")

    def __init__(self, head: Head) -> None:
        self.head = head
        self.frame: bytes | None = None
        self.rules: list[Rule] = []
        self.reply: bytes | None = None


class Flights:
    """Flights in the order of their requests, which is the order in which clients expect the answers."""

    def __init__(self) -> None:
        self._flights: deque[Flight] = deque(maxlen=IN_FLIGHT)

    def append(self, flight: Flight) -> None:
        """A request has gone out, or been given a reply."""
        self._flights.append(flight)

    def answered(self, correlation: int) -> tuple[Flight | None, list[Flight]]:
        """The flight that the broker answers now, and those before it whose replies must go first.

        Brokers answer in order; a flight that is passed over and has no reply (acks=0) is never answered.
        """
        for at, flight in enumerate(self._flights):
            if flight.head.correlation == correlation and flight.reply is None:
                passed = [self._flights.popleft() for _ in range(at)]
                self._flights.popleft()
                return flight, [one for one in passed if one.reply is not None]
        return None, []

    def next_reply(self) -> Flight | None:
        """Take the next flight, if it has a reply."""
        if self._flights and self._flights[0].reply is not None:
            return self._flights.popleft()
        return None

    def requests(self, api: int) -> list[int]:
        """The numbers of the requests of this API that have no answer yet."""
        return [flight.head.number for flight in self._flights if flight.head.api == api]

    @property
    def has_replies(self) -> bool:
        """Whether a reply waits for its turn."""
        return any(flight.reply is not None for flight in self._flights)
