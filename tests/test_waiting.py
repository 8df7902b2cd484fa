"""Waits: bounded, named, ended at once by what they depend on."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from integrity import progress, waiting
from integrity.waiting import WaitTimeout, wait_until


@pytest.fixture(autouse=True)
def _normal_factor():
    yield
    waiting.set_timeout_factor(1.0)


def test_a_wait_returns_what_the_condition_returned():
    answers = iter([None, 0, "there"])
    assert wait_until(lambda: next(answers), what="an answer", seconds=5) == "there"


def test_a_wait_that_is_in_vain_says_what_it_waited_for():
    with pytest.raises(WaitTimeout, match=r"waited 0\.\d s for the moon to rise, in vain: it is noon"):
        wait_until(lambda: False, what="the moon to rise", seconds=0.05, detail=lambda: "it is noon")


def test_a_wait_ends_at_once_when_its_check_raises():
    def died():
        raise ProcessLookupError("dead")

    began = time.monotonic()
    with pytest.raises(ProcessLookupError):
        wait_until(lambda: False, what="a dead thing", seconds=60, check=died)
    assert time.monotonic() - began < 30  # of the 60 it was given


def test_bounds_are_scaled():
    waiting.set_timeout_factor(0.01)
    began = time.monotonic()
    with pytest.raises(WaitTimeout):
        wait_until(lambda: False, what="anything", seconds=60)
    assert 0.6 <= time.monotonic() - began < 30


@pytest.mark.parametrize("poll_seconds", [None, 0.025])
def test_a_look_that_takes_long_is_taken_less_often(poll_seconds):
    """Ten looks in a row at a broker's answers would take a processor from the broker that is waited for."""
    looks = []

    def look() -> None:
        looks.append(time.monotonic())
        while time.monotonic() < looks[-1] + 0.02:
            pass

    with pytest.raises(WaitTimeout):
        wait_until(look, what="anything", seconds=1, poll_seconds=poll_seconds)
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(looks[:-1]))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", None, "no-such-encoding"])
def test_progress_is_ascii_where_the_terminal_shows_nothing_else(encoding):
    assert progress.printable("✅ Messages successfully produced! 🎉", encoding) == (
        "[OK] Messages successfully produced!"
    )


def test_progress_keeps_its_ticks_where_it_can():
    assert progress.printable("✅ 🎉", "utf-8") == "✅ 🎉"
