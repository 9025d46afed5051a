-- One row for each log of a host: what of it is in the case.
-- Reads: extents, host_names.
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

WITH runs AS (
    SELECT n.host_id AS host_id, x.channel AS channel, x.first_record_id AS first_id, x.last_record_id AS last_id,
        x.first_time AS first_time, x.last_time AS last_time, x.records AS records,
        MAX(x.last_record_id) OVER (
            PARTITION BY n.host_id, x.channel
            ORDER BY x.first_record_id ASC NULLS LAST, x.last_record_id ASC NULLS LAST, x.source_sha256 ASC NULLS LAST,
                x.first_time ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
    FROM extents AS x
    JOIN host_names AS n ON n.computer_key = LOWER(x.computer)
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
        / (MAX(r.last_id) - MIN(r.first_id) + 1) END AS part
FROM runs AS r
JOIN host_names AS h ON h.host_id = r.host_id AND h.computer_key = h.host_key
GROUP BY r.host_id, h.computer, r.channel
