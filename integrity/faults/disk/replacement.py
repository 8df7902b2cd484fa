"""A disk that was replaced: nothing is on the new one, not even whose it is, until somebody formats it.

Whoever starts the broker does so: an embedded broker formats a folder that is empty, and every image that takes
``KAFKA_*`` a volume that is. Both do it for the same node of the same cluster, as an operator does with ``kafka-storage
format``. What is formatted has a directory id of its own, by which the controller tells it from the disk before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from integrity.brokers.base import Broker
from integrity.faults.disk import segments
from integrity.faults.disk.files import METADATA, DataFiles

_DIRECTORY_ID = re.compile(r"^directory\.id=(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Removed:
    """What was in a broker's log directory of some topics: the segments with messages in them, and those messages."""

    segments: int
    messages: int


def replace(files: DataFiles, topics: Collection[str]) -> Removed:
    """Delete everything; returns what there was of these topics.

    The messages are those of logs without gaps: whose topic is not compacted, and has no transactions.
    """
    held = [
        sum(batch.last_offset - batch.base_offset + 1 for batch in segments.batches(segment))
        for (topic, _), folder in files.partitions().items()
        if topic in topics
        for segment in files.segments(folder)
    ]
    files.clear()
    return Removed(sum(map(bool, held)), sum(held))


def directory_id(broker: Broker) -> str:
    """The id that the broker's log directory was given when it was formatted; empty where it has none."""
    found = _DIRECTORY_ID.search(broker.peek(METADATA).decode())
    return found[1] if found else ""
