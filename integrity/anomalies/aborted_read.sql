-- aborted_read: a committed reader saw a message of an aborted transaction; or anybody saw one that was rejected, that is
-- surely not appended.
-- Jepsen: G1a
-- Legal when: a reader that is not restricted to committed messages sees what was aborted.
-- Needs: pairs
-- Counts: {count} {message|messages} seen though aborted or rejected
-- Says: message {sequence} of publisher {publisher} was read at offset {offset} of {topic}-{partition} by reader {reader}, {although}
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.reader, w.transaction, w.read_at AS at,
       CASE WHEN w.refused THEN 'although it had been rejected'
            ELSE concat('although its transaction ', w.transaction, ' was aborted') END AS although
FROM (
    SELECT p.*, row_number() OVER (PARTITION BY p.publisher, p.sequence
                                   ORDER BY p.read_at, p.topic, p.partition, p.offset, p.reader) AS nth
    FROM pairs p
    WHERE p.refused OR p.aborted
) w
WHERE w.nth = 1
ORDER BY w.topic, w.partition, w.offset, w.publisher, w.sequence
