"""The columns that publishers and readers fill, message by message, and how a chunk of them becomes rows.

These are the only structures on the clients' fast path: appending to an ``array`` costs some 30 ns, and nothing else
is done per message. What is the same for many messages (topic, transaction, poll) is kept once per run of rows.
"""

from __future__ import annotations

import sys
import time
from array import array
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from integrity.history import schema

if TYPE_CHECKING:
    from integrity.history.recorder import Recorder

#: Rows of a chunk: large enough for Parquet, small enough that a chunk is a few MB.
CHUNK_ROWS = 1 << 17

#: Stands in ReadChunk.identities for a record that carries none.
NO_IDENTITY = b"\xff" * 12

#: How many different sequences keep the text of the error they ended with; all are counted.
KEPT_ERRORS = 1_000

OPEN, ACKNOWLEDGED, REJECTED, UNKNOWN = range(4)
OUTCOMES = ("open", schema.ACKNOWLEDGED, schema.REJECTED, schema.UNKNOWN)


#: A column of few different strings, which Parquet would otherwise have to find out row by row.
TEXTS = pa.dictionary(pa.int32(), pa.string())


class Runs:
    """A column whose value rarely changes: (row it begins at, value) pairs."""

    __slots__ = ("starts", "values")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.values: list[object] = []

    def begin(self, row: int, value: object) -> None:
        """From ``row`` on the column holds ``value``."""
        if self.values and self.values[-1] == value:
            return
        if self.starts and self.starts[-1] == row:
            self.starts.pop()
            self.values.pop()
        self.starts.append(row)
        self.values.append(value)

    def expand(self, rows: int, kind: pa.DataType) -> pa.Array:
        """The column of ``rows`` rows."""
        # A run may have begun that got no row: a poll that brought nothing but the end of a partition.
        used = sum(start < rows for start in self.starts)
        ends = [*self.starts[1:used], rows]
        encoded = pa.RunEndEncodedArray.from_arrays(
            pa.array(ends, pa.int32()), pa.array(self.values[:used], kind), pa.run_end_encoded(pa.int32(), kind)
        )
        return pc.run_end_decode(encoded) if rows else pa.array([], kind)

    def expand_texts(self, rows: int) -> pa.Array:
        """The column of ``rows`` rows, of TEXTS."""
        texts = list(dict.fromkeys(self.values))
        places = Runs()
        places.starts, places.values = self.starts, [texts.index(value) for value in self.values]
        return pa.DictionaryArray.from_arrays(places.expand(rows, TEXTS.index_type), pa.array(texts, TEXTS.value_type))


def _numbers(first: int, rows: int) -> pa.Array:
    """first, first + 1 ... Made by Arrow: a Python range takes as long as all other columns together."""
    ones = pa.repeat(pa.scalar(1, pa.int64()), rows)
    return pc.cumulative_sum(ones, start=pa.scalar(first - 1, pa.int64()))


def _as_written(table: schema.Table) -> pa.Schema:
    """The schema of a chunk's rows: in the files TEXTS are strings like any others."""
    return pa.schema([(c.name, TEXTS if c.type == pa.string() else c.type) for c in table.columns])


def _column(values: array | bytearray, kind: pa.DataType, rows: int) -> pa.Array:
    """An Arrow array over the memory of ``values``, without a copy."""
    return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(values)])


def _times(values: array, rows: int, *, zero_is_null: bool = False) -> pa.Array:
    """Nanoseconds since the epoch as the schema's timestamps."""
    nanoseconds = _column(values, pa.int64(), rows)
    if zero_is_null:
        nanoseconds = pc.if_else(pc.equal(nanoseconds, 0), None, nanoseconds)
    return pc.divide(nanoseconds, 1000).cast(pa.timestamp("us"))


