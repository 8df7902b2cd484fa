"""JUnit, HTML, console and evidence: what a run leaves for people and machines.

The life cycle installs it once and fills in facts while scenarios run; behave itself says when to write::

    def before_all(context):
        context.reports = install(context, RunFacts(broker="embedded", kafka="4.3.1", seed=7))

    def before_scenario(context, scenario):
        context.facts = context.reports.scenario(scenario)
        if context.broker_error:            # so it becomes an <error> that says why
            raise context.broker_error

Everything hangs on behave's *reporters*, not its formatters: reporters hear of every feature, also of those that an
interrupted run never reached, whatever ``--format`` a person chooses. JUnit files are written feature by feature, the
page and the last lines at the run's end. Should behave never get there (a second Ctrl-C), they are written when the
process exits.
"""

from __future__ import annotations

import atexit
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from behave.configuration import Configuration
from behave.model import Feature, Rule, Scenario
from behave.reporter.base import Reporter
from behave.runner import Context, ModelRunner

from integrity.errors import Unavailable
from integrity.reports import console, evidence, html, junit, streams, views
from integrity.reports.model import Event, RunFacts, ScenarioFacts, now
from integrity.reports.views import FeatureView, ScenarioView, feature_view, scenario_view

__all__ = ["Event", "Reports", "RunFacts", "ScenarioFacts", "install"]


class Reports:
    """The reports of one run. ``run`` and the facts may be changed until the run's end."""

    def __init__(self, context: Context, run: RunFacts, folder: Path) -> None:
        self.run = run
        self.folder = folder
        self._context = context
        self._features: dict[int, Feature] = {}
        self._facts: dict[int, tuple[Scenario, ScenarioFacts]] = {}
        self._first_views: dict[int, FeatureView] = {}
        #: Features that another process ran, as it saw them.
        self._received: dict[int, FeatureView] = {}
        self._finished = False
        #: Whether any scenario of the run ran; known at its end.
        self.checked = False
        self._junit: junit.HygienicJUnit | None = None

    @property
    def page(self) -> Path:
        """Where the HTML report is, or will be."""
        return self.folder / "report.html"

    def install_into(self, config: Configuration) -> None:
        """Hang on behave's reporters, and on the process's exit in case behave does not come to its end."""
        self._junit = junit.install(config, self.run, self.view)
        config.reporters.append(_AtTheEnd(config, self, self._context._runner))
        atexit.register(self._at_exit)

    def send_from(self, config: Configuration, tell: Callable[[Feature, FeatureView], None]) -> None:
        """In a process that runs features for another: instead of writing reports, ``tell`` how each feature went."""
        config.reporters[:] = [_ToTheRun(config, self, tell)]

    def receive(self, feature: Feature, view: FeatureView) -> None:
        """``view`` is how ``feature`` went in another process."""
        self.seen(feature)
        self._received[id(feature)] = view
        self.run.metadata_version = self.run.metadata_version or view.metadata_version

    def scenario(self, scenario: Scenario) -> ScenarioFacts:
        """The facts of ``scenario``: made at the first call (in before_scenario), the same ones ever after."""
        kept = self._facts.get(id(scenario))
        if kept is None:
            facts = ScenarioFacts(rerun=evidence.rerun_command(str(scenario.location), self.run))
            kept = self._facts[id(scenario)] = (scenario, facts)
        self.seen(scenario.feature)
        return kept[1]

    def keep_evidence(
        self,
        scenario: Scenario,
        *,
        keep: str = evidence.FAILED_ONLY,
        logs: Mapping[str, str] | None = None,
        properties: Mapping[str, Mapping[str, str]] | None = None,
        history: Path | None = None,
        move: bool = True,
    ) -> Path | None:
        """Write the evidence of ``scenario`` if ``keep`` (failed, always or never) wants it; call it in after_scenario.

        logs: a broker's label to its log of this scenario alone. properties: that label to its server properties.
        history: its folder of Parquet files, which is moved into the evidence (copied without ``move``); what is not
        kept stays where it was. Evidence of an earlier run of the same scenario is removed. Returns the folder, which
        is also noted in the scenario's facts, or None.
        """
        facts = self.scenario(scenario)
        feature, view = self._find(scenario)
        root = self.folder / "evidence"
        if not evidence.wanted(keep, view.status):
            evidence.clear(evidence.place(root, feature, view))
            return None
        kept = evidence.Kept(logs or {}, properties or {}, history, move)
        facts.evidence = evidence.write(root, feature, view, self.run, kept)
        return facts.evidence

    def _find(self, scenario: Scenario) -> tuple[FeatureView, ScenarioView]:
        """The scenario as it stands now, and its feature as it was first seen: names and places do not change."""
        feature = scenario.feature
        if id(feature) not in self._first_views:
            self._first_views[id(feature)] = self.view(feature)
        rule = next((above for above in _containers(scenario) if isinstance(above, Rule)), None)
        return self._first_views[id(feature)], scenario_view(scenario, feature, rule, self._noted, self.run)

    def stopped(self, error: BaseException | str) -> None:
        """Say why the run cannot go on: every scenario that has not run becomes an error with these words."""
        self.run.stopped = str(error) or type(error).__name__

    def seen(self, feature: Feature) -> None:
        """Remember that ``feature`` belongs into the reports."""
        self._features.setdefault(id(feature), feature)

    def view(self, feature: Feature) -> FeatureView:
        """``feature`` as the reports show it now."""
        self.seen(feature)
        if id(feature) in self._received:
            return self._received[id(feature)]
        self.run.interrupted = self.run.interrupted or (bool(self._context.aborted) and not self.run.stopped)
        return feature_view(feature, self._noted, self.run)

    def _noted(self, scenario: Scenario) -> ScenarioFacts | None:
        kept = self._facts.get(id(scenario))
        return kept[1] if kept else None

    def _at_exit(self) -> None:
        if not self._context.aborted and not self.run.stopped:
            self.stopped("behave ended before it had run every scenario")
        self.finish()

    def finish(self) -> None:
        """Write the page and say the last lines. behave's own end calls this; a second call does nothing."""
        if self._finished:
            return
        self.run.finished_at = now()
        if self._junit is not None:
            self._junit.missing(list(self._features.values()))
        features = [self.view(feature) for feature in list(self._features.values())]
        self.checked = any(scenario.status in views.RAN for feature in features for scenario in feature.scenarios)
        html.write(self.run, features, self.page)
        # Only now: a Ctrl-C before this point leaves the rest to the process's exit.
        self._finished = True
        atexit.unregister(self._at_exit)
        kept = any(scenario.facts.evidence for feature in features for scenario in feature.scenarios)
        console.show(self.run, features, self.page, self.folder / "evidence" if kept else None)


