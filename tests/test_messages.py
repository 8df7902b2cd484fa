"""Identity and digest: what two different messages never share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrity.clients.messages import (
    IDENTITY_HEADER,
    Message,
    digest,
    digests,
    identity_of,
    pack_identities,
    pack_identity,
    pack_start,
    plain_identities,
)
from integrity.clients.values import Values

content = st.none() | st.binary(max_size=20)
headers = st.lists(st.tuples(st.text(max_size=5), content), max_size=3)
parts = st.tuples(content, content, headers, st.integers(1, 2**60))


@given(parts, parts)
def test_different_messages_have_different_digests(one, other) -> None:
    assert (digest(*one) == digest(*other)) == (one == other)


@given(parts)
def test_a_digest_repeats(message) -> None:
    assert digest(*message) == digest(*message)
    assert 0 <= digest(*message) < 2**64


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((None, b"", [], 1), (b"", None, [], 1)),
        ((None, b"v", [], 1), (b"", b"v", [], 1)),
        ((b"ab", b"c", [], 1), (b"a", b"bc", [], 1)),
        ((None, b"v", [("h", None)], 1), (None, b"v", [("h", b"")], 1)),
        ((None, b"v", [("h", b"1"), ("h", b"2")], 1), (None, b"v", [("h", b"2"), ("h", b"1")], 1)),
        ((None, b"v", [("ab", b"c")], 1), (None, b"v", [("a", b"bc")], 1)),
        ((None, b"v", [], 1), (None, b"v", [], 2)),
        (
            (None, b"v", [(IDENTITY_HEADER, pack_identity(0, 1))], 1),
            (None, b"v", [(IDENTITY_HEADER, pack_identity(0, 2))], 1),
        ),
    ],
)
def test_null_empty_order_and_borders_are_told_apart(one, other) -> None:
    assert digest(*one) != digest(*other)


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1), headers)
def test_an_identity_comes_back(publisher: int, sequence: int, others) -> None:
    others = [(name, value) for name, value in others if name != IDENTITY_HEADER]
    carried = [*others, (IDENTITY_HEADER, pack_identity(publisher, sequence))]
    assert identity_of(carried) == (publisher, sequence)
    assert identity_of(others) is None


@pytest.mark.parametrize("value", [None, b"", b"short", bytes(13)])
def test_a_header_of_the_wrong_size_is_no_identity(value: bytes | None) -> None:
    assert identity_of([(IDENTITY_HEADER, value)]) is None


@given(st.lists(st.tuples(st.binary(max_size=50), st.none() | st.binary(max_size=9), st.integers(1, 2**40))))
def test_many_digests_are_those_of_each(messages: list[tuple[bytes, bytes | None, int]]) -> None:
    identities = pack_identities(3, 65_530, len(messages))
    starts = [pack_start(at, -1 if key is None else len(key), len(v)) + (key or b"") for v, key, at in messages]
    assert digests(starts, [value for value, _, _ in messages], identities) == [
        digest(key, value, [(IDENTITY_HEADER, identity)], at)
        for (value, key, at), identity in zip(messages, identities, strict=True)
    ]


@pytest.mark.parametrize("first", [0, 65_530, 2**32 - 3, 2**63 - 100_000])
def test_many_identities_are_those_of_each(first: int) -> None:
    numbers = (*range(20), *range(65_520, 65_560))
    packed = pack_identities(7, first, 70_000)
    assert len(packed) == 70_000
    assert [packed[n] for n in numbers] == [pack_identity(7, first + n) for n in numbers]


def test_plain_identities_are_those_of_messages_that_carry_nothing_else() -> None:
    plain = [[(IDENTITY_HEADER, identity)] for identity in pack_identities(1, 0, 3)]
    assert plain_identities(plain) == pack_identities(1, 0, 3)
    (identity,) = plain[0]
    for other in (
        None,
        [],
        [("h", b"1")],
        [(IDENTITY_HEADER, None)],
        [(IDENTITY_HEADER, b"short")],
        [identity, ("h", b"1")],
        [identity, identity],
    ):
        assert plain_identities([plain[0], other, plain[1]]) is None


@pytest.mark.parametrize("timestamp", [0, -1])
def test_a_timestamp_that_means_now_is_refused(timestamp: int) -> None:
    with pytest.raises(ValueError, match="at least 1 ms"):
        Message("t", b"", timestamp=timestamp)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_generated_values_have_the_size_and_repeat(size: int) -> None:
    values = Values(size)
    assert [len(values[n]) for n in (0, 1, 999_982, 999_983, 5_000_000)] == [size] * 5
    assert values[7] == Values(size)[7]
    assert size == 0 or size == 1 or values[7] != values[8]
    for first in (0, 999_980):
        assert values.stretch(first, 10) == [values[n] for n in range(first, first + 10)]
