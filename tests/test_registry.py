"""GitLab's DOCKER_AUTH_CONFIG: for the registry that an image is pulled from, and in nobody's way otherwise."""

from __future__ import annotations

import base64
import json
import os
import uuid
from collections.abc import Iterator

import pytest
from testcontainers.core.config import testcontainers_config

from integrity import progress
from integrity.brokers import choice, engine, registry
from integrity.brokers.base import BrokerConfig
from integrity.brokers.docker import DockerBroker
from integrity.errors import Unavailable
from integrity.runs import Run
from integrity.settings import Settings
from tests.fake_engine import FakeEngine, fails, says

#: No base64 and no JSON around it shows where it begins.
SECRET = "hunter2:and:more"


def config(**of: str) -> str:
    """A value of the variable: by registry, user and password."""
    auths = {host: {"auth": base64.b64encode(user.encode()).decode()} for host, user in of.items()}
    return json.dumps({"auths": auths})


@pytest.fixture
def told(fake: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """An engine that would refuse every login."""
    monkeypatch.setenv(registry.VARIABLE, config(**{"other.example": "they:theirs", "hub.example": f"we:{SECRET}"}))
    fake.answers["/auth"] = says({"message": f"unauthorized: {SECRET}"}, 401)
    yield fake
    assert not [path for path in fake.asked if path.endswith("/auth")], "nobody has logged in"


@pytest.mark.parametrize("value", ["", "as set", "{", "[]", '{"auths": {"hub.example": {"auth": "AAAA"}}}'])
def test_no_login_is_in_the_way_of_an_image_that_is_there(told: FakeEngine, monkeypatch, run: Run, value) -> None:
    """Not when a broker is made either: testcontainers would log in for each container."""
    if value != "as set":
        monkeypatch.setenv(registry.VARIABLE, value)
    # testcontainers has read it when it was imported.
    monkeypatch.setattr(testcontainers_config, "_docker_auth_config", os.environ[registry.VARIABLE])
    image = "hub.example/kafka:1"
    told.pretends_to_run(image)
    chosen = choice.choose(Settings(image=image))
    assert (chosen.kind, chosen.reason) == (
        "docker",
        f"image {image}: the container engine at {told.address} answers and has it",
    )
    broker = DockerBroker(BrokerConfig(node=1), image=image, run=run, port=run.lease_port())
    broker.launch()
    broker.discard()


def test_an_image_is_pulled_with_the_credentials_for_its_registry(told: FakeEngine) -> None:
    told.answers["/images/create"] = says({"status": "Pulling"})
    engine.obtain_image("hub.example/kafka:1")
    said = told.credentials["create"]
    assert (said["username"], said["password"], said["serveraddress"]) == ("we", SECRET, "hub.example")
    told.credentials.clear()
    engine.obtain_image("nobodys.example/kafka:1")
    assert told.credentials == {}


def test_dockers_own_registry_is_known_by_its_old_address(told: FakeEngine, monkeypatch) -> None:
    monkeypatch.setenv(registry.VARIABLE, config(**{"https://index.docker.io/v1/": f"we:{SECRET}"}))
    told.answers["/images/create"] = says({"status": "Pulling"})
    engine.obtain_image("apache/kafka:4.3.1")
    assert told.credentials["create"]["password"] == SECRET


def test_credentials_that_are_refused_are_one_line(told: FakeEngine) -> None:
    told.answers["/images/create"] = says({"message": "pull access denied:\nunauthorized"}, 401)
    with pytest.raises(engine.NoImage, match=r"hub.example/kafka:1 cannot be had: pull access denied: unauth") as it:
        engine.obtain_image("hub.example/kafka:1")
    assert "hunter2" not in str(it.value)


@pytest.mark.parametrize(
    "value",
    [
        f"{{{SECRET}",
        f'["{SECRET}"]',
        f'{{"auths": "{SECRET}"}}',
        '{"auths": {"hub.example": {"auth": "AAAA"}}}',
        f'{{"auths": {{"hub.example": "{SECRET}"}}}}',
    ],
    ids=["no JSON", "a list", "no registries", "no user", "no entry"],
)
def test_a_value_that_cannot_be_read_is_one_line_without_it(told: FakeEngine, monkeypatch, value) -> None:
    monkeypatch.setenv(registry.VARIABLE, value)
    with pytest.raises(Unavailable, match="DOCKER_AUTH_CONFIG cannot be read: it is to have the content of") as it:
        engine.obtain_image("hub.example/kafka:1")
    assert it.value.__cause__ is None
    reason = choice.choose(Settings(image="hub.example/kafka:1")).reason
    assert "cannot pull it: the environment variable DOCKER_AUTH_CONFIG cannot be read" in reason


def test_a_program_for_credentials_that_is_not_there_is_one_line(told: FakeEngine, monkeypatch) -> None:
    name = f"none-{uuid.uuid4().hex}"
    monkeypatch.setenv(registry.VARIABLE, json.dumps({"credHelpers": {"hub.example": name}}))
    with pytest.raises(engine.NoImage, match=rf"cannot be had: .*{name}"):
        engine.obtain_image("hub.example/kafka:1")


@pytest.mark.parametrize("known", [True, False], ids=["known", "not known"])
def test_a_program_for_all_registries_that_is_not_there_is_in_nobodys_way(told: FakeEngine, monkeypatch, known) -> None:
    """Protects a job that has the config.json of somebody's laptop: anybody may pull what is public."""
    name, said = f"none-{uuid.uuid4().hex}", []
    monkeypatch.setattr(progress, "say", said.append)
    content = json.loads(os.environ[registry.VARIABLE]) if known else {}
    monkeypatch.setenv(registry.VARIABLE, json.dumps(content | {"credsStore": name}))
    told.answers["/images/create"] = says({"status": "Pulling"})
    engine.obtain_image("hub.example/kafka:1")
    assert [each["password"] for each in told.credentials.values()] == ([SECRET] if known else [])
    assert [line for line in said if name in line and "not asked who to be to hub.example" in line]


def test_an_engine_that_fails_is_told_as_before(told: FakeEngine) -> None:
    told.answers["/version"] = fails
    with pytest.raises(engine.NoEngine, match="no container engine answers"):
        engine.engine()
