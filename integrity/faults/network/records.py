"""Record batches, taken apart and put together again with lengths, counts, deltas, timestamps and CRC made right.

Format: https://kafka.apache.org/documentation/#recordbatch (magic 2, all that Kafka has written since 0.11). Batches
of older formats, and the part of a batch that a Fetch answer may end with, are kept as the bytes they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from kafka import codec as codecs
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c, encode_varint

_HEADER = DefaultRecordBatch.HEADER_STRUCT
#: Bytes before and with the batch's length, and of the smallest thing that may be a batch of magic 2.
_PREFIX = DefaultRecordBatch.AFTER_LEN_OFFSET
_MAGIC_AT = 16

NO_PRODUCER = -1

_COMPRESS: dict[int, Callable[[bytes], bytes]] = {
    DefaultRecordBatch.CODEC_NONE: bytes,
    DefaultRecordBatch.CODEC_GZIP: codecs.gzip_encode,
    DefaultRecordBatch.CODEC_SNAPPY: codecs.snappy_encode,
    DefaultRecordBatch.CODEC_LZ4: codecs.lz4_encode,
    DefaultRecordBatch.CODEC_ZSTD: codecs.zstd_encode,
}


@dataclass
class Entry:
    """A record in a batch. offset: absolute in a Fetch answer, from 0 in a Produce request. timestamp: ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)


