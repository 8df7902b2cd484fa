"""An admin over kafka-python's KafkaAdminClient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import UnknownTopicOrPartitionError, for_code

from integrity.clients.base import Admin, Connection, Partition
from integrity.clients.kafka_python.settings import connection_arguments
from integrity.waiting import scaled, wait_until

_NO_ERROR = 0
_UNKNOWN_TOPIC = UnknownTopicOrPartitionError.errno
_LEADER_NOT_AVAILABLE = 5


class KafkaPythonAdmin(Admin):
    """See integrity.clients.base.Admin."""

    def __init__(self, connection: Connection) -> None:
        self._client = KafkaAdminClient(
            bootstrap_timeout_ms=int(scaled(30.0) * 1000),
            **connection_arguments(connection, "kafka-integrity-admin", 10.0),
        )

    def create_topic(
        self,
        topic: str,
        *,
        partitions: int = 1,
        replication: int = 1,
        configs: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> None:
        wanted = {"num_partitions": partitions, "replication_factor": replication, "configs": dict(configs or {})}
        self._client.create_topics({topic: wanted}, timeout_ms=int(scaled(seconds) * 1000))
        wait_until(
            lambda: sum(leader >= 0 for leader in self.leaders(topic).values()) == partitions,
            what=f"every partition of topic {topic} to have a leader",
            seconds=seconds,
        )

    def delete_topic(self, topic: str, seconds: float = 30.0) -> None:
        self._client.delete_topics([topic], timeout_ms=int(scaled(seconds) * 1000))
        wait_until(lambda: not self.leaders(topic), what=f"topic {topic} to be gone", seconds=seconds)

    def leaders(self, topic: str) -> dict[int, int]:
        for known in self._client.describe_topics([topic]):
            if known["error_code"] not in (_NO_ERROR, _UNKNOWN_TOPIC, _LEADER_NOT_AVAILABLE):
                raise for_code(known["error_code"])(topic)
            return {p["partition_index"]: p["leader_id"] for p in known["partitions"]}
        return {}

    def end_offsets(self, topics: Sequence[str], seconds: float = 30.0) -> dict[Partition, int]:
        return self._offsets(topics, OffsetSpec.LATEST, seconds)

    def _offsets(self, topics: Sequence[str], spec: OffsetSpec, seconds: float) -> dict[Partition, int]:
        places = [TopicPartition(topic, number) for topic in topics for number in self.leaders(topic)]
        if not places:
            return {}
        found = self._client.list_partition_offsets(
            dict.fromkeys(places, spec), timeout_ms=int(scaled(seconds) * 1000)
        )
        return {(place.topic, place.partition): at.offset for place, at in found.items()}

    def close(self) -> None:
        self._client.close()
