"""Content of every kind, several things at once, and how acknowledgements are measured."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from datetime import datetime, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from integrity.clients import Connection
from integrity.clients.base import Admin
from integrity.history import database, measures, schema
from integrity.scenes import cleaning, content, keepsakes
from integrity.scenes.threads import run_together
from integrity.waiting import WaitTimeout, nothing


def test_every_kind_is_what_it_says():
    kinds = {kind: list(content.messages(kind, "orders")) for kind in content.KINDS}
    assert {m.value for m in kinds["empty values"]} == {b""}
    assert {m.value for m in kinds["null values"]} == {None}
    assert {m.key for m in kinds["null keys"]} == {None}
    assert {m.key for m in kinds["empty keys"]} == {b""}
    assert {(m.key, m.value) for m in kinds["neither key nor value"]} == {(None, None)}
    assert {len(m.value) for m in kinds["values of one megabyte"]} == {1_000_000}
    assert set(b"".join(m.value for m in kinds["binary values"])) == set(range(256))
    assert set(b"".join(m.key for m in kinds["binary keys"])) == set(range(256))
    assert {m.timestamp is None for m in kinds["given timestamps"]} == {False}
    for message in kinds["repeated headers"]:
        names = [name for name, _ in message.headers]
        assert len(names) > len(set(names))


def test_messages_of_one_kind_differ_so_that_a_mix_up_is_seen():
    for kind in ("binary values", "values of one megabyte", "null keys", "binary keys", "given timestamps"):
        messages = list(content.messages(kind, "orders"))
        assert len({(m.key, m.value, m.timestamp) for m in messages}) == len(messages)


class Told(Admin):
    """An admin that is told of each topic's leaders so, one look after the other, and the last so from then on."""

    def __init__(self, *answers: dict[int, int]) -> None:
        self.connection, self.answers = Connection("nobody:1"), list(answers)

    def leaders(self, topic: str) -> dict[int, int]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self) -> None:
        """There is nothing to close."""


Told.__abstractmethods__ = frozenset()


@pytest.mark.parametrize(
    ("answers", "counted"),
    [([{0: -1, 1: 1}, {0: -1, 1: -1}, {0: 1, 1: 1}], 2), ([{0: 1, 1: -1}], 1), ([{0: 1}], 1), ([{}], 0)],
)
def test_partitions_of_a_broker_that_is_just_back_are_counted_once_they_are_led(monkeypatch, answers, counted):
    monkeypatch.setattr(keepsakes, "LED_SECONDS", 0.3)
    scene = SimpleNamespace(
        driver=SimpleNamespace(admin=lambda _: Told(*answers)), connection=None, topics=["t"], partitions={"t": 2}
    )
    assert keepsakes.partition_counts(scene) == [counted]


@pytest.mark.parametrize(("ever", "told"), [(1500, ""), (80, "t-0 holds 50 of 80")])
def test_what_was_compacted_before_anybody_looked_is_compacted(monkeypatch, ever, told):
    """A broker that cleans up all the time may have begun while the last messages were published."""
    held, closing = [SimpleNamespace(topic="t", partition=0, value=b"v")] * 50, []
    admin = SimpleNamespace(end_offsets=lambda topics: {("t", 0): ever, ("t", 1): 0})
    publisher = SimpleNamespace(id=1, send_and_wait=closing.append)
    scene = SimpleNamespace(
        driver=SimpleNamespace(admin=lambda _: nullcontext(admin), publisher=lambda *_: nullcontext(publisher)),
        part=lambda kind: SimpleNamespace(keeping=set()),
        connection=SimpleNamespace(check=nothing),
        recorder=SimpleNamespace(row=lambda *_: None),
        topics=["t"],
    )
    monkeypatch.setattr(cleaning, "_records", lambda scene: held)
    monkeypatch.setattr(cleaning, "CLEANING_SECONDS", 0.3)
    with pytest.raises(WaitTimeout, match=told) if told else nullcontext():
        cleaning.wait_for_compaction(scene)
    assert {message.partition for message in closing} == {0}


def test_together_means_at_the_same_time():
    barrier = threading.Barrier(3, timeout=10)
    run_together([lambda: barrier.wait()] * 3)


def test_the_first_error_is_raised_and_the_others_are_let_go():
    barrier = threading.Barrier(2)

    def fails() -> None:
        raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        run_together([fails, lambda: barrier.wait(10)], failed=barrier.abort)


def test_an_interruption_lets_the_others_go():
    """Ctrl-C comes to the thread that waits; what it waits for may be long."""
    let_go = threading.Event()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_together([lambda: let_go.wait(10)], failed=let_go.set, meanwhile=interrupt, every=0.01)
    assert let_go.is_set()


def test_something_is_done_meanwhile():
    looked = threading.Event()
    run_together([lambda: looked.wait(10)], meanwhile=looked.set, every=0.01)
    assert looked.is_set()


def sends(tmp_path, *milliseconds: float | None) -> None:
    """A history of one publisher whose messages were acknowledged after so long; None: never."""
    at = datetime(2024, 2, 29)
    rows = [
        (0, n, "orders", 0, n, "unknown" if ms is None else "acknowledged", None, 1, at)
        + ((None,) if ms is None else (at + timedelta(milliseconds=ms),))
        for n, ms in enumerate(milliseconds)
    ]
    columns = [
        pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema.SENDS.arrow, strict=True)
    ]
    (tmp_path / "sends").mkdir(parents=True)
    pq.write_table(pa.Table.from_arrays(columns, schema=schema.SENDS.arrow), tmp_path / "sends" / "part-0.parquet")


def test_acknowledgement_times(tmp_path):
    sends(tmp_path, 1, 2, 3, 4, 100, None)
    assert measures.acknowledgement_ms(tmp_path, 0.5, 1.0) == [3.0, 100.0]


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?", "[!a]un1", "run[[1]]", "run]1[", "run{1,2}", "it's [1]"])
def test_a_folder_of_any_name_is_that_folder_and_no_other(tmp_path, name):
    """What DuckDB would take for a pattern: it would read the folders that fit it."""
    sends(tmp_path / name, 7)
    for other in ("run1", "run2", "run[", "run]1"):
        sends(tmp_path / other, 50)
    assert measures.acknowledgement_ms(tmp_path / name, 0.5, 1.0) == [7.0, 7.0]
    with database.connect() as found:
        rows = f"SELECT count(*) FROM {database.parquet(database.files_of(tmp_path / name, 'sends'))}"
        assert found.execute(rows).fetchall() == [(1,)]


def test_nothing_acknowledged_has_no_times(tmp_path):
    sends(tmp_path, None)
    with pytest.raises(ValueError, match="no acknowledged send"):
        measures.acknowledgement_ms(tmp_path, 0.5)
    with pytest.raises(ValueError, match="no acknowledged send"):
        measures.acknowledgement_ms(tmp_path / "nowhere", 0.5)
