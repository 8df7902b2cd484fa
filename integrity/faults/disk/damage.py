"""Damage to single files of a broker that is down, by the names the features use.

Each function takes the lent files and the topics whose partitions it is to harm, and returns how many files it changed:
a fault that changed nothing proves nothing, and the caller refuses it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from integrity.faults.disk import checkpoints, segments
from integrity.faults.disk.files import METADATA, DataFiles

#: Bytes of an entry in an offset index: an offset and a place, neither of which is 0 in the first one.
INDEX_ENTRY = 8

Damage = Callable[[DataFiles, Collection[str]], int]

#: What can be done to the files of a broker that is down, in the features' words.
DAMAGES: dict[str, Damage] = {}

#: What Kafka (3.9 to 4.3) logs at the next start when it goes by what was done, for the damage that it says so of.
LOGGED: dict[str, str] = {}


def in_words(words: str, *, logged: str = "") -> Callable[[Damage], Damage]:
    """The features call this damage so: "When the broker is killed, <words>, and it is started again".

    logged: see LOGGED.
    """

    def keep(damage: Damage) -> Damage:
        DAMAGES[words] = damage
        if logged:
            LOGGED[words] = logged
        return damage

    return keep


def _segments(files: DataFiles, topics: Collection[str]) -> Iterator[Path]:
    for (topic, _), folder in files.partitions().items():
        if topic in topics:
            yield from files.segments(folder)


def _indexes(files: DataFiles, topics: Collection[str]) -> list[Path]:
    """The offset and time indexes; none where no offset index has an entry, since nothing is looked up there."""
    found = [
        files.inside(segment.with_suffix(suffix))
        for segment in _segments(files, topics)
        for suffix in (".index", ".timeindex")
        if segment.with_suffix(suffix).exists()
    ]
    return found if any(_has_entries(index) for index in found if index.suffix == ".index") else []


def _has_entries(index: Path) -> bool:
    """Whether it has any: while a segment grows, the rest of its indexes is zeros."""
    with open(index, "rb") as opened:
        return any(opened.read(INDEX_ENTRY))


@in_words("its index files are deleted")
def delete_indexes(files: DataFiles, topics: Collection[str]) -> int:
    """Delete the offset and time indexes."""
    found = _indexes(files, topics)
    for index in found:
        index.unlink()
    return len(found)


@in_words("its index files are overwritten with noise")
def garble_indexes(files: DataFiles, topics: Collection[str]) -> int:
    """Overwrite the offset and time indexes with noise, at most 64 KiB of each and their length kept."""
    found = _indexes(files, topics)
    for index in found:
        with open(index, "r+b") as opened:
            opened.write(random.randbytes(max(1, min(index.stat().st_size, 1 << 16))))
    return len(found)


@in_words("half a batch is left at the end of each log")
def tear_tails(files: DataFiles, topics: Collection[str]) -> int:
    """Append the first half of one more batch to every log, as a crash in the middle of a write would leave it."""
    torn = 0
    for segment in _segments(files, topics):
        whole = segments.batches(segment)
        if whole:
            content = segment.read_bytes()
            last = content[whole[-1].position : whole[-1].end]
            following = (whole[-1].last_offset + 1).to_bytes(8) + last[8:]
            # Logs of a killed broker end where they end; nothing follows the last whole batch.
            with open(segment, "ab") as opened:
                opened.write(following[: len(following) // 2])
            torn += 1
    return torn


@in_words("one bit is flipped in the middle of a log")
def flip_bit(files: DataFiles, topics: Collection[str]) -> int:
    """Turn one bit over in the middle of one log, in the body of its middle batch."""
    for segment in _segments(files, topics):
        whole = segments.batches(segment)
        if whole:
            middle = whole[len(whole) // 2]
            place = middle.position + segments.SMALLEST + (middle.size - segments.SMALLEST) // 2
            with open(segment, "r+b") as opened:
                opened.seek(place)
                old = opened.read(1)[0]
                opened.seek(place)
                opened.write(bytes([old ^ 0x10]))
            return 1
    return 0


@in_words("its checkpoints are deleted")
def delete_checkpoints(files: DataFiles, topics: Collection[str]) -> int:
    """Delete the notes of recovery points, high watermarks and log starts, and each partition's of leader epochs."""
    names = (checkpoints.RECOVERY_POINT, checkpoints.HIGH_WATERMARK, checkpoints.LOG_START)
    notes = [files.file(name) for name in names]
    notes += [files.inside(folder / checkpoints.LEADER_EPOCHS) for folder in files.partitions().values()]
    found = [file for file in notes if file.exists()]
    for file in found:
        file.unlink()
    return len(found)


@in_words("the mark of an orderly stop is forged", logged="since clean shutdown file was found")
def forge_clean_shutdown(files: DataFiles, topics: Collection[str]) -> int:
    """Put there the mark that only an orderly stop leaves, so that the broker checks nothing when it starts."""
    marker = files.file(checkpoints.CLEAN_SHUTDOWN)
    if marker.exists():
        return 0
    # Source: org.apache.kafka.storage.internals.checkpoint.CleanShutdownFileHandler, version 0.
    marker.write_text(json.dumps({"version": 0, "brokerEpoch": -1}))
    return 1


@in_words("all its data is gone")
def empty(files: DataFiles, topics: Collection[str]) -> int:
    """Delete everything except what says whose folder it is."""
    return files.clear(keep=(METADATA, "bootstrap.checkpoint"))
