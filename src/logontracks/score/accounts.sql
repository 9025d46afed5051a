-- Accounts of sessions that are found: how many are one account of the table. Accounts of the table that had such a
-- session: how many are one account of the truth. An account of the truth is its SID; one of a host its SID and that host,
-- as clones share SIDs. Where a computer appears under the SID of SYSTEM, it is the computer. Names that are told: the
-- last one.

WITH seen AS (
    SELECT p.session, COALESCE(i.sid, t.sid) AS sid, CASE WHEN i.kind = 'local' THEN t.host ELSE '' END AS of_host,
        s.account_id, s.account, t.account AS true_account
    FROM session_pairs AS p
    JOIN truth.sessions AS t ON t.session = p.session
    JOIN sessions AS s ON s.session_id = p.session_id
    LEFT JOIN (SELECT DISTINCT sid, kind, account FROM truth.identities) AS i
        ON i.account = t.account AND (i.sid = t.sid OR t.sid NOT LIKE 'S-1-5-21-%')
    WHERE s.kind IS DISTINCT FROM 'window_manager' AND s.account_id IS NOT NULL AND t.sid IS NOT NULL
),
last_names AS (
    SELECT sid, arg_max(account, COALESCE(until_time, TIMESTAMP '9999-01-01')) AS account
    FROM truth.identities
    GROUP BY sid
)
SELECT 'accounts' AS measure, 'in the truth' AS level, 1 AS counted, (COUNT(DISTINCT account_id) = 1)::INTEGER AS correct,
    MIN(true_account) AS account, string_agg(DISTINCT account, ', ') AS told, concat_ws(' ', MIN(true_account), sid) AS truth,
    MIN(session) AS number
FROM seen
GROUP BY sid, of_host
UNION ALL BY NAME
SELECT 'accounts' AS measure, 'in the table' AS level, 1 AS counted,
    (COUNT(DISTINCT sid || of_host) = 1)::INTEGER AS correct, MIN(account) AS account, MIN(account) AS told,
    string_agg(DISTINCT true_account, ', ') AS truth, MIN(session) AS number
FROM seen
GROUP BY account_id
UNION ALL BY NAME
SELECT 'account name' AS measure, 'told' AS level, 1 AS counted, (LOWER(a.account) = LOWER(n.account))::INTEGER AS correct,
    a.account, a.account AS told, n.account AS truth
FROM (SELECT DISTINCT account_id, sid FROM seen) AS s
JOIN accounts AS a ON a.account_id = s.account_id
JOIN last_names AS n ON n.sid = s.sid
