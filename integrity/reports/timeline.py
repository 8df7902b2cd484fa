"""A history over time: how many messages were acknowledged and read, when, what broke meanwhile and what was found.

:func:`from_history` looks into the Parquet files with DuckDB, so a million rows cost a fraction of a second and a
bounded amount of memory; what it returns is small, whatever the history's size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from integrity.history.database import connect, files_of, is_small, large, parquet

if TYPE_CHECKING:
    import duckdb

#: Points of a curve: more than a picture can show helps nobody.
BUCKETS = 80

#: A share of fewer acknowledgements than this says nothing about rates or latency.
ENOUGH_FOR_RATES = 1000

#: How long acknowledgements took, by the names that every report shows, as its captions and the documentation say it.
MEDIAN = "acknowledged after, median (ms)"
MOST = "acknowledged after, 99 in 100 (ms)"

#: How the words of an event begin that begins an outage, or ends one. Anything else is a moment of its own.
BEGINS = (
    "stopped", "killed", "frozen", "paused", "crashed", "died", "isolated", "partitioned", "unreachable",
    "cut off", "blackhole", "slowed", "throttled",
)  # fmt: skip
ENDS = ("ready", "thawed", "resumed", "healed", "reconnected", "connected", "restored", "lifted")

#: Part of every life, and no news on a picture.
QUIET = ("started", "starting", "created", "formatted")

#: Events that tell what came of a fault, or what somebody noticed: none of them broke anything.
SEEN = (
    "gone", "whole", "incomplete", "has taken over", "has stored", "has every message", "is the ", "refused",
    "rebalanced",
)  # fmt: skip

#: The same moment again within this share of the timeline is counted, not drawn again.
CLOSE = 0.1


class Event(NamedTuple):
    """A row of the history's ``events``: ``Event(now(), "broker 1", "killed", "SIGKILL to process 4711")``."""

    at: datetime
    subject: str
    what: str
    detail: str = ""


class Outage(NamedTuple):
    """From one event to the one that ended it; ``end`` is None while nothing has."""

    subject: str
    what: str
    begin: datetime
    end: datetime | None


class Fault(NamedTuple):
    """An outage, or a moment (begin equals end), in seconds since the timeline's start."""

    words: str
    begin: float
    end: float


class Mark(NamedTuple):
    """An anomaly's place: seconds since the start, the series it concerns ('' for none), its name, how many there."""

    seconds: float
    series: str
    anomaly: str
    count: int


class Latency(NamedTuple):
    """Time from send to acknowledgement around one moment, in milliseconds."""

    seconds: float
    p50: float
    p99: float


@dataclass
class Series:
    """One topic-partition: cumulative counts over seconds since the timeline's start, as (seconds, count).

    A message counts as read once, when the first reader sees its offset.
    """

    name: str
    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    read: list[tuple[float, int]] = field(default_factory=list)


@dataclass
class Timeline:
    """What a timeline picture shows. start: the clock at second 0; seconds: its length; rates: figures by name."""

    seconds: float
    start: datetime | None = None
    series: list[Series] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)


def outages(events: Iterable[Event]) -> list[Outage]:
    """Each outage of each subject, in order of their beginnings.

    A broker killed while it is frozen has two outages, and whatever ends its trouble ends both. One that is killed
    again before it was ready begins a new outage, so that each kill is seen.
    """
    found: list[Outage] = []
    running: dict[str, list[int]] = {}
    for event in sorted(events, key=lambda e: e.at):
        if event.what.lower().startswith(ENDS):
            going = running.pop(event.subject, [])
            # "lifted" says in its detail which of several faults it lifted; a broker that is ready is wholly back.
            meant = [index for index in going if event.detail.startswith(found[index].what)] or going
            for index in meant:
                found[index] = found[index]._replace(end=event.at)
            running[event.subject] = [index for index in going if index not in meant]
        elif event.what.lower().startswith(BEGINS):
            going = running.setdefault(event.subject, [])
            for index in [index for index in going if found[index].what == event.what]:
                found[index] = found[index]._replace(end=event.at)
                going.remove(index)
            going.append(len(found))
            found.append(Outage(event.subject, event.what, event.at, None))
    return found


