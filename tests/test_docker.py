"""Brokers in containers, on a real engine with the image that ``make image`` builds; skipped where either is not.

What an engine does at its own bad moments is tested on one that only pretends.
"""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import re
import socket
import subprocess
import sys
import tarfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psutil
import pytest
from docker.errors import APIError

from integrity.brokers import administration, docker, kinds, probe
from integrity.brokers.base import BrokerConfig, BrokerFailed
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.docker import DATA, DockerBroker
from integrity.brokers.docker_image import environment
from integrity.brokers.engine import LABEL, OWN_IMAGES, full_name
from integrity.errors import NotPossible, Unavailable
from integrity.faults import process
from integrity.runs import DOCKER_MARK, Run
from integrity.scenes.stalls import Stalled
from integrity.settings import Settings
from integrity.waiting import attended, nothing, wait_until
from tests.fake_engine import CONTAINER_ID, FakeEngine, fails, says

IMAGE = f"{OWN_IMAGES}kafka:{Settings().kafka}"


@pytest.fixture(scope="module")
def image(docker_client) -> str:
    if not docker.has_image(IMAGE):
        pytest.skip(f"the engine has no {IMAGE}: make image")
    return IMAGE


@pytest.fixture(scope="module")
def shared(image: str, run: Run) -> Iterator[DockerBroker]:
    """One broker for all tests of the life cycle; each leaves it running."""
    run.uses_docker()
    settings = {"log.flush.interval.messages": "7", "made-up.by_us": "x"}
    broker = DockerBroker(BrokerConfig(settings=settings), image=image, run=run, port=run.lease_port())
    try:
        broker.start()
        yield broker
    finally:
        broker.discard()


@pytest.fixture
def broker(shared: DockerBroker) -> Iterator[DockerBroker]:
    yield shared
    assert shared.is_alive(), "a test must leave the shared broker running"


