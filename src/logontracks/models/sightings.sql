-- One row for each record that shows a machine at an address.
-- Reads: logged, account_lookup, accounts, host_lookup.
-- machine_key: its name, first label, in lower case. machine: what it is whatever its name is: host, account or name. rank: 1 for what a controller or another host vouches for (the
-- machine's own account came from there), 2 for a name that the client claims.

WITH told AS (
    SELECT e.source_address AS address, e.time AS time, e.uid AS uid, 'ticket' AS told_by, 1 AS rank,
        SUBSTR(e.target_name_key, 1, LENGTH(e.target_name_key) - 1) AS name_key
    FROM logged AS e
    WHERE e.mark IN ('ticket', 'service_ticket', 'renewal') AND e.target_name_key LIKE '_%$$'
        AND e.source_address IS NOT NULL AND COALESCE(e.status, 0) = 0
    UNION ALL
    SELECT e.source_address AS address, e.time AS time, e.uid AS uid, 'computer_logon' AS told_by, 1 AS rank,
        SUBSTR(e.target_name_key, 1, LENGTH(e.target_name_key) - 1) AS name_key
    FROM logged AS e
    WHERE e.mark = 'logon' AND e.logon_type = 3 AND e.target_name_key LIKE '_%$$' AND e.source_address IS NOT NULL
    UNION ALL
    SELECT e.source_address AS address, e.time AS time, e.uid AS uid,
        CASE WHEN e.mark = 'logon' THEN 'client_name' ELSE 'terminal_client' END AS told_by, 2 AS rank,
        e.workstation_key AS name_key
    FROM logged AS e
    WHERE (e.mark IN ('reconnect', 'disconnect') OR (e.mark = 'logon' AND e.logon_type = 3))
        AND e.workstation_key IS NOT NULL AND e.source_address IS NOT NULL
),
named AS (
    SELECT t.address AS address, t.time AS time, t.uid AS uid, t.told_by AS told_by, t.rank AS rank,
        CASE WHEN POSITION('.' IN t.name_key) > 1 THEN SUBSTR(t.name_key, 1, POSITION('.' IN t.name_key) - 1)
            ELSE t.name_key END AS machine_key
    FROM told AS t
    WHERE t.address NOT LIKE '127.%' AND t.address NOT LIKE 'fe80:%' AND t.address NOT LIKE '169.254.%'
        AND t.address NOT IN ($no_addresses)
)
SELECT n.address AS address, n.time AS time, n.uid AS uid, n.told_by AS told_by, n.rank AS rank,
    n.machine_key AS machine_key, h.host_id AS host_id,
    CASE WHEN h.host_id IS NOT NULL THEN CONCAT('host ', CAST(h.host_id AS VARCHAR))
        WHEN l.account_id IS NOT NULL THEN CONCAT('account ', CAST(l.account_id AS VARCHAR))
        ELSE n.machine_key END AS machine
FROM named AS n
LEFT JOIN host_lookup AS h ON h.name_key = n.machine_key
-- a managed service account is named like a computer
LEFT JOIN account_lookup AS l ON l.name_key = CONCAT(n.machine_key, '$$') AND l.domain_key IS NULL
LEFT JOIN accounts AS a ON a.account_id = l.account_id
WHERE n.rank = 2 OR COALESCE(a.kind, 'computer') = 'computer'
