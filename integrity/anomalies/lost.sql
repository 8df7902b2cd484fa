-- lost: an acknowledged message, its transaction (if any) committed, was read by nobody although the final read went to
-- the end of its partition.
-- Jepsen: lost-write
-- Legal when: retention, compaction or DeleteRecords may remove it (table excused); acks below all, or an unclean leader
-- election, and a leader is lost.
-- Not here: a message missing from a committed transaction of which other messages were seen is torn_transaction's; a
-- partition that was not read to its end is reported as unread. Committed readers are the judges of a transaction's
-- messages where there are any: what only an uncommitted reader saw of them does not count.
-- Needs: missing
-- Counts: {count} acknowledged {message|messages} nobody read
-- Says: message {sequence} of publisher {publisher}, acknowledged {place} {topic}-{partition}, was read by nobody: {whereabouts}
SELECT m.topic, m.partition, m.offset, m.publisher, m.sequence, m.transaction, m.sent_at AS at,
       CASE WHEN m.offset IS NULL THEN 'in' ELSE concat('at offset ', m.offset, ' of') END AS place,
       CASE WHEN NOT EXISTS (SELECT 1 FROM given g WHERE g.name = 'on_disk')
            THEN 'the brokers'' files were not searched for it'
            WHEN EXISTS (SELECT 1 FROM on_disk d WHERE d.publisher = m.publisher AND d.sequence = m.sequence)
              OR EXISTS (SELECT 1 FROM on_disk d WHERE d.sequence IS NULL AND d.topic = m.topic
                         AND d.partition = m.partition AND d.offset = m.offset)
            THEN 'it is on disk but was never delivered'
            ELSE 'it was lost on disk' END AS whereabouts
FROM missing m
LEFT JOIN torn t ON t.publisher = m.publisher AND t.transaction = m.transaction
WHERE m.judged AND t.publisher IS NULL
ORDER BY m.topic, m.partition NULLS LAST, m.offset NULLS LAST, m.publisher, m.sequence
