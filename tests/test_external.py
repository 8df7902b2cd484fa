"""Somebody else's cluster: one with TLS and SASL, stopped and started by its owner's scripts, left as it was found."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)

from integrity import making_topics as making
from integrity import runs
from integrity.brokers import access, external, leavings
from integrity.brokers.base import BrokerConfig, BrokerFailed
from integrity.brokers.embedded import EmbeddedBroker
from integrity.brokers.leaders import GROUPS, TRANSACTIONS, Leaders
from integrity.clients import Connection, Message, driver, wire
from integrity.clients.base import Reader
from integrity.errors import BadOption, NotPossible, Unavailable
from integrity.reports.model import ScenarioFacts
from integrity.scene import Scene
from integrity.scenes.content import LARGE, publish
from integrity.settings import Settings
from integrity.waiting import wait_until
from tests import owner, secured
from tests.secured import KEY_PASSWORD, PASSWORD, SECRETS, STORE_PASSWORD, WRONG_PASSWORD, Secured, jaas
from tests.test_interruptions import LiveRun

ROOT = Path(__file__).parent.parent
CLIENTS = ("kafka-python", "confluent-kafka")
#: Of each process of the tests another one: they have the folder with the notes in common.
RUN_ID = uuid.uuid4().hex
RESTART = "features/persistence/restart.feature"
CRASHES = "features/persistence/crashes.feature"
READERS = "features/delivery/readers.feature"
REPLICATION = "features/replication/in_sync.feature"
THREE_MESSAGES = "features/delivery/data_integrity.feature"


@pytest.fixture(scope="module")
def cluster(run, kafka, tmp_path_factory) -> Iterator[Secured]:
    """The cluster, on which its owner has a topic and a group of the owner's own."""
    folder = tmp_path_factory.mktemp("owner")
    found, broker = secured.start(run, kafka, folder)
    try:
        theirs = Connection(found.plain)
        client = driver("kafka-python")
        with client.admin(theirs) as admin:
            admin.create_topic("test_topic")
        with client.publisher(theirs, identify=False) as publisher:
            publisher.send_and_wait(Message("test_topic", b"somebody's"))
        with client.reader(theirs, group="their-group") as reader:
            _commit_one(reader)
        yield found
    finally:
        owner.end(folder, "kill")
        broker.discard()


def _commit_one(reader: Reader) -> None:
    reader.subscribe(["test_topic"])
    assert len(reader.read(1, 30)) == 1
    reader.commit()


@pytest.fixture(autouse=True)
def _no_notes_are_left() -> Iterator[None]:
    yield
    (runs.base_directory() / "external" / RUN_ID).unlink(missing_ok=True)


def settings(cluster: Secured, properties: dict[str, str] | None = None, address: str = "", **more) -> Settings:
    file = None if properties is None else cluster.file(properties)
    return Settings(
        broker="external", bootstrap_servers=address or cluster.secure, client_config=file, timeout_factor=1.0, **more
    )


def the_whole(cluster: Secured, *, commands: bool = True) -> external.ExternalBroker:
    """The cluster as the suite takes it, ready."""
    given = {f"{what}_command": cluster.command(what) for what in ("stop", "start", "kill")} if commands else {}
    broker = access.broker(settings(cluster, cluster.properties(), **given), RUN_ID)
    broker.start()
    return broker


# -- getting in -----------------------------------------------------------------------------------------
def ways_in(cluster: Secured) -> dict[str, tuple[str, dict[str, str]]]:
    def store(kind: str) -> dict[str, str]:
        path = str(cluster.folder / f"ca.{kind.lower()}")
        return {
            "ssl__truststore__location": path,
            "ssl__truststore__password": STORE_PASSWORD,
            "ssl__truststore__type": kind,
        }

    return {
        "SCRAM-SHA-256": (cluster.secure, cluster.properties()),
        "SCRAM-SHA-512, JKS": (cluster.secure, cluster.properties("SCRAM-SHA-512", **store("JKS"))),
        "PLAIN, PKCS12": (cluster.secure, cluster.properties("PLAIN", **store("PKCS12"))),
        "client certificate": (cluster.mutual, cluster.certified()),
        "client certificate, PKCS12": (cluster.mutual, cluster.stored("PKCS12")),
        "client certificate, JKS": (cluster.mutual, cluster.stored("JKS")),
    }


