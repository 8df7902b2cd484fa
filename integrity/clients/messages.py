"""A message, the identity it carries, and the digest that tells whether it came back unchanged.

Identity: one record header, ``kafka-integrity-id``, whose 12 bytes are the publisher (32 bits) and the sequence
(64 bits), unsigned and big-endian. It lives in a header so that any key, any value and any codec can be tested,
empty and null ones included.

Digest: xxh3 of 64 bits over an encoding in which no two different messages look alike: the timestamp, the lengths of
key and value (null is a length of its own), key, value, and every header in order with the lengths of its name and
value. The identity's header is covered as well, so an identity that was changed on the way does not go unseen.

Timestamp: a publisher always sets it, so that the digest can cover it. On a topic with
``message.timestamp.type=LogAppendTime`` the broker replaces it; publishers to such a topic digest with
:data:`NO_TIMESTAMP` (option ``log_append_time``), and a reader does the same for every record that says its timestamp
is the broker's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat

from xxhash import xxh3_64_intdigest

from integrity.history.columns import NO_IDENTITY

#: The name of the header that carries (publisher, sequence).
IDENTITY_HEADER = "kafka-integrity-id"

#: Stands in the digest for a timestamp that is the broker's and not the publisher's.
NO_TIMESTAMP = -1

#: A record header as clients take it: name and bytes, or None for a null value.
Header = tuple[str, bytes | None]

_IDENTITY = struct.Struct(">IQ")
_START = struct.Struct("<qii")  # timestamp in ms, length of the key, length of the value; a null's length is -1
_LENGTH = struct.Struct("<i")

pack_identity = _IDENTITY.pack
unpack_identity = _IDENTITY.unpack
pack_start = _START.pack
IDENTITY_BYTES = _IDENTITY.size


def encode_header(name: str, value: bytes | None) -> bytes:
    """One header as the digest sees it."""
    encoded = name.encode()
    start = _LENGTH.pack(len(encoded)) + encoded
    return start + _LENGTH.pack(-1) if value is None else start + _LENGTH.pack(len(value)) + value


#: What every identity header's encoding begins with; followed by the 12 bytes. The clients' fast paths use it.
IDENTITY_PREFIX = encode_header(IDENTITY_HEADER, bytes(IDENTITY_BYTES))[:-IDENTITY_BYTES]


@dataclass(frozen=True, slots=True)
class Message:
    """What a publisher is asked to send.

    value, key: None is null (on a compacted topic a null value deletes its key), b"" is empty; Kafka tells them
    apart. headers: in order, names may repeat; the publisher puts the identity's header before them.
    partition: None lets the client's partitioner choose by key. timestamp: ms since the epoch, at least 1; None
    takes the time of the send call.
    """

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Sequence[Header] = ()
    partition: int | None = None
    timestamp: int | None = None

    def __post_init__(self) -> None:
        if self.timestamp is not None and self.timestamp < 1:
            # Both clients take 0 for "now", and the digest would not be of what was sent.
            raise ValueError(f"a timestamp is at least 1 ms, not {self.timestamp}")


def digest(key: bytes | None, value: bytes | None, headers: Sequence[Header], timestamp: int) -> int:
    """The 64-bit digest of a message as it stands on the wire; ``headers`` include the identity's.

    timestamp: ms, or NO_TIMESTAMP where the broker sets it.
    """
    parts = [pack_start(timestamp, -1 if key is None else len(key), -1 if value is None else len(value))]
    if key:
        parts.append(key)
    if value:
        parts.append(value)
    for name, content in headers:
        parts.append(encode_header(name, content))
    return xxh3_64_intdigest(b"".join(parts))


def digests(starts: Iterable[bytes], values: Iterable[bytes], identities: Iterable[bytes]) -> list[int]:
    """What :func:`digest` says of messages whose only header is the identity's, without a call of ours for each.

    starts: what comes before the value, pack_start(...) and the key; values: not null. It ends with the shortest.
    """
    return list(map(xxh3_64_intdigest, map(b"".join, zip(starts, values, repeat(IDENTITY_PREFIX), identities))))


def pack_identities(publisher: int, first: int, count: int) -> list[bytes]:
    """The identities of ``count`` sequences from ``first`` on, as :func:`pack_identity` makes them one by one.

    All but their last two bytes are the same for 65536 of them, so that joining head and tail is all that is left.
    """
    packed: list[bytes] = []
    while count > 0:
        head, begin = pack_identity(publisher, first)[:-2], first & 0xFFFF
        tails = _tails()[begin : begin + count]
        packed += [head + tail for tail in tails]
        first += len(tails)
        count -= len(tails)
    return packed


@cache
def _tails() -> list[bytes]:
    return [number.to_bytes(2) for number in range(1 << 16)]


def plain_identities(headers: Sequence[Sequence[Header] | None]) -> list[bytes] | None:
    """The identities of messages whose only header is the identity's; None when that is not so for any of them."""
    try:
        identities = [value for ((name, value),) in headers if name == IDENTITY_HEADER]
        plain = len(identities) == len(headers) and set(map(len, identities)) == {IDENTITY_BYTES}
    except (TypeError, ValueError):
        # No headers, several of them, or a null value.
        return None
    return identities if plain else None


def fingerprints(
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    headers: Sequence[Sequence[Header] | None],
    timestamps: Sequence[int],
) -> tuple[bytes, list[int]]:
    """What a reader records of messages, given column by column: their identities, joined, and their digests.

    A message without identity has NO_IDENTITY; timestamps as :func:`digest` takes them.
    """
    identities = plain_identities(headers)
    if identities is not None and set(map(type, values)) == {bytes}:
        return b"".join(identities), digests(_starts(keys, values, timestamps), values, identities)
    known = [identity_of(some) for some in headers]
    packed = b"".join(NO_IDENTITY if one is None else pack_identity(*one) for one in known)
    columns = zip(keys, values, headers, timestamps, strict=True)
    return packed, [digest(key, value, some or (), timestamp) for key, value, some, timestamp in columns]


def _starts(keys: Sequence[bytes | None], values: Sequence[bytes], timestamps: Sequence[int]) -> Iterable[bytes]:
    """What each digest begins with; made once for all that have no key, the same size and the same timestamp."""
    sizes = set(map(len, values))
    if len(sizes) == 1 and keys.count(None) == len(keys):
        (size,) = sizes
        begun = {timestamp: pack_start(timestamp, -1, size) for timestamp in set(timestamps)}
        return map(begun.__getitem__, timestamps)
    return [
        pack_start(timestamp, -1 if key is None else len(key), len(value)) + (key or b"")
        for key, value, timestamp in zip(keys, values, timestamps, strict=True)
    ]


def identity_of(headers: Sequence[Header] | None) -> tuple[int, int] | None:
    """(publisher, sequence) of a record's headers, or None when they carry none of the right size."""
    for name, value in headers or ():
        if name == IDENTITY_HEADER and value is not None and len(value) == IDENTITY_BYTES:
            publisher, sequence = unpack_identity(value)
            return publisher, sequence
    return None
