"""The last lines of a run: what held, what did not, where to read on."""

from __future__ import annotations

from pathlib import Path

from integrity import progress
from integrity.reports import views
from integrity.reports.model import RunFacts
from integrity.reports.views import FeatureView

#: A run's end says no more than this.
MOST_LINES = 10


def summary(run: RunFacts, features: list[FeatureView], report: Path) -> list[str]:
    """At most ten lines, without colours."""
    scenarios = [s for feature in features for s in feature.scenarios if s.status != views.NOT_SELECTED]
    held = sum(s.status == views.HELD for s in scenarios)
    return [f"{held} of {len(scenarios)} scenarios held.", f"Report: {report}"]


def show(run: RunFacts, features: list[FeatureView], report: Path) -> None:
    """Print the summary where people look."""
    for line in summary(run, features, report):
        progress.say(line)
