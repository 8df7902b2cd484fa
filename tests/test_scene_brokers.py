"""Which broker a scenario gets: the one that serves its whole feature, or a fresh one after it was harmed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from integrity import progress, session
from integrity.brokers import kinds
from integrity.brokers.base import Broker, BrokerFailed
from integrity.brokers.choice import Brokers, Choice
from integrity.errors import SuiteError, Unavailable
from integrity.reports.model import RunFacts
from integrity.session import ONE_BROKER, Session
from integrity.settings import Settings
from tests.report_samples import ROOT, behave, project

FEATURE = """\
@own_broker
Feature: Brokers that scenarios bring themselves
  Scenario: the first
    Given a broker of kind 1
  Scenario: the second, which asks for the same
    Given a broker of kind 1
  Scenario: one that tampers, and finds nothing wrong
    Given a broker of kind 2
    When its files are tampered with
  Scenario: the next, after what was mended
    Given a broker of kind 2
  Scenario: one that tampers, and fails
    Given a broker of kind 2
    When its files are tampered with
    Then the scenario fails
  Scenario: the next, after what nobody knows
    Given a broker of kind 2
  Scenario: one that does damage that stays
    Given a broker of kind 1
    When it is spoiled
  Scenario: the next, after damage that stays
    Given a broker of kind 1
  Scenario: one that does not say which broker it wants
    When its broker is asked for
"""

SERVED = """
Feature: S
  Scenario: one that leaves a topic
    Given the broker that is there
    And a topic with messages on it
"""

SERVED_TOO = """
Feature: T
  Scenario: one of the next feature
    Given the broker that is there
    Then it has no topic
    When it is spoiled
"""

SERVED_AFTER_HARM = """
Feature: U
  Scenario: one of the feature after harm
    Given the broker that is there
"""

STEPS = """\
from behave import step

def remember(context, what):
    with open("seen.txt", "a") as seen:
        seen.write(f"{context.scenario.name}: {what}\\n")

@step("a broker of kind {number}")
def a_broker(context, number):
    broker = context.scene.use_broker({"num.io.threads": number})
    broker.check_alive()
    remember(context, broker.bootstrap_servers)

@step("the broker that is there")
def the_broker(context):
    remember(context, context.scene.broker.bootstrap_servers)

@step("a topic with messages on it")
def a_topic(context):
    context.scene.create_topic()
    context.scene.publish(10)

@step("it has no topic")
def no_topic(context):
    with context.scene.driver.admin(context.scene.connection) as admin:
        assert not admin.topics(), f"topics are left: {admin.topics()}"

@step("its files are tampered with")
def tampered(context):
    context.scene.tampered = True

@step("it is spoiled")
def spoiled(context):
    context.scene.spoiled = True

@step("the scenario fails")
def fails(context):
    raise AssertionError("on purpose")

@step("its broker is asked for")
def asked(context):
    context.scene.broker
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("brokers")


@pytest.fixture(scope="module")
def run(folder: Path) -> tuple[dict[str, str], str]:
    """The address of each scenario's broker, by the scenario's name; and what behave printed."""
    environment = (ROOT / "environment.py").read_text()
    features = {"a.feature": FEATURE, "s.feature": SERVED, "t.feature": SERVED_TOO, "u.feature": SERVED_AFTER_HARM}
    project(folder, features, environment=environment, steps=STEPS)
    done = behave(folder, "-D", "broker=embedded", "-D", "jobs=1")
    assert (folder / "seen.txt").exists(), done.stdout
    return dict(line.split(": ", 1) for line in Path(folder / "seen.txt").read_text().splitlines()), done.stdout


def test_scenarios_that_ask_for_the_same_share_a_broker(run: tuple[dict[str, str], str]) -> None:
    address, _ = run
    assert address["the first"] == address["the second, which asks for the same"]
    assert address["the first"] != address["one that tampers, and finds nothing wrong"]


def test_a_broker_that_was_tampered_with_serves_on_only_after_a_scenario_that_held(
    run: tuple[dict[str, str], str],
) -> None:
    address, _ = run
    before = address["one that tampers, and finds nothing wrong"]
    assert before == address["the next, after what was mended"] == address["one that tampers, and fails"]
    assert before != address["the next, after what nobody knows"]


@pytest.mark.usefixtures("run")
def test_a_failed_scenario_keeps_what_its_broker_was_started_with(folder: Path) -> None:
    kept = folder / "reports/evidence/a"
    lines = (kept / "one-that-tampers-and-fails/broker-1.server.properties").read_text().splitlines()
    assert {"num.io.threads=2", "node.id=1", "auto.create.topics.enable=false"} <= set(lines)
    assert (kept / "one-that-does-not-say-which-broker-it-wants/verdict.txt").exists(), "one without a broker"


def test_a_broker_with_damage_that_stays_serves_nobody(run: tuple[dict[str, str], str]) -> None:
    address, _ = run
    assert address["one that does damage that stays"] == address["the first"]
    assert address["the next, after damage that stays"] != address["the first"]


def test_a_broker_that_is_still_good_serves_the_next_feature_without_the_topics_of_the_one_before(
    run: tuple[dict[str, str], str],
) -> None:
    address, said = run
    assert address["one of the next feature"] == address["one that leaves a topic"], said
    assert "topics are left" not in said


def test_a_broker_that_was_harmed_does_not_serve_the_next_feature(run: tuple[dict[str, str], str]) -> None:
    address, _ = run
    assert address["one of the feature after harm"] != address["one of the next feature"]


