"""What a reader does, whichever client it uses."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from integrity.clients.types import (
    BEGINNING,
    END,
    POLL_SECONDS,
    Connection,
    Partition,
    PartitionEnd,
    ReaderOptions,
    ReadResult,
    Record,
)
from integrity.history.columns import ReaderLog
from integrity.history.recorder import Recorder
from integrity.waiting import scaled


class Reader(ABC):
    """Reads records, assigned or as a member of a group, and records every one in the order seen.

    One thread may use a reader. A reader is made fresh for every reading whose result counts.
    """

    def __init__(self, connection: Connection, recorder: Recorder | None, options: ReaderOptions) -> None:
        self.connection = connection
        self.options = options
        arguments = {"committed_only": options.committed_only, "group": options.group}
        self.log = recorder.reader(**arguments) if recorder is not None else ReaderLog(0, None, **arguments)

    @property
    def id(self) -> int:
        """The reader's number in the history."""
        return self.log.reader

    # -- what a client does -------------------------------------------------------------------------
    @abstractmethod
    def assign(self, offsets: Mapping[Partition, int]) -> None:
        """Read these partitions from these offsets; BEGINNING and END are allowed."""

    @abstractmethod
    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group and read what it is given of these topics."""

    @abstractmethod
    def drain(self, seconds: float, keep: list[Record] | None = None, limit: int | None = None) -> int:
        """Poll once, at most ``seconds`` and ``limit`` records; record what came, append it to ``keep``; returns how
        many. Raises DamagedMessages, and else the client's own errors.
        """

    @abstractmethod
    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on from ``offset`` in an assigned partition."""

    @abstractmethod
    def positions(self) -> dict[Partition, int]:
        """The next offset in every assigned partition, transaction markers passed over; -1 where not known yet."""

    @abstractmethod
    def commit(self, offsets: Mapping[Partition, int] | None = None, seconds: float = 10.0) -> dict[Partition, int]:
        """Commit for the group: these next offsets, or everything read so far. Returns what was committed."""

    @abstractmethod
    def _ends(self, topics: Sequence[str], seconds: float) -> dict[Partition, int]:
        """The high watermarks of these topics' partitions."""

    @abstractmethod
    def group_metadata(self) -> object:
        """What a transactional publisher needs to commit offsets for this reader's group (the client's own object)."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group, if any, and close. With auto_commit, the client commits what was read."""

    @abstractmethod
    def abandon(self) -> None:
        """Die without leaving the group and without committing: its partitions are taken over after session_timeout."""

    # -- what is the same for both ------------------------------------------------------------------
    def poll(self, seconds: float = POLL_SECONDS, limit: int | None = None) -> list[Record]:
        """One poll's records; an empty list when none came in time."""
        keep: list[Record] = []
        self.drain(seconds, keep, limit)
        return keep

    def assign_topics(self, topics: Sequence[str], seconds: float = 30.0) -> None:
        """Read every partition of the topics from the beginning."""
        self.assign(dict.fromkeys(self._ends(topics, seconds), BEGINNING))

    def read(self, count: int, seconds: float) -> list[Record]:
        """Records until there are ``count`` or ``seconds`` are over; may return a few more than ``count``."""
        keep: list[Record] = []
        deadline = time.monotonic() + scaled(seconds)
        while len(keep) < count and (left := deadline - time.monotonic()) > 0:
            if not self.drain(min(left, POLL_SECONDS), keep):
                self.connection.check()
        return keep

    def read_to_end(
        self,
        topics: str | Sequence[str],
        seconds: float = 60.0,
        *,
        ends: Mapping[Partition, int] | None = None,
        start: Mapping[Partition, int] | None = None,
        began: Mapping[Partition, int] | None = None,
        keep: bool = False,
    ) -> ReadResult:
        """Read every partition of the topics from the beginning to its end as it is now, under one deadline.

        Then polls once more: a record that the log holds twice comes late. ends: the end offsets, when the caller knows
        them already. start: other offsets than the beginning; began: where the reader began when it has read up to
        ``start`` already. keep: return the records as well.
        Which partitions did not reach their end is in the result and in the history's ``ends``; it never raises for
        that. Raises as ``drain``.
        """
        names = [topics] if isinstance(topics, str) else list(topics)
        deadline = time.monotonic() + scaled(seconds)
        asked_at = time.time_ns() if ends is None else None
        targets = dict(ends) if ends is not None else self._ends(names, seconds)
        begin = dict.fromkeys(targets, BEGINNING) | dict(start or {})
        self.assign(begin)
        records: list[Record] | None = [] if keep else None
        count = 0
        reached = dict.fromkeys(targets, -1)
        while (left := deadline - time.monotonic()) > 0:
            came = self.drain(min(left, POLL_SECONDS), records)
            count += came
            reached = self.positions()
            if all(reached.get(place, -1) >= end for place, end in targets.items()):
                count += self.drain(0.05, records)
                break
            if not came:
                self.connection.check()
        first_of = begin | dict(began or {})
        result = {place: PartitionEnd(reached.get(place, -1), end) for place, end in targets.items()}
        for (topic, partition), end in result.items():
            first = {BEGINNING: 0, END: end.end}.get(at := first_of[topic, partition], at)
            self.log.end(topic, partition, end.end, end.complete, first, asked_at)
        return ReadResult(count, result, tuple(records or ()))

    def processed(self, records: Iterable[Record]) -> None:
        """Note in the history that the work on these records is done."""
        for record in records:
            self.log.processed(record.topic, record.partition, record.offset)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
