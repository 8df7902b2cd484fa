"""The proxy's process as the caller sees it: started, spoken to, and ended with certainty."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import integrity
from integrity.faults.network.exchange import Command, Done
from integrity.waiting import scaled

#: Bounds in seconds, before timeout_factor: the process' start, a command, its end.
START_SECONDS = 30.0
COMMAND_SECONDS = 30.0
END_SECONDS = 10.0

#: Seconds the caller's function has for one frame, before timeout_factor; then its connection is closed.
REWRITE_SECONDS = 30.0

SERVER = "integrity.faults.network.server"


class ProxyFailed(Exception):
    """The proxy's process did not start, ended by itself, or did not do as told; the text has its last words."""


class Process:
    """Starts the process; ``heard`` is called on a thread with every message that is no answer to a command.

    folder: for its log; it stands in the command line, so that a sweep of the run finds the process.
    """

    def __init__(self, folder: Path, heard: Callable[[Any], None]) -> None:
        self._log = folder / "proxy.log"
        self._heard = heard
        self._channel, theirs = Pipe()
        self._sending = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Done | None] = {0: None}
        self._changed = threading.Condition()
        self._ended = self._closing = False
        #: What ``heard`` raised.
        self.errors: list[Exception] = []
        with theirs, open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", SERVER, f"{folder}/", str(theirs.fileno()), str(scaled(REWRITE_SECONDS))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(integrity.__file__).parents[1],
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C reaches the suite, which then closes the proxy
            )
        self._thread = threading.Thread(target=self._listen, name="proxy-listening", daemon=True)
        self._thread.start()
        self._await(0, "start", START_SECONDS)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, message: object) -> None:
        """Send a message. Raises OSError when the process is gone."""
        with self._sending:
            self._channel.send(message)

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
            raise ProxyFailed(f"the proxy takes no commands: {error}") from error
        done = self._await(number, what, COMMAND_SECONDS)
        if done.error is not None:
            raise ProxyFailed(f"the proxy could not do as told: {done.error}")
        return done.value

    def check(self) -> None:
        """Raise what the caller's listener raised, or ProxyFailed when the process has ended by itself."""
        if self.errors:
            raise self.errors[0]
        if self._ended and not self._closing:
            raise ProxyFailed(f"the proxy's process ended with {self._process.wait()}:\n{self.log()}")

    def log(self) -> str:
        """What it wrote; nothing, unless it failed."""
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """End it, at last by force, and wait until it and the thread are gone."""
        self._closing = True
        with suppress(OSError):  # it may have ended already
            self.tell(Command(0, "close", ()))
        try:
            self._process.wait(scaled(END_SECONDS))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._channel.close()

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
        while True:
            try:
                message = self._channel.recv()
            except (EOFError, ConnectionResetError):
                break
            if isinstance(message, Done):
                with self._changed:
                    if message.number in self._waiting:
                        self._waiting[message.number] = message
                    self._changed.notify_all()
            else:
                try:
                    self._heard(message)
                except Exception as error:  # noqa: BLE001 - the caller's listener; raised again by check()
                    self.errors.append(error)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
