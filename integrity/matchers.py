"""PyHamcrest matchers over a history: ``is_(intact())``, ``has_no("lost")``, ``shows("lost")``, ``shows_only("lost")``.

The matched value is a :class:`~integrity.anomalies.Verdict`, or a history's directory, which is then checked. A
mismatch is told in the verdict's own words, one sentence first, control characters taken out (they would make a JUnit
file ill-formed).
"""

from __future__ import annotations

from pathlib import Path

from hamcrest.core.base_matcher import BaseMatcher
from hamcrest.core.description import Description

from integrity.anomalies import CHECKS, Verdict, check

History = Verdict | Path | str


def _verdict(history: History) -> Verdict:
    """The verdict itself, or that on a directory. Raises HistoryUnreadable, and TypeError for anything else."""
    if isinstance(history, Verdict):
        return history
    if isinstance(history, (Path, str)):
        return check(history)
    raise TypeError(f"neither a verdict nor a history's directory: {history!r}")


def _known(name: str) -> str:
    if name not in CHECKS:
        raise ValueError(f"no anomaly is called {name!r}; there are {', '.join(CHECKS)}")
    return name


def _printable(words: str) -> str:
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"
        for character in words
    )


class _OverVerdict(BaseMatcher[History]):
    """What the matchers here share: the judgement of a verdict, and the words when it fails.

    One matcher is used for one value, as ``assert_that`` does, which first matches and then asks for the mismatch: the
    verdict is kept in between, so that a directory is checked once.
    """

    def __init__(self) -> None:
        self._kept: tuple[History, Verdict] | None = None

    def _of(self, item: History) -> Verdict:
        if self._kept is None or self._kept[0] is not item:
            self._kept = (item, _verdict(item))
        return self._kept[1]

    def _matches(self, item: History) -> bool:
        self._kept = None
        return self._holds(self._of(item))

    def describe_mismatch(self, item: History, mismatch_description: Description) -> None:
        mismatch_description.append_text(_printable(self._mismatch(self._of(item))))

    def _holds(self, verdict: Verdict) -> bool:
        raise NotImplementedError

    def _mismatch(self, verdict: Verdict) -> str:
        # One sentence first, which is all that a table or a console shows; a blank line ends it.
        return verdict.words() if verdict.intact else f"{verdict.sentence()}\n\n{verdict.words()}"


class _Intact(_OverVerdict):
    def describe_to(self, description: Description) -> None:
        description.append_text("an intact history")

    def _holds(self, verdict: Verdict) -> bool:
        return verdict.intact


class _HasNo(_OverVerdict):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = _known(name)

    def describe_to(self, description: Description) -> None:
        description.append_text(f"a history with nothing {self._name}")

    def _holds(self, verdict: Verdict) -> bool:
        return not verdict.count(self._name) and not verdict.reasons

    def _mismatch(self, verdict: Verdict) -> str:
        words = [verdict.words_of(self._name)] if verdict.count(self._name) else []
        return "\n".join([*words, *verdict.reasons])


class _Shows(_OverVerdict):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = _known(name)

    def describe_to(self, description: Description) -> None:
        description.append_text(f"a history that shows something {self._name}")

    def _holds(self, verdict: Verdict) -> bool:
        return verdict.count(self._name) > 0


class _ShowsOnly(_OverVerdict):
    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = {_known(name) for name in names}

    def describe_to(self, description: Description) -> None:
        names = f"exactly these anomalies: {', '.join(sorted(self._names))}" if self._names else "no anomaly"
        description.append_text(f"a history that shows {names}")

    def _holds(self, verdict: Verdict) -> bool:
        return set(verdict.findings) == self._names


def intact() -> BaseMatcher[History]:
    """Matches a history without any anomaly in which something was acknowledged, read, and read to the end."""
    return _Intact()


def has_no(name: str) -> BaseMatcher[History]:
    """Matches a history without the anomaly ``name`` (a name of ``CHECKS``, otherwise ValueError).

    A history in which it could not have been found, because nothing was acknowledged or read, does not match either.
    """
    return _HasNo(name)


def shows(name: str) -> BaseMatcher[History]:
    """Matches a history in which the anomaly ``name`` was found, whatever else was: what Kafka does not promise."""
    return _Shows(name)


def shows_only(*names: str) -> BaseMatcher[History]:
    """Matches a history in which each of ``names`` was found and no other anomaly; without names, no anomaly at all."""
    return _ShowsOnly(names)
