"""What recording costs: each client bare and recorded, side by side in one run, on one broker.

Bare: the client library alone, configured as the suite configures it and used as its own documentation shows it: a
message at a time, with the delivery callback or future that any program which wants to know its outcomes has. It
sends the same bytes to the partitions in turn and reads them, with a header of the identity's size, so that what is
sent and read is what the suite sends and reads. The bars are held against that. Two further ways are told beside it:
without that header, which both clients take their time over, kafka-python in Python; and in bulk, as fast as we know
how to use it: hundreds of messages taken at a time, nothing looked at that need not be. Recorded: publisher, reader
and recorder, history on disk; then the checker. The making of the clients counts everywhere, and Python looks for
cyclic garbage as rarely as in a run.

The rounds are interleaved; what recording costs is told round by round, each against the bare ones of its own minute,
and of that the median is taken, so that a machine that is busy with something else disturbs both sides alike. The
processor's time (of this process, the clients' and DuckDB's threads included) is disturbed least.

    python -m benchmarks.clients 127.0.0.1:9092 [messages with confluent-kafka]
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from integrity import anomalies
from integrity.clients import IDENTITY_HEADER, Connection, Driver, driver
from integrity.clients.base import BEGINNING
from integrity.clients.messages import IDENTITY_BYTES
from integrity.clients.values import Values
from integrity.history.recorder import Recorder

SIZE = 100
PARTITIONS = 3
#: More with the faster client, whose rounds are short, so that a moment's disturbance is a larger part of one.
ROUNDS = {"confluent-kafka": 7, "kafka-python": 3}
READ_SECONDS = 300.0
BLOCK = 64


@dataclass(frozen=True)
class Seconds:
    """The parts of one round, in seconds for all messages; ``cpu`` is the processor's time, of all parts together."""

    out: float
    back: float
    check: float = 0.0
    cpu: float = 0.0

    @property
    def total(self) -> float:
        return self.out + self.back + self.check


def in_blocks(messages: int) -> Iterator[bytes]:
    """The values of so many messages, made as cheaply as the suite's publisher makes them."""
    values = Values(SIZE)
    return chain.from_iterable(values.stretch(n, min(BLOCK, messages - n)) for n in range(0, messages, BLOCK))


def new_topic(client: Driver, connection: Connection) -> str:
    name = f"bench-{uuid.uuid4().hex[:10]}"
    with client.admin(connection) as admin:
        admin.create_topic(name, partitions=PARTITIONS)
    return name


def bare_confluent(client: Driver, connection: Connection, messages: int, headers: list | None, bulk: bool) -> Seconds:
    topic = new_topic(client, connection)
    settled = 0

    def delivered(error: object, message: object) -> None:
        nonlocal settled
        if error is None:
            settled += 1

    began = time.perf_counter()
    with client.publisher(connection) as publisher:
        producer = publisher._producer
        every = 512 if bulk else 1
        for number, value in enumerate(in_blocks(messages)):
            while True:
                try:
                    producer.produce(topic, value, None, number % PARTITIONS, delivered, None, 0, headers)
                    break
                except BufferError:
                    producer.poll(0.1)
            if not number % every:
                producer.poll(0)
        producer.flush()
        out = time.perf_counter() - began
    assert settled == messages, f"{settled} of {messages} acknowledged"
    began = time.perf_counter()
    with client.reader(connection) as reader:
        consumer = reader._consumer
        reader.assign({(topic, number): BEGINNING for number in range(PARTITIONS)})
        read = 0
        while read < messages:
            for message in consumer.consume(2_000, 0) or consumer.consume(1, 0.5) if bulk else [consumer.poll(0.5)]:
                if message is not None and message.error() is None:
                    message.value()
                    message.offset()
                    if headers:
                        message.headers()
                    read += 1
        back = time.perf_counter() - began
    return Seconds(out, back)


def bare_kafka_python(
    client: Driver, connection: Connection, messages: int, headers: list | None, bulk: bool
) -> Seconds:
    topic = new_topic(client, connection)
    began = time.perf_counter()
    with client.publisher(connection) as publisher:
        producer = publisher._producer
        for number, value in enumerate(in_blocks(messages)):
            future = producer.send(topic, value, None, headers, number % PARTITIONS)
        producer.flush()
        out = time.perf_counter() - began
        assert future.succeeded()
    began = time.perf_counter()
    with client.reader(connection) as reader:
        consumer = reader._consumer
        reader.assign({(topic, number): BEGINNING for number in range(PARTITIONS)})
        read = 0
        while bulk and read < messages:
            for records in consumer.poll(timeout_ms=500).values():
                read += len(records)
        for _ in islice(consumer, messages - read):
            read += 1
        back = time.perf_counter() - began
    assert read == messages
    return Seconds(out, back)


