-- inconsistent_offset: one offset showed two messages, whoever read it and whenever.
-- Jepsen: inconsistent-offsets
-- Legal when: unclean leader election, or a loss of unflushed data on every replica, has rewritten the log's end.
-- One offset is one finding; the two messages' sightings there are not counted as duplicated, reordered or wrong_offset
-- as well. Two contents of the same message are corrupted.
-- Needs: clashes
-- Counts: {count} {offset|offsets} with two messages
-- Says: offset {offset} of {topic}-{partition} showed {one} (reader {reader}) and {other} (reader {other_reader})
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.reader, w.at,
       CASE WHEN w.sequence IS NULL THEN 'a record without identity'
            ELSE concat('message ', w.sequence, ' of publisher ', w.publisher) END AS one,
       CASE WHEN w.other_sequence IS NULL THEN 'a record without identity'
            ELSE concat('message ', w.other_sequence, ' of publisher ', w.other_publisher) END AS other,
       w.other_reader
FROM (
    SELECT d.*,
           row_number() OVER (PARTITION BY d.topic, d.partition, d.offset
                              ORDER BY d.at, d.publisher NULLS LAST, d.sequence, d.digest) AS nth,
           lead(d.publisher) OVER (PARTITION BY d.topic, d.partition, d.offset
                                   ORDER BY d.at, d.publisher NULLS LAST, d.sequence, d.digest) AS other_publisher,
           lead(d.sequence) OVER (PARTITION BY d.topic, d.partition, d.offset
                                  ORDER BY d.at, d.publisher NULLS LAST, d.sequence, d.digest) AS other_sequence,
           lead(d.reader) OVER (PARTITION BY d.topic, d.partition, d.offset
                                ORDER BY d.at, d.publisher NULLS LAST, d.sequence, d.digest) AS other_reader
    FROM (
        SELECT r.topic, r.partition, r.offset, r.publisher, r.sequence,
               CASE WHEN r.sequence IS NULL THEN r.digest END AS digest, min(r.reader) AS reader, min(r.read_at) AS at
        FROM reads r
        JOIN clashes x ON x.topic = r.topic AND x.partition = r.partition AND x.offset = r.offset
        GROUP BY r.topic, r.partition, r.offset, r.publisher, r.sequence, CASE WHEN r.sequence IS NULL THEN r.digest END
    ) d
) w
WHERE w.nth = 1
ORDER BY w.topic, w.partition, w.offset
