"""Words in sentences that stand for values."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from integrity.errors import NotPossible


def count(text: str) -> int:
    """A number as people write it: "3", "10,000"."""
    return int(text.replace(",", ""))


count.pattern = r"\d[\d,]*"  # type: ignore[attr-defined] - how the parse library finds it in a sentence


def one_of(*words: str) -> Callable[[str], str]:
    """A type for sentences: one of these words and nothing else."""

    def word(text: str) -> str:
        return text

    word.pattern = "|".join(re.escape(each) for each in words)  # type: ignore[attr-defined]
    return word


def demands(*abilities: str | Callable[..., str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A step that asks these of the broker that its feature is given (see Broker.demand): where one of them cannot be
    had, the scenario is skipped before it has done anything.

    What depends on the sentence is a function of its values, by their names; "" is nothing.
    """

    def declare(step: Callable[..., None]) -> Callable[..., None]:
        step.demands = abilities  # type: ignore[attr-defined] - for ``demanded``
        return step

    return declare


def demanded(registry, steps: Iterable[Any]) -> Iterator[str]:
    """What these steps of a scenario ask of their broker, in their order, by behave's step registry."""
    for step in steps:
        match = registry.find_match(step)
        values = {argument.name: argument.value for argument in (match and match.arguments) or ()}
        for ability in getattr(match and match.func, "demands", ()):
            found = ability(**values) if callable(ability) else ability
            if found:
                yield found


def make_skippable(registry) -> None:
    """Make every step of behave's step registry skippable: any of them may ask an external cluster for too much."""
    for matchers in registry.steps.values():
        for matcher in matchers:
            matcher.func = skippable(matcher.func)


def skippable(step: Callable[..., None]) -> Callable[..., None]:
    """A step that skips its scenario, with the reason, where what it asks for cannot be done (NotPossible)."""

    @functools.wraps(step)
    def run(context, *values, **named) -> None:
        try:
            step(context, *values, **named)
        except NotPossible as reason:
            context.scenario.skip(str(reason))

    return run
