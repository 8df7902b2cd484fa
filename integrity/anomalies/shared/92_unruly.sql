-- Publishers and partitions in which some message stands below one that was sent before it, every sighting taken as it is.
SELECT DISTINCT w.publisher, w.topic, w.partition
FROM (
    SELECT r.publisher, r.topic, r.partition, r.offset,
           lag(r.offset) OVER (PARTITION BY r.publisher, fingerprint(0, r.topic, r.partition, 0, 0)
                               ORDER BY r.sequence) AS earlier_offset
    FROM reads r
    WHERE r.sequence IS NOT NULL
) w
WHERE w.offset < w.earlier_offset
