"""A large number of messages through several publishers and readers at once, at the speed the clients have.

What is measured goes into the report: messages per second, counted from the first send call until the last message was
read, and how long an acknowledgement takes, from the send call on, so with the time in the client's own queue.
"""

from __future__ import annotations

import threading
import time
from functools import partial

from integrity import progress
from integrity.clients import Publisher, Reader
from integrity.clients.base import BEGINNING, Partition
from integrity.history import measures
from integrity.reports import timeline
from integrity.scene import Scene
from integrity.scenes import order, publishers
from integrity.scenes.threads import run_together

#: How many messages there are when the option ``messages`` is not given: a few seconds' worth of each client.
DEFAULT_MESSAGES = {"kafka-python": 100_000, "confluent-kafka": 1_000_000}

PUBLISHERS = 2
READERS = 2

#: Bytes of a message's value.
SIZE = 100

#: Messages that a publisher sends between two looks whether it is in vain.
PIECE = 10_000

#: Sends without an outcome before a publisher waits: enough to keep it busy, few enough that an acknowledgement's time
#: says something about the broker and not only about the queue.
MOST_UNSETTLED = 20_000

#: The slowest that a run may be (messages per second) before a wait is given up; at least SHORTEST_SECONDS are given.
SLOWEST = 2_000
SHORTEST_SECONDS = 60.0

#: Seconds between two looks at the progress.
LOOK_SECONDS = 0.2


class Volume:
    """The publishers and readers at work. A part of the scene; ``run`` is called once."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._seconds = SHORTEST_SECONDS
        self._messages = 0
        self._began = 0.0
        #: Set when every publisher is done, well or badly: the ends of the partitions stand fast.
        self._published = threading.Event()
        #: Set when something has failed, or the run is interrupted: what is left need not be done.
        self._in_vain = threading.Event()
        self._publishers: list[Publisher] = []
        self._readers: list[Reader] = []

    def run(self, messages: int | None) -> None:
        """Publish ``messages`` (None: the client's default) to the scene's one topic and read them all meanwhile.

        Raises AssertionError when one is not acknowledged. What was read is for the verdict to judge.
        """
        self._messages = messages or DEFAULT_MESSAGES[self._scene.driver.name]
        self._seconds = max(SHORTEST_SECONDS, self._messages / SLOWEST)
        places = order.scene_partitions(self._scene)
        reading = [partial(self._read, places[number::READERS]) for number in range(READERS)]
        self._began = time.monotonic()
        try:
            run_together([self._publish, *reading], failed=self._in_vain.set, meanwhile=self._show, every=LOOK_SECONDS)
        finally:
            progress.replace_line("")
        self._measure(time.monotonic() - self._began)

    def _publish(self) -> None:
        share, rest = divmod(self._messages, PUBLISHERS)
        partitions = order.in_turn(self._scene)
        try:
            run_together(
                (partial(self._publish_share, share + (number < rest), partitions) for number in range(PUBLISHERS)),
                failed=self._in_vain.set,
            )
        finally:
            self._published.set()

    def _publish_share(self, count: int, partitions: list[int]) -> None:
        scene = self._scene
        with scene.driver.publisher(scene.connection, scene.recorder, max_unsettled=MOST_UNSETTLED) as publisher:
            self._publishers.append(publisher)
            for begin in range(0, count, PIECE):
                if self._in_vain.is_set():
                    return
                publisher.publish(scene.topics[0], min(PIECE, count - begin), size=SIZE, partitions=partitions)
                if publisher.errors:
                    break
            # One that is not acknowledged decides. With a broker that answers nobody each of the others would have to
            # time out as well, for minutes.
            publishers.acknowledged(publisher, count, 0.0 if publisher.errors else self._seconds)

    def _read(self, places: list[Partition]) -> None:
        """Read these partitions as they grow, and on to their ends once nothing more is published."""
        scene = self._scene
        with scene.driver.reader(scene.connection, scene.recorder) as reader:
            self._readers.append(reader)
            reader.assign(dict.fromkeys(places, BEGINNING))
            while not self._published.is_set():
                reader.drain(LOOK_SECONDS)
            if self._in_vain.is_set():
                return
            with scene.driver.admin(scene.connection) as admin:
                ends = admin.end_offsets(scene.topics)
            reached = {place: offset for place, offset in reader.positions().items() if offset >= 0}
            reader.read_to_end(
                scene.topics,
                self._seconds,
                ends={place: ends[place] for place in places},
                start=reached,
                began=dict.fromkeys(places, BEGINNING),
            )

    def _show(self) -> None:
        """The progress line: how many messages were read, at what rate, and how long the rest will take."""
        read = sum(reader.log.position for reader in self._readers)
        rate = read / (time.monotonic() - self._began)
        left = f"{(self._messages - read) / rate:,.0f} s left" if rate else "waiting for the first"
        progress.replace_line(f"  … {read:,} of {self._messages:,} messages read, {rate:,.0f} a second, {left}")

    def _measure(self, took: float) -> None:
        """Note rates and acknowledgement times for the report; the topics need no further reading."""
        scene = self._scene
        scene.already_read.update(scene.topics)
        scene.recorder.flush()
        half, most = measures.acknowledgement_ms(scene.folder, 0.5, 0.99)
        scene.facts.numbers |= {
            "published and read (messages/s)": round(self._messages / took),
            timeline.MEDIAN: round(half, 1),
            timeline.MOST: round(most, 1),
        }

    def close(self) -> None:
        """Nothing is under way."""