def moments(events: Iterable[Event]) -> list[Event]:
    """Events that are neither the beginning nor the end of an outage, nor everyday: an election, a damaged file."""
    return [event for event in events if not event.what.lower().startswith((*BEGINS, *ENDS, *QUIET))]


def last_fault(events: Sequence[Event]) -> Event | None:
    """The last thing that was broken, by anyone; recoveries do not count, nor does what was only seen."""
    acts = [event for event in moments(events) if not event.what.startswith(SEEN)]
    faults = [Event(o.begin, o.subject, o.what) for o in outages(events)] + acts
    if not faults:
        return None
    last = max(faults, key=lambda event: event.at)
    # An outage does not carry its event's detail; the event does.
    return next((e for e in events if (e.at, e.subject, e.what) == last[:3]), last)


def from_history(
    directory: Path, verdict: Mapping[str, Any] | None = None, events: Sequence[Event] = ()
) -> Timeline | None:
    """The timeline of the history in ``directory``; None when nothing in it has a time.

    verdict: the checker's JSON; its examples become marks. events: used where the history has no ``events`` table.
    Raises duckdb.Error when a file is not readable Parquet or lacks a column of the contract.
    """
    files = {table: files_of(directory, table) for table in ("sends", "reads", "events")}
    small = is_small(path for paths in files.values() for path in paths)
    with connect() if small else large("512MB", threads=1) as db:
        have = {table: _open(db, table, paths) for table, paths in files.items()}
        happened = _events(db) if have["events"] else sorted(events)
        start, end = _bounds(db, have, happened)
        if start is None or end is None:
            return None
        timeline = Timeline(max((end - start).total_seconds(), 1e-6), start, events=list(happened))
        lines: dict[str, Series] = {}
        if have["sends"]:
            _acknowledged(db, timeline, lines)
        if have["reads"]:
            _read(db, timeline, lines)
        timeline.series = [lines[name] for name in sorted(lines, key=_natural)]
        timeline.faults = _faults(happened, timeline)
        if have["sends"]:
            _latency(db, timeline)
        for anomaly, found in ((verdict or {}).get("anomalies") or {}).items():
            timeline.marks += _marks(db, have, timeline, anomaly, found)
    return timeline


def _open(db: duckdb.DuckDBPyConnection, table: str, files: Sequence[str]) -> bool:
    if files:
        db.execute(f"CREATE TEMP VIEW {table} AS SELECT * FROM {parquet(files)}")
    return bool(files)


def _events(db: duckdb.DuckDBPyConnection) -> list[Event]:
    rows = db.execute('SELECT "at", subject, what, detail FROM events WHERE "at" IS NOT NULL ORDER BY "at"').fetchall()
    return [Event(at, subject or "", what or "", detail or "") for at, subject, what, detail in rows]


def _bounds(
    db: duckdb.DuckDBPyConnection, have: Mapping[str, bool], events: Sequence[Event]
) -> tuple[datetime | None, datetime | None]:
    times: list[datetime | None] = [event.at for event in events]
    if have["sends"]:
        row = db.execute("SELECT min(sent_at), max(sent_at), max(settled_at) FROM sends").fetchone()
        times += row or ()
    if have["reads"]:
        times += db.execute("SELECT min(read_at), max(read_at) FROM reads").fetchone() or ()
    known = [time for time in times if time is not None]
    return (min(known), max(known)) if known else (None, None)


def _bucket(column: str) -> str:
    """SQL for the number of the bucket that ``column`` lies in; $start and $width (microseconds) are its parameters."""
    return f"least(floor((epoch_us({column}) - epoch_us($start::TIMESTAMP)) / $width), {BUCKETS - 1})::INTEGER"


