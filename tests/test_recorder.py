"""The recorder: nothing lost, nothing invented, memory bounded, and whatever is killed leaves whole parts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from integrity.clients.messages import pack_identity
from integrity.history import columns, schema
from integrity.history.columns import ACKNOWLEDGED, REJECTED
from integrity.history.recorder import Recorder, RecordingFailed
from integrity.waiting import wait_until

WAIT = 30


def rows_of(directory: Path, table: str) -> list[dict]:
    files = sorted((directory / table).glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]).to_pylist() if files else []


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(columns, "CHUNK_ROWS", 100)
    return 100


def test_every_table_has_the_schema(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        publisher = recorder.publisher()
        publisher.topic("t")
        publisher.sent(2**64 - 1, 3, time.time_ns())
        publisher.close()
        reader = recorder.reader(committed_only=True, group="g")
        chunk = reader.poll(time.time_ns())
        chunk.topics.begin(0, "t")
        chunk.partitions.append(0)
        chunk.offsets.append(5)
        chunk.identities += pack_identity(7, 2**40)
        chunk.digests.append(1)
        reader.moved("t", 0, schema.SEEK, 5)
        reader.committed("t", 0, 6, time.time_ns())
        reader.processed("t", 0, 5)
        reader.end("t", 0, 6, True)
        reader.close()
        recorder.event("broker 1", "killed")
        recorder.excuse("t", 0, 0, 4, "retention")
        recorder.row("transactions", 0, 0, schema.COMMITTED, None)
    for name in ("sends", "reads", "assignments", "commits", "processed", "ends", "events", "excused", "transactions"):
        (file,) = (tmp_path / name).glob("part-*.parquet")
        assert pq.read_schema(file).equals(schema.TABLES[name].arrow), name
    (read,) = rows_of(tmp_path, "reads")
    assert (read["publisher"], read["sequence"], read["committed_only"], read["position"]) == (7, 2**40, True, 0)


def test_outcomes_are_kept_apart(tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        log = recorder.publisher()
        log.topic("t")
        places = [log.sent(n, None, 1_700_000_000_000_000_000) for n in range(3)]
        chunk, row = places[0]
        chunk.partitions[row], chunk.offsets[row], chunk.settled[row], chunk.outcomes[row] = 2, 40, 1, ACKNOWLEDGED
        log.failed(*places[1], REJECTED, "MESSAGE_TOO_LARGE")
        assert log.counts == {"open": 1, "acknowledged": 1, "rejected": 1, "unknown": 0}
        log.close()
        assert log.counts == {"open": 0, "acknowledged": 1, "rejected": 1, "unknown": 1}
    sends = rows_of(tmp_path, "sends")
    assert [s["outcome"] for s in sends] == ["acknowledged", "rejected", "unknown"]
    assert [s["offset"] for s in sends] == [40, None, None]
    assert [s["partition"] for s in sends] == [2, None, None]
    assert [s["sequence"] for s in sends] == [0, 1, 2]
    assert [s["settled_at"] is None for s in sends] == [False, False, True]


def test_an_old_chunk_waits_for_its_last_outcome(tmp_path: Path, small_chunks: int) -> None:
    with Recorder(tmp_path) as recorder:
        log = recorder.publisher()
        log.topic("t")
        first = log.sent(0, None, 1)
        for n in range(1, 3 * small_chunks):
            chunk, row = log.sent(n, None, 1)
            chunk.outcomes[row] = ACKNOWLEDGED
        recorder.flush()
        assert {s["sequence"] for s in rows_of(tmp_path, "sends")} == set(range(100, 200))
        first[0].outcomes[first[1]] = ACKNOWLEDGED
        log.close()
    sends = rows_of(tmp_path, "sends")
    assert sorted(s["sequence"] for s in sends) == list(range(300))
    assert {s["outcome"] for s in sends} == {"acknowledged"}


def test_topics_transactions_and_polls_change_in_the_middle(tmp_path: Path, small_chunks: int) -> None:
    with Recorder(tmp_path) as recorder:
        log = recorder.publisher()
        expected = []
        for n in range(250):
            topic, transaction = f"t{n // 30}", (n // 40 if (n // 40) % 2 else None)
            log.topic(topic)
            log.transaction(transaction)
            log.sent(n, None, 1)
            expected.append((n, topic, transaction))
        log.close()
        reader = recorder.reader(committed_only=False)
        seen = []
        for poll in range(60):
            chunk = reader.poll(poll * 1000)
            for n in range(poll % 5):
                chunk.topics.begin(len(chunk.offsets), f"t{n}")
                chunk.partitions.append(0)
                chunk.offsets.append(n)
                chunk.identities += columns.NO_IDENTITY
                chunk.digests.append(n)
                seen.append((len(seen), poll, f"t{n}"))
        reader.close()
    sends = sorted(rows_of(tmp_path, "sends"), key=lambda s: s["sequence"])
    assert [(s["sequence"], s["topic"], s["transaction"]) for s in sends] == expected
    reads = sorted(rows_of(tmp_path, "reads"), key=lambda r: r["position"])
    assert [(r["position"], r["poll"], r["topic"]) for r in reads] == seen
    assert {(r["publisher"], r["sequence"]) for r in reads} == {(None, None)}


def test_many_threads_record_at_once(tmp_path: Path, small_chunks: int) -> None:
    with Recorder(tmp_path) as recorder:

        def work() -> None:
            log = recorder.publisher()
            log.topic("t")
            for n in range(1_234):
                chunk, row = log.sent(n, None, 1)
                chunk.outcomes[row] = ACKNOWLEDGED
                if n % 100 == 0:
                    recorder.event(f"publisher {log.publisher}", "sent", str(n))
            log.close()

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
    sends = rows_of(tmp_path, "sends")
    assert {(s["publisher"], s["sequence"]) for s in sends} == {(p, n) for p in range(6) for n in range(1_234)}
    assert len(sends) == 6 * 1_234
    assert len(rows_of(tmp_path, "events")) == 6 * 13


def test_processes_share_a_directory_by_label_and_first_id(tmp_path: Path) -> None:
    for number in range(2):
        with Recorder(tmp_path, label=str(number), first_id=number * 1_000) as recorder:
            log = recorder.publisher()
            log.topic("t")
            log.sent(0, None, 1)
            log.close()
    assert {s["publisher"] for s in rows_of(tmp_path, "sends")} == {0, 1_000}


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Two million sends in a process of their own; the growth beyond the first chunks must be small."""
    program = """
import resource, sys
from integrity.history.recorder import Recorder
from integrity.history.columns import ACKNOWLEDGED
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform == "linux" else 1024)
with Recorder(sys.argv[1]) as recorder:
    log = recorder.publisher()
    log.topic("t")
    for n in range(2_000_000):
        chunk, row = log.sent(n, 0, 1)
        chunk.outcomes[row] = ACKNOWLEDGED
        if n == 600_000:
            early = peak()
    log.close()
print((peak() - early) / 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    assert float(done.stdout) < 60  # MB; the rows themselves are over 100 MB
    assert ds.dataset(tmp_path / "sends").count_rows() == 2_000_000


def test_memory_of_a_reader_is_bounded(tmp_path: Path) -> None:
    """Two million records in polls of 500, in a process of their own."""
    program = """
