"""The embedded broker's life cycle: real processes, same data, same address."""

from __future__ import annotations

import getpass
import re
import shlex
import socket
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from kafka.errors import UnknownTopicOrPartitionError

from integrity.brokers import embedded, jvm, probe, training
from integrity.brokers.base import BrokerConfig, BrokerFailed
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import driver, wire
from integrity.faults import process
from integrity.faults.disk import DataFiles
from integrity.faults.network import Proxy
from integrity.waiting import WaitTimeout, attended, nothing, wait_until

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process has open is told on Linux")


@pytest.fixture
def own(run, kafka):
    """A broker of the test's own, to be harmed."""
    broker = EmbeddedBroker(BrokerConfig(node=1), distribution=kafka, run=run)
    yield broker
    broker.discard()


def test_a_deleted_topics_files_are_gone_before_the_next_start(own):
    """Every start opens and recovers each of them, and by default none is deleted in a broker's first half minute."""
    own.start()
    with driver("kafka-python").admin(own.connection) as admin:
        admin.create_topic("gone", partitions=3)
        admin.delete_topic("gone")

    def left() -> list[str]:
        return [each.name for each in own.data_directory.glob("gone-*")]

    wait_until(lambda: not left(), what="its files to go", seconds=5, detail=lambda: f"{left()} are there")


def test_stopped_killed_and_frozen_it_comes_back_at_the_same_address(own):
    heard = []
    own.listener = lambda subject, what, detail: heard.append(what)
    own.start()
    address, cluster = own.bootstrap_servers, probe.metadata(own.bootstrap_servers).cluster_id

    for how in ("stopped", "killed"):
        restart = process.restart(own, how)
        assert restart.is_started > restart.was_started
    own.freeze()
    assert own.is_alive()
    own.thaw()
    wait_until(lambda: probe.answers(address, 1), what="the thawed broker to answer", seconds=10)
    own.freeze()
    own.kill()  # a frozen broker can be killed

    assert own.refuses_connections()
    assert heard == [
        "started", "ready", "stopped", "started", "ready", "killed", "started", "ready",
        "frozen", "thawed", "frozen", "killed",
    ]  # fmt: skip
    own.start()
    assert probe.metadata(address).cluster_id == cluster


class Recovering:
    """A broker that is killed while it starts. starts: what it logs at each, one piece at every look at its log.

    lives: what each start had logged when it was killed.
    """

    label, kind = "broker 1", "embedded"
    KRAFT = "[LogLoader partition=__cluster_metadata-0, dir=/data] Recovering unflushed segment 0. 0 recovered\n"
    TOPIC = "[LogLoader partition=orders-0, dir=/data] Recovering unflushed segment 0. 0 recovered for orders-0.\n"
    DONE = "[KafkaRaftServer nodeId=1] Kafka Server started\n"

    def __init__(self, *starts: list[str]) -> None:
        self._starts = iter(starts)
        self._coming: list[str] = []
        self._logged = ""
        self.lives: list[str] = []
        self.serves = False

    def log_mark(self) -> int:
        return len(self._logged)

    def log(self, mark: int = 0) -> str:
        self._logged += self._coming.pop(0) if self._coming else ""
        return self._logged[mark:]

    def launch(self) -> None:
        self._born = len(self._logged)
        self._coming = list(next(self._starts, []))

    def await_ready(self) -> None:
        self.serves = True

    def kill(self) -> None:
        self._coming = []
        if hasattr(self, "_born"):
            self.lives.append(self._logged[self._born :])

    def check_alive(self) -> None:
        """It lives."""


def test_a_broker_recovers_when_it_checks_a_topics_log_and_not_only_its_own_of_the_cluster():
    """That one it checks at every start, seconds before the topics' logs: killed there, it had not begun to recover."""
    start = [Recovering.KRAFT, Recovering.TOPIC, Recovering.DONE]
    broker = Recovering(start, start)
    process.kill_while_recovering(broker, 2)
    assert broker.lives == [Recovering.KRAFT + Recovering.TOPIC] * 2
    assert broker.serves


def test_a_kill_of_a_broker_that_serves_does_not_count_and_is_done_again():
    """Neither does one that comes after a start without anything to recover."""
    late = [Recovering.KRAFT, Recovering.TOPIC + Recovering.DONE]
    nothing_to_do = [Recovering.KRAFT, Recovering.DONE]
    in_time = [Recovering.KRAFT + Recovering.TOPIC, Recovering.DONE]
    broker = Recovering(late, nothing_to_do, in_time)
    process.kill_while_recovering(broker, 1)
    assert len(broker.lives) == 3
    with pytest.raises(process.FaultNotProven, match="caught it 0 times"):
        process.kill_while_recovering(Recovering(*[late] * process.ATTEMPTS), 1)


