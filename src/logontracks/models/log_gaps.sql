-- One row for each time of which a Security log tells nothing: before its first record, between two whose ids have others
-- between them, behind its last one.
-- Reads: log_runs.
-- A log that is in very many pieces was filtered, record by record: what it lacks is not one time.

WITH logs AS (
    SELECT host_id AS host_id, MIN(first_time) AS first_time, MAX(last_time) AS last_time,
        SUM(CASE WHEN first_id > reached + 1 THEN 1 ELSE 0 END) AS gaps
    FROM log_runs
    WHERE channel = 'Security'
    GROUP BY host_id
)
SELECT r.host_id AS host_id, r.told_until AS from_time, r.first_time AS until_time
FROM log_runs AS r
JOIN logs AS l ON l.host_id = r.host_id AND l.gaps <= $selection_runs
WHERE r.channel = 'Security' AND r.first_id > r.reached + 1
UNION ALL
SELECT host_id AS host_id, TIMESTAMP '1601-01-01 00:00:00' AS from_time, first_time AS until_time FROM logs
UNION ALL
SELECT host_id AS host_id, last_time AS from_time, TIMESTAMP '9999-12-31 00:00:00' AS until_time FROM logs
