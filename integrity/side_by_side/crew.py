"""The run's end: it starts the workers, hands out the features, and passes on what they print, in order."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from integrity import progress, runs
from integrity.errors import SuiteError
from integrity.side_by_side.line import VARIABLE, Outcome, Terms
from integrity.waiting import scaled

#: Seconds between two looks at what the worker prints whose feature people are reading.
FOLLOW_SECONDS = 0.1

#: Seconds a worker has for ending by itself once it was told to: it takes its brokers down, kept evidence included.
END_SECONDS = 30

#: So many workers that end in a row, with no feature over in between and none in hand, are enough: another one would
#: not get further.
MOST_FALSE_STARTS = 2


class WorkerDied(SuiteError):
    """The process that ran a feature ended in the middle of it."""


class _Worker:
    """One process, the feature it is at, and the file that takes what it prints."""

    def __init__(self, words: Sequence[str], file: Path, terms: Terms) -> None:
        self.at: int | None = None
        #: What the last feature it was handed needs, which it may still have.
        self.has: str | None = None
        #: Whether it has asked for a feature yet; whether any of its features failed; whether it was told to end.
        self.asked = self.failed = self.told_to_end = False
        #: Whether it was told last that there is nothing left to do: it then ends by itself.
        self.is_through = False
        #: Where in the file the output of the feature in hand begins.
        self.mark = 0
        self.file = file
        self.connection, theirs = Pipe()
        lifeline, self._lifeline = os.pipe()
        environment = os.environ | {
            VARIABLE: f"{theirs.fileno()},{lifeline}",
            # What it prints is passed on as it is, byte by byte, as soon as it is printed.
            "PYTHONIOENCODING": progress.terminal().encoding or "utf-8",
            "PYTHONUNBUFFERED": "1",
        }
        with open(file, "wb") as output:
            # A session of its own: Ctrl-C in the terminal reaches the run, which then ends its workers.
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                pass_fds=(theirs.fileno(), lifeline), start_new_session=True,
            )  # fmt: skip
        theirs.close()
        os.close(lifeline)
        with suppress(OSError):  # one that has ended already: the first look finds its end closed
            self.connection.send(terms)

    def printed(self) -> int:
        """How many bytes it has printed so far."""
        return self.file.stat().st_size

    def read(self, begin: int, end: int) -> bytes:
        with open(self.file, "rb") as file:
            file.seek(begin)
            return file.read(max(end - begin, 0))

    def close(self) -> None:
        self.connection.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


class Crew:
    """The workers of a run. ``outcome_of`` each feature in turn, then ``end`` it whatever happens."""

    def __init__(
        self,
        size: int,
        lengths: dict[int, float],
        terms: Terms,
        folder: Path,
        words: Sequence[str] | None = None,
        needs: Mapping[int, str] | None = None,
        serves: Callable[[str, str], bool] = operator.eq,
    ) -> None:
        """size: how many workers at most. lengths: index of each feature to run, in order, to how long it takes next to
        others. folder: of the run, for what workers print. words: a worker's command line, this process's by default.
        needs: what a feature needs, where a worker keeps what it has for its next one; serves: whether what a worker
        has for one need serves another.
        """
        self._needs = dict(needs or {})
        self._serves = serves
        self._terms = terms
        self._folder = folder
        self._words = words or [sys.executable, "-m", "behave", *sys.argv[1:]]
        self._lengths = dict(lengths)
        #: Features that nobody has been handed, in order.
        self._waiting = dict(lengths)
        self._outcomes: dict[int, Outcome | WorkerDied] = {}
        #: What was printed for each feature that is over, as far as it has not been shown.
        self._texts: dict[int, bytes] = {}
        #: How many bytes of the feature people are reading were shown already.
        self._shown = 0
        self._started = 0
        #: Why no worker can be had.
        self._hopeless: WorkerDied | None = None
        self._false_starts = 0
        #: How workers ended that had no feature in hand and still did not end well.
        self._ill_ended: list[str] = []
        self._size = min(size, len(lengths))
        self._workers: list[_Worker] = []
        for _ in range(self._size):
            self._start()

    def outcome_of(self, index: int) -> tuple[Any, bool]:
        """Wait until that feature is over, showing what is printed for it; returns its view and whether it failed.

        Raises WorkerDied when the process that ran it ended in the middle of it, or when none is left to run it.
        """
        try:
            while index not in self._outcomes:
                if not self._workers:
                    raise self._hopeless or WorkerDied("no process of this run is left that would run this feature")
                self._listen(FOLLOW_SECONDS)
                self._follow(index)
        except KeyboardInterrupt:
            self._tell_to_end()
            self._see_out()
            self._follow(index)
            raise
        self._follow(index)
        self._shown = 0
        found = self._outcomes[index]
        if isinstance(found, WorkerDied):
            raise found
        return found.view, found.failed

    def known(self, index: int) -> Any | None:
        """The view of a feature that is over, None for any other: for an interrupted run's reports."""
        found = self._outcomes.get(index)
        return found.view if isinstance(found, Outcome) else None

    def end(self) -> None:
        """End every worker that is still there; those without a feature end by themselves. May be called again.

        Raises WorkerDied when one that had no feature in hand did not end well: it may have left something behind.
        """
        self._tell_to_end()
        self._see_out()
        said, self._ill_ended = self._ill_ended, []
        if said:
            raise WorkerDied("; ".join(said))

    # -- workers ------------------------------------------------------------------------------------
    def _start(self) -> None:
        self._started += 1
        self._workers.append(_Worker(self._words, self._folder / f"worker-{self._started}.txt", self._terms))

    def _listen(self, seconds: float) -> None:
        """Hear what workers have to say; returns after ``seconds`` or once somebody has said something."""
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), timeout=seconds):
            assert isinstance(connection, Connection)
            worker = by_connection[connection]
            try:
                said = connection.recv()
            except (EOFError, OSError):  # it may have died in the middle of what it said
                self._gone(worker)
                continue
            worker.asked = True
            self._over(worker, said)
            worker.at = self._hand_out(worker)
            worker.mark = worker.printed()
            worker.is_through = worker.at is None
            try:
                connection.send(worker.at)
            except OSError:
                # It has just died, and never began the feature; the next look finds its end closed.
                self._take_back(worker)

    def _over(self, worker: _Worker, outcome: Outcome | WorkerDied | None) -> None:
        """The feature the worker was at has come to its end, if there was one."""
        if worker.at is not None and outcome is not None:
            self._texts[worker.at] = worker.read(worker.mark, worker.printed())
            self._outcomes[worker.at] = outcome
            worker.failed |= isinstance(outcome, Outcome) and outcome.failed
            worker.at = None
            self._false_starts = 0

    def _take_back(self, worker: _Worker) -> None:
        """Let somebody else have the feature that the worker was to have."""
        if worker.at is not None:
            waiting = {*self._waiting, worker.at}
            self._waiting = {index: length for index, length in self._lengths.items() if index in waiting}
            worker.at = None

    def _hand_out(self, worker: _Worker) -> int | None:
        """The feature to run next: the one people read next, if nobody is at it; otherwise the longest left.

        Of those left first such as need what the worker has; then one as long as a worker's share of all that is
        left, as it alone would be waited for if it were begun later; then such as need what no other worker has.
        """
        if not self._waiting:
            return None
        taken = [other.at for other in self._workers if other.at is not None]
        first = next(iter(self._waiting))
        chosen = first
        if taken and min(taken) < first:
            others = [other for other in self._workers if other is not worker]
            served = [index for index in self._waiting if self._has_for(worker, index)]
            share = sum(self._waiting.values()) / len(self._workers)
            lasting = [index for index, length in self._waiting.items() if length >= share]
            unserved = [i for i in self._waiting if not any(self._has_for(other, i) for other in others)]
            chosen = max(served or lasting or unserved or self._waiting, key=lambda index: self._waiting[index])
        if not self._has_for(worker, chosen):
            worker.has = self._needs.get(chosen)
        del self._waiting[chosen]
        return chosen

    def _has_for(self, worker: _Worker, index: int) -> bool:
        """Whether the worker has what that feature needs."""
        need = self._needs.get(index)
        return worker.has is not None and need is not None and self._serves(worker.has, need)

    def _gone(self, worker: _Worker) -> None:
        """A worker has closed its end: because it was through, or was told to, or because it died."""
        self._workers.remove(worker)
        try:
            code = worker.process.wait(scaled(END_SECONDS))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            code = worker.process.wait()
        worker.close()
        if code < 0:
            # It had no time to take its brokers down. They are ours, by the rule for runs that are dead.
            runs.sweep(runs.base_directory())
        if worker.told_to_end:
            return
        if worker.at is not None:
            self._over(worker, WorkerDied(f"the process that ran this feature {_end_of(worker)} in the middle of it"))
        elif not worker.is_through:
            self._false_starts += 1
            when = "between two features" if worker.asked else "before it had begun"
            self._ended_ill(worker, when)
        elif code != int(worker.failed):
            self._ended_ill(worker, "after its last feature")
        if not self._waiting:
            return
        if self._false_starts < MOST_FALSE_STARTS:
            free = sum(worker.at is None for worker in self._workers)
            if len(self._workers) < self._size and free < len(self._waiting):
                self._start()
        elif not self._workers:
            said, self._ill_ended = self._ill_ended, []
            self._hopeless = WorkerDied("; ".join(dict.fromkeys(said)))
            self._waiting.clear()

    def _ended_ill(self, worker: _Worker, when: str) -> None:
        """No feature's fault, least of all that of the one people are reading: it is told at the end."""
        self._ill_ended.append(f"a process of this run {_end_of(worker)} {when}{_last_words(worker)}")

    # -- what people see ----------------------------------------------------------------------------
    def _follow(self, index: int) -> None:
        """Show what has been printed for that feature since the last look."""
        if index in self._outcomes:
            text = self._texts.pop(index, b"")[self._shown :]
        else:
            worker = next((worker for worker in self._workers if worker.at == index), None)
            text = worker.read(worker.mark + self._shown, worker.printed()) if worker else b""
        self._shown += len(text)
        if text:
            progress.pass_on(text)

    # -- the end ------------------------------------------------------------------------------------
    def _tell_to_end(self) -> None:
        """Those that are at a feature end in the middle of it, as if by Ctrl-C; the others have nothing left to do."""
        self._waiting.clear()
        for worker in self._workers:
            # One that has ended by itself is to be heard of, even if nobody has looked since.
            if not worker.is_through and worker.process.poll() is None:
                worker.told_to_end = True
                worker.process.terminate()

    def _see_out(self) -> None:
        """Wait until all workers have ended, bounded; the features they were at are remembered as they ended."""
        deadline = time.monotonic() + scaled(END_SECONDS)
        while self._workers and time.monotonic() < deadline:
            self._listen(FOLLOW_SECONDS)
        for worker in list(self._workers):
            worker.process.kill()
            worker.told_to_end = True
            self._gone(worker)


def _end_of(worker: _Worker) -> str:
    code = worker.process.returncode
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _last_words(worker: _Worker) -> str:
    lines = worker.read(worker.mark, worker.printed()).decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last}" if last else ""
