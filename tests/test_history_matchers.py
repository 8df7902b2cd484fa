"""The matchers over a history: what they match, and the words of their mismatches."""

from __future__ import annotations

from pathlib import Path

import pytest
from hamcrest import assert_that, is_, not_

from integrity.anomalies import CHECKS, check
from integrity.matchers import has_no, intact, shows, shows_only
from integrity.reports.text import first_sentence
from tests.histories import History, sound


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return sound().save(tmp_path / "good")


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    history = sound()
    history.send(17)
    return history.save(tmp_path / "bad")


def test_a_sound_history_is_intact_and_has_none_of_the_anomalies(good: Path) -> None:
    assert_that(good, is_(intact()))
    verdict = check(good)
    assert_that(verdict, is_(intact()))
    assert_that(verdict, shows_only())
    for name in CHECKS:
        assert_that(verdict, has_no(name))
        assert_that(verdict, not_(shows(name)))


def test_an_anomaly_is_found_and_only_it(bad: Path) -> None:
    assert_that(bad, not_(intact()))
    assert_that(bad, not_(has_no("lost")))
    assert_that(bad, has_no("duplicated"))
    assert_that(str(bad), shows("lost"))
    assert_that(bad, shows_only("lost"))
    assert_that(bad, not_(shows_only("lost", "duplicated")))
    with pytest.raises(AssertionError, match=r"a history that shows no anomaly(.|\n)*lost: 1"):
        assert_that(bad, shows_only())


def test_a_mismatch_is_told_in_the_verdicts_words(bad: Path) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_that(bad, has_no("lost"))
    words = str(raised.value)
    assert "a history with nothing lost" in words
    assert "lost: 1 acknowledged message nobody read" in words
    assert "message 5 of publisher 0, acknowledged at offset 17 of t-0, was read by nobody" in words


def test_a_mismatch_of_intact_names_every_anomaly(bad: Path) -> None:
    words = r"not intact: lost 1 \(6 messages acknowledged, 5 records read\)\nlost: 1"
    with pytest.raises(AssertionError, match=words):
        assert_that(bad, is_(intact()))


def test_a_mismatch_begins_with_one_plain_sentence(bad: Path) -> None:
    """Protects the first line of JUnit, console and page: what broke, where, and after which fault."""
    with pytest.raises(AssertionError) as raised:
        assert_that(bad, is_(intact()))
    assert first_sentence(raised.value) == (
        "Expected an intact history, but 1 acknowledged message nobody read: message 5 of publisher 0, acknowledged at "
        "offset 17 of t-0, was read by nobody: the brokers' files were not searched for it (no fault was recorded)"
    )


def test_shows_tells_what_was_there_instead(good: Path) -> None:
    with pytest.raises(AssertionError, match=r"shows something lost(.|\n)*intact: 5 messages acknowledged"):
        assert_that(good, shows("lost"))


def test_nothing_to_judge_has_no_anomaly_and_does_not_match(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the verdict would be vacuous"):
        assert_that(tmp_path, has_no("lost"))


def test_control_characters_stay_out_of_the_words(tmp_path: Path) -> None:
    history = sound()
    history.send(5, topic="\x1b[31mred")
    with pytest.raises(AssertionError) as raised:
        assert_that(history.save(tmp_path), is_(intact()))
    assert "\x1b" not in str(raised.value)
    assert "[31mred" in str(raised.value)


def test_an_unknown_anomaly_is_a_mistake_of_the_test() -> None:
    with pytest.raises(ValueError, match="no anomaly is called 'losst'; there are aborted_read, "):
        has_no("losst")


def test_anything_but_a_history_is_a_mistake_of_the_test() -> None:
    with pytest.raises(TypeError, match="neither a verdict nor a history's directory"):
        assert_that(3, intact())


def test_a_directory_is_checked_again_each_time(tmp_path: Path) -> None:
    matcher = intact()
    sound().save(tmp_path)
    assert matcher.matches(tmp_path)
    history = History()
    history.send(0)
    history.save(tmp_path)
    assert not matcher.matches(tmp_path)
