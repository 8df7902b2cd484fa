"""What the client libraries complain of goes with a scenario's evidence: it often tells why a client got no further."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.distribution import Distribution
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import DRIVERS, Connection, Message, driver, said
from integrity.clients.said import ClientLog
from integrity.faults.network import Proxy
from integrity.reports.model import ScenarioFacts
from integrity.runs import Run
from integrity.scene import Scene
from integrity.settings import Settings
from integrity.waiting import wait_until


@pytest.fixture
def log():
    log = ClientLog()
    yield log
    log.end()


@pytest.mark.parametrize("client", DRIVERS)
def test_it_has_what_a_library_says_of_a_broker_that_goes_away(
    client: str, run: Run, broker: EmbeddedBroker, log: ClientLog
) -> None:
    """Protects from a library that renames its logger: the evidence would then be silent."""
    with Proxy(run, broker.bootstrap_servers) as proxy:
        connection = Connection(proxy.bootstrap_servers)
        publisher = driver(client).publisher(connection, delivery_timeout=1, idempotent=False)
    with publisher:
        publisher.send(Message("anything", b"in vain", partition=0))
        publisher.flush(2)  # librdkafka's lines come only while somebody polls
        wait_until(lambda: "refused" in log.text.lower(), what="the library to complain of the broker", seconds=10)


def test_it_has_complaints_only_until_its_end(log: ClientLog) -> None:
    library = logging.getLogger("kafka.anything")
    library.info("chatter")
    library.warning("a complaint")
    log.end()
    library.warning("the next scenario's")
    (line,) = log.text.splitlines()
    assert line.endswith("] WARNING a complaint (kafka.anything)")


def test_it_holds_no_secret(log: ClientLog) -> None:
    logging.getLogger("kafka").warning("unknown setting sasl_plain_password=hunter2 is ignored")
    assert "sasl_plain_password=********" in log.text
    assert "hunter2" not in log.text


def test_it_hides_the_clients_own_secrets_wherever_they_stand(
    run: Run, kafka: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="open-sesame";'
    properties = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": jaas}
    brokers = Brokers(Settings(), Choice("embedded", ""), run)
    broker = brokers.create()
    monkeypatch.setattr(EmbeddedBroker, "client_properties", properties)
    scene = Scene(broker, {}, brokers, driver("kafka-python"), tmp_path / "scenario", ScenarioFacts())
    try:
        logging.getLogger("kafka").warning("what came was alice open-sesame")
        assert "what came was alice ********" in scene.logs()["clients"]
    finally:
        scene.close(passed=False)
        scene.discard()
        brokers.discard_all()


def test_it_keeps_the_last_lines_and_says_how_many_came_before(log: ClientLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.end()
    monkeypatch.setattr(said, "MOST_LINES", 2)
    short = ClientLog()
    try:
        for number in range(5):
            logging.getLogger("kafka").warning("number %d", number)
    finally:
        short.end()
    first, *lines = short.text.splitlines()
    assert first == "(3 earlier lines are left out)"
    assert [line.split()[-2] for line in lines] == ["3", "4"]


def test_it_is_among_a_scenes_logs(run: Run, kafka: Distribution, tmp_path: Path) -> None:
    brokers = Brokers(Settings(), Choice("embedded", ""), run)
    scene = Scene(None, {}, brokers, driver("kafka-python"), tmp_path / "scenario", ScenarioFacts())
    assert scene.logs() == {}
    logging.getLogger("kafka").warning("in the scenario")
    scene.close(passed=False)
    logging.getLogger("kafka").warning("after it")
    assert [line.split("WARNING ")[1] for line in scene.logs()["clients"].splitlines()] == ["in the scenario (kafka)"]
    scene.discard()
