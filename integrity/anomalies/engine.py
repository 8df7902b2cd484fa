"""Runs the checks over a history's Parquet files with DuckDB, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from integrity.anomalies.catalogue import CHECKS, STEPS, Check
from integrity.anomalies.verdict import Event, Finding, Unread, Verdict
from integrity.history.database import as_it_is, connect, files_of, is_small, large, parquet
from integrity.history.schema import SEND_OUTCOMES, TABLES, TRANSACTION_OUTCOMES, Table

EXAMPLES = 20
"""How many examples of each anomaly a verdict holds at most."""

MEMORY = "900MB"
"""What DuckDB may keep in memory before it spills to disk. The process itself takes some 100 MB on top."""

_TYPES: dict[pa.DataType, str] = {
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.uint64(): "UBIGINT",
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us"): "TIMESTAMP",
}

COVERS = """
    (CASE WHEN at_offset IS NULL THEN coalesce(from_offset, 0) = 0 ELSE coalesce(from_offset <= at_offset, true) END)
    AND (coalesce(asked_at >= settled_at, true) OR coalesce(end_offset > at_offset, false))
"""
"""Whether a reading tells of a message that was acknowledged at ``settled_at``, at ``at_offset`` (null: nobody knows):
it began there or below, and asked for the end later, or was told an end behind it."""

# The functions of the queries; each engine makes them in its own words (see integrity.anomalies.spark).
_FUNCTIONS = (
    "CREATE TEMP MACRO fingerprint(a, b, c, d, e) AS hash(a, b, c, d, e)",
    f"CREATE TEMP MACRO covers(from_offset, end_offset, asked_at, at_offset, settled_at) AS {COVERS}",
)

# A mistake in a query is a bug and stays one. Whatever else the database raises comes of the files (damaged pages,
# columns of another type) or of the machine (no memory, no disk): then there is no verdict.
_MISTAKES = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.SyntaxException)

EVENTS = """
    SELECT e.at, e.subject, e.what, e.detail FROM events e
    WHERE e.at IS NOT NULL
    ORDER BY e.at, e.subject NULLS LAST, e.what NULLS LAST, e.detail NULLS LAST
"""

UNREAD = """
    SELECT p.topic, p.partition, count(*) AS open
    FROM (
        SELECT s.topic, s.partition, s.publisher, s.sequence,
               bool_or(n.unfinished) AS unfinished,
               bool_or(e.reader IS NOT NULL
                       AND covers(e.from_offset, e.end_offset, e.asked_at, s.offset, s.settled_at)) AS told
        FROM sends s
        JOIN partitions n ON n.topic = s.topic AND n.partition IS NOT DISTINCT FROM s.partition AND NOT n.judged
        LEFT JOIN readings e ON e.topic = s.topic AND e.partition = s.partition
        WHERE s.outcome = 'acknowledged'
        GROUP BY s.topic, s.partition, s.publisher, s.sequence
    ) p
    WHERE (p.unfinished OR NOT p.told) AND EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends')
    GROUP BY p.topic, p.partition
    ORDER BY p.topic, p.partition NULLS LAST
