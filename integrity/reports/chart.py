"""Timelines as inline SVG: lanes of acknowledged and read counts, faults shaded across them, anomalies marked.

Nothing is told by colour alone: acknowledged is a solid line, read a dashed one, a fault a band with dashed edges and
its name, an anomaly a cross with its name. Colours come from the page's style (light and dark).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from integrity.reports.text import clean, one_line
from integrity.reports.timeline import BUCKETS, Fault, Mark, Series, Timeline

#: Widths in pixels: a desktop's column, a phone's.
WIDE, NARROW = 760, 340

#: More lanes than this are summed up in one.
MOST_LANES = 12

#: Rows of names above the lanes; a storm of faults must not push the picture off the screen.
MOST_LABEL_ROWS = 6

_LANE, _GAP, _LABEL, _ROW, _AXIS, _MARGIN = 40, 26, 15, 16, 24, 8
_CHARACTER = 6.3  # an upper bound of a letter's mean width at 11 px: labels are placed before any font is known


@dataclass
class _Scale:
    """Seconds to pixels."""

    seconds: float
    width: float

    def x(self, seconds: float) -> float:
        share = min(max(seconds / self.seconds, 0.0), 1.0)
        return _MARGIN + share * (self.width - 2 * _MARGIN)


def timeline_svg(timeline: Timeline, width: int = WIDE) -> str:
    """The picture of messages over time; '' when there is nothing to draw."""
    lanes = _lanes(timeline)
    if not lanes and not timeline.faults:
        return ""
    scale = _Scale(timeline.seconds, width)
    labels, rows = _fault_labels(timeline.faults, scale)
    top = rows * _ROW + 4
    bottom = top + len(lanes) * (_LANE + _GAP) + 2
    parts = [_bands(timeline.faults, scale, top - 2, bottom), *labels]
    for index, lane in enumerate(lanes):
        y = top + index * (_LANE + _GAP)
        marks = [mark for mark in timeline.marks if _lane_of(mark, lanes) == index]
        parts += _lane(lane, marks, scale, y + _LABEL + 4)
    parts.append(_axis(scale, bottom))
    return _svg(width, bottom + _AXIS, describe(timeline), parts)


def latency_svg(timeline: Timeline, width: int = WIDE) -> str:
    """The picture of the time from send to acknowledgement; '' when too little was sent to tell."""
    if len(timeline.latency) < 2:
        return ""
    scale = _Scale(timeline.seconds, width)
    highest = max(point.p99 for point in timeline.latency) or 1.0
    top, height = 20, 70

    def path(values: list[tuple[float, float]]) -> str:
        drawn, before = [], -math.inf
        for seconds, value in values:
            # Where nothing was acknowledged there is nothing to connect; a point alone shows as a dot.
            going_on = seconds - before < 3 * timeline.seconds / BUCKETS
            place = f"{scale.x(seconds):.1f} {top + height - value / highest * height:.1f}"
            drawn.append(f"L{place}" if going_on else f"M{place}h.1")
            before = seconds
        return "".join(drawn)

    parts = [
        _bands(timeline.faults, scale, top, top + height),
        f'<line class="base" x1="{_MARGIN}" x2="{width - _MARGIN}" y1="{top + height}" y2="{top + height}"/>',
        f'<line class="grid" x1="{_MARGIN}" x2="{width - _MARGIN}" y1="{top}" y2="{top}"/>',
        _text(_MARGIN, top - 6, f"{figure(highest)} ms"),
        f'<path class="acknowledged" d="{path([(p.seconds, p.p50) for p in timeline.latency])}"/>',
        f'<path class="read" d="{path([(p.seconds, p.p99) for p in timeline.latency])}"/>',
        _axis(scale, top + height),
    ]
    said = f"Time from send to acknowledgement over {timeline.seconds:.1f} s: 99 in 100 within {figure(highest)} ms."
    return _svg(width, top + height + _AXIS, said, parts)


def describe(timeline: Timeline) -> str:
    """The picture in words, for those who do not see it."""
    said = [f"{len(timeline.series)} partitions over {timeline.seconds:.1f} s"]
    for fault in timeline.faults:
        said.append(f"{fault.words} at {fault.begin:.1f} s" + (f" until {fault.end:.1f} s" if _lasts(fault) else ""))
    counts: dict[str, int] = {}
    for mark in timeline.marks:
        counts[mark.anomaly] = counts.get(mark.anomaly, 0) + mark.count
    said += [f"{count} marked as {anomaly}" for anomaly, count in counts.items()]
    return "Messages over time: " + "; ".join(said) + "."


def figure(value: object) -> str:
    """A number as people write it: thousands parted, no more decimals than say something."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clean(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if value != int(value):
            return f"{value:,.1f}" if abs(value) >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{int(value):,}"


def _lanes(timeline: Timeline) -> list[Series]:
    if len(timeline.series) <= MOST_LANES:
        return timeline.series
    # Partitions with an anomaly must not vanish in the sum.
    marked = {mark.series for mark in timeline.marks}
    first = sorted(timeline.series, key=lambda s: s.name not in marked)[: MOST_LANES - 1]
    names = {s.name for s in first}
    shown = [s for s in timeline.series if s.name in names]
    rest = [s for s in timeline.series if s.name not in names]
    acknowledged, read = _sum([s.acknowledged for s in rest]), _sum([s.read for s in rest])
    return [*shown, Series(f"{len(rest)} more partitions", acknowledged, read)]


