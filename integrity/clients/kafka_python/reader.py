"""A reader over kafka-python's KafkaConsumer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from operator import itemgetter

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import CorruptRecordError, KafkaConnectionError
from kafka.structs import OffsetAndMetadata

from integrity.clients.base import BEGINNING, Connection, Partition, Reader, ReaderOptions, Record
from integrity.clients.errors import within_limits
from integrity.clients.kafka_python.admin import KafkaPythonAdmin
from integrity.clients.kafka_python.settings import connection_arguments, pace_lookups, prepare
from integrity.clients.messages import NO_TIMESTAMP, fingerprints, identity_of
from integrity.clients.types import DamagedMessages
from integrity.history import schema
from integrity.history.columns import ReaderLog
from integrity.history.recorder import Recorder
from integrity.waiting import attended, scaled

#: Of a record, in this order. Column by column, since taking each record apart takes three times as long.
_COLUMNS = [
    itemgetter(ConsumerRecord._fields.index(name))
    for name in ("offset", "timestamp", "timestamp_type", "key", "value", "headers")
]


class _Moves(ConsumerRebalanceListener):
    """Writes the group's decisions into the history."""

    def __init__(self, log: ReaderLog) -> None:
        self._log = log

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        for place in assigned:
            self._log.moved(place.topic, place.partition, schema.ASSIGNED, None)

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        for place in revoked:
            self._log.moved(place.topic, place.partition, schema.REVOKED, None)


