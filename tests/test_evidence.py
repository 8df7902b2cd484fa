"""Evidence: complete, in a folder every file system takes, without secrets, only where it is wanted."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integrity.reports import evidence, masking, text, views
from integrity.reports.model import RunFacts
from tests.report_samples import ENVIRONMENT, ROOT, behave, project, sample
from tests.test_console import feature, scenario

SCENARIO = "Everything-acknowledged-before-the-broker-went-down-is-read-back-taken-down-killed"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = sample(tmp_path_factory.mktemp("Bücher und Blätter"))
    return page.parent / "evidence" / "persistence.restart" / SCENARIO


def test_only_the_failed_scenario_is_kept(folder: Path) -> None:
    kept = [path.relative_to(folder.parent.parent) for path in folder.parent.parent.glob("*/*")]
    assert kept == [Path("persistence.restart") / SCENARIO]
    assert {path.name for path in folder.iterdir()} == {
        "verdict.txt", "verdict.json", "settings.txt", "command.txt", "broker-1.log", "history",
    }  # fmt: skip


def test_the_verdict_is_there_in_words_and_for_machines(folder: Path) -> None:
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["anomalies"]["lost"]["count"] == 2
    words = (folder / "verdict.txt").read_text()
    assert "Verdict: did not hold.\n2 of 10,000 acknowledged messages were lost after broker 1 was killed.\n" in words
    assert "After: broker 1 killed, 2.5 s into the scenario" in words
    assert "lost on disk: publisher 0" in words
    assert f"python -m integrity.check reports/evidence/persistence.restart/{SCENARIO}/history" in words


def test_secrets_are_masked(folder: Path) -> None:
    settings = (folder / "settings.txt").read_text()
    assert "sasl_password=********" in settings
    assert "broker=auto" in settings
    assert "# kafka: 4.3.1" in settings
    for path in folder.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


def test_the_command_runs_exactly_that_scenario_again(folder: Path) -> None:
    command = (folder / "command.txt").read_text().strip()
    program, arguments = command.split(" ", 1)
    assert Path(program).name == "behave"
    assert arguments == "features/persistence/restart.feature:21 -D broker=embedded -D seed=4711"
    project_folder = folder.parents[3]
    again = subprocess.run(
        [sys.executable, "-m", "behave", *arguments.split(), "-f", "plain"],
        cwd=project_folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert "0 scenarios passed, 1 failed, 0 error, 3 skipped" in again.stdout or "1 failed, 3 skipped" in again.stdout
    assert "When the broker is killed and started again" in again.stdout


TWO = "Feature: F\n  Scenario: bad\n    Given it is false\n  Scenario: good\n    Given it works\n"


@pytest.mark.parametrize(("keep", "kept"), [("failed", {"bad"}), ("always", {"bad", "good"}), ("never", set())])
def test_keep_decides(tmp_path: Path, keep: str, kept: set[str]) -> None:
    behave(project(tmp_path, {"f.feature": TWO}), "-D", f"keep={keep}")
    assert {path.name for path in (tmp_path / "reports" / "evidence").glob("f/*")} == kept


def test_evidence_of_an_earlier_run_does_not_stay_beside_a_new_report(tmp_path: Path) -> None:
    project(tmp_path, {"f.feature": TWO})
    behave(tmp_path)
    assert (tmp_path / "reports" / "evidence" / "f" / "bad").is_dir()
    (tmp_path / "features" / "f.feature").write_text(TWO.replace("it is false", "it works"))
    behave(tmp_path)
    assert not list((tmp_path / "reports" / "evidence").iterdir())


def test_two_runs_of_one_project_do_not_spoil_each_others(tmp_path: Path) -> None:
    """Each puts its own in place as a whole and takes the other's away as a whole, whenever the other does so."""
    root, bad = tmp_path / "evidence", scenario(views.FAILED)

    def write_and_clear(label: str) -> None:
        for _ in range(100):
            place = evidence.write(root, feature(bad), bad, RunFacts(), evidence.Kept(logs={label: label}))
            evidence.clear(place)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write_and_clear, f"broker {number}") for number in range(4)]:
            done.result()
    assert list(root.iterdir()) == [], "nothing half-made is left, and no folder of a feature without evidence"


def test_it_has_what_each_broker_was_started_with_without_secrets(tmp_path: Path) -> None:
    bad, run = scenario(views.FAILED), RunFacts(secrets=["hunter3"])
    one = {
        "log.dirs": "/a b/c",
        "listeners": "PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2",
        "controller.quorum.voters": "1@127.0.0.1:2,2@127.0.0.1:3",
        "ssl.keystore.password": "hunter2",
        "a.setting": "it is hunter3",
    }
    kept = evidence.Kept(properties={"broker 1": one, "broker 2": {"node.id": "2"}})
    place = evidence.write(tmp_path, feature(bad), bad, run, kept)
    assert (place / "broker-1.server.properties").read_text().splitlines() == [
        "log.dirs=/a b/c",
        "listeners=PLAINTEXT://127.0.0.1:1,CONTROLLER://127.0.0.1:2",
        "controller.quorum.voters=1@127.0.0.1:2,2@127.0.0.1:3",
        "ssl.keystore.password=********",
        "a.setting=it is ********",
    ]
    assert (place / "broker-2.server.properties").read_text() == "node.id=2\n"


