-- Sessions that came from another one, where the case has both: how many have it as their best hop; how many have at least
-- its host. Best hops that are told, by rule: how many are right. All that are told, by certainty.
-- A hop without a session tells a machine, and is right when it is that; one that tells a session must be right in it.

WITH meant AS (
    SELECT p.session, p.session_id, t.host, t.account, p.start_time AS time, t.opened_by, t.parent_session, t.attack,
        t.source_address, COALESCE(f.host, t.source_host) AS from_host, q.session_id AS from_session_id
    FROM session_pairs AS p
    JOIN truth.sessions AS t ON t.session = p.session
    LEFT JOIN truth.sessions AS f ON f.session = t.parent_session
    LEFT JOIN session_pairs AS q ON q.session = t.parent_session
    WHERE t.logged AND t.account NOT LIKE '%$$' AND COALESCE(t.opened_by, '') NOT IN ('window_manager', 'unlock')
),
told AS (
    SELECT m.*, h.place, h.rule, h.certainty, h.from_session_id AS told_session_id, h.from_host AS told_host,
        h.from_host_id AS told_host_id, h.from_account AS told_account,
        p.host_id IS NOT NULL AS host_right,
        CASE WHEN h.from_session_id IS NOT NULL THEN COALESCE(h.from_session_id = m.from_session_id, FALSE)
            WHEN h.from_host_id IS NOT NULL THEN p.host_id IS NOT NULL
            ELSE list_has_any(string_split(LOWER(h.from_host), ' '),
                list_append(names_of(m.from_host), m.source_address)) END AS correct
    FROM meant AS m
    JOIN hops AS h ON h.to_session_id = m.session_id
    LEFT JOIN host_pairs AS p ON p.host = m.from_host AND p.host_id = h.from_host_id
),
rows AS (
    SELECT m.session, m.session_id, m.host, m.account, m.time,
        concat_ws(' ', t.rule, round(t.certainty, 3), t.told_host, t.told_account, told_id(t.told_session_id)) AS told,
        concat_ws(' ', m.opened_by, 'from', m.from_host, m.source_address, f.account, told_id(m.from_session_id), m.attack)
            AS truth,
        t.rule, t.certainty, t.place, t.told_session_id, COALESCE(t.correct, FALSE) AS correct,
        COALESCE(t.host_right, FALSE) AS host_right, m.from_session_id
    FROM meant AS m
    LEFT JOIN truth.sessions AS f ON f.session = m.parent_session
    LEFT JOIN told AS t ON t.session = m.session
)
SELECT 'hops' AS measure, level, 1 AS counted, correct::INTEGER AS correct, host, account, time, told, truth, off_s,
    told_id(session_id) AS id, session AS number
FROM (
    SELECT 'in the truth' AS level, correct, NULL AS off_s, rows.* EXCLUDE (correct)
    FROM rows
    WHERE from_session_id IS NOT NULL AND COALESCE(place, 1) = 1
    UNION ALL BY NAME
    SELECT 'in the truth, host' AS level, host_right AS correct, rows.* EXCLUDE (correct)
    FROM rows
    WHERE from_session_id IS NOT NULL AND COALESCE(place, 1) = 1
    UNION ALL BY NAME
    SELECT CASE WHEN told_session_id IS NULL THEN 'in the table, machine' ELSE 'in the table, session' END AS level,
        certainty AS off_s, rows.*
    FROM rows
    WHERE place = 1
    UNION ALL BY NAME
    SELECT 'told by ' || rule AS level, certainty AS off_s, rows.*
    FROM rows
    WHERE place = 1
    UNION ALL BY NAME
    SELECT bin(certainty) AS level, certainty AS off_s, rows.*
    FROM rows
    WHERE place IS NOT NULL
)
