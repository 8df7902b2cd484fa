"""The one place where the suite waits for a condition.

Every wait has a bound, says what it waited for, and ends at once when the thing it depends on (its ``check``) has died.
Nobody else sleeps for a time, but a group member of kafka-python's between two questions for its coordinator
(integrity.clients.kafka_python.settings). What libraries and the system wait for themselves, a client's poll or the end
of a process, is theirs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent import futures
from typing import TypeVar

from integrity import progress

T = TypeVar("T")

#: Seconds between two looks at a condition: fine enough not to show in a restart's time.
POLL_SECONDS = 0.01

#: A look that takes long, since it asks a broker or the machine is busy, is followed by a pause so many times as long,
#: up to MOST_PAUSE_SECONDS: whoever waits leaves the processors to what is waited for.
PAUSE_FACTOR = 10.0
MOST_PAUSE_SECONDS = 0.1

#: Seconds between two looks whether what a library's own wait depends on is still there.
ATTEND_SECONDS = 0.1

_timeout_factor = 1.0


def nothing() -> None:
    """What there is to do when nobody says otherwise: the check of a wait that depends on nobody, say."""


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
    poll_seconds: between two looks, at least; more where a look takes long. By default POLL_SECONDS.

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
            pause = _pause_after(time.monotonic() - looked, poll_seconds or POLL_SECONDS)
            if check is not None:
                check()
            waited = time.monotonic() - began
            if waited >= bound:
                extra = detail() if detail is not None else ""
                raise WaitTimeout(f"waited {waited:.1f} s for {what}, in vain{extra and ': ' + extra}")
            tick(waited)
            time.sleep(min(pause, max(bound - waited, 0.0)))


def _pause_after(look_seconds: float, at_least: float) -> float:
    return max(at_least, min(PAUSE_FACTOR * look_seconds, MOST_PAUSE_SECONDS))


def attended(work: Callable[[], T], check: Callable[[], None], seconds: float | None = None) -> T:
    """What ``work`` returns or raises, unless ``check`` raises first: that ends the wait for it at once.

    For calls of a library that wait by themselves, up to a bound of their own, and cannot be told to end. ``work`` then
    goes on in a thread until it meets that bound, and nobody hears of its result. seconds: a bound for a library that
    does not keep to its own; TimeoutError is raised then.
    """
    if check is nothing and seconds is None:
        return work()
    done: futures.Future[T] = futures.Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="attended", daemon=True).start()
    return result_of(done, check, seconds)


def result_of(future: futures.Future[T], check: Callable[[], None], seconds: float | None = None) -> T:
    """The future's result, waited for up to ``seconds`` (None: without a bound of ours) and until ``check`` raises.

    Raises TimeoutError when the bound is reached. ``seconds`` is what it is: timeout_factor is the caller's business.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    while not future.done():
        left = ATTEND_SECONDS if deadline is None else min(deadline - time.monotonic(), ATTEND_SECONDS)
        if left <= 0:
            raise TimeoutError(f"no result within {seconds:.1f} s")
        if not futures.wait([future], left).done:
            check()
    try:
        return future.result()
    except Exception:
        check()  # a broker that has died is the reason, whatever the library makes of it
        raise
