-- One row for each time that the clock of a host was set by a second or more while it ran.
-- Reads: logged, boots.
-- seq is the first place in the Security log with the new time. The Security log tells it best (4616); where it tells
-- none in a boot, Kernel-General 1 of the System log is put where the times of the Security log have room for it.

WITH told AS (
    SELECT e.host_id AS host_id, b.boot_id AS boot_id, e.seq AS seq, e.time AS time, e.uid AS uid,
        micros(e.new_time) - micros(e.old_time) AS step_us
    FROM logged AS e
    JOIN boots AS b ON b.host_id = e.host_id
        AND e.seq >= COALESCE(b.security_from, -1) AND e.seq < COALESCE(b.security_until, 4611686018427387904)
    WHERE e.mark = 'clock' AND e.channel = 'Security'
        AND ABS(micros(e.new_time) - micros(e.old_time)) >= $clock_step_s * 1000000
),
others AS (
    SELECT e.host_id AS host_id, b.boot_id AS boot_id, e.time AS time, e.uid AS uid, e.old_time AS old_time,
        e.new_time AS new_time, COALESCE(b.security_from, -1) AS from_seq,
        COALESCE(b.security_until, 4611686018427387904) AS until_seq
    FROM logged AS e
    JOIN boots AS b ON b.host_id = e.host_id AND b.start_time <= e.old_time
        AND (b.end_time IS NULL OR b.end_time >= e.new_time)
    LEFT JOIN told AS t ON t.boot_id = b.boot_id AND t.host_id = b.host_id
    WHERE e.mark = 'clock' AND e.channel = 'System' AND t.boot_id IS NULL
        AND ABS(micros(e.new_time) - micros(e.old_time)) >= $clock_step_s * 1000000
)
SELECT host_id AS host_id, boot_id AS boot_id, seq AS seq, time AS time, uid AS uid, step_us AS step_us FROM told
UNION ALL
SELECT
    o.host_id AS host_id, o.boot_id AS boot_id,
    MIN(CASE WHEN o.new_time >= o.old_time THEN e.seq END) AS seq, MIN(o.time) AS time, o.uid AS uid,
    MIN(micros(o.new_time) - micros(o.old_time)) AS step_us
FROM others AS o
JOIN logged AS e ON e.host_id = o.host_id AND e.channel = 'Security' AND e.seq >= o.from_seq AND e.seq < o.until_seq
    AND e.time >= o.new_time
WHERE o.new_time >= o.old_time
GROUP BY o.host_id, o.boot_id, o.uid
UNION ALL
SELECT
    o.host_id AS host_id, o.boot_id AS boot_id, MAX(e.seq) + 1 AS seq, MIN(o.time) AS time, o.uid AS uid,
    MIN(micros(o.new_time) - micros(o.old_time)) AS step_us
FROM others AS o
JOIN logged AS e ON e.host_id = o.host_id AND e.channel = 'Security' AND e.seq >= o.from_seq AND e.seq < o.until_seq
    AND e.time <= o.old_time AND e.time > o.new_time
WHERE o.new_time < o.old_time
GROUP BY o.host_id, o.boot_id, o.uid
