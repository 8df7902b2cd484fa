-- phantom: a record was read that nobody sent: no send has its identity, or it carries none.
-- Jepsen: none of its own (an unexpected value there)
-- Legal when: somebody outside the history publishes to the same topic.
-- Needs: pairs
-- Counts: {count} {record|records} nobody sent
-- Says: {who} was read at offset {offset} of {topic}-{partition}, and nobody sent it
SELECT p.topic, p.partition, p.offset, p.read_publisher AS publisher, p.read_sequence AS sequence,
       min(p.reader) AS reader, min(p.read_at) AS at,
       CASE WHEN p.read_sequence IS NULL THEN 'a record without identity'
            ELSE concat('message ', p.read_sequence, ' of publisher ', p.read_publisher) END AS who
FROM pairs p
WHERE p.unsent
GROUP BY p.topic, p.partition, p.offset, p.read_publisher, p.read_sequence
ORDER BY p.topic, p.partition, p.offset, p.read_publisher NULLS LAST, p.read_sequence NULLS LAST