@on_linux
def test_a_killed_broker_leaves_nothing_in_the_machines_temporary_folder(own):
    """Codecs unpack libraries into files, which they remove only when they end in order."""
    own.start()
    with driver("kafka-python").admin(own.connection) as admin:
        admin.create_topic("compressed", partitions=1, configs={"compression.type": "lz4"})
    with driver("kafka-python").publisher(own.connection, None) as publisher:
        publisher.publish("compressed", 1)
        assert publisher.flush(10) == 0
    files = [each.path for each in psutil.Process(own._process.pid).memory_maps() if "lz4" in each.path]
    assert files
    assert all(Path(file).is_relative_to(own.data_directory.parent) for file in files), files
    assert not Path("/tmp", f"hsperfdata_{getpass.getuser()}", str(own._process.pid)).exists()


def test_nobody_waits_for_a_broker_that_was_taken_down(own):
    """An interrupted run takes its brokers down; threads that go on waiting for them would keep it from ending."""
    own.launch()
    own.freeze()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(own.await_ready)
        own.discard()
        with pytest.raises(BrokerFailed, match="was taken down while it was waited for"):
            waiting.result(10)


def test_which_topics_are_missing_is_said_only_by_a_broker_that_answers(broker):
    assert wire.missing(broker.bootstrap_servers, {}, ["nobody-made-this"]) == ["nobody-made-this"]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host, port = closed.getsockname()
        assert wire.missing(f"{host}:{port}", {}, ["nobody-made-this"]) == []


def test_a_topic_is_missing_only_where_every_broker_says_so(run, broker):
    """One that was cut off from the others may learn of a new topic seconds after them, and still answers."""
    topic = f"known-{uuid.uuid4().hex[:12]}"
    with driver("kafka-python").admin(broker.connection) as admin:
        admin.create_topic(topic, partitions=1)

        def know_nothing(answer, exchange):
            for each in answer.topics:
                each.error_code = UnknownTopicOrPartitionError.errno
            return answer

        with Proxy(run, broker.bootstrap_servers) as behind, behind.rewrite_answer("Metadata", know_nothing):
            assert wire.missing(behind.bootstrap_servers, {}, [topic]) == [topic]
            assert wire.missing(f"{behind.bootstrap_servers},{broker.bootstrap_servers}", {}, [topic]) == []
        admin.delete_topic(topic)


def test_its_log_tells_when_how_grave_and_who(broker):
    lines = broker.log().splitlines()
    assert re.fullmatch(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] INFO kafka\.\S+ - .+", lines[0]), lines[0]
    assert not [line for line in lines if "SLF4J" in line or "StatusLogger" in line or "Log4j API" in line]


