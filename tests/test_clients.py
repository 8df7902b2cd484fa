"""Both clients against a real broker: what they send, read and say about it is what happened."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka.cluster import ClusterMetadata
from kafka.errors import InvalidReplicationFactorError
from kafka.protocol.admin.topics import CreatePartitionsResponse, CreateTopicsResponse
from kafka.protocol.api_message import ApiMessage

from integrity import waiting
from integrity.brokers.base import BrokerConfig
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import DRIVERS, Connection, Driver, Message, NotAcknowledged, driver
from integrity.clients.base import BEGINNING, END, Admin, Reader
from integrity.clients.load import Load, LoadFailed
from integrity.clients.types import MOST_TRANSACTION_MS, SETUP_SECONDS, DamagedMessages, PublisherOptions
from integrity.errors import BadOption, NotPossible
from integrity.faults.network import Exchange, Proxy, Reply
from integrity.history.recorder import Recorder
from integrity.runs import Run
from integrity.waiting import wait_until


@pytest.fixture(params=DRIVERS)
def client(request: pytest.FixtureRequest) -> Driver:
    return driver(request.param)


@pytest.fixture
def connection(broker: EmbeddedBroker) -> Connection:
    return Connection(broker.bootstrap_servers)


@pytest.fixture
def admin(client: Driver, connection: Connection):
    with client.admin(connection) as admin:
        yield admin


@pytest.fixture
def topic(admin: Admin):
    name = f"clients-{uuid.uuid4().hex[:12]}"
    admin.create_topic(name, partitions=3)
    yield name
    admin.delete_topic(name)


@pytest.mark.parametrize(
    "change",
    [
        lambda admin, topic: admin.create_topic(topic),
        lambda admin, topic: admin.delete_topic(topic),
        lambda admin, topic: admin.add_partitions(topic, 4),
        lambda admin, topic: admin.set_configs(topic, {"retention.ms": "1"}),
        lambda admin, topic: admin.delete_records({("own-topic", 0): 0, (topic, 0): 1}),
    ],
    ids=["create", "delete", "add partitions", "configure", "delete records"],
)
def test_a_topic_of_somebody_elses_is_not_touched(
    client: Driver, connection: Connection, admin: Admin, topic: str, change: Callable[[Admin, str], None]
) -> None:
    """Protects the owner of an existing cluster from a scenario that names a topic wrongly."""
    with client.publisher(connection) as publisher:
        publisher.send(Message(topic, b"kept", partition=0))
        publisher.flush(30)

    def account() -> tuple:
        return admin.leaders(topic), admin.configs(topic), admin.beginning_offsets([topic])

    before = account()
    with client.admin(replace(connection, prefix="own-")) as guest, pytest.raises(ValueError, match="begins with own-"):
        change(guest, topic)
    assert account() == before


@pytest.mark.parametrize(("codec", "number"), [("none", 0), ("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)])
def test_what_is_published_with_a_codec_is_stored_with_it(
    client: Driver, connection: Connection, broker: EmbeddedBroker, topic: str, codec: str, number: int
) -> None:
    """Protects the scenarios on compression from a client that quietly sends everything uncompressed."""
    with client.publisher(connection, compression=codec, linger=0.05) as publisher:
        publisher.send_many(Message(topic, b"compressible " * 40, partition=0) for _ in range(100))
        publisher.flush(30)
    batch = (broker.data_directory / f"{topic}-0" / "00000000000000000000.log").read_bytes()
    # The batch's attributes follow its base offset, length, leader epoch, magic and CRC; the codec is in bits 0-2.
    assert int.from_bytes(batch[21:23]) & 7 == number


def test_a_publisher_of_a_silent_broker_waits_without_spinning_and_closes(run, kafka) -> None:
    """Protects from two of kafka-python's: a sender that takes a whole processor, and a close() that closes nothing."""
    silent = EmbeddedBroker(BrokerConfig(), distribution=kafka, run=run)
    try:
        silent.start()
        client = driver("kafka-python")
        with client.admin(silent.connection) as admin:
            admin.create_topic("silent", partitions=1)
        publisher = client.publisher(silent.connection, batch_bytes=500, idempotent=False)
        publisher.publish("silent", 1)
        assert publisher.flush(10) == 0
        silent.freeze()
        publisher.publish("silent", 200)  # far more batches than may be under way at a time
        used = time.process_time()
        assert publisher.flush(2) > 0
        used = time.process_time() - used
        publisher.close(0.1)
        assert publisher.counts == {"open": 0, "acknowledged": 1, "rejected": 0, "unknown": 200}
        assert not publisher._producer._sender.is_alive()
        assert used < 1.0, f"{used:.1f} s of processor time in 2 s of waiting"
    finally:
        silent.discard()


