-- Where somebody may have passed over a record: the rows of every reader that was moved in the partition after it had begun
-- there, in legs: what lies between two moves (seeks, and rebalances that gave or took the partition). Within a leg it was
-- to pass over nothing, whatever it was handed in others.
-- Needs: uneven
WITH cut AS (
    SELECT DISTINCT n.reader, n.topic, n.partition
    FROM spans n
    JOIN (SELECT DISTINCT u.topic, u.partition FROM uneven u) v ON v.topic = n.topic AND v.partition = n.partition
    JOIN assignments a ON a.reader = n.reader AND a.topic = n.topic AND a.partition = n.partition
        AND a.position > n.first_position AND a.position <= n.last_position
)
SELECT w.reader, w.topic, w.partition, w.offset, w.committed_only, w.read_at, w.leg
FROM (
    SELECT e.*, CAST(sum(e.is_move) OVER (PARTITION BY e.reader, e.topic, e.partition ORDER BY e.position, e.is_move DESC
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS leg
    FROM (
        SELECT r.reader, r.topic, r.partition, r.offset, r.position, r.committed_only, r.read_at, 0 AS is_move
        FROM reads r
        JOIN cut c ON c.reader = r.reader AND c.topic = r.topic AND c.partition = r.partition
        UNION ALL
        SELECT a.reader, a.topic, a.partition, NULL, a.position, NULL, NULL, 1
        FROM assignments a
        JOIN cut c ON c.reader = a.reader AND c.topic = a.topic AND c.partition = a.partition
    ) e
) w
WHERE w.is_move = 0
