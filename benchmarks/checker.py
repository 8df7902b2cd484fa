"""How long the checker takes, and how much memory, over one and ten million messages.

Run it with ``python -m benchmarks.checker``.

Each history has as many sends as reads: four publishers over twelve partitions, two committed readers, a quarter of the
messages in transactions (whose markers leave gaps), and some of everything there is to find. Each one is checked in a
process of its own, so that its peak memory is its own. The bars: ten million within 10 s and 1.5 GB, growth linear (at
most 1.3 times as long for each message; fixed costs make it less). ``--engine spark`` measures Spark instead, without
bars, and compares its verdicts with DuckDB's.
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

# One row for each message i: blocks of 500 go to one partition after another, one marker after each block.
_MESSAGES = """
    SELECT i, CAST(i % 4 AS INTEGER) AS publisher, i // 4 AS sequence, 'benchmark' AS topic,
           CAST((i // 500) % 12 AS INTEGER) AS "partition", (i // 6000) * 501 + i % 500 AS "offset", hash(i) AS digest,
           CASE WHEN i % 4 = 3 THEN i // 4000 END AS "transaction",
           TIMESTAMP '2026-01-01' + to_microseconds(i * 4) AS sent_at
    FROM range({messages}) x(i)
"""

# What is planted, one message in a million each and at least one: m is the message's number in its million.
_TABLES = {
    "sends": """
        SELECT m.publisher, m.sequence, m.topic, m."partition", m."offset", 'acknowledged' AS outcome, m."transaction",
               m.digest, m.sent_at, m.sent_at + INTERVAL 3 MILLISECOND AS settled_at
        FROM messages m
    """,
    "reads": """
        SELECT m."partition" % 2 AS reader, m.i // 1000 AS poll, m.topic, m."partition", m."offset",
               m.publisher, m.sequence,
               CASE WHEN {plant} AND m.i % 1000000 = 200001 THEN m.digest + 1 ELSE m.digest END AS digest,
               true AS committed_only, m.sent_at + INTERVAL 1 HOUR AS read_at, m.i // 1000 * 500 + m.i % 500 AS position
        FROM messages m
        WHERE NOT ({plant} AND m.i % 1000000 = 100001)
    """,
    "transactions": """
        SELECT DISTINCT m.publisher, m."transaction", 'committed' AS outcome FROM messages m
        WHERE m."transaction" IS NOT NULL
    """,
}


def build(folder: Path, messages: int, plant: bool) -> None:
    """Writes a history of so many sends and reads; with ``plant``, one message in a million is lost, one corrupted."""
    folder.mkdir(parents=True)
    with duckdb.connect() as database:
        database.execute(f"CREATE VIEW messages AS {_MESSAGES.format(messages=messages)}")
        for name, query in _TABLES.items():
            path = folder / f"{name}.parquet"
            database.execute(f"COPY ({query.format(plant=str(plant).lower())}) TO '{path}' (FORMAT parquet)")


def measure(folder: Path, engine: str = "duckdb") -> dict[str, object]:
    """Checks the history in a process of its own: seconds, peak memory in MB, and what was found."""
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.checker", "--check", str(folder), "--engine", engine],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return {**json.loads(ended.stdout), "with start-up": round(time.perf_counter() - started, 2)}


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
    options = parser.parse_args(arguments)
    if options.check:
        _check(options.check, options.engine)
        return 0
    figures = []
    print(f"{'messages':>12} {'history':>8} {'seconds':>8} {'M/s':>6} {'peak MB':>8}  found")
    with tempfile.TemporaryDirectory(prefix="integrity-benchmark-") as folder:
        for messages in options.messages:
            for plant in (False, True):
                history = Path(folder) / f"{messages}-{plant}"
                build(history, messages, plant)
                which = "broken" if plant else "sound"
                row = {"messages": messages, "history": which, **measure(history, options.engine)}
                if options.engine == "spark" and row["verdict"] != measure(history)["verdict"]:
                    print(f"the verdicts on {history.name} differ")
                    return 1
                figures.append(row)
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
