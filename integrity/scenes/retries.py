"""A publisher's retry across a fault, byte by byte: the batch it would send again is on the brokers' disks.

A client sends a batch again when its acknowledgement does not come, with the same producer id, epoch and sequence.
Whether the acknowledgement is lost is a matter of luck; so the last batch of each partition is taken from the
broker's files while it is down, or asked of whoever leads after the fault, and sent once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kafka.protocol.producer import ProduceRequest

from integrity.brokers import probe
from integrity.clients.base import Partition
from integrity.clients.messages import Message
from integrity.errors import SuiteError
from integrity.faults.disk import own_files, segments
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes import publishers
from integrity.scenes.fetching import ANSWER_SECONDS, NOT_NOW, fetch
from integrity.scenes.load import Load
from integrity.scenes.replication import Replication
from integrity.waiting import scaled, wait_until

#: The last version that names topics instead of giving their ids.
VERSION = 9

#: Seconds, before timeout_factor, for a broker that leads and takes the batch.
LEADER_SECONDS = 30.0


@dataclass(frozen=True)
class Stored:
    """A batch as it lies in a log, and the offset it was given there."""

    content: bytes
    base_offset: int

    def as_sent(self) -> bytes:
        """As a client sends it: offsets from 0, no leader's epoch. Neither is covered by the checksum."""
        return bytes(8) + self.content[8:12] + (-1).to_bytes(4, signed=True) + self.content[16:]


class SentAgain:
    """A message that its publisher sends again, as if it had not been told that it was acknowledged: part of a scene.

    By then another broker may lead its partition, which has to know the batch from its own log.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._offset: int | None = None

    @property
    def _place(self) -> Partition:
        return self._scene.topics[0], 0

    def publish(self) -> None:
        """Have one message acknowledged, alone in its batch. Raises NotAcknowledged."""
        topic, number = self._place
        with self._scene.driver.publisher(self._scene.connection, self._scene.recorder) as publisher:
            message = Message(topic, b"sent again", partition=number)
            self._offset = publisher.send_and_wait(message, PUBLISH_SECONDS).offset

    def send_again(self) -> None:
        """Send it to whoever leads now.

        Raises AssertionError when that broker does not have it, refuses it, or takes it for a new one; Stalled when
        nobody takes it.
        """
        if self._offset is None:
            raise SuiteError("no message was acknowledged in this scenario that could be sent again")
        leader = self._scene.part(Replication).leader
        with self._scene.part(Load).going_on():
            batch = wait_until(
                lambda: _stored(leader().bootstrap_servers, self._place, self._offset),
                what=f"a leader of {self._place[0]}-{self._place[1]} to hand out what was sent",
                seconds=LEADER_SECONDS,
                check=self._scene.broker.check_alive,
            )
            given = _produce(self._scene, self._place, batch.as_sent(), lambda: leader().bootstrap_servers)
        if given != self._offset:
            raise AssertionError(
                f"a message at offset {self._offset} was taken for a new one when it was sent again: it is at offset "
                f"{given} as well"
            )
        self._scene.note("publisher", "sent again", f"the message at offset {given}, and the leader knew it")

    def close(self) -> None:
        """Nothing is under way."""


def _stored(address: str, place: Partition, offset: int) -> Stored | None:
    """The batch that begins at that offset, or None when the broker does not lead the partition now, or is silent.

    Raises AssertionError when it leads, and has no such batch.
    """
    answer = fetch(address, place, offset)
    if answer is None:
        return None
    content = bytes(answer.records or b"")
    if answer.error_code or int.from_bytes(content[:8]) != offset or not content:
        raise AssertionError(
            f"the message acknowledged at offset {offset} of {place[0]}-{place[1]} is not there: {answer}"
        )
    length = int.from_bytes(content[8:12])
    return Stored(content[: 12 + length], offset)


def publish_without_idempotence(scene: Scene, count: int) -> None:
    """Publish generated messages in batches that carry no producer id: the broker cannot know them again."""
    publishers.publish(scene, count, idempotent=False, max_in_flight=1)


def restart_and_send_again(scene: Scene, how: str) -> dict[Partition, int]:
    """Take the broker down and start it again; then send the last batch of each partition once more.

    Returns the offset the broker gave each of them this time. Raises AssertionError when it refuses one, or when there
    is nothing to send again.
    """
    last: dict[Partition, Stored] = {}

    def take() -> None:
        with own_files(scene.broker) as files:
            for partition, folder in files.partitions().items():
                if partition[0] in scene.topics:
                    for segment in files.segments(folder):
                        for batch in segments.batches(segment):
                            content = segment.read_bytes()[batch.position : batch.end]
                            last[partition] = Stored(content, batch.base_offset)

    scene.restart(how, while_down=take)
    if not last:
        raise AssertionError("nothing was stored, so nothing can be sent again")
    given = {
        partition: _produce(scene, partition, stored.as_sent(), lambda: scene.connection.bootstrap_servers)
        for partition, stored in last.items()
    }
    again = sum(offset == last[partition].base_offset for partition, offset in given.items())
    scene.note("publisher", "sent again", f"{len(last)} batches; {again} were known to the broker")
    return given


def _produce(scene: Scene, partition: Partition, records: bytes, address: Callable[[], str]) -> int:
    """Send these records, again and again, to the broker that is at the address then; returns the offset it gives them.

    Raises AssertionError when it refuses them, WaitTimeout when it does not come to lead the partition.
    """
    topic, number = partition
    data = ProduceRequest.TopicProduceData
    request = ProduceRequest[VERSION](
        transactional_id=None,
        acks=-1,
        timeout_ms=int(scaled(ANSWER_SECONDS) * 1000),
        topic_data=[data(name=topic, partition_data=[data.PartitionProduceData(index=number, records=records)])],
    )
    answer = None

    def taken_or_refused() -> bool:
        nonlocal answer
        try:
            found = probe.ask(address(), request, ANSWER_SECONDS)
        except OSError:
            return False
        answer = found.responses[0].partition_responses[0]
        return answer.error_code not in NOT_NOW

    wait_until(
        taken_or_refused,
        what=f"a leader for {topic}-{number} to take the batch that is sent again",
        seconds=LEADER_SECONDS,
        check=scene.broker.check_alive,
        detail=lambda: f"the last answer was {answer}",
    )
    if answer.error_code:
        raise AssertionError(f"the broker refused the batch that was sent again to {topic}-{number}: {answer}")
    return answer.base_offset
