"""What is found in segment files, whatever their state."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder

from integrity.clients.messages import IDENTITY_HEADER, pack_identity
from integrity.history import on_disk, schema


def batch(first: int, count: int, codec: int = 0) -> bytes:
    """A batch of ``count`` records from offset ``first`` on, each with an identity: publisher 7, sequence = offset."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for number in range(count):
        headers = [(IDENTITY_HEADER, pack_identity(7, first + number))]
        builder.append(number, timestamp=1_000, key=None, value=b"x" * 50, headers=headers)
    content = bytearray(builder.build())
    content[:8] = first.to_bytes(8, "big")
    return bytes(content)


def segment(tmp_path: Path, content: bytes, place: str = "orders-0", first: int = 0) -> Path:
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    file = folder / f"{first:020d}.log"
    file.write_bytes(content)
    return file


def offsets(tmp_path: Path) -> list[int]:
    return [row.offset for row in on_disk.records(tmp_path, {"orders"})]


@pytest.mark.parametrize("codec", range(5))
def test_every_record_of_every_segment_is_found(tmp_path, codec):
    segment(tmp_path, batch(0, 3, codec) + batch(3, 2, codec))
    segment(tmp_path, batch(5, 2, codec), first=5)
    rows = list(on_disk.records(tmp_path, {"orders"}))
    assert rows == [on_disk.Row("orders", 0, n, 7, n) for n in range(7)]


def test_only_the_topics_asked_for(tmp_path):
    segment(tmp_path, batch(0, 1), "orders-0")
    segment(tmp_path, batch(0, 1), "orders-eu-12")
    segment(tmp_path, batch(0, 1), "orders-1.abc-delete")
    (tmp_path / "meta.properties").write_text("")
    assert [row[:2] for row in on_disk.records(tmp_path, {"orders-eu"})] == [("orders-eu", 12)]


def test_a_torn_tail_ends_the_segment(tmp_path):
    segment(tmp_path, batch(0, 3) + batch(3, 2)[:-1])
    assert offsets(tmp_path) == [0, 1, 2]


def test_space_given_in_advance_is_no_record(tmp_path):
    segment(tmp_path, batch(0, 3) + bytes(4096))
    assert offsets(tmp_path) == [0, 1, 2]


def test_a_batch_whose_bytes_were_changed_is_left_out(tmp_path):
    damaged = bytearray(batch(3, 2))
    damaged[-1] ^= 1
    segment(tmp_path, batch(0, 3) + bytes(damaged) + batch(5, 1))
    assert offsets(tmp_path) == [0, 1, 2, 5]


def test_an_empty_segment(tmp_path):
    segment(tmp_path, b"")
    assert offsets(tmp_path) == []


def test_rows_become_the_table_of_the_schema(tmp_path):
    segment(tmp_path, batch(0, 3))
    assert on_disk.write(tmp_path, on_disk.records(tmp_path, {"orders"})) == 3
    table = pq.read_table(tmp_path / "on_disk.parquet")
    assert table.schema.equals(schema.ON_DISK.arrow)
    assert table["sequence"].to_pylist() == [0, 1, 2]


def test_no_rows_are_a_table_too(tmp_path):
    assert on_disk.write(tmp_path, iter(())) == 0
    assert pq.read_table(tmp_path / "on_disk.parquet").num_rows == 0
