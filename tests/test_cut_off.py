"""What the features on a network that is cut check: that it was cut, and what a leader alone had, each seen to fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integrity import waiting
from integrity.brokers.base import BrokerConfig
from integrity.brokers.cluster import Cluster
from integrity.clients import Connection, Message, NotAcknowledged, Receipt
from integrity.faults.network import ProxyFailed, between
from integrity.faults.network.fault import Fault
from integrity.faults.process import FaultNotProven
from integrity.history.schema import TABLES, UNKNOWN
from integrity.scenes import cut_off as scenes_cut_off
from integrity.scenes.cut_off import CutOff
from integrity.scenes.following import Following
from integrity.scenes.load import Load
from integrity.scenes.replication import PassedOn, Replication
from integrity.scenes.sending import MOST_UNSETTLED, Sending
from integrity.waiting import nothing
from tests.histories import History
from tests.test_on_disk import batch, segment

#: The publisher whose messages only the old leader had, from its second on: what tests.test_on_disk's batches hold.
STRANDED = 7


# -- what a leader alone had ------------------------------------------------------------------------------
def node(label: str, directory: Path, count: int) -> SimpleNamespace:
    """A broker whose files hold so many of that publisher's messages, after some of another's."""
    directory.mkdir()
    if count:
        segment(directory, batch(0, count), "t-0")

    @contextmanager
    def look():
        yield directory

    return SimpleNamespace(label=label, look=look)


def cut_off(folder: Path, history: History, *held: int) -> CutOff:
    """After a leader was cut off; held: how many of the publisher's messages each broker has."""
    for name, rows in history.rows.items():
        (folder / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows, schema=TABLES[name].arrow), folder / name / "part-0.parquet")
    nodes = [node(f"broker {n}", folder / f"broker-{n}", count) for n, count in enumerate(held, start=1)]
    replication = SimpleNamespace(cluster=SimpleNamespace(nodes=nodes))
    scene = SimpleNamespace(
        part=lambda _: replication, verdict=lambda: None, folder=folder, topics=["t"], note=lambda *_: None
    )
    part = CutOff(scene)
    part._stranded_publisher, part._stranded = STRANDED, {1, 2}
    return part


def history(acknowledged: int = 1, read: int = 1) -> History:
    """So many of the publisher's three messages were acknowledged, and so many read; another's all were."""
    history = History()
    sends = [history.send(offset, publisher=STRANDED) for offset in range(acknowledged)]
    for _ in range(3 - acknowledged):
        sends.append(history.send(publisher=STRANDED, outcome=UNKNOWN, settled=None))
    for number, sent in enumerate(sends[:read]):
        sent = sent | {"offset": number}
        history.read_sent([sent])
    history.read_sent([history.send(10 + number, publisher=1) for number in range(3)])
    return history


def test_what_was_given_up_and_seen_by_nobody_is_not_found(tmp_path):
    assert cut_off(tmp_path, history(), 1, 1, 0).stranded_that_were_seen() == []


@pytest.mark.parametrize(
    ("made", "held", "found"),
    [
        (history(acknowledged=3), (1, 1, 1), ["2 were acknowledged"]),
        (history(read=2), (1, 1, 1), ["1 were read"]),
        (history(), (1, 3, 1), ["broker 2 holds 2"]),
        (history(2, 2), (2, 1, 3), ["broker 1 holds 1", "broker 3 holds 2", "1 were acknowledged", "1 were read"]),
    ],
    ids=["acknowledged", "read", "kept", "all of it"],
)
def test_what_only_the_old_leader_had_is_found_wherever_it_is_seen(tmp_path, made, held, found):
    assert cut_off(tmp_path, made, *held).stranded_that_were_seen() == found


@pytest.mark.parametrize(
    ("held_by_others", "raised", "words"),
    [
        (0, AssertionError, "broker 2 was cut off, and acknowledged 5 messages that it alone has"),
        (3, FaultNotProven, "broker 2 was cut off, and its followers still get what it stores"),
    ],
)
def test_a_leader_that_acknowledges_what_it_alone_has_breaks_a_promise(tmp_path, held_by_others, raised, words):
    """And one whose followers get it was not cut off."""
    part = cut_off(tmp_path, history(), 3, 3, held_by_others)
    part._scene.connection = SimpleNamespace(check=lambda: None)
    publisher = SimpleNamespace(id=STRANDED, publish=lambda *_: None, counts={"acknowledged": 6})
    leader = part._replication.cluster.nodes[1]
    part._stored = lambda publisher, node: {1, 2} if node is leader else set(range(held_by_others))
    with pytest.raises(raised, match=words):
        part._strand(publisher, leader)


