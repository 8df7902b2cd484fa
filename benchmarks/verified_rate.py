"""Verified messages a second, against Kafka's own VerifiableProducer and VerifiableConsumer on the same broker.

Ours: publish, wait for every acknowledgement, read to the end, run all checks. Theirs: VerifiableProducer, then
VerifiableConsumer, which print a line of JSON for each message for somebody else to compare; the comparison itself is
not counted, so the ratio flatters them. Also: what the recorder and the checker cost on top of the bare client.
"""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client_cost import bare_publish_and_read
from integrity import anomalies
from integrity.brokers import distribution, jvm
from integrity.brokers.base import Broker
from integrity.clients import Connection, driver
from integrity.history.recorder import Recorder

TOOLS = Path(__file__).parent / "kafka-tools-4.3.1.toml"
SIZE = 100
PARTITIONS = 3


@dataclass(frozen=True)
class Rate:
    """What was measured, in seconds for ``messages`` messages."""

    what: str
    messages: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.messages / self.seconds


def topic(broker: Broker, client: str) -> str:
    name = f"bench-{uuid.uuid4().hex[:8]}"
    with driver(client).admin(Connection(broker.bootstrap_servers)) as admin:
        admin.create_topic(name, partitions=PARTITIONS)
    return name


def verified(broker: Broker, client: str, messages: int, folder: Path) -> Rate:
    """Ours, one after the other: publish, acknowledge, read, check."""
    name, connection, library = topic(broker, client), Connection(broker.bootstrap_servers), driver(client)
    history = folder / f"history-{uuid.uuid4().hex[:8]}"
    began = time.perf_counter()
    recorder = Recorder(history)
    with library.publisher(connection, recorder) as publisher:
        publisher.publish(name, messages, size=SIZE)
        publisher.flush(300)
    with library.reader(connection, recorder) as reader:
        result = reader.read_to_end(name, 300)
    recorder.close()
    verdict = anomalies.check(history)
    seconds = time.perf_counter() - began
    if not verdict.intact or not result.complete or verdict.acknowledged != messages:
        raise RuntimeError(f"the run that was to be measured went wrong: {verdict.words()}")
    shutil.rmtree(history)
    return Rate(f"verified, {client}", messages, seconds)


def bare(broker: Broker, client: str, messages: int) -> Rate:
    """The client library alone: the same messages out and in, nothing recorded, nothing checked."""
    return Rate(
        f"bare {client}", messages, bare_publish_and_read(broker.bootstrap_servers, client, topic(broker, client), messages, SIZE)
    )


def kafkas_own(broker: Broker, kafka: distribution.Distribution, messages: int, folder: Path) -> Rate:
    """Kafka's own VerifiableProducer, then its VerifiableConsumer."""
    jars = distribution.fetch_locked(TOOLS, kafka.version)
    tools = distribution.Distribution(kafka.version, [*kafka.jars, *jars], kafka.java, kafka.home)
    name = topic(broker, "kafka-python")
    server = broker.bootstrap_servers
    began = time.perf_counter()
    _tool(tools, folder, "VerifiableProducer", "--topic", name, "--max-messages", str(messages), "--acks", "-1",
          "--bootstrap-server", server)  # fmt: skip
    _tool(tools, folder, "VerifiableConsumer", "--topic", name, "--max-messages", str(messages), "--group-id", name,
          "--reset-policy", "earliest", "--bootstrap-server", server)  # fmt: skip
    return Rate("Kafka's VerifiableProducer + VerifiableConsumer", messages, time.perf_counter() - began)


def _tool(tools: distribution.Distribution, folder: Path, name: str, *words: str) -> None:
    command = jvm.command(tools, folder, f"org.apache.kafka.tools.{name}", *words)
    # Theirs run as they would: none of the flags that make short-lived brokers quick.
    command = [word for word in command if word not in ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")]
    with open(folder / f"{name}.out", "wb") as out:
        subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, timeout=600, check=True)
    (folder / f"{name}.out").unlink()
