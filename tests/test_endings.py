"""A scenario's end: whatever is at work is ended, and the history is written, also when one of its parts raises."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from integrity.clients import driver
from integrity.endings import end_all
from integrity.reports.model import ScenarioFacts
from integrity.scene import Scene
from integrity.scenes.load import Load
from integrity.scenes.worker import Worker

ended: list[str] = []


class First:
    """A part of a scene that ends well."""

    def __init__(self, scene: Scene) -> None:
        pass

    def close(self) -> None:
        ended.append("the first part")


class Second(First):
    def close(self) -> None:
        raise ValueError("the second part could not be ended")


class Third(First):
    def close(self) -> None:
        raise OSError("nor could the third")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    ended.clear()
    return Scene(None, {}, None, driver("kafka-python"), tmp_path, ScenarioFacts())


@pytest.fixture
def own_recorder(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scene without brokers does not know which identities its clients may take."""

    class Brokers:
        identities = (0, "0")

    scene.brokers = Brokers()


def test_all_are_ended_and_the_first_error_is_raised_with_the_words_of_the_others() -> None:
    def fail(word: str) -> None:
        raise ValueError(word)

    done = []
    with pytest.raises(ValueError, match="one") as raised:
        end_all([lambda: fail("one"), lambda: done.append(2), lambda: fail("three")])
    assert done == [2]
    assert raised.value.__notes__ == ["And after that: ValueError: three"]


@pytest.mark.usefixtures("own_recorder")
def test_a_part_that_cannot_be_ended_keeps_neither_the_others_at_work_nor_the_history_open(scene: Scene) -> None:
    for part in (First, Second, Third):
        scene.part(part)
    scene.note("broker 1", "killed")
    with pytest.raises(OSError, match="nor could the third") as raised:
        scene.close(passed=False)
    assert raised.value.__notes__ == ["And after that: ValueError: the second part could not be ended"]
    assert ended == ["the first part"]
    events = pq.read_table(scene.folder / "events").to_pylist()
    assert [(event["subject"], event["what"]) for event in events] == [("broker 1", "killed")]


def test_a_client_that_failed_does_not_leave_the_others_at_work(scene: Scene) -> None:
    """Their clients would go on, and record what they see into a history that is closed."""

    class Connection:
        def check(self) -> None:
            pass

    class Somewhere(Scene):
        connection = Connection()

    somewhere = Somewhere(None, {}, None, scene.driver, scene.folder, ScenarioFacts())

    def fail(worker: Worker) -> None:
        raise ValueError("this client is broken")

    def work(worker: Worker) -> None:
        worker.stopping.wait(30)
        threading.Event().wait(0.2)  # a client takes its time to close
        ended.append("the other one")

    load = somewhere.part(Load)
    load._reading = [Worker(somewhere, "one", fail), Worker(somewhere, "another", work)]
    with pytest.raises(ValueError, match="this client is broken"):
        load.finish()
    assert ended == ["the other one"]