def test_an_impatient_publisher_asks_for_its_producer_id_until_it_is_told(
    client: Driver, broker: EmbeddedBroker, topic: str, run: Run
) -> None:
    """A broker may take longer for its first one than such a publisher waits: kafka-python alone never gets over it."""
    with Proxy(run, broker.bootstrap_servers) as proxy:
        late = proxy.delay_answer("InitProducerId", times=2, seconds=1.0)
        connection = Connection(proxy.bootstrap_servers)
        with client.publisher(connection, request_timeout=0.5, idempotent=True) as publisher:
            publisher.publish(topic, 10)
            assert publisher.flush(20) == 0
            assert publisher.counts["acknowledged"] == 10
        assert late.count >= 1


def test_a_publisher_asks_again_when_the_leader_is_no_broker_it_knows(broker: EmbeddedBroker, topic: str) -> None:
    """As an answer may be that was given while a broker was being fenced: kafka-python's sender alone never gets on."""
    with driver("kafka-python").publisher(broker.connection, idempotent=False) as publisher:
        publisher._producer.partitions_for(topic)
        for partition in publisher._producer._metadata._partitions[topic].values():
            partition.leader_id = 99
        publisher.publish(topic, 10)
        assert publisher.flush(10) == 0
        assert publisher.counts["acknowledged"] == 10


def test_a_publisher_that_knows_only_a_broker_that_is_gone_asks_the_servers_it_was_given(
    broker: EmbeddedBroker, topic: str, run: Run
) -> None:
    """It may have been told of one of three, while the others were fenced: kafka-python alone waits for that one."""
    gone = run.lease_port()
    try:
        with driver("kafka-python").publisher(broker.connection) as publisher:
            publisher.publish(topic, 10)
            assert publisher.flush(10) == 0
            manager = publisher._producer._sender._client._manager
            for known in manager.cluster._brokers.values():
                known.port = gone
            for connection in list(manager._conns.values()):
                manager._net.call_soon_threadsafe(connection.close)
            publisher.publish(topic, 10)
            assert publisher.flush(10) == 0
            assert publisher.counts["acknowledged"] == 20
    finally:
        run.release_port(gone)


def test_a_reader_asks_again_when_the_leader_is_no_broker_it_knows(broker: EmbeddedBroker, topic: str) -> None:
    """The same answer, met by a reader: kafka-python's consumer raises, and fetches from that broker never again."""
    client = driver("kafka-python")
    with client.publisher(broker.connection) as publisher:
        publisher.publish(topic, 10)
        assert publisher.flush(10) == 0
    with client.reader(broker.connection) as reader:
        reader.assign({(topic, partition): BEGINNING for partition in range(3)})
        reader.positions()
        for partition in reader._consumer._client.cluster._partitions[topic].values():
            partition.leader_id = 99
        seen = 0

        def all_read() -> bool:
            nonlocal seen
            seen += reader.drain(0.05)
            return seen == 10

        wait_until(all_read, what="the reader to have read the ten messages", seconds=10)


@contextlib.contextmanager
def coordinators_named_at(cluster: ClusterMetadata, port: int) -> Iterator[list[str]]:
    """kafka-python is named every coordinator at this port; yields the names it was given."""
    add, named = cluster.add_coordinator, []

    def add_one_there(*given: object) -> str:
        named.append(add(*given))
        cluster._coordinator_brokers[named[-1]].port = port
        return named[-1]

    cluster.add_coordinator = add_one_there
    try:
        yield named
    finally:
        cluster.add_coordinator = add


@pytest.fixture
def gone(run: Run) -> Iterator[int]:
    """A port at which nobody listens."""
    port = run.lease_port()
    yield port
    run.release_port(port)


def test_a_member_whose_coordinator_is_away_asks_for_it_some_times_a_second(
    broker: EmbeddedBroker, topic: str, gone: int
) -> None:
    """The other brokers name it until there is a new one; kafka-python alone asks them a thousand times a second."""
    with driver("kafka-python").reader(broker.connection, group=f"g-{topic}") as reader:
        reader.subscribe([topic])
        with coordinators_named_at(reader._consumer._client.cluster, gone) as named:
            assert reader.drain(1.0) == 0
            assert 1 < len(named) < 50
        wait_until(lambda: reader.drain(0.05) or reader.positions(), what="the member to have joined", seconds=10)


def test_a_publisher_whose_coordinator_is_away_asks_for_it_some_times_a_second(
    broker: EmbeddedBroker, topic: str, gone: int
) -> None:
    """The same for transactions; kafka-python alone asks as often as it can, or drops what it wanted to ask."""
    with driver("kafka-python").publisher(
        broker.connection, transactional_id=f"tx-{topic}", delivery_timeout=10.0
    ) as publisher:
        client = publisher._producer._sender._client
        with coordinators_named_at(client.cluster, gone) as named:
            coordinator = publisher._producer._transaction_manager._transaction_coordinator
            client.cluster._coordinator_brokers[coordinator].port = gone
            client._manager._conns[coordinator].close()
            publisher.begin()
            publisher.publish(topic, 1)
            assert publisher.flush(1) == 1
            assert 1 < len(named) < 40
        assert publisher.commit() == "committed"


