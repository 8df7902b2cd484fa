-- The unseen messages that nothing excuses. Excuses of a single record and excuses of a range are asked for one by one:
-- as equalities the (possibly many) single ones stay cheap.
SELECT u.publisher, u.sequence, u.topic, u.partition, u.offset, u.transaction, s.sent_at,
       coalesce(n.judged, false) AS judged, coalesce(n.watched, false) AS watched
FROM unseen u
LEFT JOIN sends s ON s.publisher = u.publisher AND s.sequence = u.sequence
LEFT JOIN partitions n ON n.topic = u.topic AND n.partition = u.partition
WHERE NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = u.topic AND x.partition = u.partition
                  AND x.first_offset = u.offset AND x.last_offset = x.first_offset)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.topic = u.topic AND x.partition = u.partition
                  AND x.first_offset < x.last_offset AND u.offset BETWEEN x.first_offset AND x.last_offset)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = u.publisher
                  AND x.first_sequence = u.sequence AND x.last_sequence = x.first_sequence)
  AND NOT EXISTS (SELECT 1 FROM excused x WHERE x.publisher = u.publisher
                  AND x.first_sequence < x.last_sequence AND u.sequence BETWEEN x.first_sequence AND x.last_sequence)
