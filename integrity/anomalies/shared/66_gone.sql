-- Records that a reader was handed below or above all that another one was handed on its way through the partition: not
-- there any more, or not shown to everybody. What lies between is passed over (see passed). Behind the end that was asked
-- for only what was read before that can be missed.
-- Needs: readings, spans
SELECT e.reader AS final_reader, e.committed_only AS final_committed_only, e.from_offset, e.end_offset, e.asked_at, e.lo,
       e.hi, r.topic, r.partition, r.offset, r.publisher, r.sequence, r.reader, r.committed_only, r.read_at
FROM readings e
JOIN spans n ON n.topic = e.topic AND n.partition = e.partition AND n.reader <> e.reader
    AND (e.lo IS NULL OR n.lo < e.lo OR n.hi > e.hi)
JOIN reads r ON r.reader = n.reader AND r.topic = n.topic AND r.partition = n.partition
    AND r.offset >= e.from_offset AND (e.lo IS NULL OR r.offset < e.lo OR r.offset > e.hi)
    AND (r.offset < e.end_offset OR coalesce(r.read_at < e.asked_at, false))
