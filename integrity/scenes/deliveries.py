"""What a consumer group was handed and what it committed, and what must hold between the two.

The checks over the history judge readers one by one; a group's promises are about all its members together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from integrity.clients import Record
from integrity.clients.base import Partition
from integrity.scenes.words import place


class Delivery(NamedTuple):
    """One record handed to one member (by its number in the history), at a time in ns."""

    member: int
    place: Partition
    offset: int
    at: int

    def __str__(self) -> str:
        return f"{place(self.place, self.offset)} to member {self.member}"


class Commit(NamedTuple):
    """A group's next offset in a partition, as a member committed it; the time in ns at which it was confirmed."""

    place: Partition
    offset: int
    at: int


def never_delivered(deliveries: Iterable[Delivery], records: Iterable[Record]) -> list[tuple[Partition, int]]:
    """The place and offset of each of ``records`` (what a reader of everything got) that no member was handed."""
    handed = {(delivery.place, delivery.offset) for delivery in deliveries}
    places = (((record.topic, record.partition), record.offset) for record in records)
    return [place for place in places if place not in handed]


def repeated(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """The deliveries of what had been delivered before, given all of them in the order of time."""
    seen: set[tuple[Partition, int]] = set()
    again = []
    for delivery in deliveries:
        what = (delivery.place, delivery.offset)
        if what in seen:
            again.append(delivery)
        seen.add(what)
    return again


def repeated_though_committed(deliveries: Iterable[Delivery], commits: Iterable[Commit]) -> list[Delivery]:
    """The repeated deliveries below what the group's last commit before them had confirmed in the partition.

    Both are given in the order of time. The last commit counts and not the highest: whoever commits an earlier
    offset asks for what follows it.
    """
    committed: dict[Partition, int] = {}
    pending = list(commits)[::-1]
    wrong = []
    for delivery in repeated(deliveries):
        while pending and pending[-1].at < delivery.at:
            commit = pending.pop()
            committed[commit.place] = commit.offset
        if delivery.offset < committed.get(delivery.place, 0):
            wrong.append(delivery)
    return wrong
