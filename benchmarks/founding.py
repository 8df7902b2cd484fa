"""Both founding features against the same two tests as people write them.

The two tests: a container each, ``stop`` and ``start`` with a sleep of five seconds, a consumer that ends after five
silent seconds. They are repaired only where they cannot work at all: the container keeps its port and is not removed by
the stop. Both sides are timed as whole commands.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
FEATURES = ("features/persistence/restart.feature", "features/delivery/data_integrity.feature")


def ours(reports: Path) -> float:
    """Seconds of ``behave`` on the two founding features, embedded."""
    return _seconds("-m", "behave", "--junit-directory", str(reports), "-D", "broker=embedded", *FEATURES)


def theirs(image: str) -> float:
    """Seconds of pytest on the two tests, on a container of that image."""
    return _seconds("-m", "pytest", "-q", "-p", "no:cacheprovider", "benchmarks/as_people_write_them.py", image=image)


def _seconds(*words: str, image: str = "") -> float:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | {"BENCH_IMAGE": image, "TESTCONTAINERS_RYUK_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - began
