-- Each of the records that were passed over, with the nearest offsets below and above it that the reader was handed in the
-- same leg, and when it was handed the one above.
-- Needs: passed
WITH ways AS (
    SELECT DISTINCT k.reader, k.topic, k.partition, k.leg, k.cut FROM passed k
),
handed AS (
    SELECT r.reader, r.topic, r.partition, q.leg, r.offset, r.read_at
    FROM reads r
    JOIN ways q ON q.reader = r.reader AND q.topic = r.topic AND q.partition = r.partition AND NOT q.cut
    UNION ALL
    SELECT l.reader, l.topic, l.partition, l.leg, l.offset, l.read_at
    FROM legs l
    JOIN ways q ON q.reader = l.reader AND q.topic = l.topic AND q.partition = l.partition AND q.leg = l.leg AND q.cut
)
SELECT g.reader, g.topic, g.partition, g.offset, g.publisher, g.sequence, g.below, g.above, min(h.read_at) AS at
FROM (
    SELECT e.*,
           max(CASE WHEN e.handed THEN e.offset END) OVER (
               PARTITION BY e.reader, e.topic, e.partition, e.leg ORDER BY e.offset
               ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS below,
           -- From the highest offset down: Spark would take the square of the rows for UNBOUNDED FOLLOWING.
           min(CASE WHEN e.handed THEN e.offset END) OVER (
               PARTITION BY e.reader, e.topic, e.partition, e.leg ORDER BY e.offset DESC
               ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS above
    FROM (
        SELECT k.reader, k.topic, k.partition, k.leg, k.offset, min(k.publisher) AS publisher,
               min_by(k.sequence, k.publisher) AS sequence, false AS handed
        FROM passed k GROUP BY k.reader, k.topic, k.partition, k.leg, k.offset
        UNION ALL
        SELECT h.reader, h.topic, h.partition, h.leg, h.offset, NULL, NULL, true FROM handed h
    ) e
) g
JOIN handed h ON h.reader = g.reader AND h.topic = g.topic AND h.partition = g.partition AND h.leg = g.leg
    AND h.offset = g.above
WHERE NOT g.handed
GROUP BY g.reader, g.topic, g.partition, g.leg, g.offset, g.publisher, g.sequence, g.below, g.above
