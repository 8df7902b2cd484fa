-- Sends and reads matched by identity, of which only the pairs that some check wants are kept:
-- unsent (read, never sent), unread (acknowledged, never read), altered (another content), displaced (another place than
-- the acknowledged one), loose (read, without an acknowledged place), refused (read although rejected), aborted (read by a
-- committed reader although its transaction was aborted), early (read by a committed reader before its transaction's end
-- was asked for).
SELECT * FROM (
    SELECT s.publisher, s.sequence, s.topic AS sent_topic, s.partition AS sent_partition, s.offset AS sent_offset,
           s.transaction, t.outcome AS ended,
           r.topic, r.partition, r.offset, r.publisher AS read_publisher, r.sequence AS read_sequence, r.reader, r.read_at,
           s.sequence IS NULL AS unsent,
           r.reader IS NULL AND s.acknowledged AS unread,
           coalesce(s.digest <> r.digest, false) AS altered,
           coalesce(s.placed AND (s.offset <> r.offset OR s.partition <> r.partition OR s.topic <> r.topic), false)
               AS displaced,
           r.reader IS NOT NULL AND NOT coalesce(s.placed, false) AS loose,
           r.reader IS NOT NULL AND s.rejected AS refused,
           coalesce(r.committed_only AND t.outcome = 'aborted', false) AS aborted,
           coalesce(r.committed_only AND t.outcome <> 'aborted' AND r.read_at < t.ending_at, false) AS early
    FROM (
        SELECT a.publisher, a.sequence, a.topic, a.partition, a.offset, a.transaction, a.digest,
               a.outcome = 'acknowledged' AS acknowledged, a.outcome = 'rejected' AS rejected,
               a.outcome = 'acknowledged' AND coalesce(a.offset >= 0, false) AS placed
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
