-- Every transaction with the time before which its end cannot have been asked for: as recorded, otherwise the last of its
-- sends and acknowledgements, because both clients wait for those before they end a transaction.
SELECT t.publisher, t.transaction, t.outcome, coalesce(t.ending_at, e.ending_at) AS ending_at
FROM transactions t
LEFT JOIN (
    SELECT s.publisher, s.transaction,
           greatest(max(s.sent_at), max(CASE WHEN s.outcome = 'acknowledged' THEN s.settled_at END)) AS ending_at
    FROM sends s
    WHERE s.transaction IS NOT NULL
    GROUP BY s.publisher, s.transaction
) e ON e.publisher = t.publisher AND e.transaction = t.transaction
