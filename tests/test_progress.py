"""What a person sees of waits: a line after a while, which is replaced on a terminal and printed once elsewhere."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable

import pytest

from integrity import progress


class Terminal(io.StringIO):
    """What is written to it can be read; a person sits before it, or nobody."""

    encoding = "utf-8"

    def __init__(self, *, interactive: bool) -> None:
        super().__init__()
        self._interactive = interactive
        self.written = threading.Event()

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)

    def isatty(self) -> bool:
        return self._interactive


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(progress, "_watched", None)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.1)

    def make(*, interactive: bool) -> Terminal:
        made = Terminal(interactive=interactive)
        monkeypatch.setattr(progress, "terminal", lambda: made)
        return made

    return make


def test_a_long_wait_is_shown_and_wiped_on_a_terminal(terminal: Callable[..., Terminal]) -> None:
    screen = terminal(interactive=True)
    with progress.waiting_for("the moon") as tick:
        tick(0.05)
        assert screen.getvalue() == ""
        tick(1.2)
        tick(1.4)
    assert screen.getvalue() == "\r\x1b[2K  … waiting for the moon (1 s)\r\x1b[2K"


def test_a_long_wait_is_one_line_elsewhere(terminal: Callable[..., Terminal]) -> None:
    screen = terminal(interactive=False)
    with progress.waiting_for("the moon") as tick:
        for seconds in range(5):
            tick(seconds)
    assert screen.getvalue() == "  … waiting for the moon\n"


def test_in_ci_no_line_is_rewritten(terminal: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(interactive=True)
    monkeypatch.setenv("CI", "true")
    progress.replace_line("1,000 of 100,000 messages read")
    assert screen.getvalue() == ""


@pytest.mark.parametrize("interactive", [True, False])
def test_a_step_that_says_nothing_is_named_after_a_while(terminal: Callable[..., Terminal], interactive: bool) -> None:
    screen = terminal(interactive=interactive)
    watch = progress.Watch()
    watch.begin("When a reader reads")
    assert screen.written.wait(10)
    watch.end()
    watch.end()
    assert "  … at work: When a reader reads" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[2K" if interactive else "  … at work: When a reader reads\n")


def test_a_step_is_not_named_while_a_wait_is(terminal: Callable[..., Terminal]) -> None:
    screen = terminal(interactive=False)
    watch = progress.Watch()
    with progress.waiting_for("the broker"):
        watch.begin("When the broker is killed")
        assert not screen.written.wait(0.5)
        watch.end()
    assert screen.getvalue() == ""
