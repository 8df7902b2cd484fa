-- The lowest and highest offset that each reader saw in each leg of its way through such a partition; leg 0 where it was not
-- moved.
-- Needs: uneven
SELECT l.reader, l.topic, l.partition, l.leg, min(l.offset) AS lo, max(l.offset) AS hi,
       bool_or(l.committed_only) AS committed_only, true AS cut
FROM legs l
GROUP BY l.reader, l.topic, l.partition, l.leg
UNION ALL
SELECT n.reader, n.topic, n.partition, 0, n.lo, n.hi, n.committed_only, false
FROM spans n
JOIN (SELECT DISTINCT u.topic, u.partition FROM uneven u) v ON v.topic = n.topic AND v.partition = n.partition
WHERE NOT EXISTS (SELECT 1 FROM legs l WHERE l.reader = n.reader AND l.topic = n.topic AND l.partition = n.partition)
