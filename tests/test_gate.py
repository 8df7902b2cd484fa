"""Threads that are to be held at one place each, all at the same moment."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from integrity.scenes import gate as gates
from integrity.scenes.gate import Gate, holding
from integrity.waiting import wait_until


@contextmanager
def passing(gate: Gate, before=lambda: None):
    """A thread that passes the gate again and again, each time after ``before``, until it is told to stop."""
    stopping = threading.Event()

    def work() -> None:
        while not stopping.is_set():
            before()
            gate.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        gate.open()
        thread.join(10)
        assert not thread.is_alive()


def test_who_keeps_the_other_from_coming_is_let_go_and_held_again(monkeypatch):
    """A group about to share its work anew waits for the member that is held, who waits for the others."""
    monkeypatch.setattr(gates, "HELD_SECONDS", 0.05)
    first, second = Gate(), Gate()
    let_go = threading.Event()
    rounds = 0

    def see_the_first_one_go() -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 1:
            let_go.set()

    with passing(first, see_the_first_one_go):
        first.close()
        rounds = 0
        let_go.clear()
        with passing(second, lambda: let_go.wait(10)):
            wait_until(holding([first, second]), what="both to be held", seconds=10)
            assert first.is_waited_at
            assert second.is_waited_at
            let_go.set()


def test_who_was_let_go_and_has_not_left_yet_does_not_count_as_held():
    """What it does next is under way: it is not the moment for a fault that must find it held."""
    gate = Gate()
    gate.close()
    thread = threading.Thread(target=lambda: gate.wait(10))
    thread.start()
    wait_until(lambda: gate.is_waited_at, what="somebody at the gate", seconds=10)
    held_at = gate._open
    gate.open()
    assert not gate.is_waited_at
    gate.close()
    gate._waited_at = held_at  # as it is for a moment while the thread has not run yet
    assert not gate.is_waited_at
    thread.join(10)
    assert not thread.is_alive()


def test_an_open_gate_holds_nobody():
    gate = Gate()
    gate.wait(10)
    assert not gate.is_waited_at
