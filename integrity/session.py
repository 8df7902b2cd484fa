"""One run of behave: what its hooks do, in the order of life.

Clean-up is layered so that nothing is left behind however the run ends: a broker that a scenario has harmed is taken
down after it, the run's end takes down all others and what a hook could not, the interpreter's exit does so again, and
after a kill -9 the next run sweeps.
"""

from __future__ import annotations

import atexit
import gc
import os
import platform
import random
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Any, NoReturn

from integrity import progress, vocabulary, waiting
from integrity import reports as reporting
from integrity import settings as options
from integrity.brokers import access, administration, metadata_version
from integrity.brokers.base import Broker
from integrity.brokers.choice import Brokers, choose
from integrity.clients import driver
from integrity.errors import NotPossible, SuiteError
from integrity.reports.model import RunFacts
from integrity.runs import Run
from integrity.scene import Scene, ServerSettings
from integrity.side_by_side import features
from integrity.side_by_side.crew import Crew
from integrity.side_by_side.line import Terms
from integrity.side_by_side.member import Member
from integrity.waiting import WaitTimeout

#: What a feature needs, by its tag: brokers that replicate to each other, the same over a network that can be cut,
#: none, because each of its scenarios says which one it wants; or, without a tag, one broker.
CLUSTER = "cluster"
SEVERABLE = "severable_cluster"
OWN_BROKER = "own_broker"
ONE_BROKER = "one broker"


def _need(feature) -> str:
    return next((need for need in (CLUSTER, SEVERABLE, OWN_BROKER) if need in feature.tags), ONE_BROKER)


def serves(has: str, need: str) -> bool:
    """Whether brokers for one need serve another: a network that can be cut need not be."""
    return has == need or (has, need) == (SEVERABLE, CLUSTER)


def _server_properties(broker: Broker | None) -> dict[str, Mapping[str, str]]:
    """Those of each single broker, by its label, where they are known."""
    nodes = broker.nodes if broker is not None else ()
    return {node.label: node.server_properties for node in nodes if node.server_properties}


def _properties_of(scene: Scene) -> dict[str, Mapping[str, str]]:
    try:
        return _server_properties(scene.broker)
    except SuiteError:  # its feature has none, and it has not come to one of its own
        return {}


def stop_at_once(error: SuiteError) -> NoReturn:
    """End the process with one line. A hook that raises would run every reporter over features that never began."""
    sys.stdout.flush()
    sys.stderr.write(progress.printable(f"kafka-integrity: {error}", sys.stderr.encoding) + "\n")
    sys.stderr.flush()
    os._exit(2)


def collect_garbage_rarely() -> None:
    """Python would look for cycles among the young objects at every 700 new ones: with messages, which have none, that
    takes a tenth of its time.
    """
    gc.set_threshold(50_000)


#: The signals that ended the run so far. A library may turn the KeyboardInterrupt below into an error of its own
#: (DuckDB does, in the middle of a query): then the step fails, and the next scenario is where the run ends.
_interruptions: list[int] = []


def _interrupt(number: int, frame: object) -> NoReturn:
    _interruptions.append(number)
    raise KeyboardInterrupt(f"signal {signal.Signals(number).name}")


