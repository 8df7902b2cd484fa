"""The proxy on a real broker with both clients: unseen while idle, and each fault does what it says."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from kafka.errors import NotCoordinatorError
from kafka.protocol.metadata import MetadataRequest

from integrity.brokers import probe
from integrity.brokers.embedded import EmbeddedBroker
from integrity.brokers.probe import split_address
from integrity.clients import DRIVERS, Connection, Driver, Message, Publisher, PublisherOptions, Record, driver
from integrity.faults.network import (
    CUT,
    DROP,
    Batch,
    Exchange,
    Proxy,
    ProxyFailed,
    Records,
    Reply,
    answers,
    codec,
    fault,
)
from integrity.faults.network.fault import Held
from integrity.faults.network.process import SERVER
from integrity.runs import Run
from integrity.waiting import WaitTimeout, wait_until

READ_SECONDS = 20.0


@dataclass
class Scene:
    """A proxy before the shared broker, what it reported, and a client."""

    proxy: Proxy
    client: Driver
    events: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        return Connection(self.proxy.bootstrap_servers)

    def topic(self, partitions: int = 1) -> str:
        name = f"proxy-{uuid.uuid4().hex[:8]}"
        with self.client.admin(self.connection) as admin:
            admin.create_topic(name, partitions=partitions)
        return name

    def publish(self, topic: str, *values: str, **options) -> dict[str, int]:
        """Publish one by one, each with its outcome before the next; returns the outcomes' counts."""
        with self.client.publisher(self.connection, options=PublisherOptions(**options)) as publisher:
            for value in values:
                publisher.send(Message(topic, value.encode(), key=b"k", headers=(("h", b"1"),)))
                publisher.flush(READ_SECONDS)
            return {outcome: count for outcome, count in publisher.counts.items() if count}

    def records(self, topic: str, *, committed_only: bool = False) -> list[Record]:
        with self.client.reader(self.connection, committed_only=committed_only) as reader:
            result = reader.read_to_end(topic, READ_SECONDS, keep=True)
        assert result.complete, str(result)
        return list(result.records)

    def values(self, topic: str, *, committed_only: bool = False) -> list[str]:
        return [record.value.decode() for record in self.records(topic, committed_only=committed_only)]

    def seen(self, what: str) -> list[str]:
        return [detail for _, word, detail in self.events if word == what]


@pytest.fixture(scope="module")
def shared(run: Run, broker: EmbeddedBroker) -> Iterator[Proxy]:
    with Proxy(run, broker.bootstrap_servers) as proxy:
        yield proxy


@pytest.fixture(params=DRIVERS)
def scene(request: pytest.FixtureRequest, shared: Proxy) -> Iterator[Scene]:
    scene = Scene(shared, driver(request.param))
    shared.listener = lambda *event: scene.events.append(event)
    yield scene
    shared.lift_all()
    shared.check()


