"""A batch that is sent once more, as a client would: it is taken, or the words say why it was not."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import Connection, driver
from integrity.faults.network import Proxy, Reply, answers
from integrity.runs import Run
from integrity.scenes import retries

NOT_LEADER = 6
CORRUPT_MESSAGE = 2


@pytest.fixture
def sent(broker: EmbeddedBroker) -> Iterator[tuple[str, bytes]]:
    """A topic, and the batch of one message that lies in it, as a client sends it."""
    client, topic = driver("kafka-python"), f"again-{uuid.uuid4().hex[:12]}"
    with client.admin(broker.connection) as admin:
        admin.create_topic(topic, partitions=1)
        with client.publisher(broker.connection, idempotent=False) as publisher:
            publisher.publish(topic, 1)
            assert publisher.flush(10) == 0
        content = (broker.data_directory / f"{topic}-0" / "00000000000000000000.log").read_bytes()
        yield topic, retries.Stored(content, 0).as_sent()
        admin.delete_topic(topic)


def test_a_batch_is_sent_until_a_leader_takes_it(run: Run, broker: EmbeddedBroker, sent: tuple[str, bytes]) -> None:
    """A broker that was busy for longer than its session leads nothing until its next heartbeat."""
    topic, batch = sent
    with Proxy(run, broker.bootstrap_servers) as proxy:
        fenced = proxy.rewrite_request(
            "Produce",
            lambda request, exchange: Reply(answers.produced(request, exchange, error=NOT_LEADER)),
            topic=topic,
            times=2,
        )
        scene = SimpleNamespace(connection=Connection(proxy.bootstrap_servers), broker=broker)
        assert retries._produce(scene, (topic, 0), batch, lambda: proxy.bootstrap_servers) == 1
        assert fenced.count == 2


def test_a_batch_that_is_refused_is_said(broker: EmbeddedBroker, sent: tuple[str, bytes]) -> None:
    topic, batch = sent
    scene = SimpleNamespace(connection=broker.connection, broker=broker)
    damaged = batch[:-1] + bytes([batch[-1] ^ 1])
    with pytest.raises(
        AssertionError, match=f"refused the batch that was sent again to {topic}-0.*error_code={CORRUPT_MESSAGE}"
    ):
        retries._produce(scene, (topic, 0), damaged, lambda: broker.bootstrap_servers)
