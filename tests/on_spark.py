"""Asks Spark for every verdict that the tests ask DuckDB for: ``pytest --spark``.

Nothing is registered: whatever a test hands to integrity.anomalies.check, or has checked by the matchers or by the
command, goes to both engines, and the test fails where they differ. So a new history is compared as soon as a test has
one. Of all tests only those remain whose module writes histories by hand or at random (it uses tests.histories).
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

from integrity.anomalies import CHECKS, Check, HistoryUnreadable, Verdict, engine, spark, spark_session

#: For histories of a few rows: what makes Spark quick with much data makes it slow with little.
SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.default.parallelism": "1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}

#: Random histories for each of the oracle's tests: Spark takes five seconds for one.
EXAMPLES = 3


class Differs(Exception):
    """The engines do not agree. Not an AssertionError, which a test of the matchers may be waiting for."""


def compare(theirs: Callable[[], Verdict], ours: Callable[[], Verdict]) -> Verdict:
    """What ``theirs`` (DuckDB's) returns or raises, once ``ours`` (Spark's) has done the same.

    An error must be one line, and the same one; where it is the engine's own about a damaged file, each has its words.
    """
    expected, told = _outcome(theirs)
    got, said = _outcome(ours)
    if (expected is None) != (got is None):
        raise Differs(f"DuckDB: {told or expected}; Spark: {said or got}")
    if expected is not None and got is not None:
        if (got.as_json(), got.words()) != (expected.as_json(), expected.words()):
            raise Differs(f"DuckDB:\n{expected.words()}\n{expected.as_json()}\nSpark:\n{got.words()}\n{got.as_json()}")
        return expected
    assert told is not None
    assert said is not None
    if "\n" in str(said) or (told.__cause__ is None and str(said) != str(told)):
        raise Differs(f"DuckDB: {told}; Spark: {said}")
    raise told


def _outcome(verdict: Callable[[], Verdict]) -> tuple[Verdict | None, HistoryUnreadable | None]:
    try:
        return verdict(), None
    except HistoryUnreadable as error:
        return None, error


class BothEngines:
    """A plugin of pytest. session: Spark's, to be set before the first test. compared: how many histories were, each
    once however often its verdict was asked for."""

    def __init__(self) -> None:
        self.compared = 0
        self._seen: set[str] = set()
        self.session: Any = None
        self._duckdb = engine.check

    def install(self) -> None:
        """Put both in DuckDB's place, for the modules that are there and those to come (not in ``engine`` itself)."""
        settings.register_profile("spark", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("spark")
        os.environ.setdefault("ORACLE_EXAMPLES", str(EXAMPLES))
        both = self._both()
        for module in list(sys.modules.values()):
            if module is not engine and getattr(module, "check", None) is self._duckdb:
                module.check = both

    def _both(self) -> Callable[..., Verdict]:
        @functools.wraps(self._duckdb)
        def check(
            *directories: Path | str,
            checks: Mapping[str, Check] | None = None,
            examples: int = engine.EXAMPLES,
            **duckdbs: Any,
        ) -> Verdict:
            def theirs() -> Verdict:
                return self._duckdb(*directories, checks=checks, examples=examples, **duckdbs)

            content = _content(directories, CHECKS if checks is None else checks, examples)
            if content in self._seen:
                return theirs()
            self._seen.add(content)
            self.compared += 1
            return compare(
                theirs,
                lambda: spark.check(*directories, checks=checks, examples=examples, spark=self.session),
            )

        return check

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = [item for item in items if _writes_histories(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.compared:
            terminalreporter.write_line(f"{self.compared} histories were judged by DuckDB and by Spark")


def _writes_histories(item: pytest.Item) -> bool:
    names = vars(item.getparent(pytest.Module).obj).values()
    return any(getattr(name, "__module__", None) == "tests.histories" for name in names)


def _content(directories: tuple[Path | str, ...], checks: Mapping[str, Check], examples: int) -> str:
    """Tells two calls apart by all that a verdict, or the reason for none, comes of."""
    told = hashlib.sha256(repr((len(directories), examples, sorted(checks.items()))).encode())
    for directory in directories:
        files = sorted(path for path in Path(directory).rglob("*") if path.is_file())
        told.update(repr((Path(directory).exists(), ".." in str(directory))).encode())
        for path in files:
            told.update(repr(str(path.relative_to(directory))).encode() + path.read_bytes())
    return told.hexdigest()


def start(warehouse: Path) -> Any:
    """A local Spark for small histories. Raises Unavailable, in one line."""
    return spark_session.session("local[2]", **SMALL, **{"spark.sql.warehouse.dir": str(warehouse)})
