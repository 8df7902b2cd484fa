"""The tables of a history: what was sent, acknowledged, read and broken.

A history is a directory. Each table is one Parquet file ``DIR/<table>.parquet`` or several in parts,
``DIR/<table>/part-*.parquet``; both at once are read together. A table that is absent is empty. The recorder writes
these schemas, :mod:`integrity.anomalies` reads nothing else.

Every TIMESTAMP is in microseconds, UTC, without a zone, from the clock of the process that records (one clock for the
whole history, so times compare). An offset is Kafka's, counted from 0 in its partition. Rows need no order in the
files: ``reads.position`` and ``sends.sequence`` carry it.

A message's identity is (publisher, sequence); it travels in a record header, so it survives any key, value or codec.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

ACKNOWLEDGED = "acknowledged"
REJECTED = "rejected"
UNKNOWN = "unknown"
COMMITTED = "committed"
ABORTED = "aborted"
ASSIGNED = "assigned"
REVOKED = "revoked"
SEEK = "seek"

SEND_OUTCOMES = (ACKNOWLEDGED, REJECTED, UNKNOWN)
"""``sends.outcome``: 'rejected' is surely not appended; 'unknown' may be there or not."""

TRANSACTION_OUTCOMES = (COMMITTED, ABORTED, UNKNOWN)
"""``transactions.outcome``. A transaction without a row is as good as 'unknown'."""

MOVES = (ASSIGNED, REVOKED, SEEK)
"""``assignments.what``: everything that lets a reader legally jump ahead or go back."""

_TIME = pa.timestamp("us")


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, and whether a history without it can still be judged.

    An ``optional`` column that is missing from the files is read as null; any other one missing makes the history
    unreadable.
    """

    name: str
    type: pa.DataType
    meaning: str
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """One table: its name (also its file's), what a row is, and its columns in order."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def arrow(self) -> pa.Schema:
        """The schema to write the table's Parquet files with, columns in the order given here."""
        return pa.schema([(column.name, column.type) for column in self.columns])


SENDS = Table(
    "sends",
    "one call of a publisher's send, in whatever way it ended",
    (
        Column("publisher", pa.int32(), "the publisher, unique in the history"),
        Column("sequence", pa.int64(), "0, 1, 2 ... per publisher, in the order of the send calls"),
        Column("topic", pa.string(), "where it was sent"),
        Column(
            "partition",
            pa.int32(),
            "the partition asked for, or the one it was acknowledged in; null when neither is known",
        ),
        Column("offset", pa.int64(), "the acknowledged offset; null unless acknowledged, and where acks=0 gives none"),
        Column("outcome", pa.string(), "one of SEND_OUTCOMES"),
        Column("transaction", pa.int64(), "the publisher's transaction it was sent in; null outside one"),
        Column("digest", pa.uint64(), "of key, value, headers and timestamp as sent"),
        Column("sent_at", _TIME, "just before the send call"),
        Column("settled_at", _TIME, "when its outcome was learnt; null while it is unknown for want of an answer"),
    ),
)

READS = Table(
    "reads",
    "one record handed to one reader; a record read twice has two rows",
    (
        Column("reader", pa.int32(), "the reader, unique in the history; a reader that is opened again is a new one"),
        Column("poll", pa.int64(), "counts the reader's polls up"),
        Column("topic", pa.string(), "where it was read"),
        Column("partition", pa.int32(), "where it was read"),
        Column("offset", pa.int64(), "where it was read"),
        Column("publisher", pa.int32(), "from the record's header; null when the record carries no identity"),
        Column("sequence", pa.int64(), "from the record's header; null when the record carries no identity"),
        Column("digest", pa.uint64(), "of key, value, headers and timestamp as read"),
        Column("committed_only", pa.bool_(), "the reader's isolation: true is read_committed"),
        Column("read_at", _TIME, "after the poll that brought it returned"),
        Column(
            "position", pa.int64(), "counts the reader's rows up, over all its partitions, in the order it saw them"
        ),
    ),
)

TRANSACTIONS = Table(
    "transactions",
    "how one transaction of one publisher ended",
    (
        Column("publisher", pa.int32(), "as in sends"),
        Column("transaction", pa.int64(), "as in sends"),
        Column("outcome", pa.string(), "one of TRANSACTION_OUTCOMES"),
        Column(
            "ending_at",
            _TIME,
            "just before commit or abort was called; null when not recorded: then the last of the transaction's sends "
            "and acknowledgements stands for it, since both clients wait for those before they end a transaction",
            optional=True,
        ),
    ),
)

EVENTS = Table(
    "events",
    "something done to the system under test, or seen of it",
    (
        Column("at", _TIME, "when"),
        Column("subject", pa.string(), "whom: 'broker 1', 'network'"),
        Column("what", pa.string(), "what: 'killed', 'ready' ..."),
        Column("detail", pa.string(), "anything more, in words; may be null"),
    ),
)

