"""What goes in and out of clients: connections, options, receipts, records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from integrity.clients.messages import Header, Message
from integrity.waiting import nothing, scaled

#: (topic, partition)
Partition = tuple[str, int]

BEGINNING = -2
END = -1

#: How long a poll may block (seconds): short enough to notice a stop, long enough not to spin.
POLL_SECONDS = 0.2

#: The longest transaction that brokers take by default (transaction.max.timeout.ms).
MOST_TRANSACTION_MS = 900_000

#: Seconds, before timeout_factor, for a connection to be set up, the first question about versions included.
SETUP_SECONDS = 5.0


@dataclass(frozen=True)
class Connection:
    """Where the brokers are and how to reach them.

    bootstrap_servers: ``host:port``, several separated by commas. properties: client properties as Kafka's own clients
    take them (``security.protocol``, ``sasl.mechanism`` ...); see integrity.clients.security.
    prefix: on somebody else's cluster, what the names of all topics, groups and transactional ids of this run begin
    with. Groups and transactional ids get it on the way out (``own``); topics without it are neither made nor changed
    nor deleted.
    least_session: the shortest group session (seconds) that the brokers take.
    check: called while a client waits for the brokers; what it raises ends that wait at once (a broker has died, say).
    """

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    prefix: str = ""
    least_session: float = 0.0
    check: Callable[[], None] = field(default=nothing, repr=False, compare=False)

    def own(self, name: str) -> str:
        """``name`` as it stands on the cluster."""
        return name if name.startswith(self.prefix) else self.prefix + name


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

    @property
    def transaction_ms(self) -> int:
        """The transaction's time-out, after timeout_factor: no more than brokers take by default."""
        return min(int(scaled(self.transaction_timeout) * 1000), MOST_TRANSACTION_MS)

    def __post_init__(self) -> None:
        if self.retries == 0 and (self.idempotent or self.transactional_id):
            raise ValueError("retries=0 needs idempotent=False: both clients insist on retries for idempotence")


@dataclass(frozen=True)
class ReaderOptions:
    """How a reader reads; times in seconds.

    group: the consumer group, None for assigned reading. auto_commit: the client commits by itself, every
    auto_commit_interval. instance: static membership. start: where a group without committed offsets begins.
    fetch_wait: how long a broker with nothing new keeps a fetch waiting; what comes meanwhile is handed out at once.
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
    fetch_wait: float = 0.1
    client_id: str = "kafka-integrity"

    def session_ms(self, connection: Connection) -> int:
        """The group session's time-out: no less than the brokers take."""
        return int(max(self.session_timeout, connection.least_session) * 1000)


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


class DamagedMessages(AssertionError):
    """A reader was handed a batch whose checksum is wrong: no broker may serve that. Has the client's own words."""

    def __init__(self, error: object) -> None:
        super().__init__(f"a reader was handed messages that are damaged: {error}")


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

    def require_complete(self, reader: str = "a reader") -> None:
        """Raise AssertionError, with where the reader stands, unless every partition was read to its end."""
        if not self.complete:
            raise AssertionError(f"{reader} did not get to the end: {self}")

    def __str__(self) -> str:
        short = {place: end for place, end in self.ends.items() if not end.complete}
        if not short:
            return f"{self.count} records, every partition to its end"
        where = ", ".join(f"{t}-{p} at {e.position} of {e.end}" for (t, p), e in sorted(short.items()))
        return f"{self.count} records, not to the end of {len(short)} of {len(self.ends)} partitions: {where}"
