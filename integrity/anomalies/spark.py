"""Runs the same checks over the same files with Apache Spark, for histories beyond one machine's reach.

The ``.sql`` files are run as they are. They keep to what DuckDB and Spark have in common; what remains is here: the
types, and the two functions, of which ``fingerprint``, a hash of five columns, has another name in each engine. Nothing
of a history passes through Python but the verdict's examples.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from integrity.anomalies import engine
from integrity.anomalies.catalogue import CHECKS, STEPS, Check
from integrity.anomalies.engine import EXAMPLES, HistoryUnreadable
from integrity.anomalies.spark_session import LOCAL, first_line, session
from integrity.anomalies.verdict import Event, Finding, Unread, Verdict
from integrity.history import database
from integrity.history.schema import TABLES, Table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TYPES: dict[pa.DataType, str] = {
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.uint64(): "DECIMAL(20, 0)",
    pa.string(): "STRING",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us"): "TIMESTAMP_NTZ",
}

#: The classes of errors by which a query cannot be resolved for what is in the files: a column of another type, which
#: cannot be cast, or of two types in two parts.
_OF_FILES = ("PATH_NOT_FOUND", "DATATYPE_MISMATCH", "CANNOT_MERGE")

#: Seconds for Spark's own process to be gone once it answers no more.
_END_SECONDS = 5.0

# 40 bits of 64: sums of sixteen million of them have their place in a BIGINT, which DECIMAL would take long to add up.
_FUNCTIONS = (
    """
    CREATE OR REPLACE TEMPORARY FUNCTION fingerprint(a BIGINT, b STRING, c INT, d BIGINT, e DECIMAL(20, 0))
    RETURNS BIGINT RETURN shiftright(xxhash64(a, b, c, d, e), 24)
    """,
    f"""
    CREATE OR REPLACE TEMPORARY FUNCTION covers(from_offset BIGINT, end_offset BIGINT, asked_at TIMESTAMP_NTZ,
                                                at_offset BIGINT, settled_at TIMESTAMP_NTZ)
    RETURNS BOOLEAN RETURN {engine.COVERS}
    """,
)


def check(
    *directories: Path | str,
    checks: Mapping[str, Check] | None = None,
    examples: int = EXAMPLES,
    spark: SparkSession | None = None,
    master: str = LOCAL,
) -> Verdict:
    """The verdict on the history in ``directories``, as integrity.anomalies.check gives it.

    A directory may be a URI that Spark's workers can read (``s3a://``, ``hdfs://``); with a cluster's ``master``, a
    path must be the same folder on every machine. spark: a session that is there already. Raises HistoryUnreadable and
    Unavailable.
    """
    if not directories:
        raise HistoryUnreadable("no history directory was named")
    places = [_place(directory) for directory in directories]
    engine.refuse_twice([place if _is_remote(place) else str(Path(place).resolve()) for place in places])
    with ExitStack() as stack:
        using = spark
        if using is None:
            # Spark makes this folder at once, though nothing is put there; by default where the caller happens to be.
            warehouse = stack.enter_context(tempfile.TemporaryDirectory(prefix="integrity-check-"))
            using = session(master, **{"spark.sql.warehouse.dir": warehouse})
            stack.callback(_stop, using)
        try:
            return _History(using, places).judge(CHECKS if checks is None else checks, examples)
        except _spark_errors() as error:
            if _is_mistake(error):
                raise
            raise HistoryUnreadable(f"{', '.join(places)}: {first_line(error)}") from error
        except _java_errors() as error:
            if not _has_ended(using):
                raise
            raise HistoryUnreadable(
                f"{', '.join(places)}: Spark's Java process has ended, by itself or for want of memory"
            ) from error


class _History:
    """A history as Spark's temporary views, named as its tables are."""

    def __init__(self, spark: SparkSession, directories: Sequence[str]) -> None:
        self._spark = spark
        #: Tables and steps without a row.
        self._empty: set[str] = set()
        self._files = {
            name: {directory: files_of(spark, table, directory) for directory in directories}
            for name, table in TABLES.items()
        }

    def judge(self, checks: Mapping[str, Check], examples: int) -> Verdict:
        """Make the views and the steps, run the checks."""
        self._load()
        engine.refuse_overlaps(self._files, self._ids)
        engine.check_outcomes(lambda table: self._column(f"SELECT DISTINCT outcome FROM {table}"))
        for step in STEPS:
            if self._empty.isdisjoint(step.needs):
                self._keep(step.name, step.sql)
            else:
                self._empty.add(step.name)
        runnable = {name: each for name, each in checks.items() if self._empty.isdisjoint(each.needs)}
        findings = {name: self._find(each, examples) for name, each in runnable.items()}
        return Verdict(
            acknowledged=self._count("sends s WHERE s.outcome = 'acknowledged'"),
            read=self._count("reads"),
            findings={name: finding for name, finding in findings.items() if finding.count},
            unread=tuple(Unread(*row) for row in self._rows(engine.UNREAD)),
            events=tuple(Event(*row) for row in self._rows(engine.EVENTS)),
        )

    def _load(self) -> None:
        for function in _FUNCTIONS:
            self._spark.sql(function)
        given = []
        for name, table in TABLES.items():
            files = [path for paths in self._files[name].values() for path in paths]
            self._view(table, files)
            if files:
                given.append(name)
            else:
                self._empty.add(name)
        values = ", ".join(f"('{name}')" for name in given)
        rows = f"SELECT name FROM VALUES {values} AS t (name)" if given else "SELECT '' AS name WHERE false"
        self._spark.sql(rows).createOrReplaceTempView("given")

    def _view(self, table: Table, files: list[str]) -> None:
        """The table's rows with the schema's columns and types; none when it has no file."""
        there = {path: column_names(self._spark, path) for path in files}
        engine.require_columns(table, {path.removeprefix(_HERE): names for path, names in there.items()})
        known = set().union(*there.values())
        chosen = [
            f"CAST({f'`{c.name}`' if c.name in known else 'NULL'} AS {_TYPES[c.type]}) AS `{c.name}`"
            for c in table.columns
        ]
        if files:
            rows = self._spark.read.option("mergeSchema", "true").parquet(*as_they_are(files)).selectExpr(*chosen)
        else:
            rows = self._spark.sql(f"SELECT {', '.join(chosen)} WHERE false")
        rows.createOrReplaceTempView(table.name)

    def _keep(self, name: str, sql: str) -> None:
        """Run a step once and keep its rows with the workers, in memory or on their disks.

        A checkpoint and not a cache: steps build on steps, and a cache's plan would be planned anew with each of them.
        """
        rows = self._spark.sql(sql).localCheckpoint()
        # As columns of their own: a checkpoint's count as those of the tables they came from, which confuses joins.
        rows = rows.toDF(*rows.columns)
        if rows.isEmpty():
            self._empty.add(name)
            # What is known to have no row makes the queries that use it easy.
            rows = self._spark.createDataFrame([], rows.schema)
        rows.createOrReplaceTempView(name)

    def _find(self, check: Check, examples: int) -> Finding:
        found = self._spark.sql(check.sql)
        count = found.count()
        rows = [row.asDict() for row in found.limit(examples).collect()] if count else []
        return Finding(check, count, tuple(rows))

    def _ids(self, files: Sequence[str], column: str) -> set[int]:
        rows = self._spark.read.parquet(*as_they_are(files)).select(column).distinct().collect()
        return {row[0] for row in rows} - {None}

    def _count(self, what: str) -> int:
        return int(self._rows(f"SELECT count(*) FROM {what}")[0][0])

    def _column(self, sql: str) -> list[Any]:
        return [row[0] for row in self._rows(sql)]

    def _rows(self, sql: str) -> list[Any]:
        return self._spark.sql(sql).collect()


