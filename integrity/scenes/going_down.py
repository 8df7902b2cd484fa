"""What happens to a broker's process while clients are at work, or while they are not."""

from __future__ import annotations

from integrity.brokers.base import READY_SECONDS
from integrity.faults import process
from integrity.scene import Scene
from integrity.scenes.load import Load
from integrity.waiting import wait_until

#: A frozen broker "longer than its session" is frozen for this many session time-outs.
SESSIONS = 1.5


def restart(scene: Scene, how: str, times: int = 1) -> None:
    """Take the broker down and start it again, so many times; clients at work must get on after each."""
    load = scene.part(Load)
    for _ in range(times):
        scene.restart(how, in_the_middle_of=load.meeting(how))
        if load.is_under_way:
            load.wait_for_progress()


def kill_while_recovering(scene: Scene, times: int) -> None:
    """See integrity.faults.process; clients at work must get on in the end."""
    scene.broker.demand("log")
    load = scene.part(Load)
    process.kill_while_recovering(scene.broker, times, in_the_middle_of=load.in_the_middle())
    load.wait_for_progress()


def freeze(scene: Scene, *, beyond_session: bool) -> None:
    """Freeze the broker until every publisher waits for it (or for longer than its session), then thaw it."""
    scene.broker.demand("frozen")
    load = scene.part(Load)
    at_least = SESSIONS * process.session_seconds(scene.broker) if beyond_session else 0.0
    frozen = process.freeze_and_thaw(
        scene.broker, in_the_middle_of=load.in_the_middle(), until=load.wait_until_waiting, at_least=at_least
    )
    scene.facts.numbers["frozen for (s)"] = round(frozen, 2)
    what = f"{scene.broker.label} to answer again"
    with load.going_on():
        wait_until(scene.broker.is_usable, what=what, seconds=READY_SECONDS, check=scene.connection.check)
    load.wait_for_progress()
