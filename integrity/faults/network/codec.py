"""Frames and messages: heads read by hand, bodies by kafka-python's protocol classes.

A frame is a 4-byte big-endian length and that many bytes. A request starts with API (int16), version (int16),
correlation id (int32) and client id (int16 length, -1 for null); an answer with the correlation id.
Source: https://kafka.apache.org/protocol#protocol_messages
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

# Importing the modules registers their messages.
import kafka.protocol.admin
import kafka.protocol.consumer
import kafka.protocol.metadata
import kafka.protocol.producer
import kafka.protocol.sasl  # noqa: F401
from kafka.protocol.api_header import RequestHeader, ResponseHeader
from kafka.protocol.api_key import ApiKey
from kafka.protocol.api_message import ApiMessage
from kafka.protocol.data_container import DataContainer

#: Bytes; the broker's own limit (socket.request.max.bytes).
LARGEST_FRAME = 100 << 20
SMALLEST_REQUEST = 8
SMALLEST_ANSWER = 4
#: Bytes of a request's head before the client id, and of an answer's head, both with the length.
REQUEST_HEAD = 14
ANSWER_HEAD = 8

_unpack_short = struct.Struct(">hhi").unpack_from
_unpack_request_head = struct.Struct(">ihhih").unpack_from
unpack_answer_head = struct.Struct(">ii").unpack_from


class NotDecoded(Exception):
    """kafka-python cannot read this frame, or not write it again as it was; the text says why."""


class Head(NamedTuple):
    """Who asks what. number: unique per request within a proxy."""

    number: int
    connection: int
    link: str
    client: str | None
    api: int
    version: int
    correlation: int

    def __str__(self) -> str:
        place = f"connection {self.connection} ({self.link})"
        return f"{api_name(self.api)} v{self.version} of client {self.client!r} on {place}"


class NoFrame(Exception):
    """These bytes do not start a frame."""


def request_head(data: memoryview) -> tuple[int, int, int, int, bytes | None] | None:
    """(bytes with the length, API, version, correlation id, client id) of the request that starts here.

    None when more of it is needed to tell; raises NoFrame when its length cannot be a request's.
    """
    if len(data) < REQUEST_HEAD:
        if len(data) < 4:
            return None
        size = int.from_bytes(data[:4], "big", signed=True)
        if not SMALLEST_REQUEST <= size <= LARGEST_FRAME:
            raise NoFrame
        if size + 4 > len(data):
            return None
        # Too short for a client id: nothing the broker will take, but a frame.
        api, version, correlation = _unpack_short(data, 4)
        return size + 4, api, version, correlation, None
    size, api, version, correlation, length = _unpack_request_head(data)
    if not SMALLEST_REQUEST <= size <= LARGEST_FRAME:
        raise NoFrame
    name = None
    if length >= 0 and REQUEST_HEAD + length <= size + 4:
        if len(data) < REQUEST_HEAD + length:
            return None
        name = bytes(data[REQUEST_HEAD : REQUEST_HEAD + length])
    return size + 4, api, version, correlation, name


def api_number(name: str) -> int:
    """0 of "Produce". Raises ValueError, with all names, for another word."""
    try:
        return ApiKey[name].value
    except KeyError:
        raise ValueError(f"there is no API {name!r}; there are {', '.join(ApiKey.__members__)}") from None


def api_name(number: int) -> str:
    """ "Produce" of 0."""
    try:
        return ApiKey(number).name
    except ValueError:
        return f"API {number}"


@cache
def _classes() -> dict[tuple[int, bool], type[ApiMessage]]:
    found: dict[tuple[int, bool], type[ApiMessage]] = {}
    for kind in ApiMessage.__subclasses__():
        # The wrapper classes of single versions are made on demand and derive from the primary ones as well.
        if kind._class_version is None:
            found[kind.API_KEY, kind.is_request()] = kind
    return found


def decode(frame: bytes, api: int, version: int, *, request: bool) -> ApiMessage:
    """The message in a frame (with its length), header included. Raises NotDecoded."""
    kind = _classes().get((api, request))
    if kind is None or kind.max_version is None or not 0 <= version <= kind.max_version:
        raise NotDecoded(f"{api_name(api)} v{version} is not known to kafka-python")
    try:
        return kind.decode(frame, version=version, header=True, framed=True)
    except Exception as error:
        raise NotDecoded(f"{api_name(api)} v{version} could not be decoded: {type(error).__name__}: {error}") from error


def encode(message: ApiMessage, api: int, version: int, correlation: int, client: str | None = None) -> bytes:
    """The frame of a message, under its own header if it has one. Raises NotDecoded when it does not fit."""
    request = message.is_request()
    if api != message.API_KEY:
        raise NotDecoded(f"a {type(message).__name__} cannot take the place of {api_name(api)}")
    if message.header is None:
        if request:
            message._header = RequestHeader(
                request_api_key=api, request_api_version=version, correlation_id=correlation, client_id=client
            )
        else:
            message._header = ResponseHeader(correlation_id=correlation)
    # Not by encode(version=...), which would write the version into the header, and an answer's has none.
    message._version = version
    try:
        return bytes(message.encode(header=True, framed=True))
    except Exception as error:
        raise NotDecoded(f"{api_name(api)} v{version} could not be encoded: {type(error).__name__}: {error}") from error


def decode_exactly(frame: bytes, head: Head, *, request: bool) -> ApiMessage:
    """As decode, and sure that encoding gives the same bytes. Raises NotDecoded when it does not."""
    message = decode(frame, head.api, head.version, request=request)
    again = encode(message, head.api, head.version, head.correlation)
    if again != frame:
        raise NotDecoded(
            f"{api_name(head.api)} v{head.version} would be encoded otherwise ({len(frame)} bytes, {len(again)} again)"
        )
    return message


def is_answered(frame: bytes, head: Head) -> bool:
    """False for a Produce request with acks=0: the broker never answers it."""
    if head.api != ApiKey.Produce:
        return True
    try:
        return decode(frame, head.api, head.version, request=True).expect_response()
    except NotDecoded:
        return True


def _containers(message: DataContainer) -> Iterator[DataContainer]:
    """The message and every structure in it."""
    yield message
    for field in message._struct.fields.values():
        value: Any = getattr(message, field.name)
        if field.is_struct() and value is not None:
            yield from _containers(value)
        elif field.is_struct_array() and value:
            for item in value:
                yield from _containers(item)


def topics(message: ApiMessage, names: dict[Any, str]) -> set[str]:
    """The topics a message names, by name or (``names`` tells) by id."""
    found: set[str] = set()
    for part in _containers(message):
        fields = part._struct.fields
        if "topic_id" in fields and (known := names.get(part.topic_id)) is not None:
            found.add(known)
        kind = type(part).__name__.lower()
        for field in ("topic", "topic_name", *(("name",) if "topic" in kind else ())):
            if field in fields and isinstance(value := getattr(part, field), str) and value:
                found.add(value)
        if "topics" in fields and isinstance(part.topics, Iterable):
            found.update(topic for topic in part.topics if isinstance(topic, str))
    return found


def transactional_ids(message: ApiMessage) -> set[str]:
    """The transactional ids a message names."""
    found: set[str] = set()
    for part in _containers(message):
        for field in ("transactional_id", "v3_and_below_transactional_id"):
            if field in part._struct.fields and isinstance(value := getattr(part, field), str) and value:
                found.add(value)
    if ApiKey.FindCoordinator == message.API_KEY and message.is_request() and message.key_type == 1:
        found.update(key for key in (message.key, *(message.coordinator_keys or ())) if key)
    return found
