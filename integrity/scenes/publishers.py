"""Publishers at work, alone or together, whose every message must be acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from integrity.clients import Message, Publisher
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes.threads import run_together

#: Small batches (bytes), so that publishers at work together take turns in a partition.
SMALL_BATCH = 8 << 10


def acknowledged(publisher: Publisher, count: int, seconds: float = PUBLISH_SECONDS) -> None:
    """Wait for the outcome of ``count`` sends. Raises AssertionError when any of them is not acknowledged."""
    publisher.flush(seconds)
    if publisher.counts["acknowledged"] != count:
        raise AssertionError(
            f"not all of {count:,} messages of publisher {publisher.id} were acknowledged: "
            f"{publisher.counts}, errors {dict(publisher.errors)}"
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
    """One publisher sends these messages; all must be acknowledged. options: of PublisherOptions."""
    with scene.driver.publisher(scene.connection, scene.recorder, **options) as publisher:
        acknowledged(publisher, publisher.send_many(messages))
