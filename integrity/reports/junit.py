"""JUnit files that every reader takes: GitLab, Jenkins, GitHub's actions, anything that reads Surefire's.

Written from scratch in place of behave's own reporter, whose files stop being XML when a message holds a control
character. What the readers ask for, and where it is done:

- well-formed XML whatever a message or log holds (:func:`integrity.reports.text.clean`);
- class name and name unique together (GitLab shows one of two equals): :func:`unique_names`;
- the last dot of a class name parts package from class (Jenkins), so a title's dots become underscores;
- the same class name whether the whole suite is run, or one folder, or one file;
- ``message`` is one plain sentence; the text below it has the step, its place and everything else;
- properties stand before the test cases, and in each test case first.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.etree import ElementTree

from behave.configuration import Configuration
from behave.model import Feature
from behave.reporter.base import Reporter
from behave.reporter.junit import JUnitReporter

from integrity.reports import views
from integrity.reports.evidence import near
from integrity.reports.model import RunFacts
from integrity.reports.text import clean, one_line, shortened
from integrity.reports.views import FeatureView, Problem, ScenarioView

#: Characters of captured output kept in one test case: readers choke on megabytes.
OUTPUT_CHARACTERS = 200_000


class HygienicJUnit(Reporter):
    """Writes one ``TESTS-*.xml`` per feature as soon as behave has reported that feature."""

    def __init__(self, config: Configuration, run: RunFacts, view_of: Callable[[Feature], FeatureView]) -> None:
        super().__init__(config)
        self._run = run
        self._view_of = view_of
        self._written: set[int] = set()

    def missing(self, features: Iterable[Feature]) -> None:
        """Write the files of ``features`` that behave never came to report."""
        for feature in features:
            if id(feature) not in self._written:
                self.feature(feature)

    def feature(self, feature: Feature) -> None:
        """behave's call at the end of each feature, and for each that was not run."""
        self._written.add(id(feature))
        view = self._view_of(feature)
        shown = [s for s in view.scenarios if s.status != views.NOT_SELECTED or self.config.show_skipped]
        if not shown and not view.cleanup:
            return
        dotted = self.dotted_path(feature)
        suite = suite_element(view, shown, dotted, self._run)
        folder = Path(self.config.junit_directory)
        folder.mkdir(parents=True, exist_ok=True)
        ElementTree.indent(suite)
        whole = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
        (folder / f"TESTS-{dotted}.xml").write_bytes(whole)

    def dotted_path(self, feature: Feature) -> str:
        """``features.persistence.restart`` for that file, whatever paths behave was given."""
        path = Path(feature.location.abspath())
        base = Path(self.config.base_dir or ".").resolve()
        parts = path.relative_to(base).parts if path.is_relative_to(base) else path.parts[-2:]
        return ".".join(part.replace(".", "_") for part in (*parts[:-1], path.stem))


def install(config: Configuration, run: RunFacts, view_of: Callable[[Feature], FeatureView]) -> HygienicJUnit | None:
    """Put :class:`HygienicJUnit` in the place of behave's JUnit reporter; without ``junit`` do nothing and return None.

    behave reads ``config.reporters`` only when it reports a feature, so before_all is early enough.
    """
    if not config.junit:
        return None
    others = [reporter for reporter in config.reporters if not isinstance(reporter, JUnitReporter)]
    reporter = HygienicJUnit(config, run, view_of)
    config.reporters[:] = [reporter, *others]
    return reporter


def class_name(dotted: str, title: str) -> str:
    """The class of all test cases of a feature: its path, then its title as one part."""
    return f"{dotted}.{one_line(title).replace('.', '_')}"


