-- Surely committed transactions of which something is missing although something else of them was seen, by those who had
-- to see all of it: by committed readers where one of them tells of the message (see readings).
SELECT w.publisher, w.transaction, count(DISTINCT w.sequence) AS seen
FROM (
    SELECT s.publisher, s.transaction, s.sequence, r.committed_only,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends')
                THEN bool_or(coalesce(e.committed_only, false)
                             AND covers(e.from_offset, e.end_offset, e.asked_at, s.offset, s.settled_at))
                ELSE bool_or(coalesce(n.watched, false)) END AS watched
    FROM (SELECT DISTINCT m.publisher, m.transaction FROM missing m WHERE m.judged AND m.transaction IS NOT NULL) x
    JOIN sends s ON s.publisher = x.publisher AND s.transaction = x.transaction
    JOIN reads r ON r.publisher = s.publisher AND r.sequence = s.sequence
    LEFT JOIN partitions n ON n.topic = s.topic AND n.partition = s.partition
    LEFT JOIN readings e ON e.topic = s.topic AND e.partition = s.partition
    GROUP BY s.publisher, s.transaction, s.sequence, r.committed_only
) w
WHERE w.committed_only OR NOT w.watched
GROUP BY w.publisher, w.transaction
