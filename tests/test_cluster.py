"""A cluster of three: roles, what takes them over, and the checks of the replication features seen to fail."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from integrity.brokers import administration, kraft
from integrity.brokers.base import Broker, BrokerConfig
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.cluster import Cluster, State, as_cluster
from integrity.clients import Connection, driver, wire
from integrity.errors import NotPossible
from integrity.faults import process
from integrity.history import schema
from integrity.history.on_disk import Row
from integrity.reports.model import ScenarioFacts
from integrity.scene import Scene
from integrity.scenes import in_sync, replicas, replication
from integrity.scenes.load import Load
from integrity.scenes.outages import Outages
from integrity.scenes.replicas import _differences
from integrity.scenes.replication import Replication
from integrity.scenes.stalls import Stalled
from integrity.settings import Settings
from integrity.waiting import WaitTimeout, scaled, wait_until

TOPIC = "kept"


@pytest.fixture(scope="module")
def brokers(run, kafka):
    brokers = Brokers(Settings(broker="embedded"), Choice("embedded", "for tests"), run)
    yield brokers
    brokers.discard_all()


@pytest.fixture(scope="module")
def cluster(brokers):
    """Three brokers over a network that can be cut; every test leaves them whole."""
    cluster = brokers.create_cluster(severable=True)
    cluster.start()
    administration.create_topic(cluster.any_address(), TOPIC, [[1, 2, 3]], {"min.insync.replicas": "2"})
    cluster.wait_until_whole()
    return cluster


def test_a_single_broker_for_librdkafka_is_given_up_later(run, kafka):
    """librdkafka never comes back to brokers that it was told once are not there; a busy machine must not do that."""
    brokers = Brokers(Settings(broker="embedded", client="confluent-kafka"), Choice("embedded", "for tests"), run)
    try:
        broker = brokers.create({"num.io.threads": "2"})
        assert broker.config.settings == {"broker.session.timeout.ms": "3000", "num.io.threads": "2"}
    finally:
        brokers.discard_all()


def test_brokers_of_a_cluster_wait_for_each_other_for_seconds_at_most():
    """Kafka's own bounds are up to 30 s: for so long one that was cut off would know nothing when it is back."""
    bounds = {name: int(kraft.defaults(3)[name]) for name in kraft.GIVING_UP}
    assert "socket.connection.setup.timeout.max.ms" in bounds
    assert not {name: bound for name, bound in bounds.items() if bound > 3000 * max(1.0, scaled(1.0))}


def test_every_node_is_registered_and_every_replica_in_sync(cluster):
    assert cluster.is_usable()
    assert cluster.registered() == {1, 2, 3}
    assert cluster.states([TOPIC])[TOPIC, 0] == State(1, 0, (1, 2, 3), frozenset({1, 2, 3}))
    assert cluster.leader(TOPIC) is cluster.node(1)
    assert cluster.controller() in cluster.nodes
    assert len(cluster.bootstrap_servers.split(",")) == 3


def test_it_listens_on_loopback_only(cluster):
    for node in cluster.nodes:
        connections = psutil.Process(node._process.pid).net_connections()
        listening = {c.laddr.ip.removeprefix("::ffff:") for c in connections if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}


def test_the_others_take_over_from_a_killed_leader_which_comes_back_at_the_same_address(cluster):
    heard = []
    cluster.listener = lambda subject, what, detail: heard.append((subject, what))
    leader, address = cluster.leader(TOPIC), cluster.bootstrap_servers
    leader.kill()
    wait_until(lambda: cluster.leader(TOPIC) is not leader, what="another leader", seconds=20)
    assert not cluster.is_usable()
    leader.start()
    cluster.wait_until_whole()
    assert cluster.bootstrap_servers == address
    assert heard == [(leader.label, what) for what in ("killed", "started", "ready")]


def test_a_leader_that_is_cut_off_is_replaced_and_takes_part_again(cluster):
    leader = cluster.leader(TOPIC)
    cluster.isolate(leader)
    try:
        wait_until(lambda: cluster.leader(TOPIC) is not leader, what="another leader", seconds=20)
        assert leader.is_usable()  # clients reach it all the time
        wait_until(lambda: cluster.controller() is not leader, what="a controller among the others", seconds=20)
    finally:
        cluster.heal()
    cluster.wait_until_whole()
    assert cluster.leader(TOPIC) is not leader


