"""What a segment file holds: its batches, each with its place. (What the batches hold: integrity.history.on_disk.)

A segment is batches one after another, each beginning with its base offset (8 bytes), its length without these 12
bytes (4), its leader's epoch (4), its magic (1) and its CRC (4).
Source: org.apache.kafka.common.record.DefaultRecordBatch.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kafka.record.default_records import DefaultRecordBatch

_HEAD = struct.Struct(">qiib")
#: Bytes before a batch's length counts, and of the smallest batch (a header without records) all together.
OVERHEAD = 12
SMALLEST = 61
#: The length field of a torn or overwritten place may say anything; no batch here is larger (bytes).
LARGEST = 1 << 28
MAGIC = 2


@dataclass(frozen=True)
class Batch:
    """A whole batch in a file: where it begins and how long it is (bytes), its first and last offset.

    control: it holds a transaction's marker, not messages.
    """

    position: int
    size: int
    base_offset: int
    last_offset: int
    control: bool

    @property
    def end(self) -> int:
        return self.position + self.size


def _whole(content: bytes) -> Iterator[tuple[int, int]]:
    """(position, size) of each batch that is there to its last byte and has the right checksum."""
    position = 0
    while position + SMALLEST <= len(content):
        _, length, _, magic = _HEAD.unpack_from(content, position)
        size = OVERHEAD + length
        if magic != MAGIC or not SMALLEST <= size <= LARGEST or position + size > len(content):
            return
        if not DefaultRecordBatch(content[position : position + size]).validate_crc():
            return
        yield position, size
        position += size


def batches(segment: Path) -> list[Batch]:
    """The batches of a segment up to the first that is torn or damaged."""
    content = segment.read_bytes()
    found = []
    for position, size in _whole(content):
        batch = DefaultRecordBatch(content[position : position + size])
        found.append(Batch(position, size, batch.base_offset, batch.last_offset, batch.is_control_batch))
    return found
