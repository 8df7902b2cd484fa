"""One scenario at work: its broker, topics, clients and history, as the steps need them.

A step says what happens; a scene does it. What was sent and read with generated messages is recorded in the
scene's history and judged by all checks at once; the few scenarios with messages of a reader's own choosing
compare short lists of values instead.
"""

from __future__ import annotations

import itertools
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from integrity import anomalies, making_topics, progress
from integrity.brokers.base import Broker
from integrity.brokers.choice import Brokers
from integrity.clients import Connection, Driver, Message
from integrity.clients.base import Admin
from integrity.clients.said import ClientLog
from integrity.clients.security import secrets
from integrity.endings import end_all
from integrity.errors import NotPossible, SuiteError
from integrity.faults import process
from integrity.history import on_disk
from integrity.history.recorder import Recorder
from integrity.reports import timeline
from integrity.reports.model import ScenarioFacts

if TYPE_CHECKING:
    from integrity.scenes.worker import Worker

#: Bounds in seconds, before timeout_factor.
PUBLISH_SECONDS = 60.0
READ_SECONDS = 60.0

#: Server properties and their values.
ServerSettings = frozenset[tuple[str, str]]


class Part(Protocol):
    """Something a scene keeps for one area of sentences (a load under way, the members of a group)."""

    def __init__(self, scene: Scene) -> None: ...

    def close(self) -> None:
        """End what is under way; called once, before the history is closed."""


P = TypeVar("P", bound=Part)


