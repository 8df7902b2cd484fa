"""Sabotages on the way from publisher to broker: what is stored, and what is said about it.

Each is given the ``Wire``, makes its rules on the proxy, and counts what it does with ``wire.strike()``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kafka.protocol.api_message import ApiMessage

from integrity.faults.network import Batch, Entry, Exchange, Records, Reply, answers
from integrity.prove.saboteur import Wire


def _parts(request: ApiMessage) -> Iterator[Any]:
    """The partitions of a Produce request."""
    for topic in request.topic_data:
        yield from topic.partition_data


def _strip(request: ApiMessage) -> ApiMessage:
    """Take the publishers' numbers off all batches: the broker then appends what comes, as it comes."""
    for part in _parts(request):
        records = Records.parse(part.records)
        for batch in records.batches:
            batch.without_producer()
        part.records = records.encode()
    return request


def acknowledge_only(wire: Wire) -> None:
    """Acknowledge the first request and throw it away. The others lose their numbers, or the gap would be noticed."""

    def change(request: ApiMessage, exchange: Exchange) -> ApiMessage | Reply:
        if not wire.struck:
            wire.strike()
            return Reply(answers.produced(request, exchange))
        return _strip(request)

    wire.proxy.rewrite_request("Produce", change)


def append_twice(wire: Wire) -> None:
    """Once the first request has been carried out, append its batches again."""

    def change(answer: ApiMessage, exchange: Exchange) -> None:
        if not wire.struck:
            wire.strike()
            wire.proxy.ask(_strip(exchange.request), exchange.head.version)

    wire.proxy.rewrite_answer("Produce", change)


def shift_acknowledgements(wire: Wire) -> None:
    """Say that every batch was appended one offset further up than it was."""

    def change(answer: ApiMessage, exchange: Exchange) -> None:
        for topic in answer.responses:
            for part in topic.partition_responses:
                part.base_offset += 1
                wire.strike()

    wire.proxy.rewrite_answer("Produce", change)


def inject(wire: Wire) -> None:
    """Append a record of one's own behind the first batches."""

    def change(answer: ApiMessage, exchange: Exchange) -> None:
        if not wire.struck:
            wire.strike()
            request = _strip(exchange.request)
            for part in _parts(request):
                time = Records.parse(part.records).entries[0].timestamp
                part.records = Records([Batch.of([Entry(0, time, None, b"nobody has sent this")])]).encode()
            wire.proxy.ask(request, exchange.head.version)

    wire.proxy.rewrite_answer("Produce", change)


# -- content --------------------------------------------------------------------------------------------
def _flip(data: bytes) -> bytes:
    return bytes([data[0] ^ 0x10]) + data[1:]


def _change_value(entry: Entry) -> None:
    entry.value = _flip(entry.value)


def _change_key(entry: Entry) -> None:
    entry.key = _flip(entry.key)


def _change_header(entry: Entry) -> None:
    """One that the message's publisher has set; the identity, which is a header too, comes elsewhere in the list."""
    at = next(n for n, (name, value) in enumerate(entry.headers) if name == "trace" and value)
    name, value = entry.headers[at]
    entry.headers[at] = (name, _flip(value))


def _change_timestamp(entry: Entry) -> None:
    entry.timestamp += 1


def _change_content(how: Callable[[Entry], None]) -> Callable[[Wire], None]:
    def sabotage(wire: Wire) -> None:
        def change(request: ApiMessage, exchange: Exchange) -> None:
            for part in _parts(request):
                records = Records.parse(part.records)
                how(records.entries[0])
                part.records = records.encode()
                wire.strike()

        wire.proxy.rewrite_request("Produce", change)

    sabotage.__doc__ = "Store the first record of every batch changed, with a checksum that is right."
    return sabotage


change_value = _change_content(_change_value)
change_key = _change_content(_change_key)
change_header = _change_content(_change_header)
change_timestamp = _change_content(_change_timestamp)


# -- groups ---------------------------------------------------------------------------------------------
#: Records by which a group's commits are moved.
MOVED = 7


def _move_commits(by: int) -> Callable[[Wire], None]:
    def sabotage(wire: Wire) -> None:
        def change(request: ApiMessage, exchange: Exchange) -> None:
            for topic in request.topics:
                for part in topic.partitions:
                    part.committed_offset = max(0, part.committed_offset + by)
                    wire.strike()

        wire.proxy.rewrite_request("OffsetCommit", change)

    sabotage.__doc__ = f"Keep every committed offset {abs(by)} records {'ahead' if by > 0 else 'back'}."
    return sabotage


commit_ahead = _move_commits(MOVED)
commit_back = _move_commits(-MOVED)
