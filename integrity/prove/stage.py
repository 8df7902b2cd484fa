"""One process of a proof: ``python -m integrity.prove.stage FILE`` has behave run the jobs of a JSON file, one by one.

The outcomes go to the file descriptor that FILE names, a line of JSON each. Everything that behave and the suite do is
done by themselves; what is exchanged for this process is said in ``exchange``.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from behave import parser
from behave.configuration import Configuration
from behave.model import Feature, Scenario
from behave.reporter.base import Reporter
from behave.runner import Runner
from behave.runner_util import reset_runtime

import integrity.session
from integrity import reports
from integrity.prove.judgement import BY_NAME, Job, Outcome
from integrity.prove.saboteur import SabotagedBrokers
from integrity.prove.table import NO_EVIDENCE

ROOT = Path(__file__).parents[2]
FEATURES = ROOT / "features"

#: How a sentence begins its complaint when it is the verdict's; the anomalies then speak for it.
VERDICT = "not intact"


class UnknownScenario(Exception):
    """A job names a scenario that no feature has, or several have."""


@functools.cache
def _places() -> dict[str, list[Path]]:
    """The file of each scenario, by its name."""
    found: dict[str, list[Path]] = {}
    for file in sorted(FEATURES.rglob("*.feature")):
        for scenario in parser.parse_file(str(file)).walk_scenarios():
            found.setdefault(scenario.name, []).append(file)
    return found


def feature_of(scenario: str) -> Feature:
    """The feature of this scenario, read afresh, with all others left out. Raises UnknownScenario."""
    files = _places().get(scenario, [])
    if len(files) != 1:
        raise UnknownScenario(f"{len(files)} features have a scenario {scenario!r}, one is needed")
    feature = parser.parse_file(str(files[0]))
    for other in feature.walk_scenarios():
        if other.name != scenario:
            other.mark_skipped()
    return feature


class Stage(Runner):
    """Runs the jobs' features, each with its sabotage in force from the first to the last sentence."""

    def __init__(self, config: Configuration, jobs: Sequence[Job], channel: int) -> None:
        super().__init__(config)
        self._jobs = list(jobs)
        self._job_of: dict[int, Job] = {}
        self._struck = 0
        self._error = ""
        self._channel = channel

    def feature_locations(self) -> list[str]:
        """None: the features are made from the jobs."""
        return []

    def run_model(self, features: Sequence[Feature] | None = None) -> bool:
        for job in self._jobs:
            try:
                feature = feature_of(job.scenario)
            except UnknownScenario as error:
                self._send(Outcome(job.sabotage, job.scenario, (f"error: {error}",), 0, 0.0))
                continue
            self._job_of[id(feature)] = job
            self.features.append(feature)
        self.config.reporters.append(_Told(self.config, self))
        return super().run_model(features)

    def run_hook(self, hook_name: str, *arguments: object) -> None:
        """behave's hooks; around a scenario, the sabotage."""
        if hook_name == "before_scenario":
            sabotage = self._job_of[id(arguments[0].feature)].sabotage
            self._struck, self._error = 0, ""
            self._brokers.arm(BY_NAME[sabotage] if sabotage is not None else None)
        super().run_hook(hook_name, *arguments)
        if hook_name == "after_scenario":
            try:
                self._struck = self._brokers.disarm()
            except Exception as error:  # noqa: BLE001 - told with the outcome, which it spoils
                self._error = f"error in the sabotage: {type(error).__name__}: {error}"

    @property
    def _brokers(self) -> SabotagedBrokers:
        return self.context.session.brokers

    def tell(self, feature: Feature) -> None:
        """Send what a job came to."""
        job = self._job_of[id(feature)]
        scenario = next(each for each in feature.walk_scenarios() if each.name == job.scenario)
        found = self._found(scenario)
        words = "\n".join(filter(None, (str(step.error_message or "") for step in scenario.all_steps)))
        outcome = Outcome(
            job.sabotage, job.scenario, tuple(found), self._struck, round(scenario.duration, 2), words or self._error
        )
        self._send(outcome)

    def _send(self, outcome: Outcome) -> None:
        os.write(self._channel, json.dumps(asdict(outcome)).encode() + b"\n")

    def _found(self, scenario: Scenario) -> list[str]:
        verdict = self.context.session.reports.scenario(scenario).verdict or {}
        found = list(verdict.get("anomalies", ()))
        found += [NO_EVIDENCE] if verdict.get("reasons") else []
        for step in scenario.all_steps:
            if not step.status.has_failed():
                continue
            if not isinstance(step.exception, AssertionError):
                found.append(f"error in {step.name!r}")
            elif VERDICT not in str(step.exception):
                found.append(step.name)
        if not found and scenario.status.name != "passed":
            found.append(f"error: the scenario was {scenario.status.name}")
        return found + ([self._error] if self._error else [])


class _Told(Reporter):
    """Hears of each feature when it is over."""

    def __init__(self, config: Configuration, stage: Stage) -> None:
        super().__init__(config)
        self._stage = stage

    def feature(self, feature: Feature) -> None:
        self._stage.tell(feature)

    def end(self) -> None:
        """Everything has been told."""


def exchange(folder: Path) -> None:
    """What differs from an ordinary run: who makes brokers, where reports go, going on after a failed sentence."""
    integrity.session.Brokers = SabotagedBrokers
    reports.install = functools.partial(reports.install, folder=folder)
    Scenario.continue_after_failed_step = True


def main(plan: Path) -> int:
    """Run the jobs of ``plan``: {"jobs": [[sabotage, scenario]], "channel": fd, "options": [words for behave]}."""
    planned = json.loads(plan.read_text())
    jobs = [Job(*job) for job in planned["jobs"]]
    exchange(plan.parent / f"{plan.stem}-reports")
    arguments = ["--no-junit", "--format=null", "-D", "broker=embedded", "-D", "keep=never", *planned["options"]]
    config = Configuration([*arguments, str(FEATURES)])
    reset_runtime()
    Stage(config, jobs, planned["channel"]).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
