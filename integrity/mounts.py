"""Small volumes, mounted in a run's own folder where this user may mount at all (root on Linux).

A mount outlives the process that made it; whoever deletes a run's folder first takes away what is mounted below it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from integrity.errors import NotPossible

#: The system's own account of what is mounted in this process's view (proc(5), fields: ... mount point is the fifth).
MOUNTS = Path("/proc/self/mountinfo")

#: Seconds for mount and umount.
SECONDS = 20


def mount_small(folder: Path, megabytes: int) -> None:
    """Mount an empty volume of that size (MiB, in memory) on an existing folder.

    Raises NotPossible where this user cannot mount.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NotPossible("a small volume can be mounted only by root on Linux")
    options = f"size={megabytes}m,mode=0700,nosuid,nodev"
    done = _run("mount", "-t", "tmpfs", "-o", options, "kafka-integrity", str(folder))
    if done.returncode:
        raise NotPossible(f"a small volume cannot be mounted here: {' '.join(done.stderr.split())}")


def unmount_below(folder: Path) -> None:
    """Take away everything that is mounted at or below ``folder``. Raises OSError when something cannot be."""
    if not MOUNTS.exists():
        return
    place = folder.resolve()
    found = [Path(_unescape(line.split()[4])) for line in MOUNTS.read_text().splitlines()]
    for point in sorted((path for path in found if path.is_relative_to(place)), reverse=True):
        done = _run("umount", str(point))
        if done.returncode:
            raise OSError(f"{point} cannot be unmounted: {' '.join(done.stderr.split())}")


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{' '.join(words)} did not end within {SECONDS} s") from error


def _unescape(text: str) -> str:
    r"""A blank in a path stands there as ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
