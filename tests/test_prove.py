"""The proof that every check can fail: its table, its judgement, and one real sabotage from end to end."""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from behave.model import ScenarioOutline

from integrity.anomalies import CHECKS
from integrity.anomalies.catalogue import FOLDER
from integrity.faults.disk import DataFiles
from integrity.faults.network import Batch, Entry, Records
from integrity.prove import __main__ as prove
from integrity.prove import disk, report
from integrity.prove.judgement import BY_NAME, Job, Outcome, complaints, judge
from integrity.prove.stage import UnknownScenario, feature_of
from integrity.prove.table import ANOMALIES, SABOTAGES, broken, uncovered

APPENDS_TWICE = "appends a batch twice"
ONE_PARTITION = "One publisher's messages keep their order in one partition"


@pytest.fixture(autouse=True)
def _names_as_behave_ini_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScenarioOutline, "annotation_schema", "{name}")


def outcome(job: Job, *found: str, struck: int = 1) -> Outcome:
    return Outcome(job.sabotage, job.scenario, found, struck, 1.0, "what was said")


def as_wanted(job: Job) -> Outcome:
    return outcome(job) if job.sabotage is None else outcome(job, BY_NAME[job.sabotage].expected)


# -- the table ------------------------------------------------------------------------------------------
def test_every_anomaly_is_expected_of_a_sabotage() -> None:
    assert uncovered() == []
    assert uncovered([each for each in SABOTAGES if each.expected != "phantom"]) == ["phantom"]


def test_every_check_there_is_stands_in_the_contract() -> None:
    assert set(CHECKS) == set(ANOMALIES)


def test_every_sabotage_says_what_it_does_why_it_is_seen_and_where() -> None:
    assert len(BY_NAME) == len(SABOTAGES)
    for sabotage in SABOTAGES:
        assert (sabotage.wire is None) != (sabotage.disk is None), sabotage.does
        assert sabotage.because.endswith("."), sabotage.does
        assert sabotage.scenarios, sabotage.does
        assert sabotage.expected not in sabotage.allowed, sabotage.does


def test_the_features_have_every_scenario_of_the_table() -> None:
    for scenario in {name for sabotage in SABOTAGES for name in sabotage.scenarios}:
        chosen = [each.name for each in feature_of(scenario).walk_scenarios() if not each.should_skip]
        assert chosen == [scenario]


def test_a_scenario_that_is_in_no_feature_is_named() -> None:
    with pytest.raises(UnknownScenario, match="0 features have a scenario 'Nothing happens'"):
        feature_of("Nothing happens")


def test_a_sentence_that_is_expected_stands_in_its_scenario() -> None:
    for sabotage in SABOTAGES:
        sentences = {name for name in (sabotage.expected, *sabotage.allowed) if name not in ANOMALIES and " " in name}
        steps = {step.name for name in sabotage.scenarios for each in feature_of(name).walk_scenarios()
                 if each.name == name for step in each.all_steps}  # fmt: skip
        assert sentences - steps <= {"no evidence"}, sabotage.does


