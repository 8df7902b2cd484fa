"""A reader over confluent-kafka's Consumer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import repeat

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from integrity.clients.base import BEGINNING, END, Connection, Partition, Reader, ReaderOptions, Record
from integrity.clients.confluent.admin import ConfluentAdmin
from integrity.clients.confluent.settings import connection_settings
from integrity.clients.errors import within_limits
from integrity.clients.messages import NO_TIMESTAMP, fingerprints, identity_of
from integrity.clients.types import DamagedMessages
from integrity.history import schema
from integrity.history.columns import ReadChunk
from integrity.history.recorder import Recorder
from integrity.waiting import attended

_SPECIAL = {BEGINNING: OFFSET_BEGINNING, END: OFFSET_END}

#: How long a reader asks for leaders before it goes on without (seconds).
LEADERS_SECONDS = 1.0

#: Messages of one poll at most. Each has some ten objects; with many more of them alive at once, Python's garbage
#: collector looks over them again and again, which takes longer than reading them.
MOST_AT_ONCE = 500


class ConfluentReader(Reader):
    """See integrity.clients.base.Reader."""

    def __init__(self, connection: Connection, recorder: Recorder | None, options: ReaderOptions) -> None:
        super().__init__(connection, recorder, options)
        settings = connection_settings(connection, options.client_id, options.request_timeout) | {
            # librdkafka insists on a group id even for assigned reading, where it is never used.
            "group.id": connection.own(options.group or "kafka-integrity-unused"),
            "enable.auto.commit": options.auto_commit and options.group is not None,
            "auto.commit.interval.ms": int(options.auto_commit_interval * 1000),
            "enable.auto.offset.store": True,
            "auto.offset.reset": options.start,
            "isolation.level": "read_committed" if options.committed_only else "read_uncommitted",
            "session.timeout.ms": options.session_ms(connection),
            "heartbeat.interval.ms": int(options.heartbeat_interval * 1000),
            "max.poll.interval.ms": max(int(options.max_poll_interval * 1000), options.session_ms(connection)),
            # The end of a partition is told by the client, so that transaction markers at the end count as read.
            "enable.partition.eof": True,
            "check.crcs": True,
            "fetch.wait.max.ms": int(options.fetch_wait * 1000),
            "fetch.error.backoff.ms": 50,
            "queued.min.messages": 200_000,
            "queued.max.messages.kbytes": 256 << 10,
            # With that many waiting here, nothing is fetched for so long (ms), even if they are gone before; not 1000.
            "fetch.queue.backoff.ms": 10,
            "max.partition.fetch.bytes": 4 << 20,
            "fetch.message.max.bytes": 4 << 20,
        }
        if options.instance is not None:
            settings["group.instance.id"] = options.instance
        self._consumer = Consumer(settings)
        self._positions: dict[Partition, int] = {}
        #: Every topic this reader was ever to read. Where it is but one, no message is asked for its topic.
        self._asked: set[str] = set()
        #: How often partitions were taken away.
        self._revocations = 0

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        self._positions = dict.fromkeys(offsets, -1)
        topics = {topic for topic, _ in offsets}
        self._asked |= topics
        self._learn_leaders(topics)
        self._consumer.assign(
            [TopicPartition(topic, partition, _SPECIAL.get(at, at)) for (topic, partition), at in offsets.items()]
        )
        for (topic, partition), at in offsets.items():
            self.log.moved(topic, partition, schema.ASSIGNED, at if at >= 0 else None)

    def _learn_leaders(self, topics: set[str]) -> None:
        """Ask who leads: where it does not know, librdkafka asks for the first offset only after 500 ms or 1 s."""
        for topic in topics:
            try:
                self._consumer.list_topics(topic, LEADERS_SECONDS)
            except KafkaException:
                # No broker answers now: the assignment waits for one by itself, if more slowly.
                return

    def subscribe(self, topics: Sequence[str]) -> None:
        self._asked |= set(topics)
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self.options.start == "earliest":
            self._begin_where_nothing_is_committed(partitions)
            consumer.assign(partitions)
        for place in partitions:
            self._positions[place.topic, place.partition] = -1
            self.log.moved(place.topic, place.partition, schema.ASSIGNED, place.offset if place.offset >= 0 else None)

    def _begin_where_nothing_is_committed(self, partitions: list[TopicPartition]) -> None:
        """Give these, where their group has committed nothing, the first offset to read at; the others keep theirs.

        Left to itself, librdkafka asks for it 0.1 s later. Has the partition been taken away when the answer comes, it
        asks again, reads on although another member holds the partition, and hands that out when the partition comes
        back, below what the group has committed by then (librdkafka 2.16).
        """
        try:
            for place, known in zip(partitions, self._consumer.committed(partitions, LEADERS_SECONDS), strict=True):
                if known.error is None and known.offset < 0:
                    ends = self._consumer.get_watermark_offsets(place, LEADERS_SECONDS)
                    place.offset = ends[0] if ends is not None else place.offset
        except KafkaException:
            # No broker answers now: the assignment waits for one by itself.
            return

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._revocations += 1
        for place in partitions:
            self._positions.pop((place.topic, place.partition), None)
            self.log.moved(place.topic, place.partition, schema.REVOKED, None)

    def drain(self, seconds: float, keep: list[Record] | None = None, limit: int | None = None) -> int:
        # consume() waits for as many as it was asked for, so it is only asked to wait for the first one.
        limit = min(limit or self.options.max_poll_records, MOST_AT_ONCE)
        messages = self._consumer.consume(limit, 0)
        if not messages:
            messages = self._consumer.consume(1, seconds)
            if not messages:
                return 0
            if limit > 1:
                revocations = self._revocations
                more = self._consumer.consume(limit - 1, 0)
                # What came before a partition was taken away is for its next reader; librdkafka itself sees to
                # that only within one call.
                messages = messages + more if revocations == self._revocations else more
        chunk = self.log.poll(time.time_ns())
        events = []
        if any(map(Message.error, messages)):
            events = [message for message in messages if message.error() is not None]
            messages = [message for message in messages if message.error() is None]
        if messages:
            self._take_apart(messages, chunk, keep)
        for event in events:
            self._note(event.error(), event.topic(), event.partition(), event.offset())
        return len(messages)

    def _take_apart(self, messages: list[Message], chunk: ReadChunk, keep: list[Record] | None) -> None:
        """Record these messages column by column: a loop would cost as much again as reading them."""
        partitions, offsets = list(map(Message.partition, messages)), list(map(Message.offset, messages))
        # The last offset of each partition is the one that stays.
        if len(self._asked) == 1:
            [topic] = self._asked
            topics = repeat(topic, len(messages))
            chunk.topics.begin(len(chunk.offsets), topic)
            last = {(topic, partition): at for partition, at in dict(zip(partitions, offsets, strict=True)).items()}
        else:
            topics = list(map(Message.topic, messages))
            for row, topic in enumerate(topics, len(chunk.offsets)):
                chunk.topics.begin(row, topic)
            last = dict(zip(zip(topics, partitions, strict=True), offsets, strict=True))
        self._positions.update({place: offset + 1 for place, offset in last.items()})
        keys, values = list(map(Message.key, messages)), list(map(Message.value, messages))
        headers, times = list(map(Message.headers, messages)), list(map(Message.timestamp, messages))
        kinds, stamps = zip(*times, strict=True)
        if TIMESTAMP_LOG_APPEND_TIME in kinds:
            stamps = [NO_TIMESTAMP if kind == TIMESTAMP_LOG_APPEND_TIME else timestamp for kind, timestamp in times]
        chunk.add(partitions, offsets, *fingerprints(keys, values, headers, stamps))
        if keep is not None:
            for topic, partition, offset, key, value, some, (kind, timestamp) in zip(
                topics, partitions, offsets, keys, values, headers, times, strict=True
            ):
                native = 1 if kind == TIMESTAMP_LOG_APPEND_TIME else 0
                known = identity_of(some) or (None, None)
                keep.append(Record(topic, partition, offset, key, value, tuple(some or ()), timestamp, native, *known))

    def _note(self, error: KafkaError, topic: str | None, partition: int | None, offset: int | None) -> None:
        """An event among the messages: the end of a partition moves the position; anything fatal is raised."""
        if error.code() == KafkaError._PARTITION_EOF:
            self._positions[topic, partition] = max(self._positions.get((topic, partition), -1), offset)
        elif error.code() == KafkaError._BAD_MSG:
            # A batch whose checksum is wrong: librdkafka asks for it again for ever.
            raise DamagedMessages(error)
        elif error.fatal() or (not error.retriable() and error.code() > 0):
            with within_limits(self.connection, "group session", self.options.session_ms(self.connection)):
                raise KafkaException(error)

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._consumer.seek(TopicPartition(topic, partition, _SPECIAL.get(offset, offset)))
        self._positions[topic, partition] = -1
        self.log.moved(topic, partition, schema.SEEK, offset if offset >= 0 else None)

    def positions(self) -> dict[Partition, int]:
        return dict(self._positions)

    def commit(self, offsets: Mapping[Partition, int] | None = None, seconds: float = 10.0) -> dict[Partition, int]:
        wanted = {p: o for p, o in self._positions.items() if o >= 0} if offsets is None else dict(offsets)
        if not wanted:
            return {}
        at = time.time_ns()
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in wanted.items()]
        done = attended(lambda: self._consumer.commit(offsets=places, asynchronous=False), self.connection.check)
        for place in done:
            if place.error is not None:
                raise KafkaException(place.error)
            self.log.committed(place.topic, place.partition, place.offset, at)
        return wanted

    def group_metadata(self) -> object:
        """What a transaction needs to commit for this reader's group."""
        return self._consumer.consumer_group_metadata()

    def _ends(self, topics: Sequence[str], seconds: float) -> dict[Partition, int]:
        with ConfluentAdmin(self.connection) as admin:
            return admin.end_offsets(topics, seconds)

    def close(self) -> None:
        try:
            attended(self._consumer.close, self.connection.check)
        finally:
            self.log.close()

    def abandon(self) -> None:
        # An object that is dropped without close() destroys its handle without leaving the group.
        del self._consumer
        self.log.close()