@pytest.mark.parametrize(
    ("role", "awaited"),
    [
        ("leader", "another leader than broker {number}"),
        ("controller", "another controller than broker {number}"),
        ("follower", "the replica on broker {number} to be out of sync"),
        ("", "the others to take over from broker {number}"),
    ],
)
def test_who_is_not_given_up_or_followed_stalls_the_work_and_is_no_error_of_the_suite(
    brokers, cluster, tmp_path, monkeypatch, role, awaited
):
    """Nothing is done to the broker whose loss is waited for. The empty role: that anybody leads in its place."""
    scene = Scene(cluster, {}, brokers, driver("kafka-python"), tmp_path / "scenario", ScenarioFacts())
    part = scene.part(Replication)
    try:
        part.create_topic(1, 3, 2)
        scene.part(Load).publish()
        monkeypatch.setattr(replication, "ROLE_SECONDS", 1.0)
        node = part.holder(role or "leader")
        with pytest.raises(Stalled) as stalled:
            part.hands_over(node, role) if role else part.others_lead(node)
    finally:
        scene.close(passed=False)
    first, counts, states, *verdict = str(stalled.value).splitlines()
    waited_for = re.escape(awaited.format(number=node.config.node))
    assert re.match(rf"the work does not go on: waited 1\.\d s for {waited_for}, in vain", first), first
    assert counts.startswith("messages of the publishers at work: ")
    assert f"{scene.topics[0]}-0 led by " in states
    assert "acknowledged" in " ".join(verdict)


def test_a_cluster_is_whole_when_every_broker_knows_every_topic(cluster):
    """A broker that was cut off is content with what it knew; a client that asks it would not find the newer topic."""
    behind = next(node for node in cluster.nodes if node is not cluster.controller())
    others = [node.config.node for node in cluster.nodes if node is not behind]
    cluster.isolate(behind)
    try:
        administration.create_topic(cluster.any_address(), "newer", [others], {})
        with pytest.raises(WaitTimeout) as told:
            cluster.wait_until_whole(0.2)  # before it is given up by the others
    finally:
        cluster.heal()
    cluster.wait_until_whole()
    for node in cluster.nodes:
        assert wire.missing(node.bootstrap_servers, {}, ["newer"]) == []
    assert f"newer-0 is not known, by the account of {behind.label}" in str(told.value)


def test_a_leader_that_never_answers_holds_a_transaction_up_for_some_seconds_only(cluster):
    """A killed container refuses nothing. By default its coordinator waits half a minute for such a leader's answer."""
    administration.create_topic(cluster.any_address(), "marked", [[1, 2, 3], [2, 3, 1], [3, 1, 2]], {})
    cluster.wait_until_whole()
    with driver("kafka-python").publisher(
        Connection(cluster.bootstrap_servers), transactional_id="marked", delivery_timeout=60.0
    ) as publisher:
        unanswered = cluster._network._proxy.drop_request("WriteTxnMarkers")
        began = time.monotonic()
        # Its outcome is told before it is marked in the partitions; the next one waits for that.
        for _ in range(2):
            publisher.begin()
            publisher.publish("marked", 3, partitions=[0, 1, 2])
            assert publisher.flush(40) == 0, "the coordinator still waits"
            assert publisher.commit() == schema.COMMITTED
    assert unanswered.count == 1
    assert time.monotonic() - began < 15


def test_the_cluster_says_no_in_words(cluster):
    with pytest.raises(administration.Refused, match="TopicAlreadyExists"):
        administration.create_topic(cluster.any_address(), TOPIC, [[1, 2, 3]], {})


def test_what_needs_three_brokers_is_not_possible_with_one(broker):
    with pytest.raises(NotPossible, match="three brokers"):
        as_cluster(broker)


def test_a_network_that_cannot_be_cut_is_said_to_be_one(brokers):
    plain = brokers.create_cluster()
    try:
        with pytest.raises(NotPossible, match="cannot be cut"):
            plain.isolate(plain.node(1))
    finally:
        brokers.discard(plain)


