"""The table of errors: what is surely not appended, and what nobody can know."""

from __future__ import annotations

import kafka.errors
import pytest
from confluent_kafka import KafkaError

from integrity.clients.errors import ALWAYS, REFUSALS, SAME_BATCH, SINGLE_ATTEMPT, outcome_of
from integrity.history.columns import REJECTED, UNKNOWN

ALWAYS_REJECTED = [17, 21, 35, 42, 43, 44, 76]
REJECTED_IN_THE_SAME_BATCH = [10, 18, 32, 87]
REJECTED_WITHOUT_RETRIES = [2, 5, 19, 29, 31, 45, 47, 48, 49, 53, 59, 74, 75, 90]
NEVER_REJECTED = [-1, 3, 6, 7, 20, 46, 56, 13, 9999]


@pytest.mark.parametrize("code", ALWAYS_REJECTED)
def test_refused_whatever_came_before(code: int) -> None:
    assert REFUSALS[code].holds == ALWAYS
    assert outcome_of(code, single_attempt=False, same_batch=False) == REJECTED


@pytest.mark.parametrize("code", REJECTED_IN_THE_SAME_BATCH)
def test_refused_unless_it_may_have_been_in_another_batch_before(code: int) -> None:
    assert REFUSALS[code].holds == SAME_BATCH
    assert outcome_of(code, single_attempt=False) == REJECTED
    assert outcome_of(code, single_attempt=False, same_batch=False) == UNKNOWN
    assert outcome_of(code, single_attempt=True, same_batch=False) == REJECTED


@pytest.mark.parametrize("code", REJECTED_WITHOUT_RETRIES)
def test_refused_only_when_it_was_the_only_attempt(code: int) -> None:
    assert REFUSALS[code].holds == SINGLE_ATTEMPT
    assert outcome_of(code, single_attempt=True) == REJECTED
    assert outcome_of(code, single_attempt=False) == UNKNOWN


@pytest.mark.parametrize("code", [*NEVER_REJECTED, None])
@pytest.mark.parametrize("single_attempt", [True, False])
def test_everything_else_is_unknown(code: int | None, single_attempt: bool) -> None:
    assert outcome_of(code, single_attempt=single_attempt) == UNKNOWN


def test_the_lists_above_are_the_whole_table() -> None:
    assert sorted(REFUSALS) == sorted(ALWAYS_REJECTED + REJECTED_IN_THE_SAME_BATCH + REJECTED_WITHOUT_RETRIES)


@pytest.mark.parametrize(
    "error",
    [
        kafka.errors.KafkaTimeoutError("expired in the queue"),
        kafka.errors.KafkaConnectionError("connection lost"),
        kafka.errors.RequestTimedOutError(),
        kafka.errors.NotEnoughReplicasAfterAppendError(),
        kafka.errors.Cancelled(),
    ],
)
def test_kafka_pythons_time_outs_and_lost_connections_are_unknown(error: Exception) -> None:
    assert outcome_of(getattr(error, "errno", None), single_attempt=True) == UNKNOWN


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._FATAL,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ],
)
def test_librdkafkas_time_outs_and_lost_connections_are_unknown(code: int) -> None:
    assert outcome_of(code, single_attempt=True) == UNKNOWN


def test_both_libraries_use_the_protocols_numbers() -> None:
    for refusal in REFUSALS.values():
        assert kafka.errors.for_code(refusal.code).errno == refusal.code
        if refusal.code not in (74, 75, 90):
            assert KafkaError(refusal.code).code() == refusal.code