BARE: dict[str, Callable[[Driver, Connection, int, list | None, bool], Seconds]] = {
    "confluent-kafka": bare_confluent,
    "kafka-python": bare_kafka_python,
}


def publish_and_read(client: Driver, connection: Connection, topic: str, messages: int, recorder: Recorder) -> Seconds:
    """What the suite's own publisher sends and its own reader reads; ``back`` ends with the reader."""
    began = time.perf_counter()
    with client.publisher(connection, recorder) as publisher:
        publisher.publish(topic, messages, size=SIZE, partitions=range(PARTITIONS))
        assert publisher.flush(READ_SECONDS) == 0
    out = time.perf_counter() - began
    began = time.perf_counter()
    with client.reader(connection, recorder) as reader:
        result = reader.read_to_end(topic, READ_SECONDS)
    assert result.complete, str(result)
    return Seconds(out, time.perf_counter() - began)


def recorded(client: Driver, connection: Connection, messages: int) -> Seconds:
    """The suite's own publisher and reader, up to the verdict; the history's last parts count as reading."""
    topic = new_topic(client, connection)
    folder = Path(tempfile.mkdtemp(prefix="integrity-bench-"))
    try:
        began = time.perf_counter()
        with Recorder(folder) as recorder:
            out = publish_and_read(client, connection, topic, messages, recorder).out
        back = time.perf_counter() - began - out
        began = time.perf_counter()
        verdict = anomalies.check(folder)
        checked = time.perf_counter() - began
        assert verdict.intact, verdict
        return Seconds(out, back, checked)
    finally:
        shutil.rmtree(folder)


def measure(name: str, connection: Connection, messages: int) -> dict[str, list[Seconds]]:
    """The rounds of 'bare', 'bare, no header', 'bare, in bulk' and 'recorded'; see ``median`` and ``on_top``."""
    client, bare = driver(name), BARE[name]
    header = [(IDENTITY_HEADER, bytes(IDENTITY_BYTES))]
    ways: dict[str, Callable[[], Seconds]] = {
        "bare": lambda: bare(client, connection, messages, header, False),
        "bare, no header": lambda: bare(client, connection, messages, [], False),
        "bare, in bulk": lambda: bare(client, connection, messages, header, True),
        "recorded": lambda: recorded(client, connection, messages),
    }
    found: dict[str, list[Seconds]] = {way: [] for way in ways}
    order = list(ways.items())
    for number in range(ROUNDS[name]):
        # Each in another place each time: what one leaves the broker to do disturbs the next.
        turn = number % len(order)
        for what, way in order[turn:] + order[:turn]:
            began = time.process_time()
            seconds = way()
            found[what].append(replace(seconds, cpu=time.process_time() - began))
    return found


def median(rounds: list[Seconds]) -> Seconds:
    """The round in the middle, by its total."""
    return sorted(rounds, key=lambda each: each.total)[len(rounds) // 2]


def on_top(recorded: list[Seconds], bare: list[Seconds], part: Callable[[Seconds], float] = lambda s: s.total) -> float:
    """What recording and checking cost on top of the bare client, as a share of it: the median over the rounds."""
    return statistics.median(part(ours) / part(its) for ours, its in zip(recorded, bare, strict=True)) - 1


def print_table(name: str, messages: int, found: dict[str, list[Seconds]]) -> None:
    print(f"\n{name}, {messages:,} messages of {SIZE} bytes, thousand messages a second")
    print(f"{'':22}{'out':>8}{'in':>8}{'check':>9}{'all':>8}{'recorded':>12}{'processor':>12}")
    for what, rounds in found.items():
        seconds = median(rounds)
        rates = [messages / part / 1000 if part else 0 for part in (seconds.out, seconds.back, seconds.check)]
        check = f"{rates[2]:9.0f}" if rates[2] else f"{'':9}"
        print(
            f"{what:22}{rates[0]:8.0f}{rates[1]:8.0f}{check}{messages / seconds.total / 1000:8.0f}"
            f"{on_top(found['recorded'], rounds):12.0%}"
            f"{on_top(found['recorded'], rounds, lambda s: s.cpu):12.0%}"
        )


def main(arguments: list[str]) -> None:
    connection = Connection(arguments[0])
    messages = int(arguments[1]) if len(arguments) > 1 else 1_000_000
    for name in BARE:
        print_table(name, messages, measure(name, connection, messages))


if __name__ == "__main__":
    main(sys.argv[1:])
