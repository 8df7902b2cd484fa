"""Publishers at work, alone or together, whose every message must be acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from integrity.clients import Message, Publisher
from integrity.errors import NotPossible
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes.threads import run_together

#: Small batches (bytes), so that publishers at work together take turns in a partition.
SMALL_BATCH = 8 << 10

#: The settings of a topic by which a broker refuses messages for their timestamps' age (ms); the second one's name was
#: in use up to Kafka 3.9. None is refused by default.
MOST_AGE = ("message.timestamp.before.max.ms", "message.timestamp.difference.max.ms")


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


def _require_age(scene: Scene, messages: Iterable[Message]) -> None:
    """Raise NotPossible, with the setting, where a topic of these messages takes none with so old a timestamp."""
    oldest: dict[str, int] = {}
    for message in messages:
        if message.timestamp is not None:
            oldest[message.topic] = min(message.timestamp, oldest.get(message.topic, message.timestamp))
    if not oldest:
        return
    now = time.time_ns() // 1_000_000
    with scene.driver.admin(scene.connection) as admin:
        for topic, timestamp in oldest.items():
            configs = admin.configs(topic)
            for name in MOST_AGE:
                if name in configs and now - timestamp > int(configs[name]):
                    raise NotPossible(f"the cluster takes no message as old as these: {name} is {configs[name]}")


def send(scene: Scene, messages: Iterable[Message], **options: object) -> None:
    """One publisher sends these messages; all must be acknowledged. options: of PublisherOptions.

    Raises NotPossible where the brokers refuse messages as old as these.
    """
    messages = list(messages)
    _require_age(scene, messages)
    with scene.driver.publisher(scene.connection, scene.recorder, **options) as publisher:
        acknowledged(publisher, publisher.send_many(messages))
