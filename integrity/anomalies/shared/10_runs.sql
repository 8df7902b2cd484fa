-- Every reader's rows of one partition, folded into runs of neighbouring offsets, so that ten million rows become some
-- thousands. Within a run offset minus position is constant, so its offsets rise with its positions.
SELECT r.reader, r.topic, r.partition, min(r.offset) AS lo, max(r.offset) AS hi,
       min(r.position) AS first_position, max(r.position) AS last_position, bool_or(r.committed_only) AS committed_only,
       count(*) AS n
FROM reads r
GROUP BY r.reader, r.topic, r.partition, r.offset - r.position
