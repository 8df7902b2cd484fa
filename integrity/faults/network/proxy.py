"""The proxy as a scenario uses it; see the package for what each operation means to a client."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka.protocol.api_message import ApiMessage

from integrity.brokers.base import Listener, _ignore
from integrity.brokers.probe import split_address
from integrity.faults.network import codec, wire
from integrity.faults.network.exchange import Ask, Learned, Noticed, Rewriter, Struck
from integrity.faults.network.fault import Fault, Held
from integrity.faults.network.process import Process, ProxyFailed
from integrity.faults.network.rewriting import Functions, Rewriting
from integrity.faults.network.rules import Action, Condition, Rule, Where
from integrity.runs import Run
from integrity.waiting import scaled

__all__ = ["Link", "Proxy", "ProxyFailed"]

#: Strikes of one fault that become events of their own; the rest is summed up when it is lifted.
EVENTS_PER_FAULT = 100

#: Seconds for a request of the caller's own, before timeout_factor.
ASK_SECONDS = 10.0


@dataclass
class Link:
    """A port on loopback that leads to a broker. address, broker: ``host:port``; broker is None until it leads somewhere."""

    name: str
    address: str
    broker: str | None


class Proxy:
    """A proxy before one broker or several; close it, or use it as a context manager.

    upstream: a broker's ``host:port``, or names and addresses of several; one per broker, as the brokers advertise
    themselves. listener: hears ('network', what, detail); it may be replaced at any time and is called on a thread.
    """

    def __init__(self, run: Run, upstream: str | Mapping[str, str] = "", *, listener: Listener = _ignore) -> None:
        self.listener = listener
        self.links: dict[str, Link] = {}
        self._run = run
        self._ports: list[int] = []
        self._numbers = itertools.count(1)
        self._faults: dict[int, Fault] = {}
        self._functions: dict[int, Functions] = {}
        self._names: dict[Any, str] = {}
        self._closed = False
        number = run.lease_port()
        self._ports.append(number)
        self._folder = run.directory / f"proxy-{number}"
        self._folder.mkdir()
        self._process = Process(self._folder, self._heard)
        self._rewriting = Rewriting(self._functions, self._names, self._process.tell, self._heard)
        self._rewriting.start()
        try:
            brokers = {"broker": upstream} if isinstance(upstream, str) else dict(upstream)
            for name, address in brokers.items():
                if address:
                    self._open(name, number if name == next(iter(brokers)) else run.lease_port(), address)
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
        return self._open(name, self._run.lease_port(), broker)

    def lead(self, name: str, broker: str) -> None:
        """Make a link lead to a broker's ``host:port``, for connections from now on."""
        self._process.command("lead", name, split_address(broker))
        self.links[name].broker = broker

    def _open(self, name: str, port: int, broker: str | None) -> Link:
        if port not in self._ports:
            self._ports.append(port)
        self._process.command("listen", name, port)
        link = self.links[name] = Link(name, f"127.0.0.1:{port}", None)
        if broker is not None:
            self.lead(name, broker)
        return link

    def connections(self) -> list[tuple[int, str, str | None]]:
        """(number, link, client id) of every connection open now; the client id is None before its first request."""
        return self._process.command("connections")

    # -- faults of requests and answers -------------------------------------------------------------------
    def drop_request(self, api: str | None = None, **choice: Any) -> Fault:
        """The broker never gets it. ``choice``: n, every, times, client, topic, transactional_id, connection, link."""
        return self._rule(Action.DROP_REQUEST, api, choice)

    def drop_answer(self, api: str | None = None, **choice: Any) -> Fault:
        """It is done, and its answer vanishes."""
        return self._rule(Action.DROP_ANSWER, api, choice)

    def delay_request(self, api: str | None = None, *, seconds: float, **choice: Any) -> Fault:
        """It, and what follows on its connection, reaches the broker later."""
        return self._rule(Action.DELAY_REQUEST, api, choice, seconds=seconds)

    def delay_answer(self, api: str | None = None, *, seconds: float, **choice: Any) -> Fault:
        """Its answer, and what follows on its connection, reaches the client later."""
        return self._rule(Action.DELAY_ANSWER, api, choice, seconds=seconds)

    def cut_before(self, api: str | None = None, **choice: Any) -> Fault:
        """The connection is closed instead of forwarding it."""
        return self._rule(Action.CUT_BEFORE, api, choice)

    def cut_inside(self, api: str | None = None, *, share: float = 0.5, **choice: Any) -> Fault:
        """The connection is closed when this share of it, at least one byte and never all, has gone through."""
        return self._rule(Action.CUT_INSIDE, api, choice, share=share)

    def cut_inside_answer(self, api: str | None = None, *, share: float = 0.5, **choice: Any) -> Fault:
        """The same for its answer."""
        return self._rule(Action.CUT_INSIDE_ANSWER, api, choice, share=share)

    def lose_answer(self, api: str | None = None, **choice: Any) -> Fault:
        """The broker has done it; the connection is closed instead of passing the answer on."""
        return self._rule(Action.LOSE_ANSWER, api, choice)

    def hold(self, api: str | None = None, *, cut: bool = True, **choice: Any) -> Held:
        """It is kept until ``release()``; cut: its connection is closed, so that the client tries again."""
        return self._rule(Action.HOLD, api, choice, kind=Held, cut=cut)

    def rewrite(
        self, api: str | None = None, *, request: Rewriter | None = None, answer: Rewriter | None = None, **choice: Any
    ) -> Fault:
        """Functions change the request, its answer, or both; all that are chosen, unless ``times`` is given.

        With a request's function the choice is made when the request comes, otherwise when the answer does. A reader in a
        fetch session names a topic only once, so choose Fetch by topic with an answer's function alone.
        """
        if request is None and answer is None:
            raise ValueError("rewrite needs a function for the request, for the answer, or for both")
        return self._rule(
            Action.REWRITE,
            api,
            {"times": None} | choice,
            functions=(request, answer),
            request=request is not None,
            answer=answer is not None,
        )

    def rewrite_request(self, api: str | None, function: Rewriter, **choice: Any) -> Fault:
        """``rewrite(api, request=function, ...)``."""
        return self.rewrite(api, request=function, **choice)

    def rewrite_answer(self, api: str | None, function: Rewriter, **choice: Any) -> Fault:
        """``rewrite(api, answer=function, ...)``."""
        return self.rewrite(api, answer=function, **choice)

    # -- faults of connections ----------------------------------------------------------------------------
    def cut(self, **where: Any) -> int:
        """Close connections, now and once; returns how many. ``where``: client, connection, link."""
        closed = self._process.command("cut", Where(**where))
        for words in closed:
            self.listener("network", "connection cut", words)
        return len(closed)

    def cut_off(self, **where: Any) -> Fault:
        """Close connections, and new ones as well, until lifted."""
        return self._condition("cut off", where, refuse=True)

    def blackhole(self, **where: Any) -> Fault:
        """Move nothing on connections until lifted."""
        return self._condition("blackhole", where, silent=True)

    def slow_down(self, seconds: float, **where: Any) -> Fault:
        """Add a delay to both directions of connections until lifted."""
        return self._condition(f"slowed down by {seconds} s", where, seconds=seconds)

    def throttle(self, rate: float, **where: Any) -> Fault:
        """Let no more than ``rate`` bytes per second through, each way, until lifted."""
        return self._condition(f"throttled to {rate:.0f} bytes/s", where, rate=rate)

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
        """End the process and the threads, close every connection, give the ports back; then as ``check``."""
        if self._closed:
            return
        self._closed = True
        self._process.close()
        self._rewriting.stop()
        for port in self._ports:
            self._run.release_port(port)
        shutil.rmtree(self._folder)
        for error in self._rewriting.errors + self._process.errors:
            raise error

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- inside -------------------------------------------------------------------------------------------
    def _rule(
        self,
        action: Action,
        api: str | None,
        choice: dict[str, Any],
        *,
        kind: type[Fault] = Fault,
        functions: Functions | None = None,
        **how: Any,
    ) -> Any:
        counting = {name: choice.pop(name) for name in ("n", "every", "times") if name in choice}
        where = Where(api=None if api is None else codec.api_number(api), **choice)
        rule = Rule(next(self._numbers), action, where, **counting, **how)
        fault = kind(self, rule.id, f"{action.value} ({api or 'any'})")
        self._faults[rule.id] = fault
        if functions is not None:
            self._functions[rule.id] = functions
        self._process.command("rule", rule)
        return fault

    def _condition(self, words: str, where: dict[str, Any], **how: Any) -> Fault:
        condition = Condition(next(self._numbers), Where(**where), **how)
        fault = Fault(self, condition.id, words)
        self._faults[condition.id] = fault
        chosen = ", ".join(f"{name} {value}" for name, value in where.items()) or "every connection"
        self.listener("network", words, chosen)
        self._process.command("condition", condition)
        return fault

    def _lift(self, fault: Fault) -> None:
        if self._closed:
            return
        self._process.command("lift", fault.number)
        self.listener("network", "lifted", f"{fault.words}, which struck {fault.count} times")

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
