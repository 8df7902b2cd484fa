"""Which shards of a run on several machines some histories are of: their parts' labels say so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: A part of a shard's history (see integrity.settings.Shard and integrity.history.recorder). Older ones say nothing of
#: how many shards there were: of them nothing is known.
_PART = re.compile(r"part-shard(\d+)of(\d+)-\d+\.parquet")

#: How many shards are named in a sentence at most.
NAMED = 20


class DifferentRuns(Exception):
    """The histories are of shards of different runs; the text is one line."""


@dataclass(frozen=True)
class Shards:
    """Those that are there, of how many."""

    there: tuple[int, ...]
    of: int

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(sorted(set(range(1, self.of + 1)) - set(self.there)))

    def __str__(self) -> str:
        if not self.missing:
            return f"all {self.of} shards" if self.of > 1 else "the only shard"
        return f"{_named(self.there)} of {self.of}: {_named(self.missing)} {_one(self.missing, 'is', 'are')} missing"

    def as_json(self) -> dict[str, Any]:
        return {"there": list(self.there), "of": self.of, "missing": list(self.missing)}


def among(directories: Iterable[Path | str]) -> Shards | None:
    """The shards whose histories are in these directories; None where none says that it is one.

    Raises DifferentRuns where they are not of the same number of shards.
    """
    found: set[tuple[int, int]] = set()
    for directory in directories:
        names = (path.name for path in Path(directory).glob("*/part-*.parquet"))
        found |= {(int(part[1]), int(part[2])) for name in names if (part := _PART.fullmatch(name)) is not None}
    if not found:
        return None
    (first, of), *others = sorted(found)
    for number, other in others:
        if other != of:
            raise DifferentRuns(f"shard {first} of {of} and shard {number} of {other} are of different runs")
    return Shards(tuple(sorted(number for number, _ in found)), of)


def _named(numbers: Sequence[int]) -> str:
    more = f" and {len(numbers) - NAMED:,} more" if len(numbers) > NAMED else ""
    return f"{_one(numbers, 'shard', 'shards')} {', '.join(map(str, numbers[:NAMED]))}{more}"


def _one(numbers: Sequence[int], one: str, many: str) -> str:
    return one if len(numbers) == 1 else many
