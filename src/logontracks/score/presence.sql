-- Minutes at a desktop in each state, of the sessions that are found: of those of the truth how many the table has, and of
-- those of the table how many are true. Both are cut to the time that the logs of the host reach.
-- What has no start is told from the first record of the session on. Where locks are not known to be logged, both mean
-- "active or locked", and where sleep is not, who may be locked may be asleep: right for either.
-- A clock that was set back says some minutes twice.

WITH reach AS (
    SELECT p.session, p.session_id, s.host, s.account, p.host AS true_host, h.first_seen, h.last_seen,
        s.first_time
    FROM session_pairs AS p
    JOIN sessions AS s ON s.session_id = p.session_id
    JOIN hosts AS h ON h.host_id = s.host_id
),
meant AS (
    SELECT r.*, t.state, GREATEST(clock(r.true_host, t.start_time), r.first_seen) AS start_time,
        LEAST(COALESCE(clock(r.true_host, t.end_time), r.last_seen), r.last_seen) AS end_time,
        ROW_NUMBER() OVER (ORDER BY r.session, t.start_time, t.state) AS n
    FROM reach AS r
    JOIN truth.presence AS t ON t.session = r.session
),
told AS (
    SELECT r.*, CASE WHEN t.state IN ('active', 'locked') AND NOT t.locks_known THEN 'active or locked' ELSE t.state END
            || CASE WHEN t.sleep_known THEN '' WHEN t.state = 'asleep' THEN ' or locked'
                WHEN t.state = 'locked' OR (t.state = 'active' AND NOT t.locks_known) THEN ' or asleep' ELSE '' END AS state,
        GREATEST(COALESCE(t.start_time, r.first_time), r.first_seen) AS start_time,
        LEAST(COALESCE(t.end_time, r.last_seen), r.last_seen) AS end_time,
        ROW_NUMBER() OVER (ORDER BY r.session_id, t.start_time, t.state) AS n
    FROM reach AS r
    JOIN presence AS t ON t.session_id = r.session_id
    WHERE t.state IS NOT NULL
),
both_say AS (
    SELECT m.n AS meant_n, t.n AS told_n, m.state, t.state AS told_state,
        seconds(LEAST(m.end_time, t.end_time), GREATEST(m.start_time, t.start_time)) / 60 AS minutes
    FROM meant AS m
    JOIN told AS t ON t.session_id = m.session_id AND t.start_time < m.end_time AND m.start_time < t.end_time
    WHERE contains(t.state, m.state)
)
SELECT 'presence' AS measure, 'true minutes ' || ANY_VALUE(m.state) AS level,
    ANY_VALUE(seconds(m.end_time, m.start_time)) / 60 AS counted,
    LEAST(COALESCE(SUM(b.minutes), 0), counted) AS correct,
    ANY_VALUE(m.host) AS host, ANY_VALUE(m.account) AS account, ANY_VALUE(m.start_time) AS time,
    ANY_VALUE(m.start_time::VARCHAR || ' to ' || m.end_time) AS truth,
    ANY_VALUE(seconds(m.end_time, m.start_time)) - COALESCE(SUM(b.minutes), 0) * 60 AS off_s,
    ANY_VALUE(told_id(m.session_id)) AS id, ANY_VALUE(m.session) AS number
FROM meant AS m
LEFT JOIN both_say AS b ON b.meant_n = m.n
WHERE m.end_time > m.start_time
GROUP BY m.n
UNION ALL BY NAME
SELECT 'presence' AS measure, 'told minutes ' || ANY_VALUE(t.state) AS level,
    ANY_VALUE(seconds(t.end_time, t.start_time)) / 60 AS counted,
    LEAST(COALESCE(SUM(b.minutes), 0), counted) AS correct,
    ANY_VALUE(t.host) AS host, ANY_VALUE(t.account) AS account, ANY_VALUE(t.start_time) AS time,
    ANY_VALUE(t.start_time::VARCHAR || ' to ' || t.end_time) AS told,
    ANY_VALUE(seconds(t.end_time, t.start_time)) - COALESCE(SUM(b.minutes), 0) * 60 AS off_s,
    ANY_VALUE(told_id(t.session_id)) AS id, ANY_VALUE(t.session) AS number
FROM told AS t
LEFT JOIN both_say AS b ON b.told_n = t.n
WHERE t.end_time > t.start_time
GROUP BY t.n
