"""Sabotages on the disk of a broker that is down, done just before it is started again.

Each is given the lent files and returns how much it has changed; nothing changed means that the sabotage never took
place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from integrity.faults.disk import DataFiles, damage, segments
from integrity.faults.disk.files import METADATA_LOG
from integrity.faults.network import Batch, Records

#: How a ConfigRecord of a topic begins in KRaft's log: frame version 1, API key 4, version 0, resource type 2; and a
#: record that says nothing, NoOpRecord (API key 20). Source: the messages of Kafka's metadata module, version 4.3.
TOPIC_CONFIG = bytes([1, 4, 0, 2])
NO_OPERATION = bytes([1, 20, 0, 0])

#: Kafka's own topics begin with this.
INTERNAL = "__"


def _segments(files: DataFiles) -> Iterator[Path]:
    for (topic, _), folder in files.partitions().items():
        if not topic.startswith(INTERNAL):
            yield from files.segments(folder)


def _forget_indexes(files: DataFiles, segment: Path) -> None:
    """Delete a segment's indexes, which its content no longer fits; the broker makes them again."""
    for suffix in (".index", ".timeindex"):
        files.inside(segment.with_suffix(suffix)).unlink(missing_ok=True)


def lose_tail(files: DataFiles) -> int:
    """Cut the last batch off every log."""
    cut = 0
    for segment in _segments(files):
        whole = segments.batches(segment)
        if whole:
            with open(segment, "r+b") as opened:
                opened.truncate(whole[-1].position)
            _forget_indexes(files, segment)
            cut += 1
    return cut


def lose_everything(files: DataFiles) -> int:
    """Empty the folder."""
    return damage.empty(files, ())


def swap_batches(files: DataFiles) -> int:
    """Let the first two batches of every log change places, each given the other's offsets.

    Where a fast publisher has put everything into one batch, that is made two.
    """
    swapped = 0
    for segment in _segments(files):
        records = Records.parse(segment.read_bytes())
        if len(records.batches) == 1:
            records.batches = _halves(records.batches[0])
        if len(records.batches) < 2:
            continue
        first, second = records.batches[:2]
        start = first.base_offset
        first.shift(second.last_offset - second.base_offset + 1)
        second.shift(start - second.base_offset)
        records.batches[:2] = second, first
        segment.write_bytes(records.encode())
        _forget_indexes(files, segment)
        swapped += 1
    return swapped


def _halves(batch: Batch) -> list[Batch]:
    middle = len(batch.entries) // 2
    second = Batch.of(batch.entries[middle:], like=batch)
    second.base_sequence += middle
    return [Batch.of(batch.entries[:middle], like=batch), second]


def forget_settings(files: DataFiles) -> int:
    """Overwrite what KRaft's log says of topics' settings with records that say nothing."""
    forgotten = 0
    for segment in files.segments(files.inside(files.root / f"{METADATA_LOG}-0")):
        records = Records.parse(segment.read_bytes())
        batches = (batch for batch in records.batches if not batch.control)
        for entry in itertools.chain.from_iterable(batch.entries for batch in batches):
            if entry.value is not None and entry.value.startswith(TOPIC_CONFIG):
                entry.value = NO_OPERATION
                forgotten += 1
        segment.write_bytes(records.encode())
        _forget_indexes(files, segment)
    return forgotten