@dataclass
class Batch:
    """A batch; change what you like, ``encode`` makes the rest fit.

    attributes: compression in bits 0-2, then timestamp type, transactional, control. last_offset: of the batch, which
    may be past its last record (compaction). entries: the records; while nobody asks for them their bytes stay.
    """

    #: The names of the compressions, by number.
    COMPRESSIONS: ClassVar[tuple[str, ...]] = ("none", "gzip", "snappy", "lz4", "zstd")

    base_offset: int
    leader_epoch: int
    attributes: int
    last_offset: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    _raw: bytes | None = None
    _entries: list[Entry] | None = None

    @classmethod
    def parse(cls, data: bytes) -> Batch:
        """Exactly one batch of magic 2."""
        head = DefaultRecordBatch(data)
        return cls(
            head.base_offset,
            head.leader_epoch,
            head.attributes,
            head.last_offset,
            head.producer_id,
            head.producer_epoch,
            head.base_sequence,
            bytes(data),
        )

    @classmethod
    def of(cls, entries: Iterable[Entry], like: Batch | None = None) -> Batch:
        """A new batch of these records; with the attributes and producer of another one, if given."""
        listed = list(entries)
        first, last = (listed[0].offset, listed[-1].offset) if listed else (0, -1)
        if like is None:
            return cls(first, 0, 0, last, NO_PRODUCER, -1, -1, None, listed)
        producer = (like.producer_id, like.producer_epoch, like.base_sequence)
        return cls(first, like.leader_epoch, like.attributes, last, *producer, None, listed)

    @property
    def compression(self) -> str:
        """ "none", "gzip", "snappy", "lz4" or "zstd"."""
        return self.COMPRESSIONS[self.attributes & DefaultRecordBatch.CODEC_MASK]

    @property
    def control(self) -> bool:
        """Whether it holds a transaction's marker instead of messages."""
        return bool(self.attributes & DefaultRecordBatch.CONTROL_MASK)

    @property
    def transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & DefaultRecordBatch.TRANSACTIONAL_MASK)

    @property
    def entries(self) -> list[Entry]:
        """Its records. Raises kafka.errors.CorruptRecordError when they cannot be read."""
        if self._entries is None:
            batch = DefaultRecordBatch(self._raw or b"")
            self._entries = [
                Entry(record.offset, record.timestamp, record.key, record.value, list(record.headers))
                for record in batch
            ]
        return self._entries

    @entries.setter
    def entries(self, entries: list[Entry]) -> None:
        self._entries = entries

    def without_producer(self) -> Batch:
        """Make it a batch of no idempotent publisher, which brokers append whatever came before. Returns itself."""
        self.producer_id, self.producer_epoch, self.base_sequence = NO_PRODUCER, -1, -1
        self.attributes &= ~DefaultRecordBatch.TRANSACTIONAL_MASK
        return self

    def shift(self, by: int) -> Batch:
        """Move it, and all its records, to offsets ``by`` higher. Returns itself."""
        for entry in self.entries:
            entry.offset += by
        self.base_offset += by
        self.last_offset += by
        return self

    def encode(self) -> bytes:
        """Its bytes; those it was parsed from, when nothing was changed."""
        if self._raw is not None and self == Batch.parse(self._raw) and self._unchanged():
            return self._raw
        body = bytearray()
        first = self.entries[0].timestamp if self.entries else -1
        last = max((entry.timestamp for entry in self.entries), default=-1)
        for entry in self.entries:
            record = self._record(entry, first)
            encode_varint(len(record), body.append)
            body += record
        packed = _COMPRESS[self.attributes & DefaultRecordBatch.CODEC_MASK](bytes(body))
        delta = self.last_offset - self.base_offset
        head = bytearray(_HEADER.size)
        _HEADER.pack_into(
            head, 0, self.base_offset, _HEADER.size + len(packed) - _PREFIX, self.leader_epoch, 2, 0, self.attributes,
            delta, first, last, self.producer_id, self.producer_epoch, self.base_sequence, len(self.entries),
        )  # fmt: skip
        data = head + packed
        crc = calc_crc32c(memoryview(data)[DefaultRecordBatch.ATTRIBUTES_OFFSET :])
        data[DefaultRecordBatch.CRC_OFFSET : DefaultRecordBatch.ATTRIBUTES_OFFSET] = crc.to_bytes(4, "big")
        return bytes(data)

    def _unchanged(self) -> bool:
        return self._entries is None or self._entries == Batch.parse(self._raw or b"").entries

    def __eq__(self, other: object) -> bool:
        """Equal heads; records are compared by their own."""
        if not isinstance(other, Batch):
            return NotImplemented
        return self._head() == other._head()

    def _head(self) -> tuple[int, ...]:
        producer = (self.producer_id, self.producer_epoch, self.base_sequence)
        return (self.base_offset, self.leader_epoch, self.attributes, self.last_offset, *producer)

    def _record(self, entry: Entry, first: int) -> bytes:
        """A record without its length, by kafka-python's own builder, which takes the first one's time as the start."""
        builder = DefaultRecordBatchBuilder(2, 0, False, NO_PRODUCER, -1, -1, 1 << 31)
        builder._first_timestamp = builder._max_timestamp = first
        builder.append(entry.offset - self.base_offset, entry.timestamp, entry.key, entry.value, entry.headers)
        framed = builder._buffer[_HEADER.size :]
        start = next(at for at, byte in enumerate(framed) if not byte & 0x80) + 1
        return bytes(framed[start:])


@dataclass
class Records:
    """The ``records`` field of a partition in a Produce request or Fetch answer."""

    batches: list[Batch]
    #: Bytes after the last whole batch of magic 2.
    rest: bytes = b""

    @classmethod
    def parse(cls, data: bytes | None) -> Records:
        """Batches of a field; none of null."""
        batches = []
        data = bytes(data or b"")
        at = 0
        while at + _HEADER.size <= len(data) and data[at + _MAGIC_AT] == 2:
            end = at + _PREFIX + int.from_bytes(data[at + 8 : at + _PREFIX], "big")
            if end > len(data):
                break
            batches.append(Batch.parse(data[at:end]))
            at = end
        return cls(batches, data[at:])

    def encode(self) -> bytes:
        """The field's bytes."""
        return b"".join(batch.encode() for batch in self.batches) + self.rest

    @property
    def entries(self) -> list[Entry]:
        """All records of all batches but the transactions' markers; to be changed in place."""
        return [entry for batch in self.batches if not batch.control for entry in batch.entries]
