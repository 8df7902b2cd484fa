"""Runs side by side, and what a killed run leaves: removed by the next, and nothing else with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from integrity import mounts, runs
from integrity.errors import Unavailable
from integrity.runs import Run
from integrity.waiting import wait_until

KILLED_RUN = """
import subprocess, sys, time, pathlib
from integrity.runs import Run
run = Run(pathlib.Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(run.directory / "broker")])
print(run.id, child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def killed_run(tmp_path):
    """A run that was killed while a process of its was running: its id and that process."""
    process = subprocess.Popen([sys.executable, "-c", KILLED_RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    run_id, child = process.stdout.readline().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    yield run_id, psutil.Process(int(child))
    if psutil.pid_exists(int(child)):
        psutil.Process(int(child)).kill()


def test_what_a_killed_run_left_is_removed(tmp_path, killed_run):
    run_id, child = killed_run
    done = runs.sweep(tmp_path)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="its end", seconds=5)
    assert not (tmp_path / "runs" / run_id).exists()
    assert len(done) == 1
    assert "1 process(es)" in done[0]


def test_what_another_run_has_just_swept_is_no_error(tmp_path, killed_run, monkeypatch):
    """Two runs that begin at once see the same folder; the slower one comes to its lock when the folder is gone."""
    take = runs._try_lock

    def too_late(path: Path):
        monkeypatch.setattr(runs, "_try_lock", take)
        assert len(runs.sweep(tmp_path)) == 1
        return take(path)

    monkeypatch.setattr(runs, "_try_lock", too_late)
    assert runs.sweep(tmp_path) == []
    assert list((tmp_path / "runs").iterdir()) == []
    assert list((tmp_path / "locks").iterdir()) == []


KILLED_RUN_WITH_A_SMALL_DISK = """
import subprocess, sys, time, pathlib
from integrity import mounts
from integrity.errors import NotPossible
from integrity.runs import Run
run = Run(pathlib.Path(sys.argv[1]))
disk = run.directory / "broker"
disk.mkdir()
try:
    mounts.mount_small(disk, 1)
except NotPossible as reason:
    run.end()
    print(reason, flush=True)
    sys.exit()
writes = "import time; log = open('log', 'w'); log.write('x'); log.flush(); print('ready', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", writes, str(disk)], cwd=disk, stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print("ready", flush=True)
time.sleep(600)
"""


def test_a_small_disk_that_a_killed_run_left_is_taken_away(tmp_path):
    """Though what the run had started still stands in it and writes to it."""
    words = [sys.executable, "-c", KILLED_RUN_WITH_A_SMALL_DISK, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
    if said != "ready":
        pytest.skip(said)
    assert str(tmp_path) in mounts.MOUNTS.read_text()
    try:
        assert len(runs.sweep(tmp_path)) == 1
        assert str(tmp_path) not in mounts.MOUNTS.read_text()
    finally:
        mounts.unmount_below(tmp_path)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_living_run_is_left_alone(tmp_path):
    living = Run(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(living.directory / "broker")])
    try:
        assert runs.sweep(tmp_path) == []
        assert living.directory.exists()
        assert child.poll() is None
    finally:
        living.end()
    assert not psutil.pid_exists(child.pid)
    assert not living.directory.exists()


def test_a_stranger_that_looks_alike_is_left_alone(tmp_path, killed_run):
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "/runs/0123/broker"])
    try:
        runs.sweep(tmp_path)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_runs_never_lease_the_same_port(tmp_path):
    first, second = Run(tmp_path), Run(tmp_path)
    try:
        leased = [run.lease_port() for _ in range(50) for run in (first, second)]
        assert len(set(leased)) == 100
        assert all(port in runs.PORTS for port in leased)
    finally:
        first.end()
        second.end()


def test_a_port_in_use_is_never_leased(tmp_path, monkeypatch):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        # That one alone: whether its neighbour is free is not this test's to choose.
        monkeypatch.setattr(runs, "PORTS", range(port, port + 1))
        run = Run(tmp_path)
        try:
            with pytest.raises(Unavailable, match="no port between"):
                run.lease_port()
        finally:
            run.end()


def test_nothing_is_left_of_a_run_that_ended(tmp_path):
    run = Run(tmp_path)
    run.lease_port()
    run.end()
    run.end()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_cannot_be_closed_keeps_nothing_else_of_the_run(tmp_path):
    """Protects from one part's failure leaving the others, the folder and the ports to the next run."""
    run = Run(tmp_path)
    port = run.lease_port()
    closed = []

    def fail():
        raise OSError("would not go")

    run.closing |= {"first": lambda: closed.append("first"), "second": fail, "third": lambda: closed.append("third")}
    with pytest.raises(OSError, match="would not go"):
        run.end()
    assert closed == ["third", "first"]
    assert not run.directory.exists()
    assert not (tmp_path / "ports" / str(port)).exists()
    run.end()


def test_temporary_files_are_made_in_the_run_and_end_with_it(monkeypatch):
    """A check that spills, a file lent by a container, a key: none of it may outlive a killed run."""
    monkeypatch.setattr("tempfile.tempdir", None)
    outside, base = tempfile.gettempdir(), runs.base_directory()
    run = Run.begin()
    run.take_in_temporary_files()
    kept = tempfile.mkdtemp()
    assert run.directory in Path(kept).parents
    assert runs.base_directory() == base
    run.end()
    assert not Path(kept).exists()
    assert tempfile.gettempdir() == outside
