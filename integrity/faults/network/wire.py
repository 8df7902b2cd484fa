"""Requests of the caller's own, each on a new connection straight to a broker."""

from __future__ import annotations

import socket
import time

from kafka.protocol.api_message import ApiMessage

from integrity.brokers.probe import split_address
from integrity.faults.network import codec

#: Client id of the proxy's own requests.
CLIENT = "kafka-integrity-proxy"


def send(address: str, frame: bytes, seconds: float, *, answered: bool = True) -> bytes | None:
    """Send a request's frame and return the answer's, or None when none is expected.

    Raises OSError (TimeoutError among them) when the broker at ``host:port`` cannot be reached, closes, or is too slow.
    """
    deadline = time.monotonic() + seconds
    with socket.create_connection(split_address(address), timeout=seconds) as connection:
        connection.sendall(frame)
        if not answered:
            connection.shutdown(socket.SHUT_WR)
            receive(connection, 1, deadline, address, may_end=True)  # the end: by then the broker has read it
            return None
        head = receive(connection, 4, deadline, address)
        return head + receive(connection, int.from_bytes(head, "big"), deadline, address)


def receive(connection: socket.socket, count: int, deadline: float, address: str, *, may_end: bool = False) -> bytes:
    """Exactly ``count`` bytes (fewer only when it may end), by a moment of time.monotonic()."""
    data = bytearray()
    while len(data) < count:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(min(1 << 18, count - len(data)))
        if not part:
            if may_end:
                break
            raise ConnectionResetError(f"{address} closed the connection instead of answering")
        data += part
    return bytes(data)


def ask(address: str, message: ApiMessage, version: int, seconds: float) -> ApiMessage | None:
    """Send a request and return the decoded answer (None for a Produce with acks=0). Raises OSError and NotDecoded."""
    frame = codec.encode(message, message.API_KEY, version, 1, CLIENT)
    answer = send(address, frame, seconds, answered=message.expect_response())
    return None if answer is None else codec.decode(answer, message.API_KEY, version, request=False)
