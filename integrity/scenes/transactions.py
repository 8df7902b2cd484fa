"""Transactions across the end of a broker: committed, aborted, and some that are open when it happens."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from integrity.clients import Publisher
from integrity.endings import end_all
from integrity.errors import SuiteError
from integrity.history import schema
from integrity.scene import PUBLISH_SECONDS, Scene

#: Seconds, before timeout_factor, for which a transaction may be open before the broker aborts it: longer than any
#: restart takes on a slow machine.
OPEN_SECONDS = 300.0


#: Seconds, before timeout_factor, for the broker to abort what is still open when its scenario is over.
ABORT_SECONDS = 5.0


def end_all_open(scene: Scene, publishers: Iterable[Publisher]) -> None:
    """Abort whatever these have open, where the broker answers, and close them.

    kafka-python aborts nothing when it is closed, and a transaction of OPEN_SECONDS would be open for as long at a
    broker that may be somebody else's. The first one that is not aborted is the last one that is tried.
    """
    all_of_them = list(publishers)
    try:
        answers = any(publisher.in_transaction for publisher in all_of_them) and scene.broker.is_alive()
        for publisher in all_of_them:
            if answers and publisher.in_transaction:
                publisher.abort(ABORT_SECONDS)
                answers = publisher.last_error is None
    finally:
        end_all(publisher.close for publisher in all_of_them)


class Transactions:
    """Transactional publishers and their transactions over all of the scene's topics: a part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        #: By transactional id; each has one transaction at a time.
        self._publishers: dict[str, Publisher] = {}
        #: The ids of those whose transaction was left open.
        self._open: list[str] = []

    def _join(self) -> str:
        """The transactional id of one publisher more."""
        name = f"transactions-{uuid.uuid4().hex[:8]}"
        self._publishers[name] = self._named(name)
        return name

    def _named(self, name: str) -> Publisher:
        return self._scene.driver.publisher(
            self._scene.connection, self._scene.recorder, transactional_id=name, transaction_timeout=OPEN_SECONDS
        )

    def _begin(self, name: str, messages: int) -> Publisher:
        """Begin a transaction with so many messages in each topic, all of them acknowledged."""
        publisher = self._publishers[name]
        wanted = publisher.counts["acknowledged"] + messages * len(self._scene.topics)
        publisher.begin()
        for topic in self._scene.topics:
            publisher.publish(topic, messages, partitions=range(self._scene.partitions[topic]))
        publisher.flush(PUBLISH_SECONDS)
        if publisher.counts["acknowledged"] != wanted:
            self._scene.connection.check()
            raise AssertionError(f"not every message of a transaction was acknowledged: {dict(publisher.errors)}")
        return publisher

    def committed(self, transactions: int, messages: int) -> None:
        """Commit so many transactions with so many messages each; after every one, abort another."""
        name = self._join()
        for _ in range(transactions):
            self._commit(self._begin(name, messages))
            self._abort(self._begin(name, messages))

    def leave_open(self, transactions: int, messages: int) -> None:
        """Begin so many transactions, each of another publisher, with acknowledged messages, and end none of them."""
        for _ in range(transactions):
            name = self._join()
            self._open.append(name)
            self._begin(name, messages)

    def end_in_every_way(self) -> None:
        """Commit one of the three that are open, abort one, and let a successor of the last one's publisher begin."""
        if len(self._open) != 3:
            raise SuiteError(f"three transactions are to be open for this, not {len(self._open)}")
        committed, aborted, left = self._open
        self._commit(self._publishers[committed])
        self._abort(self._publishers[aborted])
        self._hand_over(left)

    def _hand_over(self, name: str) -> None:
        """A successor with the same transactional id begins; that aborts whatever its predecessor left open."""
        predecessor, self._publishers[name] = self._publishers[name], self._named(name)
        # It ends without a word to the broker, which would refuse it now; its transaction counts as aborted.
        predecessor.close()
        self._commit(self._begin(name, 1))

    @staticmethod
    def _commit(publisher: Publisher) -> None:
        _expect(publisher, publisher.commit(), schema.COMMITTED)

    @staticmethod
    def _abort(publisher: Publisher) -> None:
        _expect(publisher, publisher.abort(), schema.ABORTED)

    def close(self) -> None:
        """The scenario is over."""
        end_all_open(self._scene, self._publishers.values())


def _expect(publisher: Publisher, outcome: str, wanted: str) -> None:
    # A transaction that was to be aborted counts as such whatever the broker said.
    if outcome != wanted or publisher.last_error is not None:
        raise AssertionError(f"a transaction that was to be {wanted} ended as {outcome}: {publisher.last_error}")
