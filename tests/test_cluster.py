"""A cluster of three: roles, what takes them over, and the checks of the replication features seen to fail."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest

from integrity import waiting
from integrity.brokers import administration, kraft, probe
from integrity.brokers.base import Broker
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.cluster import Cluster, State, as_cluster
from integrity.clients import DRIVERS, Connection, driver, wire
from integrity.errors import NotPossible
from integrity.faults import process
from integrity.faults.network import Proxy
from integrity.history import schema
from integrity.reports.model import ScenarioFacts
from integrity.scene import Scene
from integrity.scenes import in_sync, leads, load, moves, replicas, replication
from integrity.scenes.load import Load
from integrity.scenes.outages import Outages
from integrity.scenes.replication import Replication
from integrity.scenes.stalls import Stalled
from integrity.settings import Settings
from integrity.waiting import WaitTimeout, nothing, scaled, wait_until
from tests.test_external import behave, cases

TOPIC = "kept"

UNKNOWN_TOPIC = 3


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


@pytest.fixture
def scene(brokers, cluster, tmp_path):
    """One on the cluster, without a topic; whatever is frozen in it runs on afterwards."""
    scene = Scene(cluster, {}, brokers, driver("kafka-python"), tmp_path / "scenario", ScenarioFacts())
    try:
        yield scene
    finally:
        for node in cluster.nodes:
            if node.is_frozen:
                node.thaw()
        scene.close(passed=False)
        cluster.wait_until_whole()


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


@pytest.mark.parametrize("client", DRIVERS)
@pytest.mark.parametrize("change", ["made", "enlarged", "deleted"])
def test_a_topic_is_as_it_was_asked_for_when_every_broker_says_so(run, cluster, client, change):
    """Whichever broker a client asks next: here one of them is behind the others for some answers."""
    name, behind, answers = f"known-{client}-{change}", 3, []

    def is_behind(answer, exchange):
        [topic] = (topic for topic in answer.topics if topic.name == name)
        topic.error_code, topic.partitions = (0, before[name]) if before else (UNKNOWN_TOPIC, [])
        answers.append(topic)

    addresses = {f"broker {node.config.node}": node.bootstrap_servers for node in cluster.nodes}
    with Proxy(run, addresses) as proxy, driver(client).admin(Connection(proxy.bootstrap_servers)) as admin:
        before = {}
        if change != "made":
            admin.create_topic(name, replication=3)
            told = probe.metadata(cluster.any_address(), every_topic=True).topics
            before = {topic.name: topic.partitions for topic in told}
        proxy.rewrite_answer("Metadata", is_behind, link="broker 2", topic=name, times=behind)
        if change == "made":
            admin.create_topic(name, partitions=2, replication=3)
        elif change == "enlarged":
            admin.add_partitions(name, 2)
        else:
            admin.delete_topic(name)
        assert len(answers) == behind
        if change != "deleted":
            admin.delete_topic(name)


def test_delivery_features_hold_on_somebodys_cluster_of_three(cluster, tmp_path):
    """Where each partition has another leader, and a broker may learn of a topic after the others."""
    scenarios = ("-n", "although the connection is cut before a request", "-n", "order in each of many partitions")
    features = ("features/delivery/retries.feature", "features/delivery/order.feature")
    done = behave(tmp_path, "-D", f"bootstrap_servers={cluster.bootstrap_servers}", *scenarios, *features)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(case.find("skipped") is None for case in cases(tmp_path)) == 2


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
    scene, monkeypatch, role, awaited
):
    """Nothing is done to the broker whose loss is waited for. The empty role: that anybody leads in its place."""
    part = scene.part(Replication)
    part.create_topic(1, 3, 2)
    scene.part(Load).publish()
    monkeypatch.setattr(replication, "ROLE_SECONDS", 1.0)
    node = part.holder(role or "leader")
    with pytest.raises(Stalled) as stalled:
        part.hands_over(node, role) if role else part.others_lead(node)
    first, counts, states, *verdict = str(stalled.value).splitlines()
    waited_for = re.escape(awaited.format(number=node.config.node))
    assert re.match(rf"the work does not go on: waited 1\.\d s for {waited_for}, in vain", first), first
    assert counts.startswith("messages of the publishers at work: ")
    assert f"{scene.topics[0]}-0 led by " in states
    assert "acknowledged" in " ".join(verdict)


@pytest.mark.parametrize("in_turn", [False, True], ids=["after a fault", "in a rolling restart"])
def test_a_replica_that_does_not_get_in_sync_again_stalls_the_work(scene, monkeypatch, in_turn):
    """The broker is frozen, which is no end to its being alive, and not thawed before the bound."""
    part = scene.part(Replication)
    part.create_topic(1, 3, 2)
    scene.part(Load).publish()
    node = part.followers()[0]
    monkeypatch.setattr(waiting, "_timeout_factor", 0.05)
    if in_turn:
        monkeypatch.setattr(process, "restart", lambda node, how, while_down, **_: node.freeze())
    else:
        node.freeze()
    with pytest.raises(Stalled) as stalled:
        scene.part(Outages).roll("stopped") if in_turn else part.recovered()
    first, counts, *_ = str(stalled.value).splitlines()
    told = (
        rf"the work does not go on \(last fault: {node.label} frozen\): waited \d\.\d s for every replica to be in sync"
    )
    assert re.match(told, first), first
    assert counts.startswith("messages of the publishers at work: ")


def test_a_message_that_is_not_acknowledged_in_a_partition_stalls_the_work_where_nobody_is_at_it(scene, monkeypatch):
    """With the follower frozen too few are in sync, which a client takes for something that will pass."""
    part = scene.part(Replication)
    topic = part.create_topic(1, 3, 3)
    node = part.followers()[0]
    node.freeze()
    part.wait_for_in_sync(2)
    # A client that begins by asking the frozen one may have no time left for another.
    scene.route = ",".join(each.bootstrap_servers for each in part.cluster.nodes if each is not node)
    monkeypatch.setattr(waiting, "_timeout_factor", 0.05)
    began = time.monotonic()
    with pytest.raises(Stalled, match=rf"publisher \d+ does not get on in {topic}-0: .* was not acknowledged: unknown"):
        scene.part(Load).publish_once_everywhere()
    assert time.monotonic() - began < 20


def test_brokers_have_recovered_when_a_message_was_acknowledged_in_every_partition_where_nobody_is_at_work(scene):
    part = scene.part(Replication)
    topic = part.create_topic(3, 3, 2)
    part.recovered()
    with scene.driver.admin(scene.connection) as admin:
        assert admin.end_offsets([topic]) == {(topic, number): 1 for number in range(3)}


def test_brokers_that_are_whole_have_recovered_only_when_everybody_at_work_gets_on(scene, monkeypatch):
    """They are reachable and in sync, and refuse every message."""
    part, work = scene.part(Replication), scene.part(Load)
    topic = part.create_topic(1, 3, 2)
    work.publish()
    part.recovered()
    with scene.driver.admin(scene.connection) as admin:
        admin.set_configs(topic, {"max.message.bytes": "1"})
    # In order: whatever was acknowledged before has been counted by then.
    wait_until(lambda: work.rejected, what="messages to be refused", seconds=20, check=work.check)
    monkeypatch.setattr(load, "PROGRESS_SECONDS", 1.0)
    with pytest.raises(Stalled, match=r"waited .* for every publisher and reader at work to get on"):
        part.recovered()


def test_replicas_that_do_not_drop_out_of_sync_stall_the_work(scene, monkeypatch):
    """Nothing is done to them, and that one of three drops out is waited for."""
    part = scene.part(Replication)
    part.create_topic(1, 3, 2)
    monkeypatch.setattr(replication, "ROLE_SECONDS", 0.5)
    with pytest.raises(Stalled, match=r"waited .* for 2 replicas to be in sync, in vain: "):
        part.wait_for_in_sync(2)


def test_replicas_that_are_to_be_compared_and_do_not_get_in_sync_stall_the_work(scene, monkeypatch):
    monkeypatch.setattr(Cluster, "wait_until_whole", lambda *_: _waits_in_vain())
    with pytest.raises(Stalled, match="for every replica to be in sync"):
        replicas.require_alike(scene)
    monkeypatch.undo()


def _tells_nothing() -> dict:
    return {}


def _waits_in_vain() -> None:
    raise WaitTimeout("waited for every replica to be in sync, in vain")


@pytest.mark.parametrize(
    ("change", "by", "prevented", "instead", "awaited"),
    [
        (moves.pass_the_lead_on, Cluster, "states", _tells_nothing, "somebody to tell where the replicas of topic-"),
        (moves.pass_the_lead_on, administration, "move_replicas", nothing, r"broker \d to be the one that should lead"),
        (moves.pass_the_lead_on, Cluster, "wait_until_whole", _waits_in_vain, "every replica to be in sync"),
        (moves.pass_the_lead_on, administration, "elect_preferred", nothing, r"broker \d to be elected, and to lead"),
        (moves.move_replicas, Cluster, "states", _tells_nothing, "somebody to tell where the replicas of topic-"),
        (moves.move_replicas, administration, "move_replicas", nothing, "the replicas to be moved to "),
        (moves.add_partitions, Cluster, "wait_until_whole", _waits_in_vain, "every replica to be in sync"),
        (moves.add_partitions, Load, "publish", nothing, "messages in every partition"),
    ],
)
def test_a_change_that_the_brokers_do_not_carry_out_stalls_the_work(
    scene, monkeypatch, change, by, prevented, instead, awaited
):
    """Nothing of it is done, so that what is waited for does not come."""
    scene.part(Replication).create_topic(1, 3, 2)
    for module, bound in ((leads, "ROLE"), (moves, "SYNC"), (moves, "PROGRESS")):
        monkeypatch.setattr(module, f"{bound}_SECONDS", 0.5)
    monkeypatch.setattr(by, prevented, lambda *_: instead())
    with pytest.raises(Stalled, match=rf"the work does not go on.*: waited .*for {awaited}"):
        change(scene, 1) if change is moves.add_partitions else change(scene)


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


def test_a_broker_with_two_roles_has_both_when_it_is_taken_down(scene, monkeypatch):
    """They may part while clients begin their work, on a busy machine; then the fault is another one."""
    part = scene.part(Replication)
    part.create_topic(1, 3, 2, led_by_controller=True)
    assert part.holder(replication.BOTH) is part.cluster.controller()
    other = part.followers()[0]
    monkeypatch.setattr(Cluster, "controller", lambda cluster: other)
    with pytest.raises(process.FaultNotProven, match="leads, and another broker has become the controller"):
        part.holder(replication.BOTH)
    # The controller leads again before they are looked up again.
    assert part.at_holder(replication.BOTH, lambda node, check: (check(), node)[1]) is other is part.leader()


@pytest.fixture
def passing(scene, monkeypatch) -> Callable[[int], list[tuple[Broker, Broker]]]:
    """Makes the lead of the scene's topic pass to the first follower while a fault waits for what it is to meet.

    That happens so many times. Returns those to whom something was then to be done, each with who led at that moment;
    nothing is done to them.
    """
    part, struck = scene.part(Replication), []

    def prepare(times: int) -> list[tuple[Broker, Broker]]:
        topic, left = part.create_topic(1, 3, 2), times

        def pass_on(_: Load, met: Callable[[], bool], *__) -> None:
            """While it is waited for; then nothing is, as nobody is at work."""
            nonlocal left
            if left:
                left -= 1
                wanted = [node.config.node for node in (*part.followers(), part.leader())]
                administration.move_replicas(part.cluster.any_address(), topic, {0: wanted})
                part.wait_for_state(lambda state: list(state.replicas) == wanted, "other replicas")
                administration.elect_preferred(part.cluster.any_address(), topic, [0])
                part.wait_for_state(lambda state: state.leader == wanted[0], "another leader")
            assert met()

        def strike(node: Broker, *_, in_the_middle_of: contextlib.AbstractContextManager, **__) -> SimpleNamespace:
            with in_the_middle_of:
                struck.append((node, part.leader()))
            return SimpleNamespace(took=0.0)

        monkeypatch.setattr(Load, "_wait", pass_on)
        monkeypatch.setattr(process, "restart", strike)
        monkeypatch.setattr(process, "freeze_and_thaw", lambda *given, **named: strike(*given, **named).took)
        monkeypatch.setitem(process.WAYS_DOWN, "killed", lambda node: strike(node, in_the_middle_of=process.NOTHING))
        return struck

    return prepare


@pytest.mark.parametrize(
    ("role", "fault"),
    [
        ("leader", lambda scene, role: scene.part(Replication).restart(role, "killed")),
        ("leader", lambda scene, role: scene.part(Replication).freeze(role)),
        ("leader", lambda scene, role: scene.part(Replication).storm(role, 1)),
        ("follower", lambda scene, role: scene.part(Replication).restart(role, "stopped")),
        ("follower", lambda scene, role: in_sync.refuse_for_a_while(scene)),
    ],
    ids=["killed", "frozen", "in a storm", "a follower", "too few in sync"],
)
def test_whoever_has_lost_the_role_before_the_fault_is_let_be(scene, passing, role, fault):
    """On a busy machine the lead may pass on while a fault waits for messages under way."""
    struck = passing(1)
    fault(scene, role)
    ((node, leader),) = struck
    assert (node is leader) == (role == "leader")


def test_a_role_that_passes_on_again_and_again_is_no_broken_promise(scene, passing):
    struck = passing(replication.LOOKS)
    told = r"broker \d was to be met as the leader, and is not that any more: that is broker \d"
    with pytest.raises(process.FaultNotProven, match=told):
        scene.part(Replication).restart("leader", "killed")
    assert struck == []


def test_leader_and_follower_are_two_brokers_when_both_lose_their_power(scene, passing, monkeypatch):
    """Who leads is asked before who follows; one that has passed the lead on in between would be taken for both."""
    struck, part, roles = passing(0), scene.part(Replication), dict(replication.ROLES)
    cuts = []
    leader, follower = part.leader(), part.followers()[0]
    monkeypatch.setattr(Outages, "cut", lambda outages, node: cuts.append(node))
    monkeypatch.setattr(process, "bring_back", lambda node: None)
    monkeypatch.setattr(Broker, "refuses_connections", lambda node: True)
    looks = iter([leader])
    monkeypatch.setitem(replication.ROLES, "follower", lambda part: next(looks, None) or roles["follower"](part))
    scene.part(Outages).lose_power(["leader", "follower"])
    assert cuts == [leader, follower]
    assert {node for node, _ in struck} == set(cuts)
