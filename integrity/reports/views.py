"""behave's model and the collected facts, joined into what the reports show. No report looks into behave itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from behave.model import Feature, Rule, Scenario, ScenarioOutline, Step
from behave.model_type import Status

from integrity.reports.model import RunFacts, ScenarioFacts
from integrity.reports.text import clean, first_sentence, not_promised, one_line
from integrity.reports.timeline import last_fault

HELD = "held"
FAILED = "failed"
ERROR = "error"
SKIPPED = "skipped"
NOT_RUN = "not run"
NOT_SELECTED = "not selected"

#: Verdicts in words: the same in HTML, JUnit and on the console.
WORDS = {
    HELD: "held",
    FAILED: "did not hold",
    ERROR: "could not be checked",
    SKIPPED: "skipped",
    NOT_RUN: "not run",
    NOT_SELECTED: "not selected",
}

#: The worst verdict of several is the first of these that occurs.
_WORST = (FAILED, ERROR, NOT_RUN, HELD, SKIPPED, NOT_SELECTED)

#: What behave adds to the name of an outline's row.
_ROW_NUMBER = re.compile(r"\s*-- @\d+\.\d+.*$")

#: What a scenario that ran may have come to: where there is none of these, nothing was checked.
RAN = (HELD, FAILED, ERROR)

FactsOf = Callable[[Scenario], "ScenarioFacts | None"]


@dataclass
class Problem:
    """Why a scenario did not hold. kind: the exception's class. sentence: one plain sentence. text: all there is."""

    kind: str
    sentence: str
    text: str
    step: str = ""
    location: str = ""


@dataclass
class StepView:
    """One step as it ran. status: behave's word. seconds: its duration."""

    keyword: str
    name: str
    status: str
    seconds: float
    location: str
    text: str = ""
    table: list[list[str]] = field(default_factory=list)
    error: str = ""


@dataclass
class ScenarioView:
    """One scenario, or one row of an outline, with everything the reports say about it. outline: where that one is."""

    name: str
    title: str
    row: dict[str, str]
    outline: str
    description: list[str]
    tags: list[str]
    status: str
    behave_status: str
    location: str
    seconds: float
    steps: list[StepView]
    facts: ScenarioFacts
    problem: Problem | None
    reason: str
    stdout: str
    stderr: str
    log: str
    anchor: str = ""

    @property
    def words(self) -> str:
        return WORDS[self.status]

    @property
    def row_words(self) -> str:
        """An outline row's values, as in "taken down: killed"."""
        return ", ".join(f"{name}: {value}" for name, value in self.row.items())

    @property
    def after(self) -> str:
        """The last fault of the scenario and when it came, in words; '' when there was none."""
        found = last_fault(self.facts.happened)
        if found is None:
            return ""
        start = self.facts.timeline.start if self.facts.timeline else None
        seconds = (found.at - (start or self.facts.started_at)).total_seconds()
        when = f", {seconds:.1f} s into the scenario" if seconds >= 0 else ""
        return one_line(f"{found.subject} {found.what}{when}{f' ({found.detail})' if found.detail else ''}")


@dataclass
class GroupView:
    """A scenario, or all rows of an outline."""

    title: str
    description: list[str]
    outline: bool
    scenarios: list[ScenarioView]

    @property
    def status(self) -> str:
        return worst(scenario.status for scenario in self.scenarios)

    @property
    def words(self) -> str:
        return WORDS[self.status]


@dataclass
class GuaranteeView:
    """A Rule, or a Feature's scenarios outside any Rule: one promise."""

    name: str
    description: list[str]
    not_promised: str
    tags: list[str]
    scenarios: list[ScenarioView]
    is_rule: bool

    @property
    def status(self) -> str:
        return worst(scenario.status for scenario in self.scenarios)

    @property
    def groups(self) -> list[GroupView]:
        """The scenarios that were selected, an outline's rows together."""
        groups: list[GroupView] = []
        outline = ""
        for scenario in self.scenarios:
            if scenario.status == NOT_SELECTED:
                continue
            if not scenario.outline or scenario.outline != outline:
                groups.append(GroupView(scenario.title, scenario.description, bool(scenario.outline), []))
            outline = scenario.outline
            groups[-1].scenarios.append(scenario)
        return groups


