"""Where somebody who works in a thread can be held, and how several are held at the same moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from integrity.waiting import scaled

#: Seconds, before timeout_factor, that those who are held wait for each other.
HELD_SECONDS = 3.0


class Gate:
    """Open until it is closed; who comes to it while it is closed waits there."""

    def __init__(self) -> None:
        #: A new one for each time it is closed: who was let go and is slow to leave does not stand at the next one.
        self._open = threading.Event()
        self._open.set()
        self._waited_at: threading.Event | None = None

    def close(self) -> None:
        """Hold who comes from now on; it must be open."""
        self._open = threading.Event()

    def open(self) -> None:
        """Let go who is held, and hold nobody from now on."""
        self._open.set()

    def wait(self, seconds: float) -> None:
        """Pass; wait until then while it is closed, so many seconds at most. For one thread."""
        self._waited_at = now = self._open
        now.wait(seconds)
        self._waited_at = None

    @property
    def is_waited_at(self) -> bool:
        """Whether somebody is held here, and has not been let go."""
        now = self._open
        return self._waited_at is now and not now.is_set()


def holding(gates: Sequence[Gate]) -> Callable[[], bool]:
    """Close all gates, at the first call of what is returned; that tells at each call whether somebody is held at each.

    Those who are held may keep the others from coming, as members of a group do that is about to share its work anew.
    So they are let go when the others do not come within HELD_SECONDS, and the gates are closed again.
    """
    until = 0.0

    def held() -> bool:
        nonlocal until
        if all(gate.is_waited_at for gate in gates):
            return True
        if time.monotonic() >= until:
            for gate in gates:
                gate.open()
                gate.close()
            until = time.monotonic() + scaled(HELD_SECONDS)
        return False

    return held
