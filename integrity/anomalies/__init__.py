"""Finds every anomaly in a history: one ``.sql`` file each, run by DuckDB over the tables and nothing else.

The model
    Publishers send messages to the partitions of topics. A message's identity is (publisher, sequence), sequence rising
    in the order of the publisher's send calls, and it travels with the message. A send ends as *acknowledged* (at an
    offset), *rejected* (surely not appended) or *unknown* (may be there or not). Sends may belong to a transaction,
    which is *committed*, *aborted* or *unknown* (its messages may be there or not, unless a committed reader saw one of
    them: then all of them must be); a transaction without a row is unknown. A partition is a log: an offset, once given
    to a message, is that message's for ever. Offsets need not be contiguous: transactions leave markers, compaction
    leaves gaps.

The operations (tables, see :mod:`integrity.history.schema`)
    ``sends``, ``reads`` (one row for each record handed to a reader, in the order of ``position``), ``transactions``,
    ``events`` (the faults); and, where a scenario has them: ``ends`` (how far whole readings got), ``excused`` (what
    may have been removed), ``assignments`` (seeks and rebalances), ``commits`` and ``processed`` (consumer groups),
    ``on_disk`` (what the brokers' files hold).

The analyses
    1.  ``lost``: acknowledged (and committed), read by nobody although the final read went to the end.
    2.  ``duplicated``: one message at several offsets or partitions.
    3.  ``reordered``: a publisher's later message at a lower offset of the same partition.
    4.  ``corrupted``: a record's content is not what was sent.
    5.  ``phantom``: a record nobody sent.
    6.  ``inconsistent_offset``: one offset with two messages, whoever read it and whenever.
    7.  ``wrong_offset``: acknowledged at (or sent to) one place, read at another and only there.
    8.  ``poll_skip``: a reader jumps over a record that somebody saw, with no seek or rebalance.
    9.  ``nonmonotonic_poll``: a reader goes back (or is handed the same offset again), with no seek or rebalance.
    10. ``aborted_read`` (G1a): a committed reader sees a message of an aborted transaction; anybody a rejected one.
    11. ``torn_transaction``: of a committed transaction a part was seen and another was not.
    12. ``precommitted_read``: a committed reader sees a message before its transaction's commit was asked for.
    13. ``commit_ahead``: a group's committed offset passes what it has processed.
    14. ``vanished``: read once, and not there for a later reading of the whole partition.

One fault, one name
    Where two analyses could see the same thing, one of them yields, so that a single fault has a single name as far as
    logic allows. Two messages at one offset: ``inconsistent_offset``, and their sightings there count neither as
    ``duplicated`` nor as ``reordered`` nor as ``wrong_offset``. Two contents of one message at one offset:
    ``corrupted``. A copy of a message further up: ``duplicated``, never ``reordered``. Missing from a committed
    transaction of which something was seen: ``torn_transaction``, not ``lost``; all of it missing: ``lost``. Passed
    over by every reader: ``lost``, not ``poll_skip``. Never sent: ``phantom``, however often and wherever it stands.
    Passed over, then seen by the same reader: ``nonmonotonic_poll`` only. Read, and not handed to a later reading of
    the whole partition: ``vanished`` at the log's ends, ``poll_skip`` between records that are still there.

Never vacuous
    A history in which nothing was acknowledged or nothing was read is not intact. Neither is one with a partition that
    holds acknowledged messages and was not read to its end (table ``ends``): it is reported as unread.

Each file's leading comment says what the anomaly means, when it is legal and what Jepsen (``jepsen.tests.kafka``) calls
it; its lines ``Counts:`` and ``Says:`` are the templates of the words, and ``Needs:`` names tables without whose rows
there is nothing to find. A new ``.sql`` file in this folder is a new check.
The files in ``shared/`` are run first, in the order of their numbers; each becomes a table that the checks read.
"""

from integrity.anomalies.catalogue import CHECKS, Check
from integrity.anomalies.engine import HistoryUnreadable, check
from integrity.anomalies.verdict import Finding, Unread, Verdict

__all__ = ["CHECKS", "Check", "Finding", "HistoryUnreadable", "Unread", "Verdict", "check"]
