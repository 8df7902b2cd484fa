"""The documents say what is so: links lead somewhere, every feature is told of, targets and options exist.

What docs/engineers.md shows is not an imitation of code: its blocks are put into a copy of the project, and its
commands are run there, on a real broker where they need one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from behave.parser import parse_file

from integrity import cache
from integrity.brokers import distribution
from integrity.scenes.volume import DEFAULT_MESSAGES
from integrity.settings import from_userdata
from integrity.side_by_side.features import MOST_WORKERS

ROOT = Path(__file__).parent.parent
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ENGINEERS, REVIEWERS, CI = (ROOT / "docs" / f"{name}.md" for name in ("engineers", "reviewers", "ci"))
FEATURES = sorted((ROOT / "features").rglob("*.feature"))

#: Where Kafka's own words are: its documentation, its improvement proposals and its tracker.
KAFKAS_OWN = ("https://kafka.apache.org/", "https://cwiki.apache.org/confluence/", "https://issues.apache.org/jira/")

#: What a copy of the project needs for its features and tests to run.
PARTS = ("features", "steps", "integrity", "tests", "environment.py", "behave.ini", "pyproject.toml")

#: Seconds for one command of an example, on a machine that is busy with other things.
COMMAND_SECONDS = 180

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
PLACED = re.compile(r"^`([^`\n]+)`(, at its end)?:\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def code(text: str) -> str:
    """All that stands in a document as code, blocks and words, one after the other."""
    blocks = [block for _, block in FENCED.findall(text)]
    return "\n".join([*blocks, *CODE.findall(FENCED.sub("", text))])


def anchor(heading: str) -> str:
    """The anchor that readers of Markdown give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


# -- links and names ------------------------------------------------------------------------------------
@pytest.mark.parametrize("document", DOCS, ids=named)
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for link in LINK.findall(FENCED.sub("", text)):
        if link.startswith("https://"):
            continue
        path, _, place = link.partition("#")
        target = (document.parent / unquote(path)).resolve() if path else document
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert target.exists(), f"{link} leads nowhere"
        if place:
            headings = re.findall(r"^#+ (.*)$", FENCED.sub("", target.read_text(encoding="utf-8")), re.MULTILINE)
            assert place in map(anchor, headings), f"there is no heading for {link}"


@pytest.mark.parametrize("document", DOCS, ids=named)
def test_every_make_target_and_variable_exists(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z]+)\s*[?:]?=", makefile, re.MULTILINE))
    for target, rest in re.findall(r"(?:^|[\s'\"`])make ([a-z]+)([^\n]*)", code(document.read_text(encoding="utf-8"))):
        assert target in targets, f"there is no `make {target}`"
        for name in re.findall(r"\b([A-Z]+)=", rest):
            assert name in variables, f"the Makefile has no {name}"


#: A placeholder, and a value that only an example brings into being.
NOT_VALUES = {("name", "value"), ("broker", "flushing")}


#: A whole command, over several lines, for an existing cluster.
EXTERNAL = re.compile(r"^behave (?:.*\\\n)*.*$", re.MULTILINE)


def test_the_commands_for_existing_clusters_are_taken_as_they_stand() -> None:
    shown = [line.replace("\\\n", " ") for path in DOCS for line in EXTERNAL.findall(code(path.read_text("utf-8")))]
    external = [shlex.split(line, comments=True) for line in shown if "broker=external" in line]
    assert len(external) >= 6
    for words in external:
        given = dict(words[place + 1].split("=", 1) for place, word in enumerate(words) if word == "-D")
        stand_ins = {"client_config": __file__} if "client_config" in given else {}
        if given["bootstrap_servers"] == "...":
            stand_ins["bootstrap_servers"] = "kafka:9092"
        from_userdata(given | stand_ins)


