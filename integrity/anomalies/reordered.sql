-- reordered: a publisher's later message stands at a lower offset of the same partition than an earlier one.
-- Jepsen: none of its own; its publishers' unseen order is found there through version orders and cycles (G0)
-- Legal when: the publisher is not idempotent and has several requests in flight, one of which is retried; across
-- partitions there is no order at all, and none is checked.
-- A message is taken at the lowest of its offsets in the partition, so that a retried copy further up is duplicated and
-- not reordered. Sightings at an offset that showed two messages are inconsistent_offset's, and
-- what nobody sent has no place in the order. One is counted for each
-- message that stands below the next earlier one of its publisher in the partition.
-- Needs: unruly
-- Counts: {count} {message|messages} out of a publisher's order
-- Says: message {sequence} of publisher {publisher} stands at offset {offset} of {topic}-{partition}, below its earlier message {earlier_sequence} at offset {earlier_offset}
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.earlier_sequence, w.earlier_offset, w.at
FROM (
    SELECT p.*,
           lag(p.offset) OVER (PARTITION BY p.publisher, p.topic, p.partition ORDER BY p.sequence) AS earlier_offset,
           lag(p.sequence) OVER (PARTITION BY p.publisher, p.topic, p.partition ORDER BY p.sequence) AS earlier_sequence
    FROM (
        SELECT r.publisher, r.topic, r.partition, r.sequence, min(r.offset) AS offset, min(r.read_at) AS at
        FROM reads r
        JOIN unruly u ON u.publisher = r.publisher AND u.topic = r.topic AND u.partition = r.partition
        LEFT JOIN clashes x ON x.topic = r.topic AND x.partition = r.partition AND x.offset = r.offset
        WHERE x.topic IS NULL AND r.sequence IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM pairs n WHERE n.unsent AND n.read_publisher = r.publisher
                          AND n.read_sequence = r.sequence)
        GROUP BY r.publisher, r.topic, r.partition, r.sequence
    ) p
) w
WHERE w.offset < w.earlier_offset
ORDER BY w.topic, w.partition, w.offset
