"""What readers of a scenario got, kept for the sentences that speak of it."""

from __future__ import annotations

from functools import cached_property

from integrity.clients import Record
from integrity.clients.base import Partition
from integrity.scene import READ_SECONDS, Scene


class Reading:
    """The records one new reader got. A part of the scene; what is read stands in the history as well."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @cached_property
    def records(self) -> list[Record]:
        """Everything in the scene's topics, from their beginning, in the order a reader got it."""
        return self.read_from({})

    def read_from(self, start: dict[Partition, int]) -> list[Record]:
        """Read on to the end, from these offsets or, in the other partitions, from the beginning.

        Raises AssertionError when a partition could not be read to its end.
        """
        with self._scene.driver.reader(self._scene.connection, self._scene.recorder) as reader:
            result = reader.read_to_end(self._scene.topics, READ_SECONDS, start=start, keep=True)
        if not result.complete:
            raise AssertionError(f"a reader did not get to the end: {result}")
        return list(result.records)

    def close(self) -> None:
        """Nothing is under way."""
