"""The SQL agrees with the plain-Python oracle on random histories: wild, sound, and sound ones with a plant."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrity.anomalies import check
from integrity.history.schema import MOVES, SEND_OUTCOMES, TRANSACTION_OUTCOMES
from tests.histories import History, Row, at, digest
from tests.oracle import Oracle

PUBLISHERS, PARTITIONS, READERS = 2, 2, 3
small = st.integers(0, 5)
partitions = st.integers(0, PARTITIONS - 1)
seconds = st.integers(0, 6)
Draw = Callable[[st.SearchStrategy], object]

# More are worth a wait after a change of the SQL: ORACLE_EXAMPLES=1000 pytest tests/test_anomalies_oracle.py
EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "40"))

thorough = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def agree(history: History) -> dict[str, int]:
    """Both verdicts, which must be one."""
    with tempfile.TemporaryDirectory() as folder:
        verdict = check(history.save(Path(folder)))
    counts = {name: finding.count for name, finding in verdict.findings.items()}
    oracle = Oracle(history.rows)
    assert counts == oracle.counts()
    assert {(gap.topic, gap.partition): gap.open for gap in verdict.unread} == oracle.unread()
    return counts


def sometimes(draw: Draw, chance: int = 3) -> bool:
    return draw(st.integers(1, chance)) == 1


def groups_and_moves(draw: Draw, history: History) -> None:
    """Rows for every table beside sends, reads and transactions, in a world as small as theirs."""
    for _ in range(draw(st.integers(0, 3))):
        reader = draw(st.integers(0, READERS - 1))
        move = history.moved(
            draw(st.sampled_from(MOVES)),
            draw(st.none() | small),
            reader=reader,
            partition=draw(partitions),
            group=draw(st.sampled_from([None, "g"])),
        )
        move["position"] = draw(small)
    if sometimes(draw):
        history.table("ends")
        for partition in range(PARTITIONS):
            for _ in range(draw(st.integers(0, 2))):
                history.end(
                    partition,
                    complete=draw(st.booleans()),
                    committed_only=draw(st.booleans()),
                    reader=draw(st.integers(0, READERS - 1)),
                    offset=draw(small),
                    begin=draw(st.none() | small),
                    asked=draw(st.none() | seconds),
                )
    for _ in range(draw(st.integers(0, 2)) if sometimes(draw) else 0):
        first = draw(small)
        last = first + draw(st.integers(0, 2))
        if draw(st.booleans()):
            history.excuse(offsets=(first, last), partition=draw(partitions))
        else:
            history.excuse(sequences=(first, last), publisher=draw(st.integers(0, PUBLISHERS - 1)))
    if sometimes(draw, 2):
        for _ in range(draw(st.integers(1, 3))):
            history.commit(draw(small), draw(seconds), reader=draw(st.none() | st.integers(0, READERS - 1)))
        if draw(st.booleans()):
            history.table("processed")
            for _ in range(draw(st.integers(0, 4))):
                history.process(draw(small), draw(seconds), reader=draw(st.integers(0, READERS - 1)))


@st.composite
def wild(draw: Draw) -> History:
    """Rows at random, in a world so small that they keep running into each other."""
    history = History()
    for _ in range(draw(st.integers(0, 9))):
        history.send(
            draw(st.none() | small),
            publisher=draw(st.integers(0, PUBLISHERS - 1)),
            partition=draw(partitions),
            outcome=draw(st.sampled_from(SEND_OUTCOMES)),
            transaction=draw(st.none() | st.integers(0, 1)),
            sent=draw(seconds),
            settled=draw(seconds),
        )
    for publisher in range(PUBLISHERS):
        for number in range(2):
            if not sometimes(draw):
                outcome = draw(st.sampled_from(TRANSACTION_OUTCOMES))
                history.transaction(number, outcome, publisher, draw(st.none() | seconds))
    isolation = [draw(st.booleans()) for _ in range(READERS)]
    for _ in range(draw(st.integers(0, 12))):
        reader = draw(st.integers(0, READERS - 1))
        publisher = draw(st.sampled_from([0, 0, 0, 1, 1, 1, None]))
        history.read(
            draw(small),
            publisher,
            None if publisher is None else draw(st.integers(0, 5)),
            reader=reader,
            partition=draw(partitions),
            content=draw(st.sampled_from([None, None, None, 1, 2])),
            committed_only=isolation[reader],
            when=draw(seconds),
        )
    groups_and_moves(draw, history)
    return history


@st.composite
def logs(draw: Draw) -> History:
    """A history that a sound broker could have left: transactions with markers, aborts, unknown and rejected sends."""
    history = History()
    log: list[list[Row | None]] = [[] for _ in range(PARTITIONS)]
    aborted: list[Row] = []
    for publisher in range(PUBLISHERS):
        for number in range(draw(st.integers(0, 3))):
            transaction = number if draw(st.booleans()) else None
            committed = transaction is None or not sometimes(draw)
            touched: set[int] = set()
            for _ in range(draw(st.integers(1, 4))):
                partition = draw(partitions)
                outcome = draw(st.sampled_from(["acknowledged"] * 4 + ["unknown", "rejected"]))
                send = history.send(
                    len(log[partition]),
                    publisher=publisher,
                    partition=partition,
                    outcome=outcome,
                    transaction=transaction,
                )
                if outcome == "acknowledged" or (outcome == "unknown" and draw(st.booleans())):
                    log[partition].append(send)
                    touched.add(partition)
                    if not committed:
                        aborted.append(send)
            if transaction is not None:
                history.transaction(transaction, "committed" if committed else "aborted", publisher)
                for partition in sorted(touched):
                    log[partition].append(None)
    for reader in range(draw(st.integers(1, READERS))):
        committed_only = draw(st.booleans())
        for partition in draw(st.permutations(range(PARTITIONS))):
            for offset, send in enumerate(log[partition]):
                if send is not None and not (committed_only and send in aborted):
                    history.read(
                        offset,
                        send["publisher"],
                        send["sequence"],
                        reader=reader,
                        partition=partition,
                        committed_only=committed_only,
                    )
    return history


@st.composite
def groups(draw: Draw) -> History:
    """A consumer group's work, over several of the blocks of 64 offsets that commit_ahead looks at first.

    The group processes in order, one record each hundredth of a second, and mostly commits what it has processed. A few
    records have markers' gaps before them, are left out, or processed late or twice; commits may come too early.
    """
    history = History()
    base = draw(st.sampled_from([0, 1, 63, 1021]))
    gaps = draw(st.sets(st.integers(0, 150), max_size=3))
    offsets = [base + row for row in range(draw(st.sampled_from([5, 64, 65, 150]))) if row not in gaps]
    sends = [history.send(offset) for offset in offsets]
    member, other = 0, 1
    unread = few(draw, offsets)
    history.read_sent(
        [send for send in sends if send["offset"] not in unread],
        reader=member,
        when=draw(st.sampled_from([100, 150.3])),
    )
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.sampled_from([0, 0, 3]))
        history.read_sent(sends[begin:], reader=other, committed_only=draw(st.booleans()))
    if draw(st.booleans()):
        history.moved("assigned", draw(st.sampled_from([base, base + 2])), reader=member, group="g")
    if sometimes(draw, 6):
        history.moved("seek", base, reader=member, group="g")
    odd = {offset: draw(st.sampled_from(["left out", "late", "twice"])) for offset in few(draw, offsets)}
    if not sometimes(draw, 6):
        history.table("processed")
        for row, offset in enumerate(offsets):
            how = odd.get(offset)
            if how != "left out":
                history.process(offset, 150 + row / 100 + (how == "late"))
            if how == "twice":
                history.process(offset, 150 + row / 100 + draw(st.sampled_from([-1, 0.005, 1])))
    for _ in range(draw(st.integers(1, 6))):
        row = draw(st.integers(0, len(offsets) - 1))
        delay = draw(st.sampled_from([0, 0, 0.001, 2, -0.005, -1]))
        history.commit(offsets[row] + draw(st.sampled_from([0, 1, 1, 1, 2])), 150 + row / 100 + delay)
    return history


def few(draw: Draw, offsets: list[int]) -> set[int]:
    """Up to three of them, mostly fewer."""
    return draw(st.sets(st.sampled_from(offsets), max_size=3)) if sometimes(draw, 2) else set()


def drop(history: History, read: Row) -> None:
    """Nobody reads the record: lost, or torn where it was in a transaction, or nothing where nobody had to see it."""
    reads = history.rows["reads"]
    history.rows["reads"] = [
        other for other in reads if (other["publisher"], other["sequence"]) != (read["publisher"], read["sequence"])
    ]


def skip(history: History, read: Row) -> None:
    """One reader passes over the record."""
    history.rows["reads"].remove(read)


def next_position(history: History) -> int:
    """A position that no reader has used yet."""
    return max(read["position"] for read in history.rows["reads"]) + 1


def append_again(history: History, read: Row) -> None:
    """The message stands in the log a second time."""
    history.rows["reads"].append({**read, "offset": 50, "position": next_position(history)})


def read_again(history: History, read: Row) -> None:
    """The reader goes back to the record."""
    history.rows["reads"].append({**read, "position": next_position(history)})


def damage(history: History, read: Row) -> None:
    """The record's content changes."""
    read["digest"] += 1


