"""Transactions across the end of a broker: committed, aborted, and one that is open when it happens."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from integrity.clients import Publisher
from integrity.history import schema
from integrity.scene import PUBLISH_SECONDS, READ_SECONDS, Scene


class Transactions:
    """One transactional publisher and its transactions over all of the scene's topics: a part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._id = f"transactions-{uuid.uuid4().hex[:8]}"
        self._publisher: Publisher | None = None

    def _begin(self, messages: int) -> Publisher:
        if self._publisher is None:
            self._publisher = self._successor()
        self._publisher.begin()
        for topic in self._scene.topics:
            self._publisher.publish(topic, messages)
        self._publisher.flush(PUBLISH_SECONDS)
        return self._publisher

    def _successor(self) -> Publisher:
        return self._scene.driver.publisher(self._scene.connection, self._scene.recorder, transactional_id=self._id)

    def committed(self, transactions: int, messages: int) -> None:
        """Commit so many transactions with so many messages each; after every one, abort another."""
        for _ in range(transactions):
            self._expect(self._begin(messages).commit(), schema.COMMITTED)
            self._expect(self._begin(messages).abort(), schema.ABORTED)

    def leave_open(self, messages: int) -> None:
        """Begin a transaction, have its messages acknowledged, and leave it there."""
        self._begin(messages)

    def commit(self) -> None:
        """Commit the open one."""
        self._expect(self._open.commit(), schema.COMMITTED)

    def abort(self) -> None:
        """Abort the open one."""
        self._expect(self._open.abort(), schema.ABORTED)

    def hand_over(self) -> None:
        """Let a successor with the same transactional id begin; that aborts whatever its predecessor left open."""
        predecessor, self._publisher = self._open, self._successor()
        # It ends without a word to the broker, which would refuse it now; its transaction counts as aborted.
        predecessor.close()
        self._expect(self._begin(1).commit(), schema.COMMITTED)

    def read_committed(self) -> None:
        """Read everything as a reader that sees committed transactions only, into the history."""
        with self._scene.driver.reader(self._scene.connection, self._scene.recorder, committed_only=True) as reader:
            reader.read_to_end(self._scene.topics, READ_SECONDS)

    @property
    def _open(self) -> Publisher:
        if self._publisher is None:
            raise AssertionError("no transaction was begun in this scenario")
        return self._publisher

    @staticmethod
    def _expect(outcome: str, wanted: str) -> None:
        if outcome != wanted:
            raise AssertionError(f"a transaction that was to be {wanted} ended as {outcome}")

    def close(self) -> None:
        """The scenario is over."""
        if self._publisher is not None:
            self._publisher.close()


#: How an open transaction can end after the broker is back, in the features' words.
ENDINGS: dict[str, Callable[[Transactions], None]] = {
    "committed": Transactions.commit,
    "aborted": Transactions.abort,
    "left to a successor": Transactions.hand_over,
}
