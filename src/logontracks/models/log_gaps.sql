-- One row for each time of which the Security or the System log of a host tells nothing: before its first record, between
-- two whose ids have others between them, behind its last one.
-- Reads: log_runs.
-- A log that is in very many pieces was filtered, record by record: any record of its time may lack.

WITH logs AS (
    SELECT host_id AS host_id, channel AS channel, MIN(first_time) AS first_time, MAX(last_time) AS last_time,
        SUM(CASE WHEN first_id > reached + 1 THEN 1 ELSE 0 END) AS gaps
    FROM log_runs
    WHERE channel IN ('Security', 'System')
    GROUP BY host_id, channel
)
SELECT r.host_id AS host_id, r.channel AS channel, r.told_until AS from_time, r.first_time AS until_time
FROM log_runs AS r
JOIN logs AS l ON l.host_id = r.host_id AND l.channel = r.channel AND l.gaps <= $selection_runs
WHERE r.first_id > r.reached + 1
UNION ALL
SELECT host_id AS host_id, channel AS channel, TIMESTAMP '1601-01-01 00:00:00' AS from_time,
    CASE WHEN gaps > $selection_runs THEN last_time ELSE first_time END AS until_time
FROM logs
UNION ALL
SELECT host_id AS host_id, channel AS channel, last_time AS from_time, TIMESTAMP '9999-12-31 00:00:00' AS until_time
FROM logs
