-- poll_skip: a reader passed over a record: it was handed a lower and a higher offset of the partition, and never this
-- one, although others saw it there (or it is known from its acknowledgement) and the reader may see it.
-- Jepsen: poll-skip, int-poll-skip
-- Legal when: between its nearest lower and its nearest higher offset the reader was told to seek in the partition, or
-- was assigned it or lost it (table assignments); the record may have been removed (table excused); the offset holds no
-- record at all (a transaction's marker, a compacted record), or one of an aborted or unfinished transaction.
-- Not here: an acknowledged message that nobody read although the final read went to the end is lost.
-- Needs: jumps
-- Counts: {count} {record|records} a reader passed over
-- Says: reader {reader} went from offset {below} to offset {above} of {topic}-{partition} and passed over offset {offset}, which holds {who}
SELECT c.topic, c.partition, c.offset, c.publisher, c.sequence, c.reader, c.below, c.above, b.read_at AS at,
       CASE WHEN c.sequence IS NULL THEN 'a record without identity'
            ELSE concat('message ', c.sequence, ' of publisher ', c.publisher) END AS who
FROM jumps c
JOIN (
    SELECT r.reader, r.topic, r.partition, r.offset, min(r.position) AS position FROM reads r
    JOIN (SELECT DISTINCT j.reader, j.topic, j.partition, j.below FROM jumps j) q
        ON q.reader = r.reader AND q.topic = r.topic AND q.partition = r.partition AND q.below = r.offset
    GROUP BY r.reader, r.topic, r.partition, r.offset
) a ON a.reader = c.reader AND a.topic = c.topic AND a.partition = c.partition AND a.offset = c.below
JOIN (
    SELECT r.reader, r.topic, r.partition, r.offset, min(r.position) AS position, min(r.read_at) AS read_at FROM reads r
    JOIN (SELECT DISTINCT j.reader, j.topic, j.partition, j.above FROM jumps j) q
        ON q.reader = r.reader AND q.topic = r.topic AND q.partition = r.partition AND q.above = r.offset
    GROUP BY r.reader, r.topic, r.partition, r.offset
) b ON b.reader = c.reader AND b.topic = c.topic AND b.partition = c.partition AND b.offset = c.above
WHERE NOT EXISTS (SELECT 1 FROM assignments m
                  WHERE m.reader = c.reader AND m.topic = c.topic AND m.partition = c.partition
                    AND m.position > least(a.position, b.position) AND m.position <= greatest(a.position, b.position))
ORDER BY c.reader, c.topic, c.partition, c.offset
