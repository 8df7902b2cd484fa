"""What a publisher does, whichever client it uses."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING, NamedTuple

from integrity.clients.messages import (
    IDENTITY_HEADER,
    NO_TIMESTAMP,
    Message,
    digests,
    pack_identities,
    pack_start,
)
from integrity.clients.types import Connection, NotAcknowledged, Partition, PublisherOptions, Receipt
from integrity.clients.values import Values
from integrity.history import schema
from integrity.history.columns import CHUNK_ROWS, OPEN, OUTCOMES, PublisherLog, SendChunk
from integrity.history.recorder import Recorder
from integrity.waiting import scaled

if TYPE_CHECKING:
    from integrity.clients.reader import Reader


#: Seconds between two looks whether the brokers that are waited for are still there.
LOOK_SECONDS = 0.25

#: Bytes of values that are prepared together at most.
BLOCK_BYTES = 1 << 20


class Block(NamedTuple):
    """Generated messages that are recorded and about to be sent: all with one timestamp (ms), one element for each in
    all of ``rows`` (of the chunk), ``values``, ``keys``, ``places`` (partitions, None leaves the choice to the client)
    and ``headers`` (the identity's)."""

    chunk: SendChunk
    rows: range
    timestamp: int
    values: list[bytes]
    keys: Iterable[bytes | None]
    places: Iterable[int | None]
    headers: Iterable[tuple[str, bytes]]


class Publisher(ABC):
    """Sends messages, each with the next sequence, and records what became of every one.

    One thread may use a publisher. ``send`` does not wait for the broker, except when max_unsettled sends are under
    way or the topic's metadata is not known yet. Nothing is raised for a message that fails later: its outcome is
    recorded, and ``counts`` and ``errors`` tell.
    """

    #: Messages of publish() that are recorded together, since one by one that would cost more than sending them. They
    #: share one time, taken before the first of them is sent: none is said to be sent later than it was.
    block = 1

    def __init__(self, connection: Connection, recorder: Recorder | None, options: PublisherOptions) -> None:
        if recorder is not None and not options.identify:
            raise ValueError("a message without identity cannot be recorded: give identify=True or no recorder")
        self.connection = connection
        self.options = options
        self.log = recorder.publisher() if recorder is not None else PublisherLog(0, None)
        self._recorder = recorder
        self._next_transaction = 0
        self._in_transaction = False
        #: The error that the last commit or abort ended with, in words.
        self.last_error: str | None = None

    @property
    def id(self) -> int:
        """The publisher's number in the history and in its messages' identity."""
        return self.log.publisher

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun, and neither its commit nor its abort asked for."""
        return self._in_transaction

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
        """Hand over one message; returns its sequence. Its outcome comes later; an error at once is recorded as
        rejected."""

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

    def _blocks(
        self,
        topic: str,
        count: int,
        size: int,
        partitions: Sequence[int] | None,
        keys: Sequence[bytes | None] | None,
    ) -> Iterator[Block]:
        """What publish() is to send, block by block, each recorded as sent when it is yielded.

        A block that is not handed over to its end (Ctrl-C) keeps open sends, which end as unknown.
        """
        log = self.log
        log.topic(topic)
        values = Values(size)
        most = max(1, min(self.block, BLOCK_BYTES // max(size, 1)))
        all_keys = None if keys is None else cycle(keys)
        all_places = None if partitions is None else cycle(partitions)
        left = count
        while left > 0:
            chunk = log.chunk if len(log.chunk.sent) < CHUNK_ROWS else log.next_chunk()
            row = len(chunk.sent)
            number = min(most, left, CHUNK_ROWS - row)
            left -= number
            at = time.time_ns()
            timestamp = at // 1_000_000
            stamp = NO_TIMESTAMP if self.options.log_append_time else timestamp
            if all_keys is None:
                block_keys = repeat(None, number)
                starts = repeat(pack_start(stamp, -1, size), number)
            else:
                block_keys = list(islice(all_keys, number))
                starts = [pack_start(stamp, -1 if key is None else len(key), size) + (key or b"") for key in block_keys]
            places = repeat(None, number)
            if all_places is not None:
                places = list(islice(all_places, number))
                chunk.partitions[row : row + number] = array("i", places)
            block_values = values.stretch(chunk.first + row, number)
            identities = pack_identities(log.publisher, chunk.first + row, number)
            # Without identities nothing is recorded, and no digest asked for.
            chunk.digests.fromlist(digests(starts, block_values, identities) if self.options.identify else [0] * number)
            chunk.sent.extend(array("q", [at]) * number)
            pairs = zip(repeat(IDENTITY_HEADER), identities)
            yield Block(chunk, range(row, row + number), timestamp, block_values, block_keys, places, pairs)

    def send_and_wait(self, message: Message, seconds: float = 30.0) -> Receipt:
        """Send and wait for the acknowledgement. Raises NotAcknowledged when it does not come or is an error."""
        sequence = self.send(message)
        chunk = self.log.chunk
        row = sequence - chunk.first
        deadline = time.monotonic() + scaled(seconds)
        while chunk.outcomes[row] == OPEN and (left := deadline - time.monotonic()) > 0:
            self._settle(min(left, LOOK_SECONDS), chunk, row)
            if chunk.outcomes[row] == OPEN:
                self.connection.check()
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
    def _settle(self, seconds: float, chunk: SendChunk, row: int) -> None:
        """Wait up to ``seconds`` for outcomes to come in; return early once that row has one."""

    @abstractmethod
    def serve(self, seconds: float = 0.0) -> None:
        """Take in the outcomes that have come so far; wait up to ``seconds`` for some."""

    def flush(self, seconds: float = 30.0) -> int:
        """Wait until every send has its outcome, at most ``seconds``; returns how many still have none."""
        deadline = time.monotonic() + scaled(seconds)
        while open_sends := self._flush(max(min(deadline - time.monotonic(), LOOK_SECONDS), 0.0)):
            if time.monotonic() >= deadline:
                break
            self.connection.check()
        return open_sends

    @abstractmethod
    def _flush(self, seconds: float) -> int:
        """Wait up to ``seconds`` for every send to have its outcome; returns how many have none yet."""

    def begin(self) -> int:
        """Begin a transaction (needs transactional_id); returns its number."""
        self._begin()
        number = self._next_transaction
        self._next_transaction += 1
        self._in_transaction = True
        self.log.transaction(number)
        return number

    def commit(self, seconds: float = 30.0) -> str:
        """Commit the open transaction; records and returns what came of it.

        'committed'; 'aborted' when the client says that it cannot be committed, and has been told to abort; 'unknown'
        when the commit was asked for and no answer settles it (time-out, fenced, lost connection). ``last_error`` has
        the words.
        """
        return self._end(True, seconds)

    def abort(self, seconds: float = 30.0) -> str:
        """Abort the open transaction; records and returns 'aborted'.

        Even when the request fails: a transaction that nobody asked to commit must never be seen by a committed reader.
        ``last_error`` then has the words.
        """
        return self._end(False, seconds)

    def _end(self, commit: bool, seconds: float) -> str:
        if not self._in_transaction:
            raise ValueError("no transaction is open")
        asked_at = time.time_ns() // 1000
        # An error that leaves this function (Ctrl-C, say) came after the commit may have been asked for.
        outcome = schema.UNKNOWN if commit else schema.ABORTED
        self.last_error = None
        try:
            if commit:
                outcome = self._commit(scaled(seconds))
            else:
                self._abort(scaled(seconds))
        finally:
            self._transaction_over(outcome, asked_at)
        return outcome

    def _transaction_over(self, outcome: str, asked_at: int) -> None:
        self._in_transaction = False
        self.log.transaction(None)
        if self._recorder is not None:
            self._recorder.row("transactions", self.id, self._next_transaction - 1, outcome, asked_at)

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self, seconds: float) -> str:
        """Ask for the commit; returns the outcome, puts an error's words into last_error."""

    @abstractmethod
    def _abort(self, seconds: float) -> None:
        """Ask for the abort; puts an error's words into last_error."""

    @abstractmethod
    def send_offsets(self, offsets: Mapping[Partition, int], reader: Reader, seconds: float = 30.0) -> None:
        """Make the group's offsets (each the next to read) part of the open transaction.

        Where that fails, close the publisher and let a successor begin: the request may still be under way, and a
        client may send it with the next transaction.
        """

    def close(self, seconds: float = 10.0) -> None:
        """Wait for outcomes up to ``seconds``, then close; what has none by then is recorded as unknown."""
        try:
            if self._in_transaction:
                # Its commit was never asked for, so it must never be seen; the broker aborts it after its time-out.
                self._transaction_over(schema.ABORTED, time.time_ns() // 1000)
            try:
                self.flush(seconds)
            finally:
                self._close()
        finally:
            self.log.close()

    @abstractmethod
    def _close(self) -> None:
        """Close the client and give up what is under way; no outcome may come in after it returns."""

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
