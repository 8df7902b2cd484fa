-- The lowest and highest offset that each reader saw in each partition.
SELECT u.reader, u.topic, u.partition, min(u.lo) AS lo, max(u.hi) AS hi, bool_or(u.committed_only) AS committed_only
FROM runs u
GROUP BY u.reader, u.topic, u.partition
