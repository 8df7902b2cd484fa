"""How many batches of a client are said to be under way at once, whatever connections they take."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
import uuid
from collections.abc import Iterator

import pytest
from kafka.protocol.producer import ProduceRequest

from integrity.brokers.embedded import EmbeddedBroker
from integrity.brokers.probe import split_address
from integrity.clients import driver
from integrity.faults.network import Proxy, Reply, answers, codec, wire
from integrity.faults.network.records import Batch, Entry, Records
from integrity.runs import Run
from integrity.scenes.retries import VERSION
from integrity.scenes.wire import InFlight

CLIENT = "somebody"
SECONDS = 20.0
TRIES = 200
NOT_ENOUGH_REPLICAS = 19
BATCH = Records([Batch.of([Entry(0, 1_700_000_000_000, b"key", b"value")])]).encode()


class Sender:
    """One connection, by which batches of a message each are sent."""

    def __init__(self, address: str, topic: str) -> None:
        self.address, self.topic = address, topic
        self.socket = socket.create_connection(split_address(address), timeout=SECONDS)
        self._numbers = itertools.count(1)

    def send(self, times: int = 1) -> None:
        data = ProduceRequest.TopicProduceData
        partition = data.PartitionProduceData(index=0, records=BATCH)
        request = ProduceRequest[VERSION](
            transactional_id=None,
            acks=-1,
            timeout_ms=10_000,
            topic_data=[data(name=self.topic, partition_data=[partition])],
        )
        numbers = (next(self._numbers) for _ in range(times))
        self.socket.sendall(
            b"".join(codec.encode(request, request.API_KEY, VERSION, number, CLIENT) for number in numbers)
        )

    def hear(self) -> None:
        """Take in one answer."""
        deadline = time.monotonic() + SECONDS
        head = wire.receive(self.socket, 4, deadline, self.address)
        wire.receive(self.socket, int.from_bytes(head, "big"), deadline, self.address)


@pytest.fixture
def proxy(run: Run, broker: EmbeddedBroker) -> Iterator[Proxy]:
    with Proxy(run, broker.bootstrap_servers) as proxy:
        yield proxy


@pytest.fixture
def senders(proxy: Proxy, broker: EmbeddedBroker) -> Iterator[tuple[Sender, Sender]]:
    """Two connections of one client, as to the leaders of two partitions."""
    topic = f"in-flight-{uuid.uuid4().hex[:8]}"
    with driver("kafka-python").admin(broker.connection) as admin:
        admin.create_topic(topic)
    one, other = (Sender(proxy.bootstrap_servers, topic) for _ in range(2))
    with contextlib.closing(one.socket), contextlib.closing(other.socket):
        yield one, other


def test_what_is_under_way_on_several_connections_is_under_way_at_once(proxy, senders) -> None:
    one, other = senders
    with InFlight(proxy, CLIENT) as watch, proxy.delay_request("Produce", seconds=0.5) as late:
        one.send()
        late.wait()
        other.send()
        other.hear()
        one.hear()
    assert (watch.batches, watch.requests) == (2, 1)


def test_what_was_under_way_when_its_connection_was_cut_is_not_any_more(proxy, senders) -> None:
    one, other = senders
    with InFlight(proxy, CLIENT) as watch, proxy.cut_before("Produce") as cut:
        one.send()
        cut.wait()
        assert one.socket.recv(1) == b""
        other.send()
        other.hear()
    assert (watch.batches, watch.requests) == (1, 1)


def test_what_the_proxy_has_answered_is_not_under_way_any_more(proxy, senders) -> None:
    one, other = senders

    def refuse(request, exchange) -> Reply:
        return Reply(answers.produced(request, exchange, error=NOT_ENOUGH_REPLICAS))

    with InFlight(proxy, CLIENT) as watch, proxy.rewrite_request("Produce", refuse, times=1):
        one.send()
        one.hear()
        other.send()
        other.hear()
    assert (watch.batches, watch.requests) == (1, 1)


def test_several_on_one_connection_are_under_way_at_once(proxy, senders) -> None:
    """Where the broker has not answered the first before the second gets through, which is up to the two of them."""
    one, _ = senders
    with InFlight(proxy, CLIENT) as watch:
        for _ in range(TRIES):
            one.send(2)
            one.hear()
            one.hear()
            if watch.batches == 2:
                break
    assert (watch.batches, watch.requests) == (2, 2)
