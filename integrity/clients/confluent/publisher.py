"""A publisher over confluent-kafka's Producer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from integrity.clients.base import Connection, Partition, Publisher, PublisherOptions, Reader
from integrity.clients.confluent.reports import Report, Reports
from integrity.clients.confluent.settings import connection_settings
from integrity.clients.errors import within_limits
from integrity.clients.messages import (
    IDENTITY_HEADER,
    NO_TIMESTAMP,
    Message,
    digest,
    pack_identity,
)
from integrity.history import schema
from integrity.history.columns import OPEN, REJECTED, SendChunk
from integrity.history.recorder import Recorder
from integrity.waiting import attended, scaled

#: Messages handed over between two looks for delivery reports.
SERVE_EVERY = 512

#: Seconds that a full queue waits for delivery reports at a time.
FULL_SECONDS = 0.1

#: Seconds given to librdkafka to fetch its producer id before the first message; it takes a few ms on one machine.
PRODUCER_ID_SECONDS = 0.02

#: Seconds for librdkafka to report the messages it was told to drop.
PURGE_SECONDS = 1.0

#: Seconds beyond its own bound that librdkafka is given to come back from a transaction's request.
GRACE_SECONDS = 2.0

#: librdkafka's partition number for "the partitioner decides".
ANY_PARTITION = -1


class ConfluentPublisher(Publisher):
    """See integrity.clients.base.Publisher. Delivery reports are served by the sending thread."""

    block = 128

    def __init__(self, connection: Connection, recorder: Recorder | None, options: PublisherOptions) -> None:
        super().__init__(connection, recorder, options)
        settings = connection_settings(connection, options.client_id, options.request_timeout) | {
            "enable.idempotence": options.idempotent or options.transactional_id is not None,
            "acks": options.acks,
            "compression.type": options.compression,
            "max.in.flight.requests.per.connection": options.max_in_flight,
            "message.timeout.ms": int(scaled(options.delivery_timeout) * 1000),
            "request.timeout.ms": int(options.request_timeout * 1000),
            "linger.ms": options.linger * 1000,
            "batch.size": options.batch_bytes,
            "batch.num.messages": 100_000,
            "queue.buffering.max.messages": options.max_unsettled,
            "queue.buffering.max.kbytes": 1 << 20,
            "message.max.bytes": options.max_request,
            "partitioner": "murmur2_random",
        }
        if options.retries is not None:
            settings["retries"] = options.retries
        if options.transactional_id is not None:
            settings["transactional.id"] = connection.own(options.transactional_id)
            settings["transaction.timeout.ms"] = options.transaction_ms
            # librdkafka takes no message for longer than its transaction may last.
            settings["message.timeout.ms"] = min(settings["message.timeout.ms"], options.transaction_ms)
            # Otherwise it forgets all brokers when none answers, to begin again with those it was given, and may then
            # wait for ever for the coordinator that was to take a group's offsets into its transaction
            # (https://github.com/confluentinc/librdkafka/issues/5511; librdkafka 2.16).
            settings["metadata.recovery.strategy"] = "none"
        self._producer = Producer(settings)
        self._reports = Reports(
            self.log,
            single_attempt=options.retries == 0,
            same_batch=options.idempotent or options.transactional_id is not None,
        )
        if options.transactional_id is not None:
            with within_limits(connection, "transaction", options.transaction_ms):
                attended(lambda: self._producer.init_transactions(scaled(30.0)), connection.check)
        elif options.idempotent:
            # Lets librdkafka fetch its producer id over the bootstrap connection. Were a message handed over first,
            # the metadata request for its topic would replace that connection, and the id be asked for again only
            # after 500 ms.
            self._producer.poll(PRODUCER_ID_SECONDS)

    def send(self, message: Message) -> int:
        log = self.log
        sequence = log.next_sequence
        headers = list(message.headers)
        if self.options.identify:
            headers.insert(0, (IDENTITY_HEADER, pack_identity(log.publisher, sequence)))
        at = time.time_ns()
        timestamp = message.timestamp if message.timestamp is not None else at // 1_000_000
        stamp = NO_TIMESTAMP if self.options.log_append_time else timestamp
        log.topic(message.topic)
        chunk, row = log.sent(digest(message.key, message.value, headers, stamp), message.partition, at)
        partition = ANY_PARTITION if message.partition is None else message.partition
        (report,) = self._reports.of(chunk, [row])
        self._produce(message.topic, message.value, message.key, partition, report, (chunk, row), timestamp, headers)
        if row % SERVE_EVERY == 0:
            self._producer.poll(0)
        return sequence

    def _produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        report: Report,
        place: tuple[SendChunk, int],
        timestamp: int,
        headers: list[tuple[str, bytes | None]],
    ) -> None:
        """Hand over one message; waits while the queue is full, and records an error at once as a rejection.

        place: its chunk and row.
        """
        while True:
            try:
                self._producer.produce(topic, value, key, partition, report, None, timestamp, headers)
                return
            except BufferError:
                if not self._producer.poll(FULL_SECONDS):
                    self.connection.check()
            except KafkaException as error:
                refused: KafkaError = error.args[0]
                self.log.failed(*place, REJECTED, f"{refused.name()}: {refused.str()}")
                return

    def publish(
        self,
        topic: str,
        count: int,
        *,
        size: int = 100,
        partitions: Sequence[int] | None = None,
        keys: Sequence[bytes | None] | None = None,
    ) -> int:
        identify, produce, serve = self.options.identify, self._producer.produce, self._reports.serve
        # One list for all messages: produce() has copied it when it returns.
        headers: list[tuple[str, bytes] | None] = [None]
        for chunk, rows, timestamp, values, block_keys, places, pairs in self._blocks(
            topic, count, size, partitions, keys
        ):
            reports = self._reports.of(chunk, rows, placed=partitions is not None)
            if partitions is None:
                places = repeat(ANY_PARTITION, len(rows))
            messages = zip(reports, rows, values, block_keys, places, pairs, strict=True)
            for report, row, value, key, place, headers[0] in messages:
                try:
                    produce(topic, value, key, place, report, None, timestamp, headers if identify else None)
                except (BufferError, KafkaException):
                    given = headers if identify else []
                    self._produce(topic, value, key, place, report, (chunk, row), timestamp, given)
            if rows.stop // SERVE_EVERY != rows.start // SERVE_EVERY:
                serve(self._producer)
        return count

    def _settle(self, seconds: float, chunk: SendChunk, row: int) -> None:
        # Flushing, and not only polling: a flush does not wait for the linger time.
        if self._flush(seconds) and chunk.outcomes[row] == OPEN:
            self._producer.poll(0)

    def serve(self, seconds: float = 0.0) -> None:
        self._producer.poll(seconds)

    def _flush(self, seconds: float) -> int:
        try:
            return self._producer.flush(seconds)
        except KafkaException as error:
            # A publisher that was fenced cannot flush; what it has sent is reported all the same, as an error.
            self.last_error = str(error.args[0])
            self._producer.poll(seconds)
            return len(self._producer)

    def _begin(self) -> None:
        self._producer.begin_transaction()

    def _commit(self, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._wait(self._producer.commit_transaction, seconds=max(deadline - time.monotonic(), 0.001))
                return schema.COMMITTED
            except KafkaException as error:
                reason: KafkaError = error.args[0]
                self.last_error = f"{reason.name()}: {reason.str()}"
                if reason.txn_requires_abort():
                    # Said before the coordinator was asked, or by the coordinator instead of committing.
                    self._abort(max(deadline - time.monotonic(), 1.0))
                    return schema.ABORTED
                if not reason.retriable() or time.monotonic() >= deadline:
                    return schema.UNKNOWN

    def _abort(self, seconds: float) -> None:
        try:
            self._wait(self._producer.abort_transaction, seconds=seconds)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            self.last_error = f"{reason.name()}: {reason.str()}"

    def send_offsets(self, offsets: Mapping[Partition, int], reader: Reader, seconds: float = 30.0) -> None:
        positions = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        self._wait(
            self._producer.send_offsets_to_transaction, positions, reader.group_metadata(), seconds=scaled(seconds)
        )

    def _wait(self, request: Callable[..., object], *arguments: object, seconds: float) -> None:
        """Send librdkafka's ``request``, which waits up to ``seconds`` for the coordinator; its errors pass through.

        Where the group's coordinator goes away at the wrong moment, librdkafka 2.16 waits for it for ever, whatever it
        was told (https://github.com/confluentinc/librdkafka/issues/5511): that is given up as well.
        """
        try:
            attended(lambda: request(*arguments, seconds), self.connection.check, seconds + GRACE_SECONDS)
        except TimeoutError as error:
            words = f"librdkafka was given {seconds:.0f} s and has not come back"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, words)) from error

    def _close(self) -> None:
        if len(self._producer):
            # Purged messages are reported by the next poll, as unknown; nothing is reported after that.
            self._producer.purge()
            self._flush(PURGE_SECONDS)
