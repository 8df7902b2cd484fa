-- Committed transactions of which something is missing although something else of them was seen, by those who had to see
-- all of it.
SELECT s.publisher, s.transaction, count(DISTINCT s.sequence) AS seen
FROM (SELECT DISTINCT m.publisher, m.transaction FROM missing m WHERE m.judged AND m.transaction IS NOT NULL) x
JOIN sends s ON s.publisher = x.publisher AND s.transaction = x.transaction
JOIN reads r ON r.publisher = s.publisher AND r.sequence = s.sequence
LEFT JOIN partitions n ON n.topic = s.topic AND n.partition = s.partition
WHERE r.committed_only OR NOT coalesce(n.watched, false)
GROUP BY s.publisher, s.transaction