import resource, sys
from integrity.history.recorder import Recorder
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform == "linux" else 1024)
identities, digests = bytes(12) * 500, list(range(500))
with Recorder(sys.argv[1]) as recorder:
    log = recorder.reader(committed_only=True, group="g")
    for n in range(0, 2_000_000, 500):
        chunk = log.poll(1)
        chunk.topics.begin(len(chunk.offsets), "t")
        chunk.add([0] * 500, list(range(n, n + 500)), identities, digests)
        if n == 600_000:
            early = peak()
    log.close()
print((peak() - early) / 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=True
    )
    assert float(done.stdout) < 60  # MB; the rows themselves are over 80 MB
    assert ds.dataset(tmp_path / "reads").count_rows() == 2_000_000


def test_what_was_handed_over_survives_a_kill(tmp_path: Path) -> None:
    program = """
import sys
from integrity.history import columns
columns.CHUNK_ROWS = 1_000
from integrity.history.recorder import Recorder
from integrity.history.columns import ACKNOWLEDGED
recorder = Recorder(sys.argv[1])
log = recorder.publisher()
log.topic("t")
while True:
    chunk, row = log.sent(1, 0, 1)
    chunk.outcomes[row] = ACKNOWLEDGED
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    try:
        wait_until(
            lambda: len(list(tmp_path.glob("sends/part-*.parquet"))) > 20,
            what="some parts",
            seconds=WAIT,
        )
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(WAIT)
    parts = list(tmp_path.glob("sends/part-*.parquet"))
    assert sum(pq.read_table(part).num_rows for part in parts) == 1_000 * len(parts)


def test_a_disk_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "history")
    (tmp_path / "history" / "events").write_text("in the way")
    recorder.event("network", "cut")
    with pytest.raises(RecordingFailed, match="cannot be written"):
        recorder.close()


@pytest.mark.parametrize("damaged", [pack_identity(2**31, 0), pack_identity(0, 2**63), columns.NO_IDENTITY])
def test_an_identity_nobody_sends_is_null(tmp_path: Path, damaged: bytes) -> None:
    with Recorder(tmp_path) as recorder:
        reader = recorder.reader(committed_only=False)
        chunk = reader.poll(1)
        chunk.topics.begin(0, "t")
        chunk.partitions.append(0)
        chunk.offsets.append(0)
        chunk.identities += damaged
        chunk.digests.append(0)
        reader.close()
    (read,) = rows_of(tmp_path, "reads")
    assert (read["publisher"], read["sequence"]) == (None, None)
