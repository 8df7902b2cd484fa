"""Power loss: what was written and not yet flushed is gone, in whole or in part.

A killed process alone loses nothing, because the system still holds every write in memory. So the broker is killed,
and then every segment is cut back to what the broker's own ``recovery-point-offset-checkpoint`` says was flushed.
What a disk may leave beyond that point is up to the caller. KRaft's own log stays, because Kafka flushes each append to
it; checkpoints stay, because each is flushed before it replaces the one before; a cut segment's indexes do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from integrity.clients.base import Partition
from integrity.faults.disk import checkpoints, segments
from integrity.faults.disk.files import DataFiles

#: Index files beside a segment: "00000000000000000000.index" and the others.
INDEXES = (".index", ".timeindex", ".txnindex")


@dataclass(frozen=True)
class Cut:
    """What a power loss took from one partition: everything from ``offset`` on, ``batches`` whole batches of it."""

    partition: Partition
    offset: int
    batches: int


def _nothing(segment: Path, batch: segments.Batch) -> None:
    _truncate(segment, batch.position)


def _half_a_batch(segment: Path, batch: segments.Batch) -> None:
    _truncate(segment, batch.position + batch.size // 2)


def _zeros(segment: Path, batch: segments.Batch) -> None:
    """As file systems leave it that note a file's new length before its content."""
    _truncate(segment, batch.position)
    _truncate(segment, batch.end)


#: What is left of the first unflushed batch, in the features' words.
REMAINS: dict[str, Callable[[Path, segments.Batch], None]] = {
    "nothing": _nothing,
    "half a batch": _half_a_batch,
    "a block of zeros": _zeros,
}


def lose_unflushed(files: DataFiles, remains: str = "nothing") -> list[Cut]:
    """Take from every partition what its recovery point does not cover; returns what was taken, and where.

    remains: a name of REMAINS, what is left of the first batch that was not flushed.
    """
    checkpoint = files.file(checkpoints.RECOVERY_POINT)
    flushed = checkpoints.parse(checkpoint.read_text()) if checkpoint.exists() else {}
    cuts = []
    for partition, folder in files.partitions().items():
        cut = _cut(files, partition, folder, flushed.get(partition, 0), REMAINS[remains])
        if cut.batches:
            cuts.append(cut)
    return cuts


def _cut(
    files: DataFiles, partition: Partition, folder: Path, point: int, leave: Callable[[Path, segments.Batch], None]
) -> Cut:
    taken = 0
    for segment in files.segments(folder):
        lost = [batch for batch in segments.batches(segment) if batch.base_offset >= point]
        if taken:
            # A later file: the one before it already ends too early, so this one was never flushed at all.
            for suffix in (".log", *INDEXES):
                files.inside(segment.with_suffix(suffix)).unlink(missing_ok=True)
        elif lost:
            leave(segment, lost[0])
            for index in _indexes(files, segment):
                _blank(index)
        taken += len(lost)
    return Cut(partition, point, taken)


def _indexes(files: DataFiles, segment: Path) -> list[Path]:
    return [files.inside(path) for path in map(segment.with_suffix, INDEXES) if path.exists()]


def _truncate(file: Path, size: int) -> None:
    with open(file, "r+b") as opened:
        opened.truncate(size)


def _blank(file: Path) -> None:
    """Keep the file's length and lose its content."""
    size = file.stat().st_size
    _truncate(file, 0)
    _truncate(file, size)
