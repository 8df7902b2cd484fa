"""A publisher over kafka-python's KafkaProducer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, RequestTimedOutError, UnknownError
from kafka.future import Future
from kafka.net.compat import KafkaNetClient
from kafka.producer.transaction_manager import TransactionalRequestResult
from kafka.protocol.api_message import ApiMessage
from kafka.protocol.producer import InitProducerIdRequest
from kafka.serializer import Serializer
from kafka.structs import OffsetAndMetadata

from integrity.clients.base import Connection, Partition, Publisher, PublisherOptions, Reader
from integrity.clients.errors import within_limits
from integrity.clients.kafka_python.batches import Batches
from integrity.clients.kafka_python.settings import connection_arguments, prepare
from integrity.clients.messages import (
    IDENTITY_HEADER,
    NO_TIMESTAMP,
    Message,
    digest,
    pack_identity,
)
from integrity.clients.publisher import LOOK_SECONDS
from integrity.history import schema
from integrity.history.columns import REJECTED, SendChunk
from integrity.history.recorder import Recorder
from integrity.waiting import WaitTimeout, attended, scaled

#: Milliseconds that the sender thread waits for a broker that can take nothing at the moment.
SENDER_WAIT_MS = 50.0

#: Seconds between two looks at how many messages are under way.
PROGRESS_SECONDS = 0.02

#: Seconds for kafka-python's sender thread to end when nothing is under way any more.
CLOSE_SECONDS = 2.0

_NULL = object()


class _NullSerializer(Serializer):
    """KafkaProducer.send refuses a message without key and value, though Kafka does not; a stand-in gets it through."""

    def serialize(self, topic: str, headers: object, data: object) -> object:
        return None if data is _NULL else data


class _SenderClient(KafkaNetClient):
    """What kafka-python's sender thread reaches the brokers through, with three faults of 3.0.12 mended."""

    def connection_delay(self, node_id: int) -> float:
        """Milliseconds for which a broker is to be left alone, never so few that the sender spins.

        The sender is told seconds, 0 for a broker that is connected, and takes them for the milliseconds of its next
        wait (kafka/producer/sender.py, ``_send_producer_data``): it would take a whole processor for as long as a
        broker is away or has all requests it may have at a time. An answer, a connection or a new message ends the
        wait at once.
        """
        return max(super().connection_delay(node_id) * 1000, SENDER_WAIT_MS)

    def await_ready(self, node_id: int, timeout_ms: float = 30000) -> bool:
        """Whether there is a connection to a broker in time; one that fails is said, not raised.

        The sender is written for that answer: it looks for another coordinator and keeps what it wanted to ask. After
        an error it looks for one as well, but drops its request (kafka/producer/sender.py,
        ``_maybe_send_pending_request``). When its partitions were never added to a transaction, the transaction hangs
        until its messages are given up, and the sender takes a whole processor meanwhile. With the request kept they
        are not given up before the coordinator is reached, as with Kafka's own client.

        The sender asks for the coordinator again at once, and until there is another one it is named the one that is
        away: so it is told a moment later.
        """
        try:
            return super().await_ready(node_id, timeout_ms)
        except KafkaConnectionError:
            self.poll(timeout_ms=SENDER_WAIT_MS)
            return False

    def send(self, node_id: int, request: ApiMessage, **options: Any) -> Future:
        """Send a request; one for a producer ID whose answer does not come in time is one whose connection was lost.

        The sender asks again after a lost connection, but takes a time-out for the producer's end, and refuses
        whatever it is given from then on (kafka/producer/transaction_manager.py, ``on_complete``). Kafka's own client
        asks again after both. Asking twice costs a number nobody uses.
        """
        answer = super().send(node_id, request, **options)
        if not isinstance(request, InitProducerIdRequest):
            return answer
        result = Future()
        answer.add_callback(result.success)
        answer.add_errback(lambda error: result.failure(_as_lost(error)))
        return result


def _as_lost(error: Exception) -> Exception:
    return KafkaConnectionError(str(error)) if isinstance(error, RequestTimedOutError) else error


