-- Acknowledged messages that must be there (outside a transaction, or in one that was surely committed) and were seen by
-- nobody; or, of a transaction, not by committed readers although others saw them (hidden).
SELECT p.publisher, p.sequence, p.sent_topic AS topic, p.sent_partition AS partition, p.sent_offset AS offset,
       p.transaction, false AS hidden
FROM pairs p
LEFT JOIN revealed v ON v.publisher = p.publisher AND v.transaction = p.transaction
WHERE p.unread AND (p.transaction IS NULL OR p.ended = 'committed' OR v.transaction IS NOT NULL)
UNION ALL
SELECT s.publisher, s.sequence, s.topic, s.partition, s.offset, s.transaction, true
FROM sends s
JOIN partitions n ON n.topic = s.topic AND n.partition = s.partition AND n.mixed
LEFT JOIN endings t ON t.publisher = s.publisher AND t.transaction = s.transaction
LEFT JOIN revealed v ON v.publisher = s.publisher AND v.transaction = s.transaction
WHERE s.outcome = 'acknowledged' AND s.transaction IS NOT NULL
  AND (t.outcome = 'committed' OR v.transaction IS NOT NULL)
  AND EXISTS (SELECT 1 FROM reads a WHERE a.publisher = s.publisher AND a.sequence = s.sequence)
  AND NOT EXISTS (SELECT 1 FROM reads r
                  WHERE r.publisher = s.publisher AND r.sequence = s.sequence AND r.committed_only)