def _split_identities(identities: bytearray, rows: int) -> tuple[pa.Array, pa.Array]:
    """Publishers and sequences of ``rows`` identities (see integrity.clients.messages), null for NO_IDENTITY.

    An identity that was damaged on its way may hold any bits: a publisher beyond 31 or a sequence beyond 63 bits, which
    nobody sends, comes out as null too, and the digest tells that the record is not what was sent.
    """
    words = array("I", bytes(identities))
    if sys.byteorder == "little":
        words.byteswap()
    publisher, high, low = (_column(words[i::3], pa.uint32(), rows) for i in range(3))
    none = pc.or_(pc.greater_equal(publisher, 1 << 31), pc.greater_equal(high, 1 << 31))
    sequence = pc.bit_wise_or(pc.shift_left(high.cast(pa.int64()), 32), low.cast(pa.int64()))
    return pc.if_else(none, None, publisher).cast(pa.int32()), pc.if_else(none, None, sequence)


class SendChunk:
    """The sends of one publisher with sequences ``first`` to ``first + CHUNK_ROWS - 1``.

    Columns are indexed by sequence - first. ``digests`` and ``sent`` (ns) grow with each send; the others have full
    length from the start and are filled in when a message is settled, in any order.
    """

    __slots__ = ("digests", "first", "offsets", "outcomes", "partitions", "sent", "settled", "topics", "transactions")

    def __init__(self, first: int, topic: str | None, transaction: int | None) -> None:
        self.first = first
        self.digests = array("Q")
        self.sent = array("q")
        self.partitions = array("i", [-1]) * CHUNK_ROWS
        self.offsets = array("q", [-1]) * CHUNK_ROWS
        self.settled = array("q", [0]) * CHUNK_ROWS
        self.outcomes = bytearray(CHUNK_ROWS)
        self.topics = Runs()
        self.transactions = Runs()
        if topic is not None:
            self.topics.begin(0, topic)
        self.transactions.begin(0, transaction)

    def all_settled(self) -> bool:
        """Whether every message sent so far in this chunk has an outcome."""
        return self.outcomes.find(OPEN, 0, len(self.sent)) < 0

    def table(self, publisher: int) -> pa.Table:
        """The chunk as rows of ``sends``; whatever is still open is unknown."""
        rows = len(self.sent)
        outcomes = _column(self.outcomes, pa.uint8(), rows)
        outcomes = pc.if_else(pc.equal(outcomes, OPEN), UNKNOWN, outcomes).cast(pa.int32())
        partitions = _column(self.partitions, pa.int32(), rows)
        offsets = _column(self.offsets, pa.int64(), rows)
        return pa.Table.from_arrays(
            [
                pa.repeat(pa.scalar(publisher, pa.int32()), rows),
                _numbers(self.first, rows),
                self.topics.expand_texts(rows),
                pc.if_else(pc.less(partitions, 0), None, partitions),
                pc.if_else(pc.less(offsets, 0), None, offsets),
                pa.DictionaryArray.from_arrays(outcomes, pa.array(OUTCOMES)),
                self.transactions.expand(rows, pa.int64()),
                _column(self.digests, pa.uint64(), rows),
                _times(self.sent, rows),
                _times(self.settled, rows, zero_is_null=True),
            ],
            schema=_as_written(schema.SENDS),
        )


