-- commit_ahead: a consumer group's committed offset passed a record before any member had processed it: were the member
-- to die now, the group would never see the record again.
-- Jepsen: none
-- Legal when: the client commits by itself before the work is done (auto-commit with the work on another thread), or the
-- group chose to commit first (at most once).
-- A record is one the group was handed, or, in a partition where no member was told to seek, one that any reader saw at
-- or above the lowest offset the group was handed, assigned or had processed. Where no processing is recorded at all
-- (table processed absent), being handed a record stands for having processed it. Excused records do not count.
-- Needs: overtaken
-- Counts: {count} {record|records} committed before they were processed
-- Says: group {group_id} committed offset {committed_offset} of {topic}-{partition} when the record at offset {offset} ({who}) was not yet processed
WITH members AS (
    SELECT c.group_id, c.reader FROM commits c WHERE c.reader IS NOT NULL
    UNION SELECT p.group_id, p.reader FROM processed p WHERE p.reader IS NOT NULL
    UNION SELECT a.group_id, a.reader FROM assignments a WHERE a.group_id IS NOT NULL
),
read_there AS (
    SELECT o.group_id, r.*
    FROM reads r
    JOIN overtaken o ON o.topic = r.topic AND o.partition = r.partition AND o.block = r.offset - r.offset % 64
),
handed AS (
    SELECT r.group_id, r.topic, r.partition, r.offset, r.publisher, r.sequence, min(r.read_at) AS read_at
    FROM read_there r
    JOIN members m ON m.group_id = r.group_id AND m.reader = r.reader
    GROUP BY r.group_id, r.topic, r.partition, r.offset, r.publisher, r.sequence
),
done AS (
    SELECT p.group_id, p.topic, p.partition, p.offset, min(p.processed_at) AS done_at
    FROM processed p
    JOIN overtaken o ON o.group_id = p.group_id AND o.topic = p.topic AND o.partition = p.partition
        AND o.block = p.offset - p.offset % 64
    GROUP BY p.group_id, p.topic, p.partition, p.offset
    UNION ALL
    SELECT h.group_id, h.topic, h.partition, h.offset, min(h.read_at) FROM handed h
    WHERE NOT EXISTS (SELECT 1 FROM given g WHERE g.name = 'processed')
    GROUP BY h.group_id, h.topic, h.partition, h.offset
),
known AS (
    SELECT k.group_id, k.topic, k.partition, k.offset, min(k.publisher) AS publisher,
           min_by(k.sequence, k.publisher) AS sequence
    FROM (
        SELECT h.group_id, h.topic, h.partition, h.offset, h.publisher, h.sequence FROM handed h
        UNION ALL
        SELECT s.group_id, r.topic, r.partition, r.offset, r.publisher, r.sequence
        FROM starts s
        JOIN read_there r ON r.group_id = s.group_id AND r.topic = s.topic AND r.partition = s.partition
            AND r.offset >= s.start
        WHERE (r.committed_only OR s.committed_only IS NOT DISTINCT FROM false)
          AND NOT EXISTS (SELECT 1 FROM members m JOIN assignments a ON a.reader = m.reader AND a.what = 'seek'
                          WHERE m.group_id = s.group_id AND a.topic = s.topic AND a.partition = s.partition)
    ) k
    WHERE NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = k.topic AND x.partition = k.partition
                      AND x.first_offset = k.offset AND x.last_offset = x.first_offset)
      AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = k.topic AND x.partition = k.partition
                      AND x.first_offset < x.last_offset AND k.offset BETWEEN x.first_offset AND x.last_offset)
      AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = k.publisher
                      AND x.first_sequence = k.sequence AND x.last_sequence = x.first_sequence)
      AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = k.publisher
                      AND x.first_sequence < x.last_sequence AND k.sequence BETWEEN x.first_sequence AND x.last_sequence)
    GROUP BY k.group_id, k.topic, k.partition, k.offset
),
-- From the highest offset down: the earliest commit seen so far is the earliest one that passed the record. A commit at
-- the record's own offset has not passed it, so it comes after the record.
passings AS (
    SELECT e.*, min(e.committed_at) OVER (PARTITION BY e.group_id, e.topic, e.partition
                                          ORDER BY e.offset DESC, e.rank
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS passed_at
    FROM (
        SELECT k.group_id, k.topic, k.partition, k.offset, k.publisher, k.sequence, 0 AS rank,
               CAST(NULL AS TIMESTAMP) AS committed_at
        FROM known k
        UNION ALL
        SELECT c.group_id, c.topic, c.partition, c.offset, NULL, NULL, 1, c.committed_at FROM commits c
    ) e
),
ahead AS (
    SELECT p.group_id, p.topic, p.partition, p.offset, p.publisher, p.sequence, p.passed_at
    FROM passings p
    LEFT JOIN done d ON d.group_id = p.group_id AND d.topic = p.topic AND d.partition = p.partition
        AND d.offset = p.offset
    WHERE p.rank = 0 AND p.passed_at IS NOT NULL AND (d.done_at IS NULL OR d.done_at > p.passed_at)
)
SELECT a.topic, a.partition, a.offset, a.publisher, a.sequence, a.group_id,
       max(c.offset) AS committed_offset, a.passed_at AS at,
       CASE WHEN a.sequence IS NULL THEN 'a record without identity'
            ELSE concat('message ', a.sequence, ' of publisher ', a.publisher) END AS who
FROM ahead a
JOIN commits c ON c.group_id = a.group_id AND c.topic = a.topic AND c.partition = a.partition
    AND c.committed_at = a.passed_at AND c.offset > a.offset
GROUP BY a.topic, a.partition, a.offset, a.publisher, a.sequence, a.group_id, a.passed_at
ORDER BY a.group_id, a.topic, a.partition, a.offset