@pytest.fixture
def dead_engine(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")


# -- settings -------------------------------------------------------------------------------------------
def test_properties_become_variables_as_the_images_undo_them() -> None:
    assert environment({"log.dirs": "/d", "made-up.by_us": "x"}) == {
        "KAFKA_LOG_DIRS": "/d",
        "KAFKA_MADE___UP_BY__US": "x",
    }


def test_a_property_no_variable_stands_for_is_refused() -> None:
    with pytest.raises(ValueError, match="capital"):
        environment({"listener.name.SASL.x": "y"})


def test_the_broker_got_its_settings(broker: DockerBroker, docker_client) -> None:
    chunks, _ = docker_client.containers.get(broker.name).get_archive("/opt/kafka/config/server.properties")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        written = tar.extractfile("server.properties").read().decode().splitlines()
    assert {"log.flush.interval.messages=7", "made-up.by_us=x", f"log.dirs={DATA}"} <= set(written)


# -- the container --------------------------------------------------------------------------------------
def test_it_is_published_on_loopback_only(broker: DockerBroker, docker_client) -> None:
    container = docker_client.containers.get(broker.name)
    bindings = [each for several in container.ports.values() for each in several or ()]
    host, port = probe.split_address(broker.bootstrap_servers)
    assert bindings == [{"HostIp": host, "HostPort": str(port)}]
    assert host == "127.0.0.1"


def test_it_does_not_run_as_root(broker: DockerBroker, docker_client) -> None:
    assert docker_client.containers.get(broker.name).exec_run(["id", "-u"]).output.strip() == b"1000"


def test_container_and_volume_carry_the_runs_label_and_no_helper_container_appears(
    broker: DockerBroker, docker_client, run: Run
) -> None:
    assert docker_client.containers.get(broker.name).labels[LABEL] == run.id
    assert docker_client.volumes.get(broker.name).attrs["Labels"] == {LABEL: run.id}
    mine = docker_client.containers.list(all=True, filters={"label": f"{LABEL}={run.id}"})
    assert [each.name for each in mine] == [broker.name]
    assert not docker_client.containers.list(all=True, filters={"name": "ryuk"})


# -- life cycle -----------------------------------------------------------------------------------------
def leave_a_mark(broker: DockerBroker) -> str:
    """Create a topic and return its name."""
    from kafka import KafkaAdminClient
    from kafka.admin import NewTopic

    name = f"mark-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    try:
        admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        admin.close()
    return name


def has_topic(broker: DockerBroker, name: str) -> bool:
    topic = probe.metadata(broker.bootstrap_servers, [name]).topics[0]
    return topic.error_code == 0


@contextmanager
def down(broker: DockerBroker, how) -> Iterator[None]:
    """Take it down with ``how`` and prove the restart: refused in between, another start time, the same address."""
    before, address, mark = broker.started_at, broker.bootstrap_servers, leave_a_mark(broker)
    how()
    assert not broker.is_alive()
    assert broker.started_at is None
    wait_until(broker.refuses_connections, what="its address to refuse", seconds=5)
    yield
    broker.start()
    assert broker.bootstrap_servers == address
    assert broker.started_at > before
    wait_until(lambda: has_topic(broker, mark), what=f"topic {mark}", seconds=10)


def test_stop_and_start_keep_data_and_address(broker: DockerBroker, docker_client) -> None:
    with down(broker, broker.stop):
        # 143: Kafka was process 1 and answered SIGTERM; a shell in between would have swallowed it.
        assert docker_client.containers.get(broker.name).attrs["State"]["ExitCode"] == 143
    assert broker.log().count("Kafka Server started") == 2


def test_a_freeze_that_the_engine_did_not_complete_is_tried_again(broker, monkeypatch):
    """With control groups of version 1 it may meet a process in the making; all of it is let go again then."""
    real, tries = type(broker._container).pause, []

    def pause(container) -> None:
        tries.append(container)
        if len(tries) < 3:
            raise APIError("500 Server Error", explanation="OCI runtime pause failed: unable to freeze: unknown")
        real(container)

    monkeypatch.setattr(type(broker._container), "pause", pause)
    heard = []
    monkeypatch.setattr(broker, "listener", lambda subject, what, detail: heard.append(what))
    broker.freeze()
    try:
        assert len(tries) == 3
        assert heard == ["frozen"]
        assert broker._state()["Paused"]
        with pytest.raises(BrokerFailed, match=r"could not freeze broker 1: .*already paused"):
            broker.freeze()
    finally:
        broker.thaw()
    broker.await_ready()


#: A folder that Kafka passes over; any other that is no partition's would keep the broker from starting.
SPARE = "remote-log-index-cache"


def test_kill_frozen_start_files_and_recreate_keep_data_and_address(broker: DockerBroker) -> None:
    def kill_while_frozen() -> None:
        broker.freeze()
        assert broker.is_alive()
        broker.kill()

    with down(broker, kill_while_frozen), broker.files() as folder:
        # While it is down its files can be read, changed, added and deleted.
        assert (folder / "meta.properties").read_text().count("node.id=1") == 1
        (folder / SPARE).mkdir()
        (folder / SPARE / "one").write_bytes(b"1")
        (folder / SPARE / "two").write_bytes(b"2")
        (folder / "replication-offset-checkpoint").unlink()
    # The broker has written its own checkpoint anew, so both the deletion and its rights were as they should be.
    logged = len(broker.log())
    with down(broker, broker.kill):
        with broker.files() as folder:
            assert (folder / SPARE / "one").read_bytes() == b"1"
            assert (folder / "replication-offset-checkpoint").exists()
            (folder / SPARE / "one").write_bytes(b"changed")
            (folder / SPARE / "two").unlink()
        with pytest.raises(FileNotFoundError), broker.files() as folder:  # noqa: PT012 - the block is what is tested
            (folder / "meta.properties").unlink()
            (folder / "meta.properties").read_text()
        with broker.files() as folder:
            assert (folder / SPARE / "one").read_bytes() == b"changed"
            assert [each.name for each in (folder / SPARE).iterdir()] == ["one"]
            assert (folder / "meta.properties").exists()
        broker.recreate()
    assert len(broker.log()) > logged, "the log goes on over a new container"


def test_what_goes_back_has_its_owner_kept(broker: DockerBroker, docker_client) -> None:
    container = docker_client.containers.get(broker.name)
    said = container.exec_run(["find", DATA, "!", "-user", "appuser"]).output.decode()
    assert said == ""


def test_frozen_is_silent_and_alive_and_thawed_answers(broker: DockerBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.3)
    broker.freeze()
    try:
        assert broker.is_alive()
        assert not probe.answers(broker.bootstrap_servers, 1)
        assert not broker.refuses_connections()
    finally:
        broker.thaw()
    monkeypatch.undo()
    wait_until(lambda: probe.answers(broker.bootstrap_servers, 1), what="the thawed broker", seconds=10)


def test_files_and_recreate_are_refused_while_it_runs(broker: DockerBroker) -> None:
    with pytest.raises(BrokerFailed, match="taken down"), broker.files():
        pass
    with pytest.raises(BrokerFailed, match="still runs"):
        broker.recreate()


def test_a_broker_that_was_discarded_leaves_no_port_and_no_connection(image: str, tmp_path) -> None:
    """Also when its container was made anew in between."""
    own = Run(tmp_path)
    try:
        own.uses_docker()
        brokers = Brokers(Settings(broker="docker", image=image), Choice("docker", "for tests"), own)
        files = psutil.Process().num_fds()
        broker = brokers.create()
        broker.launch()
        broker.kill()
        broker.recreate()
        broker.launch()
        brokers.discard(broker)
        broker.discard()
        assert psutil.Process().num_fds() == files
        assert not own._leases
    finally:
        own.end()


def test_a_broker_that_no_engine_can_be_asked_for_leaves_no_port(dead_engine, tmp_path) -> None:
    own = Run(tmp_path)
    try:
        kind = kinds.load("docker")(Settings(broker="docker", image=IMAGE), own)
        with pytest.raises(Unavailable):
            kind.make(BrokerConfig())
        assert not own._leases
    finally:
        (own.directory / DOCKER_MARK).unlink()
        own.end()


# -- starts that fail -----------------------------------------------------------------------------------
def test_a_broker_that_dies_ends_the_wait_with_its_log(image: str, run: Run, docker_client) -> None:
    config = BrokerConfig(settings={"log.retention.ms": "not a number"})
    broker = DockerBroker(config, image=image, run=run, port=run.lease_port())
    try:
        with pytest.raises(BrokerFailed, match=r"(?s)died on its own.*not a number"):
            broker.start()
    finally:
        broker.discard()
    broker.discard()
    assert not docker_client.volumes.list(filters={"name": broker.name})


def test_a_container_that_cannot_be_made_is_one_line_and_leaves_an_empty_log(
    image: str, run: Run, docker_client
) -> None:
    """Protects the scenario's evidence, which asks for the log."""
    broker = DockerBroker(BrokerConfig(), image=image, run=run, port=run.lease_port())
    taken = docker_client.containers.create(image, name=broker.name, network_mode="none", labels={LABEL: run.id})
    try:
        with pytest.raises(BrokerFailed, match="could not start broker 1") as caught:
            broker.start()
        assert "\n" not in str(caught.value)
        assert broker.log() == ""
        assert not broker.is_alive()
    finally:
        taken.remove(force=True, v=True)
        broker.discard()


def test_a_port_in_use_is_one_line(image: str, run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        broker = DockerBroker(BrokerConfig(), image=image, run=run, port=taken.getsockname()[1])
        try:
            with pytest.raises(BrokerFailed, match="could not start broker 1") as caught:
                broker.start()
        finally:
            broker.discard()
    assert "\n" not in str(caught.value)


# -- an engine that only pretends -----------------------------------------------------------------------
@pytest.fixture
def state(fake: FakeEngine) -> dict[str, object]:
    """What the engine says of the container's state."""
    return fake.pretends_to_run("somebodys/kafka:1")


@pytest.fixture
def pretended(state: dict[str, object]) -> Iterator[DockerBroker]:
    """A broker of which the engine says that it was started."""
    nobodys = SimpleNamespace(id=uuid.uuid4().hex, release_port=lambda port: None)
    broker = DockerBroker(BrokerConfig(), image="somebodys/kafka:1", run=nobodys, port=1)
    broker.launch()
    yield broker
    broker.discard()


def test_what_it_was_started_with_is_known(pretended: DockerBroker) -> None:
    assert pretended.server_properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1"
    assert pretended.server_properties["log.dirs"] == DATA


@pytest.fixture
def of_image(fake: FakeEngine) -> Iterator[Callable[[str], DockerBroker]]:
    """A broker of an image, never started; its engine has that image in every version."""
    made: list[DockerBroker] = []
    nobodys = SimpleNamespace(id=uuid.uuid4().hex, release_port=lambda port: None)
    fake.answers["/json"] = says({"Id": "sha256:0"})

    def make(image: str) -> DockerBroker:
        made.append(DockerBroker(BrokerConfig(), image=image, run=nobodys, port=1))
        return made[-1]

    yield make
    for broker in made:
        broker.discard()


@pytest.mark.parametrize(
    "name",
    ["apache/kafka", "apache/kafka-native", f"{OWN_IMAGES}kafka", "mirror.example:5000/hub/apache/kafka"],
)
def test_an_image_whose_tags_are_kafkas_versions_is_upgraded_from_an_older_one(of_image, name: str) -> None:
    broker = of_image(f"{name}:4.3.1")
    broker.become("3.9.1")
    assert broker.version == f"{name}:3.9.1"
    broker.become(None)
    assert broker.version == f"{name}:4.3.1"


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("apache/kafka-native:4.3.1", "0:0"),
        ("mirror.example:5000/apache/kafka-native", "0:0"),
        ("apache/kafka:4.3.1", None),
        ("confluentinc/cp-kafka:latest", None),
    ],
)
def test_an_image_without_a_data_folder_is_run_by_the_owner_of_its_volume(
    fake: FakeEngine, run: Run, image, user
) -> None:
    """Kafka's docker/native/Dockerfile makes none."""
    fake.pretends_to_run(full_name(image))
    broker = DockerBroker(BrokerConfig(), image=image, run=run, port=run.lease_port())
    broker.launch()
    broker.discard()
    [made] = fake.containers
    assert made.get("User") == user


