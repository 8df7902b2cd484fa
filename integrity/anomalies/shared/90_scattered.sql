-- Where the messages were seen that may have been seen at more than one place: a message whose every sighting is at its
-- acknowledged place has one place only. clash: the offset showed another message as well. What nobody
-- sent is a phantom wherever it is.
-- Needs: pairs
SELECT r.publisher, r.sequence, r.topic, r.partition, r.offset, min(r.read_at) AS at,
       bool_or(x.topic IS NOT NULL) AS clash
FROM (SELECT DISTINCT p.read_publisher, p.read_sequence FROM pairs p WHERE (p.displaced OR p.loose) AND NOT p.unsent) c
JOIN reads r ON r.publisher = c.read_publisher AND r.sequence = c.read_sequence
LEFT JOIN clashes x ON x.topic = r.topic AND x.partition = r.partition AND x.offset = r.offset
GROUP BY r.publisher, r.sequence, r.topic, r.partition, r.offset
