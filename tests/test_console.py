"""The last lines of a run: at most ten, the important ones, in whatever the terminal can show."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from integrity import progress
from integrity.reports import console, views
from integrity.reports.model import RunFacts, ScenarioFacts
from integrity.reports.views import FeatureView, GuaranteeView, Problem, ScenarioView
from tests.report_samples import ENVIRONMENT, ROOT, behave, project


def scenario(status: str, name: str = "s", *, reason: str = "", sentence: str = "It broke.") -> ScenarioView:
    problem = Problem("AssertionError", sentence, sentence) if status in (views.FAILED, views.ERROR) else None
    return ScenarioView(
        name=name, title=name, row={}, outline=None, description=[], tags=[], status=status, behave_status=status,
        location="f.feature:1", seconds=0.1, steps=[], facts=ScenarioFacts(), problem=problem, reason=reason,
        stdout="", stderr="", log="",
    )  # fmt: skip


def feature(*scenarios: ScenarioView, cleanup: Problem | None = None) -> FeatureView:
    guarantee = GuaranteeView("g", [], "", [], list(scenarios), False)
    return FeatureView("f", [], "", [], "f.feature:1", [guarantee], False, cleanup)


def lines(*features: FeatureView, run: RunFacts | None = None) -> list[str]:
    found = console.summary(run or RunFacts(), list(features), Path("reports/report.html"), Path("reports/evidence"))
    return [line for _, line in found]


def test_a_good_run_takes_three_lines() -> None:
    said = lines(feature(scenario(views.HELD), scenario(views.HELD)))
    assert said[0].startswith("✅ Everything held: 2 of 2 scenarios (")
    assert said[1:] == ["Report: reports/report.html", "Evidence: reports/evidence"]


def test_broken_promises_are_named_first_with_their_sentence() -> None:
    said = lines(
        feature(
            scenario(views.ERROR, "no broker", sentence="It did not start."),
            scenario(views.FAILED, "order", sentence="2 before 1."),
            scenario(views.HELD),
        )
    )
    assert said[0].startswith("❌ 1 of 3 scenarios held, 1 did not hold, 1 could not be checked (")
    assert said[1] == "  DID NOT HOLD order: 2 before 1."
    assert said[2] == "  COULD NOT BE CHECKED no broker: It did not start."


def test_never_more_than_ten_lines() -> None:
    many = [scenario(views.FAILED, f"s{n}") for n in range(40)]
    skipped = [scenario(views.SKIPPED, reason=f"reason {n}.") for n in range(9)]
    said = lines(feature(*many, *skipped, scenario(views.NOT_RUN)), run=RunFacts(interrupted=True))
    assert len(said) <= console.MOST_LINES
    assert "  … and 36 more, in the report" in said
    assert "Skipped: reason 0 (1); reason 1 (1); and 7 more" in said
    assert "Not run: 1 (the run was interrupted)" in said
    assert said[-2:] == ["Report: reports/report.html", "Evidence: reports/evidence"]


@pytest.mark.parametrize(
    ("statuses", "start"),
    [
        ([], "❌ Nothing was checked: no scenario was selected"),
        ([views.NOT_SELECTED], "❌ Nothing was checked: no scenario was selected"),
        ([views.SKIPPED], "❌ Nothing was checked: no scenario ran"),
        ([views.NOT_RUN], "❌ Nothing was checked: no scenario ran"),
        ([views.HELD, views.NOT_RUN], "Held as far as the run went: 1 of 1 scenarios"),
    ],
)
def test_nothing_checked_is_never_called_held(statuses: list[str], start: str) -> None:
    assert lines(feature(*[scenario(status, reason="r") for status in statuses]))[0].startswith(start)


NOBODY_RUNS = "Feature: F\n  Scenario: one\n    Given it is skipped because there is no engine\n"
ONE_RUNS = f"{NOBODY_RUNS}  Scenario: two\n    Given it works\n"


@pytest.mark.parametrize(
    ("text", "arguments", "status", "words"),
    [
        (ONE_RUNS, [], 0, "Everything held: 1 of 1 scenarios"),
        (ONE_RUNS, ["--name", "mistyped"], 1, "Nothing was checked: no scenario was selected"),
        (ONE_RUNS, ["--tags", "mistyped"], 1, "Nothing was checked: no scenario was selected"),
        (NOBODY_RUNS, [], 1, "Skipped: there is no engine (1)"),
        # No hook runs then, and nobody takes it for a check; behave's own lists are made so.
        (ONE_RUNS, ["--dry-run"], 0, "steps"),
        (ONE_RUNS, ["--dry-run", "--name", "mistyped"], 0, "steps"),
        (ONE_RUNS, ["--steps-catalog"], 0, "Given it works"),
        (ONE_RUNS, ["--help"], 0, "Run a number of feature tests"),
    ],
)
def test_a_run_in_which_nothing_was_checked_fails(
    tmp_path: Path, text: str, arguments: list[str], status: int, words: str
) -> None:
    result = behave(project(tmp_path, {"f.feature": text}), *arguments)
    assert words in result.stdout
    assert result.returncode == status, result.stdout
    assert "HOOK-ERROR" not in result.stdout


ELSEWHERE = """
_install = before_all

