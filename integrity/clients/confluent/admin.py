"""An admin over confluent-kafka's AdminClient."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from integrity.clients.admin import ALL_FENCED, SECONDS, Admin
from integrity.clients.confluent.settings import connection_settings
from integrity.clients.types import Connection, Partition
from integrity.waiting import attended, result_of, scaled

T = TypeVar("T")

_LEADERSHIP = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
    # librdkafka's own word for a partition that its metadata does not name yet.
    KafkaError._UNKNOWN_PARTITION,
)
_COORDINATION = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
_MISSING = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)


class ConfluentAdmin(Admin):
    """See integrity.clients.admin.Admin."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        # It must live as long as any of its futures is awaited.
        self._client = AdminClient(connection_settings(connection, "kafka-integrity-admin", 10.0))

    def _result(self, answer: Future[T], seconds: float) -> T:
        """What was answered; its errors pass through, and TimeoutError when nothing is after ``seconds``."""
        return result_of(answer, self.connection.check, scaled(seconds))

    def _metadata(self, topic: str | None = None) -> ClusterMetadata:
        return attended(lambda: self._client.list_topics(topic, timeout=scaled(10.0)), self.connection.check)

    def topics(self) -> list[str]:
        return [name for name in self._metadata().topics if not name.startswith("__")]

    def leaders(self, topic: str) -> dict[int, int]:
        known = self._metadata(topic).topics.get(topic)
        if known is None:
            return {}
        if known.error is not None and known.error.code() not in _MISSING:
            raise KafkaException(known.error)
        return {number: partition.leader for number, partition in known.partitions.items()}

    def configs(self, topic: str) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = self._client.describe_configs([resource], request_timeout=scaled(SECONDS))[resource]
        return {name: entry.value for name, entry in self._result(found, SECONDS).items()}

    def _set_configs(self, topic: str, configs: Mapping[str, str], seconds: float) -> None:
        resource = ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in configs.items()
            ],
        )
        done = self._client.incremental_alter_configs([resource], request_timeout=scaled(seconds))
        self._result(done[resource], seconds)

    def beginning_offsets(self, topics: Sequence[str], seconds: float = SECONDS) -> dict[Partition, int]:
        return self._offsets(topics, OffsetSpec.earliest(), seconds)

    def end_offsets(
        self, topics: Sequence[str], seconds: float = SECONDS, *, committed_only: bool = False
    ) -> dict[Partition, int]:
        return self._offsets(topics, OffsetSpec.latest(), seconds, committed_only)

    def offsets_at(self, topics: Sequence[str], timestamp: int, seconds: float = SECONDS) -> dict[Partition, int]:
        return self._offsets(topics, OffsetSpec.for_timestamp(timestamp), seconds)

    def _offsets(
        self, topics: Sequence[str], spec: OffsetSpec, seconds: float, committed_only: bool = False
    ) -> dict[Partition, int]:
        isolation = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED

        def ask(partitions: list[Partition]) -> dict[Partition, int] | None:
            answers = self._client.list_offsets(
                {TopicPartition(*place): spec for place in partitions},
                isolation_level=isolation,
                request_timeout=scaled(seconds),
            )
            with _none_if(_LEADERSHIP):
                return {(p.topic, p.partition): self._result(f, seconds).offset for p, f in answers.items()}

        return self._offsets_once_led(topics, ask, seconds)

    def committed(self, group: str, seconds: float = SECONDS) -> dict[Partition, int]:
        group = self.connection.own(group)
        asked = [ConsumerGroupTopicPartitions(group)]

        def ask() -> list[TopicPartition] | None:
            found = self._client.list_consumer_group_offsets(asked, request_timeout=scaled(seconds))[group]
            with _none_if(_COORDINATION):
                return self._result(found, seconds).topic_partitions

        found = self._once_answered(ask, f"what {group} has committed", seconds)
        return {(p.topic, p.partition): p.offset for p in found}

    def _delete_records(self, before: Mapping[Partition, int], seconds: float) -> None:
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in before.items()]

        def ask() -> bool | None:
            with _none_if(_LEADERSHIP):
                for done in self._client.delete_records(places, request_timeout=scaled(seconds)).values():
                    self._result(done, seconds)
                return True

        self._once_answered(ask, "a leader to delete records", seconds)

    def delete_group(self, group: str, seconds: float = SECONDS) -> None:
        group = self.connection.own(group)
        self._result(self._client.delete_consumer_groups([group], request_timeout=scaled(seconds))[group], seconds)

    def members(self, group: str, seconds: float = SECONDS) -> int:
        group = self.connection.own(group)

        def ask() -> int | None:
            found = self._client.describe_consumer_groups([group], request_timeout=scaled(seconds))[group]
            with _none_if(_COORDINATION):
                return len(self._result(found, seconds).members)

        return self._once_answered(ask, f"the members of {group}", seconds)

    def close(self) -> None:
        """librdkafka ends its threads when the object goes."""
        self._client = None

    def _create_topic(
        self, topic: str, partitions: int, replication: int, configs: dict[str, str], seconds: float
    ) -> bool | None:
        new = NewTopic(topic, num_partitions=partitions, replication_factor=replication, config=configs)
        done = self._client.create_topics([new], operation_timeout=scaled(seconds))
        with _none_if((KafkaError.INVALID_REPLICATION_FACTOR,), ALL_FENCED):
            self._result(done[topic], seconds)
            return True

    def _delete_topic(self, topic: str, seconds: float) -> None:
        self._result(self._client.delete_topics([topic], operation_timeout=scaled(seconds))[topic], seconds)

    def _add_partitions(self, topic: str, total: int, seconds: float) -> bool | None:
        done = self._client.create_partitions([NewPartitions(topic, total)], operation_timeout=scaled(seconds))
        with _none_if((KafkaError.INVALID_REPLICATION_FACTOR,), ALL_FENCED):
            self._result(done[topic], seconds)
            return True


@contextlib.contextmanager
def _none_if(codes: tuple[int, ...], words: str = "") -> Iterator[None]:
    """Swallow errors of these codes, with these words, and nothing else: the function then ends with None."""
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() not in codes or words not in error.args[0].str():
            raise