def test_what_only_the_old_leader_had_is_handed_out_to_nobody_who_asks_it(tmp_path, monkeypatch):
    """It is the tail of its log, behind what all in sync have; who reads from it must not get that."""
    part = cut_off(tmp_path, history(), 1, 3, 1)
    leader = part._replication.cluster.nodes[1]
    handed = [(1, 4), (STRANDED, 0), None, (1, 1)]
    monkeypatch.setattr(scenes_cut_off, "handed_out", lambda node, place, offset: iter(handed))
    part._read_from(leader, 0)
    assert "broker 2 handed out 2 while it was cut off" not in part.stranded_that_were_seen()
    handed += [(STRANDED, 1), (STRANDED, 2)]
    part._read_from(leader, 0)
    assert "broker 2 handed out 2 while it was cut off" in part.stranded_that_were_seen()


@pytest.mark.parametrize(
    ("handed", "held", "words"),
    [
        ([], 3, "broker 1 was cut off, and does not hand out what it had acknowledged before"),
        ([(STRANDED, 0)], 1, "broker 1 was asked for what it alone had, and had given it up"),
    ],
    ids=["it hands out nothing", "it has nothing"],
)
def test_a_leader_that_has_nothing_to_hand_out_shows_nothing(tmp_path, monkeypatch, handed, held, words):
    part = cut_off(tmp_path, history(), held)
    monkeypatch.setattr(scenes_cut_off, "handed_out", lambda node, place, offset: iter(handed))
    with pytest.raises(FaultNotProven, match=words):
        part._read_from(part._replication.cluster.nodes[0], 0)


@pytest.mark.parametrize(
    ("passed_on", "told"),
    [(True, "^broker 2 leads$"), (False, "acknowledge a message before it is cut off: .*NotLeader")],
)
def test_a_leader_that_takes_no_message_before_it_is_cut_off_is_begun_with_anew(tmp_path, monkeypatch, passed_on, told):
    """It may lead no more; or a replica that is late keeps it waiting for longer than the publisher has patience."""
    part, message = cut_off(tmp_path, history(), 1), Message("t", b"")
    receipt = Receipt(0, UNKNOWN, None, None, "NotLeaderForPartitionError")

    def refuse(*_: object) -> None:
        raise NotAcknowledged(message, receipt)

    def check() -> None:
        if passed_on:
            raise PassedOn("broker 2 leads")

    knows_it = nullcontext(SimpleNamespace(send_and_wait=refuse))
    monkeypatch.setattr(part, "_publisher_that_knows_only", lambda node: knows_it)
    with pytest.raises(PassedOn, match=told):
        part._isolate_leader(part._replication.cluster.nodes[0], check)


def test_who_asks_only_the_leader_that_is_cut_off_has_more_time_on_a_busy_machine(tmp_path, monkeypatch):
    """It tries nothing again: whatever timeout_factor was, a first answer after a second was an error."""
    part, made = cut_off(tmp_path, history(), 1), []
    part._scene.connection, part._scene.recorder = Connection("any:1"), None
    part._scene.driver = SimpleNamespace(publisher=lambda *_, **options: made.append(options["request_timeout"]))
    monkeypatch.setattr(waiting, "_timeout_factor", 5.0)
    part._publisher_that_knows_only(SimpleNamespace(bootstrap_servers="it:1"))
    assert made == [5.0]


def test_what_the_old_leader_never_had_may_be_taken_by_the_next_one(tmp_path):
    """Protects from blaming Kafka for what a busy client had not sent to anybody before the cut."""
    part = cut_off(tmp_path, history(acknowledged=3, read=3), 3, 3, 3)
    part._stranded = {7}
    assert part.stranded_that_were_seen() == []


def test_it_is_not_said_of_a_leader_that_had_nothing_alone(tmp_path):
    part = cut_off(tmp_path, history(), 1)
    part._stranded_publisher = None
    with pytest.raises(FaultNotProven, match="no message was left to a leader that was cut off"):
        part.stranded_that_were_seen()


