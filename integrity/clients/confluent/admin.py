"""An admin over confluent-kafka's AdminClient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from integrity.clients.base import Admin, Connection, Partition
from integrity.clients.confluent.settings import connection_settings
from integrity.waiting import scaled, wait_until


class ConfluentAdmin(Admin):
    """See integrity.clients.base.Admin."""

    def __init__(self, connection: Connection) -> None:
        # It must live as long as any of its futures is awaited.
        self._client = AdminClient(connection_settings(connection, "kafka-integrity-admin", 10.0))

    def create_topic(
        self,
        topic: str,
        *,
        partitions: int = 1,
        replication: int = 1,
        configs: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> None:
        new = NewTopic(topic, num_partitions=partitions, replication_factor=replication, config=dict(configs or {}))
        self._client.create_topics([new], operation_timeout=scaled(seconds))[topic].result(scaled(seconds))
        wait_until(
            lambda: sum(leader >= 0 for leader in self.leaders(topic).values()) == partitions,
            what=f"every partition of topic {topic} to have a leader",
            seconds=seconds,
        )

    def delete_topic(self, topic: str, seconds: float = 30.0) -> None:
        self._client.delete_topics([topic], operation_timeout=scaled(seconds))[topic].result(scaled(seconds))
        wait_until(lambda: not self.leaders(topic), what=f"topic {topic} to be gone", seconds=seconds)

    def leaders(self, topic: str) -> dict[int, int]:
        known = self._client.list_topics(topic, timeout=scaled(10.0)).topics.get(topic)
        if known is None or not known.partitions:
            if known is not None and known.error is not None and not _missing(known.error):
                raise KafkaException(known.error)
            return {}
        return {number: partition.leader for number, partition in known.partitions.items()}

    def end_offsets(self, topics: Sequence[str], seconds: float = 30.0) -> dict[Partition, int]:
        return self._offsets(topics, OffsetSpec.latest(), seconds)

    def _offsets(self, topics: Sequence[str], spec: OffsetSpec, seconds: float) -> dict[Partition, int]:
        places = [TopicPartition(topic, number) for topic in topics for number in self.leaders(topic)]
        if not places:
            return {}
        futures = self._client.list_offsets(
            dict.fromkeys(places, spec),
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=scaled(seconds),
        )
        return {(p.topic, p.partition): f.result(scaled(seconds)).offset for p, f in futures.items()}

    def close(self) -> None:
        """librdkafka ends its threads when the object goes."""
        self._client = None


def _missing(error: KafkaError) -> bool:
    return error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)
