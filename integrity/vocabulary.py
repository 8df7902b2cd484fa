"""Words in sentences that stand for values."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

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
