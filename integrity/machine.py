"""What this process may take of its machine: the limits of its control groups count as much as what the machine has.

A container, a job of CI or a systemd unit sees all of the machine's processors and memory, and is held up (processors)
or killed (memory) when it takes more than its share. Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

CONTROL_GROUPS = Path("/sys/fs/cgroup")
#: Which groups this process is in: a line ``number:controllers:path`` each; version 2 names no controllers.
OWN_GROUPS = Path("/proc/self/cgroup")

#: By version: a group's limit, what it uses, and what of that the system would give up (the names in memory.stat).
MEMORY_FILES = (
    ("memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable")),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
)

#: What comes of a file that is missing, cannot be read or has something else in it: a sandbox imitates a part of them,
#: and a group may go while it is looked at. A limit that is not told cannot be kept, and is no reason not to begin.
_NOT_TOLD = (OSError, ValueError)


@dataclass(frozen=True)
class Room:
    """processors: how many, or what share of one. memory: bytes that can be had."""

    processors: float
    memory: int

    def within(self, other: Room) -> Room:
        """No more than either has."""
        return Room(min(self.processors, other.processors), min(self.memory, other.memory))


def room(control_groups: Path = CONTROL_GROUPS, own: Path = OWN_GROUPS) -> Room:
    """What there is for this process and those that it starts, at this moment."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = Room(processors, psutil.virtual_memory().available)
    for group in _groups(control_groups, own):
        found = found.within(Room(_processors(group, processors), _memory(group, found.memory)))
    return found


def _groups(control_groups: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's groups and of all that these are in, whose limits hold as well.

    A container may see itself at the top and hear the path that it has outside: what is not there is passed over.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:  # not Linux, or a sandbox without it
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            inner = PurePosixPath(path.lstrip("/"))
            for each in (inner, *inner.parents):
                if os.path.isdir(
                    folder := control_groups / controller / each
                ):  # a Path's own raises where it may not look
                    yield folder


def _processors(group: Path, otherwise: float) -> float:
    """As many as the group may keep busy: microseconds of work in each period of so many."""
    try:
        if (both := group / "cpu.max").exists():
            quota, period = both.read_text().split()
        elif (old := group / "cpu.cfs_quota_us").exists():
            quota, period = old.read_text().strip(), (group / "cpu.cfs_period_us").read_text()
        else:
            return otherwise
        return otherwise if quota in ("max", "-1") else int(quota) / int(period)
    except _NOT_TOLD:
        return otherwise


def _memory(group: Path, otherwise: int) -> int:
    """Bytes that the group may still take."""
    try:
        for limit, used, given_up in MEMORY_FILES:
            if (group / limit).exists() and (most := (group / limit).read_text().strip()) != "max":
                stat = _statistics(group / "memory.stat")
                kept = int((group / used).read_text()) - sum(stat.get(name, 0) for name in given_up)
                return max(int(most) - kept, 0)
    except _NOT_TOLD:
        pass
    return otherwise


def _statistics(file: Path) -> dict[str, int]:
    """Bytes by name; nothing where there is no such file, as in gVisor."""
    try:
        return {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}
    except _NOT_TOLD:
        return {}
