-- corrupted: a record was read with another content (key, value, headers or timestamp) than its message was sent with.
-- Jepsen: none (its messages are single numbers)
-- Legal: never.
-- Two contents of one message at one offset are corrupted too, not inconsistent_offset: the one that differs from what
-- was sent is named.
-- Needs: pairs
-- Counts: {count} {record|records} with another content than was sent
-- Says: message {sequence} of publisher {publisher} was read at offset {offset} of {topic}-{partition} with another content than was sent
SELECT p.topic, p.partition, p.offset, p.publisher, p.sequence, min(p.reader) AS reader, min(p.read_at) AS at
FROM pairs p
WHERE p.altered
GROUP BY p.topic, p.partition, p.offset, p.publisher, p.sequence
ORDER BY p.topic, p.partition, p.offset, p.publisher, p.sequence