def test_it_listens_on_loopback_only(broker):
    listening = [c for c in psutil.Process(broker._process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening
    assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}


def test_a_broker_that_cannot_start_says_why_at_once(run, kafka):
    broker = EmbeddedBroker(BrokerConfig(settings={"num.io.threads": "none"}), distribution=kafka, run=run)
    try:
        with pytest.raises(BrokerFailed, match=r"died on its own \(.*\); the end of its log:\n(.|\n)*num\.io\.threads"):
            broker.start()
    finally:
        broker.discard()


def test_a_broker_that_does_not_come_back_says_in_one_line_what_was_done_to_it_and_what_it_complains_of(own):
    own.start()
    own.kill()
    properties = own.data_directory / "meta.properties"
    properties.write_text(properties.read_text().replace("node.id=1", "node.id=99"))
    with pytest.raises(BrokerFailed) as failed:
        own.start()
    line, *tail = str(failed.value).splitlines()
    assert line.startswith(
        "broker 1 died on its own after it was killed (java.lang.RuntimeException: Stored node id 99"
    )
    assert any("Exiting Kafka due to fatal exception" in each for each in tail)


def test_a_folder_that_was_emptied_is_formatted_for_the_same_node_of_the_same_cluster(own, monkeypatch):
    monkeypatch.setattr(embedded.subprocess, "Popen", lambda *_, **__: None)

    def said() -> list[str]:
        own._launch()
        return own.peek("meta.properties").decode().splitlines()

    first = said()
    assert said() == first
    DataFiles(own.data_directory).clear()
    differing = [(old, new) for old, new in zip(first, said(), strict=True) if old != new]
    assert [old.partition("=")[0] for old, _ in differing] == ["directory.id"]


def test_a_taken_port_is_a_clear_failure(own):
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", own._port))
        thief.listen()
        with pytest.raises(BrokerFailed, match="Address already in use"):
            own.start()


def test_discard_leaves_no_process_and_no_folder(run, kafka):
    broker = EmbeddedBroker(BrokerConfig(), distribution=kafka, run=run)
    broker.start()
    pid, folder = broker._process.pid, broker.data_directory.parent
    broker.discard()
    broker.discard()
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


def test_a_process_that_does_not_end_is_told_as_such_and_discarded_later(run, monkeypatch):
    """One that waits for a disk that never answers takes no signal. Here none is sent."""
    broker = EmbeddedBroker(BrokerConfig(), distribution=None, run=run)
    with subprocess.Popen(["sleep", "60"]) as broker._process:
        try:
            with monkeypatch.context() as stuck:
                stuck.setattr(broker, "_signal", lambda number: None)
                stuck.setattr(embedded, "KILL_SECONDS", 0.2)
                with pytest.raises(BrokerFailed, match=r"process \d+ of broker 1 to end, which was killed, in vain"):
                    attended(broker.discard, nothing, seconds=10)
            broker.discard()
            assert broker._process.poll() is not None
        finally:
            broker._process.kill()


def test_a_restart_that_did_not_happen_is_noticed(own, monkeypatch):
    own.start()
    monkeypatch.setitem(process.WAYS_DOWN, "stopped", lambda broker: None)
    with pytest.raises(process.RestartNotProven, match="still accepts connections"):
        process.restart(own, "stopped")


def test_it_starts_without_its_ahead_of_time_cache_when_that_is_damaged(run, kafka, tmp_path):
    damaged = tmp_path / "damaged.aot"
    damaged.write_bytes(b"\0" * 100_000)
    broker = EmbeddedBroker(
        BrokerConfig(), distribution=kafka, run=run, extra_flags=[f"-XX:AOTCache={damaged}", "-Xlog:aot*=off"]
    )
    try:
        broker.start()
    finally:
        broker.discard()


@on_linux
def test_where_nothing_can_be_kept_it_says_so_and_starts_all_the_same(run, kafka, capfd):
    """A read-only home: the storage is formatted by every broker for itself, and there is no ahead-of-time cache."""
    homeless = replace(kafka, home=Path("/proc/kafka-integrity"))
    jvm.prepare(homeless, run)
    assert (
        "Quick starts are not available: the cache folder /proc/kafka-integrity is not writable"
        in capfd.readouterr().out
    )
    assert jvm.start_flags(homeless) == []
    starts(EmbeddedBroker(BrokerConfig(), distribution=homeless, run=run))


def test_a_runtime_that_cannot_record_an_ahead_of_time_cache_is_used_without(run, kafka, tmp_path, capfd):
    """Here it is the packaged one behind a script that does not know the option, as older runtimes do not."""
    java = tmp_path / "runtime" / "bin" / "java"
    java.parent.mkdir(parents=True)
    (java.parent.parent / "release").write_text("older")
    java.write_text(
        '#!/bin/sh\ncase "$*" in *AOTCacheOutput*) echo Unrecognized VM option; exit 1;; esac\n'
        f'exec {shlex.quote(str(kafka.java))} "$@"\n'
    )
    java.chmod(0o755)
    older = replace(kafka, java=java, home=tmp_path / "home")
    jvm.prepare(older, run)
    assert "Quick starts are not available: no AOT cache could be recorded" in capfd.readouterr().out
    assert jvm.start_flags(older) == []
    starts(EmbeddedBroker(BrokerConfig(), distribution=older, run=run))


def test_a_broker_that_fails_its_training_is_told_of_and_leaves_nothing(run, kafka, tmp_path, capfd, monkeypatch):
    def fail(connection):
        raise WaitTimeout("waited 30 s for topic training to be gone")

    monkeypatch.setattr(training, "use", fail)
    fresh = replace(kafka, home=tmp_path / "home")
    before = set(run.directory.iterdir())
    jvm.prepare(fresh, run)
    said = capfd.readouterr().out
    assert "Quick starts are not available: no AOT cache could be recorded" in said
    assert "topic training to be gone" in said
    assert not [file.name for file in fresh.home.iterdir() if "aot" in file.name or "recording" in file.name]
    assert set(run.directory.iterdir()) == before


def test_the_training_is_work_for_a_broker_and_cleans_up_after_itself(own):
    """What the recorded broker is put to must go on being what the features ask: a cache of a mere start is slower."""
    own.start()
    training.use(own.connection)
    with driver("kafka-python").admin(own.connection) as admin:
        assert admin.topics() == []
        assert admin.members(training.GROUP) == 0
    log = own.log()
    for sign in ("Created log for partition training-2", "__consumer_offsets-", "__transaction_state-"):
        assert sign in log, sign


def test_another_training_makes_another_cache(kafka, tmp_path, monkeypatch):
    """Else a machine would keep what an older training has recorded, for ever."""
    present = jvm.ahead_of_time_cache(kafka)
    other = tmp_path / "training.py"
    other.write_bytes(jvm.TRAINING.read_bytes() + b"#")
    monkeypatch.setattr(jvm, "TRAINING", other)
    assert jvm.ahead_of_time_cache(kafka) != present


def test_other_flags_make_another_cache(kafka, monkeypatch):
    """Java passes over a cache whose flags do not go with its own, and would start slowly for ever."""
    present = jvm.ahead_of_time_cache(kafka)
    monkeypatch.setattr(jvm, "FLAGS", [*jvm.FLAGS, "-XX:+UseParallelGC"])
    assert jvm.ahead_of_time_cache(kafka) != present


def starts(broker):
    try:
        broker.start()
        assert broker.is_usable()
    finally:
        broker.discard()


def test_java_is_the_packaged_one(kafka):
    said = subprocess.run([kafka.java, "-version"], capture_output=True, text=True, check=True).stderr
    assert '"25' in said