WAYS_IN = (
    "SCRAM-SHA-256",
    "SCRAM-SHA-512, JKS",
    "PLAIN, PKCS12",
    "client certificate",
    "client certificate, PKCS12",
    "client certificate, JKS",
)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("way", WAYS_IN)
def test_each_way_in_with_both_clients(cluster, client, way):
    address, properties = ways_in(cluster)[way]
    assert access.check(settings(cluster, properties, address, client=client)) == f"1 broker at {address}, as asked"
    topic = f"way-in-{client}-{len(way)}"
    connection, library = Connection(address, properties), driver(client)
    with library.admin(connection) as admin:
        admin.create_topic(topic)
    with library.publisher(connection, identify=False) as publisher:
        assert publisher.send_and_wait(Message(topic, b"hello")).outcome == "acknowledged"
    with library.reader(connection) as reader:
        assert reader.read_to_end(topic, 30).count == 1
    with library.admin(connection) as admin:
        admin.delete_topic(topic)


def test_whether_a_topic_is_gone_is_asked_the_way_the_clients_get_in(cluster):
    """Work that does not go on is looked into; asked in plain text, a cluster with TLS answers nothing Kafka knows."""
    for address, properties in ways_in(cluster).values():
        assert wire.missing(address, properties, ["test_topic", "nobody-made-this"]) == ["nobody-made-this"]
    assert wire.missing(cluster.secure, {}, ["nobody-made-this"]) == []


def without(properties: dict[str, str], word: str) -> dict[str, str]:
    return {name: value for name, value in properties.items() if word not in name}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("wrong password", "does not accept user 'alice' with this password by SCRAM-SHA-256"),
        ("wrong password, PLAIN", "does not accept user 'alice' with this password by PLAIN"),
        ("unknown CA", "certificate is not trusted"),
        ("the system's CAs", "certificate is not trusted"),
        ("another host", "certificate is not for this host"),
        ("no client certificate", "wants another client certificate"),
        ("plaintext", "may want another security.protocol than PLAINTEXT"),
        ("TLS where there is none", "check security.protocol"),
        ("SASL where there is none", "does not take sasl.mechanism SCRAM-SHA-256 here"),
        ("wrong store password", "is ssl.truststore.password right?"),
        ("wrong key password", "wrong ssl.key.password"),
        ("nobody there", "cannot be reached: Connection refused"),
        ("no such host", "name cannot be resolved"),
    ],
)
def test_each_way_to_be_kept_out_is_one_clear_line(cluster, case, words):
    wrong = {"sasl__jaas__config": jaas(WRONG_PASSWORD)}
    wrong_plain = {"sasl__jaas__config": jaas(WRONG_PASSWORD, "plain.PlainLoginModule")}
    other = {"ssl__truststore__location": str(cluster.folder / "other-ca.pem")}
    store = {"ssl__truststore__location": str(cluster.folder / "ca.jks"), "ssl__truststore__password": WRONG_PASSWORD}
    address, properties = {
        "wrong password": (cluster.secure, cluster.properties(**wrong)),
        "wrong password, PLAIN": (cluster.secure, cluster.properties("PLAIN", **wrong_plain)),
        "unknown CA": (cluster.secure, cluster.properties(**other)),
        "the system's CAs": (cluster.secure, without(cluster.properties(), "truststore")),
        "another host": (cluster.secure.replace("127.0.0.1", "localhost"), cluster.properties()),
        "no client certificate": (cluster.mutual, without(cluster.certified(), "key")),
        "plaintext": (cluster.secure, {}),
        "TLS where there is none": (cluster.plain, cluster.certified()),
        "SASL where there is none": (
            cluster.plain,
            without(cluster.properties(security__protocol="SASL_PLAINTEXT"), "ssl."),
        ),
        "wrong store password": (cluster.secure, cluster.properties(**store)),
        "wrong key password": (cluster.mutual, cluster.certified(ssl__key__password=WRONG_PASSWORD)),
        "nobody there": ("127.0.0.1:9", cluster.properties()),
        "no such host": ("nowhere.invalid:9092", cluster.properties()),
    }[case]
    with pytest.raises((Unavailable, BadOption)) as caught:
        access.check(settings(cluster, properties, address))
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    assert not any(secret in text for secret in SECRETS)


def test_the_hosts_name_need_not_match_when_the_properties_say_so(cluster):
    lenient = cluster.properties(ssl__endpoint__identification__algorithm="")
    assert "1 broker" in access.check(settings(cluster, lenient, cluster.secure.replace("127.0.0.1", "localhost")))


