-- Sessions whose start is in the logs: how many of them are found. Sessions of the table: how many are no invention.
-- Starts that are told, accounts, ways of opening and source addresses of those that are found: how many are right.
-- To call a logon by WinRM or to a share one over the network says too little, and nothing wrong: it counts apart.
-- Window managers are sessions of nobody, and left out; so is what an unlock opens.

WITH found AS (
    SELECT p.session, p.session_id, p.start_time AS true_start, t.host AS true_host, t.account AS true_account,
        t.sid AS true_sid, t.opened_by AS true_way, NULLIF(NULLIF(t.source_address, '127.0.0.1'), '::1') AS true_source,
        s.*
    FROM session_pairs AS p
    JOIN truth.sessions AS t ON t.session = p.session
    JOIN sessions AS s ON s.session_id = p.session_id
    WHERE s.kind IS DISTINCT FROM 'window_manager' AND t.opened_by IS DISTINCT FROM 'unlock'
)
SELECT 'sessions' AS measure, 'in the truth' AS level, 1 AS counted, (p.session IS NOT NULL)::INTEGER AS correct,
    t.host, t.account, clock(t.host, t.start_time) AS time, NULL AS told, concat_ws(' ', t.opened_by, t.end_kind) AS truth,
    NULL AS off_s, NULL AS id, t.session AS number
FROM truth.sessions AS t
LEFT JOIN session_pairs AS p ON p.session = t.session
WHERE t.logged AND COALESCE(t.opened_by, '') NOT IN ('window_manager', 'unlock')
UNION ALL BY NAME
SELECT 'sessions' AS measure, 'in the table' AS level, 1 AS counted, (p.session IS NOT NULL)::INTEGER AS correct,
    s.host, s.account, COALESCE(s.start_time, s.first_time) AS time, concat_ws(' ', s.opened_by, s.end_reason) AS told,
    told_id(s.session_id) AS id, p.session AS number
FROM sessions AS s
LEFT JOIN session_pairs AS p ON p.session_id = s.session_id
WHERE s.kind IS DISTINCT FROM 'window_manager'
UNION ALL BY NAME
SELECT 'start' AS measure, start_certainty AS level, 1 AS counted,
    (ABS(seconds(start_time, true_start)) <= $near_s)::INTEGER AS correct, host, account, start_time AS time,
    start_time::VARCHAR AS told, true_start::VARCHAR AS truth, ABS(seconds(start_time, true_start)) AS off_s,
    told_id(session_id) AS id, session AS number
FROM found
UNION ALL BY NAME
SELECT 'account' AS measure, 'told' AS level, 1 AS counted,
    (sid = true_sid OR (sid IS NULL AND LOWER(account) = LOWER(true_account)))::INTEGER AS correct, host, account,
    COALESCE(start_time, first_time) AS time, concat_ws(' ', account, sid) AS told,
    concat_ws(' ', true_account, true_sid) AS truth, told_id(session_id) AS id, session AS number
FROM found
WHERE account IS NOT NULL
UNION ALL BY NAME
SELECT 'opened by' AS measure, opened_by || CASE WHEN opened_by = 'network' AND true_way IN ('network_share', 'winrm')
        THEN ', was ' || true_way ELSE '' END AS level, 1 AS counted,
    CASE WHEN opened_by <> 'network' OR true_way NOT IN ('network_share', 'winrm') THEN (opened_by = true_way)::INTEGER END AS correct, host,
    account, COALESCE(start_time, first_time) AS time, opened_by AS told, true_way AS truth, told_id(session_id) AS id,
    session AS number
FROM found
WHERE true_way IS NOT NULL
UNION ALL BY NAME
SELECT 'source address' AS measure, 'told' AS level, 1 AS counted, (source_address = true_source)::INTEGER AS correct,
    host, account, COALESCE(start_time, first_time) AS time, source_address AS told, true_source AS truth,
    told_id(session_id) AS id, session AS number
FROM found
WHERE source_address NOT IN ('127.0.0.1', '::1') AND true_source IS NOT NULL
