"""A batch that is sent once more, as a client would: it is taken, or the words say why it was not."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import Connection, driver
from integrity.faults.network import Proxy, Reply, answers
from integrity.faults.process import FaultNotProven
from integrity.runs import Run
from integrity.scenes import fetching, retries
from integrity.scenes.fetching import fetch

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


def test_everything_from_an_offset_on_is_handed_out(
    broker: EmbeddedBroker, sent: tuple[str, bytes], monkeypatch
) -> None:
    """In portions; of the first batch what stands before that offset is left out."""
    topic, _ = sent
    with driver("kafka-python").publisher(broker.connection, batch_bytes=1000) as publisher:
        publisher.publish(topic, 40)
        assert publisher.flush(10) == 0
    asked = []
    monkeypatch.setattr(fetching, "PORTION", 1)
    monkeypatch.setattr(fetching, "fetch", lambda *given: asked.append(given) or fetch(*given))
    assert list(fetching.handed_out(broker, (topic, 0), 3)) == [(publisher.id, sequence) for sequence in range(2, 40)]
    assert len(asked) > 3
    assert list(fetching.handed_out(broker, (topic, 0), 41)) == []


@pytest.mark.parametrize(
    ("partition", "offset", "told"), [(1, 0, "does not answer as the leader"), (0, 7, "answers .*=1")]
)
def test_a_broker_that_cannot_hand_out_what_it_is_asked_for_shows_nothing(
    broker: EmbeddedBroker, sent: tuple[str, bytes], partition: int, offset: int, told: str
) -> None:
    words = rf"{broker.label} is asked for {sent[0]}-{partition} from offset {offset} on, and {told}"
    with pytest.raises(FaultNotProven, match=words):
        list(fetching.handed_out(broker, (sent[0], partition), offset))


def test_a_batch_that_is_refused_is_said(broker: EmbeddedBroker, sent: tuple[str, bytes]) -> None:
    topic, batch = sent
    scene = SimpleNamespace(connection=broker.connection, broker=broker)
    damaged = batch[:-1] + bytes([batch[-1] ^ 1])
    with pytest.raises(
        AssertionError, match=f"refused the batch that was sent again to {topic}-0.*error_code={CORRUPT_MESSAGE}"
    ):
        retries._produce(scene, (topic, 0), damaged, lambda: broker.bootstrap_servers)
