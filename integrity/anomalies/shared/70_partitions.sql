-- Every partition that was sent to. judged: one reading went through all of it behind its last acknowledged message, so
-- what was not read is not there. watched: a committed reader went to its end. mixed: there were uncommitted readers as
-- well, whose sightings prove nothing about what committed readers can see.
SELECT p.topic, p.partition, p.acknowledged, p.judged, p.watched,
       p.watched AND EXISTS (SELECT 1 FROM spans n WHERE NOT n.committed_only) AS mixed
FROM (
    SELECT s.topic, s.partition, s.acknowledged,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends')
                THEN EXISTS (SELECT 1 FROM readings e
                             WHERE e.topic = s.topic AND e.partition = s.partition
                               AND coalesce(e.from_offset <= s.lo, true)
                               AND (coalesce(e.asked_at >= s.settled_at, true) OR coalesce(e.end_offset > s.hi, false)))
                ELSE EXISTS (SELECT 1 FROM spans) END AS judged,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends')
                THEN EXISTS (SELECT 1 FROM readings e
                             WHERE e.topic = s.topic AND e.partition = s.partition AND e.committed_only)
                ELSE EXISTS (SELECT 1 FROM spans c
                             WHERE c.topic = s.topic AND c.partition = s.partition AND c.committed_only) END AS watched
    FROM (
        SELECT a.topic, a.partition, count(CASE WHEN a.outcome = 'acknowledged' THEN 1 END) AS acknowledged,
               min(a.offset) AS lo, max(a.offset) AS hi,
               max(CASE WHEN a.outcome = 'acknowledged' THEN a.settled_at END) AS settled_at
        FROM sends a GROUP BY a.topic, a.partition
    ) s
) p
