-- Records that one reader must have known of had it looked: it saw a lower and a higher offset of the partition and never
-- this one, while another reader did see it, or its acknowledgement says that it is there and no final read could tell
-- that it is lost. A committed reader need not see what only uncommitted readers saw, unless it was surely committed. Excused
-- records are left out.
SELECT c.reader, c.topic, c.partition, c.offset, c.publisher, c.sequence
FROM (
    SELECT DISTINCT n.reader, k.topic, k.partition, k.offset, k.publisher, k.sequence
    FROM revisited v
    JOIN reads k ON k.topic = v.topic AND k.partition = v.partition
    JOIN spans n ON n.topic = k.topic AND n.partition = k.partition AND n.reader <> k.reader
        AND n.lo < k.offset AND k.offset < n.hi
    LEFT JOIN sends s ON s.publisher = k.publisher AND s.sequence = k.sequence
    LEFT JOIN endings t ON t.publisher = s.publisher AND t.transaction = s.transaction
    LEFT JOIN revealed w ON w.publisher = s.publisher AND w.transaction = s.transaction
    WHERE (NOT n.committed_only OR k.committed_only OR (s.sequence IS NOT NULL AND s.transaction IS NULL)
           OR t.outcome = 'committed' OR w.transaction IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM reads o JOIN revisited b ON b.topic = o.topic AND b.partition = o.partition
                      WHERE o.reader = n.reader AND o.topic = k.topic AND o.partition = k.partition AND o.offset = k.offset)
    UNION
    SELECT n.reader, m.topic, m.partition, m.offset, m.publisher, m.sequence
    FROM missing m
    JOIN spans n ON n.topic = m.topic AND n.partition = m.partition AND n.lo < m.offset AND m.offset < n.hi
    WHERE NOT m.judged
      AND NOT EXISTS (SELECT 1
                      FROM (SELECT DISTINCT u.topic, u.partition FROM missing u WHERE NOT u.judged) w
                      JOIN reads o ON o.topic = w.topic AND o.partition = w.partition
                      WHERE o.reader = n.reader AND o.topic = m.topic AND o.partition = m.partition
                        AND o.offset = m.offset)
) c
WHERE NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = c.topic AND x.partition = c.partition
                  AND x.first_offset = c.offset AND x.last_offset = x.first_offset)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = c.topic AND x.partition = c.partition
                  AND x.first_offset < x.last_offset AND c.offset BETWEEN x.first_offset AND x.last_offset)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = c.publisher
                  AND x.first_sequence = c.sequence AND x.last_sequence = x.first_sequence)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = c.publisher
                  AND x.first_sequence < x.last_sequence AND c.sequence BETWEEN x.first_sequence AND x.last_sequence)