def _sum(curves: list[list[tuple[float, int]]]) -> list[tuple[float, int]]:
    """Cumulative curves added up."""
    steps: dict[float, int] = {}
    for curve in curves:
        before = 0
        for at, count in curve:
            steps[at] = steps.get(at, 0) + count - before
            before = count
    total, summed = 0, []
    for at in sorted(steps):
        total += steps[at]
        summed.append((at, total))
    return summed


def _lane_of(mark: Mark, lanes: list[Series]) -> int:
    for index, lane in enumerate(lanes):
        if lane.name == mark.series:
            return index
    return len(lanes) - 1 if mark.series else 0


def _lane(lane: Series, marks: list[Mark], scale: _Scale, top: float) -> list[str]:
    acknowledged = lane.acknowledged[-1][1] if lane.acknowledged else 0
    read = lane.read[-1][1] if lane.read else 0
    highest = max(acknowledged, read, 1)
    base = top + _LANE
    right = scale.width - _MARGIN
    parts = [
        f'<line class="base" x1="{_MARGIN}" x2="{right}" y1="{base}" y2="{base}"/>',
        _text(_MARGIN, top - 6, _cut(one_line(lane.name), right * 0.45), "name"),
        _text(right, top - 6, f"{acknowledged:,} acknowledged, {read:,} read", anchor="end"),
    ]
    for kind, curve in (("acknowledged", lane.acknowledged), ("read", lane.read)):
        if curve:
            steps = [f"M{scale.x(curve[0][0]):.1f} {base:.1f}"]
            steps += [f"L{scale.x(at):.1f} {base - count / highest * _LANE:.1f}" for at, count in curve]
            parts.append(f'<path class="{kind}" d="{"".join(steps)}H{right:.1f}"/>')
    for mark in marks:
        x, y = scale.x(mark.seconds), top + _LANE / 2
        words = mark.anomaly.replace("_", " ") + (f" x{mark.count}" if mark.count > 1 else "")
        room = len(words) * _CHARACTER + 10
        anchor, side = ("start", 9) if x + room < scale.width else ("end", -9)
        parts.append(f'<path class="cross" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"/>')
        parts.append(_text(x + side, y + 4, words, "anomaly", anchor))
    return parts


def _lasts(fault: Fault) -> bool:
    return fault.end > fault.begin


def _bands(faults: list[Fault], scale: _Scale, top: float, bottom: float) -> str:
    parts = []
    for fault in faults:
        left, right = scale.x(fault.begin), scale.x(fault.end)
        if _lasts(fault):
            size = f'width="{max(right - left, 1):.1f}" height="{bottom - top}"'
            parts.append(f'<rect class="fault" x="{left:.1f}" y="{top}" {size}/>')
        edges = {f"{left:.1f}", f"{right:.1f}"}
        parts += [f'<path class="edge" d="M{x} {top}V{bottom}"/>' for x in sorted(edges)]
    return "".join(parts)


def _fault_labels(faults: list[Fault], scale: _Scale) -> tuple[list[str], int]:
    """Labels above the lanes, each on the first row where it fits, and the number of rows.

    Where there is no room left a fault keeps its edges and loses its name: the list of events below has it.
    """
    ends: list[float] = []
    labels = []
    for fault in faults:
        words = one_line(fault.words) + (f" {fault.end - fault.begin:.1f} s" if _lasts(fault) else "")
        words = _cut(words, scale.width - 2 * _MARGIN)
        length = len(words) * _CHARACTER
        x = min(scale.x(fault.begin), scale.width - _MARGIN - length)
        row = next((i for i, end in enumerate(ends) if end + 8 <= x), len(ends))
        if row == MOST_LABEL_ROWS:
            continue
        ends[row : row + 1] = [x + length]
        labels.append(_text(max(x, _MARGIN), row * _ROW + 12, words, "fault-name"))
    return labels, len(ends)


def _axis(scale: _Scale, y: float) -> str:
    rough = scale.seconds / (7 if scale.width > 500 else 4)
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    digits = max(0, -math.floor(math.log10(step)))
    parts = []
    for index in range(int(scale.seconds / step) + 1):
        x = scale.x(index * step)
        anchor = "start" if index == 0 else "end" if x > scale.width - 20 else "middle"
        parts.append(f'<path class="tick" d="M{x:.1f} {y}v4"/>')
        parts.append(_text(x, y + 16, f"{index * step:.{digits}f} s", anchor=anchor))
    return "".join(parts)


def _cut(words: str, room: float) -> str:
    most = max(int(room / _CHARACTER), 4)
    return words if len(words) <= most else words[: most - 1] + "…"


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    name = f' class="{kind}"' if kind else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}"{place}>{escape(clean(words))}</text>'


def _svg(width: int, height: float, said: str, parts: list[str]) -> str:
    label = escape(one_line(said), quote=True)
    size = "wide" if width > NARROW else "narrow"
    inside = "".join(parts)
    return f'<svg class="{size}" viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{label}">{inside}</svg>'
