"""What an idle proxy costs: publishing and reading through it, as ratios to the same without it.

One run on one real embedded broker, both ways in turn, so that a busy machine slows both. The best of several
rounds counts for each way: noise only ever slows down. "bare" is confluent-kafka without this suite around it, the
fastest client there is in Python. Run it as ``python -m benchmarks.proxy``; it exits with 1 when more is lost than
allowed.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from integrity.brokers import distribution, jvm
from integrity.brokers.base import BrokerConfig
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import DRIVERS, Connection, driver
from integrity.faults.network import Proxy
from integrity.runs import Run
from integrity.settings import Settings

#: The share of a client's rate that may go missing.
ALLOWED = 0.10

#: Seconds for one publishing or reading.
BOUND_SECONDS = 120.0

BARE = "bare confluent"


def publish(name: str, address: str, topic: str, count: int, size: int) -> float:
    """Seconds until all of ``count`` messages of ``size`` bytes are acknowledged."""
    if name == BARE:
        producer = Producer(
            {
                "bootstrap.servers": address,
                "linger.ms": 5,
                "batch.size": 1 << 19,
                "queue.buffering.max.messages": 2_000_000,
            }
        )
        producer.list_topics(topic, timeout=10)
        value = bytes(size)
        began = time.perf_counter()
        for _ in range(count):
            producer.produce(topic, value)
        left = producer.flush(BOUND_SECONDS)
        took = time.perf_counter() - began
    else:
        with driver(name).publisher(Connection(address)) as publisher:
            began = time.perf_counter()
            publisher.publish(topic, count, size=size)
            left = publisher.flush(BOUND_SECONDS)
            took = time.perf_counter() - began
    if left:
        raise SystemExit(f"{left:,} of {count:,} messages were not acknowledged within {BOUND_SECONDS} s")
    return took


def read(name: str, address: str, topic: str, count: int) -> float:
    """Seconds from an assigned reader's first poll until it has read ``count`` messages."""
    if name == BARE:
        consumer = Consumer({"bootstrap.servers": address, "group.id": "bench", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, 0, 0)])
        began, seen = time.perf_counter(), 0
        while seen < count and time.perf_counter() - began < BOUND_SECONDS:
            seen += len(consumer.consume(10_000, 1.0))
        took = time.perf_counter() - began
        consumer.close()
    else:
        with driver(name).reader(Connection(address)) as reader:
            began = time.perf_counter()
            seen = reader.read_to_end(topic, BOUND_SECONDS).count
            took = time.perf_counter() - began
    if seen != count:
        raise SystemExit(f"{seen:,} messages were read instead of {count:,}")
    return took


@dataclass(frozen=True)
class Passage:
    """One client's messages a second without the proxy and through it; busy: the proxy's CPU seconds a million."""

    client: str
    what: str
    direct: float
    through: float
    busy: float

    @property
    def lost(self) -> float:
        """The share of the rate that the proxy costs."""
        return 1 - self.through / self.direct

    def __str__(self) -> str:
        return (
            f"{self.client:16} {self.what:8} direct {self.direct:9,.0f}/s  proxy {self.through:9,.0f}/s"
            f"  lost {self.lost:.2f}  proxy's CPU {self.busy:.2f} s per million"
            f"{'' if self.lost <= ALLOWED else f'  more than {ALLOWED:.0%} lost'}"
        )


def measure(name: str, broker: EmbeddedBroker, proxy: Proxy, count: int, size: int, rounds: int) -> list[Passage]:
    """The rates of one client, publishing and reading, both ways."""
    ways = {"direct": broker.bootstrap_servers, "proxy": proxy.bootstrap_servers}
    process = psutil.Process(proxy.pid)
    best: dict[tuple[str, str], float] = {}
    busy: dict[str, float] = {"publish": 0.0, "read": 0.0}

    def note(what: str, way: str, measured: Callable[[], float]) -> None:
        before = sum(process.cpu_times()[:2])
        best[what, way] = min(best.get((what, way), BOUND_SECONDS), measured())
        busy[what] += sum(process.cpu_times()[:2]) - before

    with driver("confluent-kafka").admin(Connection(broker.bootstrap_servers)) as admin:
        for number in range(rounds):
            for way in sorted(ways, reverse=bool(number % 2)):
                topic = f"bench-{uuid.uuid4().hex[:8]}"
                admin.create_topic(topic)
                note("publish", way, lambda way=way, topic=topic: publish(name, ways[way], topic, count, size))
                note("read", way, lambda way=way, topic=topic: read(name, ways[way], topic, count))
                admin.delete_topic(topic)
    return [
        Passage(
            name, what, count / best[what, "direct"], count / best[what, "proxy"], busy[what] / rounds / count * 1e6
        )
        for what in ("publish", "read")
    ]


def main() -> None:
    """Measure every client."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--size", type=int, default=100, help="bytes of a value")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--client", choices=(BARE, *DRIVERS), action="append")
    arguments = parser.parse_args()
    run = Run.begin()
    good = True
    try:
        kafka = distribution.fetch(Settings().kafka)
        jvm.prepare(kafka, run)
        broker = EmbeddedBroker(BrokerConfig(), distribution=kafka, run=run)
        try:
            broker.start()
            with Proxy(run, broker.bootstrap_servers) as proxy:
                for name in arguments.client or (BARE, *DRIVERS):
                    # kafka-python is some five times slower, so it gets fewer messages.
                    count = arguments.messages // 5 if name == "kafka-python" else arguments.messages
                    for passage in measure(name, broker, proxy, count, arguments.size, arguments.rounds):
                        print(passage, flush=True)
                        good &= passage.lost <= ALLOWED
        finally:
            broker.discard()
    finally:
        run.end()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