# -- idle -------------------------------------------------------------------------------------------------
def test_the_process_imports_no_client_library_of_the_suite() -> None:
    """A scenario on the wire waits for that process; what the history's columns need would take as long again."""
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, {SERVER}; print('pyarrow' in sys.modules, 'integrity.clients' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["False", "False"]


def test_ten_thousand_messages_pass_unchanged_and_unnoticed(scene: Scene) -> None:
    topic = scene.topic(partitions=3)
    with scene.client.publisher(scene.connection) as publisher:
        publisher.publish(topic, 10_000, size=1000)
        assert publisher.flush(READ_SECONDS) == 0
    identities = {(record.publisher, record.sequence) for record in scene.records(topic)}
    assert len(identities) == 10_000
    assert scene.events == []


def test_clients_are_kept_on_the_proxy(scene: Scene, broker: EmbeddedBroker) -> None:
    topic = scene.topic()
    port = int(broker.bootstrap_servers.split(":")[1])
    with scene.client.publisher(scene.connection) as publisher:
        publisher.send_and_wait(Message(topic, b"x"))
        mine = psutil.Process().net_connections()
        assert not [c for c in mine if c.raddr and c.raddr.port == port and c.status == "ESTABLISHED"]
        assert "kafka-integrity" in {client for _, _, client in scene.proxy.connections()}


# -- requests and answers -----------------------------------------------------------------------------------
def test_a_lost_answer_duplicates_without_idempotence(scene: Scene) -> None:
    topic = scene.topic()
    fault = scene.proxy.lose_answer("Produce", topic=topic)
    assert scene.publish(topic, "a", "b", idempotent=False) == {"acknowledged": 2}
    assert fault.count == 1
    assert scene.values(topic) == ["a", "a", "b"]
    assert len(scene.seen("answer lost")) == 1


def test_a_lost_answer_does_not_duplicate_with_idempotence(scene: Scene) -> None:
    topic = scene.topic()
    scene.proxy.lose_answer("Produce", topic=topic, n=2)
    assert scene.publish(topic, "a", "b", "c") == {"acknowledged": 3}
    assert scene.values(topic) == ["a", "b", "c"]


@pytest.mark.parametrize("fault", ["cut_before", "cut_inside", "drop_request"])
def test_what_the_broker_never_got_is_safely_retried(scene: Scene, fault: str) -> None:
    topic = scene.topic()
    fault = getattr(scene.proxy, fault)("Produce", topic=topic)
    outcome = scene.publish(topic, "a", "b", idempotent=False, request_timeout=1.0)
    assert (outcome, fault.count) == ({"acknowledged": 2}, 1)
    assert scene.values(topic) == ["a", "b"]


def test_an_answer_cut_in_the_middle_is_a_lost_answer(scene: Scene) -> None:
    topic = scene.topic()
    fault = scene.proxy.cut_inside_answer("Produce", topic=topic)
    assert scene.publish(topic, "a", idempotent=False) == {"acknowledged": 1}
    assert fault.count == 1
    assert scene.values(topic) == ["a", "a"]


def test_delays(scene: Scene) -> None:
    topic = scene.topic()
    with scene.proxy.delay_request("Produce", seconds=0.15), scene.proxy.delay_answer("Produce", seconds=0.15):
        began = time.monotonic()
        scene.publish(topic, "a")
        assert time.monotonic() - began >= 0.3
    assert scene.values(topic) == ["a"]


def test_occasions_are_counted(scene: Scene) -> None:
    topic = scene.topic()
    fault = scene.proxy.lose_answer("Produce", topic=topic, n=2, every=2, times=2)
    # 2nd and 4th Produce are struck: b's first and then the retry of b is the 3rd, c's first the 4th.
    scene.publish(topic, "a", "b", "c", "d", idempotent=False)
    assert fault.count == 2
    assert scene.values(topic) == ["a", "b", "b", "c", "c", "d"]


def test_only_the_chosen_client_is_struck(scene: Scene) -> None:
    topic = scene.topic()
    fault = scene.proxy.lose_answer("Produce", client="other-*", times=None)
    scene.publish(topic, "a", idempotent=False)
    assert fault.count == 0
    with pytest.raises(WaitTimeout, match="it struck 0 times"):
        fault.wait(seconds=0.05)


def test_an_unknown_api_is_named_with_those_there_are(shared: Proxy) -> None:
    with pytest.raises(ValueError, match=r"no API 'Product'; there are Produce, Fetch"):
        shared.lose_answer("Product")


# -- transactions -------------------------------------------------------------------------------------------
@contextlib.contextmanager
def held_commit(scene: Scene, topic: str) -> Iterator[tuple[Held, Publisher]]:
    """A publisher has committed its first transaction, whose commit is held: the client has asked again."""
    identity = f"txn-{uuid.uuid4().hex[:8]}"
    held = scene.proxy.hold("EndTxn", transactional_id=identity)
    options = PublisherOptions(transactional_id=identity, request_timeout=2.0)
    with scene.client.publisher(scene.connection, options=options) as publisher:
        publisher.begin()
        publisher.send(Message(topic, b"first"))
        assert publisher.commit() == "committed"
        held.wait()
        yield held, publisher


def test_a_held_commit_released_late_ends_the_next_transaction(scene: Scene) -> None:
    topic = scene.topic()
    with held_commit(scene, topic) as (held, publisher):
        assert [request.committed for request in held.requests] == [True]
        publisher.begin()
        publisher.send(Message(topic, b"second"))
        publisher.flush()
        with scene.client.reader(scene.connection, committed_only=True) as reader:
            open_one = reader.read_to_end(topic, 0.3, keep=True)
        assert [record.value for record in open_one.records] == [b"first"]
        assert not open_one.complete
        (answer,) = held.release()
        assert answer.error_code == 0
        assert not held.requests
        # Nobody has committed the second transaction, and yet (KAFKA-17754):
        assert scene.values(topic, committed_only=True) == ["first", "second"]
    assert len(scene.seen("request held")) == len(scene.seen("request released")) == 1


@pytest.mark.parametrize("busy", [2, 1_000])
def test_what_is_released_to_a_broker_that_cannot_tell_yet_is_sent_again(scene: Scene, monkeypatch, busy: int) -> None:
    """As one that has been busy for longer than its session: nobody coordinates the transaction for a moment."""
    left = busy
    with held_commit(scene, scene.topic()) as (held, _):
        pass  # its client has gone by the time that the late one is released

    def busy_at_first(answer: bytes, *given: object, **named: object) -> Any:
        nonlocal left
        decoded = codec.decode(answer, *given, **named)
        left -= 1
        if left >= 0:
            decoded.error_code = NotCoordinatorError.errno
        return decoded

    monkeypatch.setattr(fault, "codec", SimpleNamespace(is_answered=codec.is_answered, decode=busy_at_first))
    (answer,) = held.release(seconds=10 if busy == 2 else 1, not_yet=[NotCoordinatorError.errno])
    assert (answer.error_code == NotCoordinatorError.errno) == (busy == 1_000)
    assert busy - left >= 2


# -- connections --------------------------------------------------------------------------------------------
def test_cut_connections_are_made_again(scene: Scene) -> None:
    topic = scene.topic()
    with scene.client.publisher(scene.connection) as publisher:
        publisher.send_and_wait(Message(topic, b"a"))
        assert scene.proxy.cut(client="kafka-integrity") >= 1
        publisher.send_and_wait(Message(topic, b"b"))
    assert scene.values(topic) == ["a", "b"]
    assert scene.seen("connection cut")


@pytest.mark.parametrize("fault", ["cut_off", "blackhole"])
def test_nothing_passes_a_partition_until_it_heals(scene: Scene, fault: str) -> None:
    topic = scene.topic()
    options = PublisherOptions(client_id="lonely", request_timeout=1.0)
    with scene.client.publisher(scene.connection, options=options) as publisher:
        publisher.send_and_wait(Message(topic, b"a"))
        partition = getattr(scene.proxy, fault)(client="lonely")
        publisher.send(Message(topic, b"b"))
        assert publisher.flush(0.5) == 1
        assert scene.values(topic) == ["a"]  # others are not concerned
        partition.lift()
        assert publisher.flush(READ_SECONDS) == 0
    assert scene.values(topic) == ["a", "b"]


def test_throttle_and_slow_down(scene: Scene) -> None:
    topic = scene.topic()
    with scene.proxy.throttle(200_000):
        began = time.monotonic()
        scene.publish(topic, "x" * 60_000)
        assert time.monotonic() - began >= 0.2
    with scene.proxy.slow_down(0.05):
        began = time.monotonic()
        assert scene.values(topic) == ["x" * 60_000]
        assert time.monotonic() - began >= 0.2


# -- rewriting ----------------------------------------------------------------------------------------------
def each_batch(message, change: Callable[[Records], None]) -> None:
    """Let ``change`` work on every partition's records of a Produce request or a Fetch answer; others have none."""
    for topic in getattr(message, "topic_data", None) or getattr(message, "responses", ()):
        for partition in getattr(topic, "partition_data", None) or getattr(topic, "partitions", ()):
            if getattr(partition, "records", None):
                records = Records.parse(partition.records)
                change(records)
                partition.records = records.encode()


def test_everything_seen_in_a_session_can_be_decoded_and_encoded_to_the_same_bytes(scene: Scene) -> None:
    apis: collections.Counter[str] = collections.Counter()
    read: list[int] = []

    def look(message, exchange: Exchange) -> None:
        apis[type(message).__name__] += 1
        if exchange.api in ("Produce", "Fetch"):
            each_batch(message, lambda records: read.append(len(records.entries)))

    fault = scene.proxy.rewrite(request=look, answer=look)
    topic = scene.topic(partitions=2)
    scene.publish(topic, "a", "b", "c", compression="zstd")
    options = PublisherOptions(transactional_id=f"txn-{uuid.uuid4().hex[:8]}")
    with (
        scene.client.publisher(scene.connection, options=options) as publisher,
        scene.client.reader(scene.connection, group=f"group-{uuid.uuid4().hex[:8]}") as reader,
    ):
        reader.subscribe([topic])
        assert len(reader.read(3, READ_SECONDS)) == 3
        reader.commit()
        publisher.begin()
        publisher.send(Message(topic, b"d"))
        publisher.send_offsets({(topic, 0): 1}, reader)
        publisher.commit()
    assert sorted(scene.values(topic, committed_only=True)) == ["a", "b", "c", "d"]
    assert sum(read) >= 8  # four messages, published and read
    assert scene.events == []
    assert fault.count == 0
    expected = "Produce Fetch Metadata ApiVersions ListOffsets FindCoordinator JoinGroup SyncGroup OffsetCommit EndTxn"
    for api in [*expected.split(), "InitProducerId", "AddOffsetsToTxn", "TxnOffsetCommit", "OffsetFetch"]:
        assert apis[api + "Request"] >= 1, apis
        assert apis[api + "Response"] >= 1, apis


@pytest.mark.parametrize("compression", Batch.COMPRESSIONS)
def test_records_are_changed_on_their_way_to_the_reader(scene: Scene, compression: str) -> None:
    topic = scene.topic()
    values = [f"value {number} " + "." * 200 for number in range(20)]
    with scene.client.publisher(scene.connection, options=PublisherOptions(compression=compression)) as publisher:
        for value in values:
            publisher.send(Message(topic, value.encode()))
        publisher.flush()

    seen = set()

    def change(records: Records) -> None:
        seen.update(batch.compression for batch in records.batches)
        for entry in records.entries:
            entry.value = entry.value.upper()
            entry.headers.append(("added", None))
            entry.timestamp += entry.offset

    fault = scene.proxy.rewrite_answer("Fetch", lambda message, _: each_batch(message, change), topic=topic)
    changed = scene.records(topic)
    fault.lift()
    plain = scene.records(topic)
    assert seen == {compression}
    assert [record.value.decode() for record in plain] == values
    for before, after in zip(plain, changed, strict=True):
        assert after.value == before.value.upper()
        assert after.headers == (*before.headers, ("added", None))
        assert (after.offset, after.timestamp) == (before.offset, before.timestamp + before.offset)
    assert fault.count >= 1
    assert scene.seen("answer rewritten")


@pytest.mark.parametrize("compression", ["none", "gzip", "lz4"])
def test_records_are_changed_on_their_way_to_the_broker(scene: Scene, compression: str) -> None:
    topic = scene.topic()

    def change(records: Records) -> None:
        for entry in records.entries:
            entry.key, entry.value = b"other", entry.value + b"!"

    with scene.proxy.rewrite_request("Produce", lambda message, _: each_batch(message, change), topic=topic):
        assert scene.publish(topic, "a" * 100, "b", compression=compression) == {"acknowledged": 2}
    records = scene.records(topic)
    assert [(record.key, record.value[-2:]) for record in records] == [(b"other", b"a!"), (b"other", b"b!")]


def test_an_acknowledgement_without_an_append(scene: Scene) -> None:
    topic = scene.topic()

    def pretend(request, exchange: Exchange) -> Reply:
        return Reply(answers.produced(request, exchange, offsets=lambda *_: 1))

    with scene.proxy.rewrite_request("Produce", pretend, topic=topic, n=2, times=1):
        assert scene.publish(topic, "a", "b", "c", idempotent=False) == {"acknowledged": 3}
    assert scene.values(topic) == ["a", "c"]


def test_a_refused_batch_is_overtaken_without_idempotence(scene: Scene) -> None:
    topic = scene.topic()

    sent = threading.Event()

    def refuse(request, exchange: Exchange) -> Reply:
        sent.wait(READ_SECONDS)
        return Reply(answers.produced(request, exchange, error=19))

    scene.proxy.rewrite_request("Produce", refuse, topic=topic, times=1)
    options = PublisherOptions(idempotent=False, max_in_flight=5, linger=0.0, batch_bytes=200)
    with scene.client.publisher(scene.connection, options=options) as publisher:
        for value in (b"a" * 150, b"b" * 150, b"c" * 150):
            publisher.send(Message(topic, value))
        assert publisher.flush(0.2) == 3  # the others are on their way when the first one is refused
        sent.set()
        publisher.flush(READ_SECONDS)
    assert sorted(value[0] for value in scene.values(topic)) == ["a", "b", "c"]
    assert scene.values(topic)[-1][0] == "a"


def test_a_batch_is_appended_twice(scene: Scene) -> None:
    topic = scene.topic()

    def again(request, exchange: Exchange) -> None:
        each_batch(request, lambda records: [batch.without_producer() for batch in records.batches])
        copy = exchange.request
        each_batch(copy, lambda records: [batch.without_producer() for batch in records.batches])
        assert scene.proxy.ask(copy, exchange.head.version).responses[0].partition_responses[0].error_code == 0

    scene.proxy.rewrite_request("Produce", again, topic=topic, n=2, times=1)
    assert scene.publish(topic, "a", "b") == {"acknowledged": 2}
    assert scene.values(topic) == ["a", "b", "b"]


def test_request_and_answer_functions_share_notes(scene: Scene) -> None:
    topic = scene.topic()

    def note(request, exchange: Exchange) -> None:
        exchange.notes["partitions"] = [part.index for data in request.topic_data for part in data.partition_data]

    def shift(answer, exchange: Exchange) -> None:
        assert exchange.request.acks == -1
        assert exchange.notes["partitions"] == [0]
        answer.responses[0].partition_responses[0].base_offset += 7

    scene.proxy.rewrite("Produce", request=note, answer=shift, topic=topic)
    with scene.client.publisher(scene.connection, options=PublisherOptions(idempotent=False)) as publisher:
        assert publisher.send_and_wait(Message(topic, b"a")).offset == 7


@pytest.mark.parametrize("verdict", [DROP, CUT])
def test_a_function_may_drop_or_cut(scene: Scene, verdict) -> None:
    topic = scene.topic()
    fault = scene.proxy.rewrite_request("Produce", lambda *_: verdict, topic=topic, times=1)
    assert scene.publish(topic, "a", request_timeout=1.0) == {"acknowledged": 1}
    assert fault.count == 1
    assert scene.values(topic) == ["a"]


def test_a_coordinator_that_still_loads_is_asked_again(scene: Scene) -> None:
    """As just after a broker's start: its answer then is an error, and says nothing of the group."""
    topic, group = scene.topic(), f"group-{uuid.uuid4().hex[:8]}"
    loading = 14  # COORDINATOR_LOAD_IN_PROGRESS

    def loads(answer, exchange: Exchange) -> None:
        for described in answer.groups:
            described.error_code = loading
            if hasattr(described, "members"):
                described.members = []

    scene.publish(topic, "a", "b")
    with scene.client.reader(scene.connection, group=group) as reader:
        reader.subscribe([topic])
        assert len(reader.read(2, READ_SECONDS)) == 2
        reader.commit()
        with scene.client.admin(scene.connection) as admin:
            described = scene.proxy.rewrite_answer("DescribeGroups", loads, times=1)
            assert admin.members(group) == 1
            fetched = scene.proxy.rewrite_answer("OffsetFetch", loads, times=1)
            assert admin.committed(group) == {(topic, 0): 2}
            assert (described.count, fetched.count) == (1, 1)


@pytest.mark.parametrize("error", [5, 6, 78], ids=["no leader", "another leader", "a leader that does not know yet"])
def test_a_leader_that_has_just_changed_is_asked_again(scene: Scene, error: int) -> None:
    topic = scene.topic()
    scene.publish(topic, "a", "b")

    def changes(answer, exchange: Exchange) -> None:
        for place in (partition for each in answer.topics for partition in each.partitions):
            place.error_code, place.offset = error, -1

    with scene.client.admin(scene.connection) as admin:
        changing = scene.proxy.rewrite_answer("ListOffsets", changes, times=1)
        assert admin.end_offsets([topic]) == {(topic, 0): 2}
        assert changing.count == 1


def test_a_committed_reader_is_shown_what_was_aborted_and_what_is_open(scene: Scene) -> None:
    topic = scene.topic()
    options = PublisherOptions(transactional_id=f"txn-{uuid.uuid4().hex[:8]}")

    def uncommitted(request, exchange: Exchange) -> None:
        request.isolation_level = 0

    with scene.client.publisher(scene.connection, options=options) as publisher:
        for value in (b"aborted", b"open"):
            publisher.begin()
            publisher.send(Message(topic, value))
            publisher.flush()
            if value == b"aborted":
                publisher.abort()
        with scene.proxy.rewrite_request("Fetch", uncommitted):
            assert scene.values(topic, committed_only=True) == ["aborted", "open"]
        publisher.abort()
    assert scene.values(topic, committed_only=True) == []


def test_two_readers_are_shown_different_records_at_one_offset(scene: Scene) -> None:
    topic = scene.topic()
    scene.publish(topic, "a", "b", "c")
    seen: dict[int, None] = {}

    def differ(answer, exchange: Exchange) -> None:
        seen.setdefault(exchange.connection)
        if exchange.connection == next(iter(seen)):
            return

        def hide_and_change(records: Records) -> None:
            for batch in records.batches:
                batch.entries = [entry for entry in batch.entries if entry.value != b"b"]
            for entry in records.entries:
                entry.value *= 2

        each_batch(answer, hide_and_change)

    scene.proxy.rewrite_answer("Fetch", differ, topic=topic)
    with scene.client.reader(scene.connection) as first:
        result = first.read_to_end(topic, READ_SECONDS, keep=True)
        assert [(record.offset, record.value) for record in result.records] == [(0, b"a"), (1, b"b"), (2, b"c")]
        assert [(record.offset, record.value) for record in scene.records(topic)] == [(0, b"aa"), (2, b"cc")]


# -- its own life -------------------------------------------------------------------------------------------
def test_a_function_that_raises_is_reported_and_raised_again(run: Run, broker: EmbeddedBroker) -> None:
    events = []
    proxy = Proxy(run, broker.bootstrap_servers, listener=lambda *event: events.append(event[1]))
    scene = Scene(proxy, driver("confluent-kafka"))

    def fail(message, exchange: Exchange) -> None:
        raise KeyError("oops")

    topic = scene.topic()
    proxy.rewrite_request("Produce", fail, times=1)
    assert scene.publish(topic, "a") == {"acknowledged": 1}
    assert events == ["rewriting failed"]
    with pytest.raises(KeyError, match="oops"):
        proxy.check()
    with pytest.raises(KeyError, match="oops"):
        proxy.close()


def test_a_closed_proxy_leaves_nothing_but_its_process_for_the_next_one(run: Run, broker: EmbeddedBroker) -> None:
    Proxy(run).close()
    threads, files, ports = threading.active_count(), psutil.Process().num_fds(), set(run._leases)
    proxy = Proxy(run, broker.bootstrap_servers)
    process = psutil.Process(proxy.pid)
    kept = process.num_fds()
    scene = Scene(proxy, driver("kafka-python"))
    scene.publish(scene.topic(), "a")
    proxy.close()
    proxy.close()
    assert (threading.active_count(), psutil.Process().num_fds(), set(run._leases)) == (threads, files, ports)
    with Proxy(run, broker.bootstrap_servers) as following:
        assert following.pid == process.pid
        assert process.num_fds() == kept  # links of its own, no connection of the one before
    with pytest.raises(ProxyFailed, match="closed"):
        proxy.link("another")


def test_a_proxy_whose_process_cannot_be_given_back_is_closed_all_the_same(tmp_path: Path) -> None:
    run = Run(tmp_path)
    try:
        proxy = Proxy(run, "127.0.0.1:1")
        psutil.Process(proxy.pid).kill()
        [folder] = run.directory.glob("proxy-*")
        shutil.rmtree(folder)  # what a process leaves behind is to be deleted: this fails
        with pytest.raises(FileNotFoundError):
            proxy.close()
        proxy.close()
        assert not run._leases
        assert not proxy._rewriting.is_alive()
    finally:
        run.end()


def test_the_next_proxy_knows_nothing_of_the_one_before(run: Run, broker: EmbeddedBroker) -> None:
    events = []
    before = Proxy(run, broker.bootstrap_servers, listener=lambda *event: events.append(event))
    held = before.hold("Produce")
    before.drop_answer("Produce", times=None)
    before.slow_down(5.0)
    with Proxy(run) as another:
        assert another.pid != before.pid
        before.close()
        said = len(events)
        proxy = Proxy(run, broker.bootstrap_servers)
    with proxy:
        assert proxy.pid == before.pid
        scene = Scene(proxy, driver("kafka-python"))
        began = time.monotonic()
        assert scene.publish(scene.topic(), "a") == {"acknowledged": 1}
        assert time.monotonic() - began < 5.0
    assert len(events) == said
    assert held.count == 0


def test_a_connection_that_is_on_its_way_to_the_broker_is_closed_with_its_proxy(run: Run) -> None:
    """The process goes on: a client that nobody answers would wait for its time-out."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as at_the_end:
        address = full.getsockname()
        for _ in range(3):  # more than it keeps, and it takes none
            waiting = at_the_end.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        proxy = Proxy(run, f"127.0.0.1:{address[1]}")
        process = psutil.Process(proxy.pid)
        files = process.num_fds()
        client = at_the_end.enter_context(socket.create_connection(split_address(proxy.bootstrap_servers), timeout=10))
        wait_until(lambda: process.num_fds() == files + 2, what="the proxy to be connecting", seconds=10)
        assert proxy.connections() == []
        proxy.close()
        assert client.recv(1) == b""
        with Proxy(run) as following:
            assert following.pid == process.pid
            assert process.num_fds() == files - 1  # nor the link


def test_a_process_that_has_ended_or_served_badly_serves_nobody_again(run: Run, broker: EmbeddedBroker) -> None:
    with Proxy(run) as proxy:
        first = psutil.Process(proxy.pid)
    first.kill()
    first.wait(10)
    proxy = Proxy(run, broker.bootstrap_servers)
    scene = Scene(proxy, driver("kafka-python"))
    assert scene.publish(scene.topic(), "a") == {"acknowledged": 1}
    second = psutil.Process(proxy.pid)
    second.kill()
    with pytest.raises(ProxyFailed, match="ended with -9"):
        proxy.close()
    with Proxy(run) as proxy:
        assert proxy.pid not in (first.pid, second.pid)


def test_the_kept_process_ends_with_its_run() -> None:
    run = Run.begin()
    try:
        with Proxy(run) as proxy:
            process = psutil.Process(proxy.pid)
        assert process.is_running()
    finally:
        run.end()
    assert not process.is_running()
    assert not run.closing
    assert not run.directory.exists()


def test_its_process_ends_when_the_caller_is_gone(run: Run, broker: EmbeddedBroker) -> None:
    proxy = Proxy(run, broker.bootstrap_servers)
    process = psutil.Process(proxy._process.pid)
    assert any(f"/runs/{run.id}/" in word for word in process.cmdline())  # a sweep would find it as well
    with socket.socket(fileno=os.dup(proxy._process._channel.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)  # as the system does when the caller is killed
    process.wait(10)
    for look in (proxy.check, proxy.close):
        with pytest.raises(ProxyFailed, match="ended with 0"):
            look()


def test_a_link_leads_where_it_is_told(run: Run, broker: EmbeddedBroker) -> None:
    with Proxy(run) as proxy:
        link = proxy.link("broker 1")
        refused = run.lease_port()
        scene = Scene(proxy, driver("confluent-kafka"))
        with scene.client.publisher(scene.connection) as publisher:
            assert probe.metadata(broker.bootstrap_servers).brokers
            for broken in (None, f"127.0.0.1:{refused}"):  # leads nowhere, or to a broker that is down
                if broken:
                    proxy.lead("broker 1", broken)
                with pytest.raises(OSError, match=r"closed|reset"):
                    probe.metadata(link.address)
            proxy.lead("broker 1", broker.bootstrap_servers)
            topic = scene.topic()
            publisher.send_and_wait(Message(topic, b"a"))
        assert scene.values(topic) == ["a"]
        with pytest.raises(ValueError, match="a link 'broker 1' already"):
            proxy.link("broker 1")
        run.release_port(refused)


def test_requests_of_ones_own(shared: Proxy) -> None:
    answer = shared.ask(MetadataRequest(topics=None), 12)
    assert [broker.node_id for broker in answer.brokers] == [1]