@dataclass
class FeatureView:
    """A feature as written, and how it went. limit: it shows what Kafka does not promise. metadata_version: what is
    known of the brokers where it ran.
    """

    name: str
    description: list[str]
    not_promised: str
    tags: list[str]
    location: str
    guarantees: list[GuaranteeView]
    limit: bool
    cleanup: Problem | None
    metadata_version: str = ""
    anchor: str = ""

    @property
    def scenarios(self) -> list[ScenarioView]:
        return [scenario for guarantee in self.guarantees for scenario in guarantee.scenarios]

    @property
    def seconds(self) -> float:
        return sum(scenario.seconds for scenario in self.scenarios)

    @property
    def status(self) -> str:
        return ERROR if self.cleanup else worst(scenario.status for scenario in self.scenarios)


def worst(statuses: Iterator[str]) -> str:
    """The verdict on several scenarios together."""
    found = set(statuses)
    return next((status for status in _WORST if status in found), NOT_SELECTED)


def feature_view(feature: Feature, facts_of: FactsOf, run: RunFacts) -> FeatureView:
    """``feature`` with its facts. A scenario nobody noted facts for gets empty ones."""
    guarantees = []
    loose = [item for item in feature.run_items if not isinstance(item, Rule)]
    promise = not_promised(feature.description)
    if loose:
        scenarios = [scenario_view(s, feature, None, facts_of, run) for s in _scenarios(loose)]
        guarantees.append(GuaranteeView(clean(feature.name), [], promise, [], scenarios, False))
    for rule in feature.run_items:
        if isinstance(rule, Rule):
            scenarios = [scenario_view(s, feature, rule, facts_of, run) for s in _scenarios(rule.run_items)]
            description = [clean(line) for line in rule.description]
            exception = not_promised(description) or promise
            tags = [str(tag) for tag in rule.tags]
            guarantees.append(GuaranteeView(clean(rule.name), description, exception, tags, scenarios, True))
    return FeatureView(
        name=clean(feature.name) or clean(feature.filename),
        description=[clean(line) for line in feature.description],
        not_promised=promise,
        tags=[str(tag) for tag in feature.tags],
        location=clean(feature.location),
        guarantees=guarantees,
        limit="limits" in str(feature.filename).replace("\\", "/").split("/")[:-1] or "limit" in feature.tags,
        cleanup=_cleanup_problem(feature),
        metadata_version=run.metadata_version,
    )


def _scenarios(items: list[Scenario]) -> Iterator[Scenario]:
    for item in items:
        if isinstance(item, ScenarioOutline):
            yield from item.scenarios
        else:
            yield item


def scenario_view(
    scenario: Scenario, feature: Feature, rule: Rule | None, facts_of: FactsOf, run: RunFacts
) -> ScenarioView:
    noted = facts_of(scenario)
    facts = noted or ScenarioFacts(started_at=run.started_at)
    problem = _problem(scenario, feature, rule, noted is not None, run)
    status, reason = _status(scenario, problem, noted, run)
    row = getattr(scenario, "_row", None)
    values = {clean(name): clean(value) for name, value in row.items()} if row is not None else {}
    outline = scenario.parent if isinstance(scenario.parent, ScenarioOutline) else None
    return ScenarioView(
        name=_full_name(scenario, values),
        title=one_line(outline.name if outline else scenario.name),
        row=values,
        outline=clean(outline.location) if outline else "",
        description=[clean(line) for line in scenario.description],
        tags=sorted(str(tag) for tag in scenario.effective_tags),
        status=status,
        behave_status=scenario.status.name,
        location=clean(scenario.location),
        seconds=scenario.duration,
        steps=[step_view(step) for step in scenario.all_steps],
        facts=facts,
        problem=problem,
        reason=reason,
        stdout=clean(scenario.captured.stdout or ""),
        stderr=clean(scenario.captured.stderr or ""),
        log=clean(scenario.captured.log or ""),
    )


def _full_name(scenario: Scenario, row: dict[str, str]) -> str:
    """The name that stands alone: an outline's row has its values in it instead of behave's row number."""
    name = _ROW_NUMBER.sub("", one_line(scenario.name))
    missing = ", ".join(f"{key}: {value}" for key, value in row.items() if value not in name)
    return one_line(f"{name} ({missing})" if missing else name)


def step_view(step: Step) -> StepView:
    table = [list(step.table.headings), *[list(row.cells) for row in step.table]] if step.table else []
    return StepView(
        keyword=clean(step.keyword),
        name=clean(step.name),
        status=step.status.name,
        seconds=step.duration or 0.0,
        location=clean(step.location),
        text=clean(step.text or ""),
        table=[[clean(cell) for cell in line] for line in table],
        error=clean(step.error_message or ""),
    )


