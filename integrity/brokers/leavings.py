"""Removes what a run has made on somebody else's cluster: the topics and groups whose names begin with its prefix.

A run that is killed cannot do it. So each notes on this machine that it is at work on the cluster, before it makes
anything there, and takes the note away when all is removed; the next run on the same cluster removes what the notes of
dead runs speak of. A note holds the cluster's address and the run's id, nothing secret.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError, for_code

from integrity import runs
from integrity.brokers.base import BrokerFailed
from integrity.clients.kafka_python.settings import connection_arguments
from integrity.clients.types import Connection
from integrity.waiting import WaitTimeout, scaled, wait_until

#: Seconds, before timeout_factor: a member that died counts until its session is over, and only then can its group go.
REMOVE_SECONDS = 60.0

#: What the names of every run's begin with.
PREFIX = "kafka-integrity-"

#: Seconds for each request, before timeout_factor.
REQUEST_SECONDS = 10.0

#: Answers after which a topic or group is gone or going, or was never stored.
_GONE = ("OK", "NoError", "UnknownTopicOrPartitionError", "GroupIdNotFoundError")

#: Answers that are the same however often one asks.
_FINAL = (
    "TopicAuthorizationFailedError",
    "TopicDeletionDisabledError",
    "GroupAuthorizationFailedError",
    "ClusterAuthorizationFailedError",
)


def prefix(run_id: str) -> str:
    """What the names of a run's topics, groups and transactional ids begin with."""
    return f"{PREFIX}{run_id[:8]}-"


def folder() -> Path:
    """Where the notes are."""
    return runs.base_directory() / "external"


def note(connection: Connection, run_id: str) -> Path:
    """Note that this run is at work on that cluster; returns the note, for whoever has removed everything to delete."""
    folder().mkdir(exist_ok=True)
    path = folder() / run_id
    path.write_text(connection.bootstrap_servers)
    return path


def sweep(connection: Connection) -> list[str]:
    """Remove what dead runs of this machine left on the cluster; returns what was done, in words.

    It is the same cluster where one of the addresses is the same: who names fewer of them, or in another order, means
    no other one. A run's folder stands for as long as the run lives (see integrity.runs). Raises BrokerFailed when
    something stays.
    """
    base, done, here = runs.base_directory(), [], _addresses(connection.bootstrap_servers)
    notes = sorted(folder().iterdir()) if folder().exists() else []
    for path in notes:
        if (base / "runs" / path.name).exists() or here.isdisjoint(_addresses_in(path)):
            continue
        remove(replace(connection, prefix=prefix(path.name)))
        path.unlink(missing_ok=True)
        done.append(
            f"a run that was killed had been at work on this cluster: what begins with {prefix(path.name)} is gone"
        )
    return done


def _addresses_in(path: Path) -> set[str]:
    """The cluster's addresses in a note; none if its run, or another one's sweep, has just taken the note away."""
    try:
        return _addresses(path.read_text())
    except FileNotFoundError:
        return set()


def _addresses(bootstrap_servers: str) -> set[str]:
    """Each ``host:port``, however it was spelt."""
    return {address.strip().lower() for address in bootstrap_servers.split(",")} - {""}


def remove(connection: Connection) -> None:
    """Delete them and wait until they are gone.

    Raises BrokerFailed when they stay, at once where they may not be deleted; it names what is left and the answers.
    """
    if len(connection.prefix) < 8:
        raise ValueError(f"{connection.prefix!r} is too short to be a run's prefix: it could be somebody else's")
    where = f"the topics and groups {connection.prefix}* at {connection.bootstrap_servers}"
    try:
        admin = KafkaAdminClient(
            bootstrap_timeout_ms=int(scaled(REMOVE_SECONDS) * 1000),
            **connection_arguments(connection, "kafka-integrity-clean-up", scaled(REQUEST_SECONDS)),
        )
    except KafkaError as error:
        raise BrokerFailed(f"{where} could not be deleted: {error}") from error
    try:
        left: list[str] = []

        def nothing_is_left() -> bool:
            try:
                answers = _remove_once(admin, connection.prefix)
            except KafkaError as error:
                # A broker that is restarted just now, say: its answer, or that of the next one, comes later.
                if not error.retriable:
                    raise
                left[:] = [f"whatever is there ({type(error).__name__}: {error})"]
                return False
            left[:] = [f"{name} ({answer})" if answer not in _GONE else name for name, answer in answers.items()]
            if any(answer in _FINAL for answer in answers.values()):
                raise BrokerFailed(f"{where} could not be deleted: left are {', '.join(left)}")
            return not left

        wait_until(
            nothing_is_left,
            what=f"{where} to be gone",
            seconds=REMOVE_SECONDS,
            detail=lambda: f"left are {', '.join(left)}",
            poll_seconds=0.2,
        )
    except (KafkaError, WaitTimeout) as error:
        raise BrokerFailed(f"{where} could not be deleted: {error}") from error
    finally:
        admin.close()


def _remove_once(admin: KafkaAdminClient, prefix: str) -> dict[str, str]:
    """Ask for the deletion of all that is there; returns the answer for each topic that was there, which may be going,
    and for each group that resisted.
    """
    left: dict[str, str] = {}
    topics = [name for name in admin.list_topics() if name.startswith(prefix)]
    if topics:
        for answer in admin.delete_topics(topics, raise_errors=False)["topics"]:
            left[f"topic {answer['name']}"] = for_code(answer["error_code"]).__name__
    groups = [group["group_id"] for group in admin.list_groups() if group["group_id"].startswith(prefix)]
    answers = admin.delete_groups(groups) if groups else {}
    return left | {f"group {name}": answer for name, answer in answers.items() if answer not in _GONE}
