"""Kafka's jars: only what matches the committed lock is ever run."""

from __future__ import annotations

import os
import shutil
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
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot be reached") as caught:
        distribution.fetch("4.3.1", tmp_path)
    assert "\n" not in str(caught.value)
