-- torn_transaction: of a committed transaction some messages were seen and others were not, although the final read went
-- to the end of their partitions.
-- Jepsen: none of its own (found there as lost-write within a transaction)
-- Legal when: retention, compaction or DeleteRecords may have removed the others (table excused).
-- Where committed readers read a partition to its end they are the judges, so a transaction that is aborted in one
-- partition and committed in another is torn even though uncommitted readers see all of it. The missing messages are not
-- counted as lost as well; a transaction of which nothing was seen is lost altogether, and not torn.
-- Needs: missing, torn
-- Counts: {count} committed {transaction|transactions} seen in part only
-- Says: transaction {transaction} of publisher {publisher} was committed, and {seen} of its messages were seen, but {missing} were not: the first is message {sequence}, acknowledged at offset {offset} of {topic}-{partition}
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.transaction, w.seen, w.missing, w.sent_at AS at
FROM (
    SELECT m.*, t.seen, count(*) OVER (PARTITION BY m.publisher, m.transaction) AS missing,
           row_number() OVER (PARTITION BY m.publisher, m.transaction ORDER BY m.sequence) AS nth
    FROM missing m
    JOIN torn t ON t.publisher = m.publisher AND t.transaction = m.transaction
    WHERE m.judged
) w
WHERE w.nth = 1
ORDER BY w.publisher, w.transaction