def test_every_scenario_has_a_folder_of_its_own(tmp_path: Path) -> None:
    feature = """\
Feature: F
  Scenario: A/b: c?
    Given it is false
  Scenario: a b c
    Given it is false
  Scenario: ../../../escape
    Given it is false
  Scenario: CON
    Given it is false
  Scenario: Überall größer 字
    Given it is false
  Scenario: %s
    Given it is false
  Scenario Outline: row
    Given it says <what>
    Examples:
      | what   |
      | markup |
      | hamcrest |
""" % ("long " * 60)  # fmt: skip
    behave(project(tmp_path, {"f.feature": feature}))
    root = tmp_path / "reports" / "evidence"
    names = sorted(path.parent.name for path in root.rglob("verdict.txt"))
    assert len(names) == 8
    assert len({name.casefold() for name in names}) == 8
    assert {"A-b-c", "a-b-c-line-4", "escape", "_CON", "Überall-größer-字", "row-what-markup"} <= set(names)
    assert all(len(name.encode()) <= 120 for name in names)
    assert {path.name for path in root.iterdir()} == {"f"}
    assert not (tmp_path.parent / "escape").exists()


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("plain", "plain"),
        ("", "unnamed"),
        ("...", "unnamed"),
        ("a\x00b\ud800", "a-x00b-ud800"),
        ("nul.txt", "_nul.txt"),
        ("e\u0301", "é"),
        ("-D x=y", "D-x-y"),
        ("trailing dot. ", "trailing-dot"),
    ],
)
def test_a_name_is_safe_everywhere(title: str, name: str) -> None:
    assert text.file_name(title) == name


@pytest.mark.parametrize("status", [views.HELD, views.FAILED, views.ERROR, views.SKIPPED, views.NOT_RUN])
def test_what_is_wanted(status: str) -> None:
    assert not evidence.wanted("never", status)
    assert evidence.wanted("always", status) == (status != views.SKIPPED)
    assert evidence.wanted("failed", status) == (status in (views.FAILED, views.ERROR, views.NOT_RUN))


def test_a_rerun_keeps_its_options_and_hides_secrets() -> None:
    run = RunFacts(seed=7, options={"broker": "docker", "client_config": "my file", "password": "hunter2"})
    command = evidence.rerun_command("features/a b.feature:3", run)
    program, arguments = command.split(" ", 1)
    assert program == evidence.behave()
    assert arguments == (
        "'features/a b.feature:3' -D broker=docker -D 'client_config=my file' -D 'password=********' -D seed=7"
    )


def test_a_rerun_and_the_settings_hide_secrets_that_need_quotes_whole() -> None:
    """Protects from a mask that ends at the first comma, semicolon or quote of a secret."""
    stop = "kafkactl --password " + shlex.quote("HUNT1,HUNT2;it's HUNT3") + " stop"
    given = {"stop_command": stop, "start_command": "start.sh " + shlex.quote("KNOWN1 'KNOWN2'")}
    command = shlex.join(["behave", *(word for pair in given.items() for word in ("-D", "=".join(pair)))])
    run = RunFacts(options=given, settings=given, command=command, secrets=["KNOWN1 'KNOWN2'"])
    for shown in (evidence.rerun_command("f.feature:3", run), evidence.settings_text(run)):
        assert f"kafkactl --password {masking.MASK} stop" in shown
        assert "start.sh" in shown
        assert "HUNT" not in shown
        assert "KNOWN" not in shown


def test_a_rerun_names_the_broker_that_was_chosen() -> None:
    """Protects from a failure in a container that is looked for with an embedded broker elsewhere."""
    run = RunFacts(broker="docker", options={"broker": "auto"})
    assert evidence.rerun_command("f.feature:3", run).endswith(" f.feature:3 -D broker=docker")


def test_a_rerun_calls_a_program_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(sys.executable).with_name("behave")
    monkeypatch.setenv("PATH", "/nowhere")
    assert Path(evidence.behave()).resolve() == own.resolve()
    monkeypatch.setenv("PATH", str(own.parent))
    assert evidence.behave() == "behave"


def test_a_check_calls_a_python_that_has_the_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Protects `make verify`: only the Python of its environment has DuckDB, and that is a link to one that has not."""
    bad = scenario(views.FAILED)

    def said() -> str:
        return evidence.words(feature(bad), bad, tmp_path)

    environment = tmp_path / ".venv" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").symlink_to(Path(sys.executable).resolve())
    monkeypatch.setattr(sys, "executable", str(environment / "python"))
    assert f"Check again: {environment}/python -m integrity.check {tmp_path}\n" in said()
    monkeypatch.chdir(tmp_path)
    assert "Check again: .venv/bin/python -m integrity.check .\n" in said()
    monkeypatch.setenv("PATH", str(environment))
    assert "Check again: python -m integrity.check .\n" in said()


def test_the_words_name_the_history_that_was_judged(tmp_path: Path) -> None:
    """Protects the scenarios on copies: the verdict is on the copies' history, which lies within the scenario's."""
    one = scenario(views.FAILED)
    one.facts.judged = "copies"
    said = evidence.words(feature(one), one, tmp_path)
    assert f"Check again: {evidence.python()} -m integrity.check {tmp_path}/copies\n" in said


def test_options_of_the_command_line_are_given_again(tmp_path: Path) -> None:
    behave(project(tmp_path, {"f.feature": TWO}), "-D", "keep=always", "-D", "broker=docker")
    command = (tmp_path / "reports" / "evidence" / "f" / "bad" / "command.txt").read_text()
    assert command.endswith("behave features/f.feature:2 -D keep=always -D broker=embedded -D seed=7\n")


def test_a_log_may_hold_anything(tmp_path: Path) -> None:
    strange = ENVIRONMENT.replace('"[1] started\\n"', '"\\x00 \\ud800 \\x1b[31m"')
    assert strange != ENVIRONMENT
    behave(project(tmp_path, {"f.feature": TWO}, strange))
    log = (tmp_path / "reports" / "evidence" / "f" / "bad" / "broker-1.log").read_text()
    assert re.fullmatch(r"\x00 \\ud800 \x1b\[31m\n", log)
