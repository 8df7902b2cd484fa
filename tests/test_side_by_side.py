"""Features that several processes work on: shown in order, reported as one run, and no process's end loses more than
the feature it was at."""

from __future__ import annotations

import signal
import sys
import textwrap
from multiprocessing.connection import Connection
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from behave.model_type import Status
from behave.parser import parse_feature

from integrity import machine, session
from integrity.settings import Settings
from integrity.side_by_side import features
from integrity.side_by_side.crew import Crew, WorkerDied
from integrity.side_by_side.line import Terms
from integrity.waiting import wait_until
from tests.test_interruptions import LiveRun

ROOT = Path(__file__).parent.parent
TERMS = Terms(broker="embedded", seed=7, interactive=False)

#: A worker without behave: for each feature it is handed it prints a line and tells it as the view.
WORKER = """
    import os, signal, struct, sys
    from integrity.side_by_side.member import Member
    member = Member.of_this_process()
    assert Member.of_this_process() is None
    {begin}
    at = at_first = member.first()
    while at is not None:
        print(f"feature {at}")
        {extra}
        at = member.next(f"view {at}", failed=at == 9)
    sys.exit({status})
"""


def worker(extra: str = "pass", status: str = "0", begin: str = "pass") -> list[str]:
    program = textwrap.dedent(WORKER).replace("{extra}", extra).replace("{status}", status).replace("{begin}", begin)
    return [sys.executable, "-c", program]


