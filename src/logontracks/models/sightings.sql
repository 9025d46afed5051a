-- One row for each record that shows a machine at an address; and for each day with records of an address, when a given
-- list has a machine there: the first and the last moment of it.
-- Reads: logged, account_lookup, accounts, host_lookup, given_addresses.
-- machine_key: its name, first label, in lower case. machine: what it is whatever its name is: host, account or name; blank
-- right before and after what the list has. rank: 1 for what a controller or another host vouches for (the machine's own
-- account came from there) and for the list, 2 for a name that the client claims. disputed: 1 where the list has another
-- machine. NULL: uid of what is no record.

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
        AND e.workstation_key NOT IN ($no_names) AND e.source_address IS NOT NULL
),
listed AS (
    SELECT g.address AS address, g.machine_key AS machine_key,
        COALESCE(g.from_time, TIMESTAMP '1601-01-01 00:00:00') AS from_time,
        COALESCE(g.until_time, TIMESTAMP '9999-12-31 00:00:00') AS until_time,
        CAST(d.day AS TIMESTAMP) AS day_from, CAST(d.day AS TIMESTAMP) + INTERVAL '1' DAY AS day_until
    FROM given_addresses AS g
    JOIN (SELECT DISTINCT source_address AS address, CAST(time AS DATE) AS day FROM logged) AS d
        ON d.address = g.address
    WHERE CAST(d.day AS TIMESTAMP) + INTERVAL '1' DAY > COALESCE(g.from_time, TIMESTAMP '1601-01-01 00:00:00')
        AND CAST(d.day AS TIMESTAMP) < COALESCE(g.until_time, TIMESTAMP '9999-12-31 00:00:00')
),
given AS (
    SELECT address AS address, GREATEST(day_from, from_time) AS time, machine_key AS machine_key FROM listed
    UNION ALL
    SELECT address AS address, LEAST(day_until, until_time) - INTERVAL '2' MICROSECOND AS time,
        machine_key AS machine_key
    FROM listed
    UNION ALL
    SELECT address AS address, from_time - INTERVAL '1' MICROSECOND AS time, '' AS machine_key
    FROM listed
    WHERE from_time >= day_from
    UNION ALL
    SELECT address AS address, until_time AS time, '' AS machine_key FROM listed WHERE until_time <= day_until
),
named AS (
    SELECT DISTINCT address AS address, time AS time, CAST(NULL AS BIGINT) AS uid, 'given' AS told_by, 1 AS rank,
        machine_key AS machine_key
    FROM given
    UNION ALL
    SELECT t.address AS address, t.time AS time, t.uid AS uid, t.told_by AS told_by, t.rank AS rank,
        CASE WHEN POSITION('.' IN t.name_key) > 1 THEN SUBSTR(t.name_key, 1, POSITION('.' IN t.name_key) - 1)
            ELSE t.name_key END AS machine_key
    FROM told AS t
    WHERE t.address NOT LIKE '127.%' AND t.address NOT LIKE 'fe80:%' AND t.address NOT LIKE '169.254.%'
        AND t.address NOT IN ($no_addresses)
),
machines AS (
    SELECT k.machine_key AS machine_key, h.host_id AS host_id, COALESCE(a.kind, 'computer') AS kind,
        CASE WHEN h.host_id IS NOT NULL THEN CONCAT('host ', CAST(h.host_id AS VARCHAR))
            WHEN l.account_id IS NOT NULL THEN CONCAT('account ', CAST(l.account_id AS VARCHAR))
            ELSE k.machine_key END AS machine
    FROM (SELECT machine_key AS machine_key FROM named UNION SELECT machine_key AS machine_key FROM given_addresses) AS k
    LEFT JOIN host_lookup AS h ON h.name_key = k.machine_key
    LEFT JOIN account_lookup AS l ON l.name_key = CONCAT(k.machine_key, '$$') AND l.domain_key IS NULL
    LEFT JOIN accounts AS a ON a.account_id = l.account_id
),
disputes AS (
    SELECT DISTINCT n.address AS address, n.time AS time, n.machine_key AS machine_key
    FROM named AS n
    JOIN machines AS m ON m.machine_key = n.machine_key AND m.machine <> ''
    JOIN given_addresses AS g ON g.address = n.address
        AND n.time >= COALESCE(g.from_time, TIMESTAMP '1601-01-01 00:00:00')
        AND n.time < COALESCE(g.until_time, TIMESTAMP '9999-12-31 00:00:00')
    JOIN machines AS o ON o.machine_key = g.machine_key AND o.machine <> m.machine
)
SELECT n.address AS address, n.time AS time, n.uid AS uid, n.told_by AS told_by, n.rank AS rank,
    n.machine_key AS machine_key, m.machine AS machine, m.host_id AS host_id,
    CASE WHEN d.address IS NULL THEN 0 ELSE 1 END AS disputed
FROM named AS n
JOIN machines AS m ON m.machine_key = n.machine_key
LEFT JOIN disputes AS d ON d.address = n.address AND d.time = n.time AND d.machine_key = n.machine_key
-- a managed service account is named like a computer
WHERE n.rank = 2 OR m.kind = 'computer'