class PublisherLog:
    """Everything known of one publisher's sends; with ``recorder`` None it is kept only until a chunk is full.

    One thread sends (``sent``), one thread settles; they may be two different ones.
    ``publisher`` is the id that the messages carry. ``counts`` tells how many sends ended how.
    """

    def __init__(self, publisher: int, recorder: Recorder | None) -> None:
        self.publisher = publisher
        self.recorder = recorder
        self.chunk = SendChunk(0, None, None)
        self.errors: Counter[str] = Counter()
        self.error_texts: dict[int, str] = {}
        self._older: list[SendChunk] = []
        self._written = Counter[str]()
        self._topic: str | None = None
        self._transaction: int | None = None
        self._closed = False

    @property
    def next_sequence(self) -> int:
        """The sequence of the next send."""
        return self.chunk.first + len(self.chunk.sent)

    def topic(self, topic: str) -> None:
        """The following sends go to this topic."""
        if topic != self._topic:
            self._topic = topic
            self.chunk.topics.begin(len(self.chunk.sent), topic)

    def transaction(self, number: int | None) -> None:
        """The following sends belong to this transaction, or to none."""
        self._transaction = number
        self.chunk.transactions.begin(len(self.chunk.sent), number)

    def sent(self, digest: int, partition: int | None, at: int) -> tuple[SendChunk, int]:
        """One send, just before the client's call; ``at`` in ns since the epoch. Returns where to settle it."""
        chunk = self.chunk
        row = len(chunk.sent)
        if row == CHUNK_ROWS:
            chunk, row = self.next_chunk(), 0
        chunk.digests.append(digest)
        chunk.sent.append(at)
        if partition is not None:
            chunk.partitions[row] = partition
        return chunk, row

    def next_chunk(self) -> SendChunk:
        """The open chunk is full: start another, and write what is settled."""
        self._older.append(self.chunk)
        self.chunk = SendChunk(self.chunk.first + CHUNK_ROWS, self._topic, self._transaction)
        self._write_settled()
        return self.chunk

    def failed(self, chunk: SendChunk, row: int, outcome: int, error: str) -> None:
        """A send ended in an error; outcome REJECTED or UNKNOWN."""
        self.errors[error] += 1
        if len(self.error_texts) < KEPT_ERRORS:
            self.error_texts[chunk.first + row] = error
        chunk.settled[row] = time.time_ns()
        chunk.outcomes[row] = outcome

    @property
    def counts(self) -> dict[str, int]:
        """How many sends have which outcome so far: open, acknowledged, rejected, unknown."""
        total = Counter(self._written)
        for chunk in [*self._older, self.chunk]:
            total.update(_counted(chunk))
        return {name: total[name] for name in OUTCOMES}

    def flush(self) -> None:
        """Write the full chunks that are settled."""
        self._write_settled()

    def close(self) -> None:
        """Write everything; what is open now is unknown for good. Call it once the client can settle no more."""
        if self._closed:
            return
        self._closed = True
        for chunk in [*self._older, self.chunk]:
            self._write(chunk)
        self._older = []
        self.chunk = SendChunk(self.chunk.first + len(self.chunk.sent), None, None)
        if self.recorder is not None:
            self.recorder.forget(self)

    def _write_settled(self) -> None:
        settled = [chunk for chunk in self._older if chunk.all_settled()]
        for chunk in settled:
            self._older.remove(chunk)
            self._write(chunk)

    def _write(self, chunk: SendChunk) -> None:
        counted = _counted(chunk)
        counted[OUTCOMES[UNKNOWN]] += counted.pop(OUTCOMES[OPEN], 0)
        self._written.update(counted)
        if self.recorder is not None and len(chunk.sent):
            publisher = self.publisher
            self.recorder.write("sends", lambda: chunk.table(publisher))


def _counted(chunk: SendChunk) -> Counter[str]:
    seen = chunk.outcomes[: len(chunk.sent)]
    return Counter({name: seen.count(code) for code, name in enumerate(OUTCOMES)})


