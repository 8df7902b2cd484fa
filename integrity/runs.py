"""A run's own corner of the machine, and proof of what belongs to it.

Everything a run makes outside the reports folder lies in one folder with an unguessable name, which also
stands in the command line of every process and on the label of every container of that run. A run holds a
file lock for as long as it lives; the system lets go of the lock however the run ends. So the next run can
tell the dead from the living, and remove what a killed run left, without ever touching anything else.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import random
import shutil
import signal
import socket
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import psutil

from integrity import mounts, progress
from integrity.errors import Unavailable
from integrity.waiting import WaitTimeout, scaled

#: Ports below every system's ephemeral range: a client's own connection can never be given one of these
#: while a broker is down, and a restarted broker always finds its port free.
PORTS = range(20000, 30000)

#: Seconds, before timeout_factor, for processes that were killed to be gone.
END_SECONDS = 10.0

#: A run that used an engine leaves this mark, so that a sweep knows to ask the engine as well.
DOCKER_MARK = "docker"

#: Why something of a run could not be removed: no engine answers, or it will not; a mount is busy; a file resists.
_RESISTS = (Unavailable, OSError, WaitTimeout)

#: The machine's own place for temporary files while a run takes in those of this process.
_outside: str | None = None


def base_directory() -> Path:
    """The folder of all runs of this user, made if needed, and open to nobody else."""
    base = Path(_outside or tempfile.gettempdir()) / f"kafka-integrity-{os.getuid()}"
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        found = base.lstat()
    except OSError as error:
        raise Unavailable(f"the temporary folder {base} cannot be made: {error.strerror}") from error
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise Unavailable(f"the temporary folder {base} belongs to somebody else; set TMPDIR to another place")
    return base


def _try_lock(path: Path) -> IO[str] | None:
    """The open, locked file, or None when a living process holds it."""
    file = open(path, "a")  # noqa: SIM115 - the caller keeps it open to keep the lock
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    # The holder before us may have removed the file between our open and our lock.
    if not path.exists() or os.fstat(file.fileno()).st_ino != path.stat().st_ino:
        file.close()
        return _try_lock(path)
    return file


class Run:
    """One run of the suite. ``begin`` it once, ``end`` it whatever happens."""

    def __init__(self, base: Path) -> None:
        self.id = uuid.uuid4().hex
        self._base = base
        self.directory = base / "runs" / self.id
        self._leases: dict[int, IO[str]] = {}
        #: By name: what is to be closed when the run ends, before its folder is deleted.
        self.closing: dict[str, Callable[[], None]] = {}
        #: What ``begin`` removed, in words.
        self.swept: list[str] = []
        for folder in ("runs", "locks", "ports"):
            (base / folder).mkdir(exist_ok=True)
        # Locked before the folder exists: a sweep never sees a living run's folder unlocked.
        self._lock = _try_lock(base / "locks" / self.id)
        self.directory.mkdir()

    @classmethod
    def begin(cls) -> Run:
        """Remove what dead runs left, then make this run's folder."""
        base = base_directory()
        run = cls(base)
        run.swept = sweep(base)
        return run

    def take_in_temporary_files(self) -> None:
        """From now on this process makes its temporary files in the run's folder, until the run ends.

        They go with it, whatever ends the process: what a killed one leaves is swept by the next run.
        """
        global _outside
        _outside = _outside or tempfile.gettempdir()
        place = self.directory / "temporary"
        place.mkdir(exist_ok=True)
        tempfile.tempdir = str(place)

    def lease_port(self) -> int:
        """A free loopback port that no other run of this user takes while this one lives."""
        first = random.randrange(len(PORTS))
        for port in itertools.chain(PORTS[first:], PORTS[:first]):
            lock = _try_lock(self._base / "ports" / str(port))
            if lock is None:
                continue
            if _is_free(port):
                self._leases[port] = lock
                return port
            lock.close()
        raise Unavailable(f"no port between {PORTS.start} and {PORTS.stop - 1} is free on 127.0.0.1")

    def release_port(self, port: int) -> None:
        """Let others have the port again."""
        lock = self._leases.pop(port, None)
        if lock is not None:
            (self._base / "ports" / str(port)).unlink(missing_ok=True)
            lock.close()

    def uses_docker(self) -> None:
        """Note that containers of this run may exist."""
        (self.directory / DOCKER_MARK).touch()

    def end(self) -> None:
        """End every process of this run that is still there, delete its folder, free its ports.

        What resists (containers, when the engine has gone away) is told in one line and left to a later run's sweep.
        Raises what closing something has raised, when all of this is done.
        """
        if self._lock is None:
            return
        self._let_go_of_temporary_files()
        try:
            with ExitStack() as closing:
                for close in self.closing.values():
                    closing.callback(close)
                self.closing.clear()
        finally:
            self._remove()

    def _remove(self) -> None:
        try:
            _clear(self.directory)
        except _RESISTS as error:
            progress.say(_left_to_a_later_run(self.directory, error))
        finally:
            for port in list(self._leases):
                self.release_port(port)
            (self._base / "locks" / self.id).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _let_go_of_temporary_files(self) -> None:
        global _outside
        if _outside is not None and tempfile.tempdir == str(self.directory / "temporary"):
            tempfile.tempdir, _outside = _outside, None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def processes(run_id: str) -> Iterator[psutil.Process]:
    """This user's processes whose command line names the run's folder. The id is random: nothing else can."""
    for process in psutil.process_iter(["cmdline", "pid"]):
        words = process.info["cmdline"] or []
        if process.pid != os.getpid() and any(f"/runs/{run_id}/" in word for word in words):
            yield process


def end_processes(run_id: str) -> list[int]:
    """Kill the processes of a run, wait until they are gone, and return their ids."""
    found = list(processes(run_id))
    for process in found:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(found, timeout=scaled(END_SECONDS))
    return [process.pid for process in found]


def _clear(folder: Path) -> list[int]:
    """Remove what a run left: processes, containers, its folder. Returns the ids of the processes that were there.

    Raises one of _RESISTS when something cannot be removed. Then the folder stays, and the mark in it while there may
    be containers: by these two a later sweep knows what to look for.
    """
    killed = end_processes(folder.name)
    mounts.unmount_below(folder)
    mark = folder / DOCKER_MARK
    for entry in folder.iterdir():
        if entry == mark:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if mark.exists():
        from integrity.brokers import engine

        engine.remove_leftovers(folder.name)
        mark.unlink()
    folder.rmdir()
    return killed


def _left_to_a_later_run(folder: Path, error: Exception) -> str:
    reason = " ".join(str(error).split())
    return f"not all that the run in {folder} left can be removed now, a later run will try again: {reason}"


def sweep(base: Path) -> list[str]:
    """Remove what dead runs left: processes, containers, folders. Returns what was done, in words.

    What cannot be removed now is told in one line and left to a later run.
    """
    done = []
    for folder in sorted((base / "runs").iterdir()):
        lock = _try_lock(base / "locks" / folder.name)
        if lock is None:
            continue
        with lock:
            if folder.exists():  # or else another run has just swept it, and let go of the lock
                try:
                    killed = _clear(folder)
                except _RESISTS as error:
                    progress.say(_left_to_a_later_run(folder, error))
                else:
                    done.append(f"a run that was killed left {len(killed)} process(es) and {folder}: removed")
            (base / "locks" / folder.name).unlink(missing_ok=True)
    return done
