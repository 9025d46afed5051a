-- Lives of hosts that reach into their logs: how many are found. Lives of the table: how many are no invention. Their ends,
-- by what the table claims, and why they ended: a restart says only that the host started again, and is right wherever it
-- did.

WITH reach AS (
    SELECT t.host, t.boot_no, clock(t.host, t.start_time) AS start_time, clock(t.host, t.end_time) AS end_time, t.end_kind,
        h.host_id
    FROM truth.boots AS t
    JOIN host_pairs AS p ON p.host = t.host
    JOIN hosts AS h ON h.host_id = p.host_id
    WHERE clock(t.host, t.start_time) < h.last_seen AND COALESCE(clock(t.host, t.end_time) > h.first_seen, TRUE)
),
found AS (
    SELECT r.start_time AS true_start, r.end_time AS true_end, r.end_kind AS true_kind, r.boot_no AS number, b.*
    FROM life_pairs AS p
    JOIN boots AS b ON b.boot_id = p.boot_id
    JOIN reach AS r ON r.host = p.host AND r.boot_no = p.boot_no AND r.host_id = b.host_id
)
SELECT 'boots' AS measure, 'in the truth' AS level, 1 AS counted, (p.boot_id IS NOT NULL)::INTEGER AS correct, r.host,
    r.start_time AS time, concat_ws(' ', r.start_time, 'to', r.end_time, r.end_kind) AS truth, r.boot_no AS number
FROM (SELECT DISTINCT ON (host, boot_no) * FROM reach) AS r
LEFT JOIN life_pairs AS p ON p.host = r.host AND p.boot_no = r.boot_no
UNION ALL BY NAME
SELECT 'boots' AS measure, 'in the table' AS level, 1 AS counted, (p.boot_id IS NOT NULL)::INTEGER AS correct, b.host,
    COALESCE(b.start_time, b.last_time) AS time,
    concat_ws(' ', b.start_time, b.started_by, 'to', b.end_time, b.ended_by) AS told, b.boot_no AS number
FROM boots AS b
LEFT JOIN life_pairs AS p ON p.boot_id = b.boot_id
UNION ALL BY NAME
SELECT 'boot start' AS measure, 'told' AS level, 1 AS counted,
    (ABS(seconds(start_time, true_start)) <= $start_s)::INTEGER AS correct, host, start_time AS time,
    concat_ws(' ', start_time, started_by) AS told, true_start::VARCHAR AS truth,
    ABS(seconds(start_time, true_start)) AS off_s, number
FROM found
WHERE start_time IS NOT NULL
UNION ALL BY NAME
SELECT 'boot end' AS measure, end_certainty AS level, 1 AS counted,
    CASE end_certainty
        WHEN 'exact' THEN COALESCE(ABS(seconds(end_time, true_end)) <= $start_s, FALSE)::INTEGER
        WHEN 'bounded' THEN COALESCE(true_end >= end_time_min - to_seconds($near_s), end_time_min IS NULL)::INTEGER
            * COALESCE(true_end <= end_time_max + to_seconds($near_s), end_time_max IS NULL)::INTEGER
    END AS correct,
    host, start_time AS time, concat_ws(' ', end_kind, COALESCE(end_time_min, end_time), end_time_max) AS told,
    concat_ws(' ', true_kind, true_end) AS truth, ABS(seconds(end_time, true_end)) AS off_s, number
FROM found
UNION ALL BY NAME
SELECT 'boot end kind' AS measure, b.end_kind AS level, 1 AS counted,
    CASE b.end_kind
        WHEN 'running' THEN b.true_end IS NULL OR b.true_end > h.last_seen - to_seconds($start_s)
        WHEN 'restart' THEN b.true_end IS NOT NULL
        ELSE COALESCE(b.end_kind = b.true_kind, FALSE) END::INTEGER AS correct,
    b.host, b.start_time AS time, concat_ws(' ', b.end_kind, b.end_time) AS told,
    concat_ws(' ', b.true_kind, b.true_end) AS truth, b.number
FROM found AS b
JOIN hosts AS h ON h.host_id = b.host_id
