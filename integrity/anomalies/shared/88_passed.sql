-- Records that one reader must have known of had it looked: in one leg of its way it saw a lower and a higher offset of the
-- partition and not this one, while somebody did see it, or its acknowledgement says that it is there and no final read
-- could tell that it is lost. A committed reader need not see what only uncommitted readers saw, unless it was surely
-- committed. Excused records are left out.
-- Needs: uneven
WITH known AS (
    SELECT k.topic, k.partition, k.offset, k.publisher, k.sequence, bool_or(k.committed_only) AS for_all
    FROM uneven u
    JOIN reads k ON k.topic = u.topic AND k.partition = u.partition AND k.offset - k.offset % 1024 = u.block
    GROUP BY k.topic, k.partition, k.offset, k.publisher, k.sequence
    UNION ALL
    SELECT m.topic, m.partition, m.offset, m.publisher, m.sequence, true
    FROM missing m
    WHERE NOT m.judged
),
handed AS (
    SELECT r.reader, r.topic, r.partition, r.offset, n.leg
    FROM uneven u
    JOIN reads r ON r.topic = u.topic AND r.partition = u.partition AND r.offset - r.offset % 1024 = u.block
    JOIN stretches n ON n.reader = r.reader AND n.topic = r.topic AND n.partition = r.partition AND NOT n.cut
    UNION ALL
    SELECT l.reader, l.topic, l.partition, l.offset, l.leg FROM legs l
),
candidates AS (
    SELECT n.reader, n.leg, n.cut, n.committed_only, k.topic, k.partition, k.offset, k.publisher, k.sequence, k.for_all
    FROM known k
    JOIN stretches n ON n.topic = k.topic AND n.partition = k.partition AND n.lo < k.offset AND k.offset < n.hi
    WHERE NOT EXISTS (SELECT 1 FROM handed h
                      WHERE h.reader = n.reader AND h.leg = n.leg AND h.topic = k.topic
                        AND h.partition = k.partition AND h.offset = k.offset)
)
SELECT c.reader, c.leg, c.cut, c.topic, c.partition, c.offset, c.publisher, c.sequence
FROM candidates c
LEFT JOIN sends s ON s.publisher = c.publisher AND s.sequence = c.sequence
LEFT JOIN endings t ON t.publisher = s.publisher AND t.transaction = s.transaction
LEFT JOIN revealed w ON w.publisher = s.publisher AND w.transaction = s.transaction
WHERE (NOT c.committed_only OR c.for_all OR (s.sequence IS NOT NULL AND s.transaction IS NULL) OR t.outcome = 'committed'
       OR w.transaction IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = c.topic AND x.partition = c.partition
                  AND x.first_offset = c.offset AND x.last_offset = x.first_offset)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = c.topic AND x.partition = c.partition
                  AND x.first_offset < x.last_offset AND c.offset BETWEEN x.first_offset AND x.last_offset)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = c.publisher
                  AND x.first_sequence = c.sequence AND x.last_sequence = x.first_sequence)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = c.publisher
                  AND x.first_sequence < x.last_sequence AND c.sequence BETWEEN x.first_sequence AND x.last_sequence)
