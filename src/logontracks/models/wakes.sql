-- One row for each time that a host woke from sleep.
-- The record of it may be written before the clock has caught up, and then has the time at which the host fell asleep; the
-- clock that is put right from there (Kernel-General 1) tells when it woke.
-- Reads: logged.

SELECT
    w.host_id AS host_id, w.uid AS uid, w.seq AS seq,
    CASE WHEN MAX(CASE WHEN c.new_time <= w.time THEN 1 ELSE 0 END) = 1 THEN w.time  -- it has caught up before
        ELSE COALESCE(MIN(c.new_time), w.time) END AS time
FROM logged AS w
LEFT JOIN logged AS c ON c.host_id = w.host_id AND c.mark = 'clock' AND c.new_time > c.old_time
    AND (ABS(micros(c.old_time) - micros(w.time)) <= $wake_told_s * 1000000
        OR micros(w.time) - micros(c.new_time) BETWEEN 0 AND $wake_s * 1000000)
WHERE w.mark = 'wake'
GROUP BY w.host_id, w.uid, w.seq, w.time
