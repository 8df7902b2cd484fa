-- Offsets at which two different messages were seen. Records of one identity are one message here, however their content
-- differs (that is corrupted); records without identity are told apart by their digests.
SELECT r.topic, r.partition, r.offset
FROM reads r JOIN revisited v ON v.topic = r.topic AND v.partition = r.partition
GROUP BY r.topic, r.partition, r.offset
HAVING min(r.publisher) <> max(r.publisher)
    OR min(r.sequence) <> max(r.sequence)
    OR (count(r.sequence) > 0 AND count(r.sequence) < count(*))
    OR (count(r.sequence) = 0 AND min(r.digest) <> max(r.digest))