# -- its life -------------------------------------------------------------------------------------------
def test_it_is_taken_down_and_started_by_its_owners_commands(cluster):
    broker = the_whole(cluster)
    heard = []
    broker.listener = lambda *event: heard.append(event)
    for how in ("stopped", "killed"):
        since = broker.started_at
        broker.stop() if how == "stopped" else broker.kill()
        assert broker.started_at is None
        assert broker.refuses_connections()
        assert not broker.is_usable()
        broker.start()
        assert broker.started_at > since
        assert broker.is_usable()
    assert [what for _, what, _ in heard] == ["stopped", "started", "ready", "killed", "started", "ready"]
    # A broker that is going down may still answer, and tell of no broker at all.
    assert heard[0] in [("the cluster", "stopped", sign) for sign in ("no address answered", "without broker 1")]
    assert "is gone" in broker.log()


def test_a_scenario_that_ends_while_it_is_down_leaves_it_up(cluster):
    broker = the_whole(cluster)
    broker.kill()
    broker.discard()
    assert the_whole(cluster, commands=False).is_usable()


@pytest.mark.parametrize("command", [("no-such-program",), ("false",)])
def test_a_cluster_that_never_went_is_not_started(cluster, tmp_path, command):
    """Its owner is promised that the start_command runs only while the cluster is down."""
    mark = tmp_path / "started"
    given = {"stop_command": command, "start_command": ("touch", str(mark))}
    broker = access.broker(settings(cluster, cluster.properties(), **given), RUN_ID)
    broker.start()
    with pytest.raises(BrokerFailed, match="stop_command"):
        broker.stop()
    assert broker.is_usable()
    broker.discard()
    assert not mark.exists()


def test_what_the_run_made_is_removed_even_if_the_start_fails(cluster):
    broker = access.broker(settings(cluster, cluster.properties(), start_command=("false",)), RUN_ID)
    broker.start()
    with driver("kafka-python").admin(broker.connection) as admin:
        admin.create_topic(broker.connection.own("test_topic"))
    broker._is_down = True
    with pytest.raises(BrokerFailed, match="start_command: false ended with status 1"):
        broker.discard()
    assert_as_it_was(cluster)


def test_nobody_is_said_to_have_started_it_where_no_command_does(cluster):
    broker = the_whole(cluster, commands=False)
    heard = []
    broker.listener = lambda _, what, detail: heard.append(what)
    broker._is_down = True  # as after a kill_command alone, in a cluster that comes back by itself
    broker.start()
    assert heard == ["ready"]


def test_what_may_not_be_deleted_is_told_at_once_and_why(run, kafka):
    broker = EmbeddedBroker(
        BrokerConfig(node=1, settings={"delete.topic.enable": "false"}), distribution=kafka, run=run
    )
    try:
        broker.start()
        connection = Connection(broker.bootstrap_servers, prefix=leavings.prefix(RUN_ID))
        topic = connection.own("kept")
        with driver("kafka-python").admin(connection) as admin:
            admin.create_topic(topic)
        began = time.monotonic()
        with pytest.raises(BrokerFailed, match=rf"left are topic {topic} \(TopicDeletionDisabledError\)$"):
            leavings.remove(connection)
        assert time.monotonic() - began < leavings.REMOVE_SECONDS / 2
        leavings.note(connection, RUN_ID)
        with pytest.raises(Unavailable, match=f"there is a note of it in {leavings.folder()}"):
            access.check(Settings(broker="external", bootstrap_servers=broker.bootstrap_servers, timeout_factor=1.0))
    finally:
        broker.discard()


def _refusal(asked: Settings) -> str:
    """Why the cluster cannot be used; empty where it can."""
    try:
        access.check(asked)
    except Unavailable as error:
        return str(error)
    return ""


