"""The proxy's own process: links, connections, and the caller's commands, on one thread.

Started by integrity.faults.network.process with the number of an inherited socket to the caller. It ends when told to,
and by itself when the caller is gone. For each proxy that it serves there is a Server of its own, so that nothing of
one is left to the next.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Channel
from typing import Any

from integrity.faults.network import codec
from integrity.faults.network.addresses import Address, Addresses
from integrity.faults.network.connection import Connection, close_socket
from integrity.faults.network.exchange import RENEW, Ask, Done, Learned, Noticed, Struck, Told
from integrity.faults.network.loop import Loop
from integrity.faults.network.rules import Action, Condition, Rule, Tally, Where

#: Connections waiting to be accepted on a link.
BACKLOG = 256


@dataclass
class Effect:
    """What all conditions together do to a connection."""

    silent: bool = False
    seconds: float = 0.0
    rate: float | None = None


class Server:
    """All that the process knows while it serves one proxy."""

    def __init__(self, channel: Channel, rewrite_seconds: float) -> None:
        self.loop = Loop()
        self.addresses = Addresses()
        #: What the caller's functions have for one frame, before its connection is closed.
        self.rewrite_seconds = rewrite_seconds
        #: Rules that may still strike, in the order they were made.
        self.rules: list[Tally] = []
        self._channel = channel
        self._conditions: dict[int, Condition] = {}
        self._listeners: dict[str, tuple[socket.socket, Address]] = {}
        self._brokers: dict[str, Address] = {}
        self._connections: dict[int, Connection] = {}
        #: Ends of connections that are not there yet: the client's, and the one to the broker.
        self._coming: set[tuple[socket.socket, socket.socket]] = set()
        self._names: dict[Any, str] = {}
        self._asked: dict[int, Callable[[Told], None]] = {}
        self._last_connection = 0
        self._running = True
        #: The command after which another server is to serve the next proxy.
        self._renewal: int | None = None

    # -- the caller ---------------------------------------------------------------------------------------
    def run(self, command: int) -> int | None:
        """Serve until told to close, or to renew: then returns the number of that command.

        command: the number of the one that is done when this server is ready; 0 for the process' start.
        """
        self.loop.reading(self._channel, self._hear)
        self.tell(Done(command))
        while self._running:
            self.loop.turn()
        for connection in list(self._connections.values()):
            connection.close()
        for ends in self._coming:
            for end in ends:
                close_socket(end)
        for listener, _ in self._listeners.values():
            listener.close()
        self.loop.close()
        return self._renewal

    def tell(self, message: object) -> None:
        """Say something to the caller."""
        try:
            self._channel.send(message)
        except OSError:
            self._running = False  # the caller is gone

    def _hear(self) -> None:
        try:
            message = self._channel.recv()
        except (EOFError, OSError):  # it may be killed in the middle of a message
            self._running = False  # the caller is gone: nobody is left to serve
            return
        if isinstance(message, Told):
            done = self._asked.pop(message.token, None)
            if done is not None:
                done(message)
            return
        if message.what == RENEW:
            self._running, self._renewal = False, message.number
            return
        try:
            value = getattr(self, f"do_{message.what}")(*message.arguments)
        except OSError as error:
            self.tell(Done(message.number, error=f"{message.what}: {error}"))
        else:
            self.tell(Done(message.number, value))

    def ask(self, ask: Ask, done: Callable[[Told], None]) -> None:
        """Have the caller rewrite a frame."""
        self._asked[ask.token] = done
        self.tell(ask)

    def withdraw(self, token: int) -> bool:
        """Wait for that answer no more; False when it has come."""
        return self._asked.pop(token, None) is not None

    # -- commands -----------------------------------------------------------------------------------------
    def do_listen(self, link: str, port: int) -> None:
        """Open a link's port."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._listeners[link] = (listener, ("127.0.0.1", port))
        self.loop.reading(listener, lambda: self._accept(link))

    def do_lead(self, link: str, broker: Address) -> None:
        """Say which broker a link leads to, for connections from now on."""
        self._brokers[link] = broker
        self.addresses.lead(broker, self._listeners[link][1])

    def do_rule(self, rule: Rule) -> None:
        """Put a rule in force."""
        self.rules.append(Tally(rule))

    def do_condition(self, condition: Condition) -> None:
        """Put a lasting fault of connections in force."""
        self._conditions[condition.id] = condition
        self._apply()

    def do_lift(self, number: int) -> None:
        """End a rule or a condition."""
        self.rules = [tally for tally in self.rules if tally.rule.id != number]
        if self._conditions.pop(number, None) is not None:
            self._apply()

    def do_cut(self, where: Where) -> list[str]:
        """Close connections; returns them in words."""
        cut = [c for c in self._connections.values() if where.fits_connection(c.number, c.link, c.client_id)]
        for connection in cut:
            connection.close()
        return [str(connection) for connection in cut]

    def do_connections(self) -> list[tuple[int, str, str | None]]:
        """(number, link, client id) of every connection."""
        return [(c.number, c.link, c.client_id) for c in self._connections.values()]

    def do_unanswered(self, where: Where) -> list[int]:
        """The numbers of the requests of an API that are under way on connections open now."""
        chosen = (c for c in self._connections.values() if where.fits_connection(c.number, c.link, c.client_id))
        return [number for connection in chosen for number in connection.unanswered(where.api)]

    def do_close(self) -> None:
        """End this process."""
        self._running = False

    # -- rules --------------------------------------------------------------------------------------------
    def choose(self, head: codec.Head, frame: bytes, *, request: bool, asked: bytes | None = None) -> list[Rule]:
        """The rules that strike this frame, each counted. asked: the request's frame, when an answer is judged."""
        struck: list[Rule] = []
        names: tuple[set[str], set[str]] | None = None
        for tally in self.rules:
            rule = tally.rule
            if rule.chosen_by_answer == request or rule.where.api not in (None, head.api):
                continue
            if not rule.where.fits_connection(head.connection, head.link, head.client):
                continue
            if rule.where.needs_message:
                if names is None:
                    names = self._named(head, frame, request, asked)
                if not rule.where.fits_message(*names):
                    continue
            if tally.strikes():
                struck.append(rule)
        if struck:
            self.rules = [tally for tally in self.rules if not tally.spent]
        return struck

    def _named(self, head: codec.Head, frame: bytes, request: bool, asked: bytes | None) -> tuple[set[str], set[str]]:
        topics: set[str] = set()
        transactional_ids: set[str] = set()
        for data, is_request in ((frame, request), (asked, True)):
            if data is None:
                continue
            try:
                message = codec.decode(data, head.api, head.version, request=is_request)
            except codec.NotDecoded as error:
                self.tell(Noticed("passed unread", f"{error}; {head}"))
                continue
            topics |= codec.topics(message, self._names)
            transactional_ids |= codec.transactional_ids(message)
        return topics, transactional_ids

    def struck(self, rule: Rule, head: codec.Head, detail: str = "", frame: bytes | None = None) -> None:
        """Report that a rule struck."""
        text = f"{head}{detail and ': ' + detail}"
        self.tell(Struck(rule.id, rule.action.value, text, head if rule.action is Action.HOLD else None, frame))

    def learn(self, learned: Learned) -> None:
        """Remember names of topic ids, here and at the caller's."""
        fresh = {key: name for key, name in learned.names.items() if self._names.get(key) != name}
        if fresh:
            self._names |= fresh
            self.tell(Learned(fresh))

    # -- connections --------------------------------------------------------------------------------------
    def effect_on(self, connection: Connection) -> Effect | None:
        """What the conditions do to it; None when it is to be closed."""
        effect = Effect()
        for condition in self._conditions.values():
            if not condition.where.fits_connection(connection.number, connection.link, connection.client_id):
                continue
            if condition.refuse:
                self.tell(Struck(condition.id, "connection refused", str(connection)))
                return None
            effect.silent |= condition.silent
            effect.seconds += condition.seconds
            if condition.rate is not None:
                effect.rate = condition.rate if effect.rate is None else min(effect.rate, condition.rate)
        return effect

    def gone(self, connection: Connection) -> None:
        """A connection has closed."""
        self._connections.pop(connection.number, None)

    def _apply(self) -> None:
        for connection in list(self._connections.values()):
            if not connection.closed:
                connection.apply_conditions()

    def _accept(self, link: str) -> None:
        try:
            client, _ = self._listeners[link][0].accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        address = self._brokers.get(link)
        if address is None:
            client.close()
            return
        broker = socket.socket()
        for end in (client, broker):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        problem = broker.connect_ex(address)

        def connected() -> None:
            self._coming.discard((client, broker))
            self.loop.forget(broker)
            if broker.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                # The broker refuses, so its link ends the connection. No event: clients try many times a second.
                close_socket(broker)
                close_socket(client)
                return
            self._last_connection += 1
            connection = Connection(self, self._last_connection, link, client, broker)
            self._connections[connection.number] = connection
            connection.start()

        if problem not in (0, errno.EINPROGRESS):
            close_socket(broker)
            close_socket(client)
        else:
            self._coming.add((client, broker))
            self.loop.writing(broker, connected)


def main() -> None:
    """Serve; the arguments are the run's folder, the number of the inherited socket, and the seconds to rewrite."""
    _, _, number, seconds = sys.argv
    os.set_inheritable(int(number), False)
    channel = Channel(int(number))
    command: int | None = 0
    while command is not None:
        command = Server(channel, float(seconds)).run(command)


if __name__ == "__main__":
    main()
