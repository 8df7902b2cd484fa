"""Which broker ``auto`` takes, and the reason it gives: a run says both before it begins."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from integrity.brokers import choice, docker, engine, kinds
from integrity.brokers.base import Broker, BrokerConfig
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.engine import OWN_IMAGES
from integrity.errors import NotPossible
from integrity.runs import Run
from integrity.settings import Settings
from tests.fake_engine import fake_engine, says

ROOT = Path(__file__).parent.parent

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


NOTHING = "unix:///nowhere/docker.sock"


def chosen(home: Path, image: str = "nobody/nothing:1", **variables: str) -> Choice:
    """What ``auto`` chooses for somebody with that home and these variables, in a process that looks for itself."""
    code = (
        "import sys; from integrity.brokers import choice; from integrity.settings import Settings;"
        "it = choice.choose(Settings(image=sys.argv[1])); print(it.kind, it.reason, sep=chr(10))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "TC_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, image],
        env=environment | {"HOME": str(home)} | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Choice(*done.stdout.splitlines()[-2:])


def use_context(home: Path, host: str, *, current: bool = True) -> None:
    """As `docker context create mine --docker host=...` and `docker context use mine` do."""
    meta = home / ".docker" / "contexts" / "meta" / hashlib.sha256(b"mine").hexdigest()
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": "mine", "Metadata": {}, "Endpoints": endpoints}))
    (home / ".docker" / "config.json").write_text(json.dumps({"currentContext": "mine"} if current else {}))


def test_without_an_engine_it_is_the_embedded_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(engine, "SOCKETS", (str(tmp_path / "docker.sock"),))
    assert choice.choose(Settings()) == Choice("embedded", f"{EMBEDDED}no container engine here")
    use_context(tmp_path, NOTHING, current=False)
    assert not engine.is_likely()


@pytest.mark.parametrize("told", ["a context", "a context elsewhere", "a variable", "properties", "a socket"])
def test_whoever_names_an_engine_has_it_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str) -> None:
    """Nothing of docker's is loaded for a look; so the look must pass over nobody who could name one."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(engine, "SOCKETS", (str(tmp_path / "docker.sock"),))
    assert not engine.is_likely()
    if told == "a context":
        use_context(tmp_path, NOTHING)
    elif told == "a context elsewhere":
        use_context(tmp_path / "elsewhere", NOTHING)
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere" / ".docker"))
    elif told == "a variable":
        monkeypatch.setenv("DOCKER_CONTEXT", "mine")
    else:
        (tmp_path / {"properties": ".testcontainers.properties", "a socket": "docker.sock"}[told]).touch()
    assert engine.is_likely()


def test_with_an_engine_that_does_not_answer_it_is_the_embedded_one(tmp_path: Path) -> None:
    expected = f"{EMBEDDED}no container engine answers at {NOTHING}"
    assert chosen(tmp_path, DOCKER_HOST=NOTHING) == Choice("embedded", expected)


def test_an_engine_elsewhere_is_no_engine_that_does_not_answer(tmp_path: Path) -> None:
    use_context(tmp_path, "ssh://somebody@192.0.2.1")
    expected = f"{EMBEDDED}the container engine at ssh://somebody@192.0.2.1 is on another machine, but brokers are "
    assert chosen(tmp_path) == Choice("embedded", f"{expected}published on loopback only")


@pytest.mark.parametrize("key", ["docker.host", "tc.host"])
def test_the_engine_that_testcontainers_properties_name_is_asked(tmp_path: Path, key: str) -> None:
    with fake_engine() as fake:
        (tmp_path / ".testcontainers.properties").write_text(f"{key}={fake.address}\n")
        assert fake.address in chosen(tmp_path).reason
        assert any(path.endswith("/version") for path in fake.asked)


@pytest.mark.parametrize("how", ["use", "variable", "another folder"])
def test_the_engine_of_dockers_context_is_asked(tmp_path: Path, how: str) -> None:
    with fake_engine() as fake:
        use_context(tmp_path, fake.address, current=how != "variable")
        variables = {
            "use": {},
            "variable": {"DOCKER_CONTEXT": "mine"},
            "another folder": {"DOCKER_CONFIG": str(tmp_path / ".docker"), "HOME": "/nowhere"},
        }[how]
        assert fake.address in chosen(tmp_path, **variables).reason
        assert any(path.endswith("/version") for path in fake.asked)


def test_docker_host_counts_for_more_than_the_context(tmp_path: Path) -> None:
    with fake_engine() as fake:
        use_context(tmp_path, fake.address)
        assert NOTHING in chosen(tmp_path, DOCKER_HOST=NOTHING).reason
        assert fake.asked == []


def test_a_context_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    expected = f"{EMBEDDED}docker has no context gone"
    assert chosen(tmp_path, DOCKER_CONTEXT="gone") == Choice("embedded", expected)


def test_with_an_engine_that_cannot_get_the_image_it_is_the_embedded_one(tmp_path: Path) -> None:
    with fake_engine() as fake:
        expected = f"{EMBEDDED}the engine at {fake.address} has no image nobody/nothing:1 and cannot pull it: "
        expected += "No such image: or anything else"
        assert chosen(tmp_path, DOCKER_HOST=fake.address) == Choice("embedded", expected)


def test_of_an_image_that_only_make_image_builds_it_is_said_how(tmp_path: Path) -> None:
    with fake_engine() as fake:
        reason = chosen(tmp_path, f"{OWN_IMAGES}kafka:0", DOCKER_HOST=fake.address).reason
        assert reason.endswith("and cannot pull it: `make image` builds it, without a registry")


def test_why_an_image_cannot_be_pulled_is_one_line_without_a_password(tmp_path: Path) -> None:
    with fake_engine() as fake:
        words = "Get https://registry/v2/:\nproxy http://somebody:hunter2@proxy:3128 refuses " + "it " * 500
        fake.answers["/images/create"] = says({"message": words}, 500)
        reason = chosen(tmp_path, DOCKER_HOST=fake.address).reason
        assert "and cannot pull it: Get https://registry/v2/: proxy http://proxy:3128 refuses it it" in reason
        assert len(reason) < 600


def test_with_an_engine_that_has_the_image_it_is_docker(docker_client) -> None:
    image = f"{OWN_IMAGES}kafka:{KAFKA}"
    if not docker.has_image(image):
        pytest.skip(f"the engine has no {image}: make image")
    expected = f"image {image}: the container engine at {engine.address()} answers and has it"
    assert choice.choose(Settings(image=image)) == Choice("docker", expected)
