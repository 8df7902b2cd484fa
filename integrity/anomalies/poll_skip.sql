-- poll_skip: a reader passed over a record: with no seek or rebalance in between it was handed a lower and a higher offset
-- of the partition and not this one, although somebody saw it there and the reader may see it.
-- Known is also what was acknowledged there, where no final read could tell that it is lost. That the reader was handed
-- the record before or after, when it had been told to go there, is no excuse.
-- Jepsen: poll-skip, int-poll-skip
-- Legal when: between its nearest lower and its nearest higher offset the reader was told to seek in the partition, or
-- was assigned it or lost it (table assignments); the record may have been removed (table excused); the offset holds no
-- record at all (a transaction's marker, a compacted record), or one of an aborted or unfinished transaction.
-- Not here: an acknowledged message that nobody read although the final read went to the end is lost.
-- Needs: jumps
-- Counts: {count} {record|records} a reader passed over
-- Says: reader {reader} went from offset {below} to offset {above} of {topic}-{partition} and passed over offset {offset}, which holds {who}
SELECT c.topic, c.partition, c.offset, c.publisher, c.sequence, c.reader, c.below, c.above, c.at,
       CASE WHEN c.sequence IS NULL THEN 'a record without identity'
            ELSE concat('message ', c.sequence, ' of publisher ', c.publisher) END AS who
FROM jumps c
ORDER BY c.reader, c.topic, c.partition, c.offset, c.at