def before_all(context):
    _install(context)
    for feature in context._runner.features:
        feature.run = lambda runner, feature=feature: went(context, feature)

def went(context, feature):
    view = context.reports.view(feature)
    for scenario in view.scenarios:
        scenario.status = context.config.userdata["went"]
    context.reports.receive(feature, view)
    return False
"""


@pytest.mark.parametrize(("went", "status"), [(views.HELD, 0), (views.SKIPPED, 1)])
def test_what_other_processes_checked_counts(tmp_path: Path, went: str, status: int) -> None:
    folder = project(tmp_path, {"f.feature": ONE_RUNS}, environment=ENVIRONMENT + ELSEWHERE)
    result = behave(folder, "-D", f"went={went}")
    assert result.returncode == status, result.stdout


def test_a_clean_up_that_failed_is_not_a_good_run() -> None:
    said = lines(feature(scenario(views.HELD), cleanup=Problem("CleanupError", "It stays.", "")))
    assert said[0].startswith("❌")
    assert "  CLEAN-UP f: It stays." in said


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (38.2, "38 s"), (59.9, "1 min 00 s"), (185, "3 min 05 s")]
)
def test_durations_are_said_as_people_do(seconds: float, words: str) -> None:
    assert console.took_words(seconds) == words


class Terminal(io.StringIO):
    """A terminal of one encoding."""

    def __init__(self, encoding: str, tty: bool) -> None:
        super().__init__()
        self._encoding, self._tty = encoding, tty

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def isatty(self) -> bool:
        return self._tty


def shown(monkeypatch: pytest.MonkeyPatch, terminal: Terminal, sentence: str = "It broke.") -> str:
    monkeypatch.setattr(progress, "terminal", lambda: terminal)
    console.show(RunFacts(), [feature(scenario(views.FAILED, sentence=sentence))], Path("reports/report.html"), None)
    return terminal.getvalue()


def test_colours_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m❌" in shown(monkeypatch, Terminal("utf-8", tty=True))
    assert "\x1b" not in shown(monkeypatch, Terminal("utf-8", tty=False))
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in shown(monkeypatch, Terminal("utf-8", tty=True))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in shown(monkeypatch, Terminal("utf-8", tty=True))


def test_ascii_where_ticks_cannot_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    said = shown(monkeypatch, Terminal("ascii", tty=False))
    assert said.startswith("[FAILED] 0 of 1 scenarios held")
    assert said.isascii()


def test_a_long_sentence_is_cut_to_the_terminal_and_a_path_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    said = shown(monkeypatch, Terminal("utf-8", tty=True), sentence="word " * 50).splitlines()
    assert all(len(line) <= 20 for line in said[:-1])
    assert said[1].endswith("…")
    assert said[-1] == "Report: reports/report.html"


def test_a_log_keeps_the_whole_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    said = shown(monkeypatch, Terminal("utf-8", tty=False), sentence="word " * 50).splitlines()
    assert said[1].count("word") == 50


def test_a_run_ends_with_them_whatever_is_captured(tmp_path: Path) -> None:
    text = "Feature: F\n  Scenario: one\n    Given it is false\n  Scenario: two\n    Given it works\n"
    folder = project(tmp_path, {"f.feature": text})
    result = behave(folder, "-f", "progress", "--no-summary")
    assert result.stdout.splitlines()[-4:] == [
        result.stdout.splitlines()[-4],
        "  DID NOT HOLD one: Message 3 is missing.",
        "Report: reports/report.html",
        "Evidence: reports/evidence",
    ]
    assert result.stdout.splitlines()[-4].startswith("❌ 1 of 2 scenarios held, 1 did not hold (")


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> bytes:
    """What behave writes to a terminal."""
    ours, theirs = pty.openpty()
    inherited = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI")}
    with subprocess.Popen(
        [sys.executable, "-m", "behave", "--no-summary", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**inherited, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONIOENCODING": "utf-8", **environment},
    ) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end is closed: all was read
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    assert process.returncode == 0
    return said


def test_on_a_real_terminal_they_are_coloured(tmp_path: Path) -> None:
    folder = project(tmp_path, {"f.feature": "Feature: F\n  Scenario: one\n    Given it works\n"})
    assert b"\x1b[32m\xe2\x9c\x85 Everything held: 1 of 1 scenarios" in on_a_terminal(folder, "-f", "null")


def test_no_color_is_heeded_by_behaves_own_formatter_too(tmp_path: Path) -> None:
    folder = project(tmp_path, {"f.feature": "Feature: F\n  Scenario: one\n    Given it works\n"})
    assert b"\x1b[3" in on_a_terminal(folder, "-f", "pretty")
    assert b"\x1b[3" not in on_a_terminal(folder, "-f", "pretty", NO_COLOR="1")
