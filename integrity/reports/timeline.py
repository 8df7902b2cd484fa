"""A history over time: how many messages were acknowledged and read, when, and what broke meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Series:
    """One topic-partition: cumulative counts over seconds since the timeline's start, as (seconds, count)."""

    name: str
    acknowledged: list[tuple[float, int]] = field(default_factory=list)
    read: list[tuple[float, int]] = field(default_factory=list)


@dataclass
class Timeline:
    """What a timeline picture shows. seconds: its length."""

    seconds: float
    series: list[Series] = field(default_factory=list)
