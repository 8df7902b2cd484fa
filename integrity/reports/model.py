"""What a run and its scenarios leave for the reports: plain data that hooks and steps fill in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from integrity.reports.masking import masked
from integrity.reports.timeline import Event, Timeline, outages

#: What a scenario measured: shown as they are, floats rounded; the unit belongs into the name or the text.
Number = str | int | float


def now() -> datetime:
    """The present in UTC, without a zone: the history's clock."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass
class RunFacts:
    """What holds for the whole run. Every text may stay empty; an empty fact is left out of the reports.

    broker: embedded, docker or external; broker_why: why that one. kafka: which Kafka, as far as it is known before it
    runs: its version, its image, or where it is; metadata_version: the level that its brokers have told. client: name
    and version. command: the command line as it was typed (``sys.argv`` by default). settings: every option's value,
    for the evidence. options: the ``-D`` options that run a scenario again as it ran (those of the command line by
    default). more: further facts, shown last. Secrets are masked when a report is written, not here; secrets: those
    that are known, of the clients' properties, to be hidden in commands too.
    stopped: why the run could not go on, when something outside the scenarios stopped it: every scenario that did not
    run then is an error. interrupted: a person or CI stopped it.
    """

    broker: str = ""
    broker_why: str = ""
    kafka: str = ""
    metadata_version: str = ""
    client: str = ""
    seed: int | None = None
    command: str = ""
    settings: dict[str, object] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    more: dict[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = field(default=(), repr=False)
    started_at: datetime = field(default_factory=now)
    finished_at: datetime | None = None
    stopped: str = ""
    interrupted: bool = False

    @property
    def duration(self) -> timedelta:
        """From the start to the end, or to now while the run goes on."""
        return (self.finished_at or now()) - self.started_at

    def table(self) -> dict[str, str]:
        """The facts by name, in the order people ask for them; empty ones left out."""
        facts = {
            "broker": self.broker,
            "why this broker": self.broker_why,
            "kafka": self.kafka,
            "metadata.version": self.metadata_version,
            "client": self.client,
            "seed": "" if self.seed is None else str(self.seed),
            "started": f"{self.started_at:%Y-%m-%d %H:%M:%S} UTC",
            "command": self.command,
            **self.more,
        }
        return {name: masked(name, value, self.secrets) for name, value in facts.items() if value}


@dataclass
class ScenarioFacts:
    """What one scenario leaves; made by ``Reports.scenario`` and filled while it runs.

    numbers: name to value, in the order to show them ("acknowledged", "restart (s)"). verdict: DESIGN's verdict JSON.
    verdict_words: the checker's words. judged: the folder of the history they are of, below the scenario's own. events:
    faults and recoveries, in order. timeline: see :func:`integrity.reports.timeline.from_history`. evidence: the
    scenario's evidence folder. skip_reason: why it was skipped, where behave was not told. rerun: the exact command
    that runs this scenario alone.
    """

    numbers: dict[str, Number] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    verdict_words: str = ""
    judged: str = ""
    events: list[Event] = field(default_factory=list)
    timeline: Timeline | None = None
    evidence: Path | None = None
    skip_reason: str = ""
    rerun: str = ""
    started_at: datetime = field(default_factory=now)

    @property
    def happened(self) -> list[Event]:
        """The events noted here, or those of the history when none were."""
        return self.events or (self.timeline.events if self.timeline else [])

    def figures(self) -> dict[str, Number]:
        """Every number worth showing: the verdict's counts, what steps noted, how long brokers were away, rates."""
        figures: dict[str, Number] = {}
        if self.verdict is not None:
            anomalies = self.verdict.get("anomalies") or {}
            figures = {name: self.verdict[name] for name in ("acknowledged", "read") if name in self.verdict}
            figures["anomalies"] = sum(int(found.get("count", 0)) for found in anomalies.values())
        figures.update(self.numbers)
        away: dict[str, float] = {}
        for outage in outages(self.happened):
            if outage.end is not None:
                name = f"{outage.subject} {outage.what} for (s)"
                away[name] = away.get(name, 0.0) + (outage.end - outage.begin).total_seconds()
        for name, seconds in away.items():
            figures.setdefault(name, round(seconds, 2))
        for name, value in (self.timeline.rates if self.timeline else {}).items():
            figures.setdefault(name, value)
        return figures

    def event(self, subject: str, what: str, detail: str = "") -> None:
        """Note an event that happens now; has the shape of a broker's ``listener``."""
        self.events.append(Event(now(), subject, what, detail))
