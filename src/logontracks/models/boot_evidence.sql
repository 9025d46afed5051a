-- One row for each sign that a host started or stopped, that it runs since a certain time, or that its clock was set.
-- Reads: logged.
-- seq to seq_last: where in its log. A sign that lies between two records (`fell`, logon ids that start anew) has the
-- last record before it in seq_before. claim: the start of the host that the record tells, or for a stop the time of
-- the stop. uptime_s: what a host can have run for. NULL where a sign has no such thing.

SELECT
    host_id AS host_id, channel AS channel, mark AS mark, seq AS seq, seq AS seq_last, CAST(NULL AS BIGINT) AS seq_before,
    time AS time, uid AS uid, CASE WHEN uptime_s BETWEEN 0 AND 4294967295 THEN uptime_s END AS uptime_s,
    boot_type AS boot_type, 1 AS records,
    CASE mark WHEN 'system_start' THEN boot_time WHEN 'system_stop' THEN stop_time WHEN 'unexpected_stop' THEN stop_time
        END AS claim,
    CASE WHEN mark = 'clock' THEN micros(new_time) - micros(old_time) END AS step_us
FROM logged
WHERE mark IN (
    'audit_start', 'audit_stop', 'audit_dropped', 'system_start', 'system_stop', 'log_start',
    'log_start_version', 'log_stop', 'unexpected_stop', 'dirty_start', 'uptime', 'boot_type', 'shutdown_asked', 'sleep',
    'clock')
UNION ALL
SELECT
    host_id AS host_id, MAX(channel) AS channel, 'hint' AS mark, MIN(seq) AS seq, MAX(seq) AS seq_last,
    CAST(NULL AS BIGINT) AS seq_before, MIN(time) AS time, value_at_first(uid, seq) AS uid, CAST(NULL AS BIGINT) AS uptime_s,
    CAST(NULL AS INTEGER) AS boot_type, COUNT(*) AS records, boot_hint AS claim, CAST(NULL AS BIGINT) AS step_us
FROM logged
WHERE boot_hint IS NOT NULL
GROUP BY host_id, boot_hint
UNION ALL
SELECT
    host_id AS host_id, channel AS channel, 'system_logon' AS mark, seq AS seq, seq AS seq_last,
    CAST(NULL AS BIGINT) AS seq_before, time AS time, uid AS uid, CAST(NULL AS BIGINT) AS uptime_s,
    CAST(NULL AS INTEGER) AS boot_type, 1 AS records, CAST(NULL AS TIMESTAMP) AS claim, CAST(NULL AS BIGINT) AS step_us
FROM logged
WHERE mark = 'logon' AND logon_type = 0
UNION ALL
SELECT
    host_id AS host_id, channel AS channel, 'ids_fell' AS mark, seq AS seq, seq AS seq_last, seq_before AS seq_before,
    time AS time, uid AS uid, CAST(NULL AS BIGINT) AS uptime_s, CAST(NULL AS INTEGER) AS boot_type, 1 AS records,
    CAST(NULL AS TIMESTAMP) AS claim, CAST(NULL AS BIGINT) AS step_us
FROM (
    SELECT
        host_id AS host_id, channel AS channel, seq AS seq, time AS time, uid AS uid, target_logon_id AS logon_id,
        LAG(seq) OVER (PARTITION BY host_id ORDER BY seq, uid) AS seq_before,
        LAG(time) OVER (PARTITION BY host_id ORDER BY seq, uid) AS time_before,
        LAG(target_logon_id) OVER (PARTITION BY host_id ORDER BY seq, uid) AS id_before
    FROM logged
    WHERE mark = 'logon' AND target_logon_id IS NOT NULL
        AND COALESCE(target_sid, '') NOT LIKE 'S-1-5-90-%' AND COALESCE(target_sid, '') NOT LIKE 'S-1-5-96-%'
) AS ordered
WHERE (logon_id < id_before
        -- ids have 64 bits: what lies between two of them may not
        AND (CAST(id_before AS DOUBLE) - CAST(logon_id AS DOUBLE) > $fall_ids
            OR ABS(micros(time) - micros(time_before)) > $fall_s * 1000000))
    -- given again; by two records of one moment it is told twice
    OR (logon_id = id_before AND ABS(micros(time) - micros(time_before)) > $fall_s * 1000000)
