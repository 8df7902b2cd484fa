"""kafka-python's arguments for a connection."""

from __future__ import annotations

from typing import Any

from integrity.clients.base import Connection
from integrity.clients.security import kafka_python_arguments


def connection_arguments(connection: Connection, client_id: str, request_timeout: float) -> dict[str, Any]:
    """What every client of this connection is given; request_timeout in seconds.

    Back-off is capped low: a broker under test comes back within a second or two, and the default cap (30 s) would
    make a reader look as if it had lost what it has not yet asked for.
    """
    return {
        "bootstrap_servers": connection.bootstrap_servers.split(","),
        "client_id": client_id,
        "request_timeout_ms": int(request_timeout * 1000),
        "reconnect_backoff_ms": 20,
        "reconnect_backoff_max_ms": 200,
        "retry_backoff_ms": 20,
    } | kafka_python_arguments(connection.properties)
