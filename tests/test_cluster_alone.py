"""A cluster, its replicas and what is expected of them in outages, as stand-ins show it: no Kafka in here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from integrity.brokers.base import Broker, BrokerConfig
from integrity.brokers.cluster import Cluster, State
from integrity.faults import process
from integrity.history.on_disk import Row
from integrity.reports.model import ScenarioFacts
from integrity.scenes import in_sync, replicas, replication
from integrity.scenes.copying import Copying
from integrity.scenes.gate import Gate
from integrity.scenes.load import Load
from integrity.scenes.outages import Outages
from integrity.scenes.replicas import _differences
from integrity.scenes.replication import Replication
from integrity.scenes.stalls import Stalled
from integrity.waiting import WaitTimeout, nothing


def _waits_in_vain() -> None:
    raise WaitTimeout("waited for every replica to be in sync, in vain")


def test_the_newest_account_counts():
    old = State(1, 3, (1, 2, 3), frozenset({1, 2, 3}))
    shrunk = State(1, 3, (1, 2, 3), frozenset({1, 2}))
    moved = State(2, 4, (1, 2, 3), frozenset({2, 3}))
    assert shrunk.outdates(old)
    assert not old.outdates(shrunk)
    assert moved.outdates(shrunk)
    assert not shrunk.outdates(moved)


def test_each_node_is_done_something_to_even_when_one_fails():
    done = []

    def work(node: Broker) -> None:
        done.append(node.label)
        if node.label == "broker 1":
            raise OSError("no")

    nodes = [SimpleNamespace(label=f"broker {n}", kind="embedded", config=BrokerConfig(node=n)) for n in (1, 2, 3)]
    with pytest.raises(OSError, match="no"):
        Cluster(nodes).each(work)
    assert sorted(done) == ["broker 1", "broker 2", "broker 3"]


class _Node:
    """A broker that cannot be discarded while it ``resists``."""

    kind = "embedded"
    bootstrap_servers = "127.0.0.1:1"
    closing_seconds = 0.0
    resists = False
    discarded = 0

    def __init__(self, number: int) -> None:
        self.config = BrokerConfig(node=number)
        self.label = self.config.label
        self.did: list[str] = []

    def refuses_connections(self) -> bool:
        return True

    def _discard(self) -> None:
        self.discarded += 1
        if self.resists:
            raise OSError(f"{self.label} resists")


class _Network:
    """One that cannot be closed while it ``resists``."""

    resists = False
    closed = 0

    def close(self) -> None:
        self.closed += 1
        if self.resists:
            raise OSError("the network resists")


def test_a_network_that_could_not_be_closed_is_closed_when_its_brokers_are_discarded_again():
    nodes, network = [_Node(1), _Node(2)], _Network()
    cluster = Cluster(nodes, network)
    network.resists = True
    with pytest.raises(OSError, match="the network resists"):
        cluster.discard()
    network.resists = False
    cluster.discard()
    cluster.discard()
    assert network.closed == 2


def test_the_network_of_brokers_that_cannot_be_discarded_is_closed_and_theirs_is_the_error():
    """Protects from a network's error, mostly their consequence, in place of theirs."""
    nodes, network = [_Node(1), _Node(2)], _Network()
    cluster = Cluster(nodes, network)
    nodes[0].resists = network.resists = True
    with pytest.raises(OSError, match="broker 1 resists") as caught:
        cluster.discard()
    assert caught.value.__notes__ == ["nor could their network be closed: the network resists"]
    assert nodes[1].discarded == 1
    nodes[0].resists = network.resists = False
    cluster.discard()
    assert network.closed == 2


def test_replicas_that_differ_are_told_apart():
    same = [(Row("t", 0, 0, 1, 0), 0xAB), (Row("t", 0, 1, 1, 1), 0xAB)]
    other = [(Row("t", 0, 0, 1, 0), 0xAB), (Row("t", 0, 1, 2, 0), 0xAB)]
    both = {("t", 0): ["broker 1", "broker 2"]}
    assert _differences({"broker 1": {("t", 0): same}, "broker 2": {("t", 0): list(same)}}, both) == []
    assert _differences({"broker 1": {("t", 0): same}, "broker 2": {("t", 0): other}}, both) == [
        "t-0: broker 1 has message 1 of publisher 1 at offset 1 (batch 000000ab), "
        "broker 2 has message 0 of publisher 2 at offset 1 (batch 000000ab)"
    ]
    changed = [same[0], (same[1][0], 0xCD)]
    assert _differences({"broker 1": {("t", 0): same}, "broker 2": {("t", 0): changed}}, both) == [
        "t-0: broker 1 has message 1 of publisher 1 at offset 1 (batch 000000ab), "
        "broker 2 has message 1 of publisher 1 at offset 1 (batch 000000cd)"
    ]
    assert _differences({"broker 1": {("t", 0): same}, "broker 2": {("t", 0): same[:1]}}, both) == [
        "t-0: broker 1 has message 1 of publisher 1 at offset 1 (batch 000000ab), broker 2 has nothing more"
    ]