@pytest.mark.parametrize("document", DOCS, ids=named)
def test_every_option_exists_and_takes_the_value(document: Path) -> None:
    options = re.findall(r"-D (\w+)=(\"[^\"]*\"|[^\s'\"]*)", code(document.read_text(encoding="utf-8")))
    for name, value in options:
        if (name, value) in NOT_VALUES or value == "...":
            continue
        given = {name: value.strip('"')}
        if name == "client_config":
            given[name] = __file__  # the reader's own file is not here
        if name in ("bootstrap_servers", "client_config", "stop_command", "start_command", "kill_command", "shard"):
            given["broker"] = "external"
        if name == "start_command":
            given["stop_command"] = "stop"  # stands beside it
        if "external" in given.values():
            given.setdefault("bootstrap_servers", "kafka:9092")
        from_userdata(given)


# -- the README's figures and commands --------------------------------------------------------------------
README = ROOT / "README.md"


def test_the_number_of_scenarios_is_the_one_there_are() -> None:
    """With embedded brokers all but those whose broker must be in a container."""
    scenarios = [scenario for path in FEATURES for scenario in parse_file(str(path)).walk_scenarios()]
    contained = [each for each in scenarios if "a running broker in a container" in [step.name for step in each.steps]]
    embedded = len(scenarios) - len(contained)
    text = " ".join(README.read_text(encoding="utf-8").split())
    assert f"There are {len(scenarios)} scenarios. With embedded brokers {embedded} of them run" in text


def test_the_kafka_versions_whose_jars_are_known_are_named() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    versions = sorted(lock.stem.removeprefix("kafka-") for lock in distribution.LOCKS.glob("kafka-*.toml"))
    assert f"for Kafka {', '.join(versions[:-1])} and {versions[-1]} it is part of this project" in text


def test_the_messages_of_the_volume_scenarios_are_those_that_are_told() -> None:
    text = README.read_text(encoding="utf-8")
    told = ", ".join(f"{messages:,} with {client}" for client, messages in DEFAULT_MESSAGES.items())
    assert f"| `messages` | how many the volume scenarios send | {told} |" in text


def test_the_operator_of_strimzi_starts_what_was_taken_down() -> None:
    """A start command that waits for a pod fails while the operator has not made it again."""
    [strimzi] = [block for _, block in FENCED.findall(README.read_text(encoding="utf-8")) if "kubectl" in block]
    assert "-D stop_command=" in strimzi
    assert "-D kill_command=" in strimzi
    assert "start_command" not in strimzi


def test_a_broker_of_strimzi_is_killed_by_a_signal() -> None:
    """To delete a pod by force takes it out of Kubernetes' books, and leaves its process to end in order, if at all."""
    [command] = re.findall(r"-D kill_command=\"(kubectl [^\"]*)\"", README.read_text(encoding="utf-8"))
    given = {"broker": "external", "bootstrap_servers": "kafka:9092", "kill_command": command}
    words = from_userdata(given).kill_command
    assert "delete" not in words
    # A shell of the container's own is the last that takes words apart: the suite runs none.
    shell, option, script = words[words.index("--") + 1 :]
    assert (shell, option) == ("bash", "-c")
    # In the background, with nothing of kubectl's: it has ended with status 0 before its shell could be killed.
    assert script == "(sleep 1; kill -9 -1) >/dev/null 2>&1 </dev/null &"


def test_the_most_features_at_once_are_those_that_the_documents_name() -> None:
    assert MOST_WORKERS == 6
    assert "six at most" in README.read_text(encoding="utf-8")
    assert "no more than six" in CI.read_text(encoding="utf-8")


# -- reviewers ------------------------------------------------------------------------------------------
def rows() -> list[list[str]]:
    """The cells of every row of the reviewers' tables that names a feature."""
    lines = REVIEWERS.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if ".feature)" in line]


def test_every_feature_is_told_of_by_its_title() -> None:
    told = {}
    for title, _, place in rows():
        [link] = LINK.findall(place)
        told[(REVIEWERS.parent / link).resolve()] = title
    titles = {path: re.search(r"Feature: (.*)", path.read_text(encoding="utf-8"))[1] for path in FEATURES}
    assert told == titles


