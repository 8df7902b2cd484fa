"""What a fault is to meet and cannot at that moment is begun anew: no broken promise, and nothing that just passes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from kafka.errors import KafkaTimeoutError

from integrity.brokers.cluster import State
from integrity.clients import Message, NotAcknowledged
from integrity.clients.types import Receipt
from integrity.history import schema
from integrity.reports.model import ScenarioFacts
from integrity.scenes import replication, unreplicated
from integrity.scenes.cut_off import CutOff
from integrity.scenes.isolation import TRIES, Isolation
from integrity.scenes.leads import Leads
from integrity.scenes.load import Load
from integrity.scenes.outages import Outages
from integrity.scenes.replication import LOOKS, PassedOn, Replication
from integrity.scenes.sending import Sending
from integrity.scenes.stalls import Stuck
from integrity.waiting import nothing

WHOLE = State(1, 0, (1, 2, 3), frozenset({1, 2, 3}))
LAGGING = State(1, 0, (1, 2, 3), frozenset({1, 2}))


def node(number: int) -> SimpleNamespace:
    return SimpleNamespace(label=f"broker {number}", config=SimpleNamespace(node=number))


# -- roles --------------------------------------------------------------------------------------------------
@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Replication:
    """Of a scene in which nobody is at work, on brokers that are always whole."""
    load = SimpleNamespace(going_on=contextlib.nullcontext)
    part = Replication(SimpleNamespace(part=lambda kind: load, note=lambda *_: None, topics=["t"]))
    monkeypatch.setattr(Replication, "cluster", SimpleNamespace(check_alive=nothing))
    monkeypatch.setattr(Replication, "wait_until_whole", lambda part: None)
    monkeypatch.setitem(replication.ROLES, "leader", lambda part: node(1))
    return part


def test_what_was_passed_on_is_mended_before_the_next_look(part: Replication) -> None:
    did: list[str] = []

    def fault(node: object, check: Callable[[], None]) -> str:
        did.append("looked")
        if did.count("looked") < LOOKS:
            raise PassedOn("not now", lambda: did.append("mended"))
        return "done"

    assert part.at_holder("leader", fault) == "done"
    assert did == ["looked", "mended"] * (LOOKS - 1) + ["looked"]


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([WHOLE, LAGGING, State(1, 0, (1, 2), frozenset({1}))], ""),
        (
            [WHOLE, State(2, 1, (1, 2), frozenset({2}))],
            "broker 1 was to be alone in sync, and the partition is led by 2",
        ),
        ([WHOLE, State(-1, 1, (1, 2), frozenset({1})), State(1, 2, (1, 2), frozenset({1}))], ""),
    ],
    ids=["alone", "the other one is", "nobody leads for a moment"],
)
def test_a_leader_is_alone_when_it_is_the_one_in_sync(part: Replication, monkeypatch, states, told) -> None:
    """On a busy machine it may be given up before the follower that sleeps: then everything waits for the sleeper."""
    left = list(states)
    monkeypatch.setattr(Replication, "state", lambda part: left.pop(0) if len(left) > 1 else left[0])
    with pytest.raises(PassedOn, match=told) if told else contextlib.nullcontext():
        part.wait_until_alone_in_sync(node(1))
    assert len(left) == 1


def test_a_leader_that_is_not_left_alone_is_left_alone_once_more(monkeypatch) -> None:
    tries: list[object] = []

    def left_alone(scene, count, then, leader, check) -> tuple[object, object]:
        tries.append(leader)
        if len(tries) == 1:
            raise PassedOn("broker 2 leads")
        return leader, "its follower"

    def at_holder(role, fault) -> object:
        with contextlib.suppress(PassedOn):
            return fault("broker 1", nothing)
        return fault("broker 2", nothing)

    monkeypatch.setattr(unreplicated, "_leave_alone", left_alone)
    scene = SimpleNamespace(part=lambda kind: SimpleNamespace(at_holder=at_holder))
    assert unreplicated._alone(scene, 10, nothing) == ("broker 2", "its follower")
    assert tries == ["broker 1", "broker 2"]


# -- power ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("now", "told"), [(WHOLE, ""), (LAGGING, r"t-0 is led by 1 .*in sync \[1, 2\] of \[1, 2, 3\]")]
)
def test_power_is_lost_only_where_the_third_replica_has_all_that_the_others_lose(monkeypatch, now, told) -> None:
    """It drops out of sync when its machine is busy; what the other two then acknowledge, and lose, nobody promised."""
    lost: list[str] = []
    replication = SimpleNamespace(
        at_holders=lambda roles, fault: fault([node(1), node(2)], nothing),
        cluster=SimpleNamespace(states=lambda topics: {("t", 0): now}),
    )

    def lose_power(holders, check) -> None:
        check()
        lost.extend(holder.label for holder in holders)

    outages = Outages(SimpleNamespace(part=lambda kind: replication, topics=["t"]))
    monkeypatch.setattr(outages, "_lose_power", lose_power)
    with pytest.raises(PassedOn, match=told) if told else contextlib.nullcontext():
        outages.lose_power(["leader", "follower"])
    assert lost == ([] if told else ["broker 1", "broker 2"])


# -- the network ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("leads", [[], ["t-0"]])
def test_a_controller_that_has_come_to_lead_is_relieved_before_it_is_cut_off(monkeypatch, leads) -> None:
    """Who reads from it would get nothing, and that is not promised: it would seem to be a broken promise."""
    did: list[object] = []
    parts = {
        Replication: SimpleNamespace(at_holder=lambda role, fault: fault(node(1), nothing), led_by=lambda node: leads),
        Leads: SimpleNamespace(take_from=lambda node: did.append(f"the lead is taken from {node.label}")),
    }
    parts[Replication].recovered = nothing
    part = CutOff(SimpleNamespace(part=parts.get))
    monkeypatch.setattr(part, "_isolate", lambda node, check: (check(), did.append(f"{node.label} is cut off")))
    if leads:
        with pytest.raises(PassedOn, match="broker 1 has come to lead t-0") as caught:
            part.isolate("controller")
        caught.value.mend()
    else:
        part.isolate("controller")
    assert did == (["the lead is taken from broker 1"] if leads else ["broker 1 is cut off"])


# -- publishers ----------------------------------------------------------------------------------------------------
class Refused:
    """A publisher whose messages are refused so many times."""

    id, counts = 1, {"acknowledged": 0}

    def __init__(self, times: int, retries: int | None) -> None:
        self.times, self.options = times, SimpleNamespace(retries=retries)

    def send_and_wait(self, message: Message, seconds: float) -> Receipt:
        if self.times:
            self.times -= 1
            raise NotAcknowledged(message, Receipt(0, schema.REJECTED, None, None, "NotEnoughReplicasError"))
        return Receipt(1, schema.ACKNOWLEDGED, message.partition, 7, None)


@pytest.mark.parametrize(
    ("times", "retries", "holds"), [(2, 0, True), (10_000, 0, False), (0, None, True), (1, None, False)]
)
def test_a_publisher_that_tries_nothing_again_is_given_another_message(times, retries, holds) -> None:
    """A replica that has just come back may drop out for a moment: that refuses one message, and the work goes on."""
    sending = Sending(Refused(times, retries), ["t"], [("t", 0)], 10)
    if holds:
        sending.publish_everywhere(0.5)
        assert sending.marks == [(("t", 0), 7)]
    else:
        with pytest.raises(Stuck, match=r"publisher 1 does not get on in t-0: .*NotEnoughReplicasError"):
            sending.publish_everywhere(0.5)


def test_what_was_answered_while_a_role_was_looked_up_is_not_under_way_at_the_fault() -> None:
    """Looking up who has a role may take seconds: the fault is to meet messages, not to come after them."""
    checks: list[int] = []
    publisher = SimpleNamespace(id=1, counts={"open": 5})
    load = Load(SimpleNamespace(facts=ScenarioFacts()))
    load._sending = [publisher]

    def nudge() -> None:
        publisher.counts["open"] += 3

    def check() -> None:
        checks.append(publisher.counts["open"])
        if len(checks) == 1:
            publisher.counts["open"] = -3  # all of them are answered

    load._reading = [SimpleNamespace(nudge=nudge, check=nothing)]
    with load.in_the_middle(check=check):
        assert publisher.counts["open"] > 0
    assert len(checks) == 2
    assert load._scene.facts.numbers["under way at the fault, at least"] == publisher.counts["open"]


# -- transactions ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("late", [0, TRIES - 1, TRIES])
def test_a_transaction_that_times_out_before_it_is_what_it_is_to_be_is_followed_by_another(monkeypatch, late) -> None:
    """The broker gives it up two seconds after its begin, whether or not its publisher was as quick."""
    begun: list[str] = []
    closed: list[int] = []
    isolation = Isolation(SimpleNamespace(driver=SimpleNamespace(errors=(KafkaTimeoutError,))))

    def leave_open(**_: object) -> None:
        begun.append(isolation._id)
        number = len(begun)
        isolation._publisher = SimpleNamespace(number=number, close=lambda: closed.append(number))
        isolation._first["t", 0] = len(begun)
        if len(begun) <= late:
            raise KafkaTimeoutError("on purpose")

    monkeypatch.setattr(isolation, "leave_open", leave_open)
    with pytest.raises(KafkaTimeoutError) if late == TRIES else contextlib.nullcontext():
        isolation._leave_open_for(2.0)
    assert len(set(begun)) == len(begun) == min(late + 1, TRIES)
    if late < TRIES:
        assert isolation._open.number == late + 1
        assert isolation._first == {("t", 0): late + 1}
        assert closed == list(range(1, late + 1)), "theirs are to be recorded as aborted"
