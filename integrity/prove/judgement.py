"""What a scenario under sabotage came to, and what that means by the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from integrity.prove.saboteur import Sabotage
from integrity.prove.table import SABOTAGES

BY_NAME: Mapping[str, Sabotage] = {sabotage.does: sabotage for sabotage in SABOTAGES}


@dataclass(frozen=True)
class Job:
    """A scenario, by its name, under a sabotage, by what it does; None is no sabotage."""

    sabotage: str | None
    scenario: str


@dataclass(frozen=True)
class Outcome:
    """What one job came to.

    found: the checks that failed, and "error in ..." for whatever went wrong. struck: how often the sabotage was done.
    seconds: the scenario's. words: what the failed sentences said.
    """

    sabotage: str | None
    scenario: str
    found: tuple[str, ...]
    struck: int
    seconds: float
    words: str = ""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Outcome:
        """From ``asdict`` by way of JSON."""
        return cls(**{**values, "found": tuple(values["found"])})


@dataclass(frozen=True)
class Judged:
    """An outcome by the table. expected: the check that had to fail, None without a sabotage.

    false_alarms: what failed and had no reason to.
    """

    outcome: Outcome
    expected: str | None
    false_alarms: tuple[str, ...]

    @property
    def caught(self) -> bool:
        """The expected check failed; without a sabotage, nothing did."""
        return not self.outcome.found if self.expected is None else self.expected in self.outcome.found

    @property
    def good(self) -> bool:
        """As it must be."""
        return self.caught and not self.false_alarms

    @property
    def words(self) -> str:
        """What is wrong with it, in a sentence; empty when nothing is."""
        said = []
        if self.expected is not None and not self.caught:
            why = "" if self.outcome.struck else " (the sabotage never took place)"
            said.append(f"{self.expected} was not found{why}")
        if self.false_alarms:
            said.append(f"false alarm: {', '.join(self.false_alarms)}")
        broker = f"a broker that {self.outcome.sabotage}" if self.outcome.sabotage else "no sabotage"
        return f"{broker}: {'; '.join(said)}, in {self.outcome.scenario!r}" if said else ""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready values."""
        outcome = asdict(self.outcome)
        return {
            "sabotage": outcome["sabotage"],
            "scenario": outcome["scenario"],
            "anomalies": list(outcome["found"]),
            "expected": self.expected,
            "caught": self.caught,
            "false_alarms": list(self.false_alarms),
            "struck": outcome["struck"],
            "seconds": outcome["seconds"],
            "words": outcome["words"],
        }


def judge(outcome: Outcome, sabotages: Mapping[str, Sabotage] = BY_NAME) -> Judged:
    """The outcome by the table."""
    if outcome.sabotage is None:
        return Judged(outcome, None, outcome.found)
    sabotage = sabotages[outcome.sabotage]
    wrong = tuple(name for name in outcome.found if name != sabotage.expected and name not in sabotage.allowed)
    return Judged(outcome, sabotage.expected, wrong)


def complaints(jobs: Iterable[Job], outcomes: Iterable[Outcome]) -> list[str]:
    """Everything that must not be, in sentences: misses, false alarms, jobs that came to nothing."""
    by_job = {Job(outcome.sabotage, outcome.scenario): outcome for outcome in outcomes}
    said = []
    for job in jobs:
        outcome = by_job.get(job)
        if outcome is None:
            said.append(f"{job.sabotage or 'no sabotage'}: {job.scenario!r} was never run to its end")
        elif words := judge(outcome).words:
            said.append(words)
    return said
