"""Checks a saved history again: ``python -m integrity.check DIR...``.

Exit status 0: intact. 1: anomalies, or a verdict that would be vacuous. 2: the history is unreadable, one line on the
standard error says why; or the check itself is at fault. Several directories are the parts of one history and are
judged together; no two of them may have a publisher or a reader of the same number. Where they are shards of a run on
several machines, the verdict's line says which of them are there: it is the verdict on those. ``--engine spark`` runs
the same checks on Apache Spark.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Sequence

from integrity.anomalies import HistoryUnreadable, Verdict, check
from integrity.errors import SuiteError
from integrity.history import shards

INTACT, ANOMALIES, UNREADABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status. ``arguments`` defaults to the command line's."""
    parser = argparse.ArgumentParser(prog="python -m integrity.check", description="Check a saved history again.")
    parser.add_argument("directories", metavar="DIR", nargs="+", help="a history, or the parts of one")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON instead of words")
    parser.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb", help="what runs the checks")
    parser.add_argument("--master", help="with --engine spark: Spark's master; default: local[*], this machine")
    options = parser.parse_args(arguments)
    if options.master and options.engine != "spark":
        parser.error("--master is for --engine spark")
    try:
        found = shards.among(options.directories)
        verdict = _check(options)
    except SuiteError as error:
        print(f"unavailable: {error}", file=sys.stderr)
        return UNREADABLE
    except (HistoryUnreadable, shards.DifferentRuns) as error:
        print(f"unreadable: {error}", file=sys.stderr)
        return UNREADABLE
    if options.json:
        print(json.dumps(verdict.as_json() | ({"shards": found.as_json()} if found is not None else {}), indent=2))
    else:
        conclusion, *more = verdict.words().splitlines()
        print("\n".join([f"{conclusion}; {found}" if found is not None else conclusion, *more]))
    return INTACT if verdict.intact else ANOMALIES


def _check(options: argparse.Namespace) -> Verdict:
    if options.engine == "duckdb":
        return check(*options.directories)
    from integrity.anomalies import spark

    return spark.check(*options.directories, master=options.master or spark.LOCAL)


def _run() -> int:
    """``main``; a mistake of its own must not end with the status of anomalies, which is Python's for any error."""
    try:
        return main()
    except Exception:  # noqa: BLE001 - told as it is
        traceback.print_exc()
        return UNREADABLE


if __name__ == "__main__":
    sys.exit(_run())
