"""A broker that dies by itself is the suite's error, told with its log, and nothing that Kafka is blamed for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest
from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import (
    CorruptRecordError,
    KafkaTimeoutError,
    NotLeaderForPartitionError,
    RequestTimedOutError,
    UnknownError,
)

from integrity import waiting
from integrity.brokers import external
from integrity.brokers.base import Broker, BrokerFailed
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import Connection, Message, driver
from integrity.errors import NotPossible, SuiteError
from integrity.faults.network import Proxy
from integrity.faults.process import FaultNotProven
from integrity.listening import ignore
from integrity.prove.reading import PLACE, hide_from_all
from integrity.prove.saboteur import Wire
from integrity.reports.model import ScenarioFacts
from integrity.runs import Run
from integrity.scene import Scene
from integrity.scenes import (
    cleaning,
    commits,
    content,
    disk_faults,
    going_down,
    isolation,
    late_commit,
    load,
    member,
    publishers,
    reading,
    sending,
    sending_again,
)
from integrity.scenes.copying import IN_SYNC, Copying, settings_like
from integrity.scenes.groups import Groups
from integrity.scenes.isolation import REFUSED, Isolation
from integrity.scenes.load import Load
from integrity.scenes.reading import Reading
from integrity.scenes.replication import Replication
from integrity.scenes.retries import SentAgain
from integrity.scenes.stalls import Stalled
from integrity.scenes.transacting import Transacting
from integrity.scenes.transactions import Transactions
from integrity.scenes.wire import Wire as FailingNetwork
from integrity.scenes.words import behind
from integrity.scenes.worker import Worker
from integrity.settings import Settings, Shard
from integrity.waiting import wait_until
from tests.secured import jaas

#: For a test that kills, freezes or restarts its broker, or changes its files. All others share one.
harms_its_broker = pytest.mark.usefixtures("own_broker")


@pytest.fixture(scope="module")
def brokers(run: Run) -> Iterator[Brokers]:
    brokers = Brokers(Settings(), Choice("embedded", ""), run)
    yield brokers
    brokers.discard_all()


@pytest.fixture
def own_broker(brokers: Brokers) -> Iterator[Broker]:
    broker = brokers.create()
    try:
        broker.start()
        yield broker
    finally:
        brokers.discard(broker)


@pytest.fixture
def shared_broker(broker: EmbeddedBroker) -> Iterator[Broker]:
    """The session's, which is left without the scene's topics and transactions. Its groups have names of their own."""
    client, started = driver("kafka-python"), broker.started_at
    with client.admin(broker.connection) as admin:
        there = admin.topics()
        yield broker
        broker.listener = ignore
        assert broker.started_at == started, "it has harmed the broker that it shares with others"
        for topic in set(admin.topics()).difference(there):
            admin.delete_topic(topic)
        # In this order: a topic may be set to take no messages, and then it takes no end of a transaction either.
        for identity in open_transactions(broker):
            client.publisher(broker.connection, transactional_id=identity).close()  # the successor of who left it open


def open_transactions(broker: Broker) -> list[str]:
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)) as admin:
        [listed] = admin.list_transactions(state_filters=["Ongoing"]).values()
    return [each.transactional_id for each in listed]


@pytest.fixture
def scene(request: pytest.FixtureRequest, brokers: Brokers, tmp_path: Path) -> Iterator[Scene]:
    broker = request.getfixturevalue("own_broker" if "own_broker" in request.fixturenames else "shared_broker")
    scene = Scene(broker, {}, brokers, driver("kafka-python"), tmp_path / "scenario", ScenarioFacts())
    yield scene
    scene.close(passed=False)


@harms_its_broker
def test_it_ends_a_reading_at_once(scene: Scene) -> None:
    """Without the look, the consumer waits for a minute, and three messages are called missing."""
    scene.produce("three", ["1", "2", "3"])
    scene.broker._process.kill()
    scene.broker._process.wait()
    with pytest.raises(BrokerFailed, match=r"broker 1 died on its own(.|\n)*the end of its log:\n.*INFO"):
        scene.consume("three")
    assert scene.read == []


@harms_its_broker
def test_work_that_does_not_go_on_is_told_with_who_stalls_and_after_which_fault(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is frozen and not thawed in time: it lives, so nobody ends the wait before its bound."""
    scene.create_topic()
    load = scene.part(Load)
    load.publish(2)
    scene.broker.freeze()
    counted = [-2, -1]

    def nothing_more_came() -> bool:
        """What was answered before the freeze may still be on its way to whoever counts it."""
        counted[:] = counted[1], load.acknowledged
        return counted[0] == counted[1]

    try:
        wait_until(nothing_more_came, what="the last answers to be counted", seconds=20, poll_seconds=0.5)
        monkeypatch.setattr(waiting, "_timeout_factor", 0.05)
        with pytest.raises(Stalled) as stalled:
            load.wait_for_progress()
    finally:
        scene.broker.thaw()
    first, counts, *rest = str(stalled.value).splitlines()
    assert re.match(
        r"the work does not go on \(last fault: broker 1 frozen\): waited \d+\.\d s for every publisher", first
    )
    assert first.endswith("stalled: publisher 0, publisher 1")
    assert re.match(r"messages of the publishers at work: \d+ open, \d+ acknowledged, .*; errors so far: \{", counts)
    assert rest, "what is known of the messages so far is told as well"


