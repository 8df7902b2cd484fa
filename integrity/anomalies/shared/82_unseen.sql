-- Acknowledged messages that must be there (outside a transaction, or in a committed one) and were not seen by those who
-- would have to see them: anybody, and for a transaction's message the committed readers where there are any.
SELECT p.publisher, p.sequence, p.sent_topic AS topic, p.sent_partition AS partition, p.sent_offset AS offset,
       p.transaction
FROM pairs p
WHERE p.unread AND (p.transaction IS NULL OR p.ended = 'committed')
UNION ALL
SELECT s.publisher, s.sequence, s.topic, s.partition, s.offset, s.transaction
FROM sends s
JOIN partitions n ON n.topic = s.topic AND n.partition = s.partition AND n.mixed
JOIN endings t ON t.publisher = s.publisher AND t.transaction = s.transaction AND t.outcome = 'committed'
WHERE s.outcome = 'acknowledged'
  AND EXISTS (SELECT 1 FROM reads a WHERE a.publisher = s.publisher AND a.sequence = s.sequence)
  AND NOT EXISTS (SELECT 1 FROM reads r
                  WHERE r.publisher = s.publisher AND r.sequence = s.sequence AND r.committed_only)
