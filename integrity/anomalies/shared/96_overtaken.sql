-- Blocks of 64 offsets in which a group may have committed a record before it had processed it. Of any other block below
-- the group's last commit this much is certain: what was read there, equally often, is just what the group had processed
-- by the time at which the commits passed it. The sums of fingerprints on both sides tell so without matching record by
-- record, so that the exact question is left with what is in doubt (see doubtful).
-- Needs: starts, steps, seen
WITH done AS (
    SELECT p.group_id, p.topic, p.partition, p.offset, p.offset - p.offset % 64 AS block, p.processed_at AS done_at
    FROM processed p
    UNION ALL
    SELECT m.group_id, r.topic, r.partition, r.offset, r.offset - r.offset % 64, r.read_at
    FROM reads r
    JOIN (
        SELECT c.group_id, c.reader FROM commits c WHERE c.reader IS NOT NULL
        UNION SELECT a.group_id, a.reader FROM assignments a WHERE a.group_id IS NOT NULL
    ) m ON m.reader = r.reader
    WHERE NOT EXISTS (SELECT 1 FROM given g WHERE g.name = 'processed')
),
-- The step in force at a block's first offset, from the highest offset down: the last one before the block is the
-- nearest above it, and one that ends at that very offset is not above.
first_steps AS (
    SELECT e.group_id, e.topic, e.partition, e.offset, e.rank,
           min(e.hi) OVER (PARTITION BY e.group_id, e.topic, e.partition ORDER BY e.offset DESC, e.rank
                           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS hi,
           min(e.passed_at) OVER (PARTITION BY e.group_id, e.topic, e.partition ORDER BY e.offset DESC, e.rank
                                  ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS passed_at
    FROM (
        SELECT b.group_id, b.topic, b.partition, v.block AS offset, 0 AS rank, CAST(NULL AS BIGINT) AS hi,
               CAST(NULL AS TIMESTAMP) AS passed_at
        FROM starts b JOIN seen v ON v.topic = b.topic AND v.partition = b.partition
        UNION ALL
        SELECT s.group_id, s.topic, s.partition, s.hi, 1, s.hi, s.passed_at FROM steps s
    ) e
),
-- Every step by each block that it has a part of, cut off where the block begins.
parts AS (
    SELECT f.group_id, f.topic, f.partition, f.offset AS block, f.offset AS lo, f.hi, f.passed_at
    FROM first_steps f WHERE f.rank = 0 AND f.hi IS NOT NULL
    UNION ALL
    SELECT s.group_id, s.topic, s.partition, s.lo - s.lo % 64, s.lo, s.hi, s.passed_at
    FROM steps s WHERE s.lo % 64 <> 0
),
in_time AS (
    SELECT d.group_id, d.topic, d.partition, d.block, count(*) AS n,
           sum(fingerprint(d.offset, d.topic, d.partition, d.offset, 0)) AS fingerprint
    FROM done d
    JOIN parts p ON p.group_id = d.group_id AND p.topic = d.topic AND p.partition = d.partition AND p.block = d.block
        AND p.lo <= d.offset AND d.offset < p.hi
    WHERE d.done_at <= p.passed_at
    GROUP BY d.group_id, d.topic, d.partition, d.block
)
SELECT b.group_id, b.topic, b.partition, v.block
FROM starts b
JOIN (SELECT s.group_id, s.topic, s.partition, max(s.hi) AS hi FROM steps s GROUP BY s.group_id, s.topic, s.partition) l
    ON l.group_id = b.group_id AND l.topic = b.topic AND l.partition = b.partition
JOIN seen v ON v.topic = b.topic AND v.partition = b.partition AND v.block < l.hi AND v.block + 64 > b.start
LEFT JOIN in_time t ON t.group_id = b.group_id AND t.topic = b.topic AND t.partition = b.partition AND t.block = v.block
WHERE NOT coalesce(v.n % t.n = 0 AND v.fingerprint = t.fingerprint * CAST(v.n / t.n AS BIGINT), false)
