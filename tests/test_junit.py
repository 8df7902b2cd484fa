"""JUnit: well-formed whatever a message holds, unique names, reasons, and nothing that failed looks skipped."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from integrity.reports import _must_be_writable
from integrity.reports.text import first_sentence
from tests.report_samples import ENVIRONMENT, ROOT, STEPS, behave, project

STRANGE = """\
Feature: Messages of version 4.3.1 hold anything.

  Scenario: control
    Given it says control
  Scenario: surrogate
    Given it says surrogate
  Scenario: markup ]]> <&>
    Given it says markup
  Scenario: direction
    Given it says direction
  Scenario: silent
    Given it says nothing
  Scenario: hamcrest
    Given it says hamcrest
  Scenario: an exception
    Given it breaks
  Scenario: a fault that may not have happened
    Given nothing shows that the broker was down
  Scenario: printed
    Given it prints control characters
    And it takes three
  Scenario: twice
    Given it works
  Scenario: skipped while it runs
    Given it is skipped because there is no engine. Start one.
    Then it works
  Scenario: nobody wrote this step
    Given something unheard of
  Rule: The rule
    @slow
    Scenario: twice
      Given it works
    Scenario: twice
      Given it works
    Scenario Outline: a row
      Given it takes <words>
      Examples:
        | words     |
        | one       |
        | two words |
"""


def suites(folder: Path) -> dict[str, ElementTree.Element]:
    """Every JUnit file by its name; fails when one is not XML or breaks a reader's rule."""
    found = {path.name: ElementTree.parse(path).getroot() for path in (folder / "reports" / "junit").glob("*.xml")}
    for suite in found.values():
        assert_readable(suite)
    return found


def assert_readable(suite: ElementTree.Element) -> None:
    """What GitLab, Jenkins and Surefire's schema ask for."""
    assert suite.tag == "testsuite"
    assert [child.tag for child in suite] == ["properties"] + ["testcase"] * (len(suite) - 1)
    cases = suite.findall("testcase")
    names = [(case.get("classname"), case.get("name")) for case in cases]
    assert len(set(names)) == len(names)
    assert all(classname and name for classname, name in names)
    for attribute, tag in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped")):
        assert int(suite.get(attribute, "-1")) == sum(case.find(tag) is not None for case in cases)
    assert int(suite.get("tests", "-1")) == len(cases)
    for element in (suite, *cases):
        assert re.fullmatch(r"\d+(\.\d+)?", element.get("time", ""))
    order = ["properties", "skipped", "error", "failure", "system-out", "system-err"]
    for case in cases:
        tags = [child.tag for child in case]
        assert tags == sorted(tags, key=order.index)
        assert sum(tag in ("skipped", "error", "failure") for tag in tags) <= 1
    for problem in [p for case in cases for p in case if p.tag in ("failure", "error")]:
        assert problem.get("message")
        assert problem.get("type")
        assert "\n" not in problem.get("message", "")


def case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    return next(c for c in suite.findall("testcase") if c.get("name") == name)


def properties(element: ElementTree.Element) -> dict[str, str]:
    return {p.get("name", ""): p.get("value", "") for p in element.findall("properties/property")}


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> ElementTree.Element:
    folder = project(tmp_path_factory.mktemp("strange"), {"sub/strange.feature": STRANGE})
    result = behave(folder)
    assert result.returncode == 1, result.stdout
    (suite,) = suites(folder).values()
    return suite


def test_a_message_is_one_plain_sentence(strange: ElementTree.Element) -> None:
    messages = {c.get("name"): (c.find("failure"), c.find("error")) for c in strange.findall("testcase")}

    def message(name: str) -> str | None:
        failure, error = messages[name]
        found = failure if failure is not None else error
        return None if found is None else found.get("message")

    assert message("control") == r"a\x00b\x08cred\x85 d"
    assert message("surrogate") == r"lone \ud800 surrogate \uffff"
    assert message("markup ]]> <&>") == ']]> <script>alert(1)</script> & "quotes"'
    assert message("direction") == r"right \u202e left"
    assert message("silent") == "the step failed without a word: Given it says nothing"
    assert message("hamcrest") == "in order: expected <[1, 2]>, but was <[2, 1]>"
    assert message("an exception") == "KeyError: 'missing key'"
    assert message("nobody wrote this step") == "No step says: Given something unheard of"
    assert message("printed") is None