def test_every_guarantee_and_every_limit_has_kafkas_own_words() -> None:
    for title, words, _ in rows():
        links = LINK.findall(words)
        assert links, f"no words of Kafka's for: {title}"
        assert all(link.startswith(KAFKAS_OWN) for link in links), links


def test_the_feature_that_is_shown_is_one_of_the_features() -> None:
    [shown] = [
        block for language, block in FENCED.findall(REVIEWERS.read_text(encoding="utf-8")) if language == "gherkin"
    ]
    written = (ROOT / "features" / "persistence" / "crashes.feature").read_text(encoding="utf-8").splitlines()
    assert [line for line in shown.splitlines() if line not in written] == []


def test_the_verdict_words_are_those_of_the_reports() -> None:
    from integrity.reports.views import WORDS

    text = REVIEWERS.read_text(encoding="utf-8")
    for word in WORDS.values():
        assert f"| {word} |" in text, f"the verdict {word!r} is not explained"


def test_every_anomaly_is_explained() -> None:
    from integrity.anomalies import CHECKS

    text = REVIEWERS.read_text(encoding="utf-8")
    assert [name for name in CHECKS if f"| `{name}` |" not in text] == []


# -- CI -------------------------------------------------------------------------------------------------
def test_what_ci_is_told_to_keep_is_what_a_run_writes() -> None:
    ini = (ROOT / "behave.ini").read_text(encoding="utf-8")
    [junit] = re.findall(r"^junit_directory = (.*)$", ini, re.MULTILINE)
    snippets = [block for _, block in FENCED.findall(CI.read_text(encoding="utf-8"))]
    paths = {path for block in snippets for path in re.findall(r"reports/[\w./*-]*", block)}
    assert f"{junit}/TESTS-*.xml" in paths
    for path in paths:
        assert path in ("reports/", "reports/**", f"{junit}/TESTS-*.xml"), f"a run writes no {path}"


def test_the_cache_of_ci_is_the_one_that_the_suite_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    text = CI.read_text(encoding="utf-8")
    assert cache.VARIABLE in text
    assert f"~/.cache/{cache.directory().name}" in text


def test_the_yaml_of_ci_is_indented_evenly() -> None:
    blocks = [block for language, block in FENCED.findall(CI.read_text(encoding="utf-8")) if language == "yaml"]
    assert blocks
    for block in blocks:
        assert "\t" not in block
        assert all((len(line) - len(line.lstrip())) % 2 == 0 for line in block.splitlines())
        assert all(line == line.rstrip() for line in block.splitlines())


# -- engineers ------------------------------------------------------------------------------------------
def test_the_picture_is_whole_and_names_what_there_is() -> None:
    picture = ElementTree.parse(ROOT / "docs" / "architecture.svg").getroot()
    names = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text") if each.get("class") == "name"]
    assert len(names) > 5
    for name in names:
        assert (ROOT / name).exists() or (ROOT / "integrity" / name).exists(), name


@dataclass
class Example:
    """One section of "How to add": the blocks for files (path, whether to append, text), and its commands."""

    blocks: list[tuple[str, bool, str]] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)


def examples() -> dict[str, Example]:
    _, _, text = ENGINEERS.read_text(encoding="utf-8").partition("\n## How to add\n")
    found = {}
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        shell = [block for language, block in FENCED.findall(section) if language == "sh"]
        found[section.splitlines()[0]] = Example(
            [(path, bool(end), block) for path, end, block in PLACED.findall(section)],
            [shlex.split(line) for block in shell for line in block.splitlines()],
        )
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with everything in it that the examples add."""
    copy = tmp_path_factory.mktemp("docs") / "project"
    copy.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part)
        else:
            shutil.copy(ROOT / part, copy / part)
    for name, example in examples().items():
        for path, at_its_end, text in example.blocks:
            target = copy / path
            assert target.exists() == at_its_end, f"{name}: {path} {'is not' if at_its_end else 'is already'} there"
            with open(target, "a", encoding="utf-8") as file:
                file.write(f"\n\n{text}" if at_its_end else text)
    return copy


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command of a document's in the project, with the Python of the tests."""
    modules = {"behave": ["-m", "behave"], "python": []}
    return subprocess.run(
        [sys.executable, *modules[words[0]], *words[1:]],
        cwd=project,
        # The copy is ours to write into, and compiling it once is enough.
        env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=COMMAND_SECONDS,
        check=False,
    )


