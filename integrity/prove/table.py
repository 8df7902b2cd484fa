"""What is done to the broker, what must notice it, and what else may: the one place that says so.

Every anomaly of the contract must be the expected one of at least one sabotage (``uncovered``), and every check that is
expected must be there and be a query (``broken``), so that a check that was taken away or commented out is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from integrity.anomalies.catalogue import FOLDER
from integrity.prove import disk, publishing, reading
from integrity.prove.saboteur import Sabotage

#: Every anomaly that this suite promises to see, whether its file is there or not.
ANOMALIES = (
    "aborted_read",
    "commit_ahead",
    "corrupted",
    "duplicated",
    "inconsistent_offset",
    "lost",
    "nonmonotonic_poll",
    "phantom",
    "poll_skip",
    "precommitted_read",
    "reordered",
    "torn_transaction",
    "vanished",
    "wrong_offset",
)

#: Not an anomaly: nothing was acknowledged, nothing was read, or not to the end.
NO_EVIDENCE = "no evidence"

# Scenarios, by their names in the features.
ONE_PUBLISHER = "One publisher's messages keep their order in one partition"
TWO_READERS = "A reader that comes later gets the same messages from the beginning"
STOPPED = "Everything acknowledged is read back after the broker was stopped and started"
KILLED = "Everything acknowledged is read back after the broker was killed and started"
UNDER_LOAD = "Nothing is lost when the broker is killed in the middle of publishing"
ALL_ENDED = "Transactions of several publishers over several topics are seen whole or not at all"
BEHIND_OPEN = "The last stable offset passes no open transaction while others publish and commit behind it"
COMES_BACK = "A consumer group that comes back goes on where it had committed"
SETTINGS = "A topic keeps its settings, what was changed of them, and its added partitions when the broker is killed"

# Sentences that compare what the history does not hold.
SAME_MESSAGES = "a new reader gets the same messages from the beginning"
HANDED_ALL = "every group is handed every message"
NOT_TWICE = "no group is handed a message twice"
SETTINGS_KEPT = "the topic has 5 partitions and the settings as they were made and changed"

_ALSO_COMPARED = {SAME_MESSAGES: "the scenario compares the two readers by itself as well"}

SABOTAGES: tuple[Sabotage, ...] = (
    # -- what is stored -----------------------------------------------------------------------------
    Sabotage(
        "acknowledges without appending",
        "lost",
        (ONE_PUBLISHER,),
        "What was acknowledged is nowhere, so the final read does not find it.",
        wire=publishing.acknowledge_only,
    ),
    Sabotage(
        "loses the tail of its logs at a restart",
        "lost",
        (KILLED,),
        "The last batch of each partition was acknowledged and is gone.",
        disk=disk.lose_tail,
    ),
    Sabotage(
        "loses everything at a restart",
        "lost",
        (STOPPED,),
        "All that was acknowledged is gone.",
        {NO_EVIDENCE: "nothing is there that could be read"},
        disk=disk.lose_everything,
    ),
    Sabotage(
        "loses everything at a restart in the middle of publishing",
        "lost",
        (UNDER_LOAD,),
        "The work cannot go on, for the topic is gone, and all that was acknowledged with it.",
        {NO_EVIDENCE: "nothing is there that could be read"},
        disk=disk.lose_everything,
    ),
    Sabotage(
        "appends a batch twice",
        "duplicated",
        (ONE_PUBLISHER,),
        "Its messages stand at two offsets.",
        wire=publishing.append_twice,
    ),
    Sabotage(
        "swaps two batches",
        "reordered",
        (STOPPED,),
        "The later batch stands below the earlier one.",
        {"wrong_offset": "neither batch is where it was acknowledged"},
        disk=disk.swap_batches,
    ),
    Sabotage(
        "flips a bit of a value and makes the checksum right",
        "corrupted",
        ("Messages with null keys come back unchanged",),
        "The value that is read is not the one that was sent.",
        wire=publishing.change_value,
    ),
    Sabotage(
        "changes a key",
        "corrupted",
        ("Messages with binary keys come back unchanged",),
        "The key that is read is not the one that was sent.",
        wire=publishing.change_key,
    ),
    Sabotage(
        "changes a header",
        "corrupted",
        ("Messages with repeated headers come back unchanged",),
        "A header that is read is not the one that was sent.",
        wire=publishing.change_header,
    ),
    Sabotage(
        "changes a timestamp",
        "corrupted",
        ("Messages with given timestamps come back unchanged",),
        "The time that is read is not the one that was sent.",
        wire=publishing.change_timestamp,
    ),
    Sabotage(
        "acknowledges with a wrong offset",
        "wrong_offset",
        (ONE_PUBLISHER,),
        "Every message is read one offset below the acknowledged one.",
        wire=publishing.shift_acknowledgements,
    ),
    Sabotage(
        "injects a record nobody sent",
        "phantom",
        (ONE_PUBLISHER,),
        "A record is read that no publisher knows.",
        wire=publishing.inject,
    ),
    # -- what is shown ------------------------------------------------------------------------------
    Sabotage(
        "hides a record from one reader",
        "poll_skip",
        (TWO_READERS,),
        "The reader passes over a record that others see.",
        _ALSO_COMPARED,
        wire=reading.hide_from_one,
    ),
    Sabotage(
        "hides a record from all readers",
        "lost",
        (TWO_READERS,),
        "Nobody can read what was acknowledged, though it is on the disk.",
        wire=reading.hide_from_all,
    ),
    Sabotage(
        "shows two readers different records at one offset",
        "inconsistent_offset",
        (TWO_READERS,),
        "One offset has two messages.",
        _ALSO_COMPARED,
        wire=reading.show_another,
    ),
    Sabotage(
        "makes a reader skip",
        "poll_skip",
        (TWO_READERS,),
        "The reader goes on further up than where it was.",
        _ALSO_COMPARED,
        wire=reading.skip,
    ),
    Sabotage(
        "loses the head of its logs once it was read",
        "vanished",
        (TWO_READERS,),
        "What the first reader was handed at the beginning of each partition is gone for all others.",
        _ALSO_COMPARED,
        wire=reading.show_the_head_once,
    ),
    Sabotage(
        "makes a reader go back",
        "nonmonotonic_poll",
        (ONE_PUBLISHER,),
        "The reader is handed again what it was handed before, and nobody told it to seek.",
        wire=reading.go_back,
    ),
    # -- transactions -------------------------------------------------------------------------------
    Sabotage(
        "serves a committed reader aborted records",
        "aborted_read",
        (ALL_ENDED,),
        "The reader is not told which transactions were aborted, and sees their messages.",
        wire=reading.serve_aborted,
    ),
    Sabotage(
        "serves a committed reader uncommitted records",
        "precommitted_read",
        (BEHIND_OPEN,),
        "The reader is served as if it had asked for all records, those of an open transaction among them.",
        {"aborted_read": "those of aborted transactions are among them as well"},
        wire=reading.serve_uncommitted,
    ),
    Sabotage(
        "shows half a transaction",
        "torn_transaction",
        (ALL_ENDED,),
        "Of each committed transaction one half is seen by everybody and the other by nobody.",
        wire=reading.halve_transactions,
    ),
    # -- groups -------------------------------------------------------------------------------------
    Sabotage(
        "moves a group's committed offset ahead",
        "commit_ahead",
        (COMES_BACK,),
        "The committed offset passes records that no member has processed.",
        {HANDED_ALL: "what was passed is handed to no member when the group comes back"},
        wire=publishing.commit_ahead,
    ),
    Sabotage(
        "moves a group's committed offset back",
        NOT_TWICE,
        (COMES_BACK,),
        "The group is handed again what it had committed. No anomaly: a history judges readers one by one.",
        wire=publishing.commit_back,
    ),
    # -- settings -----------------------------------------------------------------------------------
    Sabotage(
        "forgets a topic's settings at a restart",
        SETTINGS_KEPT,
        (SETTINGS,),
        "The topic is there with its partitions, and has the broker's defaults.",
        disk=disk.forget_settings,
    ),
)


def uncovered(sabotages: Iterable[Sabotage] = SABOTAGES) -> list[str]:
    """The anomalies that no sabotage is expected to bring about."""
    expected = {sabotage.expected for sabotage in sabotages}
    return [name for name in ANOMALIES if name not in expected]


def broken(folder: Path = FOLDER) -> dict[str, str]:
    """The anomalies that cannot be found by anybody, and why: their file is not there, or is no query."""
    found = {}
    for name in ANOMALIES:
        file = folder / f"{name}.sql"
        if not file.is_file():
            found[name] = f"there is no file {file.name}"
            continue
        try:
            statements = duckdb.extract_statements(file.read_text(encoding="utf-8"))
        except duckdb.Error as error:
            found[name] = f"{file.name} is no query: {' '.join(str(error).split())}"
            continue
        if len(statements) != 1:
            found[name] = f"{file.name} holds {len(statements)} queries instead of one"
    return found
