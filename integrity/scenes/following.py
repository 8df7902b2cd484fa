"""How far a reader at work has got."""

from __future__ import annotations

from collections.abc import Mapping

from integrity.clients import Reader
from integrity.clients.base import Partition
from integrity.scenes.words import place

#: Seconds for which a poll waits at most.
POLL_SECONDS = 0.1


class Following:
    """One reader, by its number in the history.

    seen: how many messages. polls, in_vain: how often it has polled, and how many of its polls brought nothing.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen = self.polls = self.in_vain = 0
        self._sought: dict[Partition, int] = {}

    def poll(self, reader: Reader) -> None:
        """Poll once: for the reader's own thread."""
        count = reader.drain(POLL_SECONDS)
        self.seen += count
        self.polls += 1
        self.in_vain += not count
        if self._sought:
            reached = reader.positions()
            # Where it does not read, as a partition was added later, nothing is sought.
            self._sought = {at: mark for at, mark in self._sought.items() if reached.get(at, mark + 1) <= mark}

    def seek(self, marks: Mapping[Partition, int]) -> None:
        """From now on it is to get to these offsets."""
        self._sought = dict(marks)

    @property
    def unread(self) -> str:
        """What it is to read and has not read yet; empty when that is nothing."""
        told = ", ".join(place(where, mark) for where, mark in sorted(self._sought.items()))
        return told and f"reader {self.number} {told}"
