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
from integrity.faults.network import Records

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
    """Let the first two batches of every log change places, each given the other's offsets."""
    swapped = 0
    for segment in _segments(files):
        whole = segments.batches(segment)
        if len(whole) < 2:
            continue
        content = segment.read_bytes()
        first, second = (content[batch.position : batch.end] for batch in whole[:2])
        start = whole[0].base_offset
        then = start + whole[1].last_offset - whole[1].base_offset + 1
        # A batch's first offset is the one thing its checksum does not cover.
        pair = start.to_bytes(8) + second[8:] + then.to_bytes(8) + first[8:]
        segment.write_bytes(pair + content[whole[1].end :])
        _forget_indexes(files, segment)
        swapped += 1
    return swapped


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
