"""The proxy as a scenario uses it; see the package for what each operation means to a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka.protocol.api_message import ApiMessage

from integrity.brokers.probe import split_address
from integrity.faults.network import codec, process, wire
from integrity.faults.network.exchange import Ask, Learned, Noticed, Struck
from integrity.faults.network.fault import Fault
from integrity.faults.network.operations import Operations
from integrity.faults.network.process import ProxyFailed
from integrity.faults.network.rewriting import Rewriting
from integrity.faults.network.rules import Where
from integrity.listening import Listener, ignore
from integrity.runs import Run
from integrity.waiting import scaled

__all__ = ["Link", "Proxy", "ProxyFailed"]

#: Strikes of one fault that become events of their own; the rest is summed up when it is lifted.
EVENTS_PER_FAULT = 100

#: Seconds for a request of the caller's own, before timeout_factor.
ASK_SECONDS = 10.0


@dataclass
class Link:
    """A port on loopback that leads to a broker.

    address, broker: ``host:port``; broker is None until it leads somewhere.
    """

    name: str
    address: str
    broker: str | None


class Proxy(Operations):
    """A proxy before one broker or several; close it, or use it as a context manager.

    upstream: a broker's ``host:port``, or names and addresses of several; one per broker, as the brokers advertise
    themselves. listener: hears ('network', what, detail); it may be replaced at any time and is called on a thread.
    """

    def __init__(self, run: Run, upstream: str | Mapping[str, str] = "", *, listener: Listener = ignore) -> None:
        super().__init__()
        self.listener = listener
        self.links: dict[str, Link] = {}
        self._run = run
        self._ports: list[int] = []
        self._names: dict[Any, str] = {}
        self._closed = False
        self._process = process.take(run, self._heard)
        self._rewriting = Rewriting(self._functions, self._names, self._process.tell, self._heard)
        self._rewriting.start()
        try:
            brokers = {"broker": upstream} if isinstance(upstream, str) else dict(upstream)
            for name, address in brokers.items():
                if address:
                    self.link(name, address)
        except BaseException:
            self.close()
            raise

    # -- links --------------------------------------------------------------------------------------------
    @property
    def bootstrap_servers(self) -> str:
        """For clients: every link's address."""
        return ",".join(link.address for link in self.links.values())

    def link(self, name: str, broker: str | None = None) -> Link:
        """Open a port; clients that connect are turned away until it leads to a broker."""
        if name in self.links:
            raise ValueError(f"there is a link {name!r} already, to {self.links[name].broker}")
        port = self._run.lease_port()
        self._ports.append(port)
        self._command("listen", name, port)
        link = self.links[name] = Link(name, f"127.0.0.1:{port}", None)
        if broker is not None:
            self.lead(name, broker)
        return link

    def lead(self, name: str, broker: str) -> None:
        """Make a link lead to a broker's ``host:port``, for connections from now on."""
        self._command("lead", name, split_address(broker))
        self.links[name].broker = broker

    @property
    def pid(self) -> int:
        """The id of the proxy's process."""
        return self._process.pid

    def connections(self) -> list[tuple[int, str, str | None]]:
        """(number, link, client id) of every connection open now; the client id is None before its first request."""
        return self._command("connections")

    def unanswered(self, api: str, **where: Any) -> list[int]:
        """The numbers (``Head.number``) of the requests of this API whose answers have not been passed on yet.

        Among them is the one whose answer is being rewritten, and none of connections that have closed: nobody answers
        those. ``where``: client, connection, link.
        """
        return self._command("unanswered", Where(api=codec.api_number(api), **where))

    # -- requests of one's own ----------------------------------------------------------------------------
    def ask(self, message: ApiMessage, version: int, *, link: str | None = None) -> ApiMessage | None:
        """Send a request to a link's broker (the first one's), past the proxy, and return its answer, decoded."""
        broker = self.links[link or next(iter(self.links))].broker
        return wire.ask(broker, message, version, scaled(ASK_SECONDS))

    # -- the end ------------------------------------------------------------------------------------------
    def lift_all(self) -> None:
        """End every fault in force."""
        for fault in list(self._faults.values()):
            fault.lift()

    def check(self) -> None:
        """Raise what a rewriting function raised, or ProxyFailed when the proxy's process is gone."""
        if self._rewriting.errors:
            raise self._rewriting.errors[0]
        self._process.check()

    def close(self) -> None:
        """Close every connection, give back ports and process, end the thread; then as ``check``.

        Raises ProxyFailed, too, when the process or the thread did not end within its bound. What went wrong first is
        raised, and whatever else did stands in its notes.
        """
        if self._closed:
            return
        self._closed = True
        failures: list[Exception] = []
        for release in (lambda: process.give_back(self._process), self._rewriting.stop):
            try:
                release()
            except Exception as failure:  # noqa: BLE001 - raised below, when all is released
                failures.append(failure)
        for port in self._ports:
            self._run.release_port(port)
        errors = self._rewriting.errors + self._process.errors + failures
        if errors:
            for other in errors[1:]:
                errors[0].add_note(f"and {type(other).__name__}: {other}")
            raise errors[0]

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------------
    def _lift(self, fault: Fault) -> None:
        if self._closed:
            return
        self._command("lift", fault.number)
        strikes = f", which struck {fault.count} times" if fault.strikes else ""
        self.listener("network", "lifted", fault.words + strikes)

    def _command(self, what: str, *arguments: object) -> Any:
        if self._closed:
            raise ProxyFailed("the proxy is closed")  # its process may serve another one
        return self._process.command(what, *arguments)

    def _heard(self, message: object) -> None:
        """Called on the listening thread, and on the rewriting one for what rewriting did."""
        if isinstance(message, Ask):
            self._rewriting.put(message)
        elif isinstance(message, Learned):
            self._names |= message.names
        elif isinstance(message, Noticed):
            self.listener("network", message.what, message.detail)
        elif isinstance(message, Struck):
            fault = self._faults[message.rule]
            if fault.count < EVENTS_PER_FAULT:
                self.listener("network", message.what, message.detail)
            fault.struck(message)