def test_publishers_at_work_are_seen_to_get_on_at_once(scene: Scene) -> None:
    """librdkafka tells of no outcome unless it is asked: every wait for progress took two seconds more."""
    scene.driver = driver("confluent-kafka")
    scene.create_topic()
    load = scene.part(Load)
    load.publish(2)
    began = time.monotonic()
    for _ in range(5):
        load.wait_for_progress()
    took = time.monotonic() - began
    load.finish()
    assert took < 5.0, f"{took:.1f} s for five times"


@harms_its_broker
def test_what_nobody_could_read_is_found_on_disk_or_not(scene: Scene, run: Run) -> None:
    """On a real broker: a message that its network hides from every reader, and a topic emptied while it is down."""
    scene.create_topic()
    scene.publish(2 * PLACE)
    emptied = scene.create_topic()
    with scene.driver.publisher(scene.connection, scene.recorder) as publisher:
        publisher.publish(emptied, 10)
        assert publisher.flush() == 0

    def empty() -> None:
        for log in (scene.broker.data_directory / f"{emptied}-0").glob("*.log"):
            log.write_bytes(b"")

    scene.restart("killed", while_down=empty)
    with Proxy(run, scene.broker.bootstrap_servers) as network:
        hide_from_all(Wire(network))
        scene.route = network.bootstrap_servers
        verdict = scene.verdict()
    lost = verdict.as_json()["anomalies"]["lost"]
    assert lost["count"] == 1 + 10
    told = [example["words"] for example in lost["examples"]]
    assert sum("it is on disk but was never delivered" in words for words in told) == 1
    assert sum(f"of {emptied}-0" in words and "it was lost on disk" in words for words in told) == 10


def test_a_reader_that_has_read_everything_before_anybody_looks_has_got_on(scene: Scene, monkeypatch) -> None:
    """Nobody publishes: taken for stalled, it would be waited for in vain. Seen once in a run with confluent-kafka."""
    begin = Load._begin

    def begin_and_read_all(work: Load, *arguments: object) -> Worker:
        worker = begin(work, *arguments)
        wait_until(
            lambda: [following.seen for following in work._following] == [30], what="everything to be read", seconds=20
        )
        return worker

    monkeypatch.setattr(Load, "_begin", begin_and_read_all)
    monkeypatch.setattr(load, "PROGRESS_SECONDS", 2.0)
    scene.create_topic()
    scene.publish(30)
    scene.part(Load).read()
    scene.part(Load).finish()


def test_what_is_to_be_flushed_is_published_once_the_broker_goes_by_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first partitions serve while it still opens the last ones, and only then does it go by new settings."""
    monkeypatch.setattr(disk_faults, "NOTE_SECONDS", 5.0)
    own = scene.use_broker(disk_faults.QUICK_NOTES)
    try:
        for _ in range(2):
            scene.create_topic(partitions=100)
            disk_faults.publish_flushed(scene, 100 * len(scene.topics))
    finally:
        scene.brokers.discard(own)


@harms_its_broker
def test_a_group_that_does_not_go_on_is_stalled_and_not_an_error_of_the_suite(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told as a wait of the suite's in vain: "could not be checked", without a verdict on what was read."""
    scene.create_topic(partitions=2)
    scene.part(Load).publish()
    groups = scene.part(Groups)
    groups.begin(2)
    scene.broker.freeze()
    try:
        monkeypatch.setattr(waiting, "_timeout_factor", 0.05)
        with pytest.raises(Stalled) as stalled:
            groups.one.wait_for_more(1_000_000)
    finally:
        scene.broker.thaw()
    first, counts, *rest = str(stalled.value).splitlines()
    assert re.match(r"the work does not go on \(last fault: broker 1 frozen\): waited 3\.\d s for group-", first)
    assert "member 0 was handed" in first
    assert counts.startswith("messages of the publishers at work: ")
    assert rest