class KafkaPythonReader(Reader):
    """See integrity.clients.base.Reader."""

    def __init__(self, connection: Connection, recorder: Recorder | None, options: ReaderOptions) -> None:
        super().__init__(connection, recorder, options)
        arguments = connection_arguments(connection, options.client_id, options.request_timeout) | {
            "group_id": connection.own(options.group) if options.group is not None else None,
            "enable_auto_commit": options.auto_commit and options.group is not None,
            "auto_commit_interval_ms": int(options.auto_commit_interval * 1000),
            "auto_offset_reset": options.start,
            "isolation_level": "read_committed" if options.committed_only else "read_uncommitted",
            "session_timeout_ms": options.session_ms(connection),
            "heartbeat_interval_ms": int(options.heartbeat_interval * 1000),
            "max_poll_interval_ms": int(options.max_poll_interval * 1000),
            "max_poll_records": options.max_poll_records,
            "group_instance_id": options.instance,
            "fetch_max_wait_ms": int(options.fetch_wait * 1000),
            "max_partition_fetch_bytes": 4 << 20,
            "metrics_enabled": False,
            "allow_auto_create_topics": False,
            "bootstrap_timeout_ms": int(scaled(30.0) * 1000),
        }
        self._consumer = attended(lambda: KafkaConsumer(**arguments), connection.check)
        prepare(self._consumer._client._manager)
        pace_lookups(self._consumer._coordinator)

    def assign(self, offsets: Mapping[Partition, int]) -> None:
        places = {TopicPartition(*place): at for place, at in offsets.items()}
        self._consumer.assign(list(places))
        for place, at in places.items():
            if at >= 0:
                self._consumer.seek(place, at)
            elif at == BEGINNING:
                self._consumer.seek_to_beginning(place)
            else:
                self._consumer.seek_to_end(place)
            self.log.moved(place.topic, place.partition, schema.ASSIGNED, at if at >= 0 else None)

    def subscribe(self, topics: Sequence[str]) -> None:
        # Asked for before joining: a leader that does not know the topics yet hands out nothing at first.
        for topic in topics:
            attended(partial(self._consumer.partitions_for_topic, topic), self.connection.check)
        self._consumer.subscribe(list(topics), listener=_Moves(self.log))

    def drain(self, seconds: float, keep: list[Record] | None = None, limit: int | None = None) -> int:
        try:
            with within_limits(self.connection, "group session", self.options.session_ms(self.connection)):
                batches = self._consumer.poll(timeout_ms=int(seconds * 1000), max_records=limit)
        except KafkaConnectionError:
            # A member's look for its coordinator met a broker that was going down, and kafka-python lets that through.
            # Nothing was handed out; whoever polls again, within a bound of its own, is served once the broker is back.
            return 0
        except CorruptRecordError as error:
            raise DamagedMessages(error) from error
        if not batches:
            self._rejoin_if_stranded()
            return 0
        chunk = self.log.poll(time.time_ns())
        count = 0
        for (topic, partition), records in batches.items():
            chunk.topics.begin(len(chunk.offsets), topic)
            offsets, times, kinds, keys, values, headers = (list(map(column, records)) for column in _COLUMNS)
            stamps = times
            if any(kinds):
                stamps = [NO_TIMESTAMP if kind == 1 else at for kind, at in zip(kinds, times, strict=True)]
            found = fingerprints(keys, values, headers, stamps)
            chunk.add([partition] * len(records), offsets, *found)
            count += len(records)
            if keep is not None:
                for offset, at, kind, key, value, some in zip(
                    offsets, times, kinds, keys, values, headers, strict=True
                ):
                    known = identity_of(some) or (None, None)
                    keep.append(Record(topic, partition, offset, key, value, tuple(some), at, kind, *known))
        return count

    def _rejoin_if_stranded(self) -> None:
        """Let a member join again that kafka-python 3.0.12 has left between two memberships, with no heartbeat.

        A poll that is over before the group has rebalanced leaves its attempt to join running. When the next poll's
        attempt succeeds, the other one still begins, and ends with nobody to wait for it.
        """
        if self.options.group is None:
            return
        coordinator = self._consumer._coordinator
        with coordinator._lock:
            task = coordinator._join_task
            running = task is not None and not task.is_done
            if coordinator.rebalance_in_progress() and not coordinator.need_rejoin() and not running:
                coordinator.request_rejoin()

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._consumer.seek(TopicPartition(topic, partition), offset)
        self.log.moved(topic, partition, schema.SEEK, offset if offset >= 0 else None)

    def positions(self) -> dict[Partition, int]:
        found = {}
        for place in self._consumer.assignment():
            try:
                found[place.topic, place.partition] = self._position(place)
            except KafkaConnectionError:
                # It asks a broker for what it does not know, and lets through that this one is going down.
                found[place.topic, place.partition] = -1
        return found

    def _position(self, place: TopicPartition) -> int:
        at = self._consumer.position(place, timeout_ms=100)
        return -1 if at is None else at

    def _known(self) -> dict[Partition, int]:
        """The positions to commit. Unlike positions() it leaves none out because a broker did not answer: it raises."""
        found = {(place.topic, place.partition): self._position(place) for place in self._consumer.assignment()}
        return {place: at for place, at in found.items() if at >= 0}

    def commit(self, offsets: Mapping[Partition, int] | None = None, seconds: float = 10.0) -> dict[Partition, int]:
        wanted = attended(self._known, self.connection.check) if offsets is None else dict(offsets)
        if not wanted:
            return {}
        at = time.time_ns()
        offsets_asked = {TopicPartition(*place): OffsetAndMetadata(offset, "", -1) for place, offset in wanted.items()}
        attended(
            lambda: self._consumer.commit(offsets_asked, timeout_ms=int(scaled(seconds) * 1000)), self.connection.check
        )
        for (topic, partition), offset in wanted.items():
            self.log.committed(topic, partition, offset, at)
        return wanted

    def group_metadata(self) -> object:
        """What a transaction needs to commit for this reader's group."""
        return self._consumer.group_metadata()

    def _ends(self, topics: Sequence[str], seconds: float) -> dict[Partition, int]:
        with KafkaPythonAdmin(self.connection) as admin:
            return admin.end_offsets(topics, seconds)

    def close(self) -> None:
        try:
            attended(self._consumer.close, self.connection.check)
        finally:
            self.log.close()

    def abandon(self) -> None:
        # A closed consumer always leaves its group; only this stands in the way of it.
        self._consumer._coordinator.maybe_leave_group = lambda *_, **__: None
        try:
            self._consumer.close(autocommit=False)
        finally:
            self.log.close()
