-- precommitted_read: a committed reader saw a transaction's message before the transaction's publisher had asked for its
-- commit; the plainest case is a transaction that reads its own send.
-- Jepsen: precommitted-read
-- Legal when: the reader is not restricted to committed messages.
-- Without a recorded time of the commit, the transaction's last send or acknowledgement stands for it: both clients wait
-- for those before they end a transaction. Messages of aborted transactions are aborted_read's.
-- Needs: pairs
-- Counts: {count} {message|messages} seen before their transaction was committed
-- Says: message {sequence} of publisher {publisher} was read at offset {offset} of {topic}-{partition} by reader {reader} before its transaction {transaction} was committed
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.reader, w.transaction, w.read_at AS at
FROM (
    SELECT p.*, row_number() OVER (PARTITION BY p.publisher, p.sequence
                                   ORDER BY p.read_at, p.topic, p.partition, p.offset, p.reader) AS nth
    FROM pairs p
    WHERE p.early AND NOT p.refused
) w
WHERE w.nth = 1
ORDER BY w.topic, w.partition, w.offset, w.publisher, w.sequence
