"""Record batches taken apart and put together: nothing changes that was not changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecordsBuilder

from integrity.faults.network import Batch, Entry, Records

TEXT = b"the same words again and again " * 20


def made(compression: int = 0, count: int = 3) -> bytes:
    """A batch as kafka-python's producer makes it."""
    builder = MemoryRecordsBuilder(magic=2, compression_type=compression, batch_size=1 << 20)
    for number in range(count):
        builder.append(timestamp=1000 + number, key=b"k%d" % number, value=TEXT, headers=[("h", b"v"), ("n", None)])
    builder.close()
    return bytes(builder.buffer())


def entries_of(data: bytes) -> list[tuple]:
    """What kafka-python reads of a batch whose CRC it finds valid."""
    batch = DefaultRecordBatch(data)
    assert batch.validate_crc()
    return [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in batch]


@pytest.mark.parametrize("compression", range(len(Batch.COMPRESSIONS)))
def test_unchanged_is_the_same_bytes(compression: int) -> None:
    data = made(compression) + made(compression)
    records = Records.parse(data)
    assert len(records.entries) == 6
    assert records.encode() == data


@pytest.mark.parametrize("compression", range(len(Batch.COMPRESSIONS)))
def test_a_change_keeps_compression_and_everything_else(compression: int) -> None:
    data = made(compression)
    batch = Batch.parse(data)
    batch.entries[1].value = TEXT[:-1] + b"?"
    changed = batch.encode()
    assert Batch.parse(changed).compression == Batch.COMPRESSIONS[compression]
    before, after = entries_of(data), entries_of(changed)
    assert after[1][3] == TEXT[:-1] + b"?"
    assert [*before[1][:3], before[1][4]] == [*after[1][:3], after[1][4]]
    assert (before[0], before[2]) == (after[0], after[2])


def test_an_uncompressed_batch_is_rebuilt_to_the_byte() -> None:
    data = made(count=200)
    batch = Batch.parse(data)
    batch.entries[0].value = b""
    assert batch.encode() != data
    batch.entries[0].value = TEXT
    batch._raw = None
    assert batch.encode() == data


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**62),
            st.none() | st.binary(max_size=300),
            st.none() | st.binary(max_size=300),
            st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
        ),
        min_size=1,
        max_size=20,
    ),
    st.integers(0, 4),
    st.integers(0, 2**40),
)
def test_any_records_come_back(rows: list, compression: int, base: int) -> None:
    entries = [Entry(base + 3 * at, *row) for at, row in enumerate(rows)]
    batch = Batch.of(entries)
    batch.attributes |= compression
    parsed = Records.parse(batch.encode())
    assert (parsed.rest, len(parsed.batches)) == (b"", 1)
    assert parsed.entries == entries
    assert parsed.batches[0].last_offset == entries[-1].offset
    assert DefaultRecordBatch(batch.encode()).validate_crc()


def test_heads_can_be_changed_without_reading_the_records() -> None:
    batch = Batch.parse(made())
    batch.producer_id, batch.producer_epoch, batch.base_sequence = 7, 1, 40
    again = Batch.parse(batch.encode())
    assert (again.producer_id, again.producer_epoch, again.base_sequence) == (7, 1, 40)
    assert Batch.parse(again.without_producer().encode()).producer_id == -1
    assert [entry.offset for entry in Batch.parse(made()).shift(100).entries] == [100, 101, 102]


def test_records_may_be_taken_out_leaving_their_offsets() -> None:
    batch = Batch.parse(made())
    batch.entries = [batch.entries[0], batch.entries[2]]
    assert [row[0] for row in entries_of(batch.encode())] == [0, 2]
    batch.entries = []
    empty = Batch.parse(batch.encode())
    assert (empty.entries, empty.last_offset) == ([], 2)


def test_what_is_no_whole_batch_is_kept() -> None:
    data = made()
    records = Records.parse(data + data[:50])
    assert (len(records.batches), records.rest) == (1, data[:50])
    assert records.encode() == data + data[:50]
    assert Records.parse(None).encode() == b""
    old = bytes(16) + b"\x01" + bytes(100)
    assert Records.parse(old) == Records([], old)


def test_a_batch_that_is_damaged_inside_passes_as_it_is() -> None:
    data = bytearray(made(1))
    data[80] ^= 0xFF
    assert Records.parse(bytes(data)).encode() == bytes(data)