#: The first broker of the run does not get ready.
NOT_READY = """
from integrity.brokers import base

await_ready, failures = base.Broker.await_ready, ["not ready, on purpose"]

def fails_once(broker):
    if failures:
        raise base.BrokerFailed(failures.pop())
    await_ready(broker)

base.Broker.await_ready = fails_once
"""


def test_a_broker_that_did_not_start_costs_its_own_feature_only(tmp_path: Path) -> None:
    environment = (ROOT / "environment.py").read_text() + NOT_READY
    features = {"s.feature": SERVED, "u.feature": SERVED_AFTER_HARM}
    project(tmp_path, features, environment=environment, steps=STEPS)
    done = behave(tmp_path, "-D", "broker=embedded", "-D", "jobs=1")
    assert "not ready, on purpose" in done.stdout
    seen = (tmp_path / "seen.txt").read_text()
    assert "one of the feature after harm" in seen
    assert "one that leaves a topic" not in seen
    # What it was started with may be why, and its log alone does not tell.
    [started_with, *_] = (tmp_path / "reports/evidence/s").rglob("broker-1.server.properties")
    assert "node.id=1" in started_with.read_text().splitlines()


#: Whoever is launched is written down.
LAUNCHES_ARE_SEEN = """
from integrity.brokers import base

launch = base.Broker.launch

def seen(broker):
    with open("launched.txt", "a") as launched:
        launched.write(f"{broker.label}\\n")
    launch(broker)

base.Broker.launch = seen
"""


@pytest.mark.parametrize(("name", "launched"), [("one of the feature after harm", 1), ("mistyped", 0)])
def test_no_broker_is_started_for_a_feature_none_of_whose_names_is_asked_for(
    tmp_path: Path, name: str, launched: int
) -> None:
    environment = (ROOT / "environment.py").read_text() + LAUNCHES_ARE_SEEN
    features = {"s.feature": SERVED, "t.feature": SERVED_TOO, "u.feature": SERVED_AFTER_HARM}
    project(tmp_path, features, environment=environment, steps=STEPS)
    done = behave(tmp_path, "-D", "broker=embedded", "--name", name)
    assert done.returncode == 1 - launched, done.stdout
    (tmp_path / "launched.txt").touch()
    assert (tmp_path / "launched.txt").read_text().splitlines() == ["broker 1"] * launched


class Pretended(Broker):
    """A broker that is said to run; of those made after the first none starts, and none can be discarded at once."""

    kind, bootstrap_servers, version, started_at, data_directory = "pretended", "127.0.0.1:1", "none", None, None
    made = 0

    def __init__(self, config) -> None:
        super().__init__(config)
        Pretended.made += 1
        self.is_first = Pretended.made == 1
        self.tries = 0

    def is_alive(self) -> bool:
        return True

    def log(self, mark: int = 0) -> str:
        return ""

    def await_ready(self) -> None:
        """It is at once."""

    def _launch(self) -> None:
        if not self.is_first:
            raise BrokerFailed("it does not start, on purpose")

    def _discard(self) -> None:
        self.tries += 1
        if not self.is_first and self.tries < 3:
            raise BrokerFailed("it does not go, on purpose")

    _terminate = _kill = _freeze = _thaw = _launch


def test_a_broker_launched_ahead_that_neither_starts_nor_goes_costs_the_feature_in_hand_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = SimpleNamespace(boots=True, owned=False, alone="", make=Pretended)
    monkeypatch.setattr(kinds, "load", lambda name: lambda settings, run: kind)
    monkeypatch.setattr(Pretended, "made", 0)
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)
    brokers = Brokers(Settings(), Choice("pretended", "for tests"), None)
    session = Session(Settings(), None, brokers, SimpleNamespace(run=RunFacts(metadata_version="known already")))
    session._ahead = [ONE_BROKER, ONE_BROKER]
    session.open_feature(SimpleNamespace(tags=[]))
    assert session.broker.is_first
    assert session._broker_error is None
    [line] = said
    assert line.endswith("could not be cleaned up either: it does not go, on purpose")
    with pytest.raises(BrokerFailed, match="could not clean up broker 1: it does not go, on purpose"):
        brokers.discard_all()
    brokers.discard_all()


def test_a_run_whose_kafka_is_not_there_any_more_ends_with_a_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error of the first hook would leave every scenario skipped, and the run's folder where it is."""
    ended: list[str] = []

    class Gone:
        @property
        def version(self) -> str:
            raise Unavailable("no such image")

    def stop(error: SuiteError) -> NoReturn:
        ended.append(str(error))
        raise SystemExit(2)

    run = SimpleNamespace(swept=[], take_in_temporary_files=lambda: None, end=lambda: ended.append("run"))
    monkeypatch.setattr(session.signal, "signal", lambda *_: None)
    monkeypatch.setattr(session, "collect_garbage_rarely", lambda: None)
    monkeypatch.setattr(session.waiting, "set_timeout_factor", lambda factor: None)
    monkeypatch.setattr(session.reporting, "install", lambda *_, **__: None)
    monkeypatch.setattr(session.Run, "begin", lambda: run)
    monkeypatch.setattr(session, "choose", lambda settings: Choice("docker", "for tests"))
    monkeypatch.setattr(session, "Brokers", lambda *_: Gone())
    monkeypatch.setattr(session, "stop_at_once", stop)
    with pytest.raises(SystemExit):
        Session.begin(SimpleNamespace(_runner=None, config=SimpleNamespace(userdata={})))
    assert ended == ["run", "no such image"]


def test_a_feature_without_a_broker_says_so_to_a_scenario_that_wants_none_of_its_own(
    run: tuple[dict[str, str], str],
) -> None:
    _, said = run
    assert "no broker was started for this feature (@own_broker): its scenarios say which one they want" in said