def _status(scenario: Scenario, problem: Problem | None, noted: ScenarioFacts | None, run: RunFacts) -> tuple[str, str]:
    """The verdict, and for a scenario that was not run the reason."""
    status = scenario.status
    if problem is not None:
        return (FAILED if problem.kind == "AssertionError" else ERROR), ""
    if status.is_passed():
        return HELD, ""
    if status == Status.skipped:
        reason = scenario.skip_reason or (noted.skip_reason if noted else "")
        if reason:
            return SKIPPED, first_sentence(reason)
        return (SKIPPED, "the scenario gave no reason") if noted else (NOT_SELECTED, "not selected in this run")
    if run.interrupted:
        return NOT_RUN, "the run was interrupted before this scenario"
    return NOT_RUN, "the run ended before this scenario"


def _problem(scenario: Scenario, feature: Feature, rule: Rule | None, began: bool, run: RunFacts) -> Problem | None:
    """What went wrong in the scenario, or kept it from running; None when nothing did."""
    status = scenario.status
    for step in scenario.all_steps:
        if step.status.has_failed():
            return _step_problem(step, scenario)
    if status.has_failed():
        return _hook_problem(scenario)
    if status in (Status.untested, Status.executing):
        for container in (rule, feature):
            if container is not None and container.hook_failed:
                return _from_exception(container, f"a hook of {container.keyword.lower()} {container.name!r} failed")
        if run.stopped:
            return Problem("SuiteError", first_sentence(run.stopped), clean(run.stopped))
        if began and run.interrupted:
            return Problem("KeyboardInterrupt", "The run was interrupted while this scenario ran.", "")
    return None


def _step_problem(step: Step, scenario: Scenario) -> Problem:
    said = f"{step.keyword} {step.name}"
    text = clean(step.error_message or "")
    if step.status in (Status.undefined, Status.pending):
        sentence = f"No step says: {one_line(said)}" if step.status == Status.undefined else f"Not written yet: {said}"
        problem = Problem(step.status.name, sentence, text)
    elif isinstance(step.exception, KeyboardInterrupt):
        problem = Problem("KeyboardInterrupt", "The run was interrupted during this step.", text)
    else:
        problem = _from_exception(step, f"the step failed without a word: {one_line(said)}")
    if scenario.error_message:
        problem.text += f"\n\nAnd after that: {clean(scenario.error_message)}"
    problem.step, problem.location = clean(said), clean(step.location)
    return problem


def _hook_problem(scenario: Scenario) -> Problem:
    if scenario.exception is None and scenario.status != Status.cleanup_error:
        return Problem("KeyboardInterrupt", "The run was interrupted while this scenario was set up or taken down.", "")
    if scenario.exception is None:
        return _cleanup_text(scenario)
    problem = _from_exception(scenario, "a hook failed without a word")
    # A failed hook never counts as a broken promise, even if it was an assertion that failed in it.
    problem.kind = "HookError" if problem.kind == "AssertionError" else problem.kind
    return problem


def _from_exception(statement: Step | Scenario | Feature | Rule, otherwise: str) -> Problem:
    error = statement.exception
    message = clean(error).strip() if error is not None and error.args else ""
    kind = type(error).__name__ if error is not None else "Error"
    if isinstance(error, AssertionError):
        kind = "AssertionError"
    sentence = first_sentence(message or otherwise)
    # "'x'" says nothing without "KeyError"; errors of the suite and of libraries are sentences by themselves.
    speaks = type(error) in (Exception, RuntimeError, AssertionError) or type(error).__module__ != "builtins"
    if error is not None and message and not speaks:
        sentence = f"{kind}: {sentence}"
    text = clean(statement.error_message or "")
    return Problem(kind, sentence, text if message in text else f"{message}\n\n{text}".strip())


def _cleanup_text(statement: Scenario | Feature) -> Problem:
    output = clean(statement.captured.make_output())
    start = output.find("CLEANUP-ERROR")
    text = output[start:] if start >= 0 else output
    what = text.splitlines()[0].removeprefix("CLEANUP-ERROR in ") if start >= 0 else "its captured output may say why"
    return Problem("CleanupError", f"The clean-up failed: {one_line(what)}", text)


def _cleanup_problem(feature: Feature) -> Problem | None:
    """A feature whose own clean-up or after-hook failed, though its scenarios may all have passed."""
    if feature.status == Status.cleanup_error:
        return _cleanup_text(feature)
    ran = any(s.status.is_final() and s.status != Status.skipped for s in feature.walk_scenarios())
    if feature.hook_failed and ran:
        return _from_exception(feature, "a hook of the feature failed")
    return None
