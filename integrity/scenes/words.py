"""How places, records and lists of them are told when a scenario fails."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hamcrest.core.base_matcher import BaseMatcher
from hamcrest.core.description import Description

from integrity.clients.base import Partition

#: How many of a list are told; the rest is counted.
MOST = 10


def place(partition: Partition, offset: int | None = None) -> str:
    """A partition, or an offset in it: ``orders-0``, ``orders-0 at offset 17``."""
    name = f"{partition[0]}-{partition[1]}"
    return name if offset is None else f"{name} at offset {offset:,}"


def behind(reached: Mapping[Partition, int], ends: Mapping[Partition, int]) -> dict[str, str]:
    """The partitions whose end is not reached, and how far one got; in one without messages there is no way to go."""
    return {
        place(where): f"{reached.get(where, 0):,} of {end:,}"
        for where, end in sorted(ends.items())
        if reached.get(where, 0) < end
    }


class _Nothing(BaseMatcher[Collection[str]]):
    """Matches an empty collection of words; a mismatch tells how many there are, and the first of them."""

    def _matches(self, item: Collection[str]) -> bool:
        return not item

    def describe_to(self, description: Description) -> None:
        description.append_text("nothing")

    def describe_mismatch(self, item: Collection[str], mismatch_description: Description) -> None:
        told = list(item)[:MOST]
        rest = len(item) - len(told)
        mismatch_description.append_text(
            f"{len(item):,}: " + "; ".join(told) + (f"; and {rest:,} more" if rest else "")
        )


def nothing() -> BaseMatcher[Collection[str]]:
    """Matches when there is nothing to tell."""
    return _Nothing()