def exchange(history: History, read: Row) -> None:
    """The record changes places with its predecessor in the log, for every reader."""
    for other in history.rows["reads"]:
        if (other["topic"], other["partition"]) == (read["topic"], read["partition"]):
            if other["offset"] == read["offset"]:
                other["offset"] -= 1
            elif other["offset"] == read["offset"] - 1:
                other["offset"] += 1


def forge(history: History, read: Row) -> None:
    """The record is of a message that nobody sent."""
    read["sequence"] += 100
    read["digest"] = digest(read["publisher"], read["sequence"])


def strip(history: History, read: Row) -> None:
    """The record loses its identity."""
    read["publisher"] = read["sequence"] = None


def misplace(history: History, read: Row) -> None:
    """The acknowledgement named another offset."""
    for send in history.rows["sends"]:
        same = (send["publisher"], send["sequence"]) == (read["publisher"], read["sequence"])
        if same and send["offset"] is not None:
            send["offset"] += 100


def reject(history: History, read: Row) -> None:
    """The message was told to be rejected."""
    for send in history.rows["sends"]:
        if (send["publisher"], send["sequence"]) == (read["publisher"], read["sequence"]):
            send["outcome"], send["offset"] = "rejected", None


def hurry(history: History, read: Row) -> None:
    """The record was read as soon as it was sent."""
    read["read_at"] = at(0.5)


