-- The rows of every reader that was moved in a partition after it had begun there, in legs: what lies between two moves
-- (seeks, and rebalances that gave or took the partition). Within a leg it was to pass over nothing, whatever it was handed
-- in others.
WITH cut AS (
    SELECT DISTINCT n.reader, n.topic, n.partition
    FROM spans n
    JOIN assignments a ON a.reader = n.reader AND a.topic = n.topic AND a.partition = n.partition
        AND a.position > n.first_position AND a.position <= n.last_position
)
SELECT e.reader, e.topic, e.partition, e.offset, e.position, e.committed_only, e.read_at, e.leg
FROM (
    SELECT w.*, sum(w.moves) OVER (PARTITION BY w.reader, w.topic, w.partition ORDER BY w.position, w.moves DESC
                                   ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS leg
    FROM (
        SELECT r.reader, r.topic, r.partition, r.offset, r.position, r.committed_only, r.read_at, 0 AS moves
        FROM reads r
        JOIN cut c ON c.reader = r.reader AND c.topic = r.topic AND c.partition = r.partition
        UNION ALL
        SELECT a.reader, a.topic, a.partition, NULL, a.position, NULL, NULL, 1
        FROM assignments a
        JOIN cut c ON c.reader = a.reader AND c.topic = a.topic AND c.partition = a.partition
    ) w
) e
WHERE e.moves = 0
