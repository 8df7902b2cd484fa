"""Answers a broker might have given, for ``Reply``."""

from __future__ import annotations

from collections.abc import Callable

from kafka.protocol.api_message import ApiMessage
from kafka.protocol.producer import ProduceResponse

from integrity.faults.network.exchange import Exchange

_Topic = ProduceResponse.TopicProduceResponse
_Partition = _Topic.PartitionProduceResponse

#: (topic, partition) -> the offset of the batch's first record.
Offsets = Callable[[str, int], int]


def produced(
    request: ApiMessage, exchange: Exchange, *, error: int = 0, offsets: Offsets = lambda topic, partition: 0
) -> ApiMessage:
    """The answer to a Produce request, with one error code for every partition (0: acknowledged).

    The codes are in https://kafka.apache.org/protocol#protocol_error_codes; 19 (NOT_ENOUGH_REPLICAS), say, makes
    clients try again later, while batches sent after this one may be appended before it.
    """
    version = exchange.head.version
    topics = [
        _Topic(
            version=version,
            name=data.name,
            topic_id=data.topic_id,
            partition_responses=[
                _Partition(
                    version=version,
                    index=part.index,
                    error_code=error,
                    base_offset=-1 if error else offsets(exchange.topic(data) or "", part.index),
                )
                for part in data.partition_data
            ],
        )
        for data in request.topic_data
    ]
    return ProduceResponse[version](responses=topics)