def test_an_image_with_a_digest_behind_its_tag_is_upgraded_as_well(of_image) -> None:
    broker = of_image("mirror.example:5000/apache/kafka:4.3.1@sha256:00")
    broker.become("3.9.1")
    assert broker.version == "mirror.example:5000/apache/kafka:3.9.1"


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("confluentinc/cp-kafka:8.1.0", "the tags of this image are not Kafka's versions: confluentinc/cp-kafka:8.1.0"),
        ("confluentinc/cp-kafka", "the tags of this image are not Kafka's versions"),
        ("not-apache/kafka:4.3.1", "the tags of this image are not Kafka's versions"),
        ("mirror.example:5000/kafka:4.3.1", "the tags of this image are not Kafka's versions"),
        ("confluentinc/cp-kafka:8.1.0@sha256:00", "the tags of this image are not Kafka's versions"),
        ("mirror.example:5000/apache/kafka", "no tag that names Apache Kafka's version"),
        ("apache/kafka@sha256:00", "no tag that names Apache Kafka's version"),
        ("apache/kafka:latest", "no tag that names Apache Kafka's version"),
        ("apache/kafka:3.9.1", "Kafka 3.9.1 is under test, so there is no upgrade from 3.9.1"),
    ],
)
def test_an_image_that_counts_for_itself_has_no_upgrade(of_image, image: str, why: str) -> None:
    with pytest.raises(NotPossible, match=re.escape(why)):
        of_image(image).become("3.9.1")


