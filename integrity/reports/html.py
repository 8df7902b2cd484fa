"""reports/report.html: the whole run in one file that opens anywhere, offline, with or without scripts.

Rendered from the views (:mod:`integrity.reports.views`) with one Jinja2 template that escapes everything; only the
pictures of :mod:`integrity.reports.chart`, which escape by themselves, go in as they are.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from integrity.reports import chart, views
from integrity.reports.console import took_words
from integrity.reports.model import RunFacts
from integrity.reports.text import clean, first_sentence, shortened
from integrity.reports.timeline import Timeline
from integrity.reports.views import FeatureView, ScenarioView

_TEMPLATE = Path(__file__).with_name("report.html.j2")

#: Characters of a log or message kept on the page; the evidence has all of it.
TEXT_CHARACTERS = 20_000

#: Beside each verdict, so that it is seen at a glance without colour.
MARKS = {
    views.HELD: "✓",
    views.FAILED: "✗",
    views.ERROR: "!",
    views.SKIPPED: "–",
    views.NOT_RUN: "·",
    views.NOT_SELECTED: "·",
}


def render(run: RunFacts, features: list[FeatureView], folder: Path) -> str:
    """The page. ``folder``: where it will lie; links to evidence are relative to that."""
    # Not needed until a run ends, and slow to import.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def picture(timeline: Timeline) -> Markup:
        drawn = "".join(chart.timeline_svg(timeline, width) for width in (chart.WIDE, chart.NARROW))
        return Markup(drawn)

    def latency(timeline: Timeline) -> Markup:
        drawn = "".join(chart.latency_svg(timeline, width) for width in (chart.WIDE, chart.NARROW))
        return Markup(drawn)

    def beside(path: Path) -> str:
        return os.path.relpath(path, folder).replace(os.sep, "/") + "/"

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "figure": chart.figure,
        "took": took_words,
        "clean": clean,
        "short": lambda text: shortened(clean(text), TEXT_CHARACTERS),
        "picture": picture,
        "latency": latency,
        "beside": beside,
        "link": lambda path: quote(beside(path)),
        "flowing": flowing,
        "mark": lambda status: MARKS[status],
        "words": lambda status: views.WORDS[status],
    }
    shown = [feature for feature in features if feature.cleanup or any(g.groups for g in feature.guarantees)]
    _number(shown)
    scenarios = [s for feature in shown for s in feature.scenarios if s.status != views.NOT_SELECTED]
    counts = Counter(s.status for s in scenarios)
    homes = {id(s): guarantee for feature in shown for guarantee in feature.guarantees for s in guarantee.scenarios}
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        run=run,
        facts=run.table(),
        promises=[feature for feature in shown if not feature.limit],
        limits=[feature for feature in shown if feature.limit],
        features=shown,
        broken=[s for s in scenarios if s.status == views.FAILED] + [s for s in scenarios if s.status == views.ERROR],
        unclean=[feature for feature in shown if feature.cleanup],
        counts=[(status, counts[status]) for status in MARKS if counts[status]],
        headline=headline(run, counts, unclean=sum(1 for feature in shown if feature.cleanup)),
        all_well=not counts[views.FAILED] and not counts[views.ERROR] and bool(counts[views.HELD]),
        unselected=sum(s.status == views.NOT_SELECTED for feature in features for s in feature.scenarios),
        stopped=first_sentence(run.stopped) if run.stopped else "",
        home=lambda scenario: homes[id(scenario)],
    )


def write(run: RunFacts, features: list[FeatureView], path: Path) -> None:
    """Render to ``path`` in one move, so that nobody ever opens half a report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(render(run, features, path.parent), encoding="utf-8")
    half.replace(path)


def headline(run: RunFacts, counts: Counter[str], unclean: int) -> str:
    """The run in one sentence."""
    total = sum(counts.values())
    if not any(counts[status] for status in views.RAN):
        return "Nothing was checked."
    if counts[views.FAILED]:
        return f"{counts[views.FAILED]} of {_many(total, 'scenario')} did not hold."
    if counts[views.ERROR]:
        return f"{counts[views.ERROR]} of {_many(total, 'scenario')} could not be checked."
    if unclean:
        return f"Everything held, but {_many(unclean, 'feature')} could not be cleaned up."
    if run.interrupted or counts[views.NOT_RUN]:
        return "Everything held as far as the run went."
    ran = counts[views.HELD]
    if ran < total:
        return f"Everything that was checked held: {ran} of {_many(total, 'scenario')}."
    return "The one scenario held." if ran == 1 else f"All {ran} scenarios held."


def flowing(lines: list[str]) -> str:
    """A description's lines as paragraphs: the file's line ends are none here, except before a list's item."""
    text = ""
    for line in (line.strip() for line in lines):
        joined = " " if text and line and not line.startswith(("-", "*", "|", "•")) else "\n"
        text += f"{joined if text else ''}{line}"
    return text


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _number(features: list[FeatureView]) -> None:
    """Give each feature and scenario its place on the page; the same from run to run of the same features."""
    for number, feature in enumerate(features, 1):
        feature.anchor = f"feature-{number}"
        kept: list[ScenarioView] = [s for s in feature.scenarios if s.status != views.NOT_SELECTED]
        for index, scenario in enumerate(kept, 1):
            scenario.anchor = f"scenario-{number}-{index}"
