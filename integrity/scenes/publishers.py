"""Publishers at work, alone or together, whose every message must be acknowledged."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from integrity.clients import Message, Publisher
from integrity.errors import NotPossible
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes.threads import run_together

#: Small batches (bytes), so that publishers at work together take turns in a partition.
SMALL_BATCH = 8 << 10

#: What a publisher is told whose dated messages are refused, in the words of kafka-python and of librdkafka, which does
#: not say why a record is not valid.
TOO_OLD = re.compile(r"(?i)invalid.?timestamp|timestamp .*out of range|INVALID_RECORD")

#: So many different errors of a publisher are told: each of a hundred messages may have one of its own.
MOST_ERRORS = 3


def acknowledged(publisher: Publisher, count: int, seconds: float = PUBLISH_SECONDS) -> None:
    """Wait for the outcome of ``count`` sends. Raises AssertionError when any of them is not acknowledged."""
    publisher.flush(seconds)
    if publisher.counts["acknowledged"] != count:
        more = len(publisher.errors) - MOST_ERRORS
        raise AssertionError(
            f"not all of {count:,} messages of publisher {publisher.id} were acknowledged: "
            f"{publisher.counts}, errors {dict(Counter(publisher.errors).most_common(MOST_ERRORS))}"
            + (f" and {more} more" if more > 0 else "")
        )


def publish(
    scene: Scene,
    count: int,
    *,
    partitions: Sequence[int] | None = None,
    keys: Sequence[bytes | None] | None = None,
    ready: Callable[[], object] = lambda: None,
    **options: object,
) -> None:
    """One publisher sends ``count`` generated messages to the scene's first topic; all must be acknowledged.

    ready: called between the making of the client and the first message. options: of PublisherOptions.
    """
    with scene.driver.publisher(scene.connection, scene.recorder, **options) as publisher:
        ready()
        publisher.publish(scene.topics[0], count, partitions=partitions, keys=keys)
        acknowledged(publisher, count)


def publish_together(
    scene: Scene,
    publishers: int,
    count: int,
    *,
    partitions: Sequence[int] | None = None,
    keys: Sequence[bytes | None] | None = None,
) -> None:
    """Several publishers send ``count`` messages each, all beginning at the same moment."""
    barrier = threading.Barrier(publishers)

    def one() -> None:
        publish(
            scene, count, partitions=partitions, keys=keys, ready=barrier.wait, batch_bytes=SMALL_BATCH, linger=0.001
        )

    run_together([one] * publishers, failed=barrier.abort)


def send(scene: Scene, messages: Iterable[Message], **options: object) -> None:
    """One publisher sends these messages; all must be acknowledged. options: of PublisherOptions.

    Raises NotPossible where somebody's brokers refuse messages as old as these.
    """
    messages = list(messages)
    are_dated = any(message.timestamp is not None for message in messages)
    with scene.driver.publisher(scene.connection, scene.recorder, **options) as publisher:
        sent = publisher.send_many(messages)
        try:
            acknowledged(publisher, sent)
        except AssertionError as error:
            if are_dated and scene.broker.kind == "external" and any(map(TOO_OLD.search, publisher.errors)):
                why = "message.timestamp.before.max.ms (message.timestamp.difference.max.ms before Kafka 3.6)"
                raise NotPossible(f"the cluster takes no messages as old as these, by its {why}") from error
            raise
