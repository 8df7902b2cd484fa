"""What a person sees while the suite works: progress lines, in ASCII where the terminal knows no better.

A line about a wait appears only once it has lasted two seconds; on a terminal it is replaced in place and
wiped when the wait ends, elsewhere (CI) it is printed once.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

#: A wait shorter than this is not worth a line (seconds).
QUIET_SECONDS = 2.0

_ASCII = {"✅": "[OK]", "🎉": "", "❌": "[FAILED]", "…": "...", "→": "->", "·": "-", "–": "-", "—": "-"}


def terminal() -> TextIO:
    """Where people look. behave swaps ``sys.stdout`` while it captures a step; this is the one beneath."""
    return sys.__stdout__ if sys.__stdout__ is not None else sys.stdout


#: Whether people watch this process's output through another one, on a terminal; None: they watch it directly.
_watched: bool | None = None


def is_interactive() -> bool:
    """True on a terminal that is not CI's: only there are lines rewritten in place."""
    if _watched is not None:
        return _watched
    return terminal().isatty() and not os.environ.get("CI")


def watched_through_another(interactive: bool) -> None:
    """From now on another process passes on what this one prints; interactive: to a terminal that is not CI's."""
    global _watched
    _watched = interactive


def printable(text: str, encoding: str | None) -> str:
    """``text`` as a terminal of that encoding can show it; ticks and dashes turn to ASCII where it cannot."""
    try:
        text.encode(encoding or "ascii")
        return text
    except (UnicodeEncodeError, LookupError):
        for fancy, plain in _ASCII.items():
            text = text.replace(fancy, plain)
        return text.encode("ascii", "backslashreplace").decode("ascii").rstrip()


_lock = threading.Lock()

#: When something was last shown (monotonic seconds), and how many waits go on.
_last_shown = 0.0
_waits = 0


def _shown() -> None:
    global _last_shown
    _last_shown = time.monotonic()


def say(text: str) -> None:
    """Print one progress line at once, whatever behave captures."""
    out = terminal()
    with _lock:
        out.write(printable(text, out.encoding) + "\n")
        out.flush()
        _shown()


def pass_on(text: bytes) -> None:
    """Print what another process of this run has printed, for the same terminal, as it is."""
    out = terminal()
    with _lock:
        out.flush()
        out.buffer.write(text)
        out.buffer.flush()


def replace_line(text: str) -> None:
    """On a terminal, show ``text`` in place of the current line (empty wipes it); elsewhere do nothing."""
    if not is_interactive():
        return
    out = terminal()
    with _lock:
        out.write("\r\x1b[2K" + printable(text, out.encoding))
        out.flush()
        _shown()


@contextmanager
def waiting_for(what: str) -> Iterator[Callable[[float], None]]:
    """Yield a function to call with the seconds waited so far; it shows a line once the wait is long."""
    global _waits
    shown = False
    last = -1
    with _lock:
        _waits += 1

    def tick(waited: float) -> None:
        nonlocal shown, last
        if waited < QUIET_SECONDS or int(waited) == last:
            return
        last = int(waited)
        if is_interactive():
            replace_line(f"  … waiting for {what} ({last} s)")
        elif not shown:
            say(f"  … waiting for {what}")
        shown = True

    try:
        yield tick
    finally:
        with _lock:
            _waits -= 1
        if shown:
            replace_line("")


class Watch:
    """Shows which step is at work once nothing has been shown for two seconds and no wait, which shows itself, goes on:
    a client that reads or a check that counts says nothing. On a terminal the line is kept up to date and wiped in the
    end, elsewhere it is printed once.
    """

    def __init__(self) -> None:
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, step: str) -> None:
        """From now on ``step`` is at work, and what was before no longer is."""
        self.end()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._show, args=(step, self._done), name="watch", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Nothing is at work; more than once is fine."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @staticmethod
    def _show(step: str, done: threading.Event) -> None:
        began = time.monotonic()
        shown = False
        while not done.wait(max(0.05, QUIET_SECONDS - _silence(began))):
            if _waits or _silence(began) < QUIET_SECONDS:
                continue
            if is_interactive():
                replace_line(f"  … at work: {step} ({time.monotonic() - began:.0f} s)")
            else:
                say(f"  … at work: {step}")
                return
            shown = True
        if shown:
            replace_line("")


def _silence(since: float) -> float:
    """Seconds since something was shown, or since then if that is later."""
    return time.monotonic() - max(_last_shown, since)
