-- Readers whose offsets in a partition do not rise strictly from row to row. Only these can have gone back.
-- (More rows than offsets in a run is one row twice, position and all: no recorder's doing, and seen all the same.)
SELECT DISTINCT w.reader, w.topic, w.partition
FROM (
    SELECT u.reader, u.topic, u.partition, u.lo, u.hi, u.n, u.first_position,
           lag(u.hi) OVER (PARTITION BY u.reader, u.topic, u.partition ORDER BY u.first_position, u.lo) AS earlier_hi,
           lag(u.last_position) OVER (PARTITION BY u.reader, u.topic, u.partition ORDER BY u.first_position, u.lo)
               AS earlier_position
    FROM runs u
) w
WHERE w.lo <= w.earlier_hi OR w.first_position <= w.earlier_position OR w.n > w.hi - w.lo + 1
