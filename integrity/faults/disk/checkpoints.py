"""Kafka's checkpoint files: a version, a count, then a line of topic, partition and offset each.

Source: ``org.apache.kafka.storage.internals.checkpoint.CheckpointFileWithFailureHandler`` and
``OffsetCheckpointFile`` of Kafka 4.3. The broker replaces such a file as a whole and flushes it, so it is never torn.
"""

from __future__ import annotations

from collections.abc import Mapping

from integrity.clients.base import Partition

#: Up to which offset (exclusive) each partition is known to be flushed; recovery starts there.
RECOVERY_POINT = "recovery-point-offset-checkpoint"
#: The high watermarks, and where each log starts.
HIGH_WATERMARK = "replication-offset-checkpoint"
LOG_START = "log-start-offset-checkpoint"
#: In a partition's folder: where each leader epoch began.
LEADER_EPOCHS = "leader-epoch-checkpoint"
#: Left by an orderly stop; a broker that finds it does not check its logs.
CLEAN_SHUTDOWN = ".kafka_cleanshutdown"


def parse(text: str) -> dict[Partition, int]:
    """The offsets of a checkpoint file; none for an empty one, which the broker has yet to write.

    Raises ValueError when it is no such file.
    """
    if not text:
        return {}
    lines = text.splitlines()
    if len(lines) < 2 or lines[0] != "0" or len(lines) != 2 + int(lines[1]):
        raise ValueError(f"not an offset checkpoint of version 0: {text[:60]!r}")
    entries = (line.rsplit(" ", 2) for line in lines[2:])
    return {(topic, int(partition)): int(offset) for topic, partition, offset in entries}


def render(offsets: Mapping[Partition, int]) -> str:
    """The text of the file that holds these offsets."""
    lines = [f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()]
    return "\n".join(["0", str(len(lines)), *lines]) + "\n"
