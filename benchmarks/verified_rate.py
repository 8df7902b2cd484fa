"""Kafka's own VerifiableProducer, then its VerifiableConsumer: what the suite's verified rate is held against.

They print a line of JSON for each message that was acknowledged and, asked for it (--verbose), for each that was read,
for somebody else to compare; that comparison is not counted, so the ratio flatters them. Without those lines only
counts could be compared, and nothing would be verified.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from integrity.brokers import distribution, jvm

TOOLS = Path(__file__).parent / "kafka-tools-4.3.1.toml"

#: Flags that make short-lived JVMs start quickly and long ones slow: theirs run without, as they would.
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def kafkas_own(server: str, topic: str, kafka: distribution.Distribution, messages: int, folder: Path) -> float:
    """Seconds for ``messages`` messages of theirs, out with acks=all and in again, both JVMs' starts included."""
    [jars] = distribution.fetch_locked([TOOLS], kafka.version)
    tools = distribution.Distribution(kafka.version, [*kafka.jars, *jars], kafka.java, kafka.home)
    common = ("--topic", topic, "--max-messages", str(messages), "--bootstrap-server", server)
    began = time.perf_counter()
    _run(tools, folder, "VerifiableProducer", *common, "--acks", "-1")
    _run(tools, folder, "VerifiableConsumer", *common, "--group-id", topic, "--reset-policy", "earliest", "--verbose")
    return time.perf_counter() - began


def _run(tools: distribution.Distribution, folder: Path, name: str, *words: str) -> None:
    command = jvm.command(tools, folder, f"org.apache.kafka.tools.{name}", *words)
    out = folder / f"{name}.out"
    with open(out, "wb") as file:
        subprocess.run(
            [word for word in command if word not in QUICK_START],
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=600,
            check=True,
        )
    out.unlink()
