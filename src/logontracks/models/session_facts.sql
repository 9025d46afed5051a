-- One row for each session, in numbers and times: all but what its records say in words, and its presence.
-- Reads: session_ends, spans, clock_steps, logged.
-- told_uid is the record that says most of it in words, other_uid that of the other half of a split logon.

WITH stepped AS (
    SELECT e.host_id AS host_id, e.boot_id AS boot_id, e.logon_id AS logon_id,
        -- a clock that a forged log sets to and fro between far years goes further than the numbers
        CAST(GREATEST(LEAST(SUM(c.step_us), 1000000000000000000), -1000000000000000000) AS BIGINT) AS step_us,
        MIN(c.uid) AS uid
    FROM session_ends AS e
    JOIN clock_steps AS c ON c.host_id = e.host_id AND c.boot_id = e.boot_id
        AND c.seq > COALESCE(e.start_seq, e.first_seq) AND c.seq <= e.end_seq
    GROUP BY e.host_id, e.boot_id, e.logon_id
),
bounds AS (
    SELECT e.host_id AS host_id, e.boot_id AS boot_id, e.logon_id AS logon_id, COALESCE(t.step_us, 0) AS step_us,
        CASE WHEN e.end_certainty = 'bounded' THEN
            CASE WHEN micros(e.bound_min) > micros(e.end_time) THEN e.end_time ELSE e.bound_min END END AS end_time_min,
        CASE WHEN e.end_certainty = 'bounded' THEN e.bound_max END AS end_time_max,
        CASE
            WHEN e.end_certainty = 'exact' THEN e.end_time
            WHEN e.end_certainty = 'bounded' AND micros(e.bound_min) > micros(e.end_time) THEN e.end_time
            WHEN e.end_certainty = 'bounded' THEN e.bound_min
            WHEN e.end_reason = 'still_open' AND e.stays THEN GREATEST(e.last_time, COALESCE(e.log_end, e.last_time))
            ELSE e.last_time END AS surely_until,
        CASE
            WHEN e.end_certainty = 'exact' THEN e.end_time
            WHEN e.end_certainty = 'bounded' OR e.end_reason = 'log_cleared' THEN e.bound_max END AS at_most_until
    FROM session_ends AS e
    LEFT JOIN stepped AS t ON t.host_id = e.host_id AND t.boot_id = e.boot_id AND t.logon_id = e.logon_id
)
SELECT
    -- one record may be the first of two sessions: what one did when the other began
    COALESCE(s.start_uid, text_id(CONCAT(CAST(s.first_uid AS VARCHAR), ' ', CAST(s.logon_id AS VARCHAR)))) AS session_id,
    s.host_id AS host_id, e.boot_id AS boot_id, s.logon_id AS logon_id, s.linked_logon_id AS linked_logon_id,
    s.logon_type AS logon_type, e.start_time AS start_time,
    CASE WHEN e.start_time IS NULL THEN 'unknown' ELSE 'exact' END AS start_certainty,
    e.end_time AS end_time, o.end_time_min AS end_time_min, o.end_time_max AS end_time_max,
    e.end_reason AS end_reason, e.end_certainty AS end_certainty, e.destroyed_time AS destroyed_time,
    CASE WHEN e.end_certainty = 'exact' AND e.start_time IS NOT NULL
        THEN GREATEST(micros(e.end_time) - micros(e.start_time) - o.step_us, 0) / 1000000.0 END AS duration_s,
    GREATEST(micros(o.surely_until) - micros(COALESCE(e.start_time, s.first_time)) - o.step_us, 0) / 1000000.0
        AS duration_min_s,
    -- GREATEST does not count what is NULL
    CASE WHEN o.at_most_until IS NOT NULL AND COALESCE(e.start_time, e.boot_start) IS NOT NULL
        THEN GREATEST(micros(o.at_most_until) - micros(COALESCE(e.start_time, e.boot_start)) - o.step_us, 0) / 1000000.0
        END AS duration_max_s,
    o.step_us / 1000000.0 AS clock_step_s, e.returns AS returns,
    CASE WHEN e.admin_uid IS NOT NULL THEN TRUE
        WHEN e.start_time IS NOT NULL AND d.host_id IS NOT NULL THEN FALSE END AS admin,
    s.elevated AS elevated, e.winrm AS winrm, e.shares AS shares, e.terminal_session AS terminal_session,
    e.is_desktop AS is_desktop, s.first_time AS first_time, e.last_time AS last_time, s.start_seq AS start_seq,
    e.end_seq AS end_seq, s.start_uid AS start_uid, s.first_uid AS first_uid, e.last_uid AS last_uid,
    e.end_uid AS end_uid, e.destroyed_uid AS destroyed_uid, e.admin_uid AS admin_uid, e.seat_uid AS seat_uid,
    e.homeless AS homeless, s.told_uid AS told_uid, s.other_uid AS other_uid
FROM session_ends AS e
JOIN bounds AS o ON o.host_id = e.host_id AND o.boot_id = e.boot_id AND o.logon_id = e.logon_id
JOIN spans AS s ON s.host_id = e.host_id AND s.boot_id = e.boot_id AND s.logon_id = e.logon_id
LEFT JOIN (SELECT DISTINCT host_id AS host_id FROM logged WHERE mark = 'admin') AS d ON d.host_id = e.host_id
