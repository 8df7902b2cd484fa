"""The network cut: around one broker, and between the clients and one broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from integrity.brokers.base import Broker
from integrity.clients import Message, NotAcknowledged, Publisher
from integrity.endings import end_all
from integrity.faults.network import Proxy
from integrity.faults.process import FaultNotProven
from integrity.history import on_disk
from integrity.history.database import connect, files_of, parquet
from integrity.scene import PUBLISH_SECONDS, Scene
from integrity.scenes.fetching import handed_out
from integrity.scenes.leads import Leads
from integrity.scenes.load import Load
from integrity.scenes.publishers import acknowledged
from integrity.scenes.replication import LEADER, PassedOn, Replication
from integrity.waiting import scaled, wait_until

#: Messages sent to a leader that has been cut off, which it can store and never acknowledge.
STRANDED = 100

#: Seconds, before timeout_factor, for which their publisher waits; it asks nobody else.
STRANDED_SECONDS = 2.0

#: Seconds, before timeout_factor, for the leader to store them.
STORE_SECONDS = 20.0


class CutOff:
    """A broker that others do not reach, for a while. A part of the scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._replication = scene.part(Replication)
        self._proxy: Proxy | None = None
        #: The publisher whose messages only the leader that was cut off had, and their sequence numbers.
        self._stranded_publisher: int | None = None
        self._stranded: set[int] = set()
        #: That they were handed out while it was cut off, in words.
        self._handed_out: list[str] = []

    # -- a broker from the others -------------------------------------------------------------------------
    def isolate(self, role: str) -> None:
        """Cut the holder of the role off from the other brokers until the work goes on without it, then heal."""
        self._replication.at_holder(role, self._isolate_leader if role == LEADER else self._isolate_who_leads_nothing)
        self._replication.recovered()

    def _isolate_leader(self, node: Broker, check: Callable[[], None]) -> None:
        with self._publisher_that_knows_only(node) as publisher:
            try:
                first = publisher.send_and_wait(Message(self._scene.topics[0], b"first", partition=0), PUBLISH_SECONDS)
            except NotAcknowledged as error:
                check()
                # It tries nothing again, and a replica that is late keeps it waiting until that is given up.
                raise PassedOn(f"{node.label} was to acknowledge a message before it is cut off: {error}") from error

            def be_alone() -> None:
                self._strand(publisher, node)
                self._read_from(node, first.offset)
                self._publish_to_the_others(node)

            self._isolate(node, check, be_alone)

    def _isolate_who_leads_nothing(self, node: Broker, check: Callable[[], None]) -> None:
        """Whoever reads from a leader that is cut off need not get on: one that has become that is relieved of it."""

        def check_all() -> None:
            check()
            if led := self._replication.led_by(node):
                relieve = partial(self._scene.part(Leads).take_from, node)
                raise PassedOn(f"{node.label} has come to lead {', '.join(led)}", relieve)

        self._isolate(node, check_all)

    def _isolate(self, node: Broker, check: Callable[[], None], until: Callable[[], None] | None = None) -> None:
        try:
            with self._scene.part(Load).in_the_middle(check=check):
                self._replication.cluster.isolate(node)
            if until is not None:
                until()
            else:
                self._replication.goes_on_without(node)
        finally:
            self._replication.cluster.heal()

    def _publisher_that_knows_only(self, node: Broker) -> Publisher:
        return self._scene.driver.publisher(
            replace(self._scene.connection, bootstrap_servers=node.bootstrap_servers),
            self._scene.recorder,
            idempotent=False,
            retries=0,
            # Its first message is to be acknowledged within it; what delivery_timeout says is scaled by the client.
            request_timeout=scaled(STRANDED_SECONDS / 2),
            delivery_timeout=STRANDED_SECONDS,
        )

    def _strand(self, publisher: Publisher, node: Broker) -> None:
        """Send messages that the leader stores and cannot acknowledge.

        Raises AssertionError when it acknowledges them all the same, FaultNotProven when its followers get them.
        """
        publisher.publish(self._scene.topics[0], STRANDED)
        # Some of them: the client gives up before it has sent all of them if the machine is busy.
        stored = wait_until(
            lambda: self._stored(publisher.id, node) - {0},
            what=f"{node.label} to store what it cannot acknowledge",
            seconds=STORE_SECONDS,
            check=self._scene.connection.check,
            detail=lambda: f"of {STRANDED} messages it has none: {publisher.counts}",
        )
        if confirmed := publisher.counts["acknowledged"] - 1:
            others = [other for other in self._replication.cluster.nodes if other is not node]
            if any(self._stored(publisher.id, other) - {0} for other in others):
                raise FaultNotProven(f"{node.label} was cut off, and its followers still get what it stores")
            raise AssertionError(f"{node.label} was cut off, and acknowledged {confirmed} messages that it alone has")
        # No others: what the client has not sent to it by now may be taken by whoever leads next.
        self._stranded_publisher, self._stranded = publisher.id, stored
        self._scene.note(node.label, "has stored", f"{len(stored)} messages that no follower has")

    def _read_from(self, node: Broker, offset: int) -> None:
        """Let somebody read from the leader that is cut off, from this acknowledged message on, all that it hands out.

        Raises FaultNotProven when it does not hand out that one, or has given up by then what it alone had stored.
        """
        place = (self._scene.topics[0], 0)
        its = {each[1] for each in handed_out(node, place, offset) if each and each[0] == self._stranded_publisher}
        if 0 not in its:
            raise FaultNotProven(f"{node.label} was cut off, and does not hand out what it had acknowledged before")
        # It was in the log while it was asked for if it is now.
        if not self._stranded <= self._stored(self._stranded_publisher, node):
            raise FaultNotProven(f"{node.label} was asked for what it alone had, and had given it up")
        if seen := its & self._stranded:
            self._handed_out.append(f"{node.label} handed out {len(seen)} while it was cut off")
        self._scene.note(node.label, "was read from", f"{len(its)} messages of that publisher were handed out")

    def _publish_to_the_others(self, node: Broker) -> None:
        """Let somebody who asks the others publish; a client that reaches the old leader may go on believing it."""
        self._replication.others_lead(node)
        self._scene.note("the cluster", "has taken over", f"without {node.label}")
        others = [other.bootstrap_servers for other in self._replication.cluster.nodes if other is not node]
        connection = replace(self._scene.connection, bootstrap_servers=",".join(others))
        with self._scene.driver.publisher(connection, self._scene.recorder) as publisher:
            publisher.publish(self._scene.topics[0], STRANDED)
            acknowledged(publisher, STRANDED)

    def _stored(self, publisher: int, node: Broker) -> set[int]:
        """The sequence numbers of the publisher's messages that the broker holds."""
        with node.look() as directory:
            rows = on_disk.records(directory, self._scene.topics)
            return {row.sequence for row in rows if row.publisher == publisher}

    def stranded_that_were_seen(self) -> list[str]:
        """Where messages that only the old leader had were seen: handed out, kept, acknowledged, read; in words."""
        if self._stranded_publisher is None:
            raise FaultNotProven("no message was left to a leader that was cut off")
        self._scene.verdict()
        cluster = self._replication.cluster
        found = self._handed_out + [
            f"{node.label} holds {len(its)}"
            for node in cluster.nodes
            if (its := self._stored(self._stranded_publisher, node) & self._stranded)
        ]
        for table, what, condition in (
            ("sends", "acknowledged", "AND outcome = 'acknowledged'"),
            ("reads", "read", ""),
        ):
            count = self._count(table, condition)
            if count:
                found.append(f"{count} were {what}")
        return found

    def _count(self, table: str, condition: str) -> int:
        rows = parquet(files_of(self._scene.folder, table))
        query = f"SELECT count(*) FROM {rows} WHERE publisher = ? AND list_contains(?, sequence) {condition}"
        with connect() as database:
            return database.execute(query, [self._stranded_publisher, sorted(self._stranded)]).fetchone()[0]

    # -- the clients from a broker ------------------------------------------------------------------------
    def watch_the_way(self) -> None:
        """From now on the scenario's clients reach the brokers by a network that can be cut."""
        nodes = self._replication.cluster.nodes
        addresses = {node.label: node.bootstrap_servers for node in nodes}
        self._proxy = Proxy(self._scene.brokers.run, addresses, listener=self._scene.note)
        self._scene.route = self._proxy.bootstrap_servers

    def cut_clients_off(self, role: str) -> None:
        """Cut all clients off from the holder of the role until every publisher waits, then heal.

        Raises FaultNotProven when one of them was acknowledged something meanwhile, or a reader got anything.
        """
        self._replication.at_holder(role, self._cut_clients_off)
        self._replication.recovered()

    def _cut_clients_off(self, node: Broker, check: Callable[[], None]) -> None:
        load = self._scene.part(Load)
        check()
        fault = self._proxy.blackhole(link=node.label)
        try:
            got = load.got_while_cut_off()
        finally:
            fault.lift()
        if got:
            words = ", ".join(f"{count} to {name}" for name, count in got.items())
            raise FaultNotProven(f"the clients were cut off from {node.label}, and yet messages got through: {words}")

    def cut_one_publisher_off(self, role: str) -> None:
        """Cut one publisher off from the holder of the role until it waits and everybody else got on, then heal.

        Raises FaultNotProven when it was acknowledged something meanwhile.
        """
        self._replication.at_holder(role, self._cut_one_publisher_off)
        self._replication.recovered()

    def _cut_one_publisher_off(self, node: Broker, check: Callable[[], None]) -> None:
        load = self._scene.part(Load)
        check()
        fault = self._proxy.blackhole(link=node.label, client=load.client_id(0))
        try:
            before = load.wait_until_waiting(0)
            load.wait_for_progress(besides=0)
            got = load.wait_until_waiting(0) - before
        finally:
            fault.lift()
        if got:
            raise FaultNotProven(f"the publisher was cut off from {node.label}, and {got} messages were acknowledged")

    def close(self) -> None:
        """End the network of the clients, and before it their work."""
        ends = [self._scene.part(Load).finish]
        if self._proxy is not None:
            ends.append(self._proxy.close)
        end_all(ends)
