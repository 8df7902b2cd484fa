"""The one place where the suite waits.

Every wait is for a condition, has a bound, says what it waited for, and ends at once when the thing it
depends on has died. Nothing else in the project sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from integrity import progress

T = TypeVar("T")

#: Seconds between two looks at a condition: fine enough not to show in a restart's time.
POLL_SECONDS = 0.01

#: A look that takes long, since it asks a broker or the machine is busy, is followed by a pause so many times as long,
#: up to MOST_PAUSE_SECONDS: whoever waits leaves the processors to what is waited for.
PAUSE_FACTOR = 4.0
MOST_PAUSE_SECONDS = 0.1

_timeout_factor = 1.0


class WaitTimeout(Exception):
    """A condition did not come true within its bound."""


def set_timeout_factor(factor: float) -> None:
    """Multiply every bound from now on (the option ``timeout_factor``; 1.0 is a laptop of two cores)."""
    global _timeout_factor
    _timeout_factor = factor


def scaled(seconds: float) -> float:
    """The bound ``seconds`` after the run's ``timeout_factor``."""
    return seconds * _timeout_factor


def wait_until(
    condition: Callable[[], T],
    *,
    what: str,
    seconds: float,
    check: Callable[[], None] | None = None,
    detail: Callable[[], str] | None = None,
    poll_seconds: float | None = None,
) -> T:
    """Call ``condition`` until it returns something true, and return that.

    what: the condition in words, as in "broker 1 to answer"; it stands in the error and on the console.
    seconds: the bound before ``timeout_factor``.
    check: called between two looks; it raises to end the wait at once (the broker has died, say).
    detail: asked only when the bound is reached; its words end the error's text.
    poll_seconds: between two looks; by default POLL_SECONDS, and more where a look takes long.

    Raises WaitTimeout when the bound is reached. Errors of ``condition`` and ``check`` pass through.
    """
    bound = scaled(seconds)
    began = time.monotonic()
    with progress.waiting_for(what) as tick:
        while True:
            looked = time.monotonic()
            result = condition()
            if result:
                return result
            pause = poll_seconds or _pause_after(time.monotonic() - looked)
            if check is not None:
                check()
            waited = time.monotonic() - began
            if waited >= bound:
                extra = detail() if detail is not None else ""
                raise WaitTimeout(f"waited {waited:.1f} s for {what}, in vain{extra and ': ' + extra}")
            tick(waited)
            time.sleep(min(pause, max(bound - waited, 0.0)))


def _pause_after(look_seconds: float) -> float:
    return max(POLL_SECONDS, min(PAUSE_FACTOR * look_seconds, MOST_PAUSE_SECONDS))