def test_the_reports_tell_which_image_a_name_stood_for(fake: FakeEngine, run: Run) -> None:
    fake.answers["/images/somebodys/kafka:latest/json"] = says({"Id": "sha256:0123456789abcdef"})
    kind = kinds.load("docker")(Settings(image="somebodys/kafka"), run)
    assert kind.version == "somebodys/kafka (id 0123456789ab)"


def test_a_frozen_broker_that_dies_is_told_as_such(pretended: DockerBroker, state: dict[str, object]) -> None:
    """Protects its log: there is nothing to thaw then, of which the engine makes an error."""

    def dies() -> None:
        assert state["Paused"]
        state.update(Running=False, Paused=False)
        pretended.check_alive()

    with pytest.raises(BrokerFailed, match=r"(?s)broker 1 died on its own.*all that it has logged"):
        process.freeze_and_thaw(pretended, until=dies)


def test_a_frozen_broker_that_is_killed_for_its_files_hides_no_error(pretended: DockerBroker) -> None:
    def stalls() -> None:
        pretended.kill()
        raise Stalled("the work does not go on")

    with pytest.raises(Stalled):
        process.freeze_and_thaw(pretended, until=stalls)


def test_a_broker_that_stays_frozen_is_an_error(
    pretended: DockerBroker, fake: FakeEngine, state: dict[str, object]
) -> None:
    pretended.freeze()
    with pytest.MonkeyPatch.context() as briefly:
        briefly.setitem(fake.answers, f"/containers/{CONTAINER_ID}/unpause", fails)
        with pytest.raises(BrokerFailed, match=r"(?s)could not thaw broker 1: .*it is broken"):
            pretended.thaw()
    assert pretended.is_frozen
    pretended.thaw()
    assert not pretended.is_frozen
    assert not state["Paused"]


