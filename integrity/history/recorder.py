"""Writes a history while clients work, at little cost to them.

A client fills plain columns (``array``), one chunk at a time; a full chunk goes to one background thread that turns it
into an Arrow table and writes it as a part, ``DIR/<table>/part-<label>-NNNNN.parquet``. Memory is bounded however many
messages pass: per publisher and reader one open chunk, for publishers also the chunks that still hold an unsettled
message (bounded by the client's queue), and a few on their way to the disk; a client that outruns the disk waits.

A part is written under a hidden name and then renamed, so whatever is killed when, every ``part-*`` is whole.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from integrity.history import schema
from integrity.history.columns import PublisherLog, ReaderLog

#: Chunks that may wait for the disk before clients have to wait as well.
WAITING_CHUNKS = 4

#: Columns with few different values; a dictionary for the others would cost time and save nothing.
DICTIONARY_COLUMNS = ["topic", "outcome", "publisher", "reader", "partition", "committed_only", "transaction", "poll"]

#: Rows of a small table (events, commits ...) that are kept before they are written.
SMALL_TABLE_ROWS = 5_000


class RecordingFailed(Exception):
    """The history could not be written (disk full, folder gone); what was written before is readable."""


class Recorder:
    """Writes the history of one process into ``directory``; any number of threads may use it.

    label: distinguishes the parts of several processes that record into one directory. first_id: the first publisher's
    and reader's id; processes that share a directory need ranges that do not meet.

    Errors of writing are raised as RecordingFailed by the next call that hands over rows, and by close().
    """

    def __init__(self, directory: Path | str, *, label: str = "0", first_id: int = 0) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._label = label
        self._lock = threading.Lock()
        self._parts: dict[str, int] = {}
        self._next_publisher = first_id
        self._next_reader = first_id
        self._open: list[PublisherLog | ReaderLog] = []
        self._small: dict[str, list[tuple[Any, ...]]] = {}
        self._error: BaseException | None = None
        self._queue: queue.Queue[tuple[str, Callable[[], pa.Table]] | None] = queue.Queue(WAITING_CHUNKS)
        self._closed = False
        self._thread = threading.Thread(target=self._write_all, name="history", daemon=True)
        self._thread.start()

    def publisher(self) -> PublisherLog:
        """The columns of a new publisher, with an id of its own."""
        with self._lock:
            log = PublisherLog(self._next_publisher, self)
            self._next_publisher += 1
            self._open.append(log)
        return log

    def reader(self, *, committed_only: bool, group: str | None = None) -> ReaderLog:
        """The columns of a new reader, with an id of its own."""
        with self._lock:
            log = ReaderLog(self._next_reader, self, committed_only=committed_only, group=group)
            self._next_reader += 1
            self._open.append(log)
        return log

    def event(self, subject: str, what: str, detail: str = "") -> None:
        """Something was done to the system under test: ('broker 1', 'killed', ''). Also a Broker's listener."""
        self.row("events", time.time_ns() // 1000, subject, what, detail)

    def excuse(self, topic: str, partition: int, first_offset: int, last_offset: int, reason: str) -> None:
        """These records may be gone, by the topic's configuration or by request; both offsets are included."""
        self.row("excused", topic, partition, first_offset, last_offset, None, None, None, reason)

    def row(self, table: str, *values: Any) -> None:
        """One row of a table, values in the schema's order; times in microseconds."""
        with self._lock:
            rows = self._small.setdefault(table, [])
            rows.append(values)
            if len(rows) < SMALL_TABLE_ROWS:
                return
            del self._small[table]
        self.write(table, lambda: _rows_to_table(table, rows))

    def write(self, table: str, build: Callable[[], pa.Table]) -> None:
        """Hand over one part; ``build`` is called by the writing thread. Waits when the disk is far behind."""
        self._raise_error()
        self._queue.put((table, build))

    def flush(self) -> None:
        """Put on disk what has been handed over so far; chunks that clients are still filling stay with them."""
        self._flush_small()
        self._queue.join()
        self._raise_error()

    def close(self) -> None:
        """Write everything, unsettled messages as unknown. Publishers and readers must have been closed before."""
        if self._closed:
            return
        with self._lock:
            logs = list(self._open)
        for log in logs:
            log.close()
        self._flush_small()
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._raise_error()

    def forget(self, log: PublisherLog | ReaderLog) -> None:
        """The log is closed and has handed over all its rows."""
        with self._lock:
            if log in self._open:
                self._open.remove(log)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _flush_small(self) -> None:
        with self._lock:
            small, self._small = self._small, {}
        for table, rows in small.items():
            self.write(table, lambda table=table, rows=rows: _rows_to_table(table, rows))

    def _raise_error(self) -> None:
        if self._error is not None:
            raise RecordingFailed(f"the history in {self.directory} cannot be written: {self._error}") from self._error

    def _write_all(self) -> None:
        while True:
            item = self._queue.get()
            try:
                if item is None:
                    return
                if self._error is None:
                    self._write_part(item[0], item[1]())
            except Exception as error:  # noqa: BLE001 - kept for the client's thread, which raises it
                self._error = error
            finally:
                self._queue.task_done()

    def _write_part(self, table: str, rows: pa.Table) -> None:
        folder = self.directory / table
        folder.mkdir(exist_ok=True)
        number = self._parts.get(table, 0)
        self._parts[table] = number + 1
        name = f"part-{self._label}-{number:05d}.parquet"
        hidden = folder / f".{name}"
        pq.write_table(
            rows,
            hidden,
            compression="snappy",
            use_dictionary=DICTIONARY_COLUMNS,
            write_statistics=False,
            store_schema=False,
        )
        hidden.rename(folder / name)


def _rows_to_table(table: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = schema.TABLES[table].columns
    arrays = [pa.array(values, column.type) for column, values in zip(columns, zip(*rows, strict=True), strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema.TABLES[table].arrow)
