"""What a broker hands out, asked directly as a consumer asks: one Fetch request, with no client between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kafka.errors import (
    LeaderNotAvailableError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
)
from kafka.protocol.consumer import FetchRequest
from kafka.record import MemoryRecords

from integrity.brokers import probe
from integrity.brokers.base import Broker
from integrity.clients.base import Partition
from integrity.clients.messages import identity_of
from integrity.faults.process import FaultNotProven

#: The last version that names topics instead of giving their ids, and needs no more than that.
VERSION = 11

#: Nothing was done, as the partition has no leader here, or nobody can tell: a client asks again. A broker that was
#: busy for longer than its session is fenced, and leads nothing until its next heartbeat.
NOT_NOW = frozenset(
    error.errno
    for error in (
        UnknownTopicOrPartitionError,
        LeaderNotAvailableError,
        NotLeaderForPartitionError,
        RequestTimedOutError,
        NotEnoughReplicasError,
        NotEnoughReplicasAfterAppendError,
    )
)

#: Seconds, before timeout_factor, for an answer.
ANSWER_SECONDS = 10.0

#: Bytes of one answer where everything is asked for.
PORTION = 1 << 20


def fetch(address: str, place: Partition, offset: int, most: int = 1) -> Any:
    """The broker's answer to who reads the partition from this offset on; None when it does not lead it now, or is
    silent.

    It holds the batch with that offset, and of those behind it what fits into ``most`` bytes.
    """
    topic, number = place
    part = FetchRequest.FetchTopic.FetchPartition(partition=number, fetch_offset=offset, partition_max_bytes=most)
    request = FetchRequest[VERSION](topics=[FetchRequest.FetchTopic(topic=topic, partitions=[part])])
    try:
        answer = probe.ask(address, request, ANSWER_SECONDS).responses[0].partitions[0]
    except OSError:
        return None
    return None if answer.error_code in NOT_NOW else answer


def handed_out(node: Broker, place: Partition, offset: int) -> Iterator[tuple[int, int] | None]:
    """What the broker hands out of the partition from this offset on: the publisher and sequence of each message, None
    of one without.

    Raises FaultNotProven when it takes itself for no leader, or has no such offset.
    """
    while True:
        answer = fetch(node.bootstrap_servers, place, offset, PORTION)
        if answer is None or answer.error_code:
            told = "does not answer as the leader" if answer is None else f"answers {answer}"
            raise FaultNotProven(f"{node.label} is asked for {place[0]}-{place[1]} from offset {offset} on, and {told}")
        batches, before = MemoryRecords(bytes(answer.records or b"")), offset
        while batches.has_next():
            for record in batches.next_batch():
                if record.offset >= before:
                    yield identity_of(record.headers)
                offset = record.offset + 1
        if offset == before:
            return