class KafkaPythonPublisher(Publisher):
    """See integrity.clients.base.Publisher. Outcomes come in on kafka-python's own sender thread."""

    #: Fewer than with the other client, since it takes this one longer to send them.
    block = 32

    def __init__(self, connection: Connection, recorder: Recorder | None, options: PublisherOptions) -> None:
        super().__init__(connection, recorder, options)
        # kafka-python insists that a request may not outlast the delivery.
        request_timeout = min(options.request_timeout, scaled(options.delivery_timeout) - options.linger)
        arguments = connection_arguments(connection, options.client_id, request_timeout) | {
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
            "kafka_client": _SenderClient,
            "allow_auto_create_topics": False,
        }
        if options.retries is not None:
            arguments["retries"] = options.retries
        if options.transactional_id is not None:
            arguments["transactional_id"] = connection.own(options.transactional_id)
            arguments["transaction_timeout_ms"] = options.transaction_ms
        self._producer = attended(lambda: KafkaProducer(**arguments), connection.check)
        prepare(self._producer._sender._client._manager)
        self._batches = Batches(self.log, single_attempt=options.retries == 0)
        #: Seconds after which a message has an outcome, if the client keeps its word.
        self._longest = scaled(options.delivery_timeout) + request_timeout
        #: Sends that the client took, so that they are under way until they are settled.
        self._taken = 0
        if options.transactional_id is not None:
            try:
                with within_limits(connection, "transaction", options.transaction_ms):
                    attended(self._producer.init_transactions, connection.check)
            except BaseException:
                self._producer.close(timeout=0)  # nobody else can: nobody is given this publisher
                raise

    def send(self, message: Message) -> int:
        log = self.log
        sequence = log.next_sequence
        headers = list(message.headers)
        if self.options.identify:
            headers.insert(0, (IDENTITY_HEADER, pack_identity(log.publisher, sequence)))
        self._wait_for_room()
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
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded as the send's error
            self._refuse(chunk, row, error)
            return
        self._taken += 1
        self._batches.add(future, chunk, row)

    def _refuse(self, chunk: SendChunk, row: int, error: Exception) -> None:
        self.log.failed(chunk, row, REJECTED, f"{type(error).__name__}: {error}")

    def _unsettled(self) -> int:
        """How many sends that the client took have no outcome yet."""
        return max(self._taken - self._batches.settled, 0)

    def _wait_for_room(self) -> None:
        """Block while max_unsettled messages are under way: kafka-python itself would queue without limit.

        Raises WaitTimeout when none of them gets an outcome for longer than any may take. That happens: an idempotent
        producer that has given up a batch which it had sent forgets its producer id, asks for no other one, and until
        it has one neither sends nor gives up anything (kafka-python 3.0.12, kafka/producer/sender.py, ``run_once``).
        """
        settled, waited_since = -1, 0.0
        while self._unsettled() >= self.options.max_unsettled:
            waited = time.monotonic() - waited_since
            if self._batches.settled != settled:
                settled, waited_since = self._batches.settled, time.monotonic()
            elif waited > self._longest:
                raise WaitTimeout(
                    f"waited {waited:.1f} s for any of {self._unsettled():,} messages under way to settle, in vain: "
                    f"{self.counts}, errors {dict(self.errors)}"
                )
            self.connection.check()
            self._batches.progress.clear()
            self._batches.progress.wait(PROGRESS_SECONDS)
            self._batches.look_for_splits()

    def publish(
        self,
        topic: str,
        count: int,
        *,
        size: int = 100,
        partitions: Sequence[int] | None = None,
        keys: Sequence[bytes | None] | None = None,
    ) -> int:
        identify, send, add = self.options.identify, self._producer.send, self._batches.add
        for chunk, rows, timestamp, values, block_keys, places, pairs in self._blocks(
            topic, count, size, partitions, keys
        ):
            self._wait_for_room()
            self._taken += len(rows)
            for row, value, key, place, pair in zip(rows, values, block_keys, places, pairs, strict=True):
                try:
                    future = send(topic, value, key, [pair] if identify else [], place, timestamp)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded as the send's error
                    self._taken -= 1
                    self._refuse(chunk, row, error)
                    continue
                add(future, chunk, row)
        return count

    def _settle(self, seconds: float, chunk: SendChunk, row: int) -> None:
        self._flush(seconds)

    def serve(self, seconds: float = 0.0) -> None:
        if seconds > 0:
            self._batches.progress.clear()
            self._batches.progress.wait(seconds)
        self._batches.look_for_splits()

    def _flush(self, seconds: float) -> int:
        # A flush raises when it runs out of time, and when a batch is split meanwhile (UnknownError). The outcomes
        # tell instead: what has none yet is open.
        with contextlib.suppress(KafkaTimeoutError, UnknownError):
            if self._unsettled():
                self._producer.flush(seconds)
        self._batches.look_for_splits()
        return self._unsettled()

    def _begin(self) -> None:
        self._producer.begin_transaction()

    def _commit(self, seconds: float) -> str:
        # commit_transaction() waits without a bound; these are its own steps, with one.
        try:
            asked = self._producer._transaction_manager.begin_commit()
        except KafkaError as error:
            # Nothing was asked of the coordinator: a message of the transaction has failed.
            self.last_error = str(error)
            self._abort(seconds)
            return schema.ABORTED
        try:
            self._producer._sender.wakeup()
            if self._answered(asked, seconds):
                return schema.COMMITTED
            self.last_error = f"no answer to the commit within {seconds:.0f} s"
        except KafkaError as error:
            self.last_error = str(error)
        return schema.UNKNOWN

    def _abort(self, seconds: float) -> None:
        try:
            asked = self._producer._transaction_manager.begin_abort()
            self._producer._sender.wakeup()
            if not self._answered(asked, seconds):
                self.last_error = f"no answer to the abort within {seconds:.0f} s"
        except KafkaError as error:
            self.last_error = str(error)

    def send_offsets(self, offsets: Mapping[Partition, int], reader: Reader, seconds: float = 30.0) -> None:
        positions = {
            TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
            for (topic, partition), offset in offsets.items()
        }
        asked = self._producer._transaction_manager.send_offsets_to_transaction(positions, reader.group_metadata())
        self._producer._sender.wakeup()
        if not self._answered(asked, scaled(seconds)):
            raise KafkaTimeoutError(f"no answer to the transaction's offsets within {scaled(seconds):.0f} s")

    def _answered(self, asked: TransactionalRequestResult, seconds: float) -> bool:
        """Wait up to ``seconds`` for the coordinator's answer. Raises the error that it is."""
        deadline = time.monotonic() + seconds
        while not asked.wait(timeout_ms=max(min(deadline - time.monotonic(), LOOK_SECONDS), 0.0) * 1000):
            if time.monotonic() >= deadline:
                return False
            self.connection.check()
        return True

    def _close(self) -> None:
        if self._unsettled():
            # Aborts what is still queued, whose outcome is then reported as unknown; nothing is reported after that.
            # close() itself would only raise: it flushes first, and gives up when that takes too long.
            self._producer._sender.force_close()
            self._producer._sender.join(CLOSE_SECONDS)
        self._producer.close(timeout=CLOSE_SECONDS)
        self._batches.look_for_splits()