def _grid(timeline: Timeline) -> dict[str, Any]:
    return {"start": timeline.start, "width": timeline.seconds * 1e6 / BUCKETS}


def _name(topic: str | None, partition: int | None) -> str:
    return f"{topic or 'unknown topic'}-{'?' if partition is None else partition}"


def _natural(name: str) -> tuple[str, int]:
    topic, _, partition = name.rpartition("-")
    return (topic, int(partition) if partition.isdigit() else -1)


def _curve(rows: Iterable[tuple[int, int]], width: float) -> list[tuple[float, int]]:
    """Cumulative counts at the ends of buckets, beginning with zero at the start of the first.

    Over buckets without a row the curve stays flat: a line rising through an outage would tell of messages that nobody
    acknowledged or read in it.
    """
    curve: list[tuple[float, int]] = []
    total = 0
    for bucket, count in rows:
        if not curve or curve[-1][0] < bucket * width:
            curve.append((bucket * width, total))
        total += count
        curve.append(((bucket + 1) * width, total))
    return curve


def _by_series(rows: Iterable[tuple[str, int, int, int]], timeline: Timeline) -> dict[str, list[tuple[float, int]]]:
    grouped: dict[str, list[tuple[int, int]]] = {}
    for topic, partition, bucket, count in rows:
        grouped.setdefault(_name(topic, partition), []).append((bucket, count))
    return {name: _curve(pairs, timeline.seconds / BUCKETS) for name, pairs in grouped.items()}


def _acknowledged(db: duckdb.DuckDBPyConnection, timeline: Timeline, lines: dict[str, Series]) -> None:
    rows = db.execute(
        f"""
        SELECT topic, "partition", {_bucket("settled_at")} AS bucket, count(*)
        FROM sends WHERE outcome = 'acknowledged' AND settled_at IS NOT NULL GROUP BY ALL ORDER BY bucket
        """,
        _grid(timeline),
    ).fetchall()
    for name, curve in _by_series(rows, timeline).items():
        lines.setdefault(name, Series(name)).acknowledged = curve
    total, first, last = db.execute(
        "SELECT count(*), min(sent_at), max(settled_at) FROM sends WHERE outcome = 'acknowledged'"
    ).fetchone() or (0, None, None)
    _rate(timeline, "acknowledged per second", total, first, last)


def _read(db: duckdb.DuckDBPyConnection, timeline: Timeline, lines: dict[str, Series]) -> None:
    rows = db.execute(
        f"""
        WITH firsts AS (
            SELECT topic, "partition", "offset", min(read_at) AS first_read FROM reads
            WHERE read_at IS NOT NULL GROUP BY ALL
        )
        SELECT topic, "partition", {_bucket("first_read")} AS bucket, count(*)
        FROM firsts GROUP BY ALL ORDER BY bucket
        """,
        _grid(timeline),
    ).fetchall()
    for name, curve in _by_series(rows, timeline).items():
        lines.setdefault(name, Series(name)).read = curve
    span = db.execute("SELECT count(*), min(read_at), max(read_at) FROM reads").fetchone()
    total, first, last = span or (0, None, None)
    _rate(timeline, "read per second", total, first, last)


def _rate(timeline: Timeline, name: str, total: int, first: datetime | None, last: datetime | None) -> None:
    if total >= ENOUGH_FOR_RATES and first is not None and last is not None and last > first:
        timeline.rates[name] = round(total / (last - first).total_seconds())