def rows_of(directory: Path, table: str) -> list[dict]:
    files = sorted((directory / table).glob("part-*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]).to_pylist() if files else []


def history(directory: Path) -> tuple[dict, dict]:
    """Sends and reads by (publisher, sequence); every message must have been read once."""
    sends = {(s["publisher"], s["sequence"]): s for s in rows_of(directory, "sends")}
    reads = rows_of(directory, "reads")
    assert max(Counter((r["publisher"], r["sequence"]) for r in reads).values(), default=1) == 1
    return sends, {(r["publisher"], r["sequence"]): r for r in reads}


def test_what_was_acknowledged_is_read_at_its_offset_and_unchanged(
    client: Driver, connection: Connection, topic: str, tmp_path: Path
) -> None:
    with Recorder(tmp_path) as recorder:
        with client.publisher(connection, recorder) as publisher:
            publisher.publish(topic, 2_000)
            publisher.publish(topic, 900, partitions=[2, 0, 1], size=10)
            publisher.publish(topic, 900, keys=[b"a", b"b", None, b""], size=0)
            assert publisher.flush(30) == 0
            assert publisher.counts == {"open": 0, "acknowledged": 3_800, "rejected": 0, "unknown": 0}
        with client.reader(connection, recorder) as reader:
            result = reader.read_to_end(topic, 30)
    assert result.complete
    assert result.count == 3_800
    sends, reads = history(tmp_path)
    assert sends.keys() == reads.keys()
    for identity, sent in sends.items():
        for column in ("topic", "partition", "offset", "digest"):
            assert sent[column] == reads[identity][column]
    assert all(s["sent_at"] <= s["settled_at"] for s in sends.values())
    ends = rows_of(tmp_path, "ends")
    assert all(end["complete"] and end["from_offset"] == 0 for end in ends)
    assert min(end["asked_at"] for end in ends) >= max(s["settled_at"] for s in sends.values())
    assert [sends[0, n]["partition"] for n in range(2_000, 2_006)] == [2, 0, 1, 2, 0, 1]


MESSAGES = {
    "null key and value": {"value": None},
    "null value": {"value": None, "key": b"k"},
    "empty value, null key": {"value": b""},
    "empty key and value": {"value": b"", "key": b""},
    "binary": {"value": bytes(range(256)), "key": b"\x00\xff"},
    "repeated headers": {"value": b"v", "headers": [("h", b"1"), ("h", b"2"), ("", b""), ("ü", b"\x00")]},
    "given timestamp": {"value": b"v", "timestamp": 1_234_567_890_123},
    "1 MB": {"value": bytes(1_000_000)},
}


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_kind_of_content_comes_back(
    client: Driver, connection: Connection, admin: Admin, tmp_path: Path, compression: str
) -> None:
    topic = f"clients-{uuid.uuid4().hex[:12]}"
    # Old timestamps make old segments: without this, retention would take them away under the test.
    admin.create_topic(topic, configs={"max.message.bytes": "2000000", "retention.ms": "-1"})
    with Recorder(tmp_path) as recorder:
        with client.publisher(connection, recorder, compression=compression) as publisher:
            for message in MESSAGES.values():
                publisher.send_and_wait(Message(topic, **message))
        with client.reader(connection, recorder) as reader:
            records = reader.read_to_end(topic, 30, keep=True).records
    for record, message in zip(records, MESSAGES.values(), strict=True):
        assert (record.value, record.key) == (message["value"], message.get("key"))
        assert list(record.headers[1:]) == message.get("headers", [])
        assert record.timestamp == message.get("timestamp", record.timestamp)
        assert (record.publisher, record.sequence, record.timestamp_type) == (0, record.offset, 0)
    sends, reads = history(tmp_path)
    assert {i: s["digest"] for i, s in sends.items()} == {i: r["digest"] for i, r in reads.items()}


def test_both_clients_compute_the_same_digest(connection: Connection, tmp_path: Path) -> None:
    """What one client sent, the other reads unchanged, in both directions."""
    names = list(DRIVERS)
    for sender, receiver in (names, names[::-1]):
        directory = tmp_path / sender
        topic = f"clients-{uuid.uuid4().hex[:12]}"
        with driver(sender).admin(connection) as admin:
            admin.create_topic(topic, configs={"retention.ms": "-1"})
        with Recorder(directory) as recorder:
            with driver(sender).publisher(connection, recorder) as publisher:
                publisher.publish(topic, 100, keys=[b"k", None])
                publisher.send_and_wait(Message(topic, b"v", headers=[("h", b"1"), ("n", b"")], timestamp=5))
            with driver(receiver).reader(connection, recorder) as reader:
                assert reader.read_to_end(topic, 30).count == 101
        sends, reads = history(directory)
        assert {i: s["digest"] for i, s in sends.items()} == {i: r["digest"] for i, r in reads.items()}


def test_a_message_over_the_limit_is_rejected(
    client: Driver, connection: Connection, topic: str, tmp_path: Path
) -> None:
    with Recorder(tmp_path) as recorder:
        with client.publisher(connection, recorder) as publisher:
            with pytest.raises(NotAcknowledged, match="rejected") as raised:
                publisher.send_and_wait(Message(topic, bytes(2_000_000), partition=0))
            assert raised.value.receipt.outcome == "rejected"
        # Another publisher: kafka-python's idempotent producer refuses to go on after an error like that.
        with client.publisher(connection, recorder) as publisher:
            publisher.send_and_wait(Message(topic, b"small", partition=0))
        with client.reader(connection, recorder) as reader:
            assert reader.read_to_end(topic, 30).count == 1
    sends, _ = history(tmp_path)
    assert [s["outcome"] for s in sends.values()] == ["rejected", "acknowledged"]


def test_batches_given_up_for_anothers_error_are_unknown(client: Driver, connection: Connection, topic: str) -> None:
    """Sent together with a message over the limit, to another partition: acknowledged, or not known to be refused."""
    with client.publisher(connection, linger=0.0) as publisher:
        for n in range(300):
            publisher.send(Message(topic, bytes(2_000_000) if n == 150 else b"small", partition=0 if n == 150 else 1))
        publisher.flush(30)
        counts = publisher.counts
    assert counts["rejected"] == 1
    assert counts["acknowledged"] + counts["unknown"] == 299


def test_a_batch_that_is_split_is_still_settled(client: Driver, connection: Connection, admin: Admin) -> None:
    """The client's batch is over the topic's limit, each message under it."""
    topic = f"clients-{uuid.uuid4().hex[:12]}"
    admin.create_topic(topic, configs={"max.message.bytes": "20000"})
    with client.publisher(connection, idempotent=False, linger=0.1, batch_bytes=100_000) as publisher:
        publisher.publish(topic, 50, size=1_000)
        assert publisher.flush(30) == 0
        # kafka-python splits the batch; librdkafka fails it, and without idempotence that is no rejection.
        counts = publisher.counts
    assert counts["open"] == 0
    assert sum(counts.values()) == 50
    assert counts["acknowledged"] == 50 or client.name == "confluent-kafka"


def test_a_topic_that_does_not_exist_is_not_acknowledged(client: Driver, connection: Connection) -> None:
    with (
        client.publisher(connection, delivery_timeout=1.0) as publisher,
        pytest.raises(NotAcknowledged, match=r"rejected|unknown"),
    ):
        publisher.send_and_wait(Message("never-created", b"v"), 10)


def test_messages_without_identity(client: Driver, connection: Connection, topic: str, tmp_path: Path) -> None:
    with client.publisher(connection, identify=False) as publisher:
        for value in (b"Message 1", b"Message 2"):
            publisher.send_and_wait(Message(topic, value, partition=0))
        publisher.publish(topic, 5)
        publisher.flush(30)
    with Recorder(tmp_path) as recorder, client.reader(connection, recorder, group=f"g-{topic}") as reader:
        reader.subscribe([topic])
        records = reader.read(7, 30)
    assert [r.value for r in records if r.partition == 0][:2] == [b"Message 1", b"Message 2"]
    assert all(r.headers == () and r.publisher is None and r.sequence is None for r in records)
    assert [(r["publisher"], r["sequence"]) for r in rows_of(tmp_path, "reads")] == [(None, None)] * 7
    with pytest.raises(ValueError, match="without identity"):
        client.publisher(connection, Recorder(tmp_path / "other"), identify=False)


def test_log_append_time_is_left_out_of_the_digest(
    client: Driver, connection: Connection, admin: Admin, tmp_path: Path
) -> None:
    topic = f"clients-{uuid.uuid4().hex[:12]}"
    admin.create_topic(topic, configs={"message.timestamp.type": "LogAppendTime"})
    with Recorder(tmp_path) as recorder:
        with client.publisher(connection, recorder, log_append_time=True) as publisher:
            publisher.publish(topic, 50)
            publisher.send_and_wait(Message(topic, b"v"))
        with client.reader(connection, recorder) as reader:
            result = reader.read_to_end(topic, 30, keep=True)
    assert {r.timestamp_type for r in result.records} == {1}
    sends, reads = history(tmp_path)
    assert {i: s["digest"] for i, s in sends.items()} == {i: r["digest"] for i, r in reads.items()}


def test_transactions(client: Driver, connection: Connection, topic: str, tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        with client.publisher(connection, recorder, transactional_id=f"tx-{topic}") as publisher:
            publisher.begin()
            publisher.publish(topic, 10)
            assert publisher.commit() == "committed"
            publisher.begin()
            publisher.publish(topic, 20)
            publisher.flush(30)
            assert publisher.abort() == "aborted"
            publisher.begin()
            publisher.publish(topic, 5)
            assert publisher.commit() == "committed"
        with client.reader(connection, recorder, committed_only=True) as reader:
            committed = reader.read_to_end(topic, 30)
        with client.reader(connection, recorder) as reader:
            everything = reader.read_to_end(topic, 30)
    # Each transaction's marker takes an offset at the end of a partition; reading to the end passes it.
    assert committed.complete
    assert committed.count == 15
    assert everything.complete
    assert everything.count == 35
    assert [t["outcome"] for t in rows_of(tmp_path, "transactions")] == ["committed", "aborted", "committed"]
    assert Counter(s["transaction"] for s in rows_of(tmp_path, "sends")) == {0: 10, 1: 20, 2: 5}
    assert Counter(r["committed_only"] for r in rows_of(tmp_path, "reads")) == {True: 15, False: 35}


def test_a_fenced_publisher_does_not_commit(client: Driver, connection: Connection, topic: str, tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        first = client.publisher(connection, recorder, transactional_id=f"tx-{topic}")
        first.begin()
        first.publish(topic, 3)
        first.flush(30)
        with client.publisher(connection, recorder, transactional_id=f"tx-{topic}") as second:
            second.begin()
            second.publish(topic, 4)
            assert second.commit() == "committed"
        assert first.commit() in ("unknown", "aborted")
        assert first.last_error
        first.close()
        with client.reader(connection, recorder, committed_only=True) as reader:
            assert reader.read_to_end(topic, 30).count == 4


def test_offsets_in_a_transaction(client: Driver, connection: Connection, admin: Admin, topic: str) -> None:
    group = f"g-{topic}"
    with client.publisher(connection) as publisher:
        publisher.publish(topic, 10, partitions=[0])
        publisher.flush(30)
    with (
        client.reader(connection, group=group) as reader,
        client.publisher(connection, transactional_id=f"tx-{topic}") as publisher,
    ):
        reader.subscribe([topic])
        assert len(reader.read(10, 30)) == 10
        publisher.begin()
        publisher.publish(topic, 1, partitions=[1])
        publisher.send_offsets({(topic, 0): 10}, reader)
        assert publisher.commit() == "committed"
    # A commit is acknowledged once it is decided; the group hears of it a moment later.
    wait_until(lambda: admin.committed(group) == {(topic, 0): 10}, what="the group's offset", seconds=10)


def test_a_group_is_shared_joined_left_and_deserted(
    client: Driver, connection: Connection, admin: Admin, topic: str, tmp_path: Path
) -> None:
    group = f"g-{topic}"
    with Recorder(tmp_path) as recorder:
        with client.publisher(connection, recorder) as publisher:
            publisher.publish(topic, 300, partitions=[0, 1, 2])
            publisher.flush(30)
        first = client.reader(connection, recorder, group=group)
        first.subscribe([topic])
        assert len(first.read(300, 30)) == 300
        assert sum(first.commit().values()) == 300
        first.abandon()
        assert admin.members(group) == 1
        with client.reader(connection, recorder, group=group) as second:
            second.subscribe([topic])
            # Only once the deserter's session has expired does the second member get anything to read.
            wait_until(
                lambda: second.drain(0.1) or len(second.positions()) == 3, what="the second member's turn", seconds=30
            )
            with client.publisher(connection, recorder) as publisher:
                publisher.publish(topic, 30, partitions=[0, 1, 2])
                publisher.flush(30)
            assert len(second.read(30, 30)) == 30
        assert admin.committed(group) == {(topic, n): 100 for n in range(3)}
        assert admin.members(group) == 0
        admin.delete_group(group)
    commits = rows_of(tmp_path, "commits")
    assert {(c["partition"], c["offset"], c["group_id"]) for c in commits} == {(n, 100, group) for n in range(3)}
    assigned = [(a["reader"], a["partition"]) for a in rows_of(tmp_path, "assignments") if a["what"] == "assigned"]
    assert sorted(set(assigned)) == [(reader, n) for reader in range(2) for n in range(3)]


def test_reading_from_an_offset_a_time_and_the_end(
    client: Driver, connection: Connection, admin: Admin, topic: str, tmp_path: Path
) -> None:
    admin.set_configs(topic, {"retention.ms": "-1"})
    with client.publisher(connection) as publisher:
        for n in range(10):
            publisher.send_and_wait(Message(topic, b"%d" % n, partition=0, timestamp=1_000_000 + n * 1_000))
    at = admin.offsets_at([topic], 1_004_500)
    assert at == {(topic, 0): 5, (topic, 1): -1, (topic, 2): -1}
    with Recorder(tmp_path) as recorder, client.reader(connection, recorder) as reader:
        result = reader.read_to_end(topic, 30, start={(topic, 0): 5}, keep=True)
        assert [r.value for r in result.records] == [b"5", b"6", b"7", b"8", b"9"]
        reader.seek(topic, 0, 8)
        assert [r.offset for r in reader.read(2, 30)] == [8, 9]
    assert [a["position"] for a in rows_of(tmp_path, "assignments") if a["what"] == "seek"] == [5]
    with client.reader(connection) as reader:
        reader.assign({(topic, 0): END})
        assert reader.poll(0.5) == []
    admin.delete_records({(topic, 0): 7})
    assert admin.beginning_offsets([topic])[topic, 0] == 7
    with client.reader(connection) as reader:
        assert [r.offset for r in reader.read_to_end(topic, 30, keep=True).records] == [7, 8, 9]


def test_an_end_that_is_not_reached_is_said(client: Driver, connection: Connection, topic: str, tmp_path: Path) -> None:
    with client.publisher(connection) as publisher:
        publisher.publish(topic, 30, partitions=[0, 1, 2])
        publisher.flush(30)
    with Recorder(tmp_path) as recorder, client.reader(connection, recorder) as reader:
        ends = {(topic, 0): 10, (topic, 1): 11, (topic, 2): 10}
        result = reader.read_to_end(topic, 1.0, ends=ends)
    assert not result.complete
    assert result.count == 30
    assert f"{topic}-1 at 10 of 11" in str(result)
    rows = rows_of(tmp_path, "ends")
    assert {e["partition"]: e["complete"] for e in rows} == {0: True, 1: False, 2: True}
    assert all(e["from_offset"] == 0 for e in rows)


def test_administration(admin: Admin, topic: str) -> None:
    assert topic in admin.topics()
    assert len(admin.leaders(topic)) == 3
    admin.add_partitions(topic, 5)
    assert sorted(admin.leaders(topic)) == [0, 1, 2, 3, 4]
    admin.set_configs(topic, {"retention.ms": "12345"})
    wait_until(lambda: admin.configs(topic)["retention.ms"] == "12345", what="the new configuration", seconds=10)
    assert admin.end_offsets([topic]) == {(topic, n): 0 for n in range(5)}
    assert admin.leaders("never-created") == {}
    assert admin.end_offsets(["never-created"]) == {}


def fenced(answer: type[ApiMessage], entry: type[ApiMessage], words: str) -> Callable[[ApiMessage, Exchange], Reply]:
    """The controller's answer while every broker is fenced, or with other words."""

    def says(request: ApiMessage, exchange: Exchange) -> Reply:
        version = exchange.head.version
        refused = [
            entry(version=version, name=asked.name, error_code=InvalidReplicationFactorError.errno, error_message=words)
            for asked in request.topics
        ]
        return Reply(answer[version](**{"results" if answer is CreatePartitionsResponse else "topics": refused}))

    return says


CREATED = ("CreateTopics", CreateTopicsResponse, CreateTopicsResponse.CreatableTopicResult)
EXTENDED = ("CreatePartitions", CreatePartitionsResponse, CreatePartitionsResponse.CreatePartitionsTopicResult)
FENCED = "Unable to replicate the partition 1 time(s): All brokers are currently fenced."


@pytest.mark.parametrize("asked", [CREATED, EXTENDED], ids=["create", "add partitions"])
def test_a_broker_that_is_fenced_for_a_moment_is_asked_again(
    client: Driver, broker: EmbeddedBroker, topic: str, run: Run, asked: tuple[str, Any, Any]
) -> None:
    """As one is that its machine has kept from a heartbeat."""
    with Proxy(run, broker.bootstrap_servers) as proxy, client.admin(Connection(proxy.bootstrap_servers)) as admin:
        refusals = proxy.rewrite_request(asked[0], fenced(*asked[1:], FENCED), times=2)
        if asked is CREATED:
            admin.create_topic(f"{topic}-too")
            admin.delete_topic(f"{topic}-too")
        else:
            admin.add_partitions(topic, 4)
        assert refusals.count == 2


def test_a_replication_factor_that_cannot_be_had_is_told_at_once(client: Driver, connection: Connection) -> None:
    began = time.monotonic()
    with client.admin(connection) as admin, pytest.raises(Exception, match=r"(?i)replication.?factor"):
        admin.create_topic(f"clients-{uuid.uuid4().hex[:12]}", replication=3)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "before",
    [{0: -1, 1: 1, 2: 1}, {0: 1, 1: 1, 2: 1, 3: 1}, {}],
    ids=["no leader", "not yet known", "by a broker that has not learned of the topic"],
)
def test_offsets_are_asked_for_again_until_every_partition_has_a_leader(
    admin: Admin, topic: str, monkeypatch: pytest.MonkeyPatch, before: dict[int, int]
) -> None:
    """A broker that was busy for longer than its session is fenced: for a moment its partitions have no leader."""
    known, answers = admin.leaders, [before]
    monkeypatch.setattr(admin, "leaders", lambda name: answers.pop() if answers else known(name))
    assert admin.end_offsets([topic]) == {(topic, 0): 0, (topic, 1): 0, (topic, 2): 0}
    assert not answers


def test_a_transaction_that_may_be_open_for_longer_than_a_cluster_allows_is_not_possible(
    client: Driver, run: Run, broker: EmbeddedBroker
) -> None:
    """No transaction of ours is longer than brokers take by default: so more is asked for on the way."""

    def longer(request, exchange: Exchange) -> None:
        request.transaction_timeout_ms += MOST_TRANSACTION_MS

    with Proxy(run, broker.bootstrap_servers) as proxy:
        proxy.rewrite_request("InitProducerId", longer)
        theirs, ours = Connection(proxy.bootstrap_servers, prefix="a-run-"), Connection(proxy.bootstrap_servers)
        with pytest.raises(NotPossible, match=r"no transaction of 30 s: it is over transaction\.max\.timeout\.ms"):
            client.publisher(theirs, transactional_id=f"id-{uuid.uuid4().hex}")
        with pytest.raises(client.errors):  # the suite's own take it, or are broken
            client.publisher(ours, transactional_id=f"id-{uuid.uuid4().hex}")


def test_a_group_session_that_a_cluster_does_not_take_is_not_possible(
    client: Driver, connection: Connection, topic: str
) -> None:
    name, theirs = f"group-{uuid.uuid4().hex[:8]}", replace(connection, prefix="clients-")
    with client.reader(theirs, group=name, session_timeout=0.2, heartbeat_interval=0.05) as reader:
        reader.subscribe([topic])
        with pytest.raises(NotPossible, match=r"no group session of 0\.2 s: .* group\.min\.session\.timeout\.ms"):
            reader.read(1, 20)


def test_a_connection_that_nobody_answers_is_given_up_soon(
    client: Driver, run: Run, broker: EmbeddedBroker, topic: str
) -> None:
    """An engine takes connections for a container that is not up yet. With the libraries' own patience, which grows to
    30 s, a publisher that meets one looks as if it had stalled.
    """
    with Proxy(run, broker.bootstrap_servers) as proxy:
        # The first question on the second connection: nothing ever comes back on it.
        silence = proxy.drop_request("ApiVersions", n=2)
        began = time.monotonic()
        with client.publisher(Connection(proxy.bootstrap_servers), idempotent=False) as publisher:
            publisher.send(Message(topic, b"after all"))
            assert publisher.flush(30) == 0
        assert time.monotonic() - began < 2 * SETUP_SECONDS  # the libraries alone take 10 s or more
        silence.wait()


@pytest.mark.parametrize("client", ["confluent-kafka"], indirect=True)
def test_a_partition_that_was_taken_away_is_not_read_on(
    client: Driver, run: Run, broker: EmbeddedBroker, connection: Connection, topic: str
) -> None:
    """librdkafka does, where it waits for a partition's first offset when that is taken away; it hands out what it read
    when the partition comes back, although the group has committed it by then.
    """
    group, records = f"group-{uuid.uuid4().hex[:8]}", []

    def poll_until(condition: Callable[[], object], what: str, *readers: Reader) -> None:
        def polled() -> bool:
            for each in readers:
                records.extend((each, record) for record in each.poll(0.01))
            return bool(condition())

        wait_until(polled, what=what, seconds=30)

    with (
        Proxy(run, broker.bootstrap_servers) as proxy,
        client.publisher(connection) as publisher,
        client.reader(Connection(proxy.bootstrap_servers), group=group, heartbeat_interval=0.1) as reader,
    ):
        late = proxy.delay_answer("ListOffsets", seconds=0.5)
        reader.subscribe([topic])
        poll_until(lambda: len(reader.positions()) == 3 and late.count, "the first offsets to be asked for", reader)
        with client.reader(connection, group=group, heartbeat_interval=0.1) as other:
            other.subscribe([topic])
            shared = lambda: other.positions() and len(reader.positions()) + len(other.positions()) == 3  # noqa: E731
            poll_until(shared, "both readers to have partitions", reader, other)
            moved = set(other.positions())
            published, until = 0, time.monotonic() + 1.0  # by then the answer is there, and that has had its time
            while time.monotonic() < until:
                published += 3
                publisher.send_many(Message(topic, b"first", partition=n) for n in range(3))
                assert publisher.flush(30) == 0
                poll_until(lambda n=published: len(records) >= n, "what was published", reader, other)
                other.commit()
        poll_until(lambda: len(reader.positions()) == 3, "the partitions to come back", reader)
        publisher.send_many(Message(topic, b"second", partition=n) for n in range(3))
        assert publisher.flush(30) == 0
        poll_until(lambda: [r for _, r in records if r.value == b"second"][2:], "what is published now", reader)
    again = [
        f"{record.topic}-{record.partition} at {record.offset}"
        for each, record in records
        if each is reader and (record.topic, record.partition) in moved and record.value == b"first"
    ]
    assert again == []


def test_a_broker_that_takes_connections_and_closes_them_is_not_stormed(
    run: Run, broker: EmbeddedBroker, topic: str
) -> None:
    """So does an engine for a container that is down; kafka-python alone connects a thousand times a second then."""
    with (
        Proxy(run, broker.bootstrap_servers) as proxy,
        driver("kafka-python").publisher(Connection(proxy.bootstrap_servers), idempotent=False) as publisher,
    ):
        publisher.send(Message(topic, b"before"))
        assert publisher.flush(10) == 0
        manager = publisher._producer._sender._client._manager
        connect, tries = manager._build_transport, []
        manager._build_transport = lambda *given, **named: tries.append(given) or connect(*given, **named)
        closed = proxy.cut_off()
        publisher.send(Message(topic, b"after"))
        assert publisher.flush(1) == 1
        assert 1 < len(tries) < 40
        closed.lift()
        assert publisher.flush(10) == 0


def test_a_transaction_begun_while_its_coordinator_is_away_is_committed_when_it_is_back(
    client: Driver, run: Run, broker: EmbeddedBroker, topic: str
) -> None:
    """kafka-python alone drops the request that would add the partitions, and spins until the messages are given up."""
    with (
        Proxy(run, broker.bootstrap_servers) as proxy,
        client.publisher(
            Connection(proxy.bootstrap_servers), transactional_id=f"tx-{topic}", delivery_timeout=10.0
        ) as publisher,
    ):
        publisher.begin()
        publisher.publish(topic, 1)
        assert publisher.commit() == "committed"
        away = proxy.cut_off()
        wait_until(lambda: not proxy.connections(), what="the publisher to have no connection left", seconds=10)
        publisher.begin()
        publisher.publish(topic, 1)
        assert publisher.flush(1) == 1
        away.lift()
        assert publisher.commit() == "committed"
        assert publisher.counts["acknowledged"] == 2


def test_load_in_the_background(client: Driver, connection: Connection, topic: str, tmp_path: Path) -> None:
    with Recorder(tmp_path) as recorder:
        with Load(client, connection, recorder) as load:
            load.publish(topic, publishers=2, per_second=500)
            load.publish(topic, 1_000)
            load.read(topic, readers=1)
            load.wait_for_acknowledged(1_500, 30)
            load.wait_for_more_acknowledged(100, 30)
            load.wait_for_read(1_600, 30)
            load.stop()
        with client.reader(connection, recorder) as reader:
            result = reader.read_to_end(topic, 30)
    assert result.complete
    assert result.count == sum(outcome["acknowledged"] for outcome in load.outcomes)
    assert {outcome["open"] + outcome["unknown"] for outcome in load.outcomes} == {0}


def test_an_error_in_the_background_is_not_lost(client: Driver, connection: Connection, topic: str) -> None:
    def fail(reader: object) -> None:
        raise RuntimeError("the work went wrong")

    load = Load(client, connection, None)
    load.publish(topic, 10)
    load.read(topic, work=fail)
    with pytest.raises(LoadFailed, match="the work went wrong"):
        load.wait_for_read(10_000, 30)
    with pytest.raises(LoadFailed):
        load.stop()


@pytest.mark.parametrize("name", DRIVERS)
def test_one_client_never_imports_the_other(name: str) -> None:
    other = {"kafka-python": "confluent_kafka", "confluent-kafka": "kafka"}[name]
    program = f"import sys; from integrity.clients import driver; driver({name!r}); assert {other!r} not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_unknown_client_is_refused() -> None:
    with pytest.raises(BadOption, match="kafka-python, confluent-kafka"):
        driver("librdkafka")


def test_a_transaction_lasts_no_longer_than_brokers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the timeout_factor: they refuse a publisher that asks for more."""
    monkeypatch.setattr(waiting, "_timeout_factor", 2.0)
    assert PublisherOptions(transaction_timeout=300).transaction_ms == 600_000
    monkeypatch.setattr(waiting, "_timeout_factor", 10.0)
    assert PublisherOptions(transaction_timeout=300).transaction_ms == 900_000


def test_both_clients_tell_a_batch_whose_checksum_is_wrong() -> None:
    """Here librdkafka; kafka-python's error is met in the tests of the scene, and both in a feature."""
    from confluent_kafka import KafkaError

    from integrity.clients.confluent.reader import ConfluentReader

    reader = object.__new__(ConfluentReader)
    with pytest.raises(DamagedMessages, match=r"handed messages that are damaged: .*_BAD_MSG"):
        reader._note(KafkaError(KafkaError._BAD_MSG), "t", 0, 7)
    reader._note(KafkaError(KafkaError._TRANSPORT), "t", 0, 7)