ENDS = Table(
    "ends",
    "how far a reading of one partition got. Without this table every partition of a history in which anything "
    "was read counts as read to its end; with it, an acknowledged message is judged only by a row with complete = true "
    "that tells of it (see from_offset and asked_at). Where there is none, or the last reading from the beginning is "
    "not complete, the partition is reported as unread: the history is not intact",
    (
        Column("reader", pa.int32(), "who read"),
        Column("committed_only", pa.bool_(), "that reader's isolation"),
        Column("topic", pa.string(), "the topic"),
        Column("partition", pa.int32(), "the partition"),
        Column(
            "end_offset",
            pa.int64(),
            "the partition's end (its high watermark, so one past the last record), asked for after the last send was "
            "settled and the last transaction had ended where the reading is the final one",
        ),
        Column("complete", pa.bool_(), "the reader's position in the partition reached end_offset"),
        Column(
            "from_offset",
            pa.int64(),
            "where the reading began: there, or where the log begins if that is behind it; null when not known. Below "
            "it nothing is judged by this reading",
            optional=True,
        ),
        Column(
            "asked_at",
            _TIME,
            "just before end_offset was asked for; null when not known. What was acknowledged later, at or behind "
            "end_offset, is not judged by this reading",
            optional=True,
        ),
    ),
)

EXCUSED = Table(
    "excused",
    "records that retention, compaction or DeleteRecords may remove: given by place (topic, partition and offsets) or "
    "by identity (publisher and sequences); the columns of the other way are null. Excused records may be there or not",
    (
        Column("topic", pa.string(), "null when given by identity"),
        Column("partition", pa.int32(), "null when given by identity"),
        Column("first_offset", pa.int64(), "first excused offset"),
        Column("last_offset", pa.int64(), "last excused offset, itself excused"),
        Column("publisher", pa.int32(), "null when given by place"),
        Column("first_sequence", pa.int64(), "first excused sequence"),
        Column("last_sequence", pa.int64(), "last excused sequence, itself excused"),
        Column("reason", pa.string(), "'retention', 'compaction', 'DeleteRecords' ..."),
    ),
)

ASSIGNMENTS = Table(
    "assignments",
    "a reader was given or lost a partition, or was told to seek in it: between two of its reads this excuses any jump",
    (
        Column("reader", pa.int32(), "as in reads"),
        Column("group_id", pa.string(), "its consumer group; null outside one"),
        Column("topic", pa.string(), "the topic"),
        Column("partition", pa.int32(), "the partition"),
        Column("what", pa.string(), "one of MOVES"),
        Column("offset", pa.int64(), "where the reader is to go on; null when not known"),
        Column(
            "position",
            pa.int64(),
            "the reads.position that the reader's next row will have (so the move is just before it)",
        ),
        Column("at", _TIME, "when"),
    ),
)

COMMITS = Table(
    "commits",
    "an offset committed for a consumer group, as its member committed it or as it was found from outside",
    (
        Column("group_id", pa.string(), "the consumer group"),
        Column("reader", pa.int32(), "the member that committed; null when found from outside"),
        Column("topic", pa.string(), "the topic"),
        Column("partition", pa.int32(), "the partition"),
        Column("offset", pa.int64(), "the committed offset: the next one to be read"),
        Column("committed_at", _TIME, "just before the commit was asked for, or when it was found from outside"),
    ),
)

PROCESSED = Table(
    "processed",
    "a member of a consumer group has finished its work on one record",
    (
        Column("group_id", pa.string(), "the consumer group"),
        Column("reader", pa.int32(), "the member"),
        Column("topic", pa.string(), "the topic"),
        Column("partition", pa.int32(), "the partition"),
        Column("offset", pa.int64(), "the record's offset"),
        Column("processed_at", _TIME, "when its work was done"),
    ),
)

ON_DISK = Table(
    "on_disk",
    "a record found in the brokers' files. Write it for every partition in which something is missing, or not at all: "
    "with it a lost record that has no row is 'lost on disk', without it nobody looked",
    (
        Column("topic", pa.string(), "the topic"),
        Column("partition", pa.int32(), "the partition"),
        Column("offset", pa.int64(), "the record's offset"),
        Column("publisher", pa.int32(), "from its header; null when it carries no identity or none was decoded"),
        Column("sequence", pa.int64(), "from its header; null when it carries no identity or none was decoded"),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (SENDS, READS, TRANSACTIONS, EVENTS, ENDS, EXCUSED, ASSIGNMENTS, COMMITS, PROCESSED, ON_DISK)
}
"""Every table by name."""