# -- files ----------------------------------------------------------------------------------------------
_HERE = "file://"

#: What Hadoop's file systems take for a part of a pattern.
_PATTERN = re.compile(r"[*?\[\]{}\\]")


def _is_remote(place: str) -> bool:
    return "://" in place


def _place(directory: Path | str) -> str:
    """The directory as errors name it; a path is written as the other engine writes it."""
    return str(directory) if _is_remote(str(directory)) else str(Path(directory))


def files_of(spark: SparkSession, table: Table, directory: str) -> list[str]:
    """The Parquet files of a table in a directory, which may be a URI of a file system that Spark knows."""
    if not _is_remote(directory):
        if not Path(directory).is_dir():
            raise HistoryUnreadable(f"{directory}: no such directory")
        # Spark would take a bare path to be on its default file system. What it takes is no URI: nothing is escaped.
        return [f"{_HERE}{Path(path).resolve()}" for path in database.files_of(Path(directory), table.name)]
    java = spark.sparkContext._jvm.org.apache.hadoop.fs.Path
    root = java(directory)
    system = root.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if not system.exists(root):
        raise HistoryUnreadable(f"{directory}: no such directory")
    single, folder = java(root, f"{table.name}.parquet"), java(root, table.name)
    found = [single.toString()] if system.exists(single) and system.getFileStatus(single).isFile() else []
    if system.exists(folder):
        statuses = [status.getPath() for status in system.listStatus(folder)]
        parts = [p for p in statuses if p.getName().endswith(".parquet") and not p.getName().startswith(".")]
        found += sorted(path.toString() for path in parts)
    return found


def as_they_are(files: Sequence[str]) -> list[str]:
    """The files' names as Spark takes them for themselves, and not for patterns."""
    return [_PATTERN.sub(r"\\\g<0>", path) for path in files]


def column_names(spark: SparkSession, path: str) -> set[str]:
    """The names of a Parquet file's columns."""
    if not path.startswith(_HERE):
        return set(spark.read.parquet(*as_they_are([path])).columns)
    local = path.removeprefix(_HERE)
    try:
        return set(pq.read_schema(local).names)
    except (OSError, pa.ArrowException) as error:
        raise HistoryUnreadable(f"{local}: {first_line(error)}") from error


# -- errors ---------------------------------------------------------------------------------------------
def _spark_errors() -> tuple[type[Exception], ...]:
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    return (PySparkException, Py4JJavaError)


def _java_errors() -> tuple[type[Exception], ...]:
    """What py4j raises when Spark's own process has ended, and for some mistakes as well."""
    from py4j.protocol import Py4JError

    return (Py4JError, ConnectionError)


def _has_ended(spark: SparkSession) -> bool:
    """Whether Spark's own process is no longer there; it may be just about to go."""
    try:
        spark.sparkContext._gateway.proc.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(spark: SparkSession) -> None:
    try:
        spark.stop()
    except _java_errors():
        if not _has_ended(spark):
            raise


def _is_mistake(error: Exception) -> bool:
    """A query that cannot be parsed or resolved is a bug and stays one, as with DuckDB, unless the files make it so."""
    from pyspark.errors import AnalysisException, ParseException

    return isinstance(error, AnalysisException | ParseException) and not any(each in str(error) for each in _OF_FILES)
