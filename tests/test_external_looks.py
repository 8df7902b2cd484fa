"""Somebody else's cluster as looks from outside see it: who is there, who has gone, who led what. No Kafka in here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from kafka.errors import ClusterAuthorizationFailedError, KafkaConnectionError, NodeNotReadyError
from kafka.protocol.admin import ListGroupsRequest

from integrity import waiting
from integrity.brokers import external, kinds, leavings
from integrity.brokers import leaders as leaders_of
from integrity.brokers.base import BrokerConfig, BrokerFailed
from integrity.clients import Connection, driver, wire
from integrity.errors import NotPossible
from integrity.faults import process
from integrity.reports.model import ScenarioFacts
from integrity.scene import Scene
from integrity.settings import Settings


def _told_of(*nodes: int) -> SimpleNamespace:
    return SimpleNamespace(brokers=[SimpleNamespace(node_id=node) for node in nodes], topics=[])


@pytest.mark.parametrize(
    ("looks", "sign"),
    [
        ([wire.Closed("refused")], "no address answered"),
        ([_told_of(1, 2), _told_of(1)], "without broker 2"),
        ([_told_of()], "without broker 1, 2"),
        ([wire.NoAnswer("slow"), wire.NoAnswer("slow")], "no address answered, 2 times in a row"),
        ([wire.NoAnswer("slow"), wire.Closed("refused")], "no address answered"),
        ([wire.NoAnswer("slow"), _told_of(1, 2), wire.NoAnswer("slow"), _told_of(1, 2)], ""),
        ([wire.NoAnswer("slow"), wire.AccessDenied("who?"), wire.NoAnswer("slow"), _told_of(1, 2)], ""),
        ([wire.AccessDenied("who?"), wire.AccessDenied("who?"), wire.AccessDenied("who?")], ""),
    ],
)
def test_what_counts_as_a_sign_of_its_being_down(monkeypatch, tmp_path, looks, sign):
    answers = iter([_told_of(1, 2), *looks])

    def metadata(*_: object) -> SimpleNamespace:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(external.wire, "metadata", metadata)
    broker = external.ExternalBroker(Connection("somewhere:9092"), note=tmp_path / "note")
    assert broker._is_whole()
    for _ in looks:
        broker._watch()
    assert broker._watch() == sign if sign else broker._seen_down == ""
    assert broker.refuses_connections() == bool(sign)


def _answering(monkeypatch: pytest.MonkeyPatch, *answers: SimpleNamespace | Exception) -> None:
    """Have the cluster answer so, one look after the other, and the last answer from then on."""
    left = list(answers)

    def metadata(*_: object, **__: object) -> SimpleNamespace:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(external.wire, "metadata", metadata)
    monkeypatch.setattr(external, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(external, "THERE_SECONDS", 0.3)


def test_a_cluster_that_knows_of_no_broker_is_not_whole(monkeypatch, tmp_path):
    _answering(monkeypatch, _told_of())
    assert not external.ExternalBroker(Connection("somewhere:9092"), note=tmp_path / "note").is_usable()


def test_one_slow_answer_does_not_make_it_unusable(monkeypatch, tmp_path):
    _answering(monkeypatch, _told_of(1, 2), wire.NoAnswer("slow"), _told_of(1, 2))
    broker = external.ExternalBroker(Connection("somewhere:9092"), note=tmp_path / "note")
    assert broker.is_usable()
    assert broker.is_usable()


@pytest.mark.parametrize(
    ("leaders", "gone", "with_commands", "usable"),
    [
        ({"own_a": [1, 2]}, {3}, False, True),
        ({"own_a": [1, 2]}, {3}, True, False),
        ({"own_a": [1, -1], "theirs": [1]}, {3}, False, False),
        ({"own_a": [1], "theirs": [-1]}, {3}, False, True),
        ({"own_a": [1]}, {1, 2, 3}, False, False),
    ],
)
def test_without_a_command_a_broker_may_be_away_whose_owner_restarts_it(
    monkeypatch, tmp_path, leaders, gone, with_commands, usable
):
    several = Several(monkeypatch, **leaders)
    broker = several.broker(tmp_path, with_commands=with_commands)
    several.gone = gone
    assert broker.is_usable() is usable
    heard = []
    broker.listener = lambda *event: heard.append(event)
    if usable:
        broker.await_ready()
        broker.begin_scenario()
        several.gone = set()
        broker.begin_scenario()
        there = ("the cluster", "incomplete", "brokers [1, 2] are there, of [1, 2, 3]")
        assert heard == [("the cluster", "ready", ""), there]


@pytest.mark.parametrize("error", [wire.NoAnswer("slow"), wire.AccessDenied("who?")])
def test_a_scenario_that_begins_while_nobody_answers_is_told_of_nobody_missing(monkeypatch, tmp_path, error):
    _answering(monkeypatch, _told_of(1, 2), error)
    broker = external.ExternalBroker(Connection("somewhere:9092"), note=tmp_path / "note")
    broker.await_ready()
    heard = []
    broker.listener = lambda *event: heard.append(event)
    broker.begin_scenario()
    assert heard == []


def test_a_cluster_that_has_lost_a_broker_is_not_whole_for_later_features_either(monkeypatch, tmp_path, run):
    """Each feature has an ExternalBroker of its own; the first one's look decides what all of it is."""
    _answering(monkeypatch, _told_of(1, 2, 3), _told_of(1, 2))
    commands = {"stop_command": ("true",), "start_command": ("true",)}
    found = Settings(broker="external", bootstrap_servers="somewhere:9092", timeout_factor=1.0, **commands)
    kind = kinds.load("external")(found, run)
    first = kind.make(BrokerConfig())
    first.start()
    assert first.replication == 3
    assert not first.is_usable()
    second = kind.make(BrokerConfig())
    try:
        with pytest.raises(BrokerFailed, match=r"in vain: brokers \[1, 2\] are there, of \[1, 2, 3\]$"):
            second.start()
    finally:
        leavings.note(first.connection, run.id).unlink()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([NodeNotReadyError("1"), {"topic own_a": "NoError"}, KafkaConnectionError("gone"), {}], ""),
        ([KafkaConnectionError("gone")], r"in vain: left are whatever is there \(KafkaConnectionError: .*gone"),
        ([ClusterAuthorizationFailedError("no")], "could not be deleted: .*ClusterAuthorizationFailedError.* no$"),
    ],
)
def test_what_a_run_has_made_is_removed_though_a_broker_is_away_for_a_moment(monkeypatch, answers, words):
    left, asked = list(answers), []

    def remove_once(*_: object) -> dict[str, str]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def admin(**arguments: object) -> SimpleNamespace:
        asked.append(arguments["request_timeout_ms"])
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(leavings, "_remove_once", remove_once)
    monkeypatch.setattr(leavings, "KafkaAdminClient", admin)
    monkeypatch.setattr(leavings, "REMOVE_SECONDS", 0.5)
    monkeypatch.setattr(waiting, "_timeout_factor", 2.0)
    if not words:
        leavings.remove(Connection("somewhere:9092", prefix="own_prefix"))
    else:
        with pytest.raises(BrokerFailed, match=words):
            leavings.remove(Connection("somewhere:9092", prefix="own_prefix"))
    assert asked == [20_000]