def test_work_has_to_go_on_in_every_partition(scene: Scene, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher gets on as a whole although nothing it sends to one of the partitions is ever acknowledged."""
    monkeypatch.setattr(load, "PROGRESS_SECONDS", 3.0)
    monkeypatch.setattr(sending, "PUBLISH_SECONDS", 3.0)  # what it waits for the outcome of what is never acknowledged
    topic = scene.create_topic(partitions=3)

    def refuse_the_last(answer, exchange):
        for each in answer.responses:
            for partition in each.partition_responses:
                if partition.index == 2:
                    partition.error_code, partition.base_offset = NotLeaderForPartitionError.errno, -1
        return answer

    with Proxy(run, scene.broker.bootstrap_servers) as network, network.rewrite_answer("Produce", refuse_the_last):
        scene.route = network.bootstrap_servers
        work = scene.part(Load)
        work.publish(delivery_timeout=5.0)
        with pytest.raises(Stalled, match=rf"publisher 0 does not get on in {topic}-\d: "):
            work.finish_everywhere()


def test_a_reader_has_to_get_what_is_published_to_every_partition(
    scene: Scene, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is kept from one of the partitions gets on as a whole."""
    monkeypatch.setattr(load, "PROGRESS_SECONDS", 3.0)
    topic = scene.create_topic(partitions=3)
    work = scene.part(Load)
    work.publish()

    def hide_the_last(answer, exchange):
        for each in answer.responses:
            for partition in each.partitions:
                if partition.partition_index == 2:
                    partition.records = b""
        return answer

    with Proxy(run, scene.broker.bootstrap_servers) as network, network.rewrite_answer("Fetch", hide_the_last):
        direct, scene.route = scene.route, network.bootstrap_servers
        work.read()
        scene.route = direct
        with pytest.raises(Stalled, match=rf"not yet read: reader 0 {topic}-2 at offset \d+"):
            work.finish_everywhere()


@harms_its_broker
def test_a_kill_meets_messages_that_are_under_way(scene: Scene) -> None:
    """A publisher at work rests most of the time: it would be killed between two bursts."""
    scene.create_topic(partitions=1)
    work = scene.part(Load)
    work.publish(2)
    paces = []
    with work.meeting("stopped"):
        paces.append([not sending.hurry.is_over for sending in work._sending])
    assert scene.facts.numbers["under way at the fault, at least"] > 0
    with work.meeting("killed"):
        paces.append([not sending.hurry.is_over for sending in work._sending])
        scene.broker.kill()
    assert paces == [[False, False], [True, True]]
    assert all(sending.hurry.is_over for sending in work._sending)
    assert scene.facts.numbers["under way at the fault, at least"] > 0
    scene.broker.start()
    work.wait_for_progress()


@harms_its_broker
@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
def test_publishers_whose_broker_is_down_are_not_waited_for_at_the_end(scene: Scene, client) -> None:
    """They try on for as long as somebody's cluster may take to come back, which it may not do at all."""
    scene.driver = driver(client)
    scene.create_topic(partitions=1)
    work = scene.part(Load)
    work.publish(2, delivery_timeout=600.0)
    scene.broker.kill()
    work.wait_until_waiting()
    began = time.monotonic()
    work.close()
    assert time.monotonic() - began < 30
    scene.broker.start()


@harms_its_broker
@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
def test_somebodys_command_kills_in_the_middle_of_publishing_however_late(scene: Scene, monkeypatch, client) -> None:
    """kubectl takes a second or more until it kills: publishers at their usual pace have nothing under way by then."""
    monkeypatch.setattr(scene.broker, "kind", "external")
    scene.driver = driver(client)
    scene.create_topic(partitions=1)
    work = scene.part(Load)
    work.publish(2)
    name = "under way at the fault, at least"
    with work.meeting("killed"):
        before, began = [each.sent for each in work._sending], time.monotonic()

        def twice_as_many_as_otherwise() -> bool:
            usual = 2 * sending.BURST * (1 + (time.monotonic() - began) / sending.PAUSE_SECONDS)
            return all(each.sent >= sent + usual for each, sent in zip(work._sending, before, strict=True))

        wait_until(twice_as_many_as_otherwise, what="publishers to send twice as many as otherwise", seconds=20)
        assert max(each.sent for each in work._sending) < load.MOST_HURRIED
        scene.broker.kill()
        wait_until(lambda: work.open >= 2, what="something to be under way", seconds=5)
    assert scene.facts.numbers[name] >= 2
    scene.broker.start()
    work.wait_for_progress()


def test_publishers_flood_nobody_while_a_command_takes_its_time(scene: Scene, monkeypatch) -> None:
    monkeypatch.setattr(load, "MOST_HURRIED", 100)
    scene.create_topic(partitions=1)
    work = scene.part(Load)
    work.publish()
    [publisher] = work._sending
    with work.in_the_middle(lasting=True):
        wait_until(lambda: publisher.hurry.is_over, what="the hurry to be over", seconds=10)
        before, since = publisher.sent, time.monotonic()
        wait_until(lambda: publisher.sent >= before + 2 * sending.BURST, what="more bursts", seconds=10)
        assert time.monotonic() - since > sending.PAUSE_SECONDS / 2
    assert scene.facts.numbers["under way at the fault, at least"] == 0


def test_a_fault_meets_a_transaction_that_is_open(scene: Scene) -> None:
    topic = scene.create_topic(partitions=1)
    work = scene.part(Transacting)
    work.begin()
    with work.in_the_middle(), scene.driver.admin(scene.connection) as admin:
        assert admin.end_offsets([topic], committed_only=True) != admin.end_offsets([topic])
    work.finish()
    assert scene.verdict().intact


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_leader_that_does_not_know_a_message_again_is_found(scene: Scene, monkeypatch, idempotent: bool) -> None:
    """Without idempotence no leader knows it again: it stands for one that has lost account of its publishers."""
    scene.create_topic(partitions=1)
    monkeypatch.setattr(Replication, "leader", lambda replication: scene.broker)
    part, make = scene.part(SentAgain), scene.driver.publisher
    with pytest.raises(SuiteError, match="no message was acknowledged"):
        part.send_again()
    monkeypatch.setattr(scene.driver, "publisher", lambda *given: make(*given, idempotent=idempotent))
    scene.publish(10)
    part.publish()
    if idempotent:
        part.send_again()
        return
    words = "a message at offset 10 was taken for a new one when it was sent again: it is at offset 11 as well"
    with pytest.raises(AssertionError, match=words):
        part.send_again()
    part._offset = 99
    with pytest.raises(AssertionError, match=r"the message acknowledged at offset 99 of .* is not there"):
        part.send_again()


@harms_its_broker
def test_a_thawed_broker_that_never_answers_again_stalls_the_work(scene: Scene, monkeypatch) -> None:
    scene.create_topic(partitions=1)
    scene.part(Load).publish()
    monkeypatch.setattr(going_down, "READY_SECONDS", 0.3)
    monkeypatch.setattr(type(scene.broker), "is_usable", lambda broker: False)
    with pytest.raises(Stalled, match=r"waited .* for broker 1 to answer again, in vain"):
        going_down.freeze(scene, beyond_session=False)


@pytest.mark.parametrize(
    ("error", "raised"),
    [(CorruptRecordError("batch at offset 7 failed crc check"), AssertionError), (KafkaTimeoutError("no crc"), None)],
)
def test_damaged_messages_that_are_served_are_a_broken_promise(scene: Scene, monkeypatch, error, raised) -> None:
    """Whoever reads: for the verdict, from somewhere on, or at work. And what else a client may raise is none."""
    raised = raised or type(error)
    scene.create_topic(partitions=1)
    scene.publish(10)
    monkeypatch.setattr(KafkaConsumer, "poll", raising(error))
    with pytest.raises(raised, match=re.escape(str(error))):
        scene.part(Reading).start_at_offset(5)
    with pytest.raises(raised, match=re.escape(str(error))):
        scene.part(Load).read()
    with pytest.raises(raised, match=re.escape(str(error))):
        scene.part(Load).finish()
    with pytest.raises(raised, match=re.escape(str(error))):
        scene.verdict()


def raising(error: Exception) -> Callable[..., None]:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


def test_an_error_is_no_answer_to_a_reader_that_starts_somewhere(scene: Scene, monkeypatch) -> None:
    """A broker whose index leads it astray may say that something went wrong. Its silence is another matter."""
    scene.create_topic(partitions=1)
    scene.publish(10)
    monkeypatch.setattr(KafkaConsumer, "poll", raising(UnknownError("unexpected error while fetching data")))
    with pytest.raises(AssertionError, match=r"a reader asked for what is there, and got an error: .*unexpected error"):
        scene.part(Reading).start_at_offset(5)
    for silence in (KafkaTimeoutError("no answer"), RequestTimedOutError("no answer")):
        monkeypatch.setattr(KafkaConsumer, "poll", raising(silence))
        with pytest.raises(type(silence)):
            scene.part(Reading).start_at_offset(5)


def test_what_was_read_and_then_goes_with_the_head_of_its_log_is_missed(scene: Scene) -> None:
    """As with a replica that was made anew from its leader's end."""
    topic = scene.create_topic(partitions=2)
    scene.publish(60)
    with scene.driver.reader(scene.connection, scene.recorder) as reader:
        reader.read_to_end(topic)
    with scene.driver.admin(scene.connection) as admin:
        admin.delete_records({(topic, 1): 10})
    words = scene.verdict().words_of("vanished")
    assert words.startswith("vanished: 10 records read once that a reading")
    assert f"offset 0 of {topic}-1 by reader 0, and is gone" in words
    assert "was handed only offsets 10 to 29" in words


def test_what_a_group_has_committed_is_forgotten(scene: Scene, monkeypatch) -> None:
    scene.create_topic(partitions=2)
    monkeypatch.setattr(commits, "_group_of", lambda scene, coordinator: "group-aside")
    kept = scene.part(commits.Commits)
    with pytest.raises(FaultNotProven, match="no group had committed anything"):
        kept.forgotten()
    kept.commit(scene.broker)
    assert kept.forgotten() == []
    with scene.driver.admin(scene.connection) as admin:
        admin.delete_group("group-aside")
    assert [words.rpartition(": ")[2] for words in kept.forgotten()] == ["nothing instead of 1", "nothing instead of 2"]


@harms_its_broker
def test_a_broker_that_gives_up_at_its_start_breaks_a_promise(scene: Scene, monkeypatch) -> None:
    """After it was taken down in the middle of its work, its files are all it has, and should be enough."""

    def gives_up(broker: object) -> None:
        raise BrokerFailed("broker 1 died on its own after it was killed")

    with monkeypatch.context() as briefly:
        briefly.setattr(type(scene.broker), "await_ready", gives_up)
        with pytest.raises(AssertionError, match="broker 1 does not come back: broker 1 died on its own after"):
            scene.restart("killed")
    scene.broker.await_ready()


def test_a_committed_reader_has_to_get_to_the_end(scene: Scene, monkeypatch) -> None:
    """A transaction whose end the broker has lost keeps every such reader before it: nothing torn would be seen."""
    scene.create_topic(partitions=2)
    part = scene.part(Isolation)
    part.leave_open()
    monkeypatch.setattr(reading, "READ_SECONDS", 1.0)
    with pytest.raises(AssertionError, match="a reader of committed messages did not get to the end"):
        reading.read_committed(scene)
    assert part._open.commit() == "committed"
    monkeypatch.undo()
    reading.read_committed(scene)


def test_a_transaction_that_its_broker_does_not_give_up_in_time_is_a_broken_promise(scene: Scene, monkeypatch) -> None:
    scene.create_topic(partitions=1)
    monkeypatch.setattr(isolation, "TIMEOUT_SECONDS", 60.0)
    monkeypatch.setattr(isolation, "NOTICE_SECONDS", 0.3)
    with pytest.raises(AssertionError, match="a transaction that had timed out stayed open: waited"):
        scene.part(Isolation).time_out()


def test_an_abort_that_was_refused_is_no_abort(scene: Scene) -> None:
    """It counts as one in the history, since nobody asked for a commit."""
    scene.create_topic(partitions=2)
    part = scene.part(Transactions)
    part.leave_open(3, 10)
    _, aborted, _ = part._open
    part._named(aborted).close()  # a successor: the one before is fenced
    with pytest.raises(AssertionError, match="a transaction that was to be aborted ended as aborted: ") as caught:
        part.end_in_every_way()
    assert re.search(REFUSED, str(caught.value))
    assert not re.search(REFUSED, "no answer to the commit within 30 s")


@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
def test_what_a_scenario_leaves_open_is_aborted_when_it_is_over(scene: Scene, client: str) -> None:
    """The broker would keep it open until its time is over, and may be somebody else's."""
    scene.driver = driver(client)
    scene.create_topic()
    scene.part(Transactions).leave_open(2, 10)
    scene.part(Isolation).leave_open()
    assert len(open_transactions(scene.broker)) == 3
    scene.close(passed=False)
    assert open_transactions(scene.broker) == []


def test_a_broker_that_does_not_answer_is_asked_for_no_abort(scene: Scene, monkeypatch) -> None:
    scene.create_topic()
    scene.part(Transactions).leave_open(1, 10)
    monkeypatch.setattr(scene.broker, "is_alive", lambda: False)
    scene.close(passed=False)
    assert len(open_transactions(scene.broker)) == 1


@harms_its_broker
def test_a_broker_that_is_silent_is_waited_for_once(scene: Scene, monkeypatch) -> None:
    monkeypatch.setattr("integrity.scenes.transactions.ABORT_SECONDS", 0.5)
    scene.create_topic()
    scene.part(Transactions).leave_open(3, 10)
    tried = []
    for publisher in scene.part(Transactions)._publishers.values():
        monkeypatch.setattr(
            publisher, "_abort", lambda seconds, abort=publisher._abort: (tried.append(seconds), abort(seconds))
        )
    scene.broker.freeze()
    began = time.monotonic()
    scene.close(passed=False)
    assert time.monotonic() - began < 30
    scene.broker.thaw()
    assert len(tried) == 1


def test_a_transaction_has_messages_that_were_acknowledged(scene: Scene) -> None:
    topic = scene.create_topic(partitions=1)
    with scene.driver.admin(scene.connection) as admin:
        admin.set_configs(topic, {"max.message.bytes": "1"})
    with pytest.raises(AssertionError, match=r"not every message of a transaction was acknowledged: .*TooLarge"):
        scene.part(Transactions).leave_open(1, 10)


def test_messages_of_ones_own_have_to_be_acknowledged(scene: Scene) -> None:
    """They are what is to be kept: old and new ones around an expiry, one for each minute of a day."""
    topic = scene.create_topic(partitions=1, **{"max.message.bytes": "1"})
    with pytest.raises(AssertionError, match=r"not all of 1 messages of publisher 0 were acknowledged: .*TooLarge"):
        publishers.send(scene, [Message(topic, b"too large")])


def test_a_topic_that_is_not_read_to_its_end_says_nothing_of_what_was_removed(scene: Scene, monkeypatch) -> None:
    scene.create_topic(partitions=1)
    with scene.driver.reader(scene.connection) as reader:
        monkeypatch.setattr(type(reader), "positions", lambda reader: {})
    monkeypatch.setattr(cleaning, "READ_SECONDS", 0.3)
    with pytest.raises(AssertionError, match="a reader did not get to the end"):
        cleaning.wrong_values(scene)


def test_a_member_that_is_handed_nothing_stalls_the_work(scene: Scene, monkeypatch) -> None:
    scene.create_topic(partitions=1)
    monkeypatch.setattr(member, "READ_SECONDS", 0.3)
    mortal = member.Member(scene, f"group of {scene.topics[0]}")
    with pytest.raises(Stalled, match=rf"for member {mortal.number} to be handed something, .* in vain"):
        mortal.die()


def test_a_publisher_that_only_waits_for_a_late_answer_proves_nothing(scene: Scene, monkeypatch) -> None:
    scene.create_topic(partitions=3)
    scene.part(FailingNetwork).begin()
    monkeypatch.setattr(sending_again, "IMPATIENCE", sending_again.PATIENCE)
    monkeypatch.setattr(sending_again, "LATE", 0.05)
    with pytest.raises(FaultNotProven, match="sent no message again"):
        sending_again.publish(scene, 3000, sending_again.TOO_LATE)


def test_equal_errors_of_several_publishers_are_counted_together(scene: Scene) -> None:
    work = scene.part(Load)
    errors = [{"timed out": 2, "refused": 1}, {"timed out": 3}]
    work._sending = [SimpleNamespace(publisher=SimpleNamespace(errors=each)) for each in errors]
    assert work.errors() == {"timed out": 5, "refused": 1}
    work._sending = []


def test_a_partition_without_messages_is_not_waited_for() -> None:
    """A group has nothing to commit there, and one client's account of what it has committed leaves it out."""
    assert behind({("t", 0): 5}, {("t", 0): 5, ("t", 1): 0}) == {}
    assert behind({("t", 0): 4}, {("t", 0): 5, ("t", 1): 1}) == {"t-0": "4 of 5", "t-1": "0 of 1"}


def test_the_copies_of_one_shard_have_identities_that_no_other_has(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards' copies are judged together, as their histories are."""
    shard = Shard(2, 2)
    first, label = shard.first_id, shard.label
    monkeypatch.setattr(Brokers, "identities", (first, label))
    scene.note("the group", "begins")
    copying = scene.part(Copying)
    copying.begin()
    copying._finish()
    verdict = copying.verdict()
    assert verdict.intact, verdict.words()
    reads = pq.read_table(scene.folder / "copies" / "reads").to_pylist()
    assert {row["reader"] for row in reads} == {first}
    assert {path.name for path in (scene.folder / "copies" / "reads").iterdir()} == {f"part-{label}-00000.parquet"}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"log.message.timestamp.type": "LogAppendTime"}, "given timestamps"),
        ({"message.max.bytes": "100000"}, content.LARGE),
    ],
)
def test_whatever_a_clusters_defaults_are_messages_come_back_as_they_were_sent(
    scene: Scene, settings: dict[str, str], kind: str
) -> None:
    scene.use_broker(settings)
    scene.create_topic()
    content.publish(scene, [kind], "none")
    assert scene.verdict().intact, scene.verdict().words()