"""


class HistoryUnreadable(Exception):
    """The history cannot be judged: no such directory, a damaged file, a missing column. Its text is one line."""


def check(
    *directories: Path | str,
    checks: Mapping[str, Check] | None = None,
    memory: str = MEMORY,
    threads: int | None = None,
    examples: int = EXAMPLES,
) -> Verdict:
    """The verdict on the history in ``directories``.

    Several directories are the parts of one history (one run's publishers and readers on several machines) and are
    judged together; their publishers and readers must have different numbers. ``checks`` defaults to all there are,
    ``examples`` is the greatest number of examples for each anomaly. ``memory`` is DuckDB's limit ('900MB', '2GB') and
    ``threads`` how many it uses (one for each core, four at most): for a history that is not small
    (integrity.history.database). Raises :class:`HistoryUnreadable`.
    """
    if not directories:
        raise HistoryUnreadable("no history directory was named")
    folders = [Path(directory) for directory in directories]
    for folder in folders:
        if not folder.is_dir():
            raise HistoryUnreadable(f"{folder}: no such directory")
    refuse_twice([str(folder.resolve()) for folder in folders])
    by_folder = {n: {str(f): files_of(f, n) for f in folders} for n, t in TABLES.items()}
    files = {name: [path for paths in found.values() for path in paths] for name, found in by_folder.items()}
    # A small one is read into memory once: to open the files for each query costs more.
    small = is_small(path for paths in files.values() for path in paths)
    with connect() if small else large(memory, threads) as database:
        try:
            for function in _FUNCTIONS:
                database.execute(function)
            absent = _load(database, files, "TABLE" if small else "VIEW")
            refuse_overlaps(by_folder, lambda files, column: _ids(database, files, column))
            check_outcomes(lambda table: [row[0] for row in _rows(database, f"SELECT DISTINCT outcome FROM {table}")])
            return _judge(database, CHECKS if checks is None else checks, examples, absent)
        except _MISTAKES:
            raise
        except duckdb.Error as error:
            raise HistoryUnreadable(f"{', '.join(map(str, folders))}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _load(database: duckdb.DuckDBPyConnection, files: Mapping[str, list[str]], kind: str) -> set[str]:
    """Makes a view (or, by ``kind``, a table) of every table's files, and the table ``given`` of those that have any;
    returns those that have none."""
    columns = _columns(database, [path for paths in files.values() for path in paths])
    given = [name for name in TABLES if files[name]]
    database.execute("CREATE TEMP TABLE given AS SELECT unnest(CAST(? AS VARCHAR[])) AS name", [given])
    for name, table in TABLES.items():
        database.execute(f"CREATE TEMP {kind} {name} AS {_selection(table, files[name], columns)}")
    return set(TABLES) - set(given)


def _columns(database: duckdb.DuckDBPyConnection, files: list[str]) -> dict[str, set[str]]:
    """The column names of every Parquet file."""
    columns: dict[str, set[str]] = {path: set() for path in files}
    if files:
        names = [as_it_is(path) for path in files]
        rows = database.execute("SELECT file_name, name FROM parquet_schema(?)", [names]).fetchall()
        for path, column in rows:
            columns[path].add(column)
    return columns


def _selection(table: Table, files: list[str], columns: Mapping[str, set[str]]) -> str:
    """The query for a table: its files' rows with the schema's columns and types, or no rows when it has no file."""
    require_columns(table, {path: columns[path] for path in files})
    absent = {c.name for c in table.columns if not files or not any(c.name in columns[path] for path in files)}
    chosen = ", ".join(
        f"CAST({'NULL' if c.name in absent else _quoted(c.name)} AS {_TYPES[c.type]}) AS {_quoted(c.name)}"
        for c in table.columns
    )
    if not files:
        return f"SELECT {chosen} WHERE false"
    return f"SELECT {chosen} FROM {parquet(files)}"


def _quoted(name: str) -> str:
    return f'"{name}"'


def require_columns(table: Table, columns: Mapping[str, set[str]]) -> None:
    """Raise HistoryUnreadable when a file, by its path, lacks a column that the table must have."""
    for path, names in columns.items():
        for column in table.columns:
            if column.name not in names and not column.optional:
                raise HistoryUnreadable(f"{path}: table {table.name} has no column {column.name}")


def refuse_twice(folders: Sequence[str]) -> None:
    """Raise HistoryUnreadable when a folder is named twice: all that is in it would seem to be there twice."""
    for folder in folders:
        if folders.count(folder) > 1:
            raise HistoryUnreadable(f"{folder} is named twice")


def refuse_overlaps(
    files: Mapping[str, Mapping[str, Sequence[str]]], ids: Callable[[Sequence[str], str], set[int]]
) -> None:
    """Raise HistoryUnreadable when two folders have the same publisher or reader: two runs are not one history.

    files: each table's, by folder. ids: the different values of a column of some files.
    """
    if len(next(iter(files.values()))) < 2:
        return
    owners: dict[str, dict[int, str]] = {"publisher": {}, "reader": {}}
    for column, tables in (("publisher", ("sends", "transactions")), ("reader", ("reads", "ends", "assignments"))):
        for folder in files["sends"]:
            paths = [files[table][folder] for table in tables if files[table][folder]]
            for number in set().union(*(ids(each, column) for each in paths)):
                other = owners[column].setdefault(number, folder)
                if other != folder:
                    raise HistoryUnreadable(
                        f"{other} and {folder} both have a {column} {number}: they are no parts of one history "
                        "(a run on several machines gives each a shard: -D shard=1/2, -D shard=2/2)"
                    )


def _ids(database: duckdb.DuckDBPyConnection, files: Sequence[str], column: str) -> set[int]:
    sql = f"SELECT DISTINCT {column} FROM {parquet(files)} WHERE {column} IS NOT NULL"
    return {row[0] for row in _rows(database, sql)}


def _rows(database: duckdb.DuckDBPyConnection, sql: str) -> list[Any]:
    return database.execute(sql).fetchall()


def check_outcomes(outcomes: Callable[[str], Iterable[str]]) -> None:
    """An outcome nobody knows would silently excuse its row from every check. outcomes: those of a table's rows."""
    for table, allowed in (("sends", SEND_OUTCOMES), ("transactions", TRANSACTION_OUTCOMES)):
        for outcome in outcomes(table):
            if outcome not in allowed:
                raise HistoryUnreadable(f"table {table} has the outcome {outcome!r}, not one of {', '.join(allowed)}")


def _judge(
    database: duckdb.DuckDBPyConnection, checks: Mapping[str, Check], examples: int, absent: set[str]
) -> Verdict:
    empty = set(absent)
    for step in STEPS:
        if empty.isdisjoint(step.needs) and _number(database, f"CREATE TEMP TABLE {step.name} AS {step.sql}"):
            continue
        empty.add(step.name)
    findings = {name: _find(database, one, examples) for name, one in checks.items() if empty.isdisjoint(one.needs)}
    return Verdict(
        acknowledged=_number(database, "SELECT count(*) FROM sends s WHERE s.outcome = 'acknowledged'"),
        read=_number(database, "SELECT count(*) FROM reads"),
        findings={name: finding for name, finding in findings.items() if finding.count},
        unread=tuple(Unread(*row) for row in database.execute(UNREAD).fetchall()),
        events=tuple(Event(*row) for row in database.execute(EVENTS).fetchall()),
    )


def _number(database: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The one number that the query results in: DuckDB answers CREATE TABLE ... AS with the number of rows."""
    row = database.execute(sql).fetchone()
    assert row is not None, "one number is one row"
    return int(row[0])


def _find(database: duckdb.DuckDBPyConnection, check: Check, examples: int) -> Finding:
    # The whole result stays in the database (where it can spill), however much is broken; only examples leave it.
    count = _number(
        database,
        f"CREATE OR REPLACE TEMP TABLE found AS SELECT *, row_number() OVER () AS nth FROM (\n{check.sql}\n)",
    )
    rows: list[dict[str, Any]] = []
    if count:
        result = database.execute("SELECT * EXCLUDE (nth) FROM found ORDER BY nth LIMIT ?", [examples])
        names = [column[0] for column in result.description]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return Finding(check, count, tuple(rows))
