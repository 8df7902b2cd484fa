"""What a person sees on the console of the feature that the project began with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LINES = [
    "Producing messages to Kafka...",
    "✅ Messages successfully produced!",
    "Consuming messages from Kafka...",
    "Validating message integrity...",
    "✅ Kafka data integrity validation PASSED! 🎉",
]
IN_ASCII = [line.replace("✅", "[OK]").replace(" 🎉", "") for line in LINES]


@pytest.mark.parametrize(("encoding", "lines"), [("utf-8", LINES), ("ascii", IN_ASCII)])
def test_its_progress_is_told_line_by_line(kafka, tmp_path: Path, encoding: str, lines: list[str]) -> None:
    """The words are the founders' own, and they come in this order, each once; in ASCII where ticks cannot be shown."""
    for name in ("features", "steps", "integrity", "environment.py", "behave.ini"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [sys.executable, "-m", "behave", "-D", "broker=embedded", "features/delivery/data_integrity.feature"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
        check=False,
    )
    said = done.stdout.decode(encoding)
    assert done.returncode == 0, said
    told = [line.strip() for line in said.splitlines()]
    assert [line for line in told if line in lines] == lines
