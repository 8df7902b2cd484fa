"""Consumer groups at work: members that process what they are handed and then commit it.

Each member works in a thread of its own, as a service would: poll, process, commit, poll again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from integrity.clients import Reader
from integrity.clients.base import Partition
from integrity.scene import READ_SECONDS, Scene
from integrity.scenes import order
from integrity.scenes.deliveries import Commit, Delivery
from integrity.scenes.load import POLL_SECONDS, Load, Worker
from integrity.waiting import wait_until

#: Records a member takes at a time: few, so that a change of members meets it at work.
TAKEN_AT_ONCE = 50

#: How many records a group is handed before and after a change of its members, at least.
ENOUGH_RECORDS = 500

#: A silent member is given up after this long (seconds), and the others learn of it within a heartbeat.
SESSION_SECONDS = 1.5
HEARTBEAT_SECONDS = 0.1

#: The broker's answers to a commit by somebody who is a member no longer, or was one of an older generation:
#: ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID and REBALANCE_IN_PROGRESS (kafka.apache.org/protocol, "Error Codes").
NO_LONGER_A_MEMBER = (22, 25, 27)


class Member:
    """One member of a group, at work from its making until it leaves or dies."""

    def __init__(self, scene: Scene, group: str) -> None:
        self.deliveries: list[Delivery] = []
        self.commits: list[Commit] = []
        #: The partitions it was last seen to hold, and the next offset in each that it has committed.
        self.holds: frozenset[Partition] = frozenset()
        self.reached: dict[Partition, int] = {}
        #: What it was handed last and took with it when it died.
        self.taken_along: list[Delivery] = []
        self.is_at_work = True
        self._dying = False
        self._topics = list(scene.topics)
        self._reader = scene.driver.reader(
            scene.connection,
            scene.recorder,
            group=group,
            session_timeout=SESSION_SECONDS,
            heartbeat_interval=HEARTBEAT_SECONDS,
        )
        self.number = self._reader.id
        self._worker = Worker(f"member {self.number} of {group}", self._work)

    def _work(self, worker: Worker) -> None:
        reader = self._reader
        with ExitStack() as at_the_end:
            at_the_end.callback(reader.close)
            reader.subscribe(self._topics)
            while not worker.stopping.is_set():
                records = reader.poll(POLL_SECONDS, TAKEN_AT_ONCE)
                self.holds = frozenset(reader.positions())
                if not records:
                    continue
                at = time.time_ns()
                handed = [Delivery(self.number, (r.topic, r.partition), r.offset, at) for r in records]
                self.deliveries += handed
                reader.processed(records)
                if self._dying:
                    at_the_end.pop_all()
                    reader.abandon()
                    self.taken_along = handed
                    return
                self._commit(reader, handed)

    def _commit(self, reader: Reader, handed: list[Delivery]) -> None:
        offsets = {delivery.place: delivery.offset + 1 for delivery in handed}
        try:
            reader.commit(offsets)
        except Exception as error:
            if not _is_refusal(error):
                raise
            # The group has moved on without this member, and hands out again what it could not commit.
            return
        at = time.time_ns()
        self.commits += [Commit(place, offset, at) for place, offset in offsets.items()]
        self.reached |= offsets

    def check(self) -> None:
        """Raise what its client has raised."""
        self._worker.check()

    def leave(self) -> None:
        """Finish what is in hand, commit it, and leave the group."""
        self.is_at_work = False
        self._worker.stop()

    def die(self) -> None:
        """Fall silent after processing something and before committing it. Raises WaitTimeout when nothing comes."""
        self.is_at_work = False
        self._dying = True
        wait_until(
            lambda: self.taken_along,
            what=f"member {self.number} to die at its work",
            seconds=READ_SECONDS,
            check=self.check,
        )
        self._worker.stop()


def _is_refusal(error: Exception) -> bool:
    """Whether either client's error says that the committing reader is not, or no longer, the group's member."""
    if type(error).__name__ == "CommitFailedError":  # kafka-python's word for it when it knows before it asks
        return True
    native = error.args[0] if error.args and hasattr(error.args[0], "code") else None
    code = native.code() if native is not None else getattr(error, "errno", None)
    return code in NO_LONGER_A_MEMBER


class Group:
    """A consumer group that reads the scene's topics."""

    def __init__(self, scene: Scene, members: int) -> None:
        self.name = f"group-{uuid.uuid4().hex[:8]}"
        self._scene = scene
        self._places = set(order.scene_partitions(scene))
        self.members = [Member(scene, self.name) for _ in range(members)]

    # -- what happens to it -------------------------------------------------------------------------
    def join(self) -> Member:
        """A new member comes."""
        member = Member(self._scene, self.name)
        self.members.append(member)
        return member

    def wait_until_shared(self) -> None:
        """Wait until every member at work holds partitions of its own, and all partitions are held."""

        def shared() -> bool:
            held = [member.holds for member in self._at_work()]
            return all(held) and sum(map(len, held)) == len(self._places) and set().union(*held) == self._places

        wait_until(
            shared,
            what=f"the members of {self.name} to share all partitions",
            seconds=READ_SECONDS,
            check=self.check,
            detail=lambda: str({member.number: sorted(member.holds) for member in self._at_work()}),
        )

    def wait_for_more(self, count: int) -> None:
        """Wait until its members have been handed ``count`` records more than now."""
        goal = self.handed + count
        wait_until(
            lambda: self.handed >= goal,
            what=f"{self.name} to be handed {count:,} more records",
            seconds=READ_SECONDS,
            check=self.check,
        )

    def finish(self, ends: Mapping[Partition, int]) -> None:
        """Wait until it has processed and committed everything up to these ends, then let every member leave."""
        wait_until(
            lambda: not self._behind(ends),
            what=f"{self.name} to get to the end",
            seconds=READ_SECONDS,
            check=self.check,
            detail=lambda: f"it has committed {self._behind(ends)}",
        )
        self.close()

    def close(self) -> None:
        """Let every member leave. Raises what a member's client has raised."""
        for member in self._at_work():
            member.leave()
        self.check()

    def check(self) -> None:
        """Raise what the client of a member has raised."""
        for member in self.members:
            member.check()

    # -- what became of it --------------------------------------------------------------------------
    @property
    def handed(self) -> int:
        """How many records its members have been handed, the repeated ones included."""
        return sum(len(member.deliveries) for member in self.members)

    @property
    def deliveries(self) -> list[Delivery]:
        """All that was handed to its members, in the order of time."""
        return sorted((d for member in self.members for d in member.deliveries), key=lambda delivery: delivery.at)

    @property
    def commits(self) -> list[Commit]:
        """All that its members committed, in the order of time."""
        return sorted((c for member in self.members for c in member.commits), key=lambda commit: commit.at)

    def _at_work(self) -> list[Member]:
        return [member for member in self.members if member.is_at_work]

    def _behind(self, ends: Mapping[Partition, int]) -> dict[str, str]:
        """The partitions in which it has not committed the end, and how far it got in them."""
        reached: dict[Partition, int] = {}
        for member in self.members:
            for place, offset in member.reached.copy().items():
                reached[place] = max(offset, reached.get(place, 0))
        return {
            f"{place[0]}-{place[1]}": f"{reached.get(place, 0):,} of {end:,}"
            for place, end in sorted(ends.items())
            if reached.get(place, 0) < end
        }