# -- clients that are cut off -----------------------------------------------------------------------------
class Clients(Load):
    """Two publishers and a reader without a broker: each nudge lets all of them do one round."""

    def __init__(self, each_round: Callable[[Clients, int], None]) -> None:
        super().__init__(SimpleNamespace(topics=["t"]))
        publishers = [SimpleNamespace(id=n, counts={"open": 30, "acknowledged": 100}) for n in (1, 2)]
        self._sending = [Sending(publisher, ["t"], [], 100) for publisher in publishers]
        self._following = [Following(0)]
        self.rounds = 0

        def nudge() -> None:
            self.rounds += 1
            for sending in self._sending:
                sending.counts["open"] = min(sending.counts["open"] + 60, MOST_UNSETTLED)
            self._following[0].polls += 1
            self._following[0].in_vain += 1
            each_round(self, self.rounds)

        self._reading = [SimpleNamespace(nudge=nudge, check=lambda: None)]


def acknowledge(clients: Clients, publisher: int) -> None:
    counts = clients._sending[publisher].counts
    counts["open"], counts["acknowledged"] = counts["open"] - 1, counts["acknowledged"] + 1


def late(clients: Clients, number: int) -> None:
    """What had come before the cut is taken in during the first two rounds."""
    if number <= 2:
        acknowledge(clients, 0)
        clients._following[0].seen += 1


def goes_on(clients: Clients, number: int) -> None:
    """As if nobody was cut off: no poll is in vain."""
    acknowledge(clients, 0)
    clients._following[0].seen += 1
    clients._following[0].in_vain -= 1


def acknowledges(clients: Clients, number: int) -> None:
    if number == 5:
        acknowledge(clients, 1)


def delivers(clients: Clients, number: int) -> None:
    if number == 5:
        clients._following[0].seen += 3


def delivers_while_all_wait(clients: Clients, number: int) -> None:
    if number == 12:
        clients._following[0].seen += 1


@pytest.mark.parametrize(
    ("each_round", "got"),
    [
        (lambda *_: None, {}),
        (late, {}),
        (acknowledges, {"publisher 2": 1}),
        (delivers, {"reader 0": 3}),
        (delivers_while_all_wait, {"reader 0": 1}),
        (goes_on, {"publisher 1": 1, "reader 0": 1}),
    ],
    ids=["nothing", "what had come before", "an acknowledgement", "messages", "at last", "all goes on"],
)
def test_what_gets_through_to_clients_that_are_cut_off_is_noticed(each_round: Any, got: dict[str, int]):
    clients = Clients(each_round)
    assert clients.got_while_cut_off() == got
    if not got:
        assert all(sending.waits for sending in clients._sending)


@pytest.mark.parametrize("each_round", [acknowledges, delivers])
def test_a_cut_that_lets_something_through_is_not_proven(each_round: Any):
    clients, lifted = Clients(each_round), []
    leader = SimpleNamespace(label="broker 2")
    replication = SimpleNamespace(at_holder=lambda role, fault: fault(leader, nothing), recovered=lambda: None)
    part = CutOff(SimpleNamespace(part=lambda kind: replication if kind is Replication else clients))
    part._proxy = SimpleNamespace(blackhole=lambda link: SimpleNamespace(lift=lambda: lifted.append(link)))
    with pytest.raises(FaultNotProven, match=r"cut off from broker 2, and yet messages got through: \d to "):
        part.cut_clients_off("leader")
    assert lifted == ["broker 2"]


@pytest.mark.parametrize("cut", [CutOff.cut_clients_off, CutOff.cut_one_publisher_off])
def test_nobody_is_cut_off_from_a_broker_that_has_lost_the_role(cut: Callable[[CutOff, str], None]):
    def passed_on() -> None:
        raise PassedOn("broker 1 leads")

    done: list[dict[str, str]] = []
    replication = SimpleNamespace(at_holder=lambda role, fault: fault(SimpleNamespace(label="broker 2"), passed_on))
    part = CutOff(SimpleNamespace(part=lambda kind: replication))
    part._proxy = SimpleNamespace(blackhole=lambda **where: done.append(where))
    with pytest.raises(PassedOn):
        cut(part, "leader")
    assert done == []


