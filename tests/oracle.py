"""What every anomaly means, in plain Python over plain rows: slow, short, and written without a look at the SQL.

Small histories only; everything is asked of every row again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any

Row = dict[str, Any]
Place = tuple[str, int, int]
Identity = tuple[int, int]


def place(row: Row) -> Place:
    """Topic, partition and offset."""
    return row["topic"], row["partition"], row["offset"]


def identity(row: Row) -> Identity | None:
    """Publisher and sequence; None for a record that carries none."""
    return None if row["publisher"] is None else (row["publisher"], row["sequence"])


class Oracle:
    """Counts the anomalies of one history, given as rows by table name."""

    def __init__(self, rows: dict[str, list[Row]]) -> None:
        self.tables = rows
        self.sends = {identity(send): send for send in self.rows("sends")}
        self.reads = sorted(self.rows("reads"), key=lambda read: (read["reader"], read["position"]))
        self.transactions = {(row["publisher"], row["transaction"]): row for row in self.rows("transactions")}
        messages_at: dict[Place, set[object]] = {}
        for read in self.reads:
            messages_at.setdefault(place(read), set()).add(identity(read) or ("anonymous", read["digest"]))
        self.clashes = {where for where, messages in messages_at.items() if len(messages) > 1}

    def rows(self, table: str) -> list[Row]:
        return self.tables.get(table, [])

    def counts(self) -> dict[str, int]:
        """How often each anomaly occurs; those that do not are left out."""
        analyses = (
            self.lost,
            self.duplicated,
            self.reordered,
            self.corrupted,
            self.phantom,
            self.inconsistent_offset,
            self.wrong_offset,
            self.poll_skip,
            self.nonmonotonic_poll,
            self.aborted_read,
            self.torn_transaction,
            self.precommitted_read,
            self.commit_ahead,
            self.vanished,
        )
        counts = {analysis.__name__: sum(1 for _ in analysis()) for analysis in analyses}
        return {name: count for name, count in counts.items() if count}

    # What the final read tells ------------------------------------------------------------------------------------

    def went_past(self, send: Row) -> Iterator[Row]:
        """The readings that were to bring the send's message, were it there."""
        for end in self.rows("ends"):
            if not end["complete"] or (end["topic"], end["partition"]) != (send["topic"], send["partition"]):
                continue
            offset, begin, asked, settled = send["offset"], end["from_offset"], end["asked_at"], send["settled_at"]
            began_in_time = not begin or (offset is not None and begin <= offset)
            asked_in_time = asked is None or settled is None or asked >= settled
            if began_in_time and (asked_in_time or (offset is not None and offset < end["end_offset"])):
                yield end

    def judged(self, send: Row) -> bool:
        if "ends" not in self.tables:
            return bool(self.reads)
        return any(self.went_past(send))

    def watched(self, send: Row) -> bool:
        """A committed reader read the partition past the send's message."""
        if "ends" not in self.tables:
            where = (send["topic"], send["partition"])
            return any(read["committed_only"] and (read["topic"], read["partition"]) == where for read in self.reads)
        return any(end["committed_only"] for end in self.went_past(send))

    def unread(self) -> dict[tuple[str, int], int]:
        """Of which partitions, and of how many acknowledged messages, nothing can be said."""
        found: dict[tuple[str, int], int] = {}
        for send in self.sends.values():
            where = (send["topic"], send["partition"])
            told = self.judged(send) and not self.unfinished(*where)
            if "ends" in self.tables and send["outcome"] == "acknowledged" and not told:
                found[where] = found.get(where, 0) + 1
        return found

    def unfinished(self, topic: str, partition: int) -> bool:
        """The last reading from the beginning, of those that say when they were, did not get to the end."""
        asked: dict[bool, list[datetime]] = {True: [], False: []}
        for end in self.rows("ends"):
            if (end["topic"], end["partition"]) == (topic, partition) and not end["from_offset"] and end["asked_at"]:
                asked[end["complete"]].append(end["asked_at"])
        return bool(asked[True] and asked[False]) and max(asked[False]) > max(asked[True])

    def ended(self, send: Row) -> str:
        """How the send's transaction ended, as its publisher was told or as a reader shows; 'none' outside one."""
        if send["transaction"] is None:
            return "none"
        row = self.transactions.get((send["publisher"], send["transaction"]))
        if row and row["outcome"] != "unknown":
            return row["outcome"]
        for read in self.reads:
            other = self.sends.get(identity(read))
            shown = other and read["committed_only"] and other["outcome"] != "rejected"
            if shown and (other["publisher"], other["transaction"]) == (send["publisher"], send["transaction"]):
                return "committed"
        return "unknown"

    def excused(self, where: Place, who: Identity | None) -> bool:
        topic, partition, offset = where
        for excuse in self.rows("excused"):
            if excuse["topic"] is not None:
                here = (excuse["topic"], excuse["partition"]) == (topic, partition) and offset is not None
                if here and excuse["first_offset"] <= offset <= excuse["last_offset"]:
                    return True
            elif (
                who and excuse["publisher"] == who[0] and excuse["first_sequence"] <= who[1] <= excuse["last_sequence"]
            ):
                return True
        return False

    def seen(self, send: Row) -> bool:
        """Seen by those who had to see it."""
        committed_only = send["transaction"] is not None and self.watched(send)
        return any(
            identity(read) == identity(send) and (read["committed_only"] or not committed_only) for read in self.reads
        )

    def missing(self) -> Iterator[Row]:
        for send in self.sends.values():
            must_be_there = send["outcome"] == "acknowledged" and self.ended(send) in ("none", "committed")
            if must_be_there and not self.seen(send) and not self.excused(place(send), identity(send)):
                yield send

    # Messages -----------------------------------------------------------------------------------------------------

    def lost(self) -> Iterator[Row]:
        torn = set(self.torn_transaction())
        for send in self.missing():
            in_torn = (send["publisher"], send["transaction"]) in torn
            if self.judged(send) and not in_torn:
                yield send

    def torn_transaction(self) -> Iterator[tuple[int, int]]:
        incomplete = {
            (send["publisher"], send["transaction"])
            for send in self.missing()
            if send["transaction"] is not None and self.judged(send)
        }
        for publisher, transaction in incomplete:
            sends = [s for s in self.sends.values() if (s["publisher"], s["transaction"]) == (publisher, transaction)]
            if any(self.seen(send) for send in sends):
                yield publisher, transaction

    def duplicated(self) -> Iterator[Identity]:
        for who in self.sends:
            places = {place(read) for read in self.reads if identity(read) == who}
            if len(places - self.clashes) > 1:
                yield who

    def reordered(self) -> Iterator[Identity]:
        lowest: dict[tuple[int, str, int, int], int] = {}
        for read in self.reads:
            if identity(read) in self.sends and place(read) not in self.clashes:
                key = (read["publisher"], read["topic"], read["partition"], read["sequence"])
                lowest[key] = min(read["offset"], lowest.get(key, read["offset"]))
        for _, stream in groupby(sorted(lowest), key=lambda key: key[:3]):
            for earlier, later in pairwise(stream):
                if lowest[later] < lowest[earlier]:
                    yield later[0], later[3]

    def corrupted(self) -> set[object]:
        return {
            (place(read), identity(read))
            for read in self.reads
            if identity(read) in self.sends and read["digest"] != self.sends[identity(read)]["digest"]
        }

    def phantom(self) -> set[object]:
        return {(place(read), identity(read)) for read in self.reads if identity(read) not in self.sends}

    def inconsistent_offset(self) -> set[Place]:
        return self.clashes

    def wrong_offset(self) -> Iterator[Identity]:
        for who, send in self.sends.items():
            if send["outcome"] == "rejected":
                continue
            places = {place(read) for read in self.reads if identity(read) == who}
            wanted = send["topic"], send["partition"], send["offset"]
            right = [
                where for where in places if all(one in (None, other) for one, other in zip(wanted, where, strict=True))
            ]
            if not right and places - self.clashes:
                yield who

    def aborted_read(self) -> set[Identity]:
        found = set()
        for read in self.reads:
            send = self.sends.get(identity(read))
            if send and (send["outcome"] == "rejected" or (read["committed_only"] and self.ended(send) == "aborted")):
                found.add(identity(read))
        return found

    def ending_at(self, send: Row) -> datetime:
        """No end of the send's transaction was asked for before this."""
        row = self.transactions[send["publisher"], send["transaction"]]
        if row["ending_at"] is not None:
            return row["ending_at"]
        times = []
        for other in self.sends.values():
            if (other["publisher"], other["transaction"]) == (send["publisher"], send["transaction"]):
                times.append(other["sent_at"])
                if other["outcome"] == "acknowledged":
                    times.append(other["settled_at"])
        return max(times)

    def precommitted_read(self) -> set[Identity]:
        found = set()
        for read in self.reads:
            send = self.sends.get(identity(read))
            if not send or not read["committed_only"] or send["outcome"] == "rejected":
                continue
            ended = (send["publisher"], send["transaction"]) in self.transactions
            if ended and self.ended(send) != "aborted" and read["read_at"] < self.ending_at(send):
                found.add(identity(read))
        return found

    # Readers ------------------------------------------------------------------------------------------------------

    def vanished(self) -> set[object]:
        found = set()
        for end in self.rows("ends"):
            if not end["complete"] or end["from_offset"] is None:
                continue
            there = [r for r in self.reads if (r["topic"], r["partition"]) == (end["topic"], end["partition"])]
            handed = [read["offset"] for read in there if read["reader"] == end["reader"]]
            for read in there:
                offset, send = read["offset"], self.sends.get(identity(read))
                outside = not handed or not min(handed) <= offset <= max(handed)
                early = end["asked_at"] is not None and read["read_at"] < end["asked_at"]
                may_see = not end["committed_only"] or read["committed_only"]
                may_see = may_see or (send is not None and send["transaction"] is None)
                missed = outside and end["from_offset"] <= offset and (offset < end["end_offset"] or early) and may_see
                hidden = send is None or any(send is other and self.judged(other) for other in self.missing())
                missed = missed and not hidden and not self.excused(place(read), identity(read))
                if missed and read["reader"] != end["reader"]:
                    found.add((place(read), identity(read)))
        return found

    def streams(self) -> Iterator[tuple[int, str, int, list[Row]]]:
        """Each reader's rows of each partition, in the order it saw them."""
        keys = sorted({(read["reader"], read["topic"], read["partition"]) for read in self.reads})
        for key in keys:
            yield *key, [read for read in self.reads if (read["reader"], read["topic"], read["partition"]) == key]

    def moved(self, reader: int, topic: str, partition: int, one: int, other: int) -> bool:
        """The reader sought in the partition, was assigned it or lost it, between the two positions."""
        return any(
            (move["reader"], move["topic"], move["partition"]) == (reader, topic, partition)
            and min(one, other) < move["position"] <= max(one, other)
            for move in self.rows("assignments")
        )

    def nonmonotonic_poll(self) -> Iterator[Row]:
        for reader, topic, partition, stream in self.streams():
            for before, after in pairwise(stream):
                back = after["offset"] <= before["offset"]
                if back and not self.moved(reader, topic, partition, before["position"], after["position"]):
                    yield after

    def may_see(self, committed_only: bool, record: Row) -> bool:
        if not committed_only or record["committed_only"]:
            return True
        send = self.sends.get(identity(record))
        return send is not None and self.ended(send) in ("none", "committed")

    def legs(self, stream: list[Row]) -> Iterator[list[Row]]:
        """A reader's rows of a partition between one move and the next."""
        leg = stream[:1]
        for before, after in pairwise(stream):
            where = (after["reader"], after["topic"], after["partition"])
            if self.moved(*where, before["position"], after["position"]):
                yield leg
                leg = []
            leg.append(after)
        yield leg

    def poll_skip(self) -> Iterator[tuple[int, Place]]:
        streams = [(*where, leg) for *where, stream in self.streams() for leg in self.legs(stream)]
        for reader, topic, partition, leg in streams:
            handed = {read["offset"] for read in leg}
            known = {
                (place(record), identity(record))
                for record in self.reads
                if self.may_see(leg[0]["committed_only"], record)
            }
            known |= {
                (place(send), identity(send))
                for send in self.missing()
                if not self.judged(send) and send["offset"] is not None
            }
            here = {
                where
                for where, who in known
                if where[:2] == (topic, partition) and where[2] not in handed and not self.excused(where, who)
            }
            for where in here:
                if min(handed) < where[2] < max(handed):
                    yield reader, where

    # Groups -------------------------------------------------------------------------------------------------------

    def commit_ahead(self) -> Iterator[tuple[str, Place]]:
        committed_in = {(row["group_id"], row["topic"], row["partition"]) for row in self.rows("commits")}
        for group, topic, partition in committed_in:

            def ours(table: str, group: str = group, topic: str = topic, partition: int = partition) -> list[Row]:
                wanted = (group, topic, partition)
                return [r for r in self.rows(table) if (r["group_id"], r["topic"], r["partition"]) == wanted]

            members = {
                row["reader"]
                for table in ("commits", "processed", "assignments")
                for row in self.rows(table)
                if row["group_id"] == group and row["reader"] is not None
            }
            there = [read for read in self.reads if (read["topic"], read["partition"]) == (topic, partition)]
            handed = [read for read in there if read["reader"] in members]
            if "processed" in self.tables:
                done = [(row["offset"], row["processed_at"]) for row in ours("processed")]
            else:
                done = [(read["offset"], read["read_at"]) for read in handed]
            starts = [read["offset"] for read in handed] + [offset for offset, _ in done]
            starts += [
                move["offset"]
                for move in ours("assignments")
                if move["what"] == "assigned" and move["offset"] is not None and move["offset"] >= 0
            ]
            sought = any(
                move["what"] == "seek"
                and move["reader"] in members
                and (move["topic"], move["partition"]) == (topic, partition)
                for move in self.rows("assignments")
            )
            known = list(handed)
            if starts and not sought:
                sees_all = bool(handed) and not any(read["committed_only"] for read in handed)
                known += [r for r in there if r["offset"] >= min(starts) and (r["committed_only"] or sees_all)]
            for offset in {r["offset"] for r in known if not self.excused(place(r), identity(r))}:
                passed = [row["committed_at"] for row in ours("commits") if row["offset"] > offset]
                in_time = passed and any(at == offset and when <= min(passed) for at, when in done)
                if passed and not in_time:
                    yield group, (topic, partition, offset)