@pytest.fixture
def crew(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    made: list[Crew] = []

    def make(words: list[str], lengths: dict[int, float], size: int = 2) -> Crew:
        made.append(Crew(size, lengths, TERMS, tmp_path, words))
        return made[-1]

    yield make
    for each in made:
        each.end()


# -- the crew by itself ---------------------------------------------------------------------------------
def test_every_feature_is_run_once_and_shown_in_order(crew, capfd):
    several = crew(worker(), {0: 1, 1: 1, 2: 5, 3: 1})
    assert [several.outcome_of(index) for index in range(4)] == [(f"view {i}", False) for i in range(4)]
    assert capfd.readouterr().out == "feature 0\nfeature 1\nfeature 2\nfeature 3\n"


def test_what_has_to_wait_is_taken_to_be_longer():
    """Protects from a run whose last minute is one long feature that was begun last."""
    short = ["a running broker", "a publisher sends 10,000 messages"]
    assert features._length(short) == 1.0
    assert features._length([*short, "the broker is killed and started again"]) == 5.0
    assert features._length([*short, "a consumer group reads what transactions have committed"]) == 6.0
    assert features._length([*short, "the broker is killed and started again 10 times in a row"]) == 41.0
    assert features._length(["the leader is killed", "every broker is stopped and started again"]) == 13.0


class At:
    """A worker without a process."""

    def __init__(self):
        self.at = self.has = None


def test_somebody_is_always_at_what_people_read_and_the_others_take_the_longest(tmp_path):
    idle = Crew(0, {}, TERMS, tmp_path, [])
    idle._waiting = {0: 1.0, 1: 2.0, 2: 9.0, 3: 5.0}

    idle._workers = [At(), At(), At()]
    for each, wanted in zip(idle._workers, (0, 2, 3), strict=True):
        each.at = idle._hand_out(each)
        assert each.at == wanted
    idle._workers[0].at = None
    assert idle._hand_out(idle._workers[0]) == 1
    assert idle._hand_out(idle._workers[1]) is None
    idle._workers.clear()


def test_a_worker_goes_on_with_what_it_has_and_begins_with_what_nobody_has(tmp_path):
    """Protects from brokers that are started for each feature anew, on every worker."""
    needs = {0: "one", 1: "one", 2: "three", 3: "three", 4: "one", 5: "three"}
    idle = Crew(0, {}, TERMS, tmp_path, [], needs)
    idle._waiting = {0: 1.0, 1: 8.0, 2: 9.0, 3: 7.0, 4: 2.0, 5: 6.0}
    reader, second, third = idle._workers = [At(), At(), At()]
    for each, wanted in (
        (reader, 0),
        (second, 2),  # nobody has what it needs
        (third, 1),  # all that is needed somebody has: the longest of all
        (second, 3),
        (third, 4),
        (second, 5),
    ):
        each.at = idle._hand_out(each)
        assert each.at == wanted
    assert second.has == "three"
    assert third.has == "one"
    idle._workers.clear()


@pytest.mark.parametrize(("longest", "wanted"), [(8.0, 2), (5.0, 3)])
def test_what_alone_takes_as_long_as_the_rest_is_begun_before_anything_else(tmp_path, longest, wanted):
    """Protects from a run whose last part is one long feature: somebody had what it needs, so it was left for later."""
    idle = Crew(0, {}, TERMS, tmp_path, [], {0: "one", 1: "one", 2: "one"})
    idle._waiting = {0: 1.0, 1: 2.0, 2: longest, 3: 3.0, 4: 2.0}
    reader, second = idle._workers = [At(), At()]
    reader.at = idle._hand_out(reader)
    assert idle._hand_out(second) == wanted
    idle._workers.clear()


def test_what_serves_another_need_as_well_is_kept_for_it(tmp_path):
    """Protects from a cluster being taken down, and another one started, since the next feature asks for less."""
    needs = {0: "one", 1: "severable_cluster", 2: "cluster", 3: "one"}
    idle = Crew(0, {}, TERMS, tmp_path, [], needs, serves=session.serves)
    idle._waiting = {0: 1.0, 1: 5.0, 2: 3.0, 3: 4.0}
    reader, second = idle._workers = [At(), At()]
    for each, wanted, has in (
        (reader, 0, "one"),
        (second, 1, "severable_cluster"),
        (second, 2, "severable_cluster"),
        (second, 3, "one"),
    ):
        each.at = idle._hand_out(each)
        assert (each.at, each.has) == (wanted, has)
    idle._workers.clear()


def test_a_process_that_dies_costs_the_feature_it_was_at_and_another_takes_its_place(crew, capfd):
    dies = "at == 1 and os.kill(os.getpid(), signal.SIGSEGV)"
    several = crew(worker(dies), {0: 1, 1: 1, 2: 1}, size=1)
    assert several.outcome_of(0) == ("view 0", False)
    with pytest.raises(WorkerDied, match="the process that ran this feature was ended by SIGSEGV in the middle of it"):
        several.outcome_of(1)
    assert several.outcome_of(2) == ("view 2", False)
    assert capfd.readouterr().out == "feature 0\nfeature 1\nfeature 2\n"


def test_processes_that_end_before_they_begin_end_the_run(crew):
    several = crew([sys.executable, "-c", "raise SystemExit('no such module')"], {0: 1, 1: 1})
    for index in (0, 1):
        with pytest.raises(WorkerDied, match="ended with status 1 before it had begun: no such module"):
            several.outcome_of(index)


def first_one(tmp_path: Path, does: str) -> str:
    """A line for WORKER's beginning, which only one of the workers does."""
    return f"""try:
    os.mkdir({str(tmp_path / "taken")!r})
except FileExistsError:
    pass
else:
    {does}
"""


DIES = "os.kill(os.getpid(), signal.SIGKILL)"

#: Dies in the middle of what it says: of a message of 1,000 bytes so many arrive.
DIES_SPEAKING = f"os.write(member._connection.fileno(), struct.pack('!i', 1000) + b'half'); {DIES}"


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("does", [DIES, DIES_SPEAKING], ids=["silently", "speaking"])
def test_a_process_that_dies_before_it_has_begun_costs_no_feature_and_is_told_at_the_end(crew, tmp_path, size, does):
    """Protects from features that nobody runs, though there are workers who would."""
    several = crew(worker(begin=first_one(tmp_path, does)), {0: 1, 1: 1, 2: 1, 3: 1}, size=size)
    assert [several.outcome_of(index) for index in range(4)] == [(f"view {i}", False) for i in range(4)]
    # Its death may take longer than all that the other one has to do.
    wait_until(lambda: several._listen(0.05) or several._ill_ended, what="its end to be noticed", seconds=20)
    with pytest.raises(WorkerDied, match="a process of this run was ended by SIGKILL before it had begun"):
        several.end()


def test_a_process_that_dies_telling_how_its_feature_went_costs_that_feature(crew):
    """The socket's error is none of those of a connection that is lost: it was the end of the run."""
    several = crew(worker(f"if at == 1: {DIES_SPEAKING}"), {0: 1, 1: 1, 2: 1}, size=1)
    assert several.outcome_of(0) == ("view 0", False)
    with pytest.raises(WorkerDied, match="was ended by SIGKILL in the middle of it"):
        several.outcome_of(1)
    assert several.outcome_of(2) == ("view 2", False)


def test_another_process_takes_the_place_of_one_that_dies_while_others_are_at_work(crew):
    """Protects from a run that goes on alone: here the other one waits for what only a new one can run."""
    several = crew(worker(f"at == 1 and {DIES}; at == 0 and signal.pause()"), {0: 1, 1: 1, 2: 1})
    with pytest.raises(WorkerDied, match="in the middle of it"):
        several.outcome_of(1)
    wait_until(lambda: several._listen(0.05) or several.known(2), what="feature 2 to be run", seconds=20)


def test_a_feature_that_nobody_has_begun_is_run_by_another_process(crew, monkeypatch):
    """It has asked for a feature, and has died before it heard which one."""
    several = crew(worker(), {0: 1, 1: 1, 2: 1}, size=1)
    send = Connection.send

    def is_gone(connection: Connection, said: object) -> None:
        if said == 1:
            monkeypatch.setattr(Connection, "send", send)
            several._workers[0].process.kill()
            several._workers[0].process.wait()
            raise OSError("no such end")
        send(connection, said)

    monkeypatch.setattr(Connection, "send", is_gone)
    assert [several.outcome_of(index) for index in range(3)] == [(f"view {i}", False) for i in range(3)]
    with pytest.raises(WorkerDied, match="was ended by SIGKILL between two features"):
        several.end()


def test_one_that_is_gone_before_it_is_told_the_terms_is_no_error_of_the_run(crew, monkeypatch):
    send = Connection.send

    def is_gone(connection: Connection, said: object) -> None:
        monkeypatch.setattr(Connection, "send", send)
        raise BrokenPipeError

    monkeypatch.setattr(Connection, "send", is_gone)
    several = crew([sys.executable, "-c", "raise SystemExit('too early')"], {0: 1})
    with pytest.raises(WorkerDied, match="too early"):
        several.outcome_of(0)


def test_one_that_has_died_before_it_is_told_to_end_is_heard_of(crew):
    several = crew([sys.executable, "-c", "raise SystemExit('too early')"], {0: 1})
    (process,) = [worker.process for worker in several._workers]
    wait_until(lambda: process.poll() is not None, what="the process to end", seconds=20)
    with pytest.raises(WorkerDied, match="ended with status 1 before it had begun: too early"):
        several.end()


def test_features_that_no_process_is_left_for_are_errors_and_no_wait(crew):
    several = crew(worker(), {0: 1}, size=1)
    several.outcome_of(0)
    several.end()
    with pytest.raises(WorkerDied, match="no process of this run is left that would run this feature"):
        several.outcome_of(1)


def test_a_process_whose_clean_up_fails_is_heard_of(crew):
    several = crew(worker(status="'could not take down broker 1'"), {0: 1}, size=1)
    assert several.outcome_of(0) == ("view 0", False)
    with pytest.raises(WorkerDied, match="ended with status 1 after its last feature: could not take down broker 1"):
        several.end()


def test_a_clean_up_that_fails_is_no_other_features_fault(crew):
    slow = "at == 0 and __import__('time').sleep(1)"
    several = crew(worker(slow, status="0 if at_first == 0 else 'could not take down broker 1'"), {0: 1, 1: 1})
    assert several.outcome_of(0) == ("view 0", False)
    assert several.outcome_of(1) == ("view 1", False)
    with pytest.raises(WorkerDied, match="after its last feature: could not take down broker 1"):
        several.end()


def test_a_process_with_a_failed_feature_ends_with_its_status_and_nobody_minds(crew):
    several = crew(worker(status="1"), {9: 1}, size=1)
    assert several.outcome_of(9) == ("view 9", True)
    several.end()


OUTLINE = """
Feature: F
  Rule: R
    Scenario Outline: <n>
      Given a broker
      Examples:
        | n |
        | 1 |
        | 2 |
        | 3 |
"""


def test_an_example_that_fails_after_others_have_held_fails_its_feature():
    """Protects from behave's own word for the feature, which it keeps once it was asked in the middle of an outline."""
    feature = parse_feature(OUTLINE)
    first, second, third = feature.walk_scenarios()
    first.steps[0].status = Status.passed
    assert feature.status == Status.passed
    assert not features._has_failed(feature)
    second.steps[0].status = Status.error
    third.steps[0].status = Status.passed
    assert feature.status == Status.passed, "behave has mended it: features._has_failed may be its status alone"
    assert features._has_failed(feature)


def test_workers_are_told_to_end_when_nobody_wants_the_rest(crew):
    several = crew(worker("at == 1 and signal.pause()"), {0: 1, 1: 1})
    assert several.outcome_of(0) == ("view 0", False)
    several.end()
    assert several.known(1) is None


# -- how many -------------------------------------------------------------------------------------------
class Selected:
    """A scenario to run, and the feature of that one scenario."""

    def should_run(self, config) -> bool:
        return True

    def walk_scenarios(self) -> list[Selected]:
        return [self]


class Unselected(Selected):
    """A feature with a tag that is asked for, and no scenario with the name that is."""

    def walk_scenarios(self) -> list[Selected]:
        return []


class Runner:
    def __init__(self, count: int, unselected: int = 0, **config: object) -> None:
        self.features = [*(Unselected() for _ in range(unselected)), *(Selected() for _ in range(count))]
        self.config = type("Config", (), {"jobs": 1, "dry_run": False, "outputs": [], "format": ["plain"], **config})()


@pytest.mark.parametrize(
    ("jobs", "runner", "per_processor", "wanted"),
    [
        (5, Runner(9), 1.5, 5),
        (5, Runner(3), 1.5, 3),
        (5, Runner(1, unselected=8), 1.5, 1),
        (None, Runner(2), 1.5, 1),
        (None, Runner(9, jobs=4), 1.5, 4),
        (5, Runner(9), 0, 1),
        (5, Runner(9, dry_run=True), 1.5, 1),
        (5, Runner(9, format=["json"]), 1.5, 1),
        (1, Runner(9), 1.5, 1),
    ],
    ids=[
        "asked",
        "few",
        "few names",
        "auto-few",
        "behave's own option",
        "external",
        "dry run",
        "a format of its own",
        "one",
    ],
)
def test_side_by_side_where_it_can_be_and_is_worth_it(jobs, runner, per_processor, wanted):
    assert features.how_many(jobs, runner, per_processor) == wanted


def test_features_of_which_nothing_is_asked_for_are_not_handed_out():
    assert features.selected(Runner(2, unselected=1)) == [1, 2]


def test_without_being_told_as_many_as_the_machine_takes():
    assert Settings().jobs is None
    assert features.how_many(None, Runner(99), 1.5) == features.fitting(1.5, machine.room()) >= 1


# -- real runs ------------------------------------------------------------------------------------------
@pytest.fixture
def live(tmp_path, kafka):
    runs: list[LiveRun] = []

    def start(*words: str) -> LiveRun:
        runs.append(LiveRun(tmp_path, *words))
        return runs[-1]

    yield start
    for run in runs:
        run.discard()


SHORT = ("features/delivery/data_integrity.feature", "features/limits/order_across_partitions.feature")


def test_two_at_a_time_are_one_run_with_one_report(live):
    run = live("-D", "jobs=2", *SHORT)
    run.said, _ = run.process.communicate(timeout=120)
    assert run.process.returncode == 0, run.said
    assert "Features side by side: 2 at a time" in run.said
    assert "Everything held: 2 of 2 scenarios" in run.said
    assert run.said.count("Broker: ") == 1
    first, second = run.said.index("Feature: Messages are delivered"), run.said.index("Feature: There is no order")
    assert first < run.said.index("PASSED!") < second
    page = (run.folder / "reports" / "report.html").read_text(encoding="utf-8")
    assert "All 2 scenarios held." in page
    for feature in SHORT:
        name = feature.removesuffix(".feature").replace("/", ".")
        suite = ElementTree.parse(run.folder / "reports" / "junit" / f"TESTS-{name}.xml").getroot()
        assert suite.attrib["errors"] == suite.attrib["failures"] == "0"
        properties = {each.attrib["name"]: each.attrib["value"] for each in suite.iterfind(".//property")}
        assert properties["broker"] == "embedded"
        assert properties["kafka"] == "Apache Kafka 4.3.1"
        assert properties["metadata.version"] == "4.3-IV0", "a worker has had the broker that told it"
    assert run.brokers() == []


def test_a_process_that_is_killed_leaves_nothing_and_its_feature_is_an_error(live):
    run = live("-D", "jobs=2", "features/persistence/restart.feature", SHORT[1])
    run.wait_for_a_scenario()
    main = psutil.Process(run.process.pid)
    # The workers are its children; the one at work on the first feature was started first.
    workers = sorted((p for p in main.children() if "behave" in p.cmdline()), key=psutil.Process.create_time)
    for each in workers:
        each.send_signal(signal.SIGKILL)
    run.said += run.process.communicate(timeout=120)[0]
    assert run.process.returncode == 1
    assert "the process that ran this feature was ended by SIGKILL in the middle of it" in run.said
    suite = ElementTree.parse(run.folder / "reports" / "junit" / "TESTS-features.persistence.restart.xml").getroot()
    assert int(suite.attrib["errors"]) == int(suite.attrib["tests"]) > 0
    assert run.brokers() == []
    assert list((run.base / "runs").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_cut_short_takes_its_processes_along(live, number):
    run = live("-D", "jobs=2", "features/persistence/restart.feature", SHORT[1])
    run.wait_for_a_scenario()
    assert run.brokers()
    assert run.end(number) != 0
    # Without the run its workers end by themselves; a run that is asked to end waits for them.
    wait_until(lambda: not run.brokers(), what="the workers and their brokers to be gone", seconds=30)
    if number != signal.SIGKILL:
        assert list((run.base / "runs").iterdir()) == []
        assert "COULD NOT BE CHECKED" in run.said
        assert (run.folder / "reports" / "report.html").exists()
