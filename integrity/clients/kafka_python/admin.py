"""An admin over kafka-python's KafkaAdminClient."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    FencedLeaderEpochError,
    GroupIdNotFoundError,
    InvalidReplicationFactorError,
    KafkaError,
    KafkaStorageError,
    LeaderNotAvailableError,
    NotCoordinatorError,
    NotLeaderForPartitionError,
    OffsetNotAvailableError,
    ReplicaNotAvailableError,
    UnknownBrokerIdError,
    UnknownLeaderEpochError,
    UnknownTopicOrPartitionError,
    for_code,
)

from integrity.clients.admin import ALL_FENCED, SECONDS, Admin
from integrity.clients.kafka_python.settings import connection_arguments, end_waits, limit_setup
from integrity.clients.types import Connection, Partition
from integrity.waiting import attended, scaled

_NO_ERROR = 0
_UNKNOWN_TOPIC = UnknownTopicOrPartitionError.errno
_LEADER_NOT_AVAILABLE = LeaderNotAvailableError.errno
#: The leader has just begun, or ceased, to be that: it is asked again, as Kafka's own admin client does.
_LEADERSHIP = (
    FencedLeaderEpochError,
    KafkaStorageError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    OffsetNotAvailableError,
    ReplicaNotAvailableError,
    UnknownLeaderEpochError,
    UnknownTopicOrPartitionError,
    # Nobody leads: kafka-python then asks for a connection to broker -1.
    UnknownBrokerIdError,
)
#: The group's coordinator has just begun, or ceased, to be that: it is asked again.
COORDINATION = (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError)


class KafkaPythonAdmin(Admin):
    """See integrity.clients.admin.Admin."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        arguments = connection_arguments(connection, "kafka-integrity-admin", 10.0)
        self._client = attended(
            lambda: KafkaAdminClient(bootstrap_timeout_ms=_ms(SECONDS), **arguments), connection.check
        )
        limit_setup(self._client._manager)
        end_waits(self._client._manager, connection.check)

    def topics(self) -> list[str]:
        return [name for name in self._client.list_topics() if not name.startswith("__")]

    def leaders(self, topic: str) -> dict[int, int]:
        for known in self._client.describe_topics([topic]):
            if known["error_code"] not in (_NO_ERROR, _UNKNOWN_TOPIC, _LEADER_NOT_AVAILABLE):
                raise for_code(known["error_code"])(topic)
            return {p["partition_index"]: p["leader_id"] for p in known["partitions"]}
        return {}

    def configs(self, topic: str) -> dict[str, str]:
        found = self._client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        return {name: entry["value"] for name, entry in found["topic"][topic].items()}

    def _set_configs(self, topic: str, configs: Mapping[str, str], seconds: float) -> None:
        self._client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dict(configs))], incremental=True)

    def beginning_offsets(self, topics: Sequence[str], seconds: float = SECONDS) -> dict[Partition, int]:
        return self._offsets(topics, OffsetSpec.EARLIEST, seconds)

    def end_offsets(
        self, topics: Sequence[str], seconds: float = SECONDS, *, committed_only: bool = False
    ) -> dict[Partition, int]:
        return self._offsets(topics, OffsetSpec.LATEST, seconds, committed_only)

    def offsets_at(self, topics: Sequence[str], timestamp: int, seconds: float = SECONDS) -> dict[Partition, int]:
        return self._offsets(topics, timestamp, seconds)

    def _offsets(
        self, topics: Sequence[str], spec: OffsetSpec | int, seconds: float, committed_only: bool = False
    ) -> dict[Partition, int]:
        isolation = "read_committed" if committed_only else "read_uncommitted"

        def ask(partitions: list[Partition]) -> dict[Partition, int] | None:
            try:
                found = self._client.list_partition_offsets(
                    {TopicPartition(*place): spec for place in partitions},
                    isolation_level=isolation,
                    timeout_ms=_ms(seconds),
                )
            except _LEADERSHIP:
                return None
            return {(place.topic, place.partition): at.offset for place, at in found.items()}

        return self._offsets_once_led(topics, ask, seconds)

    def committed(self, group: str, seconds: float = SECONDS) -> dict[Partition, int]:
        group = self.connection.own(group)

        def ask() -> dict[TopicPartition, Any] | None:
            try:
                return self._client.list_group_offsets({group: None})[group]
            except COORDINATION:
                return None

        found = self._once_answered(ask, f"what {group} has committed", seconds)
        return {(place.topic, place.partition): at.offset for place, at in found.items()}

    def _delete_records(self, before: Mapping[Partition, int], seconds: float) -> None:
        offsets = {TopicPartition(*place): offset for place, offset in before.items()}

        def ask() -> bool | None:
            try:
                self._client.delete_records(offsets, timeout_ms=_ms(seconds))
            except _LEADERSHIP:
                return None
            return True

        self._once_answered(ask, "a leader to delete records", seconds)

    def delete_group(self, group: str, seconds: float = SECONDS) -> None:
        group = self.connection.own(group)
        answer = self._client.delete_groups([group])[group]
        if answer != "OK":
            raise KafkaError(f"group {group} was not deleted: {answer}")

    def members(self, group: str, seconds: float = SECONDS) -> int:
        return len(self.assignments(group, seconds))

    def assignments(self, group: str, seconds: float = SECONDS) -> dict[str, Any]:
        """The group's members and what each is assigned, as its coordinator sees it; empty when there is no group."""
        group = self.connection.own(group)
        found = self._once_answered(lambda: self._described(group), f"the members of {group}", seconds)
        return {member["member_id"]: member["member_assignment"] for member in found["members"]}

    def _described(self, group: str) -> dict[str, Any] | None:
        """The group as its coordinator describes it; None when that one is none just now."""
        try:
            found = self._client.describe_groups([group])[group]
        except COORDINATION:  # told by the broker that was asked who coordinates it
            return None
        # kafka-python gives an error's text and, with it, a description of nothing.
        error = found["error"] or ""
        if error.startswith(tuple(f"[Error {kind.errno}]" for kind in COORDINATION)):
            return None
        if error and not error.startswith(f"[Error {GroupIdNotFoundError.errno}]"):
            raise KafkaError(f"group {group} cannot be described: {error}")
        return found

    def close(self) -> None:
        self._client.close()

    def _create_topic(
        self, topic: str, partitions: int, replication: int, configs: dict[str, str], seconds: float
    ) -> bool | None:
        wanted = {"num_partitions": partitions, "replication_factor": replication, "configs": configs}
        with _none_if_all_are_fenced():
            self._client.create_topics({topic: wanted}, timeout_ms=_ms(seconds))
            return True

    def _delete_topic(self, topic: str, seconds: float) -> None:
        self._client.delete_topics([topic], timeout_ms=_ms(seconds))

    def _add_partitions(self, topic: str, total: int, seconds: float) -> bool | None:
        with _none_if_all_are_fenced():
            self._client.create_partitions({topic: total}, timeout_ms=_ms(seconds))
            return True


@contextlib.contextmanager
def _none_if_all_are_fenced() -> Iterator[None]:
    """Swallow that one refusal, and nothing else: the function then ends with None."""
    try:
        yield
    except InvalidReplicationFactorError as error:
        if ALL_FENCED not in str(error):
            raise


def _ms(seconds: float) -> int:
    return int(scaled(seconds) * 1000)
