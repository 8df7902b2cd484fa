"""Runs that are cut short leave no process and no folder, whether by Ctrl-C, SIGTERM or kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from integrity import runs
from integrity.brokers import docker
from integrity.brokers.engine import LABEL, OWN_IMAGES
from integrity.errors import Unavailable
from integrity.settings import Settings
from integrity.waiting import wait_until

ROOT = Path(__file__).parent.parent
IMAGE = f"{OWN_IMAGES}kafka:{Settings().kafka}"
RESTART = "features/persistence/restart.feature"


class LiveRun:
    """A behave run of our own, with a temporary folder of its own, in which its broker is up."""

    def __init__(self, folder: Path, *words: str) -> None:
        # A link to the project, so that the reports of this run do not replace real ones.
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        for name in ("features", "steps", "integrity", "environment.py", "behave.ini"):
            (folder / name).symlink_to(ROOT / name)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "behave", "-D", "broker=embedded", *(words or [RESTART])],
            cwd=folder,
            env=os.environ | {"TMPDIR": str(self.temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said = ""
        #: The ids of the runs that it consists of: one, and one for each of its processes where there are several.
        self.ids: set[str] = set()

    @property
    def base(self) -> Path:
        return self.temporary / f"kafka-integrity-{os.getuid()}"

    def brokers(self) -> list[psutil.Process]:
        """Every process whose command line names this run's temporary folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.temporary) in word for word in process.info["cmdline"] or []):
                found.append(process)
        return found

    def wait_for_a_scenario(self) -> None:
        """Until the first scenario is at work. From then on its ``ids`` are known."""
        while "was acknowledged" not in self.said:
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line
        self.ids = {folder.name for folder in (self.base / "runs").iterdir()}

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.said += self.process.communicate(timeout=60)[0]
        return self.process.returncode

    def discard(self) -> None:
        """Kill whatever of it is still there: for a test that failed on the way."""
        self.process.kill()
        self.process.communicate()
        for process in self.brokers():
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def live(tmp_path, kafka):
    run = LiveRun(tmp_path)
    yield run
    run.discard()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up_reports_and_fails(live, number):
    live.wait_for_a_scenario()
    assert live.brokers()
    assert live.end(number) != 0
    assert live.brokers() == []
    assert list((live.base / "runs").iterdir()) == []
    assert list((live.folder / "reports" / "junit").glob("*.xml"))
    assert (live.folder / "reports" / "report.html").exists()


def test_what_a_killed_run_left_is_removed_by_the_next(live):
    live.wait_for_a_scenario()
    live.end(signal.SIGKILL)
    assert live.brokers(), "a kill -9 leaves the broker behind"
    assert list((live.base / "runs").iterdir())
    done = runs.sweep(live.base)
    assert len(done) == 1
    wait_until(lambda: not live.brokers(), what="the dead run's broker to be gone", seconds=10)
    assert list((live.base / "runs").iterdir()) == []


@pytest.fixture
def containers(tmp_path):
    """A live run whose broker is in a container, and a function that lists the containers and volumes of that run.

    Of no other: runs of other tests come and go in the same engine.
    """
    try:
        client = docker.engine()
    except Unavailable as error:
        pytest.skip(str(error))
    if not docker.has_image(IMAGE):
        pytest.skip(f"the engine has no {IMAGE}: make image")

    def ours() -> set[str]:
        found = set()
        for labelled in ({"label": f"{LABEL}={run_id}"} for run_id in run.ids):
            found |= {each["Id"] for each in client.api.containers(all=True, filters=labelled)}
            found |= {volume.name for volume in client.volumes.list(filters=labelled)}
        return found

    run = LiveRun(tmp_path, "-D", "broker=docker", "-D", f"image={IMAGE}", RESTART)
    yield run, ours
    run.discard()
    runs.sweep(run.base)
    client.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_container(containers, number):
    live, ours = containers
    live.wait_for_a_scenario()
    assert ours()
    assert live.end(number) != 0
    assert ours() == set()
    assert list((live.base / "runs").iterdir()) == []


def test_what_a_killed_run_left_in_the_engine_is_removed_by_the_next(containers):
    live, ours = containers
    live.wait_for_a_scenario()
    live.end(signal.SIGKILL)
    assert ours(), "a kill -9 leaves the container behind"
    assert len(runs.sweep(live.base)) == 1
    assert ours() == set()


FORGETFUL = """
import os, signal, sys

class Forgetful:
    def find_spec(self, name, path=None, target=None):
        if name == "integrity.session":
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                pass

sys.meta_path.insert(0, Forgetful())
"""


def test_an_import_that_forgets_an_interruption_does_not_keep_the_run_going(tmp_path):
    """Libraries with parts in C do that now and then, in the first second or two."""
    (tmp_path / "sitecustomize.py").write_text(FORGETFUL)
    run = subprocess.run(
        [sys.executable, "-m", "behave", "-D", "broker=embedded", "--dry-run", RESTART],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == -signal.SIGINT, run.stdout
