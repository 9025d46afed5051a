-- One row for each computer that logs name and whose own log is not here.
-- Reads: host_names, accounts, account_names, events, marks.
-- A computer is known by its first label, of which Windows uses 15 characters. One of a workgroup is left out: such a
-- name is what a host that is here was called before. kind: no_controller_log where its groups tell that it is a domain
-- controller, no_log of other computers of a domain, no_named_log of a name that a client gave to itself.

WITH here AS (
    SELECT DISTINCT SUBSTR(CASE WHEN POSITION('.' IN computer_key) > 0
        THEN SUBSTR(computer_key, 1, POSITION('.' IN computer_key) - 1) ELSE computer_key END, 1, 15) AS label
    FROM host_names
),
-- the account of a trust is called after a domain, as that of a computer after the computer
domains AS (
    SELECT DISTINCT SUBSTR(CASE WHEN POSITION('.' IN domain_key) > 0
        THEN SUBSTR(domain_key, 1, POSITION('.' IN domain_key) - 1) ELSE domain_key END, 1, 15) AS label
    FROM account_names
    WHERE sid LIKE 'S-1-5-21-%' AND local_host_id IS NULL AND domain_key IS NOT NULL
),
-- a computer that was renamed is here under any of its names
computers AS (
    SELECT a.account_id AS account_id, MIN(n.name_key) AS name_key, MIN(a.account) AS account,
        MIN(a.first_seen) AS first_time, MAX(a.last_seen) AS last_time
    FROM accounts AS a
    JOIN account_names AS n ON n.account_id = a.account_id
    LEFT JOIN here AS h ON CONCAT(h.label, '$$') = n.name_key
    LEFT JOIN domains AS d ON CONCAT(d.label, '$$') = n.name_key
    WHERE a.kind = 'computer' AND a.local_host_id IS NULL AND NOT a.service_use AND n.name_key LIKE '%$$'
    GROUP BY a.account_id
    HAVING COUNT(h.label) = 0 AND COUNT(d.label) = 0 AND MAX(CASE WHEN a.sid LIKE 'S-1-5-21-%'
        OR COALESCE(n.domain_key, 'workgroup') <> 'workgroup' THEN 1 ELSE 0 END) = 1
),
-- a session of a computer tells its groups: S-1-5-9 is that of all controllers
acting AS (
    SELECT DISTINCT target_name_key AS name_key
    FROM events
    WHERE provider = 'Microsoft-Windows-Security-Auditing' AND event_id = 4627 AND target_name_key LIKE '%$$'
        AND CONCAT(' ', group_sids, ' ') LIKE '% S-1-5-9 %'
),
clients AS (
    SELECT SUBSTR(e.workstation_key, 1, 15) AS label, MIN(e.workstation) AS host, MIN(e.time) AS first_time,
        MAX(e.time) AS last_time
    FROM events AS e
    JOIN marks AS m ON m.provider = e.provider AND m.event_id = e.event_id AND m.mark IN ('logon', 'validation')
    WHERE COALESCE(e.status, 0) = 0 AND e.workstation_key NOT LIKE '%.%' AND e.workstation_key NOT LIKE '%:%'
    GROUP BY SUBSTR(e.workstation_key, 1, 15)
)
SELECT CASE WHEN MAX(CASE WHEN g.name_key IS NULL THEN 0 ELSE 1 END) = 1 THEN 'no_controller_log' ELSE 'no_log' END
        AS kind,
    MIN(c.account) AS host, MIN(c.first_time) AS first_time, MAX(c.last_time) AS last_time
FROM computers AS c
LEFT JOIN acting AS g ON g.name_key = c.name_key
GROUP BY c.name_key
UNION ALL
SELECT 'no_named_log' AS kind, w.host AS host, w.first_time AS first_time, w.last_time AS last_time
FROM clients AS w
LEFT JOIN here AS h ON h.label = w.label
LEFT JOIN (SELECT DISTINCT name_key AS name_key FROM computers) AS c ON c.name_key = CONCAT(w.label, '$$')
WHERE h.label IS NULL AND c.name_key IS NULL