class Several:
    """Brokers 1 to 3 as others' looks see them; who leads what, by topic; who coordinates which groups and
    transactional ids (None: does not say); those that are gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **leaders: list[int]) -> None:
        self.leaders = leaders
        self.groups: dict[int, list[str] | None] = {}
        self.transactions: dict[int, list[str] | None] = {}
        self.gone: set[int] = set()
        monkeypatch.setattr(external.wire, "metadata", self.metadata)
        monkeypatch.setattr(external.wire, "ask", self.ask)
        monkeypatch.setattr(external, "PATIENCE_SECONDS", 0.3)
        monkeypatch.setattr(leaders_of, "LOOK_SECONDS", 0.05)

    def metadata(self, addresses: str, properties: object, seconds: float, topics: object = ()) -> SimpleNamespace:
        asked = {int(address[-1]) for address in addresses.split(",")}
        if asked <= self.gone:
            raise wire.Closed("refused")
        there = [SimpleNamespace(node_id=n, host="kafka", port=f"909{n}") for n in (1, 2, 3) if n not in self.gone]
        known = [
            SimpleNamespace(name=name, partitions=[SimpleNamespace(leader_id=n) for n in nodes])
            for name, nodes in self.leaders.items()
        ]
        return SimpleNamespace(brokers=there, topics=known if topics is None else [])

    def ask(self, address: str, properties: object, request: object, seconds: float) -> SimpleNamespace:
        which = self.groups if isinstance(request, ListGroupsRequest) else self.transactions
        names = which.get(int(address[-1]), [])
        if names is None:
            return SimpleNamespace(error_code=14, groups=[], transaction_states=[])
        groups = [SimpleNamespace(group_id=name) for name in names]
        states = [SimpleNamespace(transactional_id=name) for name in names]
        return SimpleNamespace(error_code=0, groups=groups, transaction_states=states)

    def broker(
        self, tmp_path: Path, addresses: str = "kafka:9091,kafka:9092,kafka:9093", *, with_commands: bool = True
    ) -> external.ExternalBroker:
        connection = Connection(addresses, prefix="own_")
        names = ("stop_command", "start_command", "kill_command") if with_commands else ()
        commands = dict.fromkeys(names, ("true",))
        broker = external.ExternalBroker(connection, note=tmp_path / "note", **commands)
        broker.start()
        return broker

    def takes(self, monkeypatch: pytest.MonkeyPatch, broker: external.ExternalBroker, *rounds: set[int]) -> None:
        """The command takes down these brokers, looked at after each of the rounds; the start brings all back."""

        def run(option: str, watch: Callable[[], object] | None = None) -> None:
            self.gone = set()
            for each in rounds if watch is not None else ():
                self.gone = each
                watch()

        monkeypatch.setattr(broker, "_run", run)


BESIDE = "the stop_command took down broker 3, which led none of this scenario's partitions"


@pytest.mark.parametrize(
    ("leaders", "rounds", "words"),
    [
        ({"own_a": [1, 2]}, [{3}], BESIDE),
        ({"own_a": [1, 2], "theirs": [3]}, [{3}], BESIDE),
        ({"own_a": [1, 2], "own_b": [3]}, [{3}], ""),
        ({"own_a": [1]}, [{2, 3}], "took down broker 2 and broker 3, which led none"),
        ({"own_a": [1]}, [{3}, {2}], "took down broker 2 and broker 3, which led none"),
        ({"own_a": [1]}, [{3}, {2}, {1}], ""),
        ({"own_a": [1]}, [{3}, {2, 3}, {1, 2, 3}], ""),
        ({"own_a": [1]}, [{1, 2, 3}], ""),
        ({"theirs": [1]}, [{3}], ""),
        ({"own_a": [-1]}, [{3}], ""),
    ],
)
def test_a_restart_of_one_of_several_that_led_nothing_proves_nothing(monkeypatch, tmp_path, leaders, rounds, words):
    several = Several(monkeypatch, **leaders)
    broker = several.broker(tmp_path)
    several.takes(monkeypatch, broker, *rounds)
    if not words:
        assert process.restart(broker, "stopped").how == "stopped"
    else:
        with pytest.raises(NotPossible, match=words) as caught:
            process.restart(broker, "stopped")
        assert "\n" not in str(caught.value)
    assert broker.is_usable()


NO_GROUPS = "which coordinated none of this scenario's groups: that proves nothing"
NO_TRANSACTIONS = "which coordinated none of this scenario's transactions: that proves nothing"
NEITHER = "which led none of this scenario's partitions and coordinated none of this scenario's groups: that"


@pytest.mark.parametrize(
    ("groups", "transactions", "rounds", "words"),
    [
        ({2: ["own_g"]}, {}, [{1}], NO_GROUPS),
        ({2: ["own_g"]}, {}, [{3}], NEITHER),
        ({2: ["own_g"]}, {}, [{1}, {1, 2}], ""),
        ({2: ["own_g"]}, {}, [{2}], "led none of this scenario's partitions: that"),
        ({1: ["own_g"], 2: ["own_h"]}, {}, [{1}], ""),
        ({2: ["their_g"]}, {3: ["their_t"]}, [{1}], ""),
        ({}, {2: ["own_t"]}, [{1}], NO_TRANSACTIONS),
        ({}, {1: ["own_t"], 2: ["own_u"]}, [{1}], ""),
        ({2: ["own_g"]}, {3: ["own_t"]}, [{1}, {1, 2}], NO_TRANSACTIONS),
        ({2: ["own_g"], 3: None}, {}, [{1}], ""),
        ({2: ["own_g"]}, {3: ["own_t"]}, [{1, 2, 3}], ""),
    ],
)
def test_what_is_said_of_groups_and_transactions_needs_their_coordinators_to_go(
    monkeypatch, tmp_path, groups, transactions, rounds, words
):
    several = Several(monkeypatch, own_a=[1])
    broker = several.broker(tmp_path)
    broker.begin_scenario()
    several.leaders, several.groups, several.transactions = {"own_b": [1]}, groups, transactions
    several.takes(monkeypatch, broker, *rounds)
    if not words:
        assert process.restart(broker, "killed").how == "killed"
    else:
        with pytest.raises(NotPossible, match=words):
            process.restart(broker, "killed")


def test_an_earlier_scenarios_groups_are_none_of_the_next_ones(monkeypatch, tmp_path):
    several = Several(monkeypatch, own_a=[1])
    broker = several.broker(tmp_path)
    several.groups = {2: ["own_g"]}
    several.takes(monkeypatch, broker, {1})
    with pytest.raises(NotPossible, match=NO_GROUPS):
        process.restart(broker, "killed")
    broker.begin_scenario()
    several.leaders = {"own_a": [1], "own_b": [1]}
    assert process.restart(broker, "killed").how == "killed"


def test_which_broker_has_gone_is_asked_at_all_addresses(monkeypatch, tmp_path):
    """Where only one was named, and that one has gone, nobody answers there who could tell that the others are up."""
    several = Several(monkeypatch, own_a=[1, 2])
    broker = several.broker(tmp_path, "kafka:9093")
    several.takes(monkeypatch, broker, {3})
    with pytest.raises(NotPossible, match=BESIDE):
        process.restart(broker, "stopped")


@pytest.mark.parametrize(
    ("answers", "met"),
    [
        ([wire.Closed("refused")], True),
        ([wire.NoAnswer("slow")], False),
        ([wire.NoAnswer("slow"), wire.NoAnswer("slow")], True),
        ([wire.NoAnswer("slow"), _told_of(1, 2), wire.NoAnswer("slow")], False),
        ([wire.NoAnswer("slow"), wire.AccessDenied("who?"), wire.NoAnswer("slow")], False),
    ],
)
def test_one_slow_answer_does_not_mean_that_all_have_gone(monkeypatch, tmp_path, answers, met):
    broker = Several(monkeypatch, own_a=[1]).broker(tmp_path)
    broker._leaders.note()
    _answering(monkeypatch, *answers)
    for _ in answers:
        broker._leaders.look()
    assert broker._leaders.met is met


def test_a_scenario_whose_partitions_were_met_once_is_told_whatever_the_same_command_meets_later(monkeypatch, tmp_path):
    """A leader that comes back leads nothing for a while. In the next scenario it must be met again."""
    several = Several(monkeypatch, own_a=[3])
    broker = several.broker(tmp_path)
    several.takes(monkeypatch, broker, {3})
    process.restart(broker, "killed")
    several.leaders = {"own_a": [1]}
    for _ in range(2):
        process.restart(broker, "killed")
    broker.begin_scenario()
    several.leaders = {"own_a": [3], "own_b": [1]}
    with pytest.raises(NotPossible, match="led none of this scenario's partitions"):
        process.restart(broker, "killed")


def test_what_an_earlier_scenario_made_is_not_this_ones(monkeypatch, tmp_path):
    """It may have taken nothing down, and its topics are deleted at the feature's end only."""
    several = Several(monkeypatch, own_a=[3])
    broker = several.broker(tmp_path)
    several.takes(monkeypatch, broker, {3})
    brokers = SimpleNamespace(identities=(0, "0"))
    scene = Scene(broker, {}, brokers, driver("kafka-python"), tmp_path / "scenario", ScenarioFacts())
    several.leaders = {"own_a": [3], "own_b": [2]}
    with pytest.raises(NotPossible, match="led none of this scenario's partitions"):
        process.restart(broker, "killed")
    several.leaders = {"own_a": [2], "own_b": [3]}
    assert process.restart(broker, "killed").how == "killed"
    scene.recorder.close()