def behave(project: Path, *arguments: str) -> str:
    """Run behave; every scenario that was selected must have held. Returns what it printed."""
    ended = run(project, "behave", *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def commands(name: str, program: str) -> list[list[str]]:
    found = [words for words in examples()[name].commands if words[0] == program]
    assert found, f"{name} shows no {program} command"
    return found


def test_every_example_is_there_and_every_block_has_its_place() -> None:
    assert list(examples()) == ["A scenario", "A fault", "An anomaly", "A broker"]
    for name, example in examples().items():
        assert example.blocks, name
        assert example.commands, name
    placed = sum(len(example.blocks) for example in examples().values())
    shown = [language for language, _ in FENCED.findall(ENGINEERS.read_text(encoding="utf-8")) if language != "sh"]
    assert placed == len(shown), "a block does not say which file it goes to"


def test_the_scenario_and_the_fault_hold_on_an_embedded_broker(project: Path) -> None:
    wanted = [commands(name, "behave") for name in ("A scenario", "A fault")]
    said = behave(project, "-D", "broker=embedded", *(words[1] for [words] in wanted))
    assert "Everything held: 2 of 2 scenarios" in said
    assert (project / "reports" / "junit" / "TESTS-features.delivery.what_is_new.xml").is_file()


def test_the_broker_is_chosen_by_an_option_and_named_in_the_reports(project: Path) -> None:
    [words] = commands("A broker", "behave")
    said = behave(project, *words[1:])
    assert "Broker: flushing (Apache Kafka" in said
    assert "Everything held: 1 of 1 scenarios" in said
    report = (project / "reports" / "junit" / "TESTS-features.delivery.data_integrity.xml").read_text(encoding="utf-8")
    assert "flushing every message" in report


def test_the_command_that_lists_the_sentences_lists_them(project: Path) -> None:
    found = CODE.findall(FENCED.sub("", ENGINEERS.read_text(encoding="utf-8")))
    [words] = [shlex.split(command) for command in found if command.startswith("behave ")]
    said = behave(project, *words[1:])
    assert "When a reader starts at the end, and {messages:Count} messages more are published" in said


def test_the_suites_own_tests_take_the_examples_up(project: Path) -> None:
    files, which = [], []
    for name in ("A fault", "An anomaly"):
        [[*start, file, option, expression]] = commands(name, "python")
        assert (start, option) == (["python", "-m", "pytest"], "-k")
        files.append(file)
        which.append(f"({expression})")
    ended = run(project, "python", "-m", "pytest", *files, "-k", " or ".join(which), "-rp", "-p", "no:cacheprovider")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for test in ("snapshots of publishers", "read_before_it_was_sent", "read_the_moment_it_was_sent", "is_planted"):
        assert re.search(rf"PASSED .*{re.escape(test)}", ended.stdout), f"{test}:\n{ended.stdout}"


def test_the_anomaly_is_found_in_the_history_that_shows_it_and_only_there(project: Path) -> None:
    names = ("read_before_it_was_sent", "read_the_moment_it_was_sent")
    save = "; ".join(f"a.{name}().save(pathlib.Path('{name}'))" for name in names)
    assert run(project, "python", "-c", f"import pathlib, tests.test_anomalies as a; {save}").returncode == 0
    shown, near = (run(project, "python", "-m", "integrity.check", name) for name in names)
    assert (shown.returncode, near.returncode) == (1, 0), shown.stdout + near.stdout
    assert "read_before_sent: 1 record read too early\n" in shown.stdout
    assert "was read at offset 3 of t-0 before it was sent, by reader 0" in shown.stdout
