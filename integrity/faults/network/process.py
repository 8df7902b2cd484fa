"""The proxy's process as the caller sees it: started, spoken to, used again, and ended with certainty.

One takes a third of a second of processor time to start, all of it imports. So a process that has served a proxy well
is kept for the next one of its run, to which it is as new: see ``server.Server``.
"""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import integrity
from integrity.faults.network.exchange import RENEW, Command, Done, Noticed
from integrity.runs import Run
from integrity.waiting import scaled

#: Bounds in seconds, before timeout_factor: the process' start, a command, its taking of what it is told, its end.
START_SECONDS = 30.0
COMMAND_SECONDS = 30.0
TELL_SECONDS = 10.0
END_SECONDS = 10.0

#: Of its log, an error has the last so many characters.
LAST_WORDS = 4000

#: Seconds the caller's function has for one frame, before timeout_factor; then its connection is closed.
REWRITE_SECONDS = 30.0

SERVER = "integrity.faults.network.server"

#: Under which name a run is to close the process that is kept for it.
_CLOSING = "proxy"


def _nobody(message: object) -> None:
    """Who hears a process that serves no proxy, which has nothing to say."""


class ProxyFailed(Exception):
    """The proxy's process did not start, ended by itself, or did not do as told; the text has its last words."""


#: By run: the process that has served a proxy and is ready for the next one.
_kept: dict[str, Process] = {}


def take(run: Run, heard: Callable[[Any], None]) -> Process:
    """The process that was kept, if it still lives, or a new one. Raises ProxyFailed.

    ``heard`` is called on a thread with every message that is no answer to a command. It also hears of a process that
    has ended while it was kept: no proxy had to do with that, so it fails nobody.
    """
    kept = _kept.pop(run.id, None)
    if kept is not None:
        if kept.is_alive:
            kept.heard = heard
            return kept
        try:
            kept.close()
        except ProxyFailed as error:
            heard(Noticed("the process of an earlier proxy was replaced", str(error)))
    return Process(run, heard)


def give_back(process: Process) -> None:
    """Its proxy is closed: keep it for the next one of its run, or end it where that cannot be.

    Raises ProxyFailed, when the process and all it had are gone, if it had ended by itself or did not do as told.
    """
    run = process.run
    if run.id in _kept or process.errors:
        process.close()
        return
    try:
        process.renew()
    except ProxyFailed:
        process.close(already_failed=True)
        raise
    if process.errors:
        process.close()
        return
    _kept[run.id] = process
    run.closing[_CLOSING] = lambda: _close_kept(run)


def _close_kept(run: Run) -> None:
    kept = _kept.pop(run.id, None)
    if kept is not None:
        kept.close()