class Groups:
    """The consumer groups of a scene: a part of it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.all: list[Group] = []

    @property
    def one(self) -> Group:
        """The group of a scenario that speaks of one."""
        (group,) = self.all
        return group

    def begin(self, members: int) -> None:
        """A group of so many members begins to work, and shares the partitions among them."""
        group = Group(self._scene, members)
        self.all.append(group)
        group.wait_until_shared()

    def finish(self) -> None:
        """Let every group get to the end of what has been published so far."""
        with self._scene.driver.admin(self._scene.connection) as admin:
            ends = admin.end_offsets(self._scene.topics)
        for group in self.all:
            group.finish(ends)

    def work_through(self, change: str) -> None:
        """Publish, let the group work, let a member come or go in the middle, and let the group finish.

        change: a key of CHANGES.
        """
        group, load = self.one, self._scene.part(Load)
        load.publish()
        group.wait_for_more(ENOUGH_RECORDS)
        member = CHANGES[change](group)
        self._scene.note(f"member {member.number}", change, group.name)
        group.wait_until_shared()
        self._scene.note(group.name, "rebalanced")
        group.wait_for_more(ENOUGH_RECORDS)
        load.finish()
        self.finish()

    def close(self) -> None:
        """Let every member leave."""
        for group in self.all:
            group.close()


def _leave(group: Group) -> Member:
    member = group.members[0]
    member.leave()
    return member


def _die(group: Group) -> Member:
    member = group.members[0]
    member.die()
    return member


#: How a group's members may change, in the features' words.
CHANGES: dict[str, Callable[[Group], Member]] = {"joins": Group.join, "leaves": _leave, "dies": _die}
