-- Every partition that was sent to. judged: the final read went to its end, so what was not read is not there.
-- watched: a committed reader did. mixed: there were uncommitted readers as well, whose sightings prove nothing
-- about what committed readers can see.
SELECT p.topic, p.partition, p.acknowledged, p.judged, p.watched,
       p.watched AND EXISTS (SELECT 1 FROM spans n WHERE NOT n.committed_only) AS mixed
FROM (
    SELECT s.topic, s.partition, s.acknowledged,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends')
                THEN EXISTS (SELECT 1 FROM ends e
                             WHERE e.topic = s.topic AND e.partition = s.partition AND e.complete)
                ELSE EXISTS (SELECT 1 FROM spans) END AS judged,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends')
                THEN EXISTS (SELECT 1 FROM ends e
                             WHERE e.topic = s.topic AND e.partition = s.partition AND e.complete AND e.committed_only)
                ELSE EXISTS (SELECT 1 FROM spans c WHERE c.topic = s.topic AND c.committed_only) END AS watched
    FROM (
        SELECT a.topic, a.partition, count(CASE WHEN a.outcome = 'acknowledged' THEN 1 END) AS acknowledged
        FROM sends a GROUP BY a.topic, a.partition
    ) s
) p
