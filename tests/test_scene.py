"""A broker that dies by itself is the suite's error, told with its log, and nothing that Kafka is blamed for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrity import waiting
from integrity.brokers.base import BrokerFailed
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.distribution import Distribution
from integrity.clients import driver
from integrity.faults.network import Proxy
from integrity.prove.reading import PLACE, hide_from_all
from integrity.prove.saboteur import Wire
from integrity.reports.model import ScenarioFacts
from integrity.runs import Run
from integrity.scene import Scene
from integrity.scenes import disk_faults, load
from integrity.scenes.load import Load, Stalled
from integrity.settings import Settings
from integrity.waiting import wait_until


@pytest.fixture
def scene(run: Run, kafka: Distribution, tmp_path: Path) -> Iterator[Scene]:
    brokers = Brokers(Settings(), Choice("embedded", ""), run)
    broker = brokers.create()
    try:
        broker.start()
        scene = Scene(broker, {}, brokers, driver("kafka-python"), tmp_path / "scenario", ScenarioFacts())
        yield scene
        scene.close(passed=False)
    finally:
        brokers.discard(broker)


def test_it_ends_a_reading_at_once(scene: Scene) -> None:
    """Without the look, the consumer waits for a minute, and three messages are called missing."""
    scene.produce("three", ["1", "2", "3"])
    scene.broker._process.kill()
    scene.broker._process.wait()
    with pytest.raises(BrokerFailed, match=r"broker 1 died on its own(.|\n)*the end of its log:\n.*INFO"):
        scene.consume("three")
    assert scene.read == []


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
    first, *rest = str(stalled.value).splitlines()
    assert first.startswith("the work does not go on (last fault: broker 1 frozen): waited 1.5 s for every publisher")
    assert "stalled: publisher 0, publisher 1; errors so far: " in first
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

    def begin_and_read_all(work: Load, *arguments: object) -> None:
        begin(work, *arguments)
        wait_until(lambda: work._seen[-1] == 30, what="everything to be read", seconds=20)

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