def test_a_replica_that_has_nothing_at_all_differs_from_one_that_has_something():
    """It is in no file of that broker's, and differs the most."""
    held = {"broker 1": {}, "broker 2": {("t", 0): [(Row("t", 0, 0, 1, 0), 0xAB)]}, "broker 3": {}}
    assert _differences(held, {("t", 0): ["broker 1", "broker 2"]}) == [
        "t-0: broker 1 has nothing more, broker 2 has message 0 of publisher 1 at offset 0 (batch 000000ab)"
    ]
    assert _differences(held, {("t", 0): ["broker 2"]}) == [], "the others have no replica of it"


def test_replicas_that_never_agree_are_a_failure(monkeypatch):
    told = True

    class Node:
        def __init__(self, label: str) -> None:
            self.label = label

        @contextlib.contextmanager
        def look(self):
            yield Path(self.label)

    nodes = [Node("broker 1"), Node("broker 2")]
    whole = SimpleNamespace(
        nodes=nodes,
        node=lambda number: nodes[number - 1],
        states=lambda topics: {("t", 0): State(1, 0, (1, 2), frozenset({1, 2}))} if told else {},
        wait_until_whole=lambda: None,
        check_alive=lambda: None,
    )
    at_work = SimpleNamespace(wait_until_whole=lambda: None)
    monkeypatch.setattr(replicas, "as_cluster", lambda _: whole)
    monkeypatch.setattr(replicas, "CATCH_UP_SECONDS", 0.2)
    rows = {"broker 1": [(Row("t", 0, 0, 1, 0), 0xAB)], "broker 2": [(Row("t", 0, 0, 1, 7), 0xAB)]}
    monkeypatch.setattr(replicas.on_disk, "copies", lambda directory, topics: iter(rows[directory.name]))
    scene = SimpleNamespace(broker=None, topics=["t"], partitions={"t": 1}, part=lambda kind: at_work)
    with pytest.raises(AssertionError, match="broker 2 has message 7 of publisher 1 at offset 0"):
        replicas.require_alike(scene)
    rows["broker 2"] = rows["broker 1"]
    replicas.require_alike(scene)
    told = False
    with pytest.raises(AssertionError, match="nobody tells where every partition has its replicas"):
        replicas.require_alike(scene)


def test_an_acknowledgement_by_too_few_is_a_failure(monkeypatch):
    class Load:
        """Refuses some, and acknowledges one, whenever it is looked at."""

        rejected = acknowledged = open = 0

        def meeting(self, how: str, check: Callable[[], None]) -> contextlib.AbstractContextManager:
            return contextlib.nullcontext()

        def check(self) -> None:
            """Nothing went wrong by itself."""

    load = Load()

    def refusals(scene) -> None:
        load.acknowledged += 1

    node = SimpleNamespace(label="broker 2")
    replication = SimpleNamespace(
        state=lambda: State(1, 0, (1, 2, 3), frozenset({1, 2, 3})),
        at_holder=lambda role, fault: fault(node, nothing),
        wait_for_in_sync=lambda count: None,
        recovered=lambda: None,
    )
    scene = SimpleNamespace(part=lambda kind: load if kind is in_sync.Load else replication)
    with monkeypatch.context() as briefly:
        briefly.setattr(in_sync, "ROLE_SECONDS", 0.1)
        briefly.setattr(in_sync.process, "restart", lambda node, how, while_down, **_: while_down())
        with pytest.raises(AssertionError, match=r"and publishing is not refused: waited .* 0 refused, 0 acknow"):
            in_sync.refuse_for_a_while(scene)
    monkeypatch.setattr(in_sync, "_wait_for_refusals", refusals)
    monkeypatch.setattr(in_sync.process, "restart", lambda node, how, while_down, **_: while_down())
    with pytest.raises(AssertionError, match="1 messages were acknowledged by too few"):
        in_sync.refuse_for_a_while(scene)
    replication.wait_for_in_sync = lambda count: setattr(load, "acknowledged", load.acknowledged + 1)
    monkeypatch.setattr(in_sync, "_wait_for_refusals", lambda scene: None)
    with pytest.raises(AssertionError, match="1 messages were acknowledged that were sent after broker 2 was killed"):
        in_sync.refuse_for_a_while(scene)
    replication.wait_for_in_sync = lambda count: None
    load.errors = lambda: {"RequestTimedOutError: 7": 100}
    with pytest.raises(AssertionError, match="refused, but not as too few replicas are in sync: "):
        in_sync.refuse_for_a_while(scene)


