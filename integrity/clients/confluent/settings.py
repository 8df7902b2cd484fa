"""librdkafka's configuration for a connection."""

from __future__ import annotations

import logging
from typing import Any

from integrity.clients.base import Connection
from integrity.clients.security import librdkafka_properties
from integrity.clients.types import SETUP_SECONDS
from integrity.waiting import scaled

#: librdkafka's own complaints (a broker that is down, mostly) go here instead of to stderr.
logger = logging.getLogger("integrity.clients.confluent")

#: The shortest time for setting up a connection (ms) that librdkafka takes: a small ``timeout_factor`` ends here.
LEAST_SETUP_MS = 1_000


def connection_settings(connection: Connection, client_id: str, request_timeout: float) -> dict[str, Any]:
    """What every client of this connection is configured with; request_timeout in seconds.

    Back-off is capped low: a broker under test comes back within a second or two, and the default cap (10 s) would
    make a reader look as if it had lost what it has not yet asked for. So is the time for a connection to be set up: in
    front of a container that is not up yet, its engine takes a connection and answers nothing.
    """
    setup = max(int(scaled(SETUP_SECONDS) * 1000), LEAST_SETUP_MS)
    return {
        "bootstrap.servers": connection.bootstrap_servers,
        "client.id": client_id,
        "socket.timeout.ms": int(request_timeout * 1000),
        "socket.connection.setup.timeout.ms": setup,
        "api.version.request.timeout.ms": setup,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 200,
        "retry.backoff.ms": 50,
        "retry.backoff.max.ms": 200,
        "topic.metadata.refresh.fast.interval.ms": 50,
        "socket.nagle.disable": True,
        "allow.auto.create.topics": False,
        "logger": logger,
    } | librdkafka_properties(connection.properties)
