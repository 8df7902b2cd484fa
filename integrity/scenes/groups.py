"""Consumer groups at work, and what happens to their members."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping

from integrity.clients.base import Admin, Partition
from integrity.endings import end_all
from integrity.scene import READ_SECONDS, Scene
from integrity.scenes import order
from integrity.scenes.deliveries import Commit, Delivery
from integrity.scenes.load import Load
from integrity.scenes.member import MORTAL_SESSION_SECONDS, SESSION_SECONDS, Member
from integrity.scenes.words import behind, place
from integrity.waiting import wait_until

#: How many records a group is handed before and after a change of its members, at least.
ENOUGH_RECORDS = 200


class Group:
    """A consumer group that reads the scene's topics.

    name: its name when it is to take over from others; committed: the offsets that those have committed.
    session: seconds for which a member may be silent.
    """

    def __init__(
        self,
        scene: Scene,
        members: int,
        name: str | None = None,
        committed: Mapping[Partition, int] | None = None,
        session: float = SESSION_SECONDS,
    ) -> None:
        self._session = session
        self.name = name or f"group-{uuid.uuid4().hex[:8]}"
        #: What it has committed as far as is known from outside.
        self.committed = dict(committed or {})
        self._scene = scene
        self._places = set(order.scene_partitions(scene))
        self.members = [Member(scene, self.name, session) for _ in range(members)]

    # -- what happens to it -------------------------------------------------------------------------
    def join(self, session: float | None = None) -> Member:
        """A new member comes; session: its own, where it is to differ from the others'."""
        member = Member(self._scene, self.name, session or self._session)
        self.members.append(member)
        return member

    def wait_until_shared(self) -> None:
        """Wait until every member at work holds partitions of its own, and all partitions are held."""

        def shared() -> bool:
            held = [member.holds for member in self._at_work()]
            return all(held) and sum(map(len, held)) == len(self._places) and set().union(*held) == self._places

        self._wait(
            shared,
            f"the members of {self.name} to share all partitions",
            detail=lambda: "; ".join(
                f"member {member.number} holds {', '.join(map(place, sorted(member.holds))) or 'none'}"
                for member in self._at_work()
            ),
        )

    def wait_for_more(self, count: int) -> None:
        """Wait until its members have been handed ``count`` records more than now, and each of them some.

        A publisher may fill one partition after the other: so many records may all be in those of one member.
        """
        before = {member: len(member.deliveries) for member in self._at_work()}

        def handed() -> dict[int, int]:
            return {member.number: len(member.deliveries) - begin for member, begin in before.items()}

        self._wait(
            lambda: sum(handed().values()) >= count and all(handed().values()),
            f"{self.name} to be handed {count:,} more records, and every member some of them",
            detail=lambda: ", ".join(f"member {number} was handed {more:,}" for number, more in handed().items()),
        )

    def wait_for_commits(self) -> None:
        """Wait until each of its members has committed something more: the coordinator has taken it for a member."""
        before = {member: len(member.commits) for member in self._at_work()}

        def idle() -> list[str]:
            return [str(member.number) for member, begin in before.items() if len(member.commits) == begin]

        self._wait(
            lambda: not idle(),
            f"every member of {self.name} to commit something more",
            detail=lambda: f"nothing was committed by member {', '.join(idle())}",
        )

    def finish(self, ends: Mapping[Partition, int]) -> None:
        """Wait until it has processed and committed everything up to these ends, then let every member leave."""
        self._wait(
            lambda: not self._behind(ends),
            f"{self.name} to get to the end",
            detail=lambda: f"it has committed {self._behind(ends)}",
        )
        self.close()

    def _wait(self, condition: Callable[[], bool], what: str, detail: Callable[[], str]) -> None:
        """Wait for what the group must come to. Raises Stalled when it does not."""
        with self._scene.part(Load).going_on():
            wait_until(condition, what=what, seconds=READ_SECONDS, check=self.check, detail=detail)

    def close(self) -> None:
        """Let every member leave, all at once. Raises what a member's client has raised."""
        leaving = self._at_work()
        for member in leaving:
            member.prepare_to_leave()
        end_all([*(member.leave for member in leaving), self.check])

    def check(self) -> None:
        """Raise what the client of a member has raised."""
        for member in self.members:
            member.check()

    # -- what became of it --------------------------------------------------------------------------
    @property
    def deliveries(self) -> list[Delivery]:
        """All that was handed to its members, in the order of time."""
        return sorted((d for member in self.members for d in member.deliveries), key=lambda delivery: delivery.at)

    @property
    def committed_last(self) -> dict[Partition, int]:
        """The last offset that any of its members committed in each partition."""
        return {commit.place: commit.offset for commit in self.commits}

    @property
    def commits(self) -> list[Commit]:
        """All that its members committed, in the order of time."""
        return sorted((c for member in self.members for c in member.commits), key=lambda commit: commit.at)

    def _at_work(self) -> list[Member]:
        return [member for member in self.members if member.is_at_work]

    def _behind(self, ends: Mapping[Partition, int]) -> dict[str, str]:
        """The partitions in which it has not committed the end, and how far it got in them."""
        reached = dict(self.committed)
        for member in self.members:
            for where, offset in member.reached.copy().items():
                reached[where] = max(offset, reached.get(where, 0))
        return behind(reached, ends)


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

    def begin(self, members: int, session: float = SESSION_SECONDS) -> None:
        """A group of so many members begins to work, and shares the partitions among them.

        session: seconds for which a member may be silent before it is given up.
        """
        group = Group(self._scene, members, session=session)
        self.all.append(group)
        group.wait_until_shared()

    def finish(self) -> None:
        """Let every group get to the end of what has been published so far."""
        with self._scene.driver.admin(self._scene.connection) as admin:
            ends = admin.end_offsets(self._scene.topics)
            for group in self.all:
                group.finish(ends)
                self._look(admin, group)

    def _look(self, admin: Admin, group: Group) -> None:
        """Put into the history what the group has committed, as it is seen from outside."""
        group.committed = admin.committed(group.name)
        at = time.time_ns() // 1000
        for (topic, partition), offset in group.committed.items():
            self._scene.recorder.row("commits", group.name, None, topic, partition, offset, at)

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

    def come_back(self) -> None:
        """Let the group, all of whose members have left, begin again with one, and finish."""
        self.one.join()
        self.finish()

    def close(self) -> None:
        """Let every member leave."""
        end_all(group.close for group in self.all)


def _leave(group: Group) -> Member:
    member = group.members[0]
    member.leave()
    return member


def _die(group: Group) -> Member:
    # One of its own, so that only this one is missed soon.
    member = group.join(MORTAL_SESSION_SECONDS)
    group.wait_until_shared()
    member.die()
    return member


#: How a group's members may change, in the features' words.
CHANGES: dict[str, Callable[[Group], Member]] = {"joins": Group.join, "leaves": _leave, "dies": _die}
