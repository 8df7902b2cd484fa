"""Who is at work on a scene's topics, what has become of what they sent, and how far each has got."""

from __future__ import annotations

from collections import Counter

from integrity.clients.base import Partition
from integrity.scene import Scene
from integrity.scenes.following import Following
from integrity.scenes.sending import Sending
from integrity.scenes.worker import Worker


class AtWork:
    """Publishers and readers at work.

    acknowledged, rejected, open: how many messages so far, over all publishers.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._publishing: list[Worker] = []
        self._reading: list[Worker] = []
        self._sending: list[Sending] = []
        self._following: list[Following] = []

    def _places(self) -> list[Partition]:
        """Every partition there is now; clients at work may learn late, or never, of those that are added."""
        return [(topic, number) for topic in self._scene.topics for number in range(self._scene.partitions[topic])]

    @property
    def _workers(self) -> list[Worker]:
        return self._publishing + self._reading

    @property
    def is_under_way(self) -> bool:
        """Whether anybody is at work."""
        return bool(self._workers)

    @property
    def acknowledged(self) -> int:
        return self._count("acknowledged")

    @property
    def rejected(self) -> int:
        """Messages that were surely not appended."""
        return self._count("rejected")

    @property
    def open(self) -> int:
        """Messages sent and neither acknowledged nor given up."""
        return self._count("open")

    def _count(self, outcome: str) -> int:
        return sum(sending.counts[outcome] for sending in self._sending)

    def check(self) -> None:
        """Raise what any of the clients has raised, or that a broker has died on its own."""
        for worker in self._workers:
            worker.check()

    def _standing(self) -> dict[str, int]:
        standing = {sending.name: sending.counts["acknowledged"] for sending in self._sending}
        return standing | {f"reader {following.number}": following.seen for following in self._following}

    def _nudge(self) -> None:
        for worker in self._workers:
            worker.nudge()

    def _account(self) -> str:
        """What became of the sends so far."""
        if not self._sending:
            return ""
        told = ", ".join(f"{self._count(outcome):,} {outcome}" for outcome in self._sending[0].counts)
        return f"messages of the publishers at work: {told}; errors so far: {self.errors()}"

    def errors(self) -> dict[str, int]:
        """Every error a send ended with, in the words of the client, and how often."""
        return dict(sum((Counter(sending.publisher.errors) for sending in self._sending), Counter()))
