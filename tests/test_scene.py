"""A broker that dies by itself is the suite's error, told with its log, and nothing that Kafka is blamed for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrity import waiting
from integrity.brokers.base import BrokerFailed
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.distribution import Distribution
from integrity.clients import driver
from integrity.reports.model import ScenarioFacts
from integrity.runs import Run
from integrity.scene import Scene
from integrity.scenes.load import Load, Stalled
from integrity.settings import Settings


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
    monkeypatch.setattr(waiting, "_timeout_factor", 0.05)
    scene.broker.freeze()
    try:
        with pytest.raises(Stalled) as stalled:
            load.wait_for_progress()
    finally:
        scene.broker.thaw()
    first, *rest = str(stalled.value).splitlines()
    assert first.startswith("the work does not go on (last fault: broker 1 frozen): waited 1.5 s for every publisher")
    assert "stalled: publisher 0, publisher 1; errors so far: " in first
    assert rest, "what is known of the messages so far is told as well"
