-- duplicated: one message was seen at several offsets (or partitions): the log holds it more than once.
-- Jepsen: duplicate
-- Legal when: the publisher is not idempotent and retried an append whose acknowledgement was lost.
-- Not here: one record read by several readers, or again after a rebalance: that is one offset. A sighting at an offset
-- that also showed another message is inconsistent_offset's.
-- Needs: scattered
-- Counts: {count} {message|messages} at several offsets
-- Says: message {sequence} of publisher {publisher} stands {copies} times: at offset {offset} of {topic}-{partition}, again at offset {again_offset} of {again_topic}-{again_partition}
SELECT a.topic, a.partition, a.offset, a.publisher, a.sequence, a.copies, a.at, a.again_topic, a.again_partition,
       a.again_offset
FROM (
    SELECT p.*, count(*) OVER (PARTITION BY p.publisher, p.sequence) AS copies,
           row_number() OVER (PARTITION BY p.publisher, p.sequence ORDER BY p.topic, p.partition, p.offset) AS nth,
           lead(p.topic) OVER (PARTITION BY p.publisher, p.sequence ORDER BY p.topic, p.partition, p.offset)
               AS again_topic,
           lead(p.partition) OVER (PARTITION BY p.publisher, p.sequence ORDER BY p.topic, p.partition, p.offset)
               AS again_partition,
           lead(p.offset) OVER (PARTITION BY p.publisher, p.sequence ORDER BY p.topic, p.partition, p.offset)
               AS again_offset
    FROM scattered p
    WHERE NOT p.clash
) a
WHERE a.nth = 1 AND a.copies > 1
ORDER BY a.topic, a.partition, a.offset, a.publisher, a.sequence
