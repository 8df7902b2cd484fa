-- Every reading that went through a partition to its end, with the lowest and highest offset that it was handed; null
-- where that was nothing. Of which messages it tells: see covers, a function.
SELECT e.reader, e.committed_only, e.topic, e.partition, e.from_offset, e.end_offset, e.asked_at, n.lo, n.hi
FROM ends e
LEFT JOIN spans n ON n.reader = e.reader AND n.topic = e.topic AND n.partition = e.partition
WHERE e.complete
