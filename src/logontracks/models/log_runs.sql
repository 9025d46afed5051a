-- One row for each run of records of a host's log without a gap in a file, and how far the runs before it reach.
-- Reads: extents, host_logs.
-- NULL: reached of the first run, ids where the form has none.

SELECT n.host_id AS host_id, x.channel AS channel, x.first_record_id AS first_id, x.last_record_id AS last_id,
    x.first_time AS first_time, x.last_time AS last_time, x.records AS records,
    MAX(x.last_record_id) OVER w AS reached, MAX(x.last_time) OVER w AS told_until
FROM extents AS x
JOIN host_logs AS n ON n.computer_key = LOWER(x.computer)
    AND (n.source_sha256 IS NULL OR n.source_sha256 = x.source_sha256)
WINDOW w AS (PARTITION BY n.host_id, x.channel
    ORDER BY x.first_record_id ASC NULLS LAST, x.last_record_id ASC NULLS LAST, x.source_sha256 ASC NULLS LAST,
        x.first_time ASC NULLS LAST
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
