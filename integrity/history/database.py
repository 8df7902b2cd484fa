"""The databases that look into histories: one for all small ones, opened once for a process, one for each large one.

With one of its own a scenario's verdict took 0.17 s of processor time and its timeline 0.07 s, with this one 0.09 and
0.02 s: opened anew, the database makes all its functions known again, and answers the first of each query slowly.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

SMALL_BYTES = 4 << 20
"""A history whose files are smaller is small."""

_SETTINGS: dict[str, Any] = {
    "preserve_insertion_order": False,  # lets DuckDB stream and spill; every order that matters is a column
    "autoinstall_known_extensions": False,  # a checker must not reach for the network
}

THREADS = 4
"""As many threads at most, unless asked for, work on a large history: each takes a part of the memory for itself, and
more of them than that only spill to disk what the others need."""

#: One thread: to share out the work on a small history costs more than it saves. Nothing of it is spilled to disk.
_SMALL = _SETTINGS | {"threads": 1, "memory_limit": "900MB", "temp_directory": ""}


def files_of(history: Path, table: str) -> list[str]:
    """The Parquet files of one table of a history, whole or in parts."""
    whole = history / f"{table}.parquet"
    # A part being written has a hidden name until it is whole; one that its process did not finish keeps that name.
    parts = sorted(path for path in (history / table).glob("*.parquet") if not path.name.startswith("."))
    return [str(path) for path in [*([whole] if whole.is_file() else []), *parts]]


def is_small(files: Iterable[str]) -> bool:
    """Whether those of the files that are there make a small history."""
    return sum(os.path.getsize(path) for path in files if os.path.exists(path)) < SMALL_BYTES


def as_it_is(path: str) -> str:
    """The path as DuckDB takes it for itself and no other: it looks for names that fit ``*``, ``?`` and ``[...]``.

    A folder ``run[1]`` would be taken for ``run1``. In brackets each stands for itself.
    """
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def parquet(files: Iterable[str]) -> str:
    """SQL for the rows of these Parquet files."""
    names = ", ".join("'" + as_it_is(path).replace("'", "''") + "'" for path in files)
    return f"read_parquet([{names}], union_by_name = true)"


@contextmanager
def large(memory: str, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database for a large history, which spills to disk what is more than ``memory`` ('900MB', '2GB').

    threads: one for each core by default, THREADS at most.
    """
    import duckdb  # a run without a history must not pay for it

    settings = _SETTINGS | {"threads": threads if threads is not None else min(os.cpu_count() or 1, THREADS)}
    with (
        tempfile.TemporaryDirectory(prefix="integrity-check-") as spill,
        duckdb.connect(":memory:", config=settings | {"memory_limit": memory, "temp_directory": spill}) as connection,
    ):
        yield connection


def connect() -> duckdb.DuckDBPyConnection:
    """A connection for a small history, to be closed; for a larger one it is slow, or fails for want of memory.

    Whatever is made in it is to be TEMP: that ends with it, and no other connection sees it.
    """
    import duckdb  # a run without a history must not pay for it

    connection = _instance(os.getpid()).cursor()
    try:
        connection.execute("SELECT 1")
    except duckdb.FatalException:
        # A damaged file may lead the database into an error of its own, and after one it answers nothing any more.
        _instance.cache_clear()
        connection = _instance(os.getpid()).cursor()
    return connection


@cache
def _instance(process: int) -> duckdb.DuckDBPyConnection:
    """The database of a process: one that was forked may not use its parent's."""
    import duckdb

    return duckdb.connect(":memory:", config=_SMALL)
