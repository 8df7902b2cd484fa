-- nonmonotonic_poll: a reader was handed an offset that is not above the one it was handed before in the same partition,
-- with no seek or rebalance in between. The same offset again counts too.
-- Jepsen: nonmonotonic-poll, int-nonmonotonic-poll
-- Legal when: between the two the reader was told to seek in the partition, or was assigned it or lost it (table
-- assignments): a group's new member starts again at the committed offset.
-- Needs: restless
-- Counts: {count} {time|times} a reader went back
-- Says: reader {reader} was handed offset {offset} of {topic}-{partition} after offset {earlier_offset}, with no seek or rebalance in between
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.reader, w.poll, w.earlier_offset, w.read_at AS at
FROM (
    SELECT r.topic, r.partition, r.offset, r.publisher, r.sequence, r.reader, r.poll, r.position, r.read_at,
           lag(r.offset) OVER (PARTITION BY r.reader, r.topic, r.partition ORDER BY r.position) AS earlier_offset,
           lag(r.position) OVER (PARTITION BY r.reader, r.topic, r.partition ORDER BY r.position) AS earlier_position
    FROM reads r
    JOIN restless b ON b.reader = r.reader AND b.topic = r.topic AND b.partition = r.partition
) w
WHERE w.offset <= w.earlier_offset
  AND NOT EXISTS (SELECT 1 FROM assignments a
                  WHERE a.reader = w.reader AND a.topic = w.topic AND a.partition = w.partition
                    AND a.position > w.earlier_position AND a.position <= w.position)
ORDER BY w.reader, w.position
