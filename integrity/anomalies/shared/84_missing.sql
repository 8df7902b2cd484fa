-- The unseen messages that nothing excuses. judged: a reading tells of them (see readings). What is
-- hidden from committed readers is missing only where one of them tells of it. Excuses of a single record and excuses of
-- a range are asked for one by one: as equalities the (possibly many) single ones stay cheap.
SELECT m.publisher, m.sequence, m.topic, m.partition, m.offset, m.transaction, m.sent_at, m.judged
FROM (
    SELECT u.publisher, u.sequence, u.topic, u.partition, u.offset, u.transaction, u.hidden, s.sent_at,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends')
                THEN bool_or(e.reader IS NOT NULL AND covers(e.from_offset, e.end_offset, e.asked_at, u.offset, s.settled_at))
                ELSE bool_or(coalesce(n.judged, false)) END AS judged,
           CASE WHEN EXISTS (SELECT 1 FROM given g WHERE g.name = 'ends')
                THEN bool_or(coalesce(e.committed_only, false)
                             AND covers(e.from_offset, e.end_offset, e.asked_at, u.offset, s.settled_at))
                ELSE bool_or(coalesce(n.watched, false)) END AS watched
    FROM unseen u
    JOIN sends s ON s.publisher = u.publisher AND s.sequence = u.sequence
    LEFT JOIN partitions n ON n.topic = u.topic AND n.partition = u.partition
    LEFT JOIN readings e ON e.topic = u.topic AND e.partition = u.partition
    GROUP BY u.publisher, u.sequence, u.topic, u.partition, u.offset, u.transaction, u.hidden, s.sent_at
) m
WHERE (m.watched OR NOT m.hidden)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = m.topic AND x.partition = m.partition
                  AND x.first_offset = m.offset AND x.last_offset = x.first_offset)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = m.topic AND x.partition = m.partition
                  AND x.first_offset < x.last_offset AND m.offset BETWEEN x.first_offset AND x.last_offset)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = m.publisher
                  AND x.first_sequence = m.sequence AND x.last_sequence = x.first_sequence)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = m.publisher
                  AND x.first_sequence < x.last_sequence AND m.sequence BETWEEN x.first_sequence AND x.last_sequence)
