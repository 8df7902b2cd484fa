"""What errors mean, for both clients: which time-outs brokers do not take, and the one table of what a failed send
means, surely not appended or unknown.

Rejected means that no attempt at this message can have been appended. Everything else is unknown: time-outs and lost
connections always (a request whose answer is missing may have been carried out), and every error this table does not
know.

Clients retry by themselves and report only the last attempt's error, so an error that truthfully says "this attempt
was not appended" proves nothing about the attempts before it, whose answers may have been lost. Hence three kinds of
refusal:

- ALWAYS: the broker's check depends on nothing but the request's kind and the topic's configuration. Had an earlier
  attempt got as far as this one, it would have been refused as well. (The configuration must not change between the
  attempts; no scenario does that with a message that it breaks.)
- SAME_BATCH: the check is of the batch's bytes, so the same holds where every attempt sends the same batch: idempotent
  publishers must, and kafka-python always does. librdkafka without idempotence may put a message that is tried again
  into another batch, whose refusal may be its neighbours' fault; then it is unknown.
- SINGLE_ATTEMPT: the refusal depends on the state of the cluster at that moment: how many replicas are in sync, what
  the caller is allowed. It is a rejection only from a publisher with ``retries=0``; with retries it is
  unknown.

A batch that a client gives up because another one failed (kafka-python aborts all batches of an idempotent producer,
those in flight included, with the error of the first) was not refused, whatever the error says: it is unknown.

An error raised by the client's own send call is a rejection whatever its code: in both clients the message is queued
by that call's last step, so one that raises has put nothing on the wire (kafka-python 3.0 ``KafkaProducer.send``:
serialization, metadata, partitioner and size checks all precede ``RecordAccumulator.append``; librdkafka
``rd_kafka_produceva``: a message that fails there is destroyed and gets no delivery report). A message that expires in
the client's queue is unknown even if it was perhaps never sent: librdkafka reports ``_MSG_TIMED_OUT`` and kafka-python
``KafkaTimeoutError`` for both cases alike, and messages that wait for another attempt stand in the same queue.

Sources: the error codes of the Kafka protocol guide (kafka.apache.org/protocol, section "Error Codes"; the class
``org.apache.kafka.common.protocol.Errors``); where in ``ReplicaManager.appendRecords``,
``Partition.appendRecordsToLeader`` and ``UnifiedLog.append`` of Kafka 4.3 each is raised; librdkafka's
``rd_kafka_resp_err_t``, which uses the protocol's numbers for a broker's errors and negative ones for its own;
kafka-python's ``kafka.errors``, whose broker errors carry the number as ``errno``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from integrity.clients.types import Connection
from integrity.errors import NotPossible
from integrity.history.columns import REJECTED, UNKNOWN

#: The error codes of brokers that do not take a time-out a client asks for, and their settings that say so:
#: INVALID_SESSION_TIMEOUT, INVALID_TRANSACTION_TIMEOUT.
LIMITS = {
    26: "it is not between group.min.session.timeout.ms and group.max.session.timeout.ms",
    50: "it is over transaction.max.timeout.ms",
}

ALWAYS = "always"
SAME_BATCH = "same batch"
SINGLE_ATTEMPT = "single attempt"


@dataclass(frozen=True)
class Refusal:
    """An error code that says an attempt was not appended; ``holds`` is one of the three kinds."""

    code: int
    name: str
    holds: str
    why: str


REFUSALS: dict[int, Refusal] = {
    refusal.code: refusal
    for refusal in (
        Refusal(2, "CORRUPT_MESSAGE", SINGLE_ATTEMPT, "the CRC is wrong; an earlier copy may have been whole"),
        Refusal(5, "LEADER_NOT_AVAILABLE", SINGLE_ATTEMPT, "there is no leader to append now"),
        Refusal(10, "MESSAGE_TOO_LARGE", SAME_BATCH, "over max.message.bytes; checked before the append"),
        Refusal(17, "INVALID_TOPIC_EXCEPTION", ALWAYS, "an illegal name, or an internal topic"),
        Refusal(18, "RECORD_LIST_TOO_LARGE", SAME_BATCH, "the batch is over segment.bytes; checked before the append"),
        Refusal(19, "NOT_ENOUGH_REPLICAS", SINGLE_ATTEMPT, "too few in sync, found before the append"),
        Refusal(21, "INVALID_REQUIRED_ACKS", ALWAYS, "acks is none of -1, 0, 1"),
        Refusal(29, "TOPIC_AUTHORIZATION_FAILED", SINGLE_ATTEMPT, "may not write to the topic now"),
        Refusal(31, "CLUSTER_AUTHORIZATION_FAILED", SINGLE_ATTEMPT, "may not publish idempotently now"),
        Refusal(32, "INVALID_TIMESTAMP", SAME_BATCH, "outside message.timestamp.before/after.max.ms"),
        Refusal(35, "UNSUPPORTED_VERSION", ALWAYS, "the broker does not know this request"),
        Refusal(42, "INVALID_REQUEST", ALWAYS, "the request contradicts itself"),
        Refusal(43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", ALWAYS, "the format cannot hold it"),
        Refusal(44, "POLICY_VIOLATION", ALWAYS, "a configured policy refuses it"),
        Refusal(45, "OUT_OF_ORDER_SEQUENCE_NUMBER", SINGLE_ATTEMPT, "this attempt leaves a gap; not so an earlier one"),
        Refusal(47, "INVALID_PRODUCER_EPOCH", SINGLE_ATTEMPT, "fenced now"),
        Refusal(48, "INVALID_TXN_STATE", SINGLE_ATTEMPT, "no transaction open now"),
        Refusal(49, "INVALID_PRODUCER_ID_MAPPING", SINGLE_ATTEMPT, "the transactional id has another producer id now"),
        Refusal(53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", SINGLE_ATTEMPT, "may not use the transactional id now"),
        Refusal(59, "UNKNOWN_PRODUCER_ID", SINGLE_ATTEMPT, "the broker has forgotten this producer"),
        Refusal(74, "FENCED_LEADER_EPOCH", SINGLE_ATTEMPT, "the request is of an older leadership"),
        Refusal(75, "UNKNOWN_LEADER_EPOCH", SINGLE_ATTEMPT, "the request is of a newer leadership"),
        Refusal(76, "UNSUPPORTED_COMPRESSION_TYPE", ALWAYS, "the broker cannot read this codec in this request"),
        Refusal(
            87, "INVALID_RECORD", SAME_BATCH, "a record breaks a rule of the topic (no key on a compacted one, say)"
        ),
        Refusal(90, "PRODUCER_FENCED", SINGLE_ATTEMPT, "a successor has taken over"),
    )
}
"""Every broker error that is a refusal, by its protocol code.

