"""Which broker ``auto`` takes, and the reason it gives: a run says both before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrity.brokers import choice, docker, kinds
from integrity.brokers.base import Broker, BrokerConfig
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.engine import OWN_IMAGES
from integrity.errors import NotPossible
from integrity.runs import Run
from integrity.settings import Settings

KAFKA = Settings().kafka
EMBEDDED = f"Apache Kafka {KAFKA} as a process of this machine: "


class Anybodys(kinds.BrokerKind):
    """A kind that says no more than it must."""

    version = "anybody's"

    @staticmethod
    def reason(settings: Settings) -> str:
        return "for tests"

    def make(self, config: BrokerConfig) -> Broker:
        raise NotPossible("there is none")


def test_only_a_kind_that_says_so_has_all_topics_deleted(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Protects the topics on brokers of a new kind, which may be somebody else's, from the clean-up of our own."""
    assert [name for name in kinds.NAMES if kinds.load(name).owned] == ["docker", "embedded"]
    monkeypatch.setattr(kinds, "load", lambda name: Anybodys)
    assert not Brokers(Settings(), Choice("anybodys", "for tests"), run).lasting


def test_without_an_engine_it_is_the_embedded_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(choice, "SOCKETS", (str(tmp_path / "docker.sock"),))
    assert choice.choose(Settings()) == Choice("embedded", f"{EMBEDDED}no container engine here")


def test_with_an_engine_that_does_not_answer_it_is_the_embedded_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    assert choice.choose(Settings()) == Choice("embedded", f"{EMBEDDED}no container engine answers")


def test_with_an_engine_that_cannot_get_the_image_it_is_the_embedded_one(docker_client) -> None:
    image = "127.0.0.1:1/nobody/nothing:1"  # a registry that refuses at once, whatever the network
    expected = f"{EMBEDDED}the image {image} is not here and cannot be pulled"
    assert choice.choose(Settings(image=image)) == Choice("embedded", expected)


def test_with_an_engine_that_has_the_image_it_is_docker(docker_client) -> None:
    image = f"{OWN_IMAGES}kafka:{KAFKA}"
    if not docker.has_image(image):
        pytest.skip(f"the engine has no {image}: make image")
    expected = f"image {image}: a container engine answers and the image is here"
    assert choice.choose(Settings(image=image)) == Choice("docker", expected)
