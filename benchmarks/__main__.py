"""``make bench``: the side-by-side figures, as ratios of one run.

Each row is a ratio with its bar; the run fails when one is missed. The same goes to reports/bench.json.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import clients, founding, proxy, shards
from benchmarks.verified_rate import kafkas_own
from integrity.brokers import distribution, engine, jvm
from integrity.brokers.base import BrokerConfig
from integrity.brokers.choice import Brokers, Choice
from integrity.brokers.embedded import EmbeddedBroker
from integrity.clients import Connection, driver
from integrity.errors import Unavailable
from integrity.faults.network import Proxy
from integrity.runs import Run
from integrity.session import collect_garbage_rarely
from integrity.settings import Settings

ROOT = Path(__file__).parent.parent
IMAGE = "kafka-integrity/kafka:4.3.1"

#: Processes that share a client's work where one cannot keep the processors busy.
SHARDS = 2


@dataclass(frozen=True)
class Row:
    """One figure: ``value`` must be at least (or, with ``at_most``, at most) ``bar``; without a bar it is only told.

    A value of None could not be measured, for the reason in ``detail``: its bar counts as missed.
    """

    what: str
    value: float | None
    unit: str
    bar: float | None = None
    at_most: bool = False
    detail: str = ""

    @property
    def held(self) -> bool:
        if self.value is None:
            return False
        return self.bar is None or (self.value <= self.bar if self.at_most else self.value >= self.bar)

    def __str__(self) -> str:
        bar = "" if self.bar is None else f"{'<=' if self.at_most else '>='} {self.bar:g}"
        verdict = "" if self.bar is None else ("held" if self.held else "MISSED")
        value = f"{'-':>9}" if self.value is None else f"{self.value:9.2f}"
        return f"{self.what:66}{value} {self.unit:6}{bar:>9} {verdict:7}{self.detail}"


def clients_and_rates(
    broker: EmbeddedBroker, kafka: distribution.Distribution, messages: int, folder: Path
) -> Iterator[Row]:
    """The verified rate against Kafka's own tools, and what recording and checking cost on top of the bare clients."""
    server = broker.bootstrap_servers
    connection = Connection(server)

    def theirs() -> float:
        topic = clients.new_topic(driver("kafka-python"), connection)
        return kafkas_own(server, topic, kafka, messages, folder)

    def rate(what: str, seconds: float, bar: float | None) -> Row:
        rates = f"{messages / seconds / 1000:.0f} against {messages / own / 1000:.0f} thousand messages a second"
        return Row(f"verified rate, {what}, against Kafka's Verifiable tools", own / seconds, "x", bar, detail=rates)

    # The first finds a broker that has just started.
    own = min(theirs() for _ in range(3))
    for name, bar, cost in (("confluent-kafka", 1.5, 0.5), ("kafka-python", 0.5, 0.1)):
        found = clients.measure(name, connection, messages)
        recorded = clients.median(found["recorded"]).total
        # A client in Python keeps one processor busy, Kafka's tools all of them: two shards of a run do, too.
        alone = name == "confluent-kafka"
        yield rate(name, recorded, bar if alone else None)
        if not alone:
            both = min(_in_shards(name, server, messages, folder) for _ in range(2))
            yield rate(f"{name}, {SHARDS} processes", both, bar)
        for way, most in (("bare", cost), ("bare, no header", None), ("bare, in bulk", None)):
            bare = clients.median(found[way]).total
            yield Row(
                f"recorder and checker on top of {name}, {way}", clients.on_top(found["recorded"], found[way]), "",
                most, at_most=True, detail=f"{recorded:.2f} s against {bare:.2f} s",
            )  # fmt: skip


def _in_shards(name: str, server: str, messages: int, folder: Path) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as histories:
        return shards.verified(name, server, messages, SHARDS, Path(histories))