def test_lines_become_the_parts_of_one_sentence() -> None:
    lines = [
        "Expected: an intact history",
        "     but: not intact: 3 acknowledged, 1 read",
        "  lost: 2 messages nobody read",
        "  - message 5 was read by nobody",
        "  - message 6 was read by nobody",
        "  phantom: 1 record",
        "",
        "Evidence: elsewhere",
    ]
    assert first_sentence("\n".join(lines)) == (
        "Expected an intact history, but not intact: 3 acknowledged, 1 read; "
        "lost: 2 messages nobody read (message 5 was read by nobody); phantom: 1 record"
    )


def test_a_broken_promise_is_a_failure_and_anything_else_an_error(strange: ElementTree.Element) -> None:
    assert case(strange, "control").find("failure") is not None
    error = case(strange, "an exception").find("error")
    assert error is not None
    assert error.get("type") == "KeyError"
    assert "Traceback" in (error.text or "")
    assert "Step: Given it breaks" in (error.text or "")
    assert "strange.feature:" in (error.text or "")


def test_a_fault_that_nothing_shows_to_have_happened_is_an_error_and_no_broken_promise(
    strange: ElementTree.Element,
) -> None:
    found = case(strange, "a fault that may not have happened")
    error = found.find("error")
    assert found.find("failure") is None
    assert error is not None
    assert error.get("type") == "RestartNotProven"
    assert error.get("message") == "broker 1 was killed, and 127.0.0.1:1 still accepts connections"


def test_what_was_printed_is_kept_and_clean(strange: ElementTree.Element) -> None:
    printed = case(strange, "printed")
    assert r"out \x00 bold ]]>" in printed.findtext("system-out", "")
    assert r"err \x01 \ufffe" in printed.findtext("system-err", "")


def test_equal_names_are_told_apart(strange: ElementTree.Element) -> None:
    names = [c.get("name") for c in strange.findall("testcase") if str(c.get("name")).startswith("twice")]
    assert names[:2] == ["twice", "twice (The rule)"]
    assert re.fullmatch(r"twice \(The rule\) \(line \d+\)", str(names[2]))


def test_an_outline_row_is_named_by_its_values(strange: ElementTree.Element) -> None:
    assert case(strange, "a row (words: one)") is not None
    assert case(strange, "a row (words: two words)") is not None


def test_a_skipped_scenario_carries_its_reason(strange: ElementTree.Element) -> None:
    skipped = case(strange, "skipped while it runs").find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "there is no engine."


def test_dots_of_a_title_never_part_the_class_name(strange: ElementTree.Element) -> None:
    classes = {c.get("classname") for c in strange.findall("testcase")}
    assert classes == {"features.sub.strange.Messages of version 4_3_1 hold anything_"}


def test_properties_stand_where_readers_show_them(strange: ElementTree.Element) -> None:
    run = properties(strange)
    assert run["broker"] == "embedded"
    assert run["kafka"] == "4.3.1"
    assert run["seed"] == "7"
    of_row = properties(case(strange, "a row (words: two words)"))
    assert of_row["rule"] == "The rule"
    assert of_row["words"] == "9"
    assert of_row["run again"].endswith("-D seed=7")
    assert properties(case(strange, "twice (The rule)"))["tags"] == "@slow"
    assert properties(case(strange, "control"))["evidence"] == "reports/evidence/sub.strange/control"


@pytest.mark.parametrize("arguments", [["features"], ["features/sub"], ["features/sub/x.feature"], ["-n", "one"]])
def test_class_names_do_not_depend_on_how_behave_was_called(tmp_path: Path, arguments: list[str]) -> None:
    text = "Feature: F\n  Scenario: one\n    Given it works\n  Scenario: two\n    Given it works\n"
    folder = project(tmp_path, {"sub/x.feature": text})
    assert behave(folder, *arguments).returncode == 0
    found = suites(folder)
    assert list(found) == ["TESTS-features.sub.x.xml"]
    assert {c.get("classname") for c in found["TESTS-features.sub.x.xml"].findall("testcase")} == {"features.sub.x.F"}


