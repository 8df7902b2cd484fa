"""Kafka's jars: only what matches the committed lock is ever run."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrity.brokers import distribution
from integrity.errors import Unavailable

LOCK = distribution.LOCKS / "kafka-4.3.1.toml"


@pytest.fixture
def copy(kafka, tmp_path):
    """A cache folder of our own with the verified jars in it."""
    source = kafka.jars[0].parents[5]
    for jar in [*distribution.read_lock(LOCK), *distribution.read_lock(distribution.LOGGER)]:
        (tmp_path / "maven" / jar.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / jar.path, tmp_path / "maven" / jar.path)
    return tmp_path


def flip_a_byte(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def test_the_committed_lock_has_a_checksum_for_every_jar():
    jars = distribution.read_lock(LOCK)
    assert any(jar.path.endswith("kafka_2.13-4.3.1.jar") for jar in jars)
    assert all(len(jar.sha256) == 64 for jar in jars)


def test_a_process_logs_without_log4j_and_an_image_gets_all_of_it(kafka):
    """Protects from log4j's set-up at every start, and from an image that does not log as apache/kafka does."""
    process = {Path(jar).name for jar in kafka.class_path.split(os.pathsep)}
    image = {jar.name for jar in kafka.jars}
    assert {name.rsplit("-", 1)[0] for name in image - process} == {"log4j-slf4j-impl", "log4j-core"}
    assert {name.rsplit("-", 1)[0] for name in process - image} == {"slf4j-simple"}


def test_a_flipped_byte_is_found(copy):
    jar = distribution.read_lock(LOCK)[2]
    flip_a_byte(copy / "maven" / jar.path)
    assert distribution.damaged(distribution.read_lock(LOCK), copy / "maven") == [jar]


def test_a_damaged_jar_is_fetched_again_and_a_person_sees_it(copy, monkeypatch):
    jar = distribution.read_lock(LOCK)[1]
    flip_a_byte(copy / "maven" / jar.path)
    said, shown = [], []
    monkeypatch.setattr(distribution.progress, "say", said.append)
    monkeypatch.setattr(distribution.progress, "replace_line", shown.append)
    distribution.fetch("4.3.1", copy)
    assert distribution.damaged(distribution.read_lock(LOCK), copy / "maven") == []
    assert said == [
        f"{jar.path} in the cache does not match its checksum: it is fetched again",
        "Fetching Apache Kafka 4.3.1 (1 jars, once per machine)…",
    ]
    assert shown == ["  1/1 jars", ""]


def test_a_download_that_does_not_match_the_lock_is_refused(copy, monkeypatch):
    jar = distribution.read_lock(LOCK)[1]
    (copy / "maven" / jar.path).unlink()

    def tampered(wanted, repository, version):
        target = repository / wanted.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"something else")

    monkeypatch.setattr(distribution, "_get", tampered)
    with pytest.raises(Unavailable, match=r"refused .* does not match the SHA-256"):
        distribution.fetch("4.3.1", copy)
    assert not (copy / "maven" / jar.path).exists()
    assert not list(copy.glob("fetching-*")), "nothing half-fetched is left behind"


def test_no_network_and_an_empty_cache_is_one_line(tmp_path, monkeypatch):
    for name in (distribution.MIRROR, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        distribution.fetch("4.3.1", tmp_path)
    assert "\n" not in str(caught.value)


# -- a mirror ------------------------------------------------------------------------------------------
class Mirror:
    """A Maven repository on loopback. ``status``: what it answers to everything; 200 gives what is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = 200
        self.asked: list[str] = []
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                file = mirror.folder / self.path.removeprefix("/maven/")
                content = file.read_bytes() if mirror.status == 200 and file.is_file() else b""
                self.send_response(mirror.status if mirror.status != 200 or content else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def mirror(kafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """One that has this version's jars, is named as a mirror, and wants a password."""
    mirror = Mirror(kafka.jars[0].parents[5])
    thread = threading.Thread(target=mirror.server.serve_forever)
    thread.start()
    monkeypatch.setenv("KAFKA_INTEGRITY_MAVEN", f"http://somebody:secret@{mirror.host}/maven/")
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    yield mirror
    mirror.server.shutdown()
    thread.join()
    mirror.server.server_close()


def test_the_jars_come_from_the_mirror_that_is_named(copy, mirror):
    jar = distribution.read_lock(LOCK)[1]
    (copy / "maven" / jar.path).unlink()
    distribution.fetch("4.3.1", copy)
    assert distribution.damaged(distribution.read_lock(LOCK), copy / "maven") == []
    assert mirror.asked[0] == f"/maven/{jar.path}"


def test_what_a_mirror_gives_is_held_against_the_lock(copy, mirror, tmp_path_factory):
    jar = distribution.read_lock(LOCK)[1]
    (copy / "maven" / jar.path).unlink()
    mirror.folder = tmp_path_factory.mktemp("mirror")
    (mirror.folder / jar.path).parent.mkdir(parents=True)
    (mirror.folder / jar.path).write_bytes(b"something else")
    with pytest.raises(Unavailable, match=r"refused .* does not match the SHA-256"):
        distribution.fetch("4.3.1", copy)


@pytest.mark.parametrize("status", [403, 404])
def test_a_mirror_that_refuses_is_told_without_its_password(copy, mirror, status):
    """A version whose jars are known does exist: nobody is to look for another one."""
    jar = distribution.read_lock(LOCK)[1]
    (copy / "maven" / jar.path).unlink()
    mirror.status = status
    with pytest.raises(
        Unavailable, match=rf"{jar.path} of Kafka 4.3.1 cannot be had: http://{mirror.host}/maven"
    ) as it:
        distribution.fetch("4.3.1", copy)
    assert "KAFKA_INTEGRITY_MAVEN" in str(it.value)
    assert "exist" not in str(it.value)
    assert "secret" not in str(it.value)
    assert "\n" not in str(it.value)


def test_another_version_is_asked_of_the_mirror_too(tmp_path, mirror):
    with pytest.raises(Unavailable, match=rf"4.2.9 cannot be had from http://{mirror.host}/maven \(does it ex") as it:
        distribution.fetch("4.2.9", tmp_path)
    assert any("/kafka_2.13/4.2.9/" in path for path in mirror.asked)
    assert "secret" not in str(it.value)


def test_a_mirror_that_does_not_answer_is_one_line(tmp_path, mirror, monkeypatch):
    monkeypatch.setenv("KAFKA_INTEGRITY_MAVEN", "http://somebody:secret@127.0.0.1:9/maven")
    with pytest.raises(Unavailable, match=r"http://127.0.0.1:9/maven cannot be reached \(ConnectionError\)"):
        distribution.fetch("4.3.1", tmp_path)


@pytest.mark.parametrize("value", ["nexus.example.com/maven", "file:///srv/maven", "https://"])
def test_a_mirror_without_an_address_is_one_line(tmp_path, monkeypatch, value):
    monkeypatch.setenv("KAFKA_INTEGRITY_MAVEN", value)
    with pytest.raises(Unavailable, match="KAFKA_INTEGRITY_MAVEN is no address: it looks like https://"):
        distribution.fetch("4.3.1", tmp_path)
