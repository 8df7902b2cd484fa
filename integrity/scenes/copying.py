"""Copiers at work while brokers are killed, connections cut and members die, and a verdict on what they copied.

The copies carry the identity, the content and the partition of what they are copies of. So the checks that judge a
history can judge them: in a history of its own, what was sent is what was published to the source, and what was read is
what a reader of committed messages got from the target. A message that was not copied is lost there, one copied twice
is duplicated, and so on.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping

from integrity import anomalies
from integrity.endings import end_all
from integrity.history.database import connect, files_of, parquet
from integrity.history.recorder import Recorder
from integrity.scene import READ_SECONDS, Scene
from integrity.scenes.copier import ALL_CLIENTS, Copier
from integrity.scenes.gate import holding
from integrity.scenes.load import Load
from integrity.scenes.outages import Outages
from integrity.scenes.wire import Wire, proven
from integrity.scenes.words import behind
from integrity.waiting import wait_until

#: What the target is to have as the source has it: replicas that must be in sync.
IN_SYNC = "min.insync.replicas"

#: Members of the group, and partitions of source and target where none were asked for.
MEMBERS = 2
PARTITIONS = 4

#: Records that are copied before and after a fault, at least.
ENOUGH_RECORDS = 100

#: The copies' own history, below the scenario's.
COPIES = "copies"

#: The requests whose answers are lost, one after the other.
STEPS = ("Produce", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn")


def settings_like(source: Mapping[str, str]) -> dict[str, str]:
    """The settings of a target, from all that the broker tells of its source: not every one that is like Kafka tells
    what must be in sync.
    """
    return {name: value for name, value in source.items() if name == IN_SYNC}


class Copying:
    """The copiers of a scene and what they copied. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._group = f"copiers-{uuid.uuid4().hex[:8]}"
        self._copiers: list[Copier] = []
        self._target = ""
        self._verdict: anomalies.Verdict | None = None

    # -- at work ----------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Make the target, and the source where there is none, let a publisher write to it and the group copy."""
        scene = self._scene
        if not scene.topics:
            scene.create_topic(PARTITIONS)
        [source] = scene.topics
        self._target = scene.connection.own(f"copies-{uuid.uuid4().hex[:8]}")
        with scene.driver.admin(scene.connection) as admin:
            scene.make_topic(admin, self._target, scene.partitions[source], settings_like(admin.configs(source)))
        scene.part(Load).publish()
        for number in range(MEMBERS):
            self._join(f"{self._group}-{number}")
        self._wait(lambda: all(copier.copied for copier in self._copiers), "every copier to copy its share")

    def _join(self, identity: str) -> None:
        self._copiers.append(Copier(self._scene, identity, self._group, self._scene.topics[0], self._target))

    def go_on_while(self, what: str) -> None:
        """Do this (a key of HARDSHIPS) to them, see that they go on, and let them copy all that was published."""
        HARDSHIPS[what](self)
        self._wait_for_more()
        self._finish()

    def _kill_broker(self) -> None:
        """Kill it while every copier is in the middle of a transaction, and none has just ended one.

        A transaction whose commit was acknowledged right before the broker was killed may be lost, by a defect: Kafka
        4.3.1 was seen, at its start, to take the transaction's partitions for deleted ones, for want of a leader at
        that moment (in its log: "Couldn't find leader endpoint ... can be skipped"), and to call the transaction
        complete with no mark of it in them. (Kafka 4.0.0 takes them for partitions whose leader is away, and waits: so
        say the two versions' getPartitionLeaderEndpoint.) A publisher that is let into its next transaction knows that
        the one before is complete.
        """
        try:
            self._hold()
            self._scene.restart("killed")
        finally:
            self._let_go()

    def _kill_every_broker(self) -> None:
        """Kill each while every copier is in the middle of a transaction; they go on while it is down."""
        outages = self._scene.part(Outages)
        try:
            outages.roll("killed", before_each=self._hold, once_down=self._let_go, after_each=self._wait_for_more)
        finally:
            self._let_go()

    def _hold(self) -> None:
        """Hold every copier in the middle of a transaction."""
        self._wait(
            holding([copier.gate for copier in self._copiers]), "every copier to be in the middle of a transaction"
        )

    def _let_go(self) -> None:
        for copier in self._copiers:
            copier.gate.open()

    def _cut_connections(self) -> None:
        proxy = self._scene.part(Wire).proxy
        for step in STEPS:
            with proven(proxy.lose_answer(step, client=ALL_CLIENTS)) as fault:
                fault.wait(seconds=READ_SECONDS)
            self._wait_for_more()

    def _let_die(self) -> None:
        """One after the other dies and is followed by a successor."""
        for copier in list(self._copiers):
            copier.die(self._scene.part(Wire).proxy)
            self._scene.note(copier.client, "died", "in the middle of a transaction")
            self._join(copier.identity)
            self._wait_for_more()

    # -- seen from outside ------------------------------------------------------------------------------------
    @property
    def copied(self) -> int:
        """Records in committed transactions, as far as the copiers know."""
        return sum(copier.copied for copier in self._copiers)

    def _check(self) -> None:
        for copier in self._copiers:
            copier.check()
        self._scene.part(Load).check()

    def _words(self) -> str:
        return "; ".join(copier.words() for copier in self._copiers)

    def _wait_for_more(self) -> None:
        goal = self.copied + ENOUGH_RECORDS
        self._wait(lambda: self.copied >= goal, f"{self._group} to copy {ENOUGH_RECORDS} records more")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._scene.part(Load).going_on():
            wait_until(condition, what=what, seconds=READ_SECONDS, check=self._check, detail=self._words)

    def _finish(self) -> None:
        """Publish no more, and wait until the group has copied everything."""
        scene = self._scene
        scene.part(Load).finish()
        with scene.driver.admin(scene.connection) as admin, scene.part(Load).going_on():
            ends = admin.end_offsets(scene.topics)
            wait_until(
                lambda: not behind(admin.committed(self._group), ends),
                what=f"{self._group} to copy everything",
                seconds=READ_SECONDS,
                check=self._check,
                detail=lambda: f"it has yet to copy {behind(admin.committed(self._group), ends)}; {self._words()}",
            )
        self.close()
        endings = sum((copier.endings for copier in self._copiers), Counter())
        scene.facts.numbers |= {f"copying transactions {ending}": count for ending, count in endings.items()}

    def close(self) -> None:
        """Stop every copier. Raises what has ended the work of one."""
        for copier in self._copiers:
            copier.prepare_to_stop()
        end_all(copier.stop for copier in self._copiers)

    # -- the verdict ------------------------------------------------------------------------------------------
    def verdict(self) -> anomalies.Verdict:
        """What all checks say of the copies, as if the target were what was published to."""
        if self._verdict is not None:
            return self._verdict
        scene = self._scene
        scene.verdict()  # closes the scene's history, from which the other one is made
        folder = scene.folder / COPIES
        first, label = scene.brokers.identities
        with Recorder(folder, label=label, first_id=first) as recorder:
            with scene.driver.reader(scene.connection, recorder, committed_only=True) as reader:
                reader.read_to_end(self._target, READ_SECONDS)
            with connect() as database:
                events = database.execute(
                    f'SELECT "at", subject, what, detail FROM {parquet(files_of(scene.folder, "events"))}'
                ).fetchall()
                for at, *rest in events:
                    recorder.row("events", at, *rest)
                sends = database.sql(
                    'SELECT publisher, sequence, ? AS topic, partition, NULL::BIGINT AS "offset", outcome, '
                    'NULL::BIGINT AS "transaction", digest, sent_at, settled_at '
                    f"FROM {parquet(files_of(scene.folder, 'sends'))}",
                    params=[self._target],
                ).to_arrow_table()
            recorder.write("sends", lambda: sends)
        self._verdict = scene.judge(folder, [self._target])
        if not self._verdict.intact:
            scene.facts.verdict, scene.facts.verdict_words = self._verdict.as_json(), self._verdict.words()
            scene.facts.judged = COPIES
        return self._verdict


#: What may happen to copiers, in the features' words.
HARDSHIPS: dict[str, Callable[[Copying], None]] = {
    "the broker is killed and started again": Copying._kill_broker,
    "every broker is killed and started again, one after the other,": Copying._kill_every_broker,
    "connections are cut before answers arrive": Copying._cut_connections,
    "members of the group die in the middle of a transaction": Copying._let_die,
}

#: What the broker must be able to, for some of them; see Broker.demand.
DEMANDED = {"the broker is killed and started again": "killed"}
