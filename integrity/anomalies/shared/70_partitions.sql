-- Every partition that was sent to. judged: one reading went through all of it behind its last acknowledged message, so
-- what was not read is not there. unfinished: the last reading from its beginning did not get to its end, whatever earlier
-- ones were handed. watched: a committed reader went to its end. mixed: there were uncommitted readers as well, whose
-- sightings prove nothing about what committed readers can see.
SELECT p.topic, p.partition, p.told AND NOT p.unfinished AS judged, p.unfinished, p.watched,
       p.watched AND EXISTS (SELECT 1 FROM spans n WHERE NOT n.committed_only) AS mixed
FROM (
    SELECT w.topic, w.partition, w.unfinished,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends') THEN w.told
                ELSE EXISTS (SELECT 1 FROM spans) END AS told,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends') THEN w.watched
                ELSE EXISTS (SELECT 1 FROM spans c
                             WHERE c.topic = w.topic AND c.partition = w.partition AND c.committed_only) END AS watched
    FROM (
        SELECT s.topic, s.partition,
               bool_or(coalesce(e.committed_only, false)) AS watched,
               bool_or(e.reader IS NOT NULL
                       AND (s.lo IS NULL OR covers(e.from_offset, e.end_offset, e.asked_at, s.lo, s.settled_at))
                       AND (s.hi IS NULL OR covers(e.from_offset, e.end_offset, e.asked_at, s.hi, s.settled_at))
                       AND (NOT coalesce(s.placeless, false)
                            OR covers(e.from_offset, e.end_offset, e.asked_at, CAST(NULL AS BIGINT), s.settled_at))) AS told,
               coalesce(max(i.asked_at) > max(CASE WHEN coalesce(e.from_offset, 0) = 0 THEN e.asked_at END), false)
                   AS unfinished
        FROM (
            SELECT a.topic, a.partition, min(a.offset) AS lo, max(a.offset) AS hi,
                   max(CASE WHEN a.outcome = 'acknowledged' THEN a.settled_at END) AS settled_at,
                   bool_or(a.outcome = 'acknowledged' AND a.offset IS NULL) AS placeless
            FROM sends a GROUP BY a.topic, a.partition
        ) s
        LEFT JOIN readings e ON e.topic = s.topic AND e.partition = s.partition
        LEFT JOIN (
            SELECT o.topic, o.partition, max(o.asked_at) AS asked_at
            FROM ends o WHERE NOT o.complete AND coalesce(o.from_offset, 0) = 0 GROUP BY o.topic, o.partition
        ) i ON i.topic = s.topic AND i.partition = s.partition
        GROUP BY s.topic, s.partition
    ) w
) p
