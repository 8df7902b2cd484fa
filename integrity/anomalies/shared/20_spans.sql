-- The lowest and highest offset that each reader saw in each partition, and its first and last position there.
SELECT u.reader, u.topic, u.partition, min(u.lo) AS lo, max(u.hi) AS hi, bool_or(u.committed_only) AS committed_only,
       min(u.first_position) AS first_position, max(u.last_position) AS last_position
FROM runs u
GROUP BY u.reader, u.topic, u.partition