@pytest.mark.parametrize("client", CLIENTS)
def test_a_user_that_may_not_create_topics_is_told_so_in_one_line(run, kafka, client):
    """It would be an error in each scenario otherwise. Kafka asks for the right on the cluster, then on the topic."""
    authorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    own = {"authorizer.class.name": authorizer, "allow.everyone.if.no.acl.found": "true"}
    broker = EmbeddedBroker(BrokerConfig(node=1, settings=own), distribution=kafka, run=run)
    whole = ResourcePattern(ResourceType.CLUSTER, "kafka-cluster", ACLResourcePatternType.LITERAL)
    ours = ResourcePattern(ResourceType.TOPIC, "kafka-integrity-", ACLResourcePatternType.PREFIXED)
    rules = [(whole, ACLOperation.ALL, ACLPermissionType.ALLOW), (whole, ACLOperation.CREATE, ACLPermissionType.DENY)]
    try:
        broker.start()
        asked = Settings(
            broker="external", bootstrap_servers=broker.bootstrap_servers, timeout_factor=1.0, client=client
        )
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)) as admin:
            admin.create_acls([ACL("User:ANONYMOUS", "*", what, may, where) for where, what, may in rules])
            assert access.check(asked).startswith("1 broker")
            admin.create_acls([ACL("User:ANONYMOUS", "*", ACLOperation.CREATE, ACLPermissionType.DENY, ours)])
            said = wait_until(lambda: _refusal(asked), what="the broker to go by its new rule", seconds=30)
            assert "may not create topics whose names begin with kafka-integrity- " in said
            assert "(TopicAuthorizationFailedError): it needs the right Create" in said
            assert "\n" not in said
            assert admin.list_topics() == []
    finally:
        broker.discard()


def test_the_next_run_removes_what_a_killed_one_left(cluster, run):
    broker = the_whole(cluster)
    with driver("kafka-python").admin(broker.connection) as admin:
        admin.create_topic(broker.connection.own("test_topic"))
        with pytest.raises(ValueError, match="is not this run's"):
            admin.delete_topic("test_topic")
    living = leavings.note(broker.connection, run.id)
    try:
        access.check(settings(cluster, cluster.properties()))
        assert living.exists()
    finally:
        living.unlink(missing_ok=True)
    assert_as_it_was(cluster)


def test_a_cluster_is_known_again_by_any_of_its_addresses(cluster):
    """Whoever names it in another order, or fewer of its brokers, must not leave what a killed run has left."""
    connection = the_whole(cluster).connection
    known, other = (uuid.uuid4().hex for _ in range(2))
    notes = [
        leavings.note(replace(connection, bootstrap_servers=f"KAFKA-9:9092, {connection.bootstrap_servers}"), known),
        leavings.note(replace(connection, bootstrap_servers="kafka-9:9092"), other),
    ]
    try:
        said = "".join(leavings.sweep(connection))
        assert [path.exists() for path in notes] == [False, True]
    finally:
        for path in notes:
            path.unlink(missing_ok=True)
    assert leavings.prefix(known) in said
    assert leavings.prefix(other) not in said


def test_a_note_that_is_taken_away_while_others_look_is_no_failure(cluster):
    """Runs on the same machine end at any moment, also between another one's list of all notes and its look at one."""
    broker = the_whole(cluster)
    vanished = leavings.note(broker.connection, RUN_ID).with_name(uuid.uuid4().hex)
    vanished.symlink_to(vanished.with_suffix(".taken-away"))
    try:
        said = leavings.sweep(broker.connection)
    finally:
        vanished.unlink()
    assert leavings.prefix(vanished.name) not in "".join(said)


def test_what_it_cannot_do_is_said(cluster):
    broker = the_whole(cluster, commands=False)
    for work, words in (
        (broker.stop, "no -D stop_command was given"),
        (broker.kill, "no -D kill_command was given"),
        (broker.freeze, "cannot be frozen"),
        (lambda: broker.demand("files"), "not the suite's to read or change"),
    ):
        with pytest.raises(NotPossible, match=words):
            work()
    assert broker.is_usable()


def test_a_command_that_changes_nothing_proves_nothing(cluster, monkeypatch):
    monkeypatch.setattr(external, "GONE_SECONDS", 0.5)
    idle = replace(settings(cluster, cluster.properties()), stop_command=("true",))
    broker = access.broker(idle, RUN_ID)
    broker.start()
    with pytest.raises(BrokerFailed, match="every broker still answers, so nothing shows that it was stopped"):
        broker.stop()
    assert broker.is_usable()


def test_a_cluster_that_lets_us_in_no_more_is_not_down(cluster, monkeypatch):
    """Protects from a password that was changed, or a listener that is overloaded, being taken for a stop."""
    monkeypatch.setattr(external, "GONE_SECONDS", 0.5)
    broker = access.broker(replace(settings(cluster, cluster.properties()), stop_command=("true",)), RUN_ID)
    broker.start()
    right, wrong = broker.connection, cluster.properties(sasl__jaas__config=jaas(WRONG_PASSWORD))
    run = broker._run

    def changed_meanwhile(*option: str, **more: object) -> None:
        broker._connection = replace(right, properties=wrong)
        run(*option, **more)

    monkeypatch.setattr(broker, "_run", changed_meanwhile)
    with pytest.raises(BrokerFailed, match="does not let us in any more") as caught:
        broker.stop()
    assert "so nothing shows that it was stopped" in str(caught.value)
    assert not broker.refuses_connections()
    assert broker.is_alive()
    assert not any(secret in str(caught.value) for secret in SECRETS)
    broker._connection = right
    assert broker.is_usable()


