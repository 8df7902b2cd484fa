-- Where each group that has committed anything begins in a partition: at the lowest offset it was handed, assigned or had
-- processed. committed_only: whether those members that read it are committed readers; null where none did.
-- Needs: commits
WITH members AS (
    SELECT c.group_id, c.reader FROM commits c WHERE c.reader IS NOT NULL
    UNION SELECT p.group_id, p.reader FROM processed p WHERE p.reader IS NOT NULL
    UNION SELECT a.group_id, a.reader FROM assignments a WHERE a.group_id IS NOT NULL
)
SELECT g.group_id, g.topic, g.partition, min(f.offset) AS start, bool_or(f.committed_only) AS committed_only
FROM (SELECT DISTINCT c.group_id, c.topic, c.partition FROM commits c) g
JOIN (
    SELECT m.group_id, n.topic, n.partition, n.lo AS offset, n.committed_only
    FROM members m JOIN spans n ON n.reader = m.reader
    UNION ALL
    SELECT p.group_id, p.topic, p.partition, min(p.offset), NULL
    FROM processed p GROUP BY p.group_id, p.topic, p.partition
    UNION ALL
    SELECT a.group_id, a.topic, a.partition, a.offset, NULL FROM assignments a
    WHERE a.group_id IS NOT NULL AND a.what = 'assigned' AND a.offset >= 0
) f ON f.group_id = g.group_id AND f.topic = g.topic AND f.partition = g.partition
GROUP BY g.group_id, g.topic, g.partition
