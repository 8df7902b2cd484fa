-- The lowest and highest offset that each reader saw in each leg of its way through a partition; leg: null for a reader
-- whose way there has one only.
SELECT l.reader, l.topic, l.partition, l.leg, min(l.offset) AS lo, max(l.offset) AS hi,
       bool_or(l.committed_only) AS committed_only
FROM legs l
GROUP BY l.reader, l.topic, l.partition, l.leg
UNION ALL
SELECT n.reader, n.topic, n.partition, NULL, n.lo, n.hi, n.committed_only
FROM spans n
WHERE NOT EXISTS (SELECT 1 FROM legs l WHERE l.reader = n.reader AND l.topic = n.topic AND l.partition = n.partition)
