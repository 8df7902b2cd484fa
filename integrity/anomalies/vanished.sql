-- vanished: a record was read, and another reading of the whole partition was not handed it: the head of the log is gone,
-- or its tail, or all of it, or is not shown to everybody.
-- Jepsen: none of its own (lost-write there counts what nobody read; a head or tail that was read once is poll-skip)
-- Legal when: retention, compaction or DeleteRecords may remove it (table excused); acks below all, or an unclean leader
-- election, and a leader is lost.
-- Judged by every reading with a known beginning that went to the partition's end (table ends). Not here: a record below
-- and above which that reading was handed others is poll_skip's; what nobody sent is a phantom; what committed readers did
-- not see of a transaction that others saw is torn_transaction's or lost.
-- Needs: gone
-- Counts: {count} {record|records} read once that a reading of the whole partition was not handed
-- Says: message {sequence} of publisher {publisher} was read at offset {offset} of {topic}-{partition} by reader {reader}, {whereabouts}: reader {final_reader} went from offset {from_offset} to the end at {end_offset} and was handed {handed}
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.reader, w.final_reader, w.from_offset, w.end_offset,
       coalesce(w.asked_at, w.read_at) AS at,
       CASE WHEN w.read_at < w.asked_at THEN 'and is gone' ELSE 'and not shown to another' END AS whereabouts,
       CASE WHEN w.lo IS NULL THEN 'nothing' ELSE concat('only offsets ', w.lo, ' to ', w.hi) END AS handed
FROM (
    SELECT g.*,
           row_number() OVER (PARTITION BY g.topic, g.partition, g.offset, g.publisher, g.sequence
                              ORDER BY g.final_reader, g.end_offset, g.from_offset, g.asked_at, g.reader, g.read_at) AS nth
    FROM gone g
    JOIN sends s ON s.publisher = g.publisher AND s.sequence = g.sequence
    LEFT JOIN missing m ON m.publisher = g.publisher AND m.sequence = g.sequence AND m.judged
    WHERE (NOT g.final_committed_only OR g.committed_only OR s.transaction IS NULL) AND m.publisher IS NULL
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
ORDER BY w.topic, w.partition, w.offset, w.publisher, w.sequence
