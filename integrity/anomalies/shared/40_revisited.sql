-- Partitions in which some offset may have been seen twice: by two readers, or by one that went back. Only there can one
-- offset show two messages, and only there can somebody know of a record that another reader passed over.
SELECT b.topic, b.partition FROM restless b
UNION
SELECT a.topic, a.partition
FROM spans a JOIN spans b ON a.topic = b.topic AND a.partition = b.partition AND a.reader < b.reader
WHERE a.lo <= b.hi AND b.lo <= a.hi