def unique_names(view: FeatureView) -> dict[int, str]:
    """A name for each scenario by ``id``; equal ones get their Rule's name, and their line if that is not enough."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for guarantee in view.guarantees:
        for scenario in guarantee.scenarios:
            name = scenario.name or "unnamed scenario"
            if name in taken and guarantee.is_rule:
                name = f"{name} ({guarantee.name})"
            if name in taken:
                name = f"{name} (line {scenario.location.rpartition(':')[2]})"
            taken.add(name)
            names[id(scenario)] = name
    return names


def suite_element(view: FeatureView, shown: list[ScenarioView], dotted: str, run: RunFacts) -> ElementTree.Element:
    """The ``<testsuite>`` of one feature; ``shown`` are the scenarios that appear in it."""
    names = unique_names(view)
    rules = {id(s): g.name for g in view.guarantees if g.is_rule for s in g.scenarios}
    classname = class_name(dotted, view.name)
    cases = [case_element(s, classname, names[id(s)], rules.get(id(s), "")) for s in shown]
    if view.cleanup:
        case = ElementTree.Element("testcase", classname=classname, name="Cleaning up after the feature", time="0")
        case.append(problem_element("error", view.cleanup))
        cases.append(case)
    suite = ElementTree.Element(
        "testsuite",
        name=classname,
        tests=str(len(cases)),
        errors=str(sum(case.find("error") is not None for case in cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        time=f"{view.seconds:.3f}",
        timestamp=run.started_at.isoformat(timespec="seconds"),
        hostname=clean(socket.gethostname()),
    )
    suite.append(properties_element({**run.table(), "feature": view.name, "file": view.location}))
    suite.extend(cases)
    return suite


def case_element(scenario: ScenarioView, classname: str, name: str, rule: str) -> ElementTree.Element:
    """The ``<testcase>`` of one scenario."""
    case = ElementTree.Element("testcase", classname=classname, name=name, time=f"{scenario.seconds:.3f}")
    case.append(properties_element(case_properties(scenario, rule)))
    if scenario.problem is not None:
        case.append(problem_element("failure" if scenario.status == views.FAILED else "error", scenario.problem))
    elif scenario.status != views.HELD:
        ElementTree.SubElement(case, "skipped", message=scenario.reason)
    ElementTree.SubElement(case, "system-out").text = shortened(case_output(scenario), OUTPUT_CHARACTERS)
    if scenario.stderr:
        ElementTree.SubElement(case, "system-err").text = shortened(scenario.stderr, OUTPUT_CHARACTERS)
    return case


def case_properties(scenario: ScenarioView, rule: str) -> dict[str, str]:
    """What a reader shows beside the test case: rule, place, tags, evidence and every number."""
    properties = {
        "rule": rule,
        "location": scenario.location,
        "tags": " ".join(f"@{tag}" for tag in scenario.tags),
        "evidence": clean(near(scenario.facts.evidence)) if scenario.facts.evidence else "",
        "run again": scenario.facts.rerun,
        **{name: str(value) for name, value in scenario.facts.figures().items()},
    }
    return {name: value for name, value in properties.items() if value}


def properties_element(properties: dict[str, str]) -> ElementTree.Element:
    element = ElementTree.Element("properties")
    for name, value in properties.items():
        ElementTree.SubElement(element, "property", name=one_line(name), value=one_line(value))
    return element


def problem_element(tag: str, problem: Problem) -> ElementTree.Element:
    """``<failure>`` (a promise was broken) or ``<error>`` (it could not be checked)."""
    element = ElementTree.Element(tag, type=problem.kind, message=problem.sentence)
    where = f"Step: {problem.step}\nPlace: {problem.location}\n\n" if problem.step else ""
    element.text = shortened(where + (problem.text or problem.sentence), OUTPUT_CHARACTERS)
    return element


def case_output(scenario: ScenarioView) -> str:
    """The steps as they went, the checker's words, and what was captured meanwhile."""
    lines = []
    for step in scenario.steps:
        lines.append(f"{step.keyword} {step.name} ... {step.status} in {step.seconds:.3f} s")
        lines += [f"    | {' | '.join(row)} |" for row in step.table]
        lines += [f"    {line}" for line in step.text.splitlines()]
    words = clean(scenario.facts.verdict_words)
    for title, text in (("Verdict", words), ("Captured output", scenario.stdout), ("Captured log", scenario.log)):
        if text:
            lines += ["", f"{title}:", text.rstrip()]
    return "\n".join(lines) + "\n"
