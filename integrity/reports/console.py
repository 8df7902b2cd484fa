"""The last lines of a run: what held, what did not, what was skipped and why, where to read on."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from integrity import progress
from integrity.reports import views
from integrity.reports.evidence import near
from integrity.reports.model import RunFacts
from integrity.reports.views import FeatureView, ScenarioView

#: A run's end says no more than this.
MOST_LINES = 10

#: Broken promises named one by one; the rest is counted.
MOST_PROBLEMS = 5

#: Different reasons for skipping that are named.
MOST_REASONS = 2

_GREEN, _RED, _YELLOW, _DIM, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"


def summary(run: RunFacts, features: list[FeatureView], report: Path, evidence: Path | None) -> list[tuple[str, str]]:
    """At most ten (colour, line); the colour is an escape sequence or ''."""
    scenarios = [s for feature in features for s in feature.scenarios if s.status != views.NOT_SELECTED]
    counts = Counter(s.status for s in scenarios)
    broken = [f for f in features if f.cleanup]
    bad = counts[views.FAILED] + counts[views.ERROR] + len(broken)
    lines = [_headline(run, scenarios, counts, bad)]
    lines += _problems([s for s in scenarios if s.problem], broken)
    lines += _skipped([s for s in scenarios if s.status == views.SKIPPED])
    if counts[views.NOT_RUN]:
        why = "the run was interrupted" if run.interrupted else "the run ended before"
        lines.append((_YELLOW, f"Not run: {counts[views.NOT_RUN]} ({why})"))
    lines.append(("", f"Report: {near(report)}"))
    if evidence is not None:
        lines.append(("", f"Evidence: {near(evidence)}"))
    return lines[:MOST_LINES]


def _headline(run: RunFacts, scenarios: list[ScenarioView], counts: Counter[str], bad: int) -> tuple[str, str]:
    took = took_words(run.duration.total_seconds())
    if not scenarios:
        return _RED, f"❌ Nothing was checked: no scenario was selected ({took})"
    ran = sum(counts[status] for status in views.RAN)
    if not ran:
        return _RED, f"❌ Nothing was checked: no scenario ran ({took})"
    if not bad:
        mark = "✅ Everything held" if not counts[views.NOT_RUN] else "Held as far as the run went"
        return _GREEN, f"{mark}: {counts[views.HELD]} of {ran} scenarios ({took})"
    parts = [f"{counts[views.HELD]} of {ran} scenarios held"]
    parts += [f"{counts[s]} {views.WORDS[s]}" for s in (views.FAILED, views.ERROR) if counts[s]]
    return _RED, f"❌ {', '.join(parts)} ({took})"


def _problems(scenarios: list[ScenarioView], features: list[FeatureView]) -> list[tuple[str, str]]:
    # Broken promises before errors: the former are what the suite is for.
    scenarios = sorted(scenarios, key=lambda s: s.status != views.FAILED)
    named = [
        (_RED if s.status == views.FAILED else _YELLOW, f"  {s.words.upper()} {s.name}: {s.problem.sentence}")
        for s in scenarios
        if s.problem
    ]
    named += [(_YELLOW, f"  CLEAN-UP {f.name}: {f.cleanup.sentence}") for f in features if f.cleanup]
    if len(named) <= MOST_PROBLEMS:
        return named
    shown = named[: MOST_PROBLEMS - 1]
    return [*shown, ("", f"  … and {len(named) - len(shown)} more, in the report")]


def _skipped(scenarios: list[ScenarioView]) -> list[tuple[str, str]]:
    reasons = Counter(s.reason for s in scenarios).most_common()
    if not reasons:
        return []
    said = "; ".join(f"{reason.rstrip('.')} ({count})" for reason, count in reasons[:MOST_REASONS])
    rest = sum(count for _, count in reasons[MOST_REASONS:])
    return [(_DIM, f"Skipped: {said}" + (f"; and {rest} more" if rest else ""))]


def took_words(seconds: float) -> str:
    """``seconds`` as people say it: 0.4 s, 38 s, 3 min 05 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def coloured() -> bool:
    """Colours only on a terminal that can show them, and never against https://no-color.org's NO_COLOR."""
    return progress.terminal().isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def keep_plain(formatters: Iterable[object]) -> None:
    """Have behave's own formatters heed NO_COLOR too, which they do not know."""
    if os.environ.get("NO_COLOR"):
        for formatter in formatters:
            if hasattr(formatter, "colored"):
                formatter.colored = False


def show(run: RunFacts, features: list[FeatureView], report: Path, evidence: Path | None) -> None:
    """Print the summary where people look; on a terminal long sentences are cut to its width, paths never."""
    on_terminal = progress.terminal().isatty()
    columns = shutil.get_terminal_size().columns if on_terminal else None
    colours = coloured()
    for colour, line in summary(run, features, report, evidence):
        if columns and len(line) > columns and not line.startswith(("Report:", "Evidence:")):
            line = line[: columns - 1].rstrip() + "…"
        line = progress.printable(line, progress.terminal().encoding)
        progress.say(f"{colour}{line}{_PLAIN}" if colours and colour else line)
