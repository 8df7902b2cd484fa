"""What a check concludes, as JSON and in words."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from integrity.anomalies.catalogue import Check

VACUOUS = "the verdict would be vacuous"


@dataclass(frozen=True)
class Event:
    """A row of ``events``."""

    at: datetime
    subject: str
    what: str
    detail: str | None

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.subject} {self.what}{detail} at {self.at.time().isoformat('milliseconds')}"


@dataclass(frozen=True)
class Finding:
    """One anomaly: how often it was found, and the first examples, each the columns of its query."""

    check: Check
    count: int
    examples: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Unread:
    """A partition that the last reading did not read to its end; open: how many of the messages acknowledged in it no
    reading can tell of."""

    topic: str
    partition: int
    open: int


@dataclass(frozen=True)
class Verdict:
    """The verdict on one history. ``acknowledged`` counts sends, ``read`` counts rows of ``reads``.

    ``findings`` holds only anomalies that were found, by name.
    """

    acknowledged: int
    read: int
    findings: Mapping[str, Finding]
    unread: tuple[Unread, ...] = ()
    events: tuple[Event, ...] = field(default=(), repr=False)

    @property
    def intact(self) -> bool:
        """Nothing was found, and there was something to find it in, all of it read."""
        return not self.findings and not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why a history without anomalies is not intact all the same; empty when nothing speaks against it."""
        reasons = []
        if not self.acknowledged:
            reasons.append(f"nothing was acknowledged: {VACUOUS}")
        if not self.read:
            reasons.append(f"nothing was read: {VACUOUS}")
        for gap in self.unread:
            what = _plural(
                gap.open, "message that was acknowledged in it is", "messages that were acknowledged in it are"
            )
            reasons.append(
                f"{gap.topic}-{gap.partition} was not read to its end: whether {gap.open:,} {what} there is open"
            )
        return tuple(reasons)

    def count(self, name: str) -> int:
        """How often the anomaly ``name`` was found."""
        return self.findings[name].count if name in self.findings else 0

    def fault(self, at: datetime | None) -> Event | None:
        """The last event at or before ``at``, the fault (or recovery) in force then."""
        if at is None:
            return None
        index = bisect.bisect_right(self.events, at, key=lambda event: event.at)
        return self.events[index - 1] if index else None

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON-ready values.

        ``{"intact", "anomalies": {name: {"count", "examples": [{column: value, "fault", "words"}]}}, "acknowledged",
        "read"}``, and ``"reasons"`` (a list of sentences) when it is not intact for want of evidence.
        """
        verdict: dict[str, Any] = {
            "intact": self.intact,
            "anomalies": {
                name: {"count": finding.count, "examples": [self._example(finding, row) for row in finding.examples]}
                for name, finding in self.findings.items()
            },
            "acknowledged": self.acknowledged,
            "read": self.read,
        }
        if self.reasons:
            verdict["reasons"] = list(self.reasons)
        return verdict

    def _example(self, finding: Finding, row: Mapping[str, Any]) -> dict[str, Any]:
        fault = self.fault(row.get("at"))
        return {
            **{name: _plain(value) for name, value in row.items()},
            "fault": str(fault) if fault else None,
            "words": finding.check.sentence(row),
        }

    def sentence(self) -> str:
        """The verdict in one sentence: an anomaly, what else was found, and one example with the fault in force."""
        if self.intact:
            return self.words()
        if not self.findings:
            return self.reasons[0]
        finding, *others = self.findings.values()
        also = ", ".join(f"{other.check.name} {other.count:,}" for other in others)
        said = finding.check.headline(finding.count) + (f" (also {also})" if also else "")
        return f"{said}: {self._in_words(finding, finding.examples[0])}" if finding.examples else said

    def words(self) -> str:
        """The verdict for a reader, in lines: the conclusion, then each anomaly with its examples.

        The conclusion names what was found, so that it says enough where only one line is shown.
        """
        scope = (
            f"{self.acknowledged:,} {_plural(self.acknowledged, 'message', 'messages')} acknowledged, "
            f"{self.read:,} {_plural(self.read, 'record', 'records')} read"
        )
        if self.intact:
            return f"intact: {scope}"
        found = ", ".join(f"{name} {finding.count:,}" for name, finding in self.findings.items())
        lines = [f"not intact: {found} ({scope})" if found else f"not intact: {scope}"]
        lines += self.reasons
        for name in self.findings:
            lines += self.words_of(name).splitlines()
        return "\n".join(lines)

    def words_of(self, name: str) -> str:
        """One anomaly in lines: how many, then the examples with the fault in force."""
        finding = self.findings.get(name)
        if finding is None:
            return f"{name}: none"
        lines = [f"{name}: {finding.check.headline(finding.count)}"]
        for row in finding.examples:
            lines.append(f"  - {self._in_words(finding, row)}")
        rest = finding.count - len(finding.examples)
        if rest:
            lines.append(f"  - and {rest:,} more")
        return "\n".join(lines)

    def _in_words(self, finding: Finding, row: Mapping[str, Any]) -> str:
        return f"{finding.check.sentence(row)} ({self._circumstance(row)})"

    def _circumstance(self, row: Mapping[str, Any]) -> str:
        if not self.events:
            return "no fault was recorded"
        fault = self.fault(row.get("at"))
        return f"last event before it: {fault}" if fault else f"first event after it: {self.events[0]}"


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