class Process:
    """Starts the process; see ``take``. Its folder's name stands in the command line: a sweep of the run finds it."""

    def __init__(self, run: Run, heard: Callable[[Any], None]) -> None:
        self.run = run
        self.heard = heard
        self._folder = Path(tempfile.mkdtemp(prefix="proxy-", dir=run.directory))
        self._log = self._folder / "proxy.log"
        self._channel, theirs = Pipe()
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Done | None] = {0: None}
        self._changed = threading.Condition()
        self._ended = self._closing = False
        #: What ``heard`` raised.
        self.errors: list[Exception] = []
        _bound_sending(self._channel.fileno(), scaled(TELL_SECONDS))
        with theirs, open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", SERVER, f"{self._folder}/", str(theirs.fileno()), str(scaled(REWRITE_SECONDS))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(integrity.__file__).parents[1],
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C reaches the suite, which then closes the proxy
            )
        self._thread = threading.Thread(target=self._listen, name="proxy-listening", daemon=True)
        self._thread.start()
        try:
            self._await(0, "start", START_SECONDS)
        except BaseException:
            self.close(already_failed=True)
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, message: object) -> None:
        """Send a message. Raises OSError when the process is gone, or takes none within TELL_SECONDS."""
        if not self._sending.acquire(timeout=scaled(TELL_SECONDS)):
            raise TimeoutError(f"another message to the proxy's process was not taken within {scaled(TELL_SECONDS)} s")
        try:
            self._channel.send(message)
        except BlockingIOError as error:  # see _bound_sending
            raise TimeoutError(f"the proxy's process took no message within {scaled(TELL_SECONDS)} s") from error
        finally:
            self._sending.release()

    def command(self, what: str, *arguments: object) -> Any:
        """Have something done and wait until it is; returns what the process answers. Raises ProxyFailed."""
        number = next(self._numbers)
        with self._changed:
            self._waiting[number] = None
        try:
            self.tell(Command(number, what, arguments))
        except OSError as error:
            self._waiting.pop(number)
            self.check()
            if isinstance(error, TimeoutError):
                raise ProxyFailed(f"the proxy takes no commands: {error}") from error
            # Its end is closed, and the thread that listens has not noticed yet.
            raise ProxyFailed(f"{self._how_it_ended()}:\n{self.log()}") from error
        done = self._await(number, what, COMMAND_SECONDS)
        if done.error is not None:
            raise ProxyFailed(f"the proxy could not do as told: {done.error}")
        return done.value

    def check(self) -> None:
        """Raise what the caller's listener raised, or ProxyFailed when the process has ended by itself."""
        if self.errors:
            raise self.errors[0]
        if self._ended and not self._closing:
            raise ProxyFailed(f"{self._how_it_ended()}:\n{self.log()}")

    @property
    def is_alive(self) -> bool:
        """Whether it can be told anything. The thread that listens may not have noticed yet."""
        return not self._ended and self._process.poll() is None

    def log(self) -> str:
        """The end of what it wrote; nothing, unless it failed."""
        return self._log.read_text(errors="replace")[-LAST_WORDS:]

    def renew(self) -> None:
        """Have it forget everything; whatever it still had to say is heard when this returns. Raises ProxyFailed."""
        self.command(RENEW)
        self.heard = _nobody

    def close(self, *, already_failed: bool = False) -> None:
        """End it, at last by force, and wait until it and the thread are gone.

        Raises ProxyFailed, when all of it is released, if it had ended by itself, did not end when told to, or ended
        badly. already_failed: the caller raises what it did; only what could not be ended is raised then.
        """
        told = self.is_alive and self._tell_to_end()
        self._closing = True
        bound = scaled(END_SECONDS)
        killed = not self._ends_within(bound)
        if killed:
            self._process.kill()
        left = None
        if killed and not self._ends_within(bound):
            left = f"the proxy's process {self.pid} was killed, and is still there {bound} s later"
        self._thread.join(bound)
        if left is None and self._thread.is_alive():
            left = f"the thread that hears the proxy's process is still there {bound} s later: a listener is held up"
        if killed:
            how = f"the proxy's process did not end within {bound} s of being told to, and was killed"
        else:
            how = self._how_it_ended()
        log = self.log()
        self._channel.close()
        shutil.rmtree(self._folder)
        if left is not None:
            raise ProxyFailed(f"{left}:\n{log}")
        if not already_failed and (killed or not told or self._process.returncode != 0):
            raise ProxyFailed(f"{how}:\n{log}")

    def _tell_to_end(self) -> bool:
        try:
            self.tell(Command(0, "close", ()))
        except OSError:
            return False  # it has ended, or hears nothing any more: how it ends tells which
        return True

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _how_it_ended(self) -> str:
        """In words: of a process that has closed its end, or is gone."""
        bound = scaled(END_SECONDS)
        if self._ends_within(bound):
            return f"the proxy's process ended with {self._process.returncode}"
        return f"the proxy's process closed its end, and is still there {bound} s later"

    def _await(self, number: int, what: str, seconds: float) -> Done:
        with self._changed:
            answered = self._changed.wait_for(lambda: self._waiting[number] is not None or self._ended, scaled(seconds))
            done = self._waiting.pop(number)
        if done is None:
            self.check()
            why = "it is closed" if answered else f"no answer within {scaled(seconds):.0f} s"
            raise ProxyFailed(f"the proxy did not {what}: {why}\n{self.log()}")
        return done

    def _listen(self) -> None:
        try:
            while True:
                try:
                    message = self._channel.recv()
                except (EOFError, OSError):  # it may be killed in the middle of a message
                    break
                self._take_in(message)
        finally:  # nobody is to wait for answers that nobody listens to
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take_in(self, message: object) -> None:
        if isinstance(message, Done):
            with self._changed:
                if message.number in self._waiting:
                    self._waiting[message.number] = message
                self._changed.notify_all()
            return
        try:
            self.heard(message)
        except Exception as error:  # noqa: BLE001 - the caller's listener; raised again by check()
            self.errors.append(error)


def _bound_sending(descriptor: int, seconds: float) -> None:
    """Let a write to the socket wait no longer than that: it then fails with BlockingIOError."""
    whole = int(seconds)
    with socket.socket(fileno=os.dup(descriptor)) as end:
        timeval = struct.pack("ll", whole, int((seconds - whole) * 1_000_000))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
