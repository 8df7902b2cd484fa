-- wrong_offset: a message was acknowledged at one place (topic, partition, offset), and read elsewhere and only there; or
-- it was sent to one partition, whatever became of it, and read in another.
-- Jepsen: none of its own (an inconsistent offset there)
-- Legal: never.
-- Not here: a message that is at its acknowledged offset and at another one too is duplicated; one seen only at an offset
-- that showed another message too is inconsistent_offset's.
-- Needs: pairs, scattered
-- Counts: {count} {message|messages} away from where they were sent to
-- Says: message {sequence} of publisher {publisher} was {sent}, but read at offset {offset} of {topic}-{partition}
SELECT w.topic, w.partition, w.offset, w.publisher, w.sequence, w.sent_topic,
       w.sent_partition, w.sent_offset, w.reader, w.read_at AS at,
       CASE WHEN w.sent_partition IS NULL THEN concat('sent to ', w.sent_topic)
            WHEN w.sent_offset IS NULL THEN concat('sent to ', w.sent_topic, '-', w.sent_partition)
            ELSE concat('acknowledged at offset ', w.sent_offset, ' of ', w.sent_topic, '-', w.sent_partition) END AS sent
FROM (
    SELECT p.*, row_number() OVER (PARTITION BY p.publisher, p.sequence
                                   ORDER BY p.topic, p.partition, p.offset, p.read_at, p.reader) AS nth
    FROM pairs p
    LEFT JOIN clashes x ON x.topic = p.topic AND x.partition = p.partition AND x.offset = p.offset
    WHERE p.displaced AND x.topic IS NULL
      AND NOT EXISTS (SELECT 1 FROM scattered r WHERE r.publisher = p.publisher AND r.sequence = p.sequence
                      AND r.topic = p.sent_topic AND coalesce(r.partition = p.sent_partition, true)
                      AND coalesce(r.offset = p.sent_offset, true))
) w
WHERE w.nth = 1
ORDER BY w.topic, w.partition, w.offset, w.publisher, w.sequence