class Session:
    """The settings, brokers and reports of one run, and the feature and scenario in hand."""

    def __init__(self, settings: options.Settings, run: Run, brokers: Brokers, reports: reporting.Reports) -> None:
        self.settings = settings
        self.run = run
        self.brokers = brokers
        self.reports = reports
        self.driver = driver(settings.client)
        self.watch = progress.Watch()
        self.broker: Broker | None = None
        #: Brokers with other settings that scenarios of the feature in hand have asked for, by these settings.
        self._others: dict[ServerSettings, Broker] = {}
        self.scene: Scene | None = None
        #: For which need ``broker`` was made.
        self._broker_is = ONE_BROKER
        self._broker_error: Exception | None = None
        self._spare: Broker | None = None
        self._spare_is = ONE_BROKER
        #: What each feature that is still to run needs, in their order; and what the one in hand needs.
        self._ahead: list[str] = []
        self._needed = ONE_BROKER
        self._scenes = 0
        #: Whether any scenario of a feature is to run.
        self._is_selected: Callable[[Any], bool] = lambda feature: True
        #: What the steps of a scenario ask of its broker, which may not be there.
        self._demanded: Callable[[Any], Iterable[str]] = lambda scenario: ()
        #: The processes that work on the features, where there are several; and why the feature in hand has no result.
        self._crew: Crew | None = None
        self._lost: SuiteError | None = None

    @classmethod
    def begin(cls, context) -> Session:
        """Read the options, sweep after dead runs, choose the broker. Ends the process with a line when it cannot."""
        collect_garbage_rarely()
        # behave knows Ctrl-C only; SIGTERM would skip every clean-up and report.
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGINT, _interrupt)
        runner, run = context._runner, None
        member = Member.of_this_process()
        try:
            if member is not None:
                context.config.userdata |= {"broker": member.terms.broker, "seed": str(member.terms.seed)}
                progress.watched_through_another(member.terms.interactive)
            settings = options.from_userdata(context.config.userdata)
            waiting.set_timeout_factor(settings.timeout_factor)
            facts = RunFacts(
                seed=settings.seed if settings.seed is not None else random.randrange(2**32),
                client=f"{settings.client} {metadata.version(settings.client)}",
                more={"python": platform.python_version()},
                settings={name: options.shown(settings, name) for name in options.OPTIONS},
            )
            handed = features.Handed(runner, member) if member is not None else None
            reports = reporting.install(context, facts, tell=handed.over if handed is not None else None)
            run = Run.begin()
            run.take_in_temporary_files()
            for words in run.swept:
                progress.say(words)
            choice = choose(settings)
            progress.say(f"Broker: {choice.kind} ({choice.reason})")
            brokers = Brokers(settings, choice, run)
            facts.broker, facts.broker_why = choice.kind, choice.reason
            facts.kafka, facts.secrets = brokers.version, access.secrets(settings)
        except SuiteError as error:
            if run is not None:
                run.end()
            stop_at_once(error)
        random.seed(facts.seed)
        vocabulary.make_skippable(runner.step_registry)
        session = cls(settings, run, brokers, reports)
        session._is_selected = lambda feature: features.is_selected(feature, context.config)
        session._demanded = lambda scenario: vocabulary.demanded(runner.step_registry, scenario.all_steps)
        atexit.register(session.end)
        if handed is not None:
            handed.begin()
            return session
        workers = features.how_many(settings.jobs, runner, brokers.features_per_processor, brokers.kind.room)
        if workers > 1:
            session._hand_out(runner, workers)
        else:
            session._ahead = [_need(runner.features[index]) for index in features.selected(runner)]
            session._launch_spare()
        return session

    def _hand_out(self, runner, workers: int) -> None:
        """Have that many processes work on the features side by side; this one has the reports and the last word."""
        facts = self.reports.run
        progress.say(f"Features side by side: {workers} at a time (-D jobs=1 for one after the other)")
        terms = Terms(facts.broker, facts.seed, progress.is_interactive())
        lengths = features.lengths(runner, lambda feature: _need(feature) in (CLUSTER, SEVERABLE))
        needs = {index: need for index in lengths if (need := _need(runner.features[index])) != OWN_BROKER}
        self._crew = Crew(workers, lengths, terms, self.run.directory, needs=needs, serves=serves)
        features.hand_out(runner, self._crew, self.reports.receive, self._lose)

    def _lose(self, error: SuiteError) -> None:
        """The next feature's scenarios are errors with these words: it was lost with the process that ran it."""
        self._lost = error

    # -- features -----------------------------------------------------------------------------------
    def open_feature(self, feature) -> None:
        """A broker, a cluster of them for a feature with that tag, none for one whose scenarios bring their own: the
        one that has served the feature before and is still good, where that is what is needed, or a fresh one.

        One that cannot start is remembered: raised here, it would turn into silent skips.
        """
        if not self._is_selected(feature):
            return
        self._needed = _need(feature)
        if self._ahead:
            self._ahead.pop(0)
        if not serves(self._broker_is, self._needed):
            try:
                self._discard_broker()
            except Exception as error:  # noqa: BLE001 - no fault of this feature; the run's end tries again, and raises
                progress.say(f"What the features before had made could not be cleaned up: {error}")
        if self.broker is None or self._lost is not None:
            self._fresh_broker()
        else:
            self._launch_spare()

    def _fresh_broker(self) -> None:
        self._broker_error = self._lost
        if self._lost is not None:
            return
        if self._needed != OWN_BROKER:
            spare = self._take_spare()
            self._broker_is = self._needed
            try:
                self.broker = spare or self._create(self._needed)
                if spare is None:
                    self.broker.launch()
                self.broker.await_ready()
                self._ask_which_kafka(self.broker)
            except Exception as error:  # noqa: BLE001 - raised by open_scene, for each scenario it concerns
                self._broker_error = error
        self._launch_spare()

    def _ask_which_kafka(self, broker: Broker) -> None:
        """Once a run: the brokers of all its features are alike."""
        facts = self.reports.run
        facts.metadata_version = facts.metadata_version or metadata_version.told_by(broker.connection)

    def _create(self, need: str) -> Broker:
        if need == ONE_BROKER:
            return self.brokers.create()
        return self.brokers.create_cluster(severable=need == SEVERABLE)

    def _take_spare(self) -> Broker | None:
        """The broker that was launched ahead, if it is what is needed now."""
        if self._spare is None or self._spare_is != self._needed:
            return None
        spare, self._spare = self._spare, None
        return spare

    def _launch_spare(self) -> None:
        """Have the next feature's broker boot while this one's scenarios run: a boot is mostly waiting."""
        if self._spare is not None or not self._ahead or not self.brokers.boot or self._ahead[0] == OWN_BROKER:
            return
        if self.brokers.lasting and self.broker is not None and serves(self._broker_is, self._ahead[0]):
            return  # the one that is there will serve it as well
        spare = None
        try:
            spare = self._create(self._ahead[0])
            spare.launch()
            self._spare, self._spare_is = spare, self._ahead[0]
        except Exception:  # noqa: BLE001 - the feature that needs it tries again, and then the error counts
            if spare is not None:
                try:
                    self.brokers.discard(spare)
                except Exception as error:  # noqa: BLE001 - no fault of this feature; the run's end tries again, and raises
                    progress.say(f"What could not be launched ahead could not be cleaned up either: {error}")

    def close_feature(self) -> None:
        self._lost = None
        for settings in list(self._others):
            self.brokers.discard(self._others.pop(settings))
        if not self.brokers.lasting or self._broker_error is not None:
            self._discard_broker()

    def _discard_broker(self) -> None:
        # One that resists serves nobody any more; the run's end tries again to take it down.
        broker, self.broker = self.broker, None
        if broker is not None:
            self.brokers.discard(broker)

    # -- scenarios ----------------------------------------------------------------------------------
    def open_scene(self, scenario) -> Scene | None:
        """What the scenario works with; None, and the scenario is skipped, where the broker cannot be what it needs."""
        if _interruptions:
            raise KeyboardInterrupt(f"signal {signal.Signals(_interruptions[0]).name}")
        facts = self.reports.scenario(scenario)
        if self.broker is None:
            self._fresh_broker()
        try:
            if self._broker_error is not None:
                raise self._broker_error
            if self.broker is not None:  # without one, it is its own that must be able to
                for ability in self._demanded(scenario):
                    self.broker.demand(ability)
        except NotPossible as reason:
            scenario.skip(str(reason))
            return None
        # A scenario that is run again alone draws the same numbers.
        random.seed(f"{self.reports.run.seed}:{scenario.location}")
        self._scenes += 1
        folder = self.run.directory / f"scenario-{self._scenes}"
        self.scene = Scene(self.broker, self._others, self.brokers, self.driver, folder, facts)
        return self.scene

    def close_scene(self, scenario) -> None:
        scene, self.scene = self.scene, None
        if scene is None:  # no broker for it: what that said is all there is
            logs = {self.broker.label: self.broker.log()} if self.broker is not None else {}
            self.reports.keep_evidence(
                scenario, keep=self.settings.keep, logs=logs, properties=_server_properties(self.broker)
            )
            return
        passed = scenario.status.name == "passed"
        try:
            scene.close(passed=passed)
        finally:
            try:
                self.reports.keep_evidence(
                    scenario,
                    keep=self.settings.keep,
                    logs=scene.logs(),
                    properties=_properties_of(scene),
                    history=scene.history,
                    move=True,
                )
                scene.discard()
            finally:
                self._keep_usable(scene.broker if scene.spoiled or (scene.tampered and not passed) else None)

    def _keep_usable(self, spoiled: Broker | None) -> None:
        """Discard the brokers that must not serve another scenario, which gets a fresh one then.

        No scenario may depend on what an earlier one did to the broker. Its topics are deleted: a broker that has to
        recover those of all scenarios before takes the longer to start, the more there were.
        """
        for settings, broker in list(self._others.items()):
            if broker is spoiled or not self._is_usable(broker):
                self.brokers.discard(self._others.pop(settings))
        if self.broker is not None and (self.broker is spoiled or not self._is_usable(self.broker)):
            self._discard_broker()

    def _is_usable(self, broker: Broker) -> bool:
        """Whether it can serve another scenario; one that lasts has no topics then."""
        if not broker.is_usable():
            return False
        if self.brokers.lasting:
            try:
                administration.delete_topics(broker.bootstrap_servers)
            except (OSError, administration.Refused, WaitTimeout):
                return False
        return True

    # -- the end ------------------------------------------------------------------------------------
    def end(self) -> None:
        """Take down whatever is left. Called by the last hook and again at exit; the second call finds nothing."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not cut the clean-up short
        atexit.unregister(self.end)
        self.watch.end()
        try:
            if self._crew is not None:
                self._crew.end()
        finally:
            try:
                self.brokers.discard_all()
            finally:
                self.run.end()