def test_a_broker_that_has_two_of_the_roles_loses_its_power_once(monkeypatch):
    """Twice started it would be two processes on one disk; and the second time there is nothing left to lose."""
    nodes = [_Node(1), _Node(2)]
    holders = {"leader": nodes[0], "follower": nodes[1], "controller": nodes[0]}
    replication = SimpleNamespace(
        at_holders=lambda roles, fault: fault([holders[role] for role in roles], nothing),
        cluster=Cluster(nodes),
        recovered=lambda: None,
        meeting=lambda how, check: contextlib.nullcontext(),
    )
    outages = Outages(SimpleNamespace(part=lambda kind: replication))
    monkeypatch.setitem(process.WAYS_DOWN, "killed", lambda node: node.did.append("killed"))
    monkeypatch.setattr(process, "bring_back", lambda node: node.did.append("started"))
    monkeypatch.setattr(outages, "cut", lambda node: node.did.append("cut"))
    outages.lose_power(["leader", "follower", "controller"])
    assert [node.did for node in nodes] == [["killed", "cut", "started"]] * 2
    outages.lose_power_everywhere()
    assert [node.did for node in nodes] == [["killed", "cut", "started"] * 2] * 2


def test_the_work_has_to_go_on_after_each_broker_of_a_rolling_restart(monkeypatch):
    """Seen only in the end, it may have gone on for no more than the last broker's sake."""
    did = []
    nodes = [_Node(1), _Node(2), _Node(3)]
    replication = SimpleNamespace(
        cluster=Cluster(nodes),
        followers=lambda: nodes[1:],
        goes_on_without=lambda node: did.append(f"without {node.label}"),
        recovered=lambda: did.append("recovered"),
        meeting=contextlib.nullcontext,
    )
    monkeypatch.setattr(process, "restart", lambda node, how, while_down, **_: (did.append("down"), while_down()))
    outages = Outages(SimpleNamespace(part=lambda kind: replication))
    outages.roll(
        "stopped",
        before_each=lambda: did.append("held"),
        once_down=lambda: did.append("let go"),
        after_each=lambda: did.append("seen to go on"),
    )
    assert did == [
        each
        for number in (2, 3, 1)
        for each in ("held", "down", "let go", f"without broker {number}", "recovered", "seen to go on")
    ]


def test_every_broker_is_rolled_once_when_the_lead_passes_on_meanwhile(monkeypatch):
    """Asked for twice, who leads may be another one the second time: that one went down twice, and the first never."""
    nodes, down = [_Node(1), _Node(2), _Node(3)], []
    replication = SimpleNamespace(
        cluster=Cluster(nodes),
        followers=lambda: nodes[1:],
        leader=lambda: nodes[1],
        recovered=nothing,
        meeting=contextlib.nullcontext,
    )
    monkeypatch.setattr(process, "restart", lambda node, how, **_: down.append(node.label))
    Outages(SimpleNamespace(part=lambda kind: replication)).roll("stopped")
    assert down == ["broker 2", "broker 3", "broker 1"]