def idle_proxy(broker: EmbeddedBroker, run: Run, messages: int) -> Iterator[Row]:
    """What the proxy costs while it only forwards, with the faster client."""
    name = "confluent-kafka"
    with Proxy(run, broker.bootstrap_servers) as between:
        for found in proxy.measure(name, broker, between, messages // 2, size=100, rounds=8):
            yield Row(
                f"share of {name}'s rate an idle proxy costs, {found.what}", found.lost, "", proxy.ALLOWED, True,
                detail=f"{found.through / 1000:.0f} against {found.direct / 1000:.0f} thousand messages a second",
            )  # fmt: skip


def checker() -> Iterator[Row]:
    """One and ten million rows through every check."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.checker"], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode > 1:
        raise RuntimeError(done.stderr)
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    largest = max(figures["runs"], key=lambda row: (row["messages"], row["seconds"]))
    yield Row("all checks on a history of 10,000,000 messages", largest["seconds"], "s", 10, at_most=True)
    yield Row("its peak memory", largest["peak MB"] / 1000, "GB", 1.5, at_most=True)
    yield Row("time a message from 1 M to 10 M", figures["growth"], "x", 1.3, at_most=True)


def founding_features(folder: Path, rounds: int = 3) -> Iterator[Row]:
    """Both founding features against the two tests as people write them."""
    what = "both founding features, embedded, against the two tests"
    try:
        if not engine.has_image(IMAGE):
            yield Row(what, None, "x", 4, detail=f"not measured: the engine has no {IMAGE} (make image)")
            return
    except Unavailable as error:
        yield Row(what, None, "x", 4, detail=f"not measured: {error}")
        return
    theirs = [founding.theirs(IMAGE) for _ in range(rounds)]
    ours = [founding.ours(folder) for _ in range(rounds)]
    theirs_median, ours_median = sorted(theirs)[rounds // 2], sorted(ours)[rounds // 2]
    yield Row(
        what, theirs_median / ours_median, "x", 4,
        detail=f"{ours_median:.1f} s against {theirs_median:.1f} s",
    )  # fmt: skip


def cluster_boot(run: Run, rounds: int = 3) -> Iterator[Row]:
    """Three combined nodes, from nothing until every replica is in sync for a new client."""
    brokers = Brokers(Settings(), Choice("embedded", "to be measured"), run)
    times = []
    for _ in range(rounds):
        cluster = brokers.create_cluster()
        try:
            began = time.monotonic()
            cluster.start()
            times.append(time.monotonic() - began)
        finally:
            brokers.discard(cluster)
    told = ", ".join(f"{seconds:.2f}" for seconds in times)
    yield Row(
        "a cluster of three brokers boots", sorted(times)[rounds // 2], "s", 3, at_most=True, detail=f"of {told} s"
    )


def measure(messages: int) -> list[Row]:
    rows: list[Row] = []

    def add(more: Iterator[Row]) -> None:
        for row in more:
            print(row, flush=True)
            rows.append(row)

    collect_garbage_rarely()  # as every run does
    # What librdkafka remarks while a broker gets ready belongs to no figure; without a handler, Python prints it.
    logging.getLogger("integrity").addHandler(logging.NullHandler())
    run = Run.begin()
    try:
        kafka = distribution.fetch(Settings().kafka)
        jvm.prepare(kafka, run)
        with tempfile.TemporaryDirectory(dir=run.directory) as folder:
            add(founding_features(Path(folder)))
            add(cluster_boot(run))
            broker = EmbeddedBroker(BrokerConfig(), distribution=kafka, run=run)
            try:
                broker.start()
                add(clients_and_rates(broker, kafka, messages, Path(folder)))
                add(idle_proxy(broker, run, messages))
            finally:
                broker.discard()
        add(checker())
    finally:
        run.end()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000, help="for the clients' figures")
    rows = measure(parser.parse_args().messages)
    report = ROOT / "reports" / "bench.json"
    report.parent.mkdir(exist_ok=True)
    told = [asdict(row) | {"held": row.held if row.bar is not None else None} for row in rows]
    report.write_text(json.dumps({"machine": platform.platform(), "figures": told}, indent=2) + "\n")
    missed = [row for row in rows if not row.held]
    held = sum(row.bar is not None for row in rows) - len(missed)
    print(f"{held} held, {len(missed)} missed; see {report.relative_to(ROOT)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
