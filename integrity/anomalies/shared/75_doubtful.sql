-- Blocks of 1,024 sequences of a publisher in which there may be something to find. Of any other block this much is
-- certain: every message was acknowledged, outside a transaction or in a committed one, and was read equally often, at its
-- acknowledged place, with its content, and after its transaction's end was asked for. The sums of 64-bit fingerprints on
-- both sides tell so without matching message by message, so that the great join is left with what is in doubt.
SELECT coalesce(s.publisher, r.publisher) AS publisher, coalesce(s.block, r.block) AS block
FROM (
    SELECT a.publisher, a.sequence - a.sequence % 1024 AS block, count(*) AS n,
           bool_and(a.outcome = 'acknowledged' AND coalesce(a.offset >= 0, false)
                    AND (a.transaction IS NULL OR coalesce(t.outcome = 'committed', false))) AS settled,
           sum(fingerprint(a.sequence, a.topic, a.partition, a.offset, a.digest)) AS fingerprint,
           max(t.ending_at) AS ending_at
    FROM sends a
    LEFT JOIN endings t ON t.publisher = a.publisher AND t.transaction = a.transaction
    GROUP BY a.publisher, a.sequence - a.sequence % 1024
) s
FULL OUTER JOIN (
    SELECT b.publisher, b.sequence - b.sequence % 1024 AS block, count(*) AS n,
           sum(fingerprint(b.sequence, b.topic, b.partition, b.offset, b.digest)) AS fingerprint,
           min(b.read_at) AS read_at
    FROM reads b
    WHERE b.publisher IS NOT NULL AND b.sequence IS NOT NULL
    GROUP BY b.publisher, b.sequence - b.sequence % 1024
) r ON r.publisher = s.publisher AND r.block = s.block
WHERE NOT coalesce(s.settled
                   AND r.n % s.n = 0
                   AND r.fingerprint = s.fingerprint * CAST(r.n / s.n AS BIGINT)
                   AND (s.ending_at IS NULL OR r.read_at >= s.ending_at), false)