# -- a network that does not do as told -------------------------------------------------------------------
class Stubborn:
    """A proxy without a process: what is to be in force is, except that the commands with these numbers fail."""

    def __init__(self, fail_at: tuple[int, ...]) -> None:
        self.links: dict[str, SimpleNamespace] = {}
        self.in_force: list[int] = []
        self._fail_at = fail_at
        self._commands = 0

    def link(self, name: str, broker: str) -> SimpleNamespace:
        return self.links.setdefault(name, SimpleNamespace(address=broker))

    def blackhole(self, **where: str) -> Fault:
        self._command()
        self.in_force.append(self._commands)
        return Fault(self, self._commands, "blackhole")

    def _lift(self, fault: Fault) -> None:
        self._command()
        self.in_force.remove(fault.number)

    def _command(self) -> None:
        self._commands += 1
        if self._commands in self._fail_at:
            raise ProxyFailed(f"command {self._commands} failed, on purpose")


class Node(SimpleNamespace):
    """A broker of which its cluster asks no more than what is said here."""

    __hash__ = object.__hash__


@pytest.fixture
def severable(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Cluster, Stubborn, list[str]]]:
    """Makes a cluster that is whole, its network's proxy, and what is heard of them."""

    def make(*fail_at: int) -> tuple[Cluster, Stubborn, list[str]]:
        proxy, heard = Stubborn(fail_at), []
        run = SimpleNamespace(lease_port=lambda: 1)
        monkeypatch.setattr(between, "Proxy", lambda run: proxy)
        monkeypatch.setattr(Cluster, "wait_until_whole", lambda cluster, seconds: None)
        nodes = [
            Node(
                config=BrokerConfig(node=number),
                label=f"broker {number}",
                kind="embedded",
                bootstrap_servers=f"127.0.0.1:{number}",
                controller_address=f"127.0.0.1:{number}0",
                is_frozen=False,
                adopt=lambda settings: None,
                is_alive=lambda: True,
            )
            for number in (1, 2, 3)
        ]
        cluster = Cluster(nodes, between.Between(run, nodes))
        cluster.listener = lambda subject, what, detail: heard.append(f"{subject} {what}")
        return cluster, proxy, heard

    return make


def test_a_network_that_was_cut_and_healed_is_as_before(severable):
    cluster, proxy, heard = severable()
    cluster.isolate(cluster.node(1))
    assert proxy.in_force == [1, 2, 3, 4, 5]
    assert cluster.any_address() == cluster.node(2).bootstrap_servers
    cluster.heal()
    assert proxy.in_force == []
    assert cluster.any_address() == cluster.node(1).bootstrap_servers
    assert heard == ["broker 1 cut off", "broker 1 connected"]
    assert cluster.is_usable()


@pytest.mark.parametrize("failing", [1, 2, 5])
def test_a_cut_that_fails_halfway_is_healed_and_nobody_counts_as_cut_off(severable, failing):
    """Nor does such a cluster serve another scenario: which of its links are silent is not known for sure."""
    cluster, proxy, heard = severable(failing)
    with pytest.raises(ProxyFailed, match=f"command {failing} failed"):
        cluster.isolate(cluster.node(1))
    assert len(proxy.in_force) == failing - 1
    assert cluster.any_address() == cluster.node(1).bootstrap_servers
    cluster.heal()
    assert proxy.in_force == []
    assert heard == []
    assert not cluster.is_usable()


def test_healing_lifts_all_it_can_and_the_rest_when_it_is_tried_again(severable):
    cluster, proxy, heard = severable(7, 9, 11)  # the lifting of the second and the fourth, and then of the second
    cluster.isolate(cluster.node(1))
    with pytest.raises(ProxyFailed, match="command 7 failed") as told:
        cluster.heal()
    assert told.value.__notes__ == ["And after that: ProxyFailed: command 9 failed, on purpose"]
    assert proxy.in_force == [2, 4]
    with pytest.raises(ProxyFailed, match="command 11 failed"):
        cluster.heal()
    assert proxy.in_force == [2]
    assert cluster.any_address() == cluster.node(2).bootstrap_servers, "it is cut off still"
    assert heard == ["broker 1 cut off"]
    cluster.heal()
    assert proxy.in_force == []
    assert heard == ["broker 1 cut off", "broker 1 connected"]
    assert not cluster.is_usable()


def test_a_cut_that_fails_is_healed_by_the_scenario(severable):
    cluster, proxy, _ = severable(3)
    replication = SimpleNamespace(
        cluster=cluster,
        at_holder=lambda role, fault: fault(cluster.node(1), nothing),
        in_the_middle=lambda check: nullcontext(),
    )
    part = CutOff(SimpleNamespace(part=lambda kind: replication))
    with pytest.raises(ProxyFailed, match="command 3 failed"):
        part.isolate("follower")
    assert proxy.in_force == []
