"""A broker that dies by itself is the suite's error, told with its log, and nothing that Kafka is blamed for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrity.brokers.base import BrokerFailed
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.distribution import Distribution
from integrity.clients import driver
from integrity.reports.model import ScenarioFacts
from integrity.runs import Run
from integrity.scene import Scene
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