Not here, so unknown: 7 REQUEST_TIMED_OUT and 20 NOT_ENOUGH_REPLICAS_AFTER_APPEND (appended on the leader at least), 6
NOT_LEADER_OR_FOLLOWER and 3 UNKNOWN_TOPIC_OR_PARTITION (a leader that waits for the copies of what it has appended
answers so when it leads no more, or has the replica no more, and its successor may have them: ``DelayedProduce``,
``Partition.checkEnoughReplicasReachOffset``), 46 DUPLICATE_SEQUENCE_NUMBER (an earlier attempt was appended), 56
KAFKA_STORAGE_ERROR (how much reached the disk is not known), -1 UNKNOWN_SERVER_ERROR, and any code to come.
"""


def code_of(error: Exception) -> int | None:
    """The protocol's code of either client's error, below -1 for librdkafka's own; None where there is none."""
    native = error.args[0] if error.args and hasattr(error.args[0], "code") else None
    return native.code() if native is not None else getattr(error, "errno", None)


@contextmanager
def within_limits(connection: Connection, what: str, milliseconds: int) -> Iterator[None]:
    """Within, a client asks for a time-out. Raises NotPossible, with the setting, where somebody's brokers do not take
    it; of the suite's own, which all take it, the error is passed through."""
    try:
        yield
    except Exception as error:
        if not connection.prefix or isinstance(error, OSError):  # the system's numbers are others
            raise
        why = LIMITS.get(code_of(error))
        # For a producer id kafka-python 3.0.12 raises an error of no code, with the broker's in its words.
        why = why or next((limit for code, limit in LIMITS.items() if f"[Error {code}]" in str(error)), None)
        if why is None:
            raise
        raise NotPossible(f"the cluster takes no {what} of {milliseconds / 1000:g} s: {why}") from error


def outcome_of(code: int | None, *, single_attempt: bool, same_batch: bool = True) -> int:
    """REJECTED or UNKNOWN (of integrity.history.columns) for the error that a send's future or callback ended with.

    code: the protocol's error code; None or negative for a client's own error. single_attempt: the publisher never
    retries (``retries=0``). same_batch: every attempt at a message sends it in the same batch.
    """
    refusal = REFUSALS.get(code) if code is not None else None
    if refusal is None:
        return UNKNOWN
    holds = single_attempt or refusal.holds == ALWAYS or (refusal.holds == SAME_BATCH and same_batch)
    return REJECTED if holds else UNKNOWN