class Scene:
    """State of one scenario; made before it, closed after it.

    broker: what it was given, None where its feature has none; one that wants another calls ``use_broker``. others: the
    feature's brokers with other settings, by these; brokers: makes and discards brokers. folder: where the history is
    written. facts: what the reports show of the scenario.
    spoiled: set it when the broker must not serve another scenario (damage that stays).
    tampered: set it when the broker may serve another scenario only if this one shows that nothing is wrong with it.
    """

    def __init__(
        self,
        broker: Broker | None,
        others: dict[ServerSettings, Broker],
        brokers: Brokers,
        driver: Driver,
        folder: Path,
        facts: ScenarioFacts,
    ) -> None:
        self._broker = broker
        self._others = others
        self.brokers = brokers
        self.spoiled = False
        self.tampered = False
        self._own_brokers: list[Broker] = []
        #: Where this scenario's part of each broker's log begins.
        self._log_marks = {node: node.log_mark() for node in (broker.nodes if broker is not None else ())}
        self._parts: dict[type, Part] = {}
        #: Every client that was set to work in a thread of its own.
        self.workers: list[Worker] = []
        self.driver = driver
        self.folder = folder
        self.facts = facts
        #: Generated topics of this scenario; every one of them is read to its end before a verdict.
        self.topics: list[str] = []
        #: How many partitions each of them has been given.
        self.partitions: dict[str, int] = {}
        #: Those of them that the scenario's own readers have read to their ends, after the last message was sent.
        self.already_read: set[str] = set()
        #: Where clients connect, when that is not at the brokers themselves (``host:port``, several by commas).
        self.route: str | None = None
        #: Whether every topic takes batches of a megabyte.
        self.takes_megabytes = True
        self._verdict: anomalies.Verdict | None = None
        self.sent: list[str] = []
        self.read: list[str] = []
        self._validating = False
        self._closed = False
        self._client_log = ClientLog(secrets(broker.connection.properties) if broker is not None else ())
        if broker is not None:
            broker.listener = self.note
            broker.begin_scenario()

    # -- parts --------------------------------------------------------------------------------------
    @property
    def broker(self) -> Broker:
        """The one it works with."""
        if self._broker is None:
            raise SuiteError(
                "no broker was started for this feature (@own_broker): its scenarios say which one they want"
            )
        return self._broker

    @property
    def connection(self) -> Connection:
        known = self.broker.connection
        return known if self.route is None else replace(known, bootstrap_servers=self.route)

    @cached_property
    def recorder(self) -> Recorder:
        first, label = self.brokers.identities
        return Recorder(self.folder, label=label, first_id=first)

    def note(self, subject: str, what: str, detail: str = "") -> None:
        """Put an event into the history and the report."""
        self.facts.event(subject, what, detail)
        self.recorder.event(subject, what, detail)

    def part(self, kind: Callable[[Scene], P]) -> P:
        """The scene's one ``kind``, made at the first call: ``scene.part(Load)``."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        return self._parts[kind]

    def use_broker(
        self,
        settings: Mapping[str, str],
        version: str | None = None,
        *,
        small_disk: bool = False,
        in_container: bool = False,
    ) -> Broker:
        """Work from now on with a broker that has these server properties: the one that an earlier scenario of the
        feature has left, or a new one.

        version: of Kafka, where it is not to be the run's; small_disk: on a volume that can be filled; one with either
        is this scenario's alone. in_container: one whose container can be removed. Raises NotPossible where it cannot
        be had.
        """
        alone = version is not None or small_disk
        alike = frozenset(settings.items())
        broker = None if alone else self._others.get(alike)
        if broker is not None:
            self._log_marks[broker] = broker.log_mark()
            broker.listener = self.note
        else:
            broker = self.brokers.create(settings)
            self._own_brokers.append(broker)
            if in_container:
                broker.demand("container")
            if version is not None:
                broker.become(version)
            if small_disk:
                broker.use_small_disk()
            self._log_marks[broker] = 0
            broker.listener = self.note
            broker.start()
            if small_disk:
                broker.expect_death()  # when the disk is full
            if not alone:
                self._own_brokers.remove(broker)
                self._others[alike] = broker
        self._broker = broker
        return broker

    # -- topics -------------------------------------------------------------------------------------
    def create_topic(self, partitions: int = 1, name: str | None = None, **configs: str) -> str:
        """Make an empty topic, under a name of its own unless one is given; returns its name.

        configs: settings of the topic, over making_topics.TOPIC.
        """
        topic = self.connection.own(name or f"topic-{len(self.topics) + 1}-{uuid.uuid4().hex[:8]}")
        with self.driver.admin(self.connection) as admin:
            if name is not None and admin.leaders(topic):
                # An earlier scenario used the name, with messages that are not ours, on a broker that keeps its topics.
                admin.delete_topic(topic)
            self.make_topic(admin, topic, partitions, configs)
        if name is None:
            self.topics.append(topic)
            self.partitions[topic] = partitions
        return topic

    def make_topic(self, admin: Admin, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        """Make the topic of that name on the cluster; raises NotPossible where its owner allows none such."""
        self.takes_megabytes &= making_topics.make(self.broker, self.driver, admin, topic, partitions, configs)

    # -- messages of a reader's own choosing -----------------------------------------------------------
    def produce(self, topic: str, values: Sequence[str]) -> None:
        """Publish these values to a topic of that name, each acknowledged before the next one is sent."""
        topic = self.create_topic(name=topic)
        progress.say("Producing messages to Kafka...")
        with self.driver.publisher(self.connection, identify=False) as publisher:
            for value in values:
                publisher.send_and_wait(Message(topic, value.encode()), PUBLISH_SECONDS)
        self.sent = list(values)
        self.facts.numbers["acknowledged"] = len(values)
        progress.say("✅ Messages successfully produced!")

    def consume(self, topic: str) -> None:
        """Read the topic from the beginning as a new consumer group, and on until nothing more comes."""
        progress.say("Consuming messages from Kafka...")
        with self.driver.reader(self.connection, group=f"group-{uuid.uuid4().hex[:8]}") as reader:
            reader.subscribe([self.connection.own(topic)])
            records = reader.read(len(self.sent), READ_SECONDS)
            records += reader.poll()  # a duplicate comes late
        self.read = [_text(record.value) for record in records]
        self.facts.numbers["read"] = len(self.read)

    def holdings(self, topic: str) -> list[str]:
        """The values in the topic from its beginning to its end, as a new reader gets them."""
        with self.driver.reader(self.connection) as reader:
            result = reader.read_to_end(self.connection.own(topic), READ_SECONDS, keep=True)
        if not result.complete:
            raise AssertionError(f"topic {topic!r} could not be read to its end: {result}")
        self.facts.numbers["read"] = len(result.records)
        return [_text(record.value) for record in result.records]

    def validating(self) -> list[str]:
        """The values read, about to be judged."""
        if not self._validating:
            progress.say("Validating message integrity...")
        self._validating = True
        return self.read

    # -- generated messages -----------------------------------------------------------------------------
    def publish(self, count: int) -> int:
        """Publish ``count`` generated messages over the scenario's topics; each must be acknowledged.

        Returns their publisher's number in the history, where their sequence numbers begin with 0.

        A topic's partitions take turns: a client left to choose may fill one of them and forget another.
        """
        share = count // len(self.topics)
        with self.driver.publisher(self.connection, self.recorder) as publisher:
            for topic in self.topics:
                publisher.publish(topic, share, partitions=range(self.partitions[topic]))
            publisher.flush(PUBLISH_SECONDS)
            counts, errors = dict(publisher.counts), dict(publisher.errors)
        if counts["acknowledged"] != share * len(self.topics):
            self.connection.check()
            raise AssertionError(f"not all of {count:,} messages were acknowledged: {counts}, errors {errors}")
        return publisher.id

    def read_everything(self) -> None:
        """Read all of the scenario's topics to their ends, into the history."""
        topics = [topic for topic in self.topics if topic not in self.already_read]
        if topics:
            with self.driver.reader(self.connection, self.recorder) as reader:
                result = reader.read_to_end(topics, READ_SECONDS)
                # A topic that is no longer there has nothing left to read: that is its end, and all of it is lost.
                for topic in set(topics) - {topic for topic, _ in result.ends}:
                    self.note("topic", "gone", f"{topic} is no longer there")
                    for partition in range(self.partitions.get(topic, 0)):
                        reader.log.end(topic, partition, 0, True, 0, time.time_ns())

    def verdict(self) -> anomalies.Verdict:
        """What all checks say of the history once everything has been read; the history is closed by the first call."""
        if self._verdict is not None:
            return self._verdict
        self.read_everything()
        self.recorder.close()
        verdict = self.judge(self.folder, self.topics)
        self.facts.verdict = verdict.as_json()
        self.facts.verdict_words = verdict.words()
        self.facts.numbers |= {"acknowledged": verdict.acknowledged, "read": verdict.read}
        self._verdict = verdict
        return verdict

    def judge(self, folder: Path, topics: Collection[str]) -> anomalies.Verdict:
        """What all checks say of the closed history in ``folder``; what is lost is looked for on the brokers' disks."""
        verdict = anomalies.check(folder)
        if not verdict.count("lost") or not self.broker.lends_files:
            return verdict
        # It tells lost on disk from lost in delivery.
        with ExitStack() as lent:
            directories = [self._directory(node, lent) for node in self.broker.nodes]
            found = (on_disk.records(directory, topics) for directory in directories)
            on_disk.write(folder, itertools.chain.from_iterable(found))
        return anomalies.check(folder)

    def _directory(self, node: Broker, lent: ExitStack) -> Path:
        """The broker's data directory; ``lent`` gives back what had to be lent for that."""
        if node.data_directory is not None:
            return node.data_directory
        # A container lends its files only while it is down. Killed, not stopped: the files stay as they are, and the
        # last nodes of a cluster would wait in vain for a controller to let them go.
        self.spoiled = True
        if node.is_alive():
            node.kill()
        return lent.enter_context(node.files())

    # -- faults -----------------------------------------------------------------------------------------
    def restart(
        self,
        how: str,
        while_down: Callable[[], None] | None = None,
        in_the_middle_of: AbstractContextManager = process.NOTHING,
    ) -> None:
        """Take the broker down and start it again on the same data; see integrity.faults.process.restart."""
        if while_down is not None:
            self.broker.demand("files")
        done = process.restart(self.broker, how, in_the_middle_of=in_the_middle_of, while_down=while_down)
        self.facts.numbers[f"{how} and back (s)"] = round(done.took, 2)

    # -- the end ----------------------------------------------------------------------------------------
    def close(self, *, passed: bool) -> None:
        """End all that is under way and close the history; on the console, confirm what was validated.

        Raises the first error of a part's when every part is ended and the history is whole; NotPossible only where
        nobody can have been told yet, because the scenario has passed: otherwise it is skipped for that, and several
        clients say so.
        """
        if self._closed:
            return
        self._closed = True
        try:
            parts = reversed(self._parts.values())  # what came later may need what was there before
            end_all([*(part.close for part in parts), self._client_log.end, self.recorder.close])
        except NotPossible:
            if passed:
                raise
        finally:
            self._draw(passed)
        if passed and self._validating:
            progress.say("✅ Kafka data integrity validation PASSED! 🎉")

    def _draw(self, passed: bool) -> None:
        """The history's picture, for the report."""
        if self.facts.verdict is not None or (self.topics and not passed):
            self.facts.timeline = timeline.from_history(self.folder, self.facts.verdict)

    @property
    def history(self) -> Path | None:
        """Where its history is; None for a scenario that recorded nothing but events."""
        return self.folder if self.topics else None

    def logs(self) -> dict[str, str]:
        """What each broker logged during this scenario, by its label, and what the clients' libraries complained of."""
        logs = {broker.label: broker.log(mark) for broker, mark in self._log_marks.items()}
        return logs | ({"clients": self._client_log.text} if self._client_log.text else {})

    def discard(self) -> None:
        """Take down the scenario's own brokers and delete its history, where it was not kept as evidence."""
        for broker in self._own_brokers:
            self.brokers.discard(broker)
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _text(value: bytes | None) -> str:
    return "null" if value is None else value.decode(errors="backslashreplace")
