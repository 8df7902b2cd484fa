"""Small questions put to a broker's address over one short-lived connection.

A fresh connection each time is the point: it sees what a new client would see, and nothing that a pooled
client remembers from before a restart.
"""

from __future__ import annotations

import socket
from typing import Any

from kafka.protocol.metadata import MetadataRequest, MetadataResponse
from kafka.protocol.parser import KafkaProtocol

from integrity.waiting import scaled

#: Seconds, before timeout_factor, for one question; a frozen broker accepts the connection and never answers.
PROBE_SECONDS = 2.0


def split_address(address: str) -> tuple[str, int]:
    """("127.0.0.1", 19092) of "127.0.0.1:19092"; the first one of a comma-separated list."""
    host, _, port = address.split(",")[0].strip().rpartition(":")
    return host.strip("[]"), int(port)


def refuses(address: str) -> bool:
    """True when a connection to the address is refused, that is, when nothing listens there."""
    try:
        socket.create_connection(split_address(address), timeout=scaled(PROBE_SECONDS)).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def metadata(address: str, topics: list[str] | None = None, *, every_topic: bool = False) -> MetadataResponse:
    """The broker's own view of the cluster: brokers and, if named or ``every_topic``, topics.

    Raises OSError when the broker cannot be reached or does not answer within PROBE_SECONDS.
    """
    version = 8  # served by every broker from 2.3 to 4.3
    named = [MetadataRequest.MetadataRequestTopic(name=name) for name in topics or ()]
    request = MetadataRequest[version](topics=None if every_topic else named, allow_auto_topic_creation=False)
    return ask(address, request)


def ask(address: str, request: Any, seconds: float = PROBE_SECONDS) -> Any:
    """The broker's answer to one request of kafka-python's protocol classes, given with its version.

    Raises OSError when the broker cannot be reached or does not answer within ``seconds`` (before timeout_factor).
    """
    seconds = scaled(seconds)
    # Connected first: who waits for a broker asks a hundred times and more before there is anybody to be asked.
    with socket.create_connection(split_address(address), timeout=seconds) as connection:
        connection.settimeout(seconds)
        protocol = KafkaProtocol(client_id="kafka-integrity-probe")
        protocol.send_request(request)
        connection.sendall(protocol.send_bytes())
        while True:
            data = connection.recv(65536)
            if not data:
                raise ConnectionResetError(f"{address} closed the connection instead of answering")
            for _, response in protocol.receive_bytes(data):
                return response


def answers(address: str, node: int) -> bool:
    """True when the broker answers a new client and counts itself among the cluster's brokers.

    A broker that has not yet registered with its controller answers without naming itself: it is up, but
    would turn clients away.
    """
    try:
        response = metadata(address)
    except OSError:
        return False
    return any(broker.node_id == node for broker in response.brokers)
