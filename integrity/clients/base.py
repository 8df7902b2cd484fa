"""The interface to a Kafka client: connection, publisher, reader, admin, driver.

The two implementations differ only in how a message is handed over and how a poll's records are taken apart;
identity, digests, outcomes, deadlines and records of what happened are decided here, once for both.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from integrity.clients.messages import Header, Message
from integrity.history import schema
from integrity.history.columns import OPEN, OUTCOMES, PublisherLog, ReaderLog
from integrity.history.recorder import Recorder
from integrity.waiting import scaled

#: (topic, partition)
Partition = tuple[str, int]

BEGINNING = -2
END = -1

#: How long a poll may block (seconds): short enough to notice a stop, long enough not to spin.
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Connection:
    """Where the brokers are and how to reach them.

    bootstrap_servers: ``host:port``, several separated by commas. properties: client properties as Kafka's own clients
    take them (``security.protocol``, ``sasl.mechanism`` ...); see integrity.clients.security.
    """

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PublisherOptions:
    """How a publisher publishes; times in seconds, sizes in bytes.

    identify: put the identity's header on every message; without it the recorder must be None.
    retries: None is without limit (until delivery_timeout); 0 makes every refusal definite, and needs idempotent=False.
    max_unsettled: sends without an outcome before send() waits, so that a dead broker does not eat memory.
    log_append_time: the topic's timestamps are the broker's, so digests leave them out.
    max_request: the client's own limit; far above the broker's, so that it is the broker that refuses.
    """

    identify: bool = True
    idempotent: bool = True
    acks: str = "all"
    compression: str = "none"
    max_in_flight: int = 5
    retries: int | None = None
    delivery_timeout: float = 30.0
    request_timeout: float = 10.0
    linger: float = 0.005
    batch_bytes: int = 1 << 19
    max_unsettled: int = 100_000
    max_request: int = 32 << 20
    transactional_id: str | None = None
    transaction_timeout: float = 30.0
    log_append_time: bool = False
    client_id: str = "kafka-integrity"

    def __post_init__(self) -> None:
        if self.retries == 0 and (self.idempotent or self.transactional_id):
            raise ValueError("retries=0 needs idempotent=False: both clients insist on retries for idempotence")


@dataclass(frozen=True)
class ReaderOptions:
    """How a reader reads; times in seconds.

    group: the consumer group, None for assigned reading. auto_commit: the client commits by itself, every
    auto_commit_interval. instance: static membership. start: where a group without committed offsets begins.
    """

    committed_only: bool = False
    group: str | None = None
    auto_commit: bool = False
    auto_commit_interval: float = 0.5
    start: str = "earliest"
    session_timeout: float = 6.0
    heartbeat_interval: float = 0.5
    max_poll_interval: float = 60.0
    max_poll_records: int = 10_000
    instance: str | None = None
    request_timeout: float = 10.0
    client_id: str = "kafka-integrity"


class Receipt(NamedTuple):
    """What became of one send: ``outcome`` as in the history; partition and offset only when acknowledged."""

    sequence: int
    outcome: str
    partition: int | None
    offset: int | None
    error: str | None


class NotAcknowledged(Exception):
    """A message that had to be acknowledged was not; ``receipt`` says what became of it."""

    def __init__(self, message: Message, receipt: Receipt) -> None:
        super().__init__(
            f"the message on topic {message.topic!r} was not acknowledged: {receipt.outcome}"
            + (f" ({receipt.error})" if receipt.error else "")
        )
        self.receipt = receipt


class Record(NamedTuple):
    """One record as a reader got it. timestamp in ms; timestamp_type 0 is the publisher's, 1 the broker's.

    publisher and sequence are None when the record carries no identity; headers leave out nothing.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    timestamp: int
    timestamp_type: int
    publisher: int | None
    sequence: int | None


class PartitionEnd(NamedTuple):
    """How far a reader got in one partition: its position, and the end it was to reach (both next offsets)."""

    position: int
    end: int

    @property
    def complete(self) -> bool:
        """Whether it got there."""
        return self.position >= self.end


@dataclass(frozen=True)
class ReadResult:
    """What reading to the end came to. ``records`` only when asked for (keep=True)."""

    count: int
    ends: Mapping[Partition, PartitionEnd]
    records: Sequence[Record] = ()

    @property
    def complete(self) -> bool:
        """Whether every partition was read to its end."""
        return all(end.complete for end in self.ends.values())

    def __str__(self) -> str:
        short = {place: end for place, end in self.ends.items() if not end.complete}
        if not short:
            return f"{self.count} records, every partition to its end"
        where = ", ".join(f"{t}-{p} at {e.position} of {e.end}" for (t, p), e in sorted(short.items()))
        return f"{self.count} records, not to the end of {len(short)} of {len(self.ends)} partitions: {where}"


