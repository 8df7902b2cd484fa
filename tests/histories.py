"""Builds histories by hand: a few sends and reads, written as the Parquet tables that the checker reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from integrity.history.schema import ACKNOWLEDGED, COMMITTED, TABLES

START = datetime(2026, 1, 1, 12)
Row = dict[str, Any]


def at(second: float) -> datetime:
    """A time, in seconds since the history began."""
    return START + timedelta(seconds=second)


def digest(publisher: int, sequence: int) -> int:
    """The content that a message has unless a test says otherwise."""
    return (publisher + 1) * 1_000_003 + sequence


@dataclass
class History:
    """A history under construction. Defaults: topic 't', partition 0, acknowledged, read by reader 0 without isolation.

    Sends happen at second 0, are settled at 1, reads happen at second 100; a test gives other times where they matter.
    """

    rows: dict[str, list[Row]] = field(default_factory=dict)
    _sequences: dict[int, int] = field(default_factory=dict)
    _positions: dict[int, int] = field(default_factory=dict)

    def add(self, table: str, **row: Any) -> Row:
        """Adds a row as it is."""
        self.rows.setdefault(table, []).append(row)
        return row

    def table(self, name: str) -> History:
        """The table exists, if only without rows."""
        self.rows.setdefault(name, [])
        return self

    def send(
        self,
        offset: int | None = None,
        *,
        publisher: int = 0,
        partition: int = 0,
        topic: str = "t",
        outcome: str = ACKNOWLEDGED,
        transaction: int | None = None,
        sent: float = 0,
        settled: float | None = 1,
    ) -> Row:
        """The publisher's next message, acknowledged at ``offset`` unless ``outcome`` says otherwise."""
        sequence = self._sequences.get(publisher, 0)
        self._sequences[publisher] = sequence + 1
        return self.add(
            "sends",
            publisher=publisher,
            sequence=sequence,
            topic=topic,
            partition=partition,
            offset=offset if outcome == ACKNOWLEDGED else None,
            outcome=outcome,
            transaction=transaction,
            digest=digest(publisher, sequence),
            sent_at=at(sent),
            settled_at=None if settled is None else at(settled),
        )

    def read(
        self,
        offset: int,
        publisher: int | None = 0,
        sequence: int | None = None,
        *,
        reader: int = 0,
        partition: int = 0,
        topic: str = "t",
        content: int | None = None,
        committed_only: bool = False,
        when: float = 100,
    ) -> Row:
        """The reader's next record; without a publisher it carries no identity."""
        position = self._positions.get(reader, 0)
        self._positions[reader] = position + 1
        if content is None:
            content = 7 if publisher is None or sequence is None else digest(publisher, sequence)
        return self.add(
            "reads",
            reader=reader,
            poll=position,
            topic=topic,
            partition=partition,
            offset=offset,
            publisher=publisher,
            sequence=sequence,
            digest=content,
            committed_only=committed_only,
            read_at=at(when),
            position=position,
        )

    def read_sent(self, sends: Iterable[Row], **more: Any) -> None:
        """Reads every one of ``sends`` at its acknowledged place."""
        for send in sends:
            self.read(
                send["offset"],
                send["publisher"],
                send["sequence"],
                partition=send["partition"],
                topic=send["topic"],
                **more,
            )

    def transaction(
        self, number: int, outcome: str = COMMITTED, publisher: int = 0, ending: float | None = None
    ) -> Row:
        """How a transaction ended."""
        when = None if ending is None else at(ending)
        return self.add("transactions", publisher=publisher, transaction=number, outcome=outcome, ending_at=when)

    def moved(
        self, what: str, offset: int | None = None, *, reader: int = 0, partition: int = 0, group: str | None = None
    ) -> Row:
        """The reader was assigned or lost the partition, or sought in it, just before its next row."""
        return self.add(
            "assignments",
            reader=reader,
            group_id=group,
            topic="t",
            partition=partition,
            what=what,
            offset=offset,
            position=self._positions.get(reader, 0),
            at=at(50),
        )

    def end(
        self,
        partition: int = 0,
        *,
        complete: bool = True,
        committed_only: bool = False,
        reader: int = 0,
        offset: int = 99,
        begin: int | None = None,
        asked: float | None = None,
    ) -> Row:
        """How far a reading got; where it began, and when it asked for the end (second), if that is known."""
        return self.add(
            "ends",
            reader=reader,
            committed_only=committed_only,
            topic="t",
            partition=partition,
            end_offset=offset,
            complete=complete,
            from_offset=begin,
            asked_at=None if asked is None else at(asked),
        )

    def excuse(
        self,
        offsets: tuple[int, int] | None = None,
        sequences: tuple[int, int] | None = None,
        *,
        partition: int = 0,
        publisher: int = 0,
    ) -> Row:
        """Excuses the offsets, or the publisher's sequences, first to last."""
        first, last = offsets or (None, None)
        first_sequence, last_sequence = sequences or (None, None)
        return self.add(
            "excused",
            topic="t" if offsets else None,
            partition=partition if offsets else None,
            first_offset=first,
            last_offset=last,
            publisher=publisher if sequences else None,
            first_sequence=first_sequence,
            last_sequence=last_sequence,
            reason="compaction",
        )

    def commit(self, offset: int, when: float = 200, *, group: str = "g", reader: int | None = 0) -> Row:
        """The group committed ``offset`` of partition 0, second ``when``."""
        return self.add(
            "commits", group_id=group, reader=reader, topic="t", partition=0, offset=offset, committed_at=at(when)
        )

    def process(self, offset: int, when: float = 150, *, group: str = "g", reader: int = 0) -> Row:
        """A member of the group finished its work on the record at ``offset`` of partition 0."""
        return self.add(
            "processed", group_id=group, reader=reader, topic="t", partition=0, offset=offset, processed_at=at(when)
        )

    def event(self, second: float, subject: str, what: str, detail: str | None = None) -> Row:
        """A fault, or anything else that happened."""
        return self.add("events", at=at(second), subject=subject, what=what, detail=detail)

    def on_disk(self, offset: int, publisher: int | None = None, sequence: int | None = None) -> Row:
        """A record found in the broker's files, partition 0."""
        return self.add("on_disk", topic="t", partition=0, offset=offset, publisher=publisher, sequence=sequence)

    def save(self, folder: Path) -> Path:
        """Writes the tables that have rows (or were named) as ``folder/<table>.parquet``."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in self.rows.items():
            pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name].arrow), folder / f"{name}.parquet")
        return folder


def sound(messages: int = 5, **more: Any) -> History:
    """A history with nothing wrong: one publisher's messages at offsets 0, 1, 2 ..., read once."""
    history = History()
    sends = [history.send(offset, **more) for offset in range(messages)]
    history.read_sent(sends)
    return history


#: Without rows in them these tables mean something else than if they were not there at all.
_TELLING = ("ends", "processed", "on_disk")

#: More publishers and readers than any history by hand has.
_APART = 10_000


def together(histories: Iterable[History]) -> list[History]:
    """As few histories with all that is in ``histories``: their topics, publishers, readers and groups are kept apart.

    Each anomaly of theirs is in one of them, and no other: to judge many at once is quick where each verdict is slow.
    """
    merged: dict[tuple[bool, ...], History] = {}
    for number, history in enumerate(histories):
        kind = (bool(history.rows.get("reads")), *(name in history.rows for name in _TELLING))
        into = merged.setdefault(kind, History())
        for table, rows in history.rows.items():
            into.table(table).rows[table] += [_renamed(row, number) for row in rows]
    return list(merged.values())


def _renamed(row: Row, number: int) -> Row:
    new = dict(row)
    for name in ("publisher", "reader"):
        if new.get(name) is not None:
            new[name] += number * _APART
    for name in ("topic", "group_id"):
        if new.get(name) is not None:
            new[name] += f" {number}"
    return new
