"""Which Kafka answers, by its own account: the level of the cluster's formats, and how far the broker's program goes.

No broker tells its version. Each tells the level of ``metadata.version`` that its cluster has settled on, and the
highest that its program knows, which names the release it is of: what ``kafka-features.sh describe`` shows.
"""

from __future__ import annotations

from kafka.protocol.metadata import ApiVersionsRequest

from integrity.clients import wire
from integrity.clients.types import Connection
from integrity.errors import Unavailable

_NAME = "metadata.version"

#: The levels' names, from the first that KRaft served with to Kafka 4.3's: MetadataVersion in kafka-server-common.
_IN_ORDER = """
3.3-IV3 3.4-IV0 3.5-IV0 3.5-IV1 3.5-IV2 3.6-IV0 3.6-IV1 3.6-IV2 3.7-IV0 3.7-IV1 3.7-IV2 3.7-IV3 3.7-IV4
3.8-IV0 3.9-IV0 4.0-IV0 4.0-IV1 4.0-IV2 4.0-IV3 4.1-IV0 4.1-IV1 4.2-IV0 4.2-IV1 4.3-IV0
"""
_FIRST = 7
_NAMES = dict(enumerate(_IN_ORDER.split(), start=_FIRST))


def name(level: int) -> str:
    """What Kafka calls a level: "4.3-IV0"; "level 99" for one that came later."""
    return _NAMES.get(level, f"level {level}")


def told_by(connection: Connection) -> str:
    """The level in words, as the first broker that answers tells; '' where none does or knows of none (ZooKeeper)."""
    request = ApiVersionsRequest[3](client_software_name="kafka-integrity", client_software_version="1")
    try:
        answer = wire.ask(connection.bootstrap_servers, connection.properties, request)
    except Unavailable:
        return ""
    settled = {each.name: each.max_version_level for each in answer.finalized_features or ()}
    known = {each.name: each.max_version for each in answer.supported_features or ()}
    return words(settled.get(_NAME, 0), known.get(_NAME, 0))


def words(settled: int, known: int) -> str:
    """settled: the cluster's level; known: the highest that the broker's program knows; 0: it tells of none."""
    if not settled:
        return ""
    return name(settled) if known <= settled else f"{name(settled)} (the broker knows up to {name(known)})"
