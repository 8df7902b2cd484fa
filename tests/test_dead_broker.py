"""What clients wait for ends at once when the broker has died by itself, and tells that, with the broker's log.

Each of these waits has a bound of 10 to 60 s of its own. Without the look at the broker they take all of it, and then
say that Kafka did not answer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from integrity.brokers.base import BrokerConfig, BrokerFailed
from integrity.brokers.distribution import Distribution
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import DRIVERS, Driver, Message, driver
from integrity.clients.load import Load
from integrity.clients.reader import BEGINNING
from integrity.runs import Run

#: Seconds in which each has to end; on an idle machine it is 0.3 at most.
AT_ONCE = 4.0

TOLD = r"broker 1 died on its own(.|\n)*the end of its log:\n.*INFO"


@pytest.fixture
def mortal(run: Run, kafka: Distribution) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(BrokerConfig(), distribution=kafka, run=run)
    try:
        broker.start()
        yield broker
    finally:
        broker.discard()


@pytest.fixture(params=DRIVERS)
def client(request: pytest.FixtureRequest) -> Driver:
    return driver(request.param)


def killed_by_somebody_else(broker: EmbeddedBroker) -> None:
    broker._process.kill()
    broker._process.wait()


def tell_at_once(waits: dict[str, Callable[[], object]]) -> dict[str, str]:
    """What is wrong with each of these waits; empty when each ended at once and said why."""
    wrong = {}
    for name, wait in waits.items():
        began = time.monotonic()
        try:
            wait()
            said = "nothing was raised"
        except Exception as error:  # noqa: BLE001 - it is judged below, with those of the other waits
            said = f"{type(error).__name__}: {error}"
        took = time.monotonic() - began
        if took > AT_ONCE or not said.startswith("BrokerFailed: broker 1 died on its own"):
            wrong[name] = f"{took:.1f} s: {said.splitlines()[0]}"
    return wrong


def test_every_wait_of_a_client_ends_at_once(mortal: EmbeddedBroker, client: Driver) -> None:
    connection, topic = mortal.connection, f"dead-{uuid.uuid4().hex[:8]}"
    with ExitStack() as clients:
        admin = clients.enter_context(client.admin(connection))
        admin.create_topic(topic)
        plain, flushing, full, closing = (client.publisher(connection, max_unsettled=100) for _ in range(4))
        committing, aborting, beginning = (
            client.publisher(connection, transactional_id=f"{topic}-{number}") for number in range(3)
        )
        reader = client.reader(connection)
        reader.assign_topics([topic])
        member = client.reader(connection, group=topic)
        member.subscribe([topic])
        for publisher in (plain, flushing, full, closing):
            publisher.send_and_wait(Message(topic, b"before"))
        assert len(member.read(4, 30)) >= 4
        for publisher in (committing, aborting):
            publisher.begin()
            publisher.send(Message(topic, b"in a transaction"))
            assert publisher.flush() == 0
        killed_by_somebody_else(mortal)

        flushing.send(Message(topic, b"after"))
        closing.send(Message(topic, b"after"))
        wrong = tell_at_once(
            {
                "an acknowledgement": lambda: plain.send_and_wait(Message(topic, b"after")),
                "a flush": flushing.flush,
                "room for another message": lambda: full.publish(topic, 1_000),
                "the end of a publisher": closing.close,
                "a commit": committing.commit,
                "an abort": aborting.abort,
                "a first transaction": lambda: client.publisher(connection, transactional_id=f"{topic}-new"),
                "messages": lambda: reader.read(100, 60),
                "a topic's end": lambda: reader.read_to_end(topic, 60),
                "a topic's end that is known": lambda: reader.read_to_end(topic, 60, ends={(topic, 0): 1_000}),
                "a group's commit": member.commit,
                "a new topic": lambda: admin.create_topic(f"{topic}-new"),
                "a topic's deletion": lambda: admin.delete_topic(topic),
                "more partitions": lambda: admin.add_partitions(topic, 3),
                "a topic's settings": lambda: admin.configs(topic),
                "what a group has committed": lambda: admin.committed(topic),
                "its members": lambda: admin.members(topic),
                "an admin, and the topics": lambda: client.admin(connection).topics(),
            }
        )
        for each in (plain, flushing, full, committing, aborting, beginning, reader, member):
            began = time.monotonic()
            with suppress(BrokerFailed):
                each.close()
            if (took := time.monotonic() - began) > AT_ONCE:
                wrong[f"the end of {type(each).__name__}"] = f"{took:.1f} s"
    assert wrong == {}


def test_where_nobody_can_tell_a_position_is_unknown(mortal: EmbeddedBroker, client: Driver) -> None:
    """kafka-python asks for it, and may raise that nobody is there; a reader waits for its broker to be back."""
    topic = f"dead-{uuid.uuid4().hex[:8]}"
    with client.admin(mortal.connection) as admin:
        admin.create_topic(topic)
    with suppress(BrokerFailed), client.reader(mortal.connection) as reader:
        reader.assign({(topic, 0): 0})
        killed_by_somebody_else(mortal)
        for _ in range(5):
            reader.assign({(topic, 0): BEGINNING})
            assert reader.positions() == {(topic, 0): -1}


def test_a_load_ends_at_once(mortal: EmbeddedBroker, client: Driver) -> None:
    with client.admin(mortal.connection) as admin:
        admin.create_topic("load")
    load = Load(client, mortal.connection, None)
    load.publish("load", identify=False)
    load.wait_for_acknowledged(100)
    killed_by_somebody_else(mortal)
    began = time.monotonic()
    with pytest.raises(BrokerFailed, match=TOLD):
        load.wait_for_more_acknowledged(1_000_000)
    with pytest.raises(BrokerFailed, match=TOLD):
        load.stop()
    assert time.monotonic() - began < AT_ONCE
