"""The checks there are: one for each ``.sql`` file of this folder, with the words its leading comment gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_CHOICE = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")
_FIELD = re.compile(r"\{(\w+)\}")


def _leading_comment(text: str) -> list[str]:
    """The lines of the comment that a file opens with, without the dashes."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return lines


def _template(comment: list[str], name: str, otherwise: str) -> str:
    """The rest of the comment's line that opens with ``name:``."""
    for line in comment:
        if line.startswith(f"{name}:"):
            return line.removeprefix(f"{name}:").strip()
    return otherwise


def _needs(comment: list[str]) -> tuple[str, ...]:
    return tuple(filter(None, _template(comment, "Needs", "").replace(",", " ").split()))


@dataclass(frozen=True)
class Check:
    """One anomaly: its name (the file's), its query, what its comment explains, and its templates.

    ``counts`` has ``{count}`` and choices like ``{message|messages}`` (one, many). ``says`` has the query's columns as
    fields; a file without one is told by its columns. ``needs`` names the tables that must all have rows for the query
    to find anything: where one has none the query need not be run.
    """

    name: str
    sql: str
    explanation: str
    counts: str
    says: str
    needs: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Check:
        """The check that ``path`` describes. Raises OSError when the file cannot be read."""
        text = path.read_text(encoding="utf-8")
        comment = _leading_comment(text)
        return cls(
            name=path.stem,
            sql=text,
            explanation="\n".join(line for line in comment if not line.startswith(("Counts:", "Says:", "Needs:"))),
            counts=_template(comment, "Counts", "{count} {finding|findings}"),
            says=_template(comment, "Says", ""),
            needs=_needs(comment),
        )

    def headline(self, count: int) -> str:
        """How many there are, in words: '2 acknowledged messages nobody read'."""
        words = _CHOICE.sub(lambda choice: choice[1 if count == 1 else 2], self.counts)
        return words.replace("{count}", f"{count:,}")

    def sentence(self, example: Mapping[str, Any]) -> str:
        """One example in words; ``example`` maps the query's columns to their values."""
        if not self.says:
            return ", ".join(f"{name} {value}" for name, value in example.items() if value is not None)
        return _FIELD.sub(lambda field: _word(example.get(field[1])), self.says)


def _word(value: Any) -> str:
    return "none" if value is None else str(value)


@dataclass(frozen=True)
class Step:
    """One shared table: its name, and the query that fills it.

    Where a table that it ``needs`` has no row, it is not made: whoever uses it must need it.
    """

    name: str
    sql: str
    needs: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Step:
        """The step in ``path``. Raises OSError when the file cannot be read."""
        text = path.read_text(encoding="utf-8")
        return cls(path.stem.partition("_")[2], text, _needs(_leading_comment(text)))


def shared_steps(folder: Path = FOLDER / "shared") -> tuple[Step, ...]:
    """The shared tables, in the order in which they build on one another."""
    return tuple(map(Step.read, sorted(folder.glob("*.sql"))))


def checks(folder: Path = FOLDER) -> dict[str, Check]:
    """Every check of the folder by name, in the order of the names."""
    return {path.stem: Check.read(path) for path in sorted(folder.glob("*.sql"))}


CHECKS: dict[str, Check] = checks()
STEPS: tuple[Step, ...] = shared_steps()
