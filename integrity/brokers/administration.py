"""What is asked of a cluster about its replicas, beyond what both client libraries offer: one request each.

Every function takes the ``host:port`` of any broker, which passes on what is the controller's to decide, and raises
OSError when that broker does not answer, Refused when the cluster says no.
Source: the Kafka protocol guide (kafka.apache.org/protocol), messages of the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kafka.errors import for_code
from kafka.protocol.admin.cluster import DescribeQuorumRequest
from kafka.protocol.admin.topics import (
    AlterPartitionReassignmentsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    ElectLeadersRequest,
)
from kafka.protocol.metadata.find_coordinator import FindCoordinatorRequest

from integrity.brokers import probe
from integrity.waiting import wait_until

#: Seconds for the cluster to carry out a change.
CHANGE_SECONDS = 10.0

#: An election that has nothing to do is done (ELECTION_NOT_NEEDED).
_NOT_NEEDED = 84

_PREFERRED = 0

#: What has a coordinator.
GROUP, TRANSACTIONS = 0, 1


class Refused(Exception):
    """The cluster has answered with an error, by name; what it was asked for is not done."""

    def __init__(self, what: str, code: int, words: str | None) -> None:
        super().__init__(f"{what}: {for_code(code).__name__}{f' ({words})' if words else ''}")
        self.code = code


def _require(what: str, code: int, words: str | None = None) -> None:
    if code:
        raise Refused(what, code, words)


def quorum_leader(address: str) -> tuple[int, int]:
    """(node, epoch) of the active controller, as the controllers agree on it; -1 where there is none."""
    topic = DescribeQuorumRequest.TopicData
    partition = topic.PartitionData(partition_index=0)
    request = DescribeQuorumRequest[1](topics=[topic(topic_name="__cluster_metadata", partitions=[partition])])
    answer = probe.ask(address, request)
    _require("who the controller is", answer.error_code)
    found = answer.topics[0].partitions[0]
    _require("who the controller is", found.error_code)
    return found.leader_id, found.leader_epoch


def coordinator(address: str, kind: int, key: str) -> int:
    """The node that keeps the account of a consumer group (kind GROUP) or of a transactional id (TRANSACTIONS)."""
    answer = probe.ask(address, FindCoordinatorRequest[3](key=key, key_type=kind))
    _require(f"who coordinates {key}", answer.error_code, answer.error_message)
    return answer.node_id


def create_topic(address: str, topic: str, placement: Sequence[Sequence[int]], configs: Mapping[str, str]) -> None:
    """Create it with these replicas for partition 0, 1 and so on, the first of each the one that should lead."""
    wanted = CreateTopicsRequest.CreatableTopic
    one = wanted(
        name=topic,
        num_partitions=-1,
        replication_factor=-1,
        assignments=[
            wanted.CreatableReplicaAssignment(partition_index=number, broker_ids=list(nodes))
            for number, nodes in enumerate(placement)
        ],
        configs=[wanted.CreatableTopicConfig(name=name, value=value) for name, value in configs.items()],
    )
    request = CreateTopicsRequest[5](topics=[one], timeout_ms=int(CHANGE_SECONDS * 1000), validate_only=False)
    for done in probe.ask(address, request, CHANGE_SECONDS).topics:
        _require(f"topic {done.name}", done.error_code, done.error_message)


def delete_topics(address: str) -> None:
    """Delete every topic that is not Kafka's own, and wait until this broker knows of none."""
    names = _topics(address)
    if not names:
        return
    request = DeleteTopicsRequest[4](topic_names=names, timeout_ms=int(CHANGE_SECONDS * 1000))
    for done in probe.ask(address, request, CHANGE_SECONDS).responses:
        _require(f"the end of topic {done.name}", done.error_code)
    wait_until(lambda: not _topics(address), what=f"{len(names)} topics to be gone", seconds=CHANGE_SECONDS)


def _topics(address: str) -> list[str]:
    answer = probe.metadata(address, every_topic=True)
    return [topic.name for topic in answer.topics if not topic.is_internal]


def move_replicas(address: str, topic: str, placement: Mapping[int, Sequence[int]]) -> None:
    """Begin to move these partitions of the topic to these brokers; the move itself takes its time."""
    wanted = AlterPartitionReassignmentsRequest.ReassignableTopic
    partitions = [
        wanted.ReassignablePartition(partition_index=number, replicas=list(nodes))
        for number, nodes in placement.items()
    ]
    request = AlterPartitionReassignmentsRequest[0](
        timeout_ms=int(CHANGE_SECONDS * 1000), topics=[wanted(name=topic, partitions=partitions)]
    )
    answer = probe.ask(address, request, CHANGE_SECONDS)
    _require("a move of replicas", answer.error_code, answer.error_message)
    for partition in (each for response in answer.responses for each in response.partitions):
        _require(f"a move of {topic}-{partition.partition_index}", partition.error_code, partition.error_message)


def elect_preferred(address: str, topic: str, partitions: Sequence[int]) -> None:
    """Let the first replica of each of these partitions lead it again."""
    chosen = ElectLeadersRequest.TopicPartitions(topic=topic, partitions=list(partitions))
    request = ElectLeadersRequest[2](
        election_type=_PREFERRED, topic_partitions=[chosen], timeout_ms=int(CHANGE_SECONDS * 1000)
    )
    answer = probe.ask(address, request, CHANGE_SECONDS)
    _require("an election", answer.error_code)
    for result in (each for topic in answer.replica_election_results for each in topic.partition_result):
        if result.error_code != _NOT_NEEDED:
            _require(f"an election in {topic}-{result.partition_id}", result.error_code, result.error_message)
