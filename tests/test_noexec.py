"""A temporary folder that nothing can be run from, as hardened machines have it, is told before any broker starts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from integrity import mounts
from integrity.brokers import jvm, kinds
from integrity.errors import Unavailable
from integrity.runs import Run
from integrity.settings import Settings


@pytest.fixture
def hardened(tmp_path: Path) -> Iterator[Path]:
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root on Linux can mount")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,size=1m", "hardened", tmp_path], capture_output=True)
    if done.returncode:
        pytest.skip(done.stderr.decode())
    yield tmp_path
    mounts.unmount_below(tmp_path)


def test_a_folder_that_no_library_can_be_loaded_from_is_one_line(hardened: Path) -> None:
    """Protects from features that do not hold because a codec cannot be loaded."""
    run = Run(hardened)
    try:
        with pytest.raises(Unavailable, match=rf"{run.directory}, which is mounted noexec; set TMPDIR to another pl"):
            kinds.load("embedded")(Settings(), run)
    finally:
        run.end()


def test_the_line_does_not_need_root_to_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "ST_NOEXEC", 8, raising=False)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=8))
    run = Run(tmp_path)
    try:
        with pytest.raises(Unavailable, match="which is mounted noexec; set TMPDIR to another place") as caught:
            kinds.load("embedded")(Settings(), run)
    finally:
        run.end()
    assert "\n" not in str(caught.value)


def test_any_other_folder_is_good(tmp_path: Path) -> None:
    jvm.require_libraries(tmp_path)
