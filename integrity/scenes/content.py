"""Messages of every kind that Kafka must carry unchanged, by the features' names for them.

Kafka tells null from empty, keeps headers in order with their repetitions, and looks into nothing it carries; the
digests in the history cover all of it (see integrity.clients.messages).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

from integrity.clients import Message, Receipt
from integrity.clients.base import NotAcknowledged
from integrity.clients.messages import Header
from integrity.errors import NotPossible
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes import publishers
from integrity.scenes.reading import Reading

#: Messages of each kind in a scenario; of the large ones only LARGE_MESSAGES.
MESSAGES = 100
LARGE_MESSAGES = 3

#: "One megabyte": as much as fits below a topic's own limit, max.message.bytes, which is Kafka's default (see
#: making_topics.TOPIC); and a value (bytes) that no such topic takes.
MEGABYTE = 1_000_000
OVER_THE_LIMIT = 1_100_000

#: Every byte there is, so also NUL, line ends and what is not UTF-8.
ALL_BYTES = bytes(range(256))

#: Milliseconds since the epoch: its first, the last of twelve digits, and one of 2009.
TIMES = (1, 999_999_999_999, 1_234_567_890_123)

_REPEATED: tuple[Header, ...] = (
    ("trace", b"first"),
    ("trace", b"second"),
    ("other", b"\x00\xff"),
    ("trace", b"first"),
    ("empty", b""),
    ("naïve ✅", "ünïcode".encode()),
)


def _noise(size: int, number: int) -> bytes:
    return random.Random(number).randbytes(size)


def _plain(number: int) -> bytes:
    return f"message {number}".encode()


#: Kind -> the number-th message of that kind on a topic.
KINDS: dict[str, Callable[[str, int], Message]] = {
    "empty values": lambda topic, n: Message(topic, b"", key=_plain(n)),
    "null values": lambda topic, n: Message(topic, None, key=_plain(n)),
    "binary values": lambda topic, n: Message(topic, ALL_BYTES[n:] + _noise(n, n), key=_plain(n)),
    "values of one megabyte": lambda topic, n: Message(topic, _noise(MEGABYTE, n), key=_plain(n)),
    "null keys": lambda topic, n: Message(topic, _plain(n), key=None),
    "empty keys": lambda topic, n: Message(topic, _plain(n), key=b""),
    "binary keys": lambda topic, n: Message(topic, _plain(n), key=ALL_BYTES[n:]),
    "neither key nor value": lambda topic, n: Message(topic, None, key=None),
    "repeated headers": lambda topic, n: Message(topic, _plain(n), headers=_REPEATED[n % 6 :] + _REPEATED),
    "given timestamps": lambda topic, n: Message(topic, _plain(n), timestamp=TIMES[n % 3] + n),
}

LARGE = "values of one megabyte"


def messages(kind: str, topic: str) -> Iterator[Message]:
    """The messages of one kind; the kind is a key of KINDS."""
    make = KINDS[kind]
    return (make(topic, number) for number in range(LARGE_MESSAGES if kind == LARGE else MESSAGES))


def publish(scene: Scene, kinds: Iterable[str], compression: str) -> None:
    """One publisher sends the messages of these kinds; all must be acknowledged. compression: a codec, or "none".

    Raises NotPossible where the brokers refuse messages as old, or as large, as some of them.
    """
    kinds = list(kinds)
    if LARGE in kinds and not scene.takes_megabytes:
        raise NotPossible("the cluster allows no other max.message.bytes than its own, which is less than a megabyte")
    everything = [message for kind in kinds for message in messages(kind, scene.topics[0])]
    publishers.send(scene, everything, compression=compression)


class TooLarge:
    """A message over the topic's limit, sent between others. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.publisher = -1
        self.receipt: Receipt | None = None

    def publish(self) -> None:
        """Send small messages, then the large one, then small ones again; the small ones must be acknowledged."""
        topic = self._scene.topics[0]
        with self._scene.driver.publisher(self._scene.connection, self._scene.recorder) as publisher:
            self.publisher = publisher.id
            publisher.send_many(messages("null keys", topic))
            publishers.acknowledged(publisher, MESSAGES)
            try:
                self.receipt = publisher.send_and_wait(Message(topic, _noise(OVER_THE_LIMIT, 0)), PUBLISH_SECONDS)
            except NotAcknowledged as refused:
                self.receipt = refused.receipt
        # By another one: kafka-python's idempotent publisher refuses to go on after a message was refused.
        publish(self._scene, ["null keys"], "none")

    def seen(self) -> list[int]:
        """The offsets at which a reader of the topic got it."""
        records = self._scene.part(Reading).records
        return [r.offset for r in records if (r.publisher, r.sequence) == (self.publisher, self.receipt.sequence)]

    def close(self) -> None:
        """Nothing is under way."""
