-- Ends of the sessions that are found, by what the table claims: exact is right within some seconds, bounded is right when
-- the end lies between its bounds. A shutdown takes its time, and so does Windows to take down a desktop that its user has
-- left, where only that is in the logs (4634 without 4647). What is open or unknown claims no time, and is not judged.
-- Ends that a record of the case tells (4634 or 4647 of that logon id at the true time): how many are claimed exact.

WITH found AS (
    SELECT p.session, p.end_time AS true_end, t.end_kind, t.logon_id AS true_logon_id,
        t.linked_logon_id AS true_linked_logon_id,
        CASE WHEN s.end_reason = 'shutdown' OR (s.end_reason = 'logoff' AND s.logon_type NOT IN (3, 8))
            THEN $start_s ELSE $near_s END AS near_s, s.*
    FROM session_pairs AS p
    JOIN truth.sessions AS t ON t.session = p.session
    JOIN sessions AS s ON s.session_id = p.session_id
    WHERE s.kind IS DISTINCT FROM 'window_manager' AND t.opened_by IS DISTINCT FROM 'unlock'
),
logged AS (
    SELECT DISTINCT f.session
    FROM found AS f
    JOIN host_names AS n ON n.host_id = f.host_id
    JOIN events AS e ON e.computer_key = n.computer_key AND e.target_logon_id IN (f.true_logon_id, f.true_linked_logon_id)
        AND e.channel = 'Security' AND e.event_id IN (4634, 4647)
    WHERE ABS(seconds(e.time, f.true_end)) <= $near_s
)
SELECT 'end' AS measure, CASE WHEN end_reason = 'still_open' THEN 'open' ELSE end_certainty END AS level, 1 AS counted,
    CASE end_certainty
        WHEN 'exact' THEN COALESCE(ABS(seconds(end_time, true_end)) <= near_s, FALSE)::INTEGER
        WHEN 'bounded' THEN COALESCE(true_end >= end_time_min - to_seconds(near_s), end_time_min IS NULL)::INTEGER
            * COALESCE(true_end <= end_time_max + to_seconds(near_s), end_time_max IS NULL)::INTEGER
    END AS correct,
    host, account, COALESCE(start_time, first_time) AS time,
    concat_ws(' ', end_reason, CASE end_certainty WHEN 'exact' THEN end_time::VARCHAR
        WHEN 'bounded' THEN concat_ws(' to ', end_time_min, end_time_max) END) AS told,
    concat_ws(' ', end_kind, true_end) AS truth, ABS(seconds(end_time, true_end)) AS off_s, told_id(session_id) AS id,
    session AS number
FROM found
UNION ALL BY NAME
SELECT 'end' AS measure, 'logged' AS level, 1 AS counted, (f.end_certainty = 'exact')::INTEGER AS correct, f.host,
    f.account, COALESCE(f.start_time, f.first_time) AS time, concat_ws(' ', f.end_reason, f.end_certainty) AS told,
    concat_ws(' ', f.end_kind, f.true_end) AS truth, told_id(f.session_id) AS id, f.session AS number
FROM found AS f
JOIN logged AS l ON l.session = f.session
