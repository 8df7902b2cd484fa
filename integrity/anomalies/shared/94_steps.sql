-- A group's commits in a partition as steps: every record from lo to below hi was passed first at passed_at, which is the
-- earliest of the commits at hi and above.
-- Needs: commits
SELECT c.group_id, c.topic, c.partition, c.offset AS hi,
       coalesce(lag(c.offset) OVER (PARTITION BY c.group_id, c.topic, c.partition ORDER BY c.offset), 0) AS lo,
       min(c.committed_at) OVER (PARTITION BY c.group_id, c.topic, c.partition ORDER BY c.offset DESC
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS passed_at
FROM (
    SELECT a.group_id, a.topic, a.partition, a.offset, min(a.committed_at) AS committed_at
    FROM commits a GROUP BY a.group_id, a.topic, a.partition, a.offset
) c