@pytest.mark.parametrize("client", ["kafka-python", "confluent-kafka"])
def test_messages_that_are_older_than_somebodys_cluster_takes_are_not_asked_of_it(
    scene: Scene, monkeypatch, client
) -> None:
    scene.driver = driver(client)
    setting = "message.timestamp.before.max.ms"
    scene.create_topic(**{setting: "86400000"})
    content.publish(scene, ["null keys"], "none")
    with pytest.raises(AssertionError, match="not all of 100 messages") as told:
        content.publish(scene, ["given timestamps"], "none")
    assert len(str(told.value)) < 1_000, "each message may have an error of its own"
    monkeypatch.setattr(scene.broker, "kind", "external")
    with pytest.raises(NotPossible, match=f"as old as these, by its {setting} "):
        content.publish(scene, ["given timestamps"], "none")


def test_copies_are_kept_as_their_source_where_it_is_told_how() -> None:
    told = {IN_SYNC: "2", "retention.ms": "1"}
    assert {name: value for name, value in settings_like(told).items() if name in told} == {IN_SYNC: "2"}
    assert IN_SYNC not in settings_like({"retention.ms": "1"})


def test_a_session_that_no_member_is_granted_skips_the_scenario_and_is_no_error_at_its_end(
    scene: Scene, monkeypatch
) -> None:
    """Each member says so, also when the scenario has been skipped for what the first one said."""
    scene.create_topic()
    somebodys = replace(scene.connection, prefix=scene.topics[0])
    monkeypatch.setattr(Scene, "connection", somebodys)
    with pytest.raises(NotPossible, match=r"no group session of 0\.2 s"):
        scene.part(Groups).begin(2, session=0.2)
    scene.close(passed=False)


def test_what_was_not_possible_is_told_at_the_end_where_no_step_has_met_it(scene: Scene) -> None:
    scene.create_topic()
    refused = NotPossible("the cluster does not do it")
    scene.part(lambda _: SimpleNamespace(close=Mock(side_effect=refused)))
    with pytest.raises(NotPossible, match="does not do it"):
        scene.close(passed=True)


def test_publishers_at_work_outlast_the_longest_outage_of_somebodys_cluster(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has given up a batch may not go on although the cluster is back in time, and keeps its promises."""
    monkeypatch.setattr(scene.broker, "kind", "external")
    scene.create_topic()
    scene.part(Load).publish()
    [sending] = scene.part(Load)._sending
    assert sending.publisher.options.delivery_timeout > external.READY_SECONDS + load.PROGRESS_SECONDS


def test_a_commit_is_not_held_where_it_would_have_to_log_in(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    sasl = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": jaas()}
    monkeypatch.setattr(Scene, "connection", Connection("nobody:9092", sasl))
    with pytest.raises(NotPossible, match="without SASL"):
        late_commit.publish(scene)
