-- Each of the records that were passed over, with the nearest offsets below and above it that the reader was handed.
-- Needs: passed
SELECT g.reader, g.topic, g.partition, g.offset, g.publisher, g.sequence, g.below, g.above
FROM (
    SELECT e.*,
           max(CASE WHEN e.handed THEN e.offset END) OVER (
               PARTITION BY e.reader, e.topic, e.partition ORDER BY e.offset
               ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS below,
           -- From the highest offset down: Spark would take the square of the rows for UNBOUNDED FOLLOWING.
           min(CASE WHEN e.handed THEN e.offset END) OVER (
               PARTITION BY e.reader, e.topic, e.partition ORDER BY e.offset DESC
               ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS above
    FROM (
        SELECT k.reader, k.topic, k.partition, k.offset, min(k.publisher) AS publisher,
               min_by(k.sequence, k.publisher) AS sequence, false AS handed
        FROM passed k GROUP BY k.reader, k.topic, k.partition, k.offset
        UNION ALL
        SELECT r.reader, r.topic, r.partition, r.offset, NULL, NULL, true
        FROM reads r
        JOIN (SELECT DISTINCT k.reader, k.topic, k.partition FROM passed k) q
            ON q.reader = r.reader AND q.topic = r.topic AND q.partition = r.partition
    ) e
) g
WHERE NOT g.handed
