"""Checks a saved history again: ``python -m integrity.check DIR...``.

Exit status 0: intact. 1: anomalies, or a verdict that would be vacuous. 2: the history is unreadable, one line on the
standard error says why. Several directories are the parts of one history and are judged together.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from integrity.anomalies import HistoryUnreadable, check

INTACT, ANOMALIES, UNREADABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status. ``arguments`` defaults to the command line's."""
    parser = argparse.ArgumentParser(prog="python -m integrity.check", description="Check a saved history again.")
    parser.add_argument("directories", metavar="DIR", nargs="+", type=Path, help="a history, or the parts of one")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON instead of words")
    options = parser.parse_args(arguments)
    try:
        verdict = check(*options.directories)
    except HistoryUnreadable as error:
        print(f"unreadable: {error}", file=sys.stderr)
        return UNREADABLE
    print(json.dumps(verdict.as_json(), indent=2) if options.json else verdict.words())
    return INTACT if verdict.intact else ANOMALIES


if __name__ == "__main__":
    sys.exit(main())
