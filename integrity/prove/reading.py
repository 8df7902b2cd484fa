"""Sabotages on the way from broker to reader: what is shown, and to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kafka.protocol.api_message import ApiMessage

from integrity.faults.network import Batch, Exchange, Records
from integrity.prove.saboteur import Wire

#: The first offset that is tampered with: one that every scenario of the table has, with records on both sides.
PLACE = 1_000

#: How many records a reader is made to skip.
SKIPPED = 100

OFFSET_OUT_OF_RANGE = 1

#: Whether a batch was changed.
Tamper = Callable[[Batch], bool]


def _parts(answer: ApiMessage) -> Iterator[Any]:
    """The partitions of a Fetch answer that have records."""
    for topic in answer.responses:
        for part in topic.partitions:
            if part.records:
                yield part


class _Victim:
    """One reader: the first that is sent records, told by its connection."""

    def __init__(self) -> None:
        self._connection: int | None = None

    def is_it(self, answer: ApiMessage, exchange: Exchange) -> bool:
        if self._connection is None and any(True for _ in _parts(answer)):
            self._connection = exchange.connection
        return exchange.connection == self._connection


class _Latecomers(_Victim):
    """All readers but the first."""

    def is_it(self, answer: ApiMessage, exchange: Exchange) -> bool:
        return not super().is_it(answer, exchange)


def _tamper(wire: Wire, with_batch: Tamper, victim: _Victim | None = None) -> None:
    """Do something to the batches of messages in all Fetch answers, or in those to some readers."""

    def change(answer: ApiMessage, exchange: Exchange) -> None:
        if victim is not None and not victim.is_it(answer, exchange):
            return
        for part in _parts(answer):
            records = Records.parse(part.records)
            changed = [with_batch(batch) for batch in records.batches if not batch.control]
            if any(changed):
                part.records = records.encode()
                wire.strike()

    wire.proxy.rewrite_answer("Fetch", change)


def _without(first: int, count: int = 1) -> Tamper:
    """Take these records out of a batch, as compaction would."""

    def tamper(batch: Batch) -> bool:
        if batch.last_offset < first or batch.base_offset >= first + count:
            return False
        batch.entries = [entry for entry in batch.entries if not first <= entry.offset < first + count]
        return True

    return tamper


def hide_from_all(wire: Wire) -> None:
    """Show one record of each partition to nobody."""
    _tamper(wire, _without(PLACE))


def hide_from_one(wire: Wire) -> None:
    """Show one record of each partition to every reader but one."""
    _tamper(wire, _without(PLACE), _Victim())


def show_the_head_once(wire: Wire) -> None:
    """Show the first records of each partition to one reader and then to nobody."""
    _tamper(wire, _without(0, SKIPPED), _Latecomers())


def skip(wire: Wire) -> None:
    """Let one reader go on some way further up than where it was."""
    _tamper(wire, _without(PLACE, SKIPPED), _Victim())


def show_another(wire: Wire) -> None:
    """Show one reader two neighbouring records in each other's places."""

    def tamper(batch: Batch) -> bool:
        if not batch.base_offset <= PLACE < batch.last_offset:
            return False
        entries = batch.entries
        one = next(n for n, entry in enumerate(entries) if entry.offset == PLACE)
        here, there = entries[one], entries[one + 1]
        here.offset, there.offset = there.offset, here.offset
        entries[one], entries[one + 1] = there, here
        return True

    _tamper(wire, tamper, _Victim())


def go_back(wire: Wire) -> None:
    """Cut the first batch that one reader is sent short, then tell it that there is nothing where it goes on.

    It then begins again where the partition does.
    """
    victim = _Victim()

    def change(answer: ApiMessage, exchange: Exchange) -> None:
        if not victim.is_it(answer, exchange) or wire.struck > 1:
            return
        for topic in answer.responses:
            for part in topic.partitions:
                if wire.struck == 0 and part.records:
                    part.records = _first_half(part.records)
                    wire.strike()
                elif wire.struck == 1:
                    part.records, part.error_code = b"", OFFSET_OUT_OF_RANGE
                    wire.strike()

    wire.proxy.rewrite_answer("Fetch", change)


def _first_half(field: bytes) -> bytes:
    batch = Records.parse(field).batches[0]
    kept = batch.entries[: (len(batch.entries) + 1) // 2]
    batch.entries, batch.last_offset = kept, kept[-1].offset
    return batch.encode()


# -- transactions ---------------------------------------------------------------------------------------
def halve_transactions(wire: Wire) -> None:
    """Show everybody the first half only of each batch of a transaction."""

    def tamper(batch: Batch) -> bool:
        if batch.transactional:
            batch.entries = batch.entries[: len(batch.entries) // 2]
        return batch.transactional

    _tamper(wire, tamper)


def serve_aborted(wire: Wire) -> None:
    """Keep from readers which transactions were aborted; they would leave those out."""

    def change(answer: ApiMessage, exchange: Exchange) -> None:
        for part in _parts(answer):
            if part.aborted_transactions:
                part.aborted_transactions = []
                wire.strike()

    wire.proxy.rewrite_answer("Fetch", change)


def serve_uncommitted(wire: Wire) -> None:
    """Serve a reader of committed messages as if it had asked for all of them."""

    def change(request: ApiMessage, exchange: Exchange) -> None:
        if request.isolation_level:
            request.isolation_level = 0
            wire.strike()

    wire.proxy.rewrite_request("Fetch", change)
