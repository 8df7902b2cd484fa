"""A client's connection through a link: two streams, the requests in flight, and what rules do to them."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from integrity.faults.network import codec
from integrity.faults.network.exchange import Ask, Learned, Noticed, Told
from integrity.faults.network.flights import Flight, Flights
from integrity.faults.network.rules import Action, Rule
from integrity.faults.network.stream import Fate, Stream

if TYPE_CHECKING:
    from integrity.faults.network.server import Server

#: Reads of 64 KiB before a socket is closed; more than its buffers hold, so only an endless writer is cut short.
UNREAD_READS = 256

_numbers = itertools.count(1)

#: What happens to a request itself; everything else happens to its answer.
_ON_ANSWER = (Action.LOSE_ANSWER, Action.DROP_ANSWER, Action.DELAY_ANSWER, Action.CUT_INSIDE_ANSWER, Action.REWRITE)


class Connection:
    """One client's socket and one of the proxy's own to the broker; the owner of both streams."""

    def __init__(self, server: Server, number: int, link: str, client: socket.socket, broker: socket.socket) -> None:
        self._server = server
        self.number, self.link = number, link
        self.client_id: str | None = None
        self._client_bytes: bytes | None = None
        self._client, self._broker = client, broker
        self._requests = Stream(server.loop, client, broker, self)
        self._answers = Stream(server.loop, broker, client, self)
        self._flights = Flights()
        self._coming: Flight | None = None  # the request whose bytes are being put together
        self._answered: Flight | None = None  # the same for answers
        self._at_hand: Flight | None = None  # whose answer the caller rewrites
        self.closed = False
        self._finished: set[Stream] = set()

    def __str__(self) -> str:
        return f"connection {self.number} of client {self.client_id!r} ({self.link})"

    def unanswered(self, api: int) -> list[int]:
        """The numbers of the requests of this API whose answers have not been passed on yet."""
        at_hand = [self._at_hand.head.number] if self._at_hand is not None and self._at_hand.head.api == api else []
        return at_hand + self._flights.requests(api)

    def start(self) -> None:
        """Both ends are connected: let the bytes flow."""
        self.apply_conditions()
        if not self.closed:
            self._requests.start()
            self._answers.start()

    def apply_conditions(self) -> None:
        """Do what the lasting faults in force say of this connection."""
        effect = self._server.effect_on(self)
        if effect is None:
            self.close()
            return
        for stream in (self._requests, self._answers):
            if not self.closed:
                stream.condition(silent=effect.silent, seconds=effect.seconds, rate=effect.rate)

    def close(self) -> None:
        """Close both ends at once."""
        if self.closed:
            return
        self.closed = True
        for stream in (self._requests, self._answers):
            stream.close()
        for end in (self._client, self._broker):
            self._server.loop.forget(end)
            close_socket(end)
        self._server.gone(self)

    # -- what the streams ask ---------------------------------------------------------------------------
    def head(self, stream: Stream, data: memoryview) -> tuple[int, Fate] | None:
        """See stream.Owner."""
        return self._request_head(data) if stream is self._requests else self._answer_head(data)

    def frame(self, stream: Stream, frame: bytes) -> None:
        """See stream.Owner."""
        if stream is self._requests:
            flight, self._coming = self._coming, None
            self._request(flight, frame)
        else:
            flight, self._answered = self._answered, None
            self._answer(flight, frame)

    def boundary(self, stream: Stream) -> None:
        """See stream.Owner: between two answers of the broker is the place for those of the proxy."""
        if stream is self._answers:
            self._send_replies()

    def ended(self, stream: Stream) -> None:
        """See stream.Owner: pass the end on, and close when both sides have ended."""
        self._finished.add(stream)
        if len(self._finished) == 2 or stream is self._answers:
            self.close()
            return
        try:
            self._broker.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.broken(stream, error)

    def broken(self, stream: Stream, error: OSError) -> None:
        """See stream.Owner: a reset of one side is a reset of the other."""
        self.close()

    # -- requests -----------------------------------------------------------------------------------------
    def _request_head(self, data: memoryview) -> tuple[int, Fate] | None:
        try:
            found = codec.request_head(data)
        except codec.NoFrame:
            return self._not_kafka("request", data)
        if found is None:
            return None
        size, api, version, correlation, name = found
        if name is not None and name != self._client_bytes:
            self._client_bytes, self.client_id = name, name.decode(errors="replace")
            self.apply_conditions()
        head = codec.Head(next(_numbers), self.number, self.link, self.client_id, api, version, correlation)
        flight = Flight(head)
        if self._server.rules and self._concerned(api, answers=False):
            self._coming = flight
            return size, Fate.COLLECT
        self._flights.append(flight)
        return size, Fate.PASS

    def _request(self, flight: Flight, frame: bytes) -> None:
        flight.frame = frame
        struck = self._server.choose(flight.head, frame, request=True)
        rewriting = [rule for rule in struck if rule.action is Action.REWRITE]
        flight.rules = [rule for rule in struck if rule.action in _ON_ANSWER and (rule.answer or rule not in rewriting)]
        others = [rule for rule in struck if rule.action not in _ON_ANSWER]
        if not rewriting:
            self._pass_request(flight, frame, others)
            return

        def told(result: Told) -> None:
            if result.what == "send":
                self._pass_request(flight, result.frame, others)
            elif result.what == "reply" and codec.is_answered(frame, flight.head):
                flight.reply = result.frame
                self._flights.append(flight)
                self._answers.interested = True
                self._send_replies()
            elif result.what == "cut":
                self.close()

        self._ask(self._requests, rewriting, flight, frame, told, request=True)

    def _pass_request(self, flight: Flight, frame: bytes, rules: list[Rule]) -> None:
        seconds = 0.0
        for rule in rules:
            if rule.action is Action.DELAY_REQUEST:
                seconds += rule.seconds
                self._server.struck(rule, flight.head, f"by {rule.seconds} s")
            elif rule.action is Action.CUT_INSIDE:
                self._cut_inside(self._requests, rule, flight.head, frame)
                return
            else:
                held = rule.action is Action.HOLD
                self._server.struck(rule, flight.head, frame=frame if held else None)
                if rule.action is Action.CUT_BEFORE or (held and rule.cut):
                    # What was sent before it is on its way, or late: it must still arrive.
                    self._requests.then(self.close)
                return
        if codec.is_answered(frame, flight.head):
            self._flights.append(flight)
        self._requests.emit(frame, seconds)

    # -- answers ------------------------------------------------------------------------------------------
    def _answer_head(self, data: memoryview) -> tuple[int, Fate] | None:
        if len(data) < codec.ANSWER_HEAD:
            return None
        size, correlation = codec.unpack_answer_head(data)
        if not codec.SMALLEST_ANSWER <= size <= 2**31 - 1:
            return self._not_kafka("answer", data)
        flight, before = self._flights.answered(correlation)
        for passed in before:
            self._pass_answer(passed, passed.reply)
        if flight is None:
            self._server.tell(Noticed("unexpected answer", f"correlation id {correlation} on {self}"))
            return size + 4, Fate.PASS
        if (
            flight.rules
            or self._server.addresses.concern(flight.head.api, flight.head.version)
            or self._concerned(flight.head.api, answers=True)
        ):
            self._answered = flight
            return size + 4, Fate.COLLECT
        return size + 4, Fate.PASS

    def _concerned(self, api: int, *, answers: bool) -> bool:
        """Whether a rule may strike a frame of this API here; for requests, or their answers' sake, any rule."""
        return any(
            (tally.rule.chosen_by_answer or not answers)
            and tally.rule.where.api in (None, api)
            and tally.rule.where.fits_connection(self.number, self.link, self.client_id)
            for tally in self._server.rules
        )

    def _answer(self, flight: Flight, frame: bytes) -> None:
        head = flight.head
        if self._server.addresses.concern(head.api, head.version):
            try:
                frame, names = self._server.addresses.replace(frame, head)
            except codec.NotDecoded as error:
                self._server.tell(Noticed("addresses passed as they are", f"{error}; {head}"))
            else:
                if names:
                    self._server.learn(Learned(names))
        rewriting = [rule for rule in flight.rules if rule.action is Action.REWRITE]
        rewriting += self._server.choose(head, frame, request=False, asked=flight.frame)
        if not rewriting:
            self._pass_answer(flight, frame)
            return

        self._at_hand = flight

        def told(result: Told) -> None:
            self._at_hand = None
            if result.what == "send":
                self._pass_answer(flight, result.frame)
            elif result.what == "cut":
                self.close()

        self._ask(self._answers, rewriting, flight, frame, told, request=False)

    def _pass_answer(self, flight: Flight, frame: bytes) -> None:
        seconds = 0.0
        for rule in flight.rules:
            if rule.action is Action.DELAY_ANSWER:
                seconds += rule.seconds
                self._server.struck(rule, flight.head, f"by {rule.seconds} s")
            elif rule.action is Action.CUT_INSIDE_ANSWER:
                self._cut_inside(self._answers, rule, flight.head, frame)
                return
            elif rule.action in (Action.LOSE_ANSWER, Action.DROP_ANSWER):
                self._server.struck(rule, flight.head)
                if rule.action is Action.LOSE_ANSWER:
                    self._answers.then(self.close)
                return
        self._answers.emit(frame, seconds)

    def _send_replies(self) -> None:
        while self._answers.at_boundary and (flight := self._flights.next_reply()) is not None:
            self._pass_answer(flight, flight.reply)
        self._answers.interested = self._flights.has_replies

    # -- both ---------------------------------------------------------------------------------------------
    def _ask(
        self,
        stream: Stream,
        rules: list[Rule],
        flight: Flight,
        frame: bytes,
        told: Callable[[Told], None],
        *,
        request: bool,
    ) -> None:
        """Have the caller's functions rewrite a frame; its stream waits."""
        stream.block()
        token, head = next(_numbers), flight.head
        seconds = self._server.rewrite_seconds

        def done(result: Told) -> None:
            self._server.loop.cancel(timer)
            if self.closed:
                return
            told(result)
            if not self.closed:
                stream.unblock()

        asked = None if request else flight.frame
        self._server.ask(Ask(token, [rule.id for rule in rules], head, frame, request, asked), done)

        def overdue() -> None:
            # Kept until then where nobody answers, so it must not keep the frame.
            if self._server.withdraw(token) and not self.closed:
                self._server.tell(Noticed("rewriting took too long", f"over {seconds:.0f} s for {head}"))
                self.close()

        timer = self._server.loop.at(time.monotonic() + seconds, overdue)

    def _cut_inside(self, stream: Stream, rule: Rule, head: codec.Head, frame: bytes) -> None:
        part = max(1, min(len(frame) - 1, int(len(frame) * rule.share)))
        self._server.struck(rule, head, f"{part} of {len(frame)} bytes went through")
        stream.emit(frame[:part])
        stream.then(self.close)

    def _not_kafka(self, kind: str, data: memoryview) -> tuple[int, Fate]:
        start = bytes(data[:16])
        self._server.tell(Noticed("no Kafka frame", f"{kind} on {self} starts with {start!r}; it passes as it is"))
        self._requests.make_opaque()
        self._answers.make_opaque()
        return 0, Fate.OPAQUE


def close_socket(end: socket.socket) -> None:
    """Close it so that what was written arrives: bytes unread at closing would turn the end into a reset."""
    try:
        for _ in range(UNREAD_READS):
            if not end.recv(1 << 16):
                break
    except OSError:
        pass  # nothing is unread, or the connection has failed: either way only closing is left
    end.close()
