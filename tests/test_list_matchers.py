"""The list matchers: each sees its own promise broken, no other, and says where."""

from __future__ import annotations

import pytest
from hamcrest import assert_that
from hypothesis import given
from hypothesis import strategies as st

from integrity.list_matchers import has_no_duplicates_of, holds_exactly, misses_nothing_of, preserves_order_of

SENT = ["Message 1", "Message 2", "Message 3"]


def mismatch(read, matcher) -> str:
    with pytest.raises(AssertionError) as caught:
        assert_that(read, matcher)
    return str(caught.value)


def test_what_was_sent_satisfies_all():
    for matcher in (preserves_order_of, has_no_duplicates_of, misses_nothing_of, holds_exactly):
        assert_that(list(SENT), matcher(SENT))


def test_broken_order_names_the_first_divergence_what_was_expected_and_what_came():
    text = mismatch(["Message 1", "Message 3", "Message 2"], preserves_order_of(SENT))
    assert "Expected: messages in the order they were sent: ['Message 1', 'Message 2', 'Message 3']" in text
    assert "first divergence at position 2, where 'Message 2' was read after 'Message 3'" in text
    assert "Sent 3, read 3 (3 different): ['Message 1', 'Message 3', 'Message 2']" in text


def test_a_duplicate_names_the_message_its_place_and_the_counts():
    text = mismatch(["Message 1", "Message 2", "Message 2", "Message 3"], has_no_duplicates_of(SENT))
    assert "1 duplicate(s)" in text
    assert "position 2, where 'Message 2' was read for the 2nd time although it was sent once" in text
    assert "Sent 3, read 4 (3 different)" in text


def test_a_missing_message_is_named():
    text = mismatch(["Message 1", "Message 3"], misses_nothing_of(SENT))
    assert "1 message(s) missing" in text
    assert "position 1, where 'Message 2' was sent and not read" in text


def test_nothing_read_at_all_is_missing_everything():
    assert "3 message(s) missing" in mismatch([], misses_nothing_of(SENT))


def test_each_matcher_looks_at_its_own_promise_alone():
    reordered, doubled, short = ["Message 2", "Message 1", "Message 3"], [*SENT, "Message 3"], SENT[:2]
    assert_that(reordered, has_no_duplicates_of(SENT))
    assert_that(reordered, misses_nothing_of(SENT))
    assert_that(doubled, preserves_order_of(SENT))
    assert_that(doubled, misses_nothing_of(SENT))
    assert_that(short, preserves_order_of(SENT))
    assert_that(short, has_no_duplicates_of(SENT))


def test_equal_messages_sent_twice_may_be_read_twice():
    assert_that(["a", "a"], has_no_duplicates_of(["a", "a"]))
    assert "2 times" in mismatch(["a", "a", "a"], has_no_duplicates_of(["a", "a"]))
    assert "1 message(s) missing" in mismatch(["a"], misses_nothing_of(["a", "a"]))


def test_a_foreign_message_is_not_exactly_what_was_sent():
    text = mismatch([*SENT, "else"], holds_exactly(SENT))
    assert "position 3: expected nothing more, read 'else'" in text


def test_long_lists_are_cut_in_the_text():
    assert "... 80 more" in mismatch([], misses_nothing_of(list(range(100))))


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_exactly_means_equal(sent, read):
    assert holds_exactly(sent).matches(read) == (sent == read)


@given(st.lists(st.integers(), unique=True), st.randoms())
def test_together_the_three_promises_mean_equal_when_nothing_foreign_was_read(sent, chance):
    read = [chance.choice(sent) for _ in range(len(sent))] if sent else []
    together = all(m(sent).matches(read) for m in (preserves_order_of, has_no_duplicates_of, misses_nothing_of))
    assert together == (sent == read)