TWO = "Feature: F\n  Scenario: one\n    Given it works\n  Rule: R\n    Scenario: two\n      Given it works\n"


def environment(**hooks: str) -> str:
    """The sample's hooks with a line more in some: first in what follows a scenario, last in what precedes one."""
    text = ENVIRONMENT
    for moment in ("before", "after"):
        text += f"\ndef {moment}_feature(context, feature):\n    pass\n"
    for name, line in hooks.items():
        parameters = "(context, scenario):" if name.endswith("scenario") else "(context, feature):"
        head = f"def {name}{parameters}\n"
        assert head in text
        noted = "    context.facts = context.reports.scenario(scenario)\n" if name == "before_scenario" else ""
        text = text.replace(head + noted, f"{head}{noted}    {line}\n")
    return text


def errors_of(folder: Path, *names: str) -> list[ElementTree.Element]:
    found = [case(suite, name).find("error") for suite in suites(folder).values() for name in names]
    assert all(error is not None for error in found), "a scenario that could not run is an error"
    return [error for error in found if error is not None]


def test_a_broker_that_cannot_start_is_an_error_on_each_scenario(tmp_path: Path) -> None:
    line = r'raise RuntimeError("broker 1 did not start. It said:\n\x1b[31mno space left\x1b[0m \x00")'
    folder = project(tmp_path, {"f.feature": TWO}, environment(before_scenario=line))
    assert behave(folder).returncode == 1
    for error in errors_of(folder, "one", "two"):
        assert error.get("message") == "broker 1 did not start."
        assert "no space left" in (error.text or "")


def test_an_error_in_before_feature_is_an_error_on_each_scenario(tmp_path: Path) -> None:
    folder = project(tmp_path, {"f.feature": TWO}, environment(before_feature='raise RuntimeError("no broker today")'))
    assert behave(folder).returncode == 1
    for error in errors_of(folder, "one", "two"):
        assert error.get("message") == "no broker today"


def test_an_error_in_before_all_is_an_error_on_each_scenario(tmp_path: Path) -> None:
    broken = environment() + (
        "\nbegin = before_all\ndef before_all(context):\n    begin(context)\n"
        '    context.reports.stopped("the engine went away. Really.")\n    raise RuntimeError("the engine went away")\n'
    )
    folder = project(tmp_path, {"f.feature": TWO}, broken)
    assert behave(folder).returncode == 1
    for error in errors_of(folder, "one", "two"):
        assert error.get("message") == "the engine went away."


def test_an_error_in_after_feature_is_seen(tmp_path: Path) -> None:
    folder = project(tmp_path, {"f.feature": TWO}, environment(after_feature='raise RuntimeError("it will not stop")'))
    assert behave(folder).returncode == 1
    (suite,) = suites(folder).values()
    assert suite.get("errors") == "1"
    (error,) = errors_of(folder, "Cleaning up after the feature")
    assert error.get("message") == "it will not stop"


@pytest.mark.parametrize(
    ("hook", "name"), [("before_scenario", "one"), ("before_feature", "Cleaning up after the feature")]
)
def test_a_clean_up_that_raises_is_seen(tmp_path: Path, hook: str, name: str) -> None:
    added = "context.add_cleanup(lambda: 1 / 0)"
    folder = project(tmp_path, {"f.feature": TWO}, environment(**{hook: added}))
    assert behave(folder).returncode == 1
    (error,) = errors_of(folder, name)
    assert error.get("type") == "CleanupError"
    assert str(error.get("message")).startswith("The clean-up failed")


def test_a_failed_step_stays_a_failure_when_a_hook_fails_after_it(tmp_path: Path) -> None:
    text = "Feature: F\n  Scenario: one\n    Given it is false\n"
    folder = project(tmp_path, {"f.feature": text}, environment(after_scenario='raise RuntimeError("and that")'))
    behave(folder)
    (suite,) = suites(folder).values()
    failure = case(suite, "one").find("failure")
    assert failure is not None
    assert failure.get("message") == "Message 3 is missing."
    assert "and that" in (failure.text or "")