def test_brokers_are_killed_while_every_copier_is_in_a_transaction_and_let_it_go_on_at_once():
    """A kill between two transactions would prove nothing of them, and one that is held cannot go on."""
    seen = []

    class Killed:
        def roll(self, how: str, before_each, once_down, after_each) -> None:
            for _ in range(2):
                before_each()
                seen.append([copier.gate.is_waited_at for copier in copiers])
                once_down()
                after_each()

    class Copier(SimpleNamespace):
        def __init__(self) -> None:
            super().__init__(gate=Gate(), check=lambda: None, words=str, is_over=False)
            self.thread = threading.Thread(target=self.work)
            self.thread.start()

        def work(self) -> None:
            while not self.is_over:
                self.gate.wait(10)

    copiers = [Copier(), Copier()]
    parts = {Outages: Killed(), Load: SimpleNamespace(going_on=contextlib.nullcontext, check=lambda: None)}
    copying = Copying(SimpleNamespace(part=parts.get))
    copying._copiers, copying._wait_for_more = copiers, lambda: None
    try:
        copying._kill_every_broker()
    finally:
        for copier in copiers:
            copier.is_over = True
            copier.gate.open()
            copier.thread.join(10)
    assert seen == [[True, True]] * 2


@pytest.mark.parametrize("at", ["when it is looked up", "right before the fault"])
def test_a_partition_that_nobody_comes_to_lead_stalls_the_work_and_is_no_error_of_the_suite(monkeypatch, at):
    """Every broker is up, and they are to have a leader: that they do not is a promise that they break."""
    waits = iter([nothing] * (at != "when it is looked up") + [_waits_in_vain])
    scene = SimpleNamespace(
        broker=SimpleNamespace(), facts=ScenarioFacts(), note=lambda *_: None, workers=[], verdict=_waits_in_vain
    )
    at_work = Load(scene)
    scene.part = lambda kind: at_work
    part, node = Replication(scene), _Node(1)

    def leads(_: Replication) -> _Node:
        next(waits)()
        return node

    monkeypatch.setitem(replication.ROLES, "leader", leads)
    with pytest.raises(Stalled, match="the work does not go on: waited for every replica"):
        part.at_holder("leader", lambda node, check: check())


@pytest.mark.parametrize(
    ("stands", "told"),
    [
        (State(2, 5, (1, 2, 3), frozenset({1, 2, 3})), "led by 2 in epoch 5"),
        (State(-1, 5, (1, 2, 3), frozenset({1, 2, 3})), "led by -1 in epoch 5"),
        (State(1, 5, (1, 2, 3), frozenset({1, 3})), r"in sync \[1, 3\] of \[1, 2, 3\]"),
    ],
    ids=["it leads", "it may come to lead", "it is given up already"],
)
def test_a_follower_is_one_that_somebody_leads_and_waits_for(monkeypatch, stands, told):
    part = Replication(SimpleNamespace())
    monkeypatch.setattr(Replication, "state", lambda part: stands)
    words = f"broker 2 was to be met as the follower, and is not that any more: the partition is .*{told}"
    with pytest.raises(process.FaultNotProven, match=words):
        part._require({"follower": _Node(2)})
    if stands.leader > 0:
        part._require({"follower": _Node(3)})


def test_a_partition_that_nobody_leads_had_no_other_leader_by_this_fault(monkeypatch):
    states = {("t", 0): State(-1, 4, (1, 2), frozenset({2})), ("t", 1): State(1, 0, (1, 2), frozenset({1, 2}))}
    cluster = SimpleNamespace(states=lambda topics: states)
    monkeypatch.setattr(Replication, "cluster", cluster)
    assert Replication(SimpleNamespace(topics=["t"])).led_by(_Node(1)) == ["t-1"]


def test_that_a_broker_led_nothing_is_no_broken_promise():
    part = Replication(SimpleNamespace())
    with pytest.raises(process.FaultNotProven, match="led none of the partitions at that moment"):
        part.require_other_leaders()
    part.had_other_leaders.add("t-0")
    part.require_other_leaders()


def test_brokers_that_were_all_down_are_waited_for_as_those_whose_work_has_to_go_on(monkeypatch):
    """The start of a cluster as a whole waits for every replica as well: in vain, that would be the suite's error."""
    nodes = [_Node(1), _Node(2)]

    def recovered() -> None:
        for node in nodes:
            node.did.append("recovered")

    replication = SimpleNamespace(
        cluster=Cluster(nodes), recovered=recovered, meeting=lambda how, check: contextlib.nullcontext()
    )
    monkeypatch.setattr(replication.cluster, "start", _waits_in_vain)
    monkeypatch.setitem(process.WAYS_DOWN, "killed", lambda node: node.did.append("killed"))
    monkeypatch.setattr(process, "bring_back", lambda node: node.did.append("started"))
    Outages(SimpleNamespace(part=lambda kind: replication)).take_all_down("killed")
    assert [node.did for node in nodes] == [["killed", "started", "recovered"]] * 2