@pytest.mark.parametrize("removal", ["works", "fails"])
@pytest.mark.parametrize("silence", ["at once", "in the middle"])
def test_a_deletion_that_does_not_end_is_told_as_such(
    pretended: DockerBroker, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch, silence: str, removal: str
) -> None:
    """A volume, or the engine, may hang. Engines begin their answer before there is anything to tell."""
    its = f"/containers/{CONTAINER_ID}"
    fake.answers[f"{its}/wait"] = fake.is_silent if silence == "at once" else fake.stops_in_the_middle
    if removal == "fails":
        fake.answers[its] = fails
    monkeypatch.setattr(docker, "DELETE_SECONDS", 0.3)
    with pytest.raises(BrokerFailed, match=r"the engine to delete files of broker 1, up to .* in vain") as told:
        attended(lambda: pretended._delete_files(["a-0"]), nothing, seconds=10)
    assert any(path.startswith(f"/v1.44{its}?") for path in fake.asked), "nobody has asked for its removal"
    notes = getattr(told.value, "__notes__", [])
    assert [note.partition(":")[0] for note in notes] == (
        ["nor could the container that was to delete them be removed"] if removal == "fails" else []
    )


# -- the engine -----------------------------------------------------------------------------------------
@pytest.mark.usefixtures("dead_engine")
@pytest.mark.parametrize("ask", [docker.engine, lambda: docker.obtain_image("x"), lambda: docker.remove_leftovers("0")])
def test_no_engine_is_one_line_that_says_what_to_do(ask) -> None:
    with pytest.raises(
        Unavailable, match=r"no container engine answers .*start one .*broker=embedded needs none"
    ) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(Unavailable, match="another machine"):
        docker.engine()


def test_nothing_of_docker_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, integrity.brokers.docker as _;"
        "print([m for m in ('docker', 'testcontainers', 'requests') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def test_our_own_image_that_is_missing_says_how_to_build_it(docker_client) -> None:
    name = f"{OWN_IMAGES}kafka:0.0.0"
    assert not docker.has_image(name)
    assert not docker.can_pull(name)
    with pytest.raises(Unavailable, match="make image"):
        docker.obtain_image(name)


def test_an_image_that_cannot_be_had_is_one_line(docker_client) -> None:
    name = "127.0.0.1:1/nobody/nothing:1"  # a registry that refuses at once, whatever the network
    assert not docker.can_pull(name)
    with pytest.raises(Unavailable, match="cannot be had") as caught:
        docker.obtain_image(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("confluentinc/cp-kafka", "confluentinc/cp-kafka:latest"),
        ("localhost:5000/kafka", "localhost:5000/kafka:latest"),
        ("apache/kafka:4.3.1", "apache/kafka:4.3.1"),
        ("apache/kafka@sha256:00", "apache/kafka@sha256:00"),
    ],
)
def test_full_names(given: str, known: str) -> None:
    assert full_name(given) == known


def test_an_image_is_pulled_from_a_registry(docker_client, capfd: pytest.CaptureFixture[str]) -> None:
    with registry(f"kafka-integrity-test-{uuid.uuid4().hex[:8]}") as name:
        try:
            if not docker.can_pull(name):
                pytest.skip("this engine does not reach a registry on our loopback (it is in a virtual machine)")
            assert not docker.has_image(name)
            docker.obtain_image(name)
            assert docker.has_image(name)
        finally:
            if docker.has_image(name):
                docker_client.images.remove(name)


