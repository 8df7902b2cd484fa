"""One run in several processes, as it is on several machines: each a shard with publishers and readers of its own.

A client that is written in Python keeps one processor busy at most. A shard publishes its share of the messages to a
topic of its own, reads it to its end, and records both; the histories are then judged as one.

    python -m benchmarks.shards SHARD/OF CLIENT 127.0.0.1:9092 MESSAGES DIRECTORY
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks import clients
from integrity import anomalies
from integrity.clients import Connection, driver
from integrity.history.recorder import Recorder
from integrity.session import collect_garbage_rarely
from integrity.settings import Shard

#: Seconds for all of a shard's messages.
SECONDS = 600


def verified(name: str, server: str, messages: int, shards: int, folder: Path) -> float:
    """Seconds for ``messages`` in all to be published, acknowledged, read and judged by so many processes at a time;
    their starts are included. folder: for their histories, which are left in it.
    """
    began = time.perf_counter()
    share = messages // shards
    own = [folder / f"shard-{number}" for number in range(1, shards + 1)]
    here = Path(__file__).parent.parent
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.shards", f"{number}/{shards}", name, server, str(share), str(at)],
            cwd=here,
        )
        for number, at in enumerate(own, 1)
    ]  # fmt: skip
    try:
        for process in running:
            if process.wait(SECONDS):
                raise RuntimeError(f"a shard ended with status {process.returncode}")
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    verdict = anomalies.check(*own)
    assert verdict.intact, verdict
    assert verdict.acknowledged == verdict.read == share * shards, verdict
    return time.perf_counter() - began


def main(arguments: list[str]) -> None:
    number, of = map(int, arguments[0].split("/"))
    name, server, messages, folder = arguments[1:]
    shard = Shard(number, of)
    collect_garbage_rarely()  # as every run does
    client, connection = driver(name), Connection(server)
    topic = clients.new_topic(client, connection)
    with Recorder(Path(folder), label=shard.label, first_id=shard.first_id) as recorder:
        clients.publish_and_read(client, connection, topic, int(messages), recorder)


if __name__ == "__main__":
    main(sys.argv[1:])