def _latency(db: duckdb.DuckDBPyConnection, timeline: Timeline) -> None:
    taken = "(epoch_us(settled_at) - epoch_us(sent_at)) / 1000.0"
    known = "outcome = 'acknowledged' AND settled_at IS NOT NULL AND sent_at IS NOT NULL"
    total, p50, p99 = db.execute(
        f"SELECT count(*), quantile_cont({taken}, 0.5), quantile_cont({taken}, 0.99) FROM sends WHERE {known}"
    ).fetchone() or (0, None, None)
    if total < ENOUGH_FOR_RATES:
        return
    timeline.rates |= {MEDIAN: round(p50, 2), MOST: round(p99, 2)}
    rows = db.execute(
        f"""
        SELECT {_bucket("settled_at")} AS bucket, quantile_cont({taken}, 0.5), quantile_cont({taken}, 0.99)
        FROM sends WHERE {known} GROUP BY bucket ORDER BY bucket
        """,
        _grid(timeline),
    ).fetchall()
    width = timeline.seconds / BUCKETS
    timeline.latency = [Latency((bucket + 0.5) * width, p50, p99) for bucket, p50, p99 in rows]


def _faults(events: Sequence[Event], timeline: Timeline) -> list[Fault]:
    def since(at: datetime) -> float:
        return (at - timeline.start).total_seconds() if timeline.start else 0.0

    lasting = [
        Fault(f"{o.subject} {o.what}", since(o.begin), timeline.seconds if o.end is None else since(o.end))
        for o in outages(events)
    ]
    brief: list[Fault] = []
    times: list[int] = []
    latest: dict[str, int] = {}
    for event in moments(events):
        words, at = f"{event.subject} {event.what}", since(event.at)
        index = latest.get(words)
        if index is not None and at - brief[index].begin < CLOSE * timeline.seconds:
            times[index] += 1
        else:
            latest[words] = len(brief)
            brief.append(Fault(words, at, at))
            times.append(1)
    counted = [f._replace(words=f"{f.words} x{n}") if n > 1 else f for f, n in zip(brief, times, strict=True)]
    return sorted(lasting + counted, key=lambda fault: fault.begin)


def _marks(
    db: duckdb.DuckDBPyConnection, have: Mapping[str, bool], timeline: Timeline, anomaly: str, found: Mapping[str, Any]
) -> list[Mark]:
    """Where the examples of one anomaly lie; those close together in one series are one mark."""
    marks: dict[tuple[str, int], Mark] = {}
    for example in found.get("examples") or []:
        if not isinstance(example, Mapping):
            continue
        at, series = _place(db, have, example)
        if at is None or timeline.start is None:
            continue
        seconds = min(max((at - timeline.start).total_seconds(), 0.0), timeline.seconds)
        key = (series, round(40 * seconds / timeline.seconds))
        kept = marks.get(key)
        marks[key] = kept._replace(count=kept.count + 1) if kept else Mark(seconds, series, anomaly, 1)
    return list(marks.values())


def _place(
    db: duckdb.DuckDBPyConnection, have: Mapping[str, bool], example: Mapping[str, Any]
) -> tuple[datetime | None, str]:
    """When and where an example happened: from its own fields, else from the send or the read it names."""
    topic, partition, offset = (example.get(name) for name in ("topic", "partition", "offset"))
    series = _name(topic, partition) if topic is not None and partition is not None else ""
    for name in ("settled_at", "sent_at", "read_at", "committed_at", "at"):
        at = _moment(example.get(name))
        if at is not None:
            return at, series
    row = None
    publisher, sequence = example.get("publisher"), example.get("sequence")
    if have["sends"] and publisher is not None and sequence is not None:
        row = db.execute(
            'SELECT coalesce(settled_at, sent_at), topic, "partition" FROM sends '
            "WHERE publisher = $p AND sequence = $s",
            {"p": publisher, "s": sequence},
        ).fetchone()
    if row is None and have["reads"] and series and offset is not None:
        row = db.execute(
            'SELECT min(read_at), $t, $p FROM reads WHERE topic = $t AND "partition" = $p AND "offset" = $o',
            {"t": topic, "p": partition, "o": offset},
        ).fetchone()
    return (row[0], series or _name(row[1], row[2])) if row else (None, series)


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).replace(tzinfo=None)
        except ValueError:
            return None
    return None