@contextmanager
def registry(repository: str) -> Iterator[str]:
    """A registry on loopback with one image of one small file; yields that image's name."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("hello")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"hello"))
    layer = packed.getvalue()

    def digest(data: bytes) -> str:
        return "sha256:" + hashlib.sha256(data).hexdigest()

    def described(kind: str, data: bytes) -> dict:
        return {"mediaType": f"application/vnd.docker.{kind}", "size": len(data), "digest": digest(data)}

    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        }
    ).encode()
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": described("container.image.v1+json", config),
            "layers": [described("image.rootfs.diff.tar", layer)],
        }
    ).encode()
    contents = {digest(data): data for data in (layer, config, manifest)} | {"1": manifest}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.path.rpartition("/")[2]
            data = contents.get(wanted, b"") if wanted else b"{}"
            self.send_response(200 if data else 404)
            self.send_header("Content-Type", kind if "/manifests/" in self.path else "application/octet-stream")
            self.send_header("Docker-Content-Digest", digest(data))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}/{repository}:1"
        finally:
            server.shutdown()
            thread.join()


# -- the sweep ------------------------------------------------------------------------------------------
def test_a_sweep_takes_what_carries_its_label_and_nothing_else(image: str, docker_client) -> None:
    mine, other = uuid.uuid4().hex, uuid.uuid4().hex
    planted = [{LABEL: mine}, {LABEL: other}, {LABEL: mine + "0"}, {"not-" + LABEL: mine}]
    names = [f"kafka-integrity-test-{uuid.uuid4().hex[:12]}" for _ in planted]
    try:
        for name, labels in zip(names, planted, strict=True):
            docker_client.volumes.create(name, labels=labels)
            docker_client.networks.create(name, labels=labels, internal=True)
            docker_client.containers.create(
                image, name=name, labels=labels, network_mode="none", volumes=[f"{name}:{DATA}"]
            )
        removed = docker.remove_leftovers(mine)
        assert (removed.containers, removed.volumes, removed.networks) == ([names[0]], [names[0]], [names[0]])
        assert str(removed) == "1 container, 1 volume, 1 network"
        left = {each.name for each in docker_client.containers.list(all=True)} & set(names)
        assert left == set(names[1:])
        assert {each.name for each in docker_client.volumes.list()} & set(names) == set(names[1:])
        assert {each.name for each in docker_client.networks.list()} & set(names) == set(names[1:])
        assert not docker.remove_leftovers(mine)
    finally:
        for labels in planted[1:3]:
            docker.remove_leftovers(labels[LABEL])
        docker_client.api.remove_container(names[3], v=True)
        docker_client.volumes.get(names[3]).remove()
        docker_client.networks.get(names[3]).remove()


def test_a_sweep_takes_a_running_broker(image: str, docker_client) -> None:
    lost = SimpleNamespace(id=uuid.uuid4().hex, release_port=lambda port: None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    broker = DockerBroker(BrokerConfig(), image=image, run=lost, port=port)
    broker._launch()  # its readiness is of no interest
    assert broker.is_alive()
    removed = docker.remove_leftovers(lost.id)
    assert (removed.containers, removed.volumes) == ([broker.name], [broker.name])
    assert not broker._state()
    broker.discard()


# -- several of them ------------------------------------------------------------------------------------
def test_a_cluster_in_a_network_of_its_own_outlives_its_leader_and_leaves_nothing(
    image: str, run: Run, docker_client
) -> None:
    """Every broker is published on loopback at a port that stays; the network between them is the run's."""
    run.uses_docker()
    brokers = Brokers(Settings(broker="docker", image=image), Choice("docker", "for tests"), run)
    networks = {network.id for network in docker_client.networks.list()}
    try:
        cluster = brokers.create_cluster()
        cluster.start()
        administration.create_topic(cluster.any_address(), "kept", [[1, 2, 3]], {"min.insync.replicas": "2"})
        cluster.wait_until_whole()
        [network] = [each for each in docker_client.networks.list() if each.id not in networks]
        assert network.attrs["Labels"] == {LABEL: run.id}
        addresses = cluster.bootstrap_servers.split(",")
        assert {address.split(":")[0] for address in addresses} == {"127.0.0.1"}
        leader = cluster.leader("kept")
        leader.kill()
        wait_until(lambda: cluster.leader("kept") not in (None, leader), what="another leader", seconds=30)
        leader.start()
        cluster.wait_until_whole()
        assert cluster.bootstrap_servers.split(",") == addresses
    finally:
        brokers.discard_all()
    assert {network.id for network in docker_client.networks.list()} == networks


def test_a_network_that_is_in_use_is_removed_when_its_cluster_is_discarded_again(
    image: str, run: Run, docker_client
) -> None:
    run.uses_docker()
    brokers = Brokers(Settings(broker="docker", image=image), Choice("docker", "for tests"), run)
    networks = {network.id for network in docker_client.networks.list()}
    cluster = brokers.create_cluster()
    [network] = [each for each in docker_client.networks.list() if each.id not in networks]
    user = docker_client.containers.run(
        image, entrypoint=["sleep", "600"], detach=True, network=network.name, labels={LABEL: run.id}
    )
    try:
        with pytest.raises(BrokerFailed, match="has active endpoints"):
            brokers.discard_all()
    finally:
        user.remove(force=True, v=True)
    brokers.discard_all()
    assert {network.id for network in docker_client.networks.list()} == networks
    cluster.discard()
