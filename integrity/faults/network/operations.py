"""The faults a proxy can do; see the package for what each means to a client."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import Any

from integrity.faults.network import codec
from integrity.faults.network.exchange import Rewriter
from integrity.faults.network.fault import Fault, Held
from integrity.faults.network.rewriting import Functions
from integrity.faults.network.rules import Action, Condition, Rule, Where
from integrity.listening import Listener


class Operations(ABC):
    """Makes rules and conditions, and keeps their handles."""

    listener: Listener

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._faults: dict[int, Fault] = {}
        self._functions: dict[int, Functions] = {}

    @abstractmethod
    def _command(self, what: str, *arguments: object) -> Any:
        """Have the proxy's process do something; in force when this returns."""

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

        With a request's function the choice is made when the request comes, otherwise when the answer does. A reader
        in a fetch session names a topic only once, so choose Fetch by topic with an answer's function alone.
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
        closed = self._command("cut", Where(**where))
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

    # -- inside ---------------------------------------------------------------------------------------
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
        self._command("rule", rule)
        return fault

    def _condition(self, words: str, where: dict[str, Any], **how: Any) -> Fault:
        condition = Condition(next(self._numbers), Where(**where), **how)
        fault = Fault(self, condition.id, words, strikes=condition.refuse)
        self._faults[condition.id] = fault
        chosen = ", ".join(f"{name} {value}" for name, value in where.items()) or "every connection"
        self.listener("network", words, chosen)
        self._command("condition", condition)
        return fault
