-- Records that a reader was handed below or above all that another one was handed on its way through the partition, which
-- therefore were not there then. What lies between is passed over (see passed). Behind the end that was asked for only
-- what was read before that can be missed.
-- Needs: readings, spans
SELECT f.reader AS final_reader, f.committed_only AS final_committed_only, f.from_offset, f.end_offset, f.asked_at, f.lo,
       f.hi, r.topic, r.partition, r.offset, r.publisher, r.sequence, r.reader, r.committed_only, r.read_at
FROM readings f
JOIN spans n ON n.topic = f.topic AND n.partition = f.partition AND n.reader <> f.reader
    AND (f.lo IS NULL OR n.lo < f.lo OR n.hi > f.hi)
JOIN reads r ON r.reader = n.reader AND r.topic = n.topic AND r.partition = n.partition
    AND r.offset >= f.from_offset AND (f.lo IS NULL OR r.offset < f.lo OR r.offset > f.hi)
    AND (r.offset < f.end_offset OR coalesce(r.read_at < f.asked_at, false))
