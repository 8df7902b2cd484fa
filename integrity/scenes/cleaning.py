"""What a broker removes on purpose: superseded values, old segments, records it was asked to delete."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from integrity.clients.base import Partition, Record
from integrity.clients.messages import Message
from integrity.faults.disk import checkpoints
from integrity.scene import READ_SECONDS, Scene
from integrity.scenes import publishers
from integrity.scenes.words import place
from integrity.waiting import wait_until

#: A broker with these settings looks for work several times a second.
QUICK_CLEANING = {
    "log.cleaner.backoff.ms": "100",
    "log.retention.check.interval.ms": "200",
    "log.flush.start.offset.checkpoint.interval.ms": "100",
}

#: A topic of latest values whose cleaner takes every segment but the newest, and keeps no tombstone for long.
COMPACTED = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "0",
    "segment.ms": "100",
}

#: For a topic that keeps messages for a day, in segments of an hour, and for one that keeps tombstones so long.
DAY_MS = 24 * 3600 * 1000
KEEPS_DELETIONS = {"delete.retention.ms": str(DAY_MS)}
KEEPS_A_DAY = {"retention.ms": str(DAY_MS), "segment.ms": str(3600 * 1000)}

#: Seconds, before timeout_factor, for the broker to have cleaned.
CLEANING_SECONDS = 30.0

#: Sequences that the messages which close segments may have: as many as anybody could wait for.
CLOSING_AT_MOST = 1_000_000


class Cleaned:
    """What a scenario's topics must hold after cleaning: a part of the scene.

    latest: each key's last value, by topic, None where the last one was a tombstone. keeping: the topics that keep
    tombstones. begins: where each partition must begin.
    """

    def __init__(self, scene: Scene) -> None:
        self.latest: dict[tuple[str, bytes], bytes | None] = {}
        self.keeping: set[str] = set()
        self.begins: dict[Partition, int] = {}

    def close(self) -> None:
        """Nothing is under way."""


# -- compaction -----------------------------------------------------------------------------------------
def create_topic_with_deletions(scene: Scene, partitions: int) -> None:
    """A topic of latest values that keeps tombstones for a day."""
    topic = scene.create_topic(partitions, **COMPACTED | KEEPS_DELETIONS)
    scene.part(Cleaned).keeping.add(topic)


def publish_values(scene: Scene, keys: int, rounds: int, deleted: int) -> None:
    """Publish to every topic a value for each key, so many times over, then delete so many keys (a tombstone each).

    Compaction may remove every value but a key's last one, and where they are not kept the tombstones themselves.
    """
    cleaned = scene.part(Cleaned)

    def messages(topic: str) -> Iterator[Message]:
        for number in range(keys * rounds):
            yield Message(topic, b"value %d" % number, key=b"key %d" % (number % keys))
        for number in range(deleted):
            yield Message(topic, None, key=b"key %d" % number)

    sent = [message for topic in scene.topics for message in messages(topic)]
    with scene.driver.publisher(scene.connection, scene.recorder) as publisher:
        publisher.send_many(sent)
        publishers.acknowledged(publisher, len(sent))
        last = {(message.topic, message.key): sequence for sequence, message in enumerate(sent)}
        for sequence, message in enumerate(sent):
            cleaned.latest[message.topic, message.key] = message.value
            superseded = last[message.topic, message.key] != sequence
            if superseded or (message.value is None and message.topic not in cleaned.keeping):
                scene.recorder.row("excused", None, None, None, None, publisher.id, sequence, sequence, "compaction")


def wait_for_compaction(scene: Scene) -> None:
    """Wait until the broker has compacted every partition; for that their newest segments must be closed first.

    A segment is closed by the first message that comes when it is old enough, so messages of one key more are sent.
    Compacted is what has lost half of its records, and the tombstones that it does not keep: those go only when it is
    compacted once more, so that by then the others could have gone as well. Half of all there ever were: the broker may
    have begun before anybody looks.
    """
    with scene.driver.admin(scene.connection) as admin:
        before = {place: end for place, end in admin.end_offsets(scene.topics).items() if end}
    keeping = scene.part(Cleaned).keeping
    closing = [Message(topic, b"closes a segment", key=b"closing", partition=number) for topic, number in before]
    with scene.driver.publisher(scene.connection, scene.recorder) as publisher:
        scene.recorder.row("excused", None, None, None, None, publisher.id, 0, CLOSING_AT_MOST, "compaction")
        left: list[str] = []

        def compacted() -> bool:
            for message in closing:
                publisher.send_and_wait(message)
            records = _records(scene)
            now = _held(records)
            left[:] = [
                f"{place(where)} holds {now[where]} of {count}"
                for where, count in before.items()
                if now[where] >= count / 2
            ]
            tombstones = sum(record.value is None and record.topic not in keeping for record in records)
            left.extend([f"{tombstones} deletions are there that are not kept"] if tombstones else [])
            return not left

        wait_until(
            compacted,
            what="every partition to be compacted",
            seconds=CLEANING_SECONDS,
            check=scene.connection.check,
            detail=lambda: "; ".join(left),
            poll_seconds=0.2,
        )


def _held(records: Sequence[Record]) -> dict[Partition, int]:
    """How many of the records each partition holds."""
    return Counter((record.topic, record.partition) for record in records)


def _records(scene: Scene) -> Sequence[Record]:
    """The topics' records, read without being recorded.

    Raises AssertionError when a partition could not be read to its end: what stands behind would seem to be removed.
    """
    with scene.driver.reader(scene.connection) as reader:
        result = reader.read_to_end(scene.topics, READ_SECONDS, keep=True)
    result.require_complete()
    return result.records


def wrong_values(scene: Scene) -> list[str]:
    """Each key for which a reader who keeps its last value does not end up with the latest one, in words."""
    found = {(record.topic, record.key): record.value for record in _records(scene)}
    return [
        f"{key!r} of {topic} has {_in_words(found.get((topic, key)))} instead of {_in_words(wanted)}"
        for (topic, key), wanted in scene.part(Cleaned).latest.items()
        if found.get((topic, key)) != wanted
    ]


def missing_deletions(scene: Scene) -> list[str]:
    """Each deleted key whose tombstone is to be kept, and is not read, in words."""
    cleaned = scene.part(Cleaned)
    found = {(record.topic, record.key) for record in _records(scene) if record.value is None}
    return [
        f"that of {key!r} of {topic}"
        for (topic, key), value in cleaned.latest.items()
        if value is None and topic in cleaned.keeping and (topic, key) not in found
    ]


def _in_words(value: bytes | None) -> str:
    return "no value" if value is None else f"the value {value!r}"


# -- records deleted on request, and by age ---------------------------------------------------------------
def delete_first(scene: Scene, count: int) -> None:
    """Delete the first ``count`` records of each partition."""
    with scene.driver.admin(scene.connection) as admin:
        begins = admin.beginning_offsets(scene.topics)
        _now_begins(scene, {place: first + count for place, first in begins.items()}, "DeleteRecords")
        admin.delete_records(scene.part(Cleaned).begins)


def wait_until_noted(scene: Scene) -> None:
    """Wait until the broker has written down where its logs begin now."""
    wanted = scene.part(Cleaned).begins

    def noted() -> bool:
        found = checkpoints.parse(scene.broker.peek(checkpoints.LOG_START).decode())
        return all(found.get(place, 0) >= first for place, first in wanted.items())

    wait_until(
        noted,
        what=f"{scene.broker.label} to note where its logs begin",
        seconds=CLEANING_SECONDS,
        check=scene.connection.check,
    )


def publish_aged(scene: Scene, old: int, new: int) -> None:
    """Publish messages that are three days old and some that are new, and wait until the old ones have been removed."""
    topic = scene.topics[0]
    then = int(time.time() * 1000) - 3 * DAY_MS
    with scene.driver.admin(scene.connection) as admin:
        places = sorted(admin.leaders(topic))

        def aged(count: int, timestamp: int | None) -> Iterator[Message]:
            for number in range(count):
                yield Message(topic, b"%d" % number, partition=places[number % len(places)], timestamp=timestamp)

        publishers.send(scene, aged(old, then))
        ends = admin.end_offsets(scene.topics)
        _now_begins(scene, ends, "retention")
        publishers.send(scene, aged(new, None))
        wait_until(
            # Or more than those, which is no matter of waiting: it is found afterwards.
            lambda: all(first >= ends[place] for place, first in admin.beginning_offsets(scene.topics).items()),
            what="the old messages to be removed",
            seconds=CLEANING_SECONDS,
            check=scene.connection.check,
        )


def _now_begins(scene: Scene, begins: dict[Partition, int], reason: str) -> None:
    scene.part(Cleaned).begins = begins
    for (topic, partition), first in begins.items():
        scene.recorder.excuse(topic, partition, 0, first - 1, reason)


def wrong_beginnings(scene: Scene) -> list[str]:
    """Each partition that does not begin where what was removed ends, in words."""
    with scene.driver.admin(scene.connection) as admin:
        now = admin.beginning_offsets(scene.topics)
    wrong = []
    for partition, wanted in scene.part(Cleaned).begins.items():
        first = now.get(partition)
        if first is None:
            wrong.append(f"{place(partition)} is no longer there")
        elif first != wanted:
            what = "that were removed are back" if first < wanted else "more are gone"
            words = f"begins at offset {first:,} instead of {wanted:,}"
            wrong.append(f"{place(partition)} {words}: {abs(wanted - first):,} {what}")
    return wrong
