"""The server properties every broker of the suite starts from, embedded or in a container."""

from __future__ import annotations

from collections.abc import Mapping

from integrity.waiting import scaled

#: A cluster of one's own: any 16 bytes in URL-safe base64.
CLUSTER_ID = "a2Fma2EtaW50ZWdyaXR5MA"

#: Chosen for quick life cycles, never for weaker promises: nothing here touches acks, fsync or replication.
#: A killed broker's registration must expire before it can serve again, hence the short session: it asks 0.1, 0.3, 0.7
#: and 1.5 s after its start. A new group's first member would otherwise be kept waiting for others.
LIFE_CYCLE = {
    "broker.session.timeout.ms": "650",
    "broker.heartbeat.interval.ms": "150",
    "controller.quorum.election.timeout.ms": "300",
    "controller.quorum.fetch.timeout.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
    "auto.create.topics.enable": "false",
    # A broker with nothing to do took 5 % of a processor, one of three 3.6 %. By default a controller writes a record
    # twice a second for nothing but a metric (KIP-835), which every other one fetches; and each of 8 + 8 + 6 threads
    # that wait for requests looks up three times a second, on machines of any size.
    "metadata.max.idle.interval.ms": "0",
    "num.io.threads": "4",
    "num.network.threads": "2",
    # A deleted topic's files stay for a minute by default, and at least for a broker's first half minute. Every start
    # in between opens and recovers each of them: those of 30 topics took 0.2 of 1.7 s of processor time.
    "log.segment.delete.delay.ms": "200",
    "log.initial.task.delay.ms": "0",
    # What the log cleaner remembers keys in, made at the start: by default 128 MB, which cost every broker 130 of its
    # 317 MB and every start 0.1 s of processor time. A topic of more than some 300,000 keys is cleaned in passes.
    "log.cleaner.dedupe.buffer.size": "8388608",
}

#: For librdkafka, over the above. A single broker that does not get to its heartbeat in time, on a busy machine, is in
#: no metadata for a moment; a client of librdkafka that asks then forgets the broker and never asks anybody again
#: (https://github.com/confluentinc/librdkafka/issues/5301; librdkafka 2.16). The price is a slower start after a kill.
FOR_LIBRDKAFKA = {"broker.session.timeout.ms": "3000"}

#: More of the same for brokers that depend on each other: a silent replica leaves the in-sync set soon, a new leader
#: is followed at once, and nobody waits half a minute for the answer of a controller that is gone, or a transaction for
#: that of a leader: what is asked of a killed container's broker is not refused, since its address is gone as well.
#: Sessions are longer and heartbeats fewer (15 a second took a cluster half of what it needs with nothing to do): the
#: others work, and need the processors, while one of them starts.
CLUSTER_LIFE_CYCLE = {
    "broker.session.timeout.ms": "1200",
    "broker.heartbeat.interval.ms": "300",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "replica.lag.time.max.ms": "1500",
    "replica.fetch.backoff.ms": "100",
    "replica.socket.timeout.ms": "1500",
    "request.timeout.ms": "3000",
    "controller.socket.timeout.ms": "1500",
    "controller.quorum.election.backoff.max.ms": "300",
    "controller.quorum.request.timeout.ms": "1000",
    # By default 10 s, and up to 30 s after failures: a broker that tried to reach another's container while that was
    # cut off learned nothing of the cluster for 24 s after it was reachable again, and told clients of no newer topic.
    "socket.connection.setup.timeout.ms": "1000",
    "socket.connection.setup.timeout.max.ms": "1500",
}


#: What makes brokers give each other up: on a machine that is slower by the run's timeout_factor, as much later. A
#: single broker depends on nobody, and keeps its short times on any machine.
GIVING_UP = (
    "broker.session.timeout.ms",
    "controller.quorum.election.timeout.ms",
    "controller.quorum.fetch.timeout.ms",
    "controller.quorum.request.timeout.ms",
    "controller.socket.timeout.ms",
    "replica.lag.time.max.ms",
    "replica.socket.timeout.ms",
    "request.timeout.ms",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
)


def internal_topics(brokers: int) -> dict[str, str]:
    """Replication of the internal topics for a cluster of ``brokers`` (1 or 3)."""
    return {
        "offsets.topic.replication.factor": str(brokers),
        "transaction.state.log.replication.factor": str(brokers),
        "transaction.state.log.min.isr": str(max(1, brokers - 1)),
        "share.coordinator.state.topic.replication.factor": str(brokers),
        "share.coordinator.state.topic.min.isr": str(max(1, brokers - 1)),
    }


def defaults(brokers: int = 1) -> dict[str, str]:
    """All of the suite's own settings for one broker of a cluster of ``brokers``."""
    settings = LIFE_CYCLE | internal_topics(brokers)
    if brokers == 1:
        return settings
    settings |= CLUSTER_LIFE_CYCLE
    return settings | {name: str(round(max(1.0, scaled(1.0)) * int(settings[name]))) for name in GIVING_UP}


def properties(settings: Mapping[str, str]) -> str:
    """The text of a Java properties file; backslashes, line ends and non-ASCII letters are escaped."""
    return "".join(f"{key}={_escape(value)}\n" for key, value in settings.items())


def _escape(value: str) -> str:
    text = value.replace("\\", "\\\\").replace("\n", "\\n")
    return "".join(c if ord(c) < 128 else "".join(f"\\u{u:04x}" for u in _utf16(c)) for c in text)


def _utf16(character: str) -> list[int]:
    data = character.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]
