-- Blocks of 1,024 offsets in which a reader may have passed over a record that is known. Of any other block this much is
-- certain: whoever was handed anything on both sides of it or in it was handed the same offsets in it, and nobody went
-- back. The sums of fingerprints tell so without matching record by record.
SELECT b.topic, b.partition, b.block
FROM (
    SELECT a.topic, a.partition, a.block, count(*) AS readers, min(a.n) AS least, max(a.n) AS most,
           min(a.fingerprint) AS lowest, max(a.fingerprint) AS highest
    FROM (
        SELECT r.reader, r.topic, r.partition, r.offset - r.offset % 1024 AS block, count(*) AS n,
               sum(fingerprint(r.offset, r.topic, r.partition, r.offset, 0)) AS fingerprint
        FROM revisited v
        JOIN reads r ON r.topic = v.topic AND r.partition = v.partition
        GROUP BY r.reader, r.topic, r.partition, r.offset - r.offset % 1024
    ) a
    GROUP BY a.topic, a.partition, a.block
) b
JOIN spans n ON n.topic = b.topic AND n.partition = b.partition AND n.lo < b.block + 1024 AND n.hi >= b.block
LEFT JOIN restless w ON w.reader = n.reader AND w.topic = n.topic AND w.partition = n.partition
GROUP BY b.topic, b.partition, b.block, b.readers, b.least, b.most, b.lowest, b.highest
HAVING b.least <> b.most OR b.lowest <> b.highest OR count(*) > b.readers OR count(w.reader) > 0
UNION
SELECT m.topic, m.partition, m.offset - m.offset % 1024 FROM missing m WHERE NOT m.judged AND m.offset IS NOT NULL
