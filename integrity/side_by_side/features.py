"""behave's list of features, where several processes work on it: what a worker runs, and what stands in its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from integrity import machine
from integrity.side_by_side.crew import Crew, WorkerDied
from integrity.side_by_side.member import Member

#: With fewer features than this a second process takes longer to start than it saves.
WORTH_IT = 3

#: What a worker may need: three brokers and what reads from them (bytes).
MEMORY = 2 << 30

#: More processes than this are not started unless asked for: by then the longest feature sets the time.
MOST_WORKERS = 6

#: A feature's scenarios take about this much longer with three brokers than with one.
CLUSTERS_FACTOR = 1.5

#: And this much (in scenarios of no particular length) where their steps speak of what one has to wait for.
LONGER = {
    re.compile(r"started again|killed|stopped|frozen|the power"): 4.0,
    re.compile(r"transaction"): 3.0,
    re.compile(r"again and again|cut off"): 3.0,
    re.compile(r"group"): 2.0,
}

#: What a step speaks of may happen as many times as it says, or to each of three brokers.
OFTEN = re.compile(r"(\d+) times")
TO_EACH = re.compile(r"every broker")

#: Formats of behave's whose output may be passed on piece by piece, as text. Others are files of their own.
PASSED_ON = {"plain", "pretty", "progress", "progress2", "progress3"}


def fitting(per_processor: float, room: machine.Room) -> int:
    """How many workers there is room for, by processors and memory; at least 1."""
    return int(max(1, min(room.processors * per_processor, room.memory // MEMORY, MOST_WORKERS)))


def is_selected(feature, config) -> bool:
    """Whether a scenario of the feature is to run. To behave a feature is selected though no name in it is."""
    return feature.should_run(config) and any(s.should_run(config) for s in feature.walk_scenarios())


def selected(runner) -> list[int]:
    """The indices of the features that this run is to run, in order."""
    return [i for i, feature in enumerate(runner.features) if is_selected(feature, runner.config)]


def how_many(jobs: int | None, runner, per_processor: float, room: Callable[[], machine.Room] = machine.room) -> int:
    """How many workers the run has; 1: none, it runs its features itself.

    jobs: the option; None takes what the machine has. per_processor, room: see integrity.brokers.kinds.BrokerKind.
    """
    config = runner.config
    features = len(selected(runner))
    if not per_processor or config.dry_run or features < 2:
        return 1
    if any(output.name for output in config.outputs or []) or not set(config.format or []) <= PASSED_ON:
        return 1
    if jobs is None:
        jobs = config.jobs if config.jobs > 1 else 1 if features < WORTH_IT else fitting(per_processor, room())
    return min(jobs, features)


def lengths(runner, is_cluster: Callable[[Any], bool]) -> dict[int, float]:
    """How long each selected feature takes, compared to others, by what can be told beforehand."""
    found = {}
    for index in selected(runner):
        feature = runner.features[index]
        factor = CLUSTERS_FACTOR if is_cluster(feature) else 1.0
        scenarios = [s for s in feature.walk_scenarios() if s.should_run(runner.config)]
        found[index] = factor * sum(_length([step.name for step in s.all_steps]) for s in scenarios)
    return found


def _length(steps: Sequence[str]) -> float:
    """About how long a scenario with these steps takes, compared to one in which nothing is waited for."""
    return 1.0 + sum(
        more * max((_times(step) for step in steps if words.search(step)), default=0) for words, more in LONGER.items()
    )


def _times(step: str) -> int:
    """How many times the step has to be waited for."""
    often = OFTEN.search(step)
    return int(often[1]) if often else 3 if TO_EACH.search(step) else 1


def hand_out(runner, crew: Crew, receive: Callable[[Any, Any], None], lost: Callable[[WorkerDied], None]) -> None:
    """Have the crew run the selected features: behave's own loop over them then only waits for each to be over.

    receive: called with a feature and how it went. lost: called when its process died; the feature then runs here,
    where its scenarios are to raise what ``lost`` was given.
    """

    def run(feature, index: int) -> bool:
        try:
            view, failed = crew.outcome_of(index)
        except WorkerDied as error:
            lost(error)
            return type(feature).run(feature, runner)
        except KeyboardInterrupt:
            for other in selected(runner):
                known = crew.known(other)
                if known is not None:
                    receive(runner.features[other], known)
            raise
        receive(feature, view)
        return failed

    for index in selected(runner):
        feature = runner.features[index]
        feature.run = lambda runner, feature=feature, index=index: run(feature, index)


def _has_failed(feature) -> bool:
    """Whether anything in the feature failed: behave's verdict, and that of each scenario.

    Both, as behave 1.3 calls an outline passed, for good, if somebody asks while examples of it have not run yet.
    """
    scenarios = feature.walk_scenarios()
    return feature.hook_failed or feature.status.has_failed() or any(s.status.has_failed() for s in scenarios)


class Handed:
    """A worker's side: behave's loop goes over a list that grows by one feature whenever one is over."""

    def __init__(self, runner, member: Member) -> None:
        self._runner = runner
        self._member = member
        self._all = list(runner.features)
        runner.features.clear()

    def begin(self) -> None:
        """Everything is ready: ask for the first feature."""
        self._append(self._member.first())

    def over(self, feature, view) -> None:
        """``feature`` is over: the run hears of it, and the next one takes its place at the end of the list."""
        self._append(self._member.next(view, failed=_has_failed(feature)))

    def _append(self, index: int | None) -> None:
        if index is not None and not self._runner.aborted:
            self._runner.features.append(self._all[index])