def test_who_leads_a_topic_is_told_of_every_one(cluster):
    properties = cluster.properties()
    found = wire.metadata(cluster.secure, properties, topics=None)
    assert {topic.name: [part.leader_id for part in topic.partitions] for topic in found.topics}["test_topic"] == [1]
    assert not wire.metadata(cluster.secure, properties).topics


def test_each_broker_tells_which_groups_and_transactions_it_coordinates(cluster):
    connection = Connection(cluster.secure, cluster.properties(), prefix="coordinated-")
    with driver("kafka-python").admin(connection) as admin:
        admin.create_topic("coordinated-topic")
        with driver("kafka-python").publisher(connection, transactional_id="one", identify=False) as publisher:
            publisher.begin()
            publisher.send_and_wait(Message("coordinated-topic", b"hello"))
            publisher.commit()
        admin.delete_topic("coordinated-topic")
    brokers = wire.metadata(cluster.secure, connection.properties).brokers
    mine, theirs = Leaders(connection), Leaders(replace(connection, prefix="their-"))
    assert mine._coordinated(TRANSACTIONS, brokers) == {"coordinated-one": {1}}
    assert mine._coordinated(GROUPS, brokers) == {}
    assert theirs._coordinated(GROUPS, brokers) == {"their-group": {1}}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_topic_is_made_without_what_every_topic_gets_where_its_owner_does_not_allow_that(
    cluster, tmp_path, monkeypatch, client
):
    monkeypatch.setattr(making, "TOPIC", making.TOPIC | {"cleanup.policy": "nonsense"})
    broker = the_whole(cluster, commands=False)
    scene = Scene(broker, {}, SimpleNamespace(identities=(0, "0")), driver(client), tmp_path / "s", ScenarioFacts())
    try:
        topic = scene.create_topic(2, **{"retention.ms": "12345"})
        with scene.driver.admin(scene.connection) as admin:
            assert admin.configs(topic)["retention.ms"] == "12345"
            assert len(admin.leaders(topic)) == 2
            assert scene.takes_megabytes
            assert admin.configs(scene.create_topic(**{"max.message.bytes": "654321"}))["max.message.bytes"] == "654321"
            assert scene.takes_megabytes, "it is as small as it was to be"
        monkeypatch.setattr(making, "TOPIC", making.TOPIC | {"max.message.bytes": "2000000"})
        scene.create_topic()
        assert not scene.takes_megabytes
        with pytest.raises(NotPossible, match=r"allows no other max\.message\.bytes than its own"):
            publish(scene, [LARGE], "none")
    finally:
        scene.recorder.close()
        broker.discard()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_topic_that_its_owner_does_not_allow_skips_the_scenario_with_the_brokers_words(cluster, tmp_path, client):
    """A managed cluster may allow some settings only. Kafka has no policy of its own to try it with."""
    broker = the_whole(cluster, commands=False)
    scene = Scene(broker, {}, SimpleNamespace(identities=(0, "0")), driver(client), tmp_path / "s", ScenarioFacts())
    with pytest.raises(NotPossible, match="does not allow a topic such as kafka-integrity-") as caught:
        scene.create_topic(**{"cleanup.policy": "nonsense"})
    assert "Invalid value nonsense for configuration cleanup.policy" in str(caught.value)
    scene.close(passed=False)
    broker.discard()


def test_names_that_may_be_lines_of_a_key_are_not_shown(cluster, monkeypatch):
    said = []
    monkeypatch.setattr(access.progress, "say", said.append)
    file = cluster.folder / "pasted.properties"
    file.write_text("acks=all\nclient.id=me\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTU\n")
    found = Settings(broker="external", bootstrap_servers=cluster.plain, client_config=file, timeout_factor=1.0)
    access.check(found)
    [line] = said
    assert line.endswith("the suite chooses them: acks, client.id, 1 whose name is none of Kafka's")