def abort(history: History, read: Row) -> None:
    """The publisher's transactions were aborted, whatever the readers saw."""
    for transaction in history.rows.get("transactions", []):
        if transaction["publisher"] == read["publisher"]:
            transaction["outcome"] = "aborted"


PLANTS = [drop, skip, append_again, read_again, damage, exchange, forge, strip, misplace, reject, hurry, abort]


@thorough
@given(wild())
def test_the_verdicts_agree_on_wild_histories(history: History) -> None:
    agree(history)


@thorough
@given(logs())
def test_sound_histories_have_no_anomaly(history: History) -> None:
    assert agree(history) == {}


@thorough
@given(logs(), st.data())
def test_the_verdicts_agree_on_what_was_planted(history: History, data: st.DataObject) -> None:
    for plant in data.draw(st.lists(st.sampled_from(PLANTS), min_size=1, max_size=2)):
        reads = [read for read in history.rows.get("reads", []) if read["publisher"] is not None]
        if reads:
            plant(history, data.draw(st.sampled_from(reads)))
    agree(history)


@thorough
@given(logs(), st.data())
def test_the_verdicts_agree_on_groups_and_moves(history: History, data: st.DataObject) -> None:
    groups_and_moves(data.draw, history)
    reads = history.rows.get("reads", [])
    if reads:
        skip(history, data.draw(st.sampled_from(reads)))
    agree(history)


@thorough
@given(groups())
def test_the_verdicts_agree_on_what_groups_committed(history: History) -> None:
    agree(history)