class ReadChunk:
    """A stretch of one reader's records, in the order seen. Columns: see schema.READS.

    ``identities`` holds the 12 bytes of each record's identity header, NO_IDENTITY where there is none; they are taken
    apart only when the chunk is written.
    """

    __slots__ = ("digests", "first", "identities", "offsets", "partitions", "polls", "times", "topics")

    def __init__(self, first: int) -> None:
        self.first = first
        self.partitions = array("i")
        self.offsets = array("q")
        self.identities = bytearray()
        self.digests = array("Q")
        self.topics = Runs()
        self.polls = Runs()
        self.times = Runs()

    def add(self, partitions: list[int], offsets: list[int], identities: bytes, digests: list[int]) -> None:
        """Records of one poll, in the order seen."""
        self.partitions.fromlist(partitions)
        self.offsets.fromlist(offsets)
        self.identities += identities
        self.digests.fromlist(digests)

    def table(self, reader: int, committed_only: bool) -> pa.Table:
        """The chunk as rows of ``reads``."""
        rows = len(self.offsets)
        publishers, sequences = _split_identities(self.identities, rows)
        return pa.Table.from_arrays(
            [
                pa.repeat(pa.scalar(reader, pa.int32()), rows),
                self.polls.expand(rows, pa.int64()),
                self.topics.expand_texts(rows),
                _column(self.partitions, pa.int32(), rows),
                _column(self.offsets, pa.int64(), rows),
                publishers,
                sequences,
                _column(self.digests, pa.uint64(), rows),
                pa.repeat(pa.scalar(committed_only), rows),
                pc.divide(self.times.expand(rows, pa.int64()), 1000).cast(pa.timestamp("us")),
                _numbers(self.first, rows),
            ],
            schema=_as_written(schema.READS),
        )


class ReaderLog:
    """Everything one reader saw, in order. One thread fills it. With ``recorder`` None nothing is kept."""

    def __init__(self, reader: int, recorder: Recorder | None, *, committed_only: bool, group: str | None) -> None:
        self.reader = reader
        self.recorder = recorder
        self.committed_only = committed_only
        self.group = group
        self.chunk = ReadChunk(0)
        self._poll = -1
        self._closed = False

    @property
    def position(self) -> int:
        """How many records this reader has seen, which is the position of the next."""
        return self.chunk.first + len(self.chunk.offsets)

    def poll(self, at: int) -> ReadChunk:
        """A poll returned records at ``at`` (ns since the epoch); returns the chunk to append them to."""
        if len(self.chunk.offsets) >= CHUNK_ROWS:
            self.flush()
        chunk = self.chunk
        row = len(chunk.offsets)
        self._poll += 1
        chunk.polls.begin(row, self._poll)
        chunk.times.begin(row, at)
        return chunk

    def moved(self, topic: str, partition: int, what: str, offset: int | None) -> None:
        """The reader was assigned a partition, lost it or was told to seek (schema.MOVES)."""
        if self.recorder is not None:
            at = time.time_ns() // 1000
            self.recorder.row("assignments", self.reader, self.group, topic, partition, what, offset, self.position, at)

    def committed(self, topic: str, partition: int, offset: int, at: int) -> None:
        """The reader committed an offset for its group; ``at`` in ns, just before it asked for it."""
        if self.recorder is not None:
            self.recorder.row("commits", self.group, self.reader, topic, partition, offset, at // 1000)

    def processed(self, topic: str, partition: int, offset: int) -> None:
        """The work on one record is done."""
        if self.recorder is not None:
            at = time.time_ns() // 1000
            self.recorder.row("processed", self.group, self.reader, topic, partition, offset, at)

    def end(
        self,
        topic: str,
        partition: int,
        end_offset: int,
        complete: bool,
        begin: int | None = None,
        asked_at: int | None = None,
    ) -> None:
        """How far a reading of a partition got that began at ``begin``; the end was asked for at ``asked_at`` (ns)."""
        if self.recorder is not None:
            at = None if asked_at is None else asked_at // 1000
            self.recorder.row(
                "ends", self.reader, self.committed_only, topic, partition, end_offset, complete, begin, at
            )

    def flush(self) -> None:
        """Hand over the open chunk."""
        chunk = self.chunk
        rows = len(chunk.offsets)
        if not rows:
            return
        self.chunk = ReadChunk(chunk.first + rows)
        if self.recorder is not None:
            reader, committed_only = self.reader, self.committed_only
            self.recorder.write("reads", lambda: chunk.table(reader, committed_only))

    def close(self) -> None:
        """Hand over everything."""
        if self._closed:
            return
        self._closed = True
        self.flush()
        if self.recorder is not None:
            self.recorder.forget(self)
