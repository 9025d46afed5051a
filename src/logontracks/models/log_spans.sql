-- One row for each log of a host: what of it is in the case.
-- Reads: log_runs, host_names, logged.
-- NULL: record ids where the form has none.
--
-- Columns:
--   host_id BIGINT: Host
--   host VARCHAR: The last of its names
--   channel VARCHAR: Log
--   first_time TIMESTAMP: Earliest record
--   last_time TIMESTAMP: Latest record
--   first_record_id BIGINT: First record id
--   last_record_id BIGINT: Last record id
--   runs BIGINT: Runs of records without a gap
--   records BIGINT: Records that are here, kept or not; a copy in another file does not count again
--   missing BIGINT: Records between the first and the last that are in no file
--   part DOUBLE: Records that are here, of all between the first and the last: 1 is all
--   clears BIGINT: How often it says that it was cleared (1102, 104)
--   stops BIGINT: How often it says that the event log service stopped (1100, 6006), or auditing (4609, 513)
--   starts BIGINT: How often it says that the service started (6005), or auditing with it (4608, 512)

WITH service AS (
    SELECT host_id AS host_id, channel AS channel,
        SUM(CASE WHEN mark = 'clear' AND COALESCE(object_name, channel) = channel THEN 1 ELSE 0 END) AS clears,
        SUM(CASE WHEN mark IN ('audit_stop', 'log_stop') THEN 1 ELSE 0 END) AS stops,
        SUM(CASE WHEN mark IN ('audit_start', 'log_start') THEN 1 ELSE 0 END) AS starts
    FROM logged
    WHERE mark IN ('clear', 'audit_stop', 'log_stop', 'audit_start', 'log_start')
    GROUP BY host_id, channel
)
SELECT
    r.host_id AS host_id, h.computer AS host, r.channel AS channel, MIN(r.first_time) AS first_time,
    MAX(r.last_time) AS last_time, MIN(r.first_id) AS first_record_id, MAX(r.last_id) AS last_record_id,
    CAST(SUM(CASE WHEN r.first_id > COALESCE(r.reached, -1) + 1 OR r.reached IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS runs,
    CAST(SUM(CASE WHEN r.first_id IS NULL THEN r.records
        WHEN r.reached IS NULL OR r.first_id > r.reached THEN r.last_id - r.first_id + 1
        WHEN r.last_id > r.reached THEN r.last_id - r.reached
        ELSE 0 END) AS BIGINT) AS records,
    CAST(SUM(CASE WHEN r.first_id > r.reached + 1 THEN r.first_id - r.reached - 1 ELSE 0 END) AS BIGINT) AS missing,
    CASE WHEN MAX(r.last_id) > MIN(r.first_id) THEN 1.0 - CAST(
        SUM(CASE WHEN r.first_id > r.reached + 1 THEN r.first_id - r.reached - 1 ELSE 0 END) AS DOUBLE)
        / (MAX(r.last_id) - MIN(r.first_id) + 1) END AS part,
    CAST(COALESCE(MAX(s.clears), 0) AS BIGINT) AS clears, CAST(COALESCE(MAX(s.stops), 0) AS BIGINT) AS stops,
    CAST(COALESCE(MAX(s.starts), 0) AS BIGINT) AS starts
FROM log_runs AS r
JOIN host_names AS h ON h.host_id = r.host_id AND h.computer_key = h.host_key
LEFT JOIN service AS s ON s.host_id = r.host_id AND s.channel = r.channel
GROUP BY r.host_id, h.computer, r.channel
