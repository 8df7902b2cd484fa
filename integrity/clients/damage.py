"""What a reader is told of a batch whose checksum is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: kafka-python's words, and librdkafka's: the two clients have nothing else in common there.
WORDS = ("crc", "corrupt", "bad message")


class DamagedMessages(AssertionError):
    """A reader was handed messages that are damaged: no broker may serve such. Its text has the client's own words."""


@contextmanager
def noticed() -> Iterator[None]:
    """Whoever polls within may be handed what is damaged: raises DamagedMessages in place of the client's error."""
    try:
        yield
    except Exception as error:
        if not any(word in str(error).lower() for word in WORDS):
            raise
        raise DamagedMessages(f"a reader was handed messages that are damaged: {error}") from error
