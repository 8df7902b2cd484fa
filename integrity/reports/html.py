"""reports/report.html: the whole run in one file that opens anywhere, offline."""

from __future__ import annotations

from pathlib import Path

from integrity.reports.model import RunFacts
from integrity.reports.views import FeatureView

_TEMPLATE = Path(__file__).with_name("report.html.j2")


def render(run: RunFacts, features: list[FeatureView], folder: Path) -> str:
    """The page. ``folder``: where it will lie; links to evidence are relative to that."""
    # Not needed until a run ends, and slow to import.
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(run=run, features=features)


def write(run: RunFacts, features: list[FeatureView], path: Path) -> None:
    """Render to ``path`` in one move, so that nobody ever opens half a report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.part")
    half.write_text(render(run, features, path.parent), encoding="utf-8")
    half.replace(path)
