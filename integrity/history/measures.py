"""What a history says about speed."""

from __future__ import annotations

from pathlib import Path

import duckdb

from integrity.history import schema
from integrity.history.database import files_of, parquet


def acknowledgement_ms(history: Path, *shares: float) -> list[float]:
    """The times (ms) within which these shares of the acknowledged sends were acknowledged: 0.5 is the median.

    Counted from the send call. Only whole parts count, so what a client still holds is left out (see Recorder.flush).
    Raises ValueError when nothing was acknowledged.
    """
    files = files_of(history, schema.SENDS.name)
    row = None
    if files:
        with duckdb.connect() as database:
            row = database.execute(
                "SELECT quantile_cont(epoch_us(settled_at) - epoch_us(sent_at), ?::DOUBLE[]) "
                f"FROM {parquet(files)} WHERE outcome = ?",
                [list(shares), schema.ACKNOWLEDGED],
            ).fetchone()
    if row is None or row[0] is None:
        raise ValueError(f"the history in {history} has no acknowledged send")
    return [microseconds / 1000 for microseconds in row[0]]