class Publisher(ABC):
    """Sends messages, each with the next sequence, and records what became of every one.

    One thread may use a publisher. ``send`` does not wait for the broker, except when max_unsettled sends are under way or the
    topic's metadata is not known yet. Nothing is raised for a message that fails later: its outcome is recorded, and
    ``counts`` and ``errors`` tell.
    """

    def __init__(self, connection: Connection, recorder: Recorder | None, options: PublisherOptions) -> None:
        if recorder is not None and not options.identify:
            raise ValueError("a message without identity cannot be recorded: give identify=True or no recorder")
        self.connection = connection
        self.options = options
        self.log = recorder.publisher() if recorder is not None else PublisherLog(0, None)
        self._recorder = recorder
        self._next_transaction = 0
        self._in_transaction = False

    @property
    def id(self) -> int:
        """The publisher's number in the history and in its messages' identity."""
        return self.log.publisher

    @property
    def counts(self) -> dict[str, int]:
        """How many sends are open, acknowledged, rejected, unknown."""
        return self.log.counts

    @property
    def errors(self) -> Mapping[str, int]:
        """Every error a send ended with, and how often."""
        return self.log.errors

    @abstractmethod
    def send(self, message: Message) -> int:
        """Hand over one message; returns its sequence. Its outcome comes later; an error at once is recorded as rejected."""

    def send_many(self, messages: Iterable[Message]) -> int:
        """Send them in order; returns how many. See also publish, which is faster."""
        count = 0
        for message in messages:
            self.send(message)
            count += 1
        return count

    @abstractmethod
    def publish(
        self,
        topic: str,
        count: int,
        *,
        size: int = 100,
        partitions: Sequence[int] | None = None,
        keys: Sequence[bytes | None] | None = None,
    ) -> int:
        """Send ``count`` generated messages of ``size`` bytes as fast as the client takes them; returns how many.

        partitions: taken in turn; None leaves the choice to the client. keys: taken in turn.
        """

    def send_and_wait(self, message: Message, seconds: float = 30.0) -> Receipt:
        """Send and wait for the acknowledgement. Raises NotAcknowledged when it does not come or is an error."""
        sequence = self.send(message)
        chunk = self.log.chunk
        row = sequence - chunk.first
        deadline = time.monotonic() + scaled(seconds)
        while chunk.outcomes[row] == OPEN and (left := deadline - time.monotonic()) > 0:
            self._settle(left, chunk, row)
        code = chunk.outcomes[row]
        acknowledged = OUTCOMES[code] == schema.ACKNOWLEDGED
        receipt = Receipt(
            sequence,
            schema.UNKNOWN if code == OPEN else OUTCOMES[code],
            chunk.partitions[row] if acknowledged else None,
            chunk.offsets[row] if acknowledged and chunk.offsets[row] >= 0 else None,
            self.log.error_texts.get(sequence, f"no answer within {scaled(seconds):.0f} s" if code == OPEN else None),
        )
        if not acknowledged:
            raise NotAcknowledged(message, receipt)
        return receipt

    @abstractmethod
    def _settle(self, seconds: float, chunk: Any, row: int) -> None:
        """Wait up to ``seconds`` for outcomes to come in; return early once that row has one."""

    @abstractmethod
    def flush(self, seconds: float = 30.0) -> int:
        """Wait until every send has its outcome, at most ``seconds``; returns how many still have none."""

    def begin(self) -> int:
        """Begin a transaction (needs transactional_id); returns its number."""
        self._begin()
        number = self._next_transaction
        self._next_transaction += 1
        self._in_transaction = True
        self.log.transaction(number)
        return number

    def commit(self, seconds: float = 30.0) -> str:
        """Commit the open transaction; returns and records 'committed', 'aborted' or 'unknown'. See end_transaction."""
        return self._end(True, seconds)

    def abort(self, seconds: float = 30.0) -> str:
        """Abort the open transaction; returns and records 'aborted' or 'unknown'."""
        return self._end(False, seconds)

    def _end(self, commit: bool, seconds: float) -> str:
        number = self._next_transaction - 1
        asked_at = time.time_ns() // 1000
        outcome = schema.UNKNOWN
        try:
            outcome = self._commit(seconds) if commit else self._abort(seconds)
        finally:
            self._in_transaction = False
            self.log.transaction(None)
            if self._recorder is not None:
                self._recorder.row("transactions", self.id, number, outcome, asked_at)
        return outcome

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self, seconds: float) -> str: ...

    @abstractmethod
    def _abort(self, seconds: float) -> str: ...

    @abstractmethod
    def send_offsets(self, offsets: Mapping[Partition, int], reader: Reader, seconds: float = 30.0) -> None:
        """Make the group's offsets (each the next to read) part of the open transaction."""

    def close(self, seconds: float = 10.0) -> None:
        """Wait for outcomes up to ``seconds``, then close; what has none by then is recorded as unknown."""
        try:
            if self._in_transaction:
                # Left open on purpose or by an error: the broker aborts it after transaction_timeout.
                self._recorder_transaction_unknown()
            self._close(scaled(seconds))
        finally:
            self.log.close()

    def _recorder_transaction_unknown(self) -> None:
        self._in_transaction = False
        if self._recorder is not None:
            now = time.time_ns() // 1000
            self._recorder.row("transactions", self.id, self._next_transaction - 1, schema.UNKNOWN, now)

    @abstractmethod
    def _close(self, seconds: float) -> None:
        """Close the client; no outcome may come in after it returns."""

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        """Poll once, at most ``seconds`` and ``limit`` records; record what came, append it to ``keep``; returns how many."""

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
    def _ends(self, partitions: Sequence[Partition] | Sequence[str], seconds: float) -> dict[Partition, int]:
        """The high watermarks of these topics' partitions."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group, if any, and close."""

    # -- what is the same for both ------------------------------------------------------------------
    def poll(self, seconds: float = POLL_SECONDS, limit: int | None = None) -> list[Record]:
        """One poll's records; an empty list when none came in time."""
        keep: list[Record] = []
        self.drain(seconds, keep, limit)
        return keep

    def read(self, count: int, seconds: float) -> list[Record]:
        """Records until there are ``count`` or ``seconds`` are over; may return a few more than ``count``."""
        keep: list[Record] = []
        deadline = time.monotonic() + scaled(seconds)
        while len(keep) < count and (left := deadline - time.monotonic()) > 0:
            self.drain(min(left, POLL_SECONDS), keep)
        return keep

    def read_to_end(
        self,
        topics: str | Sequence[str],
        seconds: float = 60.0,
        *,
        ends: Mapping[Partition, int] | None = None,
        start: Mapping[Partition, int] | None = None,
        keep: bool = False,
    ) -> ReadResult:
        """Read every partition of the topics from the beginning to its end as it is now, under one deadline.

        Then polls once more: a record that the log holds twice comes late. ends: the end offsets, when the caller knows
        them already. start: other offsets than the beginning. keep: return the records as well.
        Which partitions did not reach their end is in the result and in the history's ``ends``; it never raises for that.
        """
        names = [topics] if isinstance(topics, str) else list(topics)
        deadline = time.monotonic() + scaled(seconds)
        targets = dict(ends) if ends is not None else self._ends(names, scaled(seconds))
        begin = dict.fromkeys(targets, BEGINNING) | dict(start or {})
        self.assign(begin)
        records: list[Record] | None = [] if keep else None
        count = 0
        reached = dict.fromkeys(targets, -1)
        while (left := deadline - time.monotonic()) > 0:
            count += self.drain(min(left, POLL_SECONDS), records)
            reached = self.positions()
            if all(reached.get(place, -1) >= end for place, end in targets.items()):
                count += self.drain(0.05, records)
                break
        result = {place: PartitionEnd(reached.get(place, -1), end) for place, end in targets.items()}
        for (topic, partition), end in result.items():
            self.log.end(topic, partition, end.end, end.complete)
        return ReadResult(count, result, tuple(records or ()))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Admin(ABC):
    """What is asked of a cluster beside reading and publishing. Errors of the client pass through."""

    @abstractmethod
    def create_topic(
        self,
        topic: str,
        *,
        partitions: int = 1,
        replication: int = 1,
        configs: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> None:
        """Create it and wait until every partition has a leader."""

    @abstractmethod
    def delete_topic(self, topic: str, seconds: float = 30.0) -> None:
        """Delete it and wait until the metadata no longer names it."""

    @abstractmethod
    def leaders(self, topic: str) -> dict[int, int]:
        """The leader of each partition, -1 where there is none; empty when there is no such topic."""

    @abstractmethod
    def end_offsets(self, topics: Sequence[str], seconds: float = 30.0) -> dict[Partition, int]:
        """Each partition's high watermark: one past the last record, transaction markers included."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def __enter__(self) -> Admin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Driver(ABC):
    """Makes the parts of one client library."""

    #: As the option ``client`` names it.
    name: str

    @abstractmethod
    def _publisher(self, connection: Connection, recorder: Recorder | None, options: PublisherOptions) -> Publisher: ...

    @abstractmethod
    def _reader(self, connection: Connection, recorder: Recorder | None, options: ReaderOptions) -> Reader: ...

    @abstractmethod
    def admin(self, connection: Connection) -> Admin:
        """An admin for the connection."""

    def publisher(
        self,
        connection: Connection,
        recorder: Recorder | None = None,
        options: PublisherOptions | None = None,
        **changes: Any,
    ) -> Publisher:
        """A publisher; ``changes`` are fields of PublisherOptions, over ``options``."""
        return self._publisher(connection, recorder, replace(options or PublisherOptions(), **changes))

    def reader(
        self,
        connection: Connection,
        recorder: Recorder | None = None,
        options: ReaderOptions | None = None,
        **changes: Any,
    ) -> Reader:
        """A reader; ``changes`` are fields of ReaderOptions, over ``options``."""
        return self._reader(connection, recorder, replace(options or ReaderOptions(), **changes))
