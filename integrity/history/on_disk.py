"""What a broker's segment files hold, as the table ``on_disk``: looked up when something was lost.

It needs only a directory that looks like one of ``log.dirs``: a folder ``<topic>-<partition>`` for each partition, with
``<base offset>.log`` files of record batches one after the other (kafka.apache.org/documentation, sections "Log" and
"Record Batch"). The directory may be that of a running broker: what is being appended at this moment may be missed.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from kafka.record.default_records import DefaultRecordBatch

from integrity.clients.messages import identity_of
from integrity.history import schema

#: A batch begins with its base offset and the length of what follows (bytes), which is at least the rest of the header.
_START = struct.Struct(">qi")
_SMALLEST_BATCH = DefaultRecordBatch.HEADER_STRUCT.size - _START.size

#: Rows that are held in memory before they are written.
ROWS_AT_ONCE = 100_000


class Row(NamedTuple):
    """A row of ``on_disk``; publisher and sequence are None when the record carries no identity."""

    topic: str
    partition: int
    offset: int
    publisher: int | None
    sequence: int | None


def batches(segment: Path) -> Iterator[DefaultRecordBatch]:
    """The whole batches of one ``.log`` file, in its order, up to a torn one; those whose CRC is wrong are left out."""
    with segment.open("rb") as file:
        if not segment.stat().st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = 0
            while at + _START.size <= len(data):
                _, length = _START.unpack_from(data, at)
                end = at + _START.size + length
                # No length: space that a segment was given in advance. One beyond the file: a torn tail.
                if length < _SMALLEST_BATCH or end > len(data):
                    return
                batch = DefaultRecordBatch(data[at:end])
                if batch.magic == 2 and batch.validate_crc():
                    yield batch
                at = end


def records(directory: Path, topics: Collection[str]) -> Iterator[Row]:
    """Every record of these topics in a directory of ``log.dirs``; transactions' markers are not records."""
    return (row for row, _ in copies(directory, topics))


def copies(directory: Path, topics: Collection[str]) -> Iterator[tuple[Row, int]]:
    """The same, each with the CRC of its batch, which is over all but what a replica adds of its own."""
    for folder in sorted(directory.iterdir()):
        topic, _, number = folder.name.rpartition("-")
        if topic not in topics or not number.isdecimal():
            continue
        for segment in sorted(folder.glob("*.log")):
            for batch in batches(segment):
                if batch.is_control_batch:
                    continue
                for record in batch:
                    row = Row(topic, int(number), record.offset, *(identity_of(record.headers) or (None, None)))
                    yield row, batch.crc


def write(history: Path, rows: Iterator[Row]) -> int:
    """Put these rows into a history's ``on_disk``, in place of what stood there; returns how many there were."""
    wanted = schema.ON_DISK.arrow
    count = 0
    hidden = history / ".on_disk.parquet"
    with pq.ParquetWriter(hidden, wanted) as out:
        while some := list(islice(rows, ROWS_AT_ONCE)):
            columns = zip(*some, strict=True)
            arrays = [pa.array(values, field.type) for values, field in zip(columns, wanted, strict=True)]
            out.write_table(pa.Table.from_arrays(arrays, schema=wanted))
            count += len(some)
    hidden.rename(history / "on_disk.parquet")
    return count
