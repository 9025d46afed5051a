-- One row for each time that the clock of a host was set by a second or more while it ran.
-- Reads: logged, boots, wakes.
-- seq is the first place in the Security log with the new time. The Security log tells it best (4616); where it tells
-- none in a boot, Kernel-General 1 of the System log is put where the times of the Security log have room for it: of a
-- clock that was set back, where they fall most. A clock that catches up when the host wakes was not set: that time has
-- passed. The record of the wake (Kernel-Power 107) is written before or after it does.

WITH told AS (
    SELECT e.host_id AS host_id, b.boot_id AS boot_id, e.seq AS seq, e.time AS time, e.uid AS uid,
        micros(e.new_time) - micros(e.old_time) AS step_us
    FROM logged AS e
    JOIN boots AS b ON b.host_id = e.host_id
        AND e.seq >= COALESCE(b.security_from, -1) AND e.seq < COALESCE(b.security_until, 4611686018427387904)
    LEFT JOIN wakes AS w ON w.host_id = e.host_id AND e.new_time > e.old_time
        AND (ABS(micros(w.time) - micros(e.new_time)) <= $wake_s * 1000000
            OR ABS(micros(w.time) - micros(e.old_time)) <= $wake_s * 1000000)
    WHERE e.mark = 'clock' AND e.channel = 'Security' AND w.host_id IS NULL
        AND ABS(micros(e.new_time) - micros(e.old_time)) >= $clock_step_s * 1000000
),
candidates AS (
    SELECT e.host_id AS host_id, b.boot_id AS boot_id, e.time AS time, e.uid AS uid, e.old_time AS old_time,
        e.new_time AS new_time, COALESCE(b.security_from, -1) AS from_seq,
        COALESCE(b.security_until, 4611686018427387904) AS until_seq,
        ROW_NUMBER() OVER (
            PARTITION BY e.host_id, e.uid
            ORDER BY CASE WHEN e.seq >= b.system_from AND e.seq < COALESCE(b.system_until, 4611686018427387904)
                    THEN 0 ELSE 1 END ASC NULLS LAST,
                b.start_time DESC NULLS LAST, b.boot_id ASC NULLS LAST
        ) AS place
    FROM logged AS e
    JOIN boots AS b ON b.host_id = e.host_id AND (b.start_time IS NULL OR b.start_time <= e.old_time)
        AND (b.end_time IS NULL OR b.end_time >= e.new_time)
    LEFT JOIN wakes AS w ON w.host_id = e.host_id AND e.new_time > e.old_time
        AND (ABS(micros(w.time) - micros(e.new_time)) <= $wake_s * 1000000
            OR ABS(micros(w.time) - micros(e.old_time)) <= $wake_s * 1000000)
    WHERE e.mark = 'clock' AND e.channel = 'System' AND w.host_id IS NULL
        AND ABS(micros(e.new_time) - micros(e.old_time)) >= $clock_step_s * 1000000
),
others AS (
    SELECT c.host_id AS host_id, c.boot_id AS boot_id, c.time AS time, c.uid AS uid, c.old_time AS old_time,
        c.new_time AS new_time, c.from_seq AS from_seq, c.until_seq AS until_seq
    FROM candidates AS c
    LEFT JOIN told AS t ON t.host_id = c.host_id AND t.boot_id = c.boot_id
    WHERE c.place = 1 AND t.boot_id IS NULL
),
set_back AS (
    SELECT DISTINCT host_id AS host_id, boot_id AS boot_id, from_seq AS from_seq, until_seq AS until_seq
    FROM others
    WHERE new_time < old_time
),
ordered AS (
    SELECT b.host_id AS host_id, b.boot_id AS boot_id, e.seq AS seq, e.time AS time,
        LAG(e.time) OVER (PARTITION BY b.host_id, b.boot_id ORDER BY e.seq ASC NULLS LAST, e.uid ASC NULLS LAST)
            AS time_before
    FROM set_back AS b
    JOIN logged AS e ON e.host_id = b.host_id AND e.channel = 'Security' AND e.seq >= b.from_seq AND e.seq < b.until_seq
),
falls AS (
    SELECT o.host_id AS host_id, o.boot_id AS boot_id, o.uid AS uid, r.seq AS seq,
        ROW_NUMBER() OVER (
            PARTITION BY o.host_id, o.boot_id, o.uid
            ORDER BY micros(r.time_before) - micros(r.time) DESC NULLS LAST, r.seq ASC NULLS LAST
        ) AS place
    FROM others AS o
    JOIN ordered AS r ON r.host_id = o.host_id AND r.boot_id = o.boot_id
        AND r.time_before > r.time AND r.time_before <= o.old_time AND r.time >= o.new_time
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
    o.host_id AS host_id, o.boot_id AS boot_id, COALESCE(MIN(f.seq), MAX(o.until_seq)) AS seq, MIN(o.time) AS time,
    o.uid AS uid, MIN(micros(o.new_time) - micros(o.old_time)) AS step_us
FROM others AS o
LEFT JOIN falls AS f ON f.host_id = o.host_id AND f.boot_id = o.boot_id AND f.uid = o.uid AND f.place = 1
WHERE o.new_time < o.old_time
GROUP BY o.host_id, o.boot_id, o.uid
