-- vanished: a record was read, and a later reading of the whole partition was not handed it: the head of the log is gone,
-- or its tail, or all of it.
-- Jepsen: none of its own (lost-write there counts what nobody read; a head or tail that was read once is poll-skip)
-- Legal when: retention, compaction or DeleteRecords may remove it (table excused); acks below all, or an unclean leader
-- election, and a leader is lost.
-- Judged by every reading with a known beginning that went to the partition's end (table ends). Not here: a record below
-- and above which that reading was handed others is poll_skip's; what committed readers did not see of a transaction that
-- others saw is torn_transaction's or lost.
-- Needs: gone
-- Counts: {count} {record|records} read once and gone later
-- Says: {who} was read at offset {offset} of {topic}-{partition} by reader {reader}, and is gone: reader {final_reader} went from offset {from_offset} to the end at {end_offset} and was handed {handed}
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.reader, w.final_reader, w.from_offset, w.end_offset,
       coalesce(w.asked_at, w.read_at) AS at,
       CASE WHEN w.lo IS NULL THEN 'nothing' ELSE concat('only offsets ', w.lo, ' to ', w.hi) END AS handed,
       CASE WHEN w.sequence IS NULL THEN 'a record without identity'
            ELSE concat('message ', w.sequence, ' of publisher ', w.publisher) END AS who
FROM (
    SELECT g.*,
           row_number() OVER (PARTITION BY g.topic, g.partition, g.offset, g.publisher, g.sequence
                              ORDER BY g.final_reader, g.end_offset, g.reader, g.read_at) AS nth
    FROM gone g
    LEFT JOIN sends s ON s.publisher = g.publisher AND s.sequence = g.sequence
    WHERE (NOT g.final_committed_only OR g.committed_only OR (s.sequence IS NOT NULL AND s.transaction IS NULL))
      AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = g.topic AND x.partition = g.partition
                      AND x.first_offset = g.offset AND x.last_offset = x.first_offset)
      AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = g.topic AND x.partition = g.partition
                      AND x.first_offset < x.last_offset AND g.offset BETWEEN x.first_offset AND x.last_offset)
      AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = g.publisher
                      AND x.first_sequence = g.sequence AND x.last_sequence = x.first_sequence)
      AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = g.publisher
                      AND x.first_sequence < x.last_sequence AND g.sequence BETWEEN x.first_sequence AND x.last_sequence)
) w
WHERE w.nth = 1
ORDER BY w.topic, w.partition, w.offset, w.publisher NULLS LAST, w.sequence NULLS LAST
