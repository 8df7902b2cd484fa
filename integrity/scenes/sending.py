"""A publisher at work, burst by burst."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from integrity.clients import Message, NotAcknowledged, Publisher
from integrity.clients.base import Partition
from integrity.clients.types import Receipt
from integrity.scene import PUBLISH_SECONDS
from integrity.scenes.stalls import Stuck
from integrity.scenes.words import place
from integrity.scenes.worker import Worker
from integrity.waiting import WaitTimeout, wait_until

#: A publisher sends this many messages at first, so that no fault meets a topic that is all but empty.
FIRST_BURST = 200

#: Then it sends this many, waits this long (seconds), and so on. A few large bursts cost clients and brokers a fraction
#: of what many small ones do: with three brokers 0.2 of a processor at one in 0.4 s, 0.8 at one in 0.02 s. That is left
#: to brokers that restart.
BURST = 60
PAUSE_SECONDS = 0.6

#: In a hurry of which nobody knows how long it lasts it sends so many at a time, which is some thousand a second where
#: the broker answers within milliseconds, and so many in all.
SMALL_BURST = 10
MOST_HURRIED = 30_000

#: Seconds that it waits for the first outcome of a burst: librdkafka tells of none unless it is asked.
OUTCOME_SECONDS = 0.05

#: Sends without an outcome before a publisher waits: what it keeps on sending while the broker is away.
MOST_UNSETTLED = 500


class Hurry:
    """No pause between two bursts of ``burst`` messages, until ``most`` have been sent: some are always under way."""

    def __init__(self, burst: int = BURST, most: float = math.inf) -> None:
        self.burst = burst
        self._left = most

    @property
    def is_over(self) -> bool:
        return self._left <= 0

    def sent(self, number: int) -> None:
        self._left -= number


#: It makes a pause after each burst.
NO_HURRY = Hurry(most=0)


class Sending:
    """One publisher, which sends messages of ``size`` bytes to all ``topics``.

    hurry: the one that it is in. last: the seconds, before timeout_factor, within which it is to
    publish to each of ``places`` once more before it ends, or None; marks: where those messages are.
    """

    def __init__(self, publisher: Publisher, topics: Sequence[str], places: Sequence[Partition], size: int) -> None:
        self.publisher = publisher
        self.name = f"publisher {publisher.id}"
        self.hurry = NO_HURRY
        self.last: float | None = None
        self.marks: list[tuple[Partition, int]] = []
        self._topics, self._places, self._size = topics, places, size

    def work(self, worker: Worker) -> None:
        """Send until the worker is to stop: for the publisher's own thread."""
        burst = FIRST_BURST
        while not worker.stopping.is_set():
            for topic in self._topics:
                self.publisher.publish(topic, burst, size=self._size)
            self.publisher.serve(OUTCOME_SECONDS)
            # Taken once each time: another thread may end it or begin another at any moment.
            hurry = self.hurry
            if hurry.is_over:
                worker.pause(PAUSE_SECONDS)
            else:
                hurry.sent(burst * len(self._topics))
            self.publisher.serve()
            hurry = self.hurry
            burst = BURST if hurry.is_over else hurry.burst
        self.publisher.flush(PUBLISH_SECONDS)
        if self.last is not None:
            self.publish_everywhere(self.last)

    def publish_everywhere(self, seconds: float) -> None:
        """Have one more message acknowledged in each of its places, each within so many seconds. Raises Stuck."""
        for where in self._places:
            receipt = self._acknowledged(where, seconds)
            if receipt.offset is not None:
                self.marks.append((where, receipt.offset))

    def _acknowledged(self, where: Partition, seconds: float) -> Receipt:
        """Send until a message is acknowledged there. One is enough where the client tries it again by itself."""
        topic, number = where
        message, last = Message(topic, bytes(self._size), partition=number), None

        def sent() -> Receipt | None:
            nonlocal last
            try:
                return self.publisher.send_and_wait(message, seconds)
            except NotAcknowledged as error:
                last = error
                if self.publisher.options.retries != 0:
                    raise
                return None

        try:
            return wait_until(sent, what=f"{self.name} to get on in {place(where)}", seconds=seconds)
        except (NotAcknowledged, WaitTimeout) as error:
            raise Stuck(f"{self.name} does not get on in {place(where)}: {last}") from error

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of its messages are open, acknowledged, rejected, unknown."""
        return self.publisher.counts

    @property
    def sent(self) -> int:
        """How many messages it has sent."""
        return sum(self.counts.values())

    @property
    def waits(self) -> bool:
        """Whether it has sent all it may without an answer."""
        return self.counts["open"] >= MOST_UNSETTLED

    def has_sent_another_burst(self, before: int) -> bool:
        """Whether it has sent more than a burst since it had sent so many, or waits."""
        return self.sent > before + BURST * len(self._topics) or self.waits