@contextlib.contextmanager
def _somebody(does: Callable[[socket.socket], object]) -> Iterator[str]:
    """The address of one that ``does`` something with its first connection and then holds it to the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                does(connection)
                with contextlib.suppress(OSError):
                    while connection.recv(4096):
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
    thread.join(10)


@pytest.mark.parametrize("properties", [{}, {"security.protocol": "SSL"}])
@pytest.mark.parametrize(
    ("does", "kind"),
    [
        (lambda connection: connection.close(), wire.Closed),
        (lambda connection: (connection.recv(4096), connection.shutdown(socket.SHUT_RDWR)), wire.Closed),
        (lambda connection: None, wire.NoAnswer),
        (lambda connection: connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n" * 9), wire.AccessDenied),
    ],
    ids=["closed", "closed when asked", "silent", "not Kafka"],
)
def test_nobody_silence_and_refusal_are_told_apart(properties, does, kind):
    with _somebody(does) as address, pytest.raises(Unavailable) as caught:
        wire.metadata(address, properties, 0.5)
    assert type(caught.value) is kind


def test_all_addresses_must_be_closed_for_the_cluster_to_be(run):
    nobody, another = (f"127.0.0.1:{run.lease_port()}" for _ in range(2))
    with pytest.raises(wire.Closed):
        wire.metadata(f"{nobody},{another}", {}, 0.5)
    with _somebody(lambda connection: None) as silent, pytest.raises(wire.NoAnswer) as caught:
        wire.metadata(f"{nobody},{silent},{another}", {}, 0.5)
    assert type(caught.value) is wire.NoAnswer


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("no-such-program",), "cannot be run: No such file or directory"),
        (("false",), "ended with status 1; it printed nothing"),
        ((sys.executable, "-c", "import sys; sys.exit(open(sys.argv[1]).read())", "{file}"), "ended with status 1"),
        (("sh", "-c", "echo before; sleep 60"), "so it was killed; it printed: before"),
    ],
)
def test_a_command_that_fails_is_told_with_its_output_and_without_secrets(cluster, monkeypatch, words, said):
    monkeypatch.setattr("integrity.brokers.commands.COMMAND_SECONDS", 1.0)
    given = settings(cluster, cluster.properties())
    command = tuple(word.replace("{file}", str(given.client_config)) for word in words)
    broker = access.broker(replace(given, stop_command=command), RUN_ID)
    broker.start()
    with pytest.raises(BrokerFailed) as caught:
        broker.stop()
    text = str(caught.value)
    assert said in text
    assert not any(secret in text for secret in SECRETS)
    broker.discard()


# -- whole runs -----------------------------------------------------------------------------------------
def behave(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A run of behave in a folder of its own, so that its reports are its own."""
    for name in ("features", "steps", "integrity", "environment.py", "behave.ini"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return subprocess.run(
        [sys.executable, "-m", "behave", "-D", "broker=external", "-D", "messages=1000", *words],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def options(cluster: Secured, *names: str) -> list[str]:
    found = ["-D", f"bootstrap_servers={cluster.secure}", "-D", f"client_config={cluster.file(cluster.properties())}"]
    for name in names:
        found += ["-D", f"{name}_command={' '.join(cluster.command(name))}"]
    return found


def cases(folder: Path) -> list[ElementTree.Element]:
    return [
        case for file in (folder / "reports/junit").glob("*.xml") for case in ElementTree.parse(file).iter("testcase")
    ]


def assert_no_secret(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    """Neither on the console nor in any file of the reports, escaped or not."""
    everything = [(path, path.read_bytes()) for path in (folder / "reports").rglob("*") if path.is_file()]
    for place, content in [*everything, ("stdout", done.stdout.encode()), ("stderr", done.stderr.encode())]:
        for secret in (*SECRETS, "hunter2"):
            assert secret.encode() not in content, f"{secret} in {place}"


def whats_there(cluster: Secured) -> tuple[set[str], set[str]]:
    """Topics and groups, Kafka's own left out."""
    admin = KafkaAdminClient(bootstrap_servers=[cluster.plain])
    try:
        topics = {name for name in admin.list_topics() if not name.startswith("__")}
        return topics, {group["group_id"] for group in admin.list_groups()}
    finally:
        admin.close()


def assert_as_it_was(cluster: Secured) -> None:
    """What its owner had there is there as it was, and nothing else."""
    assert whats_there(cluster) == ({"test_topic"}, {"their-group"})
    with driver("kafka-python").admin(Connection(cluster.plain)) as admin:
        assert admin.end_offsets(["test_topic"]) == {("test_topic", 0): 1}
        assert admin.committed("their-group") == {("test_topic", 0): 1}


def scenario(feature: str, title: str) -> str:
    """One scenario of a feature, by its line."""
    lines = (ROOT / feature).read_text(encoding="utf-8").splitlines()
    return f"{feature}:{next(number for number, line in enumerate(lines, 1) if line.strip() == f'Scenario: {title}')}"


def killed() -> str:
    """The scenario that kills the broker."""
    return scenario(CRASHES, "Everything acknowledged is read back after the broker was killed and started")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_run_with_commands_holds_and_leaves_the_cluster_as_it_was(cluster, tmp_path, client):
    words = [
        *options(cluster, "stop", "start", "kill"),
        "-D",
        f"client={client}",
        "-D",
        "keep=always",
        "-D",
        "shard=2/5",
    ]
    done = behave(tmp_path, *words, RESTART, killed(), THREE_MESSAGES)
    assert done.returncode == 0, done.stdout + done.stderr
    # The killed one's neighbours, which were not asked for, are told as skipped.
    assert sum(case.find("skipped") is None for case in cases(tmp_path)) == 4
    parts = list((tmp_path / "reports/evidence").rglob("sends/part-shard2of5-*.parquet"))
    assert {id for part in parts for id in pq.read_table(part)["publisher"].to_pylist()} == {1_000_000}
    assert_no_secret(tmp_path, done)
    assert_as_it_was(cluster)


def test_a_run_without_commands_skips_with_reasons(cluster, tmp_path):
    features = (RESTART, killed(), "features/persistence/power_loss.feature", REPLICATION, THREE_MESSAGES)
    done = behave(tmp_path, *options(cluster), *features)
    assert done.returncode == 0, done.stdout + done.stderr
    reasons = [case.find("skipped").get("message") for case in cases(tmp_path) if case.find("skipped") is not None]
    assert "the cluster cannot be stopped: no -D stop_command was given" in reasons
    assert "the cluster cannot be killed: no -D kill_command was given" in reasons
    assert "the settings of an external cluster are not the suite's to choose" in reasons
    [replicated] = [case.find("skipped") for case in cases(tmp_path) if "too few replicas" in case.get("name", "")]
    assert replicated.get("message") == "the brokers of an external cluster cannot be taken down one by one"
    assert any(case.find("skipped") is None for case in cases(tmp_path))
    told = "<dt>metadata.version</dt><dd>4.3-IV0</dd>"
    assert told in (tmp_path / "reports/report.html").read_text(encoding="utf-8")
    assert_no_secret(tmp_path, done)
    assert_as_it_was(cluster)


def test_what_needs_a_command_that_was_not_given_is_skipped_before_it_makes_anything(cluster, tmp_path):
    """A scenario may publish for a while, and leave transactions open, before the step that cannot be done."""
    names = ("crashes", "groups", "publishers", "topics", "damaged_files")
    copied = "features/delivery/transactions.feature"
    killed_meanwhile = ["--name", "Every message is copied exactly once although the broker is killed"]
    features = [f"features/persistence/{name}.feature" for name in names]
    # Over plain text: over TLS no network can be had that fails, and that is said before.
    words = ["-D", f"bootstrap_servers={cluster.plain}"]
    for asked in (features, [copied, *killed_meanwhile]):
        done = behave(tmp_path, *words, *asked)
        assert "no scenario ran" in done.stdout, done.stdout + done.stderr
        skipped = [case.find("skipped").get("message") or "" for case in cases(tmp_path)]
        assert "the cluster cannot be killed: no -D kill_command was given" in skipped
        assert not [case.get("name") for case in cases(tmp_path) if " passed in " in case.findtext("system-out", "")]
    assert_as_it_was(cluster)


def test_the_delivery_features_hold_there_without_any_command(cluster, tmp_path):
    """What a managed cluster is asked for; faults on the wire cannot be had where connections are encrypted."""
    features = [f"features/delivery/{name}.feature" for name in ("content", "order", "retries")]
    done = behave(tmp_path, *options(cluster), *features)
    assert done.returncode == 0, done.stdout + done.stderr
    skipped = [case.find("skipped") for case in cases(tmp_path) if case.find("skipped") is not None]
    assert len(cases(tmp_path)) - len(skipped) >= 15
    encrypted = "faults in the midst of requests need connections that are not encrypted"
    assert [skip.get("message") for skip in skipped].count(encrypted) == 7
    assert_as_it_was(cluster)


def test_groups_and_transactions_hold_where_sessions_must_last(cluster, tmp_path):
    """A broker takes no session below its group.min.session.timeout.ms, on an embedded one of ours half a second."""
    dead = scenario(READERS, "What a group's member had not committed when it died is handed to another member")
    done = behave(tmp_path, *options(cluster), dead, "features/delivery/transactions.feature")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(case.find("skipped") is None for case in cases(tmp_path)) == 1 + 4
    assert_as_it_was(cluster)


def test_a_run_that_is_cut_short_while_the_cluster_is_down_leaves_it_up_and_clean(cluster, tmp_path):
    mark = tmp_path / "stopped"
    stop = f"{shlex.join(cluster.command('stop'))} && touch {mark}"
    words = [*options(cluster, "start"), "-D", f"stop_command=sh -c {shlex.quote(stop)}", RESTART]
    run = LiveRun(tmp_path, "-D", "broker=external", *words)
    try:
        wait_until(mark.exists, what="the owner's command to have stopped the cluster", seconds=60)
        assert run.end(signal.SIGTERM) != 0
    finally:
        run.discard()
    assert the_whole(cluster, commands=False).is_usable()
    assert_as_it_was(cluster)


def test_what_a_run_that_was_killed_left_there_is_removed_by_the_next(cluster, tmp_path):
    run = LiveRun(tmp_path, "-D", "broker=external", *options(cluster), "features/delivery/order.feature")
    try:
        wait_until(lambda: len(whats_there(cluster)[0]) > 1, what="the run to make a topic", seconds=60)
        run.end(signal.SIGKILL)
    finally:
        run.discard()
    assert len(whats_there(cluster)[0]) > 1
    done = behave(tmp_path, *options(cluster), THREE_MESSAGES, TMPDIR=str(run.temporary))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a run that was killed had been at work on this cluster" in done.stdout
    assert_as_it_was(cluster)


def test_what_several_machines_did_is_judged_as_one_history(cluster, tmp_path):
    """Two shards of a run on one cluster: their publishers and readers have numbers that no other has."""
    histories = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        words = ["-D", f"shard={number}/2", "-D", "keep=always", "features/delivery/volume.feature"]
        done = behave(folder, *options(cluster), *words)
        assert done.returncode == 0, done.stdout + done.stderr
        histories += [path for path in (folder / "reports/evidence").rglob("history") if path.is_dir()]
    assert len(histories) == 2
    for table, column in (("sends", "publisher"), ("reads", "reader")):
        first, second = (set(pq.read_table(path / table)[column].to_pylist()) for path in histories)
        assert first
        assert second
        assert not first & second
    together = [sys.executable, "-m", "integrity.check", "--json", *map(str, histories)]
    checked = subprocess.run(together, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert json.loads(checked.stdout)["acknowledged"] == 2 * 1000


@pytest.mark.parametrize(
    ("client", "wrong", "words"),
    [
        *((client, "password", "does not accept user 'alice' with this password") for client in CLIENTS),
        ("kafka-python", "authority", "the broker's certificate is not trusted"),
    ],
)
def test_a_run_that_is_not_let_in_is_one_line(cluster, tmp_path, client, wrong, words):
    changed = {
        "password": {"sasl__jaas__config": jaas(WRONG_PASSWORD)},
        "authority": {"ssl__truststore__location": str(cluster.folder / "other-ca.pem")},
    }[wrong]
    file = cluster.file(cluster.properties(**changed), "wrong.properties")
    given = ["-D", f"bootstrap_servers={cluster.secure}", "-D", f"client_config={file}", "-D", f"client={client}"]
    done = behave(tmp_path, *given, THREE_MESSAGES)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert words in line
    assert_no_secret(tmp_path, done)


def test_a_failing_command_is_told_in_the_reports_without_secrets(cluster, tmp_path):
    telling = f"{sys.executable} -c 'import sys; sys.exit(open(sys.argv[1]).read())' {cluster.folder}/client.properties"
    # One by its name, with all that may end a secret too early; and the client's own password, as nobody expects it.
    more = shlex.join(["--token", "hunter2, it's hunter2; hunter2", PASSWORD])
    words = [*options(cluster), "-D", f"stop_command={telling} --password {KEY_PASSWORD} {more}"]
    done = behave(tmp_path, *words, f"{RESTART}:10")
    assert done.returncode == 1, done.stdout + done.stderr
    [problem] = [case.find("error") for case in cases(tmp_path) if case.find("error") is not None]
    assert "ended with status 1" in problem.get("message") + problem.text
    assert_no_secret(tmp_path, done)
    assert_as_it_was(cluster)