# -- checks that are taken away -------------------------------------------------------------------------
@pytest.fixture
def checks(tmp_path: Path) -> Path:
    for file in FOLDER.glob("*.sql"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_the_checks_are_whole() -> None:
    assert broken() == {}


@pytest.mark.parametrize("name", ANOMALIES)
def test_a_check_that_is_commented_out_is_named(checks: Path, name: str, monkeypatch, capsys, tmp_path: Path) -> None:
    file = checks / f"{name}.sql"
    file.write_text("".join(f"-- {line}\n" for line in file.read_text().splitlines()))
    assert broken(checks) == {name: f"{name}.sql holds 0 queries instead of one"}
    monkeypatch.setattr(prove, "broken", lambda: broken(checks))
    assert prove.main(["--reports", str(tmp_path / "reports")]) == 1
    assert f"NOT PROVEN: the check {name} is broken" in capsys.readouterr().out


def test_a_check_that_is_not_there_or_is_no_query_is_named(checks: Path) -> None:
    (checks / "lost.sql").unlink()
    (checks / "phantom.sql").write_text("SELECT FROM WHERE")
    found = broken(checks)
    assert set(found) == {"lost", "phantom"}
    assert found["lost"] == "there is no file lost.sql"
    assert "phantom.sql is no query" in found["phantom"]


# -- the judgement --------------------------------------------------------------------------------------
def test_what_is_as_it_must_be_is_no_complaint() -> None:
    jobs = prove.plan()
    assert complaints(jobs, map(as_wanted, jobs)) == []
    assert {job.scenario for job in jobs if job.sabotage is None} == {job.scenario for job in jobs}


def test_a_miss_a_false_alarm_and_a_job_that_never_ended_are_told() -> None:
    job = Job(APPENDS_TWICE, ONE_PARTITION)
    assert complaints([job], [outcome(job)]) == [
        f"a broker that appends a batch twice: duplicated was not found, in {ONE_PARTITION!r}"
    ]
    assert "(the sabotage never took place)" in complaints([job], [outcome(job, struck=0)])[0]
    assert "false alarm: lost" in complaints([job], [outcome(job, "duplicated", "lost")])[0]
    assert "was never run to its end" in complaints([job], [])[0]
    clean = Job(None, ONE_PARTITION)
    assert complaints([clean], [outcome(clean, "lost")]) == [f"no sabotage: false alarm: lost, in {ONE_PARTITION!r}"]


def test_what_a_sabotage_may_trip_as_well_is_no_false_alarm() -> None:
    judged = judge(outcome(Job("swaps two batches", "any"), "reordered", "wrong_offset"))
    assert judged.good
    assert not judge(outcome(Job("swaps two batches", "any"), "wrong_offset")).caught


@pytest.mark.parametrize(
    ("sabotage", "found", "said"),
    [
        (APPENDS_TWICE, (), "duplicated was not found"),
        (APPENDS_TWICE, ("duplicated", "lost"), "false alarm: lost"),
        (None, ("poll_skip",), "no sabotage: false alarm: poll_skip"),
        (None, ("error in 'a running broker'",), "no sabotage: false alarm: error in 'a running broker'"),
    ],
)
def test_a_miss_or_a_false_alarm_exits_with_1(sabotage, found, said, monkeypatch, capsys, tmp_path: Path) -> None:
    def run(jobs, workers, options):
        wrong = next(job for job in jobs if job.sabotage == sabotage)
        return [outcome(job, *found) if job is wrong else as_wanted(job) for job in jobs]

    monkeypatch.setattr(prove, "run", run)
    assert prove.main(["--reports", str(tmp_path)]) == 1
    assert said in capsys.readouterr().out
    assert json.loads((tmp_path / "prove.json").read_text())["passed"] is False
    assert "Not proven" in (tmp_path / "prove.html").read_text()


def test_all_as_it_must_be_exits_with_0(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setattr(prove, "run", lambda jobs, workers, options: [as_wanted(job) for job in jobs])
    assert prove.main(["--reports", str(tmp_path)]) == 0
    told = json.loads((tmp_path / "prove.json").read_text())
    assert told["passed"]
    assert {"sabotage", "scenario", "anomalies", "expected", "caught"} <= set(told["results"][0])
    assert {row["expected"] for row in told["results"]} >= set(ANOMALIES)
    page = (tmp_path / "prove.html").read_text()
    assert all(sabotage.does in html.unescape(page) for sabotage in SABOTAGES)
    assert "http" not in page
    assert f"{len(SABOTAGES)} of {len(SABOTAGES)} sabotages seen, 0 false alarms" in capsys.readouterr().out


def test_the_matrix_has_a_row_for_each_sabotage_and_a_mark_for_each_check() -> None:
    twice, clean = Job(APPENDS_TWICE, "a"), Job(None, "a")
    rows = [judge(outcome(twice, "duplicated", "lost")), judge(outcome(clean))]
    at = {name: number for number, name in enumerate(report.columns())}
    marks = report.cells(rows[:1])
    assert (marks[at["duplicated"]], marks[at["lost"]], marks[at["phantom"]]) == ("✓", "!", "·")
    assert set(report.cells(rows[1:])) == {"·"}
    assert report.cells([judge(outcome(twice))])[at["duplicated"]] == "✗"
    lines = report.matrix(rows).splitlines()
    assert lines[1].startswith(APPENDS_TWICE)
    assert lines[2].startswith("(no sabotage)")


def test_every_column_is_explained_in_one_sentence() -> None:
    told = report.meanings()
    assert list(told) == report.columns()
    assert (
        told["duplicated"] == "one message was seen at several offsets (or partitions): the log holds it more than once"
    )
    assert told["lost"].endswith("was read by nobody although the final read went to the end of its partition")
    assert told["nonmonotonic_poll"].endswith("with no seek or rebalance in between"), "the first of two sentences"
    assert all(20 < len(words) < 220 and "Jepsen" not in words for words in told.values()), told
    page = html.unescape(report.page([judge(outcome(Job(APPENDS_TWICE, "a"), "duplicated"))], [], 1.0))
    for column, words in told.items():
        assert f'<th title="{words}"><span>{column}</span>' in page
        assert f"<dt>{column}</dt><dd>{words}</dd>" in page


def test_words_that_choose_nothing_are_an_error(capsys, tmp_path: Path) -> None:
    assert prove.main(["--only", "no such sabotage", "--reports", str(tmp_path)]) == 1
    assert "no sabotage or scenario contains 'no such sabotage'" in capsys.readouterr().out


# -- on the disk ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("sizes", [(3, 2, 1), (4,)])
def test_two_batches_change_places_and_keep_the_offsets_between_them(sizes: tuple[int, ...], tmp_path: Path) -> None:
    batches, offset = [], 0
    for size in sizes:
        entries = [Entry(offset + n, 1, None, b"%d" % (offset + n)) for n in range(size)]
        batches.append(Batch.of(entries))
        offset += size
    folder = tmp_path / "topic-0"
    folder.mkdir()
    log = folder / f"{0:020}.log"
    log.write_bytes(Records(batches).encode())
    assert disk.swap_batches(DataFiles(tmp_path)) == 1
    swapped = Records.parse(log.read_bytes()).entries
    assert [entry.offset for entry in swapped] == list(range(offset))
    values = [int(entry.value) for entry in swapped]
    assert values == ([3, 4, 0, 1, 2, 5] if len(sizes) == 3 else [2, 3, 0, 1])


# -- a real one -----------------------------------------------------------------------------------------
def test_one_sabotage_is_seen_and_its_scenario_holds_without_it(capsys, tmp_path: Path) -> None:
    scenario = "Messages with null keys come back unchanged"
    assert prove.main(["--only", scenario, "--workers", "1", "--reports", str(tmp_path)]) == 0
    sabotaged, clean = json.loads((tmp_path / "prove.json").read_text())["results"]
    assert sabotaged["anomalies"] == ["corrupted"]
    assert sabotaged["caught"]
    assert sabotaged["struck"] >= 1
    assert "with another content than was sent" in sabotaged["words"]
    assert clean == clean | {"sabotage": None, "anomalies": [], "expected": None, "caught": True, "struck": 0}


def make_prove(venv: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``make prove`` with a Python that only echoes what it is called with; nothing of a make that runs the tests."""
    python = venv / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    (venv / ".installed").touch()
    return subprocess.run(
        ["make", "prove", f"VENV={venv}", *words],
        cwd=Path(__file__).parent.parent,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("environment", [{"BROKER": "docker"}, {"IMAGE": "apache/kafka:latest", "KAFKA": "4.1.0"}])
def test_make_prove_takes_no_broker_from_the_environment(tmp_path, environment):
    done = make_prove(tmp_path / "venv", **environment)
    assert (done.returncode, done.stdout) == (0, "-m integrity.prove\n")


@pytest.mark.parametrize("word", ["BROKER=docker", "IMAGE=apache/kafka", "KAFKA=4.1.0"])
def test_make_prove_refuses_a_broker_that_it_is_given(tmp_path, word):
    done = make_prove(tmp_path / "venv", word)
    assert done.returncode == 2
    assert "make prove takes no BROKER, IMAGE or KAFKA" in done.stderr
