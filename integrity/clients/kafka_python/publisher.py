"""A publisher over kafka-python's KafkaProducer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.producer.future import RecordMetadata
from kafka.serializer import Serializer
from kafka.structs import OffsetAndMetadata
from xxhash import xxh3_64_intdigest

from integrity.clients.base import Connection, Partition, Publisher, PublisherOptions, Reader
from integrity.clients.errors import outcome_of
from integrity.clients.kafka_python.settings import connection_arguments
from integrity.clients.messages import (
    IDENTITY_HEADER,
    IDENTITY_PREFIX,
    NO_TIMESTAMP,
    Message,
    digest,
    pack_identity,
    pack_start,
)
from integrity.clients.values import Values
from integrity.history import schema
from integrity.history.columns import ACKNOWLEDGED, CHUNK_ROWS, REJECTED, SendChunk
from integrity.history.recorder import Recorder
from integrity.waiting import scaled

_NULL = object()


class _NullSerializer(Serializer):
    """KafkaProducer.send refuses a message without key and value, though Kafka does not; a stand-in gets it through."""

    def serialize(self, topic: str, headers: object, data: object) -> object:
        return None if data is _NULL else data


class KafkaPythonPublisher(Publisher):
    """See integrity.clients.base.Publisher. Outcomes come in on kafka-python's own sender thread."""

    def __init__(self, connection: Connection, recorder: Recorder | None, options: PublisherOptions) -> None:
        super().__init__(connection, recorder, options)
        arguments = connection_arguments(connection, options.client_id, options.request_timeout) | {
            "acks": options.acks if options.acks == "all" else int(options.acks),
            "enable_idempotence": options.idempotent or options.transactional_id is not None,
            "compression_type": None if options.compression == "none" else options.compression,
            "max_in_flight_requests_per_connection": options.max_in_flight,
            "delivery_timeout_ms": int(scaled(options.delivery_timeout) * 1000),
            "max_block_ms": int(scaled(options.delivery_timeout) * 1000),
            "linger_ms": int(options.linger * 1000),
            "batch_size": options.batch_bytes,
            "max_request_size": options.max_request,
            "bootstrap_timeout_ms": int(scaled(30.0) * 1000),
            "value_serializer": _NullSerializer(),
            "metrics_enabled": False,
            "allow_auto_create_topics": False,
        }
        if options.retries is not None:
            arguments["retries"] = options.retries
        if options.transactional_id is not None:
            arguments["transactional_id"] = options.transactional_id
            arguments["transaction_timeout_ms"] = int(scaled(options.transaction_timeout) * 1000)
        self._producer = KafkaProducer(**arguments)
        self._settled = [0]
        self._progress = threading.Event()
        self._callbacks: tuple[Callable[..., None], Callable[..., None]] | None = None
        self._callbacks_chunk: SendChunk | None = None
        if options.transactional_id is not None:
            self._producer.init_transactions()

    def _reports(self, chunk: SendChunk) -> tuple[Callable[..., None], Callable[..., None]]:
        """The callbacks of one chunk for success and failure, to be completed with the row."""
        if self._callbacks_chunk is chunk:
            return self._callbacks
        offsets, partitions, settled, outcomes = chunk.offsets, chunk.partitions, chunk.settled, chunk.outcomes
        now = time.time_ns
        log_failed = self.log.failed
        count = self._settled
        single_attempt = self.options.retries == 0

        def delivered(row: int, metadata: RecordMetadata) -> None:
            partitions[row] = metadata[1]
            offsets[row] = metadata[3]
            settled[row] = now()
            outcomes[row] = ACKNOWLEDGED
            count[0] += 1

        def failed(row: int, error: BaseException) -> None:
            code = getattr(error, "errno", None)
            log_failed(chunk, row, outcome_of(code, single_attempt=single_attempt), str(error))
            count[0] += 1

        self._callbacks, self._callbacks_chunk = (delivered, failed), chunk
        return self._callbacks

    def send(self, message: Message) -> int:
        log = self.log
        sequence = log.next_sequence
        headers = list(message.headers)
        if self.options.identify:
            headers.insert(0, (IDENTITY_HEADER, pack_identity(log.publisher, sequence)))
        self._wait_for_room(sequence)
        at = time.time_ns()
        timestamp = message.timestamp if message.timestamp is not None else at // 1_000_000
        stamp = NO_TIMESTAMP if self.options.log_append_time else timestamp
        log.topic(message.topic)
        chunk, row = log.sent(digest(message.key, message.value, headers, stamp), message.partition, at)
        value = _NULL if message.value is None else message.value
        self._produce(message.topic, value, message.key, message.partition, chunk, row, timestamp, headers)
        return sequence

    def _produce(
        self,
        topic: str,
        value: Any,
        key: bytes | None,
        partition: int | None,
        chunk: SendChunk,
        row: int,
        timestamp: int,
        headers: list[tuple[str, bytes]],
    ) -> None:
        """Hand over one message; an error at once is a rejection, since nothing was queued."""
        try:
            future = self._producer.send(topic, value, key, headers, partition, timestamp)
        except Exception as error:
            self.log.failed(chunk, row, REJECTED, f"{type(error).__name__}: {error}")
            self._settled[0] += 1
            return
        delivered, failed = self._reports(chunk)
        future._add_cb_eb(partial(delivered, row), partial(failed, row))

    def _wait_for_room(self, sequence: int) -> None:
        """Block while max_unsettled messages are under way: kafka-python itself would queue without limit."""
        while sequence - self._settled[0] >= self.options.max_unsettled:
            self._progress.wait(0.005)

    def publish(
        self,
        topic: str,
        count: int,
        *,
        size: int = 100,
        partitions: Sequence[int] | None = None,
        keys: Sequence[bytes | None] | None = None,
    ) -> int:
        log = self.log
        log.topic(topic)
        values = Values(size)
        block, period = values.block, values.period
        send = self._producer.send
        now = time.time_ns
        publisher, identify = log.publisher, self.options.identify
        digest_time = not self.options.log_append_time
        places = list(partitions) if partitions is not None else [None]
        all_keys = list(keys) if keys is not None else [None]
        place_count, key_count = len(places), len(all_keys)
        settled, limit = self._settled, self.options.max_unsettled
        first = log.next_sequence
        done = 0
        while done < count:
            chunk = log.chunk
            row = len(chunk.sent)
            if row == CHUNK_ROWS:
                chunk, row = log.next_chunk(), 0
            delivered, failed = self._reports(chunk)
            add_digest, add_sent = chunk.digests.append, chunk.sent.append
            stop = min(CHUNK_ROWS, row + count - done)
            for row in range(row, stop):
                sequence = chunk.first + row
                if sequence - settled[0] >= limit:
                    self._wait_for_room(sequence)
                start = sequence % period
                value = block[start : start + size]
                number = sequence - first
                key = all_keys[number % key_count]
                place = places[number % place_count]
                at = now()
                timestamp = at // 1_000_000
                identity = pack_identity(publisher, sequence)
                begin = pack_start(timestamp if digest_time else NO_TIMESTAMP, -1 if key is None else len(key), size)
                if key is not None:
                    begin += key
                if identify:
                    headers = [(IDENTITY_HEADER, identity)]
                    add_digest(xxh3_64_intdigest(begin + value + IDENTITY_PREFIX + identity))
                else:
                    headers = []
                    add_digest(xxh3_64_intdigest(begin + value))
                add_sent(at)
                if place is not None:
                    chunk.partitions[row] = place
                try:
                    future = send(topic, value, key, headers, place, timestamp)
                except Exception as error:
                    log.failed(chunk, row, REJECTED, f"{type(error).__name__}: {error}")
                    settled[0] += 1
                    continue
                future._add_cb_eb(partial(delivered, row), partial(failed, row))
            done = chunk.first + stop - first
        return count

    def _settle(self, seconds: float, chunk: Any, row: int) -> None:
        self._flush(min(seconds, 0.5))

    def flush(self, seconds: float = 30.0) -> int:
        self._flush(scaled(seconds))
        return self.log.next_sequence - self._settled[0]

    def _flush(self, seconds: float) -> None:
        try:
            self._producer.flush(seconds)
        except KafkaTimeoutError:
            # The caller looks at the outcomes: what has none yet is still open.
            pass

    def _begin(self) -> None:
        self._producer.begin_transaction()

    def _commit(self, seconds: float) -> str:
        self._producer.commit_transaction()
        return schema.COMMITTED

    def _abort(self, seconds: float) -> str:
        self._producer.abort_transaction()
        return schema.ABORTED

    def send_offsets(self, offsets: Mapping[Partition, int], reader: Reader, seconds: float = 30.0) -> None:
        positions = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
            for (topic, partition), offset in offsets.items()
        }
        self._producer.send_offsets_to_transaction(positions, reader.group_metadata())

    def _close(self, seconds: float) -> None:
        self._flush(seconds)
        self._producer.close(timeout=0 if self.log.counts[schema.UNKNOWN] else 1)
