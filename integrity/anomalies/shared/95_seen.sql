-- What was read in each block of 64 offsets, where a group has committed anything: how often, and the sum of fingerprints.
-- Needs: steps
SELECT r.topic, r.partition, r.offset - r.offset % 64 AS block, count(*) AS n,
       sum(fingerprint(r.offset, r.topic, r.partition, r.offset, 0)) AS fingerprint
FROM reads r
JOIN (SELECT DISTINCT s.topic, s.partition FROM steps s) g ON g.topic = r.topic AND g.partition = r.partition
GROUP BY r.topic, r.partition, r.offset - r.offset % 64