@pytest.mark.parametrize("how", ["the person presses Ctrl-C", "the run is told to end"])
def test_an_interrupted_run_writes_every_file(tmp_path: Path, how: str) -> None:
    steps = {"one": "it works", "two": how, "three": "it works"}
    text = "Feature: F\n" + "".join(f"  Scenario: {name}\n    Given {step}\n" for name, step in steps.items())
    folder = project(tmp_path, {"a.feature": text, "b.feature": TWO})
    assert behave(folder).returncode == 1
    found = suites(folder)
    assert set(found) == {"TESTS-features.a.xml", "TESTS-features.b.xml"}
    first = found["TESTS-features.a.xml"]
    assert case(first, "one").find("error") is None
    error = case(first, "two").find("error")
    assert error is not None
    assert error.get("message") == "The run was interrupted during this step."
    for unreached in (case(first, "three"), *found["TESTS-features.b.xml"].findall("testcase")):
        skipped = unreached.find("skipped")
        assert skipped is not None
        assert skipped.get("message") == "the run was interrupted before this scenario"


def test_an_interruption_between_steps_is_an_error_too(tmp_path: Path) -> None:
    folder = project(tmp_path, {"f.feature": TWO}, environment(before_scenario="raise KeyboardInterrupt"))
    assert behave(folder).returncode == 1
    (error,) = errors_of(folder, "one")
    assert "interrupted" in str(error.get("message"))


def test_a_run_that_ends_in_the_middle_says_so(tmp_path: Path) -> None:
    text = TWO.replace("it works", "the process ends", 1)
    ends = "\n@step('the process ends')\ndef ends(context):\n    sys.exit()\n"
    folder = project(tmp_path, {"f.feature": text}, steps=STEPS + ends)
    behave(folder)
    for error in errors_of(folder, "one", "two"):
        assert error.get("message") == "behave ended before it had run every scenario"


@pytest.mark.parametrize("arguments", [["-f", "plain"], ["-f", "progress"], ["-f", "plain", "-o", "out.txt"]])
def test_no_message_ends_the_run(tmp_path: Path, arguments: list[str]) -> None:
    text = "Feature: F\n  Scenario: one\n    Given it says surrogate\n  Scenario: two\n    Given it works\n"
    folder = project(tmp_path, {"f.feature": text})
    behave(folder, *arguments, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    (suite,) = suites(folder).values()
    assert case(suite, "one").find("failure") is not None
    assert case(suite, "two").find("error") is None


INTO_A_FOLDER = """
from pathlib import Path
from behave.formatter.base import Formatter

class IntoAFolder(Formatter):
    def __init__(self, opener, config):
        super().__init__(opener, config)
        self.folder = Path(opener.name)
        self.folder.mkdir()

    def scenario(self, scenario):
        (self.folder / scenario.name).touch()
"""


def test_a_formatter_may_write_into_a_folder(tmp_path: Path) -> None:
    """As Allure's does."""
    folder = project(tmp_path, {"f.feature": TWO})
    (folder / "elsewhere.py").write_text(INTO_A_FOLDER)
    result = behave(folder, "-f", "elsewhere:IntoAFolder", "-o", "results", PYTHONPATH=f"{ROOT}:{folder}")
    assert result.returncode == 0, result.stdout
    assert sorted(path.name for path in (folder / "results").iterdir()) == ["one", "two"]


def test_without_junit_nothing_is_written(tmp_path: Path) -> None:
    folder = project(tmp_path, {"f.feature": TWO})
    assert behave(folder, "--no-junit").returncode == 0
    assert not suites(folder)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    folder = project(tmp_path, {"f.feature": TWO})
    (folder / "reports").write_text("a file, not a folder")
    result = behave(folder)
    assert result.returncode == 1
    assert "reports folder" in result.stdout
    assert "cannot be written to" in result.stdout


def test_several_processes_may_look_at_the_folder_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for look in [pool.submit(_must_be_writable, tmp_path / "reports") for _ in range(400)]:
            look.result()
    assert not list((tmp_path / "reports").iterdir())
