"""A worker's end: it asks for features, one after the other, and tells how they went."""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

from integrity.side_by_side.line import VARIABLE, Outcome, Terms


class Member:
    """This process as a worker of a run."""

    def __init__(self, connection: Connection, lifeline: int) -> None:
        self._connection = connection
        self._at: int | None = None
        self.terms: Terms = connection.recv()
        threading.Thread(target=_end_with, args=(lifeline,), daemon=True, name="lifeline").start()

    @classmethod
    def of_this_process(cls) -> Member | None:
        """The worker that this process was started as; None in an ordinary run, and at every further call."""
        # Taken out: a process that this one starts is no worker.
        found = os.environ.pop(VARIABLE, None)
        if found is None:
            return None
        connection, lifeline = map(int, found.split(","))
        for descriptor in (connection, lifeline):
            os.set_inheritable(descriptor, False)
        return cls(Connection(connection), lifeline)

    def first(self) -> int | None:
        """The index of the first feature to run; None when all are taken."""
        return self._ask(None)

    def next(self, view: object, failed: bool) -> int | None:
        """Tell how the feature in hand went and return the index of the next one; None when all are taken."""
        assert self._at is not None
        return self._ask(Outcome(self._at, view, failed))

    def _ask(self, outcome: Outcome | None) -> int | None:
        self._say(outcome)
        self._at = self._connection.recv()
        return self._at

    def _say(self, outcome: Outcome | None) -> None:
        # Whatever was printed for this feature is in the file before the run hears that the feature is over.
        sys.stdout.flush()
        sys.stderr.flush()
        self._connection.send(outcome)


def _end_with(lifeline: int) -> None:
    """Wait until the run is gone, then end as if somebody had told this process to."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
