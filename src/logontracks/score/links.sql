-- Sessions of people and services that somebody opened, whose authentication is in the logs: how many have it as their
-- surest link. Links that are told, by rule and by certainty: how many are right.

WITH own AS (
    SELECT p.session, p.session_id, t.host, t.account, p.start_time AS time, t.opened_by
    FROM session_pairs AS p
    JOIN truth.sessions AS t ON t.session = p.session
    WHERE t.logged AND t.account NOT LIKE '%$$' AND COALESCE(t.opened_by, '') NOT IN ('window_manager', 'unlock')
),
meant AS (
    SELECT DISTINCT l.session, p.authentication_id
    FROM truth.links AS l
    JOIN authentication_pairs AS p ON p.authentication = l.authentication
),
told AS (
    SELECT o.*, l.authentication_id, l.rule, l.certainty, l.apart_s, m.authentication_id IS NOT NULL AS correct,
        ROW_NUMBER() OVER (PARTITION BY o.session ORDER BY l.certainty DESC, l.authentication_id) AS place
    FROM own AS o
    JOIN links AS l ON l.session_id = o.session_id
    LEFT JOIN meant AS m ON m.session = o.session AND m.authentication_id = l.authentication_id
)
SELECT 'links' AS measure, 'in the truth' AS level, 1 AS counted, COALESCE(t.correct, FALSE)::INTEGER AS correct, o.host,
    o.account, o.time, concat_ws(' ', t.rule, 'e-' || t.authentication_id) AS told,
    concat_ws(' ', o.opened_by, m.told) AS truth, told_id(o.session_id) AS id, o.session AS number
FROM own AS o
JOIN (
    SELECT session, string_agg('e-' || authentication_id, ' ' ORDER BY authentication_id) AS told
    FROM meant
    GROUP BY session
) AS m ON m.session = o.session
LEFT JOIN told AS t ON t.session = o.session AND t.place = 1
UNION ALL BY NAME
SELECT 'links' AS measure, UNNEST(['told by ' || rule, bin(certainty)]) AS level, 1 AS counted, correct::INTEGER AS correct, host, account, time,
    concat_ws(' ', certainty, 'e-' || authentication_id) AS told, opened_by AS truth, apart_s AS off_s,
    told_id(session_id) AS id, session AS number
FROM told