def _containers(scenario: Scenario) -> Iterator[object]:
    above = scenario.parent
    while above is not None:
        yield above
        above = above.parent


class _AtTheEnd(Reporter):
    """Collects the features as behave reports them, and finishes the reports when behave does.

    A run in which nothing was checked is no good run: whoever mistyped a name would take it for one, for ever.
    """

    def __init__(self, config: Configuration, reports: Reports, runner: ModelRunner) -> None:
        super().__init__(config)
        self._reports = reports
        self._runner = runner

    def feature(self, feature: Feature) -> None:
        self._reports.seen(feature)

    def end(self) -> None:
        self._reports.finish()
        if not self._reports.checked:
            # Reporters come last, and cannot fail a run. Hooks can: by this number, which behave looks at after them.
            self._runner.hook_failures += 1


class _ToTheRun(Reporter):
    """Tells of each feature as soon as behave has reported it."""

    def __init__(self, config: Configuration, reports: Reports, tell: Callable[[Feature, FeatureView], None]) -> None:
        super().__init__(config)
        self._reports = reports
        self._tell = tell

    def feature(self, feature: Feature) -> None:
        self._tell(feature, self._reports.view(feature))


def install(
    context: Context,
    run: RunFacts,
    folder: Path | None = None,
    tell: Callable[[Feature, FeatureView], None] | None = None,
) -> Reports:
    """Take over JUnit and add the page and the console's last lines; call it once, in before_all.

    tell: see Reports.send_from; given in a process that runs features for another. folder: for report.html and
    evidence, by default ``reports`` beside environment.py; JUnit goes where behave's own options say. Raises
    Unavailable with one line when a folder cannot be written to.
    """
    config = context.config
    folder = folder or Path(config.base_dir or ".") / "reports"
    for place in [folder, *([Path(config.junit_directory)] if config.junit else [])]:
        _must_be_writable(place)
    program = "behave" if sys.argv[0].endswith("__main__.py") else os.path.basename(sys.argv[0])
    run.command = run.command or shlex.join([program, *sys.argv[1:]])
    run.options = run.options or dict(config.userdata_defines or [])
    run.settings = run.settings or dict(config.userdata)
    reports = Reports(context, run, folder)
    streams.forgive(config)
    console.keep_plain(context._runner.formatters)
    if tell is None:
        reports.install_into(config)
    else:
        reports.send_from(config, tell)
    return reports


def _must_be_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A name of its own: several processes of a run look at the same time.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Unavailable(f"the reports folder {folder} cannot be written to: {error.strerror}") from error