# -- without brokers --------------------------------------------------------------------------------------
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
    same = [Row("t", 0, 0, 1, 0), Row("t", 0, 1, 1, 1)]
    other = [Row("t", 0, 0, 1, 0), Row("t", 0, 1, 2, 0)]
    assert _differences({"broker 1": {("t", 0): same}, "broker 2": {("t", 0): list(same)}}) == []
    assert _differences({"broker 1": {("t", 0): same}, "broker 2": {("t", 0): other}}) == [
        "t-0: broker 1 has message 1 of publisher 1 at offset 1, broker 2 has message 0 of publisher 2 at offset 1"
    ]
    assert _differences({"broker 1": {("t", 0): same}, "broker 2": {("t", 0): same[:1]}}) == [
        "t-0: broker 1 has message 1 of publisher 1 at offset 1, broker 2 has nothing more"
    ]


def test_replicas_that_never_agree_are_a_failure(monkeypatch):
    class Node:
        def __init__(self, label: str) -> None:
            self.label = label

        @contextlib.contextmanager
        def look(self):
            yield Path(self.label)

    nodes = [Node("broker 1"), Node("broker 2")]
    whole = SimpleNamespace(nodes=nodes, wait_until_whole=lambda: None, check_alive=lambda: None)
    monkeypatch.setattr(replicas, "as_cluster", lambda _: whole)
    monkeypatch.setattr(replicas, "CATCH_UP_SECONDS", 0.2)
    rows = {"broker 1": [Row("t", 0, 0, 1, 0)], "broker 2": [Row("t", 0, 0, 1, 7)]}
    monkeypatch.setattr(replicas.on_disk, "records", lambda directory, topics: iter(rows[directory.name]))
    with pytest.raises(AssertionError, match="broker 2 has message 7 of publisher 1 at offset 0"):
        replicas.require_alike(SimpleNamespace(broker=None, topics=["t"]))


def test_an_acknowledgement_by_too_few_is_a_failure(monkeypatch):
    class Load:
        """Refuses some, and acknowledges one, whenever it is looked at."""

        rejected = acknowledged = 0

        def check(self) -> None:
            """Nothing went wrong by itself."""

    load = Load()

    def refusals(scene) -> None:
        load.acknowledged += 1

    node = SimpleNamespace(label="broker 2")
    replication = SimpleNamespace(
        state=lambda: State(1, 0, (1, 2, 3), frozenset({1, 2, 3})),
        holder=lambda role: node,
        wait_for_in_sync=lambda count: None,
        recovered=lambda: None,
    )
    scene = SimpleNamespace(part=lambda kind: load if kind is in_sync.Load else replication)
    monkeypatch.setattr(in_sync, "_wait_for_refusals", refusals)
    monkeypatch.setattr(in_sync.process, "restart", lambda node, how, while_down: while_down())
    with pytest.raises(AssertionError, match="1 messages were acknowledged by too few"):
        in_sync.refuse_for_a_while(scene)
    monkeypatch.setattr(in_sync, "_wait_for_refusals", lambda scene: None)
    load.errors = lambda: {"RequestTimedOutError: 7": 100}
    with pytest.raises(AssertionError, match="refused, but not as too few replicas are in sync: "):
        in_sync.refuse_for_a_while(scene)


def test_a_broker_that_has_two_of_the_roles_loses_its_power_once(monkeypatch):
    """Twice started it would be two processes on one disk; and the second time there is nothing left to lose."""
    nodes = [_Node(1), _Node(2)]
    holders = {"leader": nodes[0], "follower": nodes[1], "controller": nodes[0]}
    replication = SimpleNamespace(holder=holders.get, cluster=Cluster(nodes), recovered=lambda: None)
    outages = Outages(SimpleNamespace(part=lambda kind: replication))
    monkeypatch.setitem(process.WAYS_DOWN, "killed", lambda node: node.did.append("killed"))
    monkeypatch.setattr(Broker, "start", lambda node: node.did.append("started"))
    monkeypatch.setattr(outages, "cut", lambda node: node.did.append("cut"))
    outages.lose_power(["leader", "follower", "controller"])
    assert [node.did for node in nodes] == [["killed", "cut", "started"]] * 2
    outages.lose_power_everywhere()
    assert [node.did for node in nodes] == [["killed", "cut", "started"] * 2] * 2
