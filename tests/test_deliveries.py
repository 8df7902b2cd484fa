"""What a group may be handed again, and what must reach it."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from integrity.clients import Record
from integrity.faults.process import FaultNotProven
from integrity.scenes import groups
from integrity.scenes.deliveries import Commit, Delivery, never_delivered, repeated, repeated_though_committed
from integrity.scenes.groups import Group
from integrity.scenes.order import overtaken, partitions_of_keys, require_mixed, turns
from integrity.waiting import WaitTimeout

PLACE = ("orders", 0)
OTHER = ("orders", 1)


def handed(*offsets: int, member: int = 0, at: int = 0, place=PLACE) -> list[Delivery]:
    return [Delivery(member, place, offset, at) for offset in offsets]


def record(offset: int, publisher: int = 0, sequence: int | None = None, key: bytes | None = None, partition: int = 0):
    sequence = offset if sequence is None else sequence
    return Record("orders", partition, offset, key, b"", (), 1, 0, publisher, sequence)


def test_what_no_member_was_handed():
    deliveries = handed(0, 2) + handed(1, place=OTHER)
    assert never_delivered(deliveries, [record(0), record(1), record(2), record(1, partition=1)]) == [(PLACE, 1)]


class Handed:
    """A member that is handed so many records more at each look."""

    is_at_work = True

    def __init__(self, number: int, more: int) -> None:
        self.number, self._more, self._looks = number, more, 0

    @property
    def deliveries(self) -> list[None]:
        self._looks += 1
        return [None] * (self._looks * self._more)

    def check(self) -> None:
        """Nothing has gone wrong."""


def test_a_group_has_enough_only_when_every_member_was_handed_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka fills one partition after the other: a hundred records may all be one member's."""
    group = Group.__new__(Group)
    group.name, group.members = "group", [Handed(1, 30), Handed(2, 1)]
    group._scene = SimpleNamespace(part=lambda kind: SimpleNamespace(going_on=nullcontext))
    group.wait_for_more(100)
    monkeypatch.setattr(groups, "READ_SECONDS", 0.1)
    group.members = [Handed(1, 30), Handed(2, 0)]
    with pytest.raises(WaitTimeout, match=r"every member some of them, in vain: .*member 2 was handed 0"):
        group.wait_for_more(100)


def test_members_are_known_to_the_coordinator_once_each_has_committed_something_more(monkeypatch: pytest.MonkeyPatch):
    """Records alone prove nothing: they are fetched without asking the coordinator, a restarted one least of all."""

    class Committing(Handed):
        commits = Handed.deliveries

    group = Group.__new__(Group)
    group.name, group.members = "group", [Committing(1, 1), Committing(2, 1)]
    group._scene = SimpleNamespace(part=lambda kind: SimpleNamespace(going_on=nullcontext))
    group.wait_for_commits()
    monkeypatch.setattr(groups, "READ_SECONDS", 0.1)
    group.members = [Committing(1, 1), Committing(2, 0)]
    with pytest.raises(WaitTimeout, match=r"to commit something more, in vain: nothing was committed by member 2$"):
        group.wait_for_commits()


def test_the_same_offset_of_another_partition_is_another_record():
    assert repeated(handed(0, 1) + handed(0, 1, place=OTHER)) == []


def test_handed_again_before_a_commit_is_legal():
    deliveries = handed(0, 1, at=1) + handed(0, 1, member=1, at=3)
    assert repeated(deliveries) == deliveries[2:]
    assert repeated_though_committed(deliveries, []) == []
    assert repeated_though_committed(deliveries, [Commit(PLACE, 2, at=4)]) == []


def test_handed_again_after_a_commit_is_not():
    deliveries = handed(0, 1, 2, at=1) + handed(1, 2, member=1, at=3)
    assert repeated_though_committed(deliveries, [Commit(PLACE, 2, at=2)]) == handed(1, member=1, at=3)


def test_a_commit_of_another_partition_says_nothing():
    deliveries = handed(0, at=1) + handed(0, member=1, at=3)
    assert repeated_though_committed(deliveries, [Commit(OTHER, 1, at=2)]) == []


def test_who_commits_an_earlier_offset_asks_for_what_follows_it():
    deliveries = handed(0, 1, 2, at=1) + handed(1, 2, member=1, at=4)
    assert repeated_though_committed(deliveries, [Commit(PLACE, 3, at=2), Commit(PLACE, 1, at=3)]) == []


def test_overtaken_counts_each_record_behind_a_later_one_of_its_publisher():
    assert overtaken([record(0), record(2), record(1), record(3)]) == 1
    assert overtaken([record(5, publisher=0), record(1, publisher=1)]) == 0


def test_turns_count_changes_of_publisher():
    assert turns([record(n, publisher=n // 2) for n in range(4)]) == 1
    assert turns([record(n, publisher=n % 2) for n in range(4)]) == 3


def test_publishers_that_never_met_in_a_partition_prove_nothing():
    """That they did is no promise of Kafka's: a busy machine may have run one after the other."""
    require_mixed([record(n, publisher=n % 2) for n in range(4)])
    with pytest.raises(FaultNotProven, match="2 publishers took 2 turns in orders-1: they never met there"):
        require_mixed([record(n, publisher=n // 2, partition=1) for n in range(4)])


def test_partitions_of_keys():
    records = [record(0, key=b"a"), record(1, key=b"a", partition=1), record(2, key=b"b")]
    assert partitions_of_keys(records) == {b"a": {PLACE, OTHER}, b"b": {PLACE}}
