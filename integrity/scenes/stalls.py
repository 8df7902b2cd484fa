"""What it is when the work does not go on, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from integrity.brokers.cluster import Cluster
from integrity.reports.timeline import last_fault
from integrity.scene import Scene
from integrity.scenes.words import place
from integrity.waiting import WaitTimeout


class Stalled(AssertionError):
    """The work did not go on; its text says who stalls, after which fault, how the partitions stand, and what the
    checks say of what was sent and read.
    """


class Stuck(Exception):
    """Why somebody's work cannot go on; who waits for it makes it a Stalled, see ``going_on``."""


@contextmanager
def going_on(scene: Scene, account: Callable[[], str], give_up: Callable[[], None]) -> Iterator[None]:
    """What is waited for within is that the work goes on, whoever does it: raises Stalled instead of WaitTimeout.

    account: what became of the sends so far, in words. give_up: ends everybody's work, so that it can be judged.
    """
    try:
        yield
    except (WaitTimeout, Stuck) as stall:
        told = [f"the work does not go on{_after(scene)}: {stall}", account(), _partitions(scene)]
        raise Stalled("\n".join([*filter(None, told), _known_by_now(scene, give_up)])) from None


def _after(scene: Scene) -> str:
    fault = last_fault(scene.facts.events)
    return f" (last fault: {fault.subject} {fault.what})" if fault is not None else ""


def _partitions(scene: Scene) -> str:
    """How the partitions stand, where the brokers are asked one by one."""
    if not isinstance(scene.broker, Cluster):
        return ""
    states = sorted(scene.broker.states(scene.topics).items())
    return "; ".join(f"{place(where)} {state}" for where, state in states) or "no broker says who leads"


def _known_by_now(scene: Scene, give_up: Callable[[], None]) -> str:
    """What the checks say of a history that will not go on, or why they can say nothing."""
    try:
        give_up()
        return scene.verdict().words()
    except Exception as error:  # noqa: BLE001 - the stall is what matters; this is told with it
        return f"what was sent and read so far could not be judged: {error}"
