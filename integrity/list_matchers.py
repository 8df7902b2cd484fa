"""PyHamcrest matchers over a short list of messages: order preserved, no duplicates, nothing missing.

Each looks at one property alone, so that a run that fails says exactly which promise was broken. All take
the messages as they were sent and match the messages as they were read. For volumes, and for everything
that a list of values cannot tell apart, there is the history and its checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from hamcrest.core.base_matcher import BaseMatcher
from hamcrest.core.description import Description

#: Of a long list, the error's text shows this many entries.
SHOWN = 20


def _shown(messages: Sequence[object]) -> str:
    listed = ", ".join(repr(message) for message in messages[:SHOWN])
    more = f", ... {len(messages) - SHOWN} more" if len(messages) > SHOWN else ""
    return f"[{listed}{more}]"


class _OverMessages(BaseMatcher):
    """What the matchers share: both lists and the counts in the words of a mismatch."""

    promise: str

    def __init__(self, sent: Sequence[object]) -> None:
        self.sent = list(sent)

    def problem(self, read: list[object]) -> str | None:
        """The first divergence in words, or None when the promise was kept."""
        raise NotImplementedError

    def _matches(self, item: Sequence[object]) -> bool:
        return self.problem(list(item)) is None

    def describe_to(self, description: Description) -> None:
        description.append_text(f"{self.promise}: {_shown(self.sent)}")

    def describe_mismatch(self, item: Sequence[object], description: Description) -> None:
        read = list(item)
        description.append_text(
            f"{self.problem(read)}. Sent {len(self.sent)}, read {len(read)} "
            f"({len(set(read))} different): {_shown(read)}"
        )


class PreservesOrder(_OverMessages):
    """Every message read comes after all those sent before it; repeats and gaps are not this matcher's matter."""

    promise = "messages in the order they were sent"

    def problem(self, read: list[object]) -> str | None:
        ranks: dict[object, int] = {}
        for rank, message in enumerate(self.sent):
            ranks.setdefault(message, rank)
        first_reads = list(dict.fromkeys(message for message in read if message in ranks))
        for before, after in pairwise(first_reads):
            if ranks[after] < ranks[before]:
                return (
                    f"the order was not preserved: first divergence at position {read.index(after)}, where {after!r} "
                    f"was read after {before!r} although it was sent before it"
                )
        return None


class HasNoDuplicates(_OverMessages):
    """Nothing is read more often than it was sent."""

    promise = "each message once"

    def problem(self, read: list[object]) -> str | None:
        allowed = Counter(self.sent)
        seen: Counter[object] = Counter()
        for position, message in enumerate(read):
            seen[message] += 1
            if message in allowed and seen[message] > allowed[message]:
                extra = sum((Counter(read) - allowed)[each] for each in allowed)
                return (
                    f"{extra} duplicate(s): first divergence at position {position}, where {message!r} was read "
                    f"for the {_ordinal(seen[message])} time although it was sent {_times(allowed[message])}"
                )
        return None


class MissesNothing(_OverMessages):
    """Everything sent is read at least as often as it was sent."""

    promise = "all of the messages"

    def problem(self, read: list[object]) -> str | None:
        missing = Counter(self.sent) - Counter(read)
        if not missing:
            return None
        # Walk in the order of sending, so that the first one named is the first one lost.
        left = Counter(read)
        for position, message in enumerate(self.sent):
            left[message] -= 1
            if left[message] < 0:
                return (
                    f"{missing.total()} message(s) missing: first divergence at position {position}, where "
                    f"{message!r} was sent and not read"
                )
        raise AssertionError("a message is missing and none is: the counts above are wrong")


class HoldsExactly(_OverMessages):
    """The same messages, as often, in the same order, and nothing besides."""

    promise = "exactly the messages"

    def problem(self, read: list[object]) -> str | None:
        for position in range(max(len(read), len(self.sent))):
            expected = repr(self.sent[position]) if position < len(self.sent) else "nothing more"
            came = repr(read[position]) if position < len(read) else "nothing more"
            if expected != came:
                return f"first divergence at position {position}: expected {expected}, read {came}"
        return None


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def preserves_order_of(sent: Sequence[object]) -> PreservesOrder:
    """Match messages read in the order in which ``sent`` lists them."""
    return PreservesOrder(sent)


def has_no_duplicates_of(sent: Sequence[object]) -> HasNoDuplicates:
    """Match messages of which none was read more often than ``sent`` lists it."""
    return HasNoDuplicates(sent)


def misses_nothing_of(sent: Sequence[object]) -> MissesNothing:
    """Match messages that include everything in ``sent``."""
    return MissesNothing(sent)


def holds_exactly(sent: Sequence[object]) -> HoldsExactly:
    """Match exactly ``sent``, in order."""
    return HoldsExactly(sent)
