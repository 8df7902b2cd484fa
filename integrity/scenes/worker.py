"""A client at work in a thread of its own, until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable

from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.waiting import wait_until


class Worker:
    """A client in a thread of its own; what it raises is raised again where somebody waits for it."""

    def __init__(self, scene: Scene, name: str, work: Callable[[Worker], None]) -> None:
        self._scene = scene
        self.stopping = threading.Event()
        self._due = threading.Event()
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        scene.workers.append(self)

    def _run(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # noqa: BLE001 - raised by check, in the scenario's thread
            self._error = error

    @property
    def is_at_work(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    def check(self) -> None:
        """Raise what the client has raised, if anything, or that a broker has died on its own."""
        self._scene.connection.check()
        if self._error is not None:
            raise self._error

    def pause(self, seconds: float) -> None:
        """Rest so long, or until somebody nudges: for the worker's own thread."""
        self._due.wait(seconds)
        self._due.clear()

    def nudge(self) -> None:
        """End its pause."""
        self._due.set()

    def prepare_to_stop(self) -> None:
        """Ask it to end. Returns at once."""
        self.stopping.set()
        self.nudge()

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self.prepare_to_stop()
        wait_until(lambda: not self.is_at_work, what=f"{self._thread.name} to end", seconds=2 * PUBLISH_SECONDS)
        self.check()
