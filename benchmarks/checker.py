"""How long the checker takes, and how much memory, over one and ten million messages.

Run it with ``python -m benchmarks.checker``.

Each history has as many sends as reads: four publishers over twelve partitions, two committed readers, members of a
group that commits what it has processed, a quarter of the messages in transactions (whose markers leave gaps); in the
broken ones every million messages show each anomaly once (but ``vanished``, which a log has at its ends only), and just
that must be found. Each one is checked in a process of its own, so that its peak memory is its own. The bars: ten
million within 10 s and 1.5 GB, growth linear (at most 1.3 times as long for each message; fixed costs make it less).
``--engine spark`` measures Spark instead, without bars, and compares its verdicts with DuckDB's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

ROOT = Path(__file__).parent.parent
SECONDS, MEGABYTES, GROWTH = 10.0, 1500, 1.3
MILLION = 1_000_000

# One row for each message i, at its place in the log: blocks of 500 go to one partition after another, one marker after
# each block. m is its number in its million: of each million one message has one of the misfortunes below.
_MESSAGES = """
    SELECT i, m, CAST(i % 4 AS INTEGER) AS publisher, i // 4 AS sequence, 'benchmark' AS topic,
           CAST((place // 500) % 12 AS INTEGER) AS "partition",
           (place // 6000) * 501 + place % 500 AS "offset", (place // 6000) * 501 + 500 AS marker,
           CAST((place // 500) % 2 AS INTEGER) AS reader, place // 500 AS block, place,
           hash(i) AS digest, CASE WHEN i % 4 = 3 THEN i // 4000 END AS "transaction",
           TIMESTAMP '2026-01-01' + to_microseconds(i * 4) AS sent_at
    FROM (SELECT i, m, CASE m WHEN {reordered} THEN i + 4 WHEN {reordered} + 4 THEN i - 4 ELSE i END AS place
          FROM (SELECT i, {plant} * (i % 1000000) AS m FROM range({messages}) x(i)))
"""

# Which message of a million shows what; those of publisher 3 are in transactions. Without planting every m is 0.
_PLANTED = {
    "lost": 100_001,
    "aborted_read": 150_001,
    "corrupted": 200_001,
    "torn_transaction": 250_003,
    "duplicated": 300_001,
    "precommitted_read": 350_003,
    "reordered": 400_001,
    "commit_ahead": 450_001,
    "phantom": 500_001,
    "inconsistent_offset": 600_001,
    "wrong_offset": 700_497,  # the last of its publisher in its block, or it would be out of order as well
    "poll_skip": 800_001,
    "nonmonotonic_poll": 900_001,
}

# Each million has a reader of its own, from 2 on, for what takes another one to be seen. A reader sees its partitions'
# blocks one after the other; nth orders the rows of a block, and what is out of its place comes after all of them.
_TABLES = {
    "sends": """
        SELECT publisher, sequence, topic, "partition", CASE WHEN m <> {aborted_read} THEN "offset" END AS "offset",
               CASE WHEN m = {aborted_read} THEN 'rejected' ELSE 'acknowledged' END AS outcome, "transaction",
               digest, sent_at, sent_at + INTERVAL 3 MILLISECOND AS settled_at
        FROM messages
    """,
    "reads": """
        SELECT reader, block // 2 AS poll, topic, "partition", "offset", publisher, sequence, digest,
               true AS committed_only, read_at,
               row_number() OVER (PARTITION BY reader ORDER BY block, nth) - 1 AS position
        FROM (
            SELECT reader, block, place % 500 AS nth, topic, "partition", "offset", publisher, sequence,
                   CASE WHEN m = {corrupted} THEN digest + 1 ELSE digest END AS digest,
                   CASE WHEN m = {precommitted_read} THEN sent_at ELSE sent_at + INTERVAL 1 HOUR END AS read_at
            FROM messages WHERE m NOT IN ({lost}, {torn_transaction}, {wrong_offset}, {poll_skip})
            UNION ALL
            SELECT reader, block, 500, topic, "partition",
                   CASE WHEN m = {nonmonotonic_poll} THEN "offset" ELSE marker END,
                   CASE WHEN m = {phantom} THEN 9 ELSE publisher END, sequence, digest, sent_at + INTERVAL 1 HOUR
            FROM messages WHERE m IN ({duplicated}, {phantom}, {wrong_offset}, {nonmonotonic_poll})
            UNION ALL
            SELECT 2 + i // 1000000, block, 0, topic, "partition", "offset", publisher,
                   CASE WHEN m = {poll_skip} THEN sequence ELSE sequence + 1 END,
                   CASE WHEN m = {poll_skip} THEN digest ELSE hash(i + 4) END, sent_at + INTERVAL 1 HOUR
            FROM messages WHERE m IN ({poll_skip}, {inconsistent_offset})
        )
    """,
    "transactions": """
        SELECT DISTINCT publisher, "transaction", 'committed' AS outcome FROM messages WHERE "transaction" IS NOT NULL
    """,
    "ends": """
        SELECT reader, true AS committed_only, topic, "partition", max(marker) + 1 AS end_offset, true AS complete,
               0::BIGINT AS from_offset, TIMESTAMP '2026-01-01' + INTERVAL 30 MINUTE AS asked_at
        FROM messages GROUP BY ALL
    """,
    "assignments": """
        SELECT DISTINCT reader, 'group' AS group_id, topic, "partition", 'assigned' AS what, 0::BIGINT AS "offset",
               0::BIGINT AS position, TIMESTAMP '2026-01-01' AS at
        FROM messages
    """,
    "processed": """
        SELECT 'group' AS group_id, reader, topic, "partition", "offset",
               sent_at + CASE WHEN m = {commit_ahead} THEN INTERVAL 2 HOUR ELSE INTERVAL 1 HOUR END AS processed_at
        FROM messages
        UNION ALL
        SELECT 'group', reader, topic, "partition", marker, sent_at + INTERVAL 1 HOUR
        FROM messages WHERE m IN ({duplicated}, {phantom}, {wrong_offset})
    """,
    "commits": """
        SELECT 'group' AS group_id, reader, topic, "partition", max(marker) AS "offset",
               max(sent_at) + INTERVAL 61 MINUTE AS committed_at
        FROM messages GROUP BY reader, topic, "partition", block
    """,
}


def build(folder: Path, messages: int, plant: bool) -> None:
    """Writes a history of so many sends and reads; with ``plant``, every million of them shows each anomaly once."""
    folder.mkdir(parents=True)
    with duckdb.connect() as database:
        database.execute(f"CREATE VIEW messages AS {_MESSAGES.format(messages=messages, plant=int(plant), **_PLANTED)}")
        for name, query in _TABLES.items():
            path = folder / f"{name}.parquet"
            database.execute(f"COPY ({query.format(**_PLANTED)}) TO '{path}' (FORMAT parquet)")


def measure(folder: Path, engine: str = "duckdb") -> dict[str, object]:
    """Checks the history in a process of its own: seconds, peak memory in MB, and what was found."""
    started = time.perf_counter()
    figures = json.loads(_apart("--check", str(folder), "--engine", engine))
    return {**figures, "with start-up": round(time.perf_counter() - started, 2)}


def _apart(*arguments: str) -> str:
    """What this module prints when it is run with these arguments, in a process of its own: whoever builds a history
    takes gigabytes, which would count as the peak of every process that it starts."""
    words = [sys.executable, "-m", "benchmarks.checker", *arguments]
    return subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=600, check=True).stdout


def _check(folder: Path, engine: str) -> None:
    from integrity.anomalies import check, spark

    started = time.perf_counter()
    verdict = spark.check(folder) if engine == "spark" else check(folder)
    figures = {
        "seconds": round(time.perf_counter() - started, 2),
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "found": {name: finding.count for name, finding in verdict.findings.items()},
        "verdict": hashlib.sha256(json.dumps(verdict.as_json()).encode()).hexdigest(),
    }
    print(json.dumps(figures))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table, and as the last line the figures as JSON; exit status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checker", description="Measure the checker.")
    parser.add_argument("--messages", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb")
    parser.add_argument("--check", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plant", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.build:
        build(options.build, *options.messages, options.plant)
        return 0
    if options.check:
        _check(options.check, options.engine)
        return 0
    figures = []
    print(f"{'messages':>12} {'history':>8} {'seconds':>8} {'M/s':>6} {'peak MB':>8}  found")
    with tempfile.TemporaryDirectory(prefix="integrity-benchmark-") as folder:
        for messages in options.messages:
            for plant in (False, True):
                history = Path(folder) / f"{messages}-{plant}"
                _apart("--build", str(history), "--messages", str(messages), *["--plant"] * plant)
                which = "broken" if plant else "sound"
                row = {"messages": messages, "history": which, **measure(history, options.engine)}
                if options.engine == "spark" and row["verdict"] != measure(history)["verdict"]:
                    print(f"the verdicts on {history.name} differ")
                    return 1
                figures.append(row)
                planted = dict.fromkeys(_PLANTED, messages // MILLION) if plant else {}
                if row["found"] != planted:
                    print(f"in {history.name} {planted} was to be found, and {row['found']} was")
                    return 1
                rate = messages / row["seconds"] / 1e6
                print(
                    f"{messages:>12,} {row['history']:>8} {row['seconds']:>8} {rate:>6.2f} {row['peak MB']:>8}  "
                    f"{row['found']}",
                    flush=True,
                )
    if options.engine == "spark":
        print("each verdict is the same as DuckDB's, word for word")
        return 0
    missed = [row for row in figures if row["seconds"] > SECONDS or row["peak MB"] > MEGABYTES]
    small, large = figures[0], figures[-2]
    growth = (large["seconds"] / large["messages"]) / (small["seconds"] / small["messages"])
    print(f"time for each message, {large['messages']:,} against {small['messages']:,}: {growth:.2f} (bar {GROWTH})")
    print(
        f"bars: {SECONDS:g} s, {MEGABYTES} MB; load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(json.dumps({"runs": figures, "growth": round(growth, 2)}))
    return 1 if missed or growth > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
