"""The matrix sabotage x check: for the terminal, as one page that works offline, and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from integrity.anomalies.catalogue import CHECKS, Check
from integrity.prove.judgement import BY_NAME, Judged
from integrity.prove.table import ANOMALIES, SABOTAGES

_TEMPLATE = Path(__file__).with_name("prove.html.j2")

#: Cells of the matrix.
EXPECTED, MISSED, ALLOWED, FALSE, SILENT = "✓", "✗", "+", "!", "·"
LEGEND = {
    EXPECTED: "had to be found, and was",
    MISSED: "had to be found, and was not",
    ALLOWED: "was found as well, and may be",
    FALSE: "was found and should not have been",
    SILENT: "was not found",
}

#: The column of the checks that are a scenario's own sentences.
SENTENCES = "a sentence of the scenario"

CLEAN = "(no sabotage)"


def columns() -> list[str]:
    """The checks, in the order of the matrix."""
    return [*ANOMALIES, SENTENCES]


def meanings() -> dict[str, str]:
    """What each of the columns finds, in one sentence: for an anomaly the first of its file's."""
    found = {name: _first_sentence(CHECKS[name]) for name in ANOMALIES if name in CHECKS}
    return found | {SENTENCES: "something that the scenario says in a sentence of its own did not hold"}


def _first_sentence(check: Check) -> str:
    whole = check.explanation.partition("\nJepsen:")[0].replace("\n", " ")
    return whole.removeprefix(f"{check.name}:").strip().partition(". ")[0].rstrip(".")


def say(words: str) -> None:
    """Print a line at once."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def line(judged: Judged) -> str:
    """One outcome, as it comes."""
    outcome = judged.outcome
    mark = "ok " if judged.good else "BAD"
    found = ", ".join(outcome.found) or "nothing found"
    return f"{mark} {outcome.seconds:5.1f} s  {outcome.sabotage or CLEAN}: {found}"


def cells(rows: Sequence[Judged]) -> list[str]:
    """The marks of one row: several outcomes of one sabotage, or of none."""
    return [_cell(rows, column) for column in columns()]


def _cell(rows: Sequence[Judged], column: str) -> str:
    def is_here(name: str) -> bool:
        return name == column or (column == SENTENCES and name not in ANOMALIES)

    if any(is_here(name) for row in rows for name in row.false_alarms):
        return FALSE
    expected = [row for row in rows if row.expected is not None and is_here(row.expected)]
    if expected:
        return EXPECTED if all(row.caught for row in expected) else MISSED
    return ALLOWED if any(is_here(name) for row in rows for name in row.outcome.found) else SILENT


def grouped(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """The outcomes of each sabotage in the order of the table, those without one last."""
    order = [*(sabotage.does for sabotage in SABOTAGES), None]
    ordered = sorted(judged, key=lambda row: order.index(row.outcome.sabotage))
    found: dict[str, list[Judged]] = {}
    for row in ordered:
        found.setdefault(row.outcome.sabotage or CLEAN, []).append(row)
    return found


def matrix(judged: Sequence[Judged]) -> str:
    """The matrix in characters, its columns numbered and named below."""
    rows = grouped(judged)
    width = max((len(name) for name in rows), default=0)
    numbers = " ".join(f"{number:2}" for number in range(1, len(columns()) + 1))
    lines = [f"{'a broker that':{width}} {numbers}"]
    lines += [f"{name:{width}} " + " ".join(f"{cell:>2}" for cell in cells(found)) for name, found in rows.items()]
    named = [f"{number:2} {name}" for number, name in enumerate(columns(), 1)]
    half = (len(named) + 1) // 2
    lines.append("")
    lines += [f"  {left:30}{right}" for left, right in zip(named[:half], [*named[half:], ""], strict=False)]
    lines.append("")
    lines += [f"  {mark} {meaning}" for mark, meaning in LEGEND.items()]
    return "\n".join(lines)


def summary(judged: Sequence[Judged], seconds: float) -> str:
    """The last line."""
    sabotaged = [row for row in judged if row.expected is not None]
    clean = [row for row in judged if row.expected is None]
    caught = sum(row.caught for row in sabotaged)
    alarms = sum(bool(row.false_alarms) for row in judged)
    return (
        f"{caught} of {len(sabotaged)} sabotages seen, {alarms} false alarms, "
        f"{sum(row.good for row in clean)} of {len(clean)} scenarios intact without one; {seconds:.0f} s"
    )


def show(judged: Sequence[Judged], said: Sequence[str], seconds: float, folder: Path) -> None:
    """Print the matrix and what is wrong; write prove.json and prove.html into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "passed": not said,
        "complaints": list(said),
        "seconds": round(seconds, 1),
        "anomalies": list(ANOMALIES),
        "results": [row.as_json() for rows in grouped(judged).values() for row in rows],
    }
    (folder / "prove.json").write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "prove.html").write_text(page(judged, said, seconds), encoding="utf-8")
    say(f"\n{matrix(judged)}\n")
    for words in said:
        say(f"NOT PROVEN: {words}")
    say(f"{summary(judged, seconds)}; see {folder.name}/prove.html and {folder.name}/prove.json")


def page(judged: Sequence[Judged], said: Sequence[str], seconds: float) -> str:
    """The page."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        rows=[(name, found, cells(found), BY_NAME.get(name)) for name, found in grouped(judged).items()],
        columns=columns(),
        legend=LEGEND,
        meanings=meanings(),
        said=said,
        summary=summary(judged, seconds),
    )
