"""What an idle proxy costs: publishing and reading through it, as ratios to the same without it.

One run on one real embedded broker, both ways in turn, so that a busy machine slows both. The best of several
rounds counts for each way: noise only ever slows down. Run it as ``python -m benchmarks.proxy``.
"""

from __future__ import annotations

import argparse
import time
import uuid
from collections.abc import Callable

from integrity.brokers import distribution, jvm
from integrity.brokers.base import BrokerConfig
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import DRIVERS, Connection, Driver, PublisherOptions, driver
from integrity.faults.network import Proxy
from integrity.runs import Run
from integrity.settings import Settings

#: The share of a client's rate that may go missing, by issue 6.
ALLOWED = 0.10

#: Seconds for one publishing or reading.
BOUND_SECONDS = 120.0


def publish(client: Driver, address: str, topic: str, count: int, size: int) -> float:
    """Messages per second until all of ``count`` messages of ``size`` bytes are acknowledged."""
    with client.publisher(Connection(address), options=PublisherOptions()) as publisher:
        began = time.perf_counter()
        publisher.publish(topic, count, size=size)
        left = publisher.flush(BOUND_SECONDS)
        took = time.perf_counter() - began
        if left or publisher.counts["acknowledged"] != count:
            raise SystemExit(f"not all of {count:,} messages were acknowledged: {publisher.counts}")
    return count / took


def read(client: Driver, address: str, topic: str, count: int) -> float:
    """Messages per second from an assigned reader's first poll to the partition's end."""
    with client.reader(Connection(address)) as reader:
        began = time.perf_counter()
        result = reader.read_to_end(topic, BOUND_SECONDS)
        took = time.perf_counter() - began
    if result.count != count:
        raise SystemExit(f"{result.count:,} messages were read instead of {count:,}")
    return count / took


def measure(name: str, broker: EmbeddedBroker, proxy: Proxy, count: int, size: int, rounds: int) -> None:
    """Print the rates of one client both ways, and their ratios."""
    client = driver(name)
    ways = {"direct": broker.bootstrap_servers, "proxy": proxy.bootstrap_servers}
    best: dict[tuple[str, str], float] = {}

    def note(what: str, way: str, measured: Callable[[], float]) -> None:
        best[what, way] = max(best.get((what, way), 0.0), measured())

    for number in range(rounds):
        for way in sorted(ways, reverse=bool(number % 2)):
            topic = f"bench-{uuid.uuid4().hex[:8]}"
            with client.admin(Connection(broker.bootstrap_servers)) as admin:
                admin.create_topic(topic)
            note("publish", way, lambda way=way, topic=topic: publish(client, ways[way], topic, count, size))
            note("read", way, lambda way=way, topic=topic: read(client, ways[way], topic, count))
            with client.admin(Connection(broker.bootstrap_servers)) as admin:
                admin.delete_topic(topic)
    for what in ("publish", "read"):
        direct, through = best[what, "direct"], best[what, "proxy"]
        ratio = through / direct
        verdict = "" if ratio >= 1 - ALLOWED else f"  (more than {ALLOWED:.0%} lost)"
        print(f"{name:16} {what:8} direct {direct:9,.0f}/s  proxy {through:9,.0f}/s  ratio {ratio:.2f}{verdict}")


def main() -> None:
    """Measure both clients."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--size", type=int, default=100, help="bytes of a value")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--client", choices=DRIVERS, action="append")
    arguments = parser.parse_args()
    run = Run.begin()
    try:
        kafka = distribution.fetch(Settings().kafka)
        jvm.prepare(kafka, run)
        broker = EmbeddedBroker(BrokerConfig(), distribution=kafka, run=run)
        try:
            broker.start()
            with Proxy(run, broker.bootstrap_servers) as proxy:
                for name in arguments.client or reversed(DRIVERS):
                    # kafka-python is some five times slower, so it gets fewer messages.
                    count = arguments.messages if name == "confluent-kafka" else arguments.messages // 5
                    measure(name, broker, proxy, count, arguments.size, arguments.rounds)
        finally:
            broker.discard()
    finally:
        run.end()


if __name__ == "__main__":
    main()
