-- Sends and reads matched by identity, of which only the pairs that some check wants are kept:
-- unsent (read, never sent), unread (acknowledged, never read), altered (another content), displaced (another place than
-- it was sent to, or acknowledged at), loose (read, without an acknowledged place), refused (read although rejected), aborted (read by a
-- committed reader although its transaction was aborted), early (read by a committed reader before its transaction's end
-- was asked for), revealing (read by a committed reader, which tells how its transaction ended: its publisher cannot).
SELECT * FROM (
    SELECT s.publisher, s.sequence, s.topic AS sent_topic, s.partition AS sent_partition, s.offset AS sent_offset,
           s.transaction, t.outcome AS ended,
           r.topic, r.partition, r.offset, r.publisher AS read_publisher, r.sequence AS read_sequence, r.reader, r.read_at,
           s.sequence IS NULL AS unsent,
           r.reader IS NULL AND s.acknowledged AS unread,
           coalesce(s.digest <> r.digest, false) AS altered,
           coalesce(NOT s.rejected AND (s.topic <> r.topic OR coalesce(s.partition <> r.partition, false)
                                        OR coalesce(s.offset <> r.offset, false)), false) AS displaced,
           r.reader IS NOT NULL AND s.offset IS NULL AS loose,
           r.reader IS NOT NULL AND s.rejected AS refused,
           coalesce(r.committed_only AND t.outcome = 'aborted', false) AS aborted,
           coalesce(r.committed_only AND t.outcome <> 'aborted' AND r.read_at < t.ending_at, false) AS early,
           coalesce(r.committed_only AND s.transaction IS NOT NULL AND NOT s.rejected
                    AND coalesce(t.outcome, 'unknown') = 'unknown', false) AS revealing
    FROM (
        SELECT a.publisher, a.sequence, a.topic, a.partition, a.transaction, a.digest,
               CASE WHEN a.outcome = 'acknowledged' AND a.offset >= 0 THEN a.offset END AS offset,
               a.outcome = 'acknowledged' AS acknowledged, a.outcome = 'rejected' AS rejected
        FROM sends a
        JOIN doubtful d ON d.publisher = a.publisher AND d.block = a.sequence - a.sequence % 1024
    ) s
    FULL OUTER JOIN (
        SELECT b.* FROM reads b
        JOIN doubtful d ON d.publisher = b.publisher AND d.block = b.sequence - b.sequence % 1024
        UNION ALL
        SELECT b.* FROM reads b WHERE b.publisher IS NULL OR b.sequence IS NULL
    ) r ON r.publisher = s.publisher AND r.sequence = s.sequence
    LEFT JOIN endings t ON t.publisher = s.publisher AND t.transaction = s.transaction
) m
WHERE m.unsent OR m.unread OR m.altered OR m.displaced OR m.loose OR m.refused OR m.aborted OR m.early
   OR m.revealing
