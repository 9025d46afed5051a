-- One row for each session and each machine that it can have come from, as what told the machine: a record there, the
-- address of the session, that of its ticket, the name that its client claims.
-- Reads: session_sources, named_sources, addresses, links, host_lookup, seats, logged.
-- from_session_id: the session there, where a record names it. NULL: from_host_id of a machine without logs.
-- A machine that asks itself is no hop.

WITH itself AS (
    -- a link-local address says nothing elsewhere, but its own account comes from it to the host that has it
    SELECT DISTINCT e.host_id AS host_id, e.source_address AS address
    FROM logged AS e
    JOIN host_lookup AS h ON h.host_id = e.host_id AND CONCAT(h.name_key, '$$') = e.target_name_key
    WHERE e.mark = 'logon' AND e.logon_type = 3 AND e.source_address LIKE 'fe80:%'
),
away AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.account_id AS account_id, s.start_time AS start_time,
        s.source_address AS source_address, s.start_uid AS start_uid,
        CASE WHEN s.workstation_key NOT IN ($no_names) THEN s.workstation_key END AS workstation_key,
        s.opened_by AS opened_by
    FROM session_sources AS s
    LEFT JOIN itself AS i ON i.host_id = s.host_id AND i.address = s.source_address
    WHERE s.parent_id IS NULL AND s.logon_type IN (3, 8, 10, 12)
        AND COALESCE(s.source_address, '') NOT IN ($no_addresses) AND i.address IS NULL
),
-- logons of programs, and network logons of the same account on the same host shortly before; of several the one that
-- opened shares, as who brings a program does
programs AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.account_id AS account_id, s.start_uid AS start_uid,
        micros(s.start_time) AS us, FLOOR(micros(s.start_time) / $program_logon_us) + n.step AS slice
    FROM session_sources AS s
    CROSS JOIN (SELECT -1 AS step UNION ALL SELECT 0 AS step) AS n
    WHERE s.parent_id IS NULL AND s.logon_type = 2 AND s.opened_by = 'application'
),
over_network AS (
    SELECT p.session_id AS session_id, p.host_id AS host_id, MIN(p.start_uid) AS uid,
        COALESCE(greatest_at_last(CASE WHEN s.opened_by = 'network_share' THEN s.session_id END, s.start_time),
            greatest_at_last(s.session_id, s.start_time)) AS from_session_id,
        COUNT(DISTINCT s.session_id) AS many,
        COUNT(DISTINCT CASE WHEN s.opened_by = 'network_share' THEN s.session_id END) AS with_shares
    FROM programs AS p
    JOIN session_sources AS s ON s.host_id = p.host_id AND s.account_id = p.account_id AND s.logon_type = 3
        AND FLOOR(micros(s.start_time) / $program_logon_us) = p.slice
        AND p.us - micros(s.start_time) BETWEEN 0 AND $program_logon_us
    GROUP BY p.session_id, p.host_id
)
SELECT session_id AS session_id, 'subject' AS rule, host_id AS from_host_id, CAST(NULL AS VARCHAR) AS from_host,
    parent_id AS from_session_id, start_uid AS uid, 1.0 AS certainty
FROM session_sources
WHERE parent_id IS NOT NULL
UNION ALL
SELECT session_id AS session_id, rule AS rule, from_host_id AS from_host_id, from_host AS from_host,
    from_session_id AS from_session_id, uid AS uid, certainty AS certainty
FROM named_sources
UNION ALL
-- a program that was started over the network logs its user on itself; that somebody elsewhere named the account for the
-- network logon makes it no chance
SELECT DISTINCT o.session_id AS session_id, 'network_before' AS rule, o.host_id AS from_host_id,
    CAST(NULL AS VARCHAR) AS from_host, o.from_session_id AS from_session_id, o.uid AS uid,
    CASE WHEN n.session_id IS NULL THEN 0.6 WHEN o.many = 1 THEN 0.9 ELSE 0.8 END
        -- which of several, nothing tells
        / CASE WHEN o.with_shares = 1 THEN 1 ELSE o.many END AS certainty
FROM over_network AS o
LEFT JOIN named_sources AS n ON n.session_id = o.from_session_id
UNION ALL
-- Windows itself asks for what is typed into a prompt, which is shown at a desktop
SELECT s.session_id AS session_id, 'prompt' AS rule, s.host_id AS from_host_id, CAST(NULL AS VARCHAR) AS from_host,
    MIN(p.session_id) AS from_session_id, MIN(s.start_uid) AS uid, 0.9 AS certainty
FROM session_sources AS s
JOIN seats AS p ON p.host_id = s.host_id AND p.desktop = 1 AND p.session_id <> s.session_id
    AND p.from_time <= s.start_time AND p.until_time >= s.start_time
WHERE s.parent_id IS NULL AND s.opened_by = 'uac_prompt'
GROUP BY s.session_id, s.host_id
HAVING COUNT(*) = 1
UNION ALL
SELECT s.session_id AS session_id, CASE WHEN d.address IS NULL THEN 'address_only' ELSE 'address' END AS rule,
    d.host_id AS from_host_id,
    -- of a machine that only its own word names, the address comes first
    CASE WHEN d.host_id IS NULL AND d.told_by NOT LIKE '%ticket%' AND d.told_by NOT LIKE '%computer_logon%'
            AND d.told_by NOT LIKE 'given%'
        THEN CONCAT(s.source_address, ' ', d.host) ELSE COALESCE(d.host, s.source_address) END AS from_host,
    CAST(NULL AS BIGINT) AS from_session_id, COALESCE(d.first_uid, s.start_uid) AS uid, 0.9 AS certainty
FROM away AS s
LEFT JOIN addresses AS d ON d.address = s.source_address AND s.start_time BETWEEN d.held_from AND d.held_until
    AND NOT d.conflict
WHERE s.source_address IS NOT NULL AND COALESCE(d.host_id, 0) <> s.host_id
UNION ALL
SELECT s.session_id AS session_id, CASE WHEN d.address IS NULL THEN 'address_only' ELSE 'ticket_address' END AS rule,
    d.host_id AS from_host_id, COALESCE(d.host, l.client_address) AS from_host,
    CAST(NULL AS BIGINT) AS from_session_id, l.authentication_id AS uid, 0.8 AS certainty
FROM away AS s
JOIN links AS l ON l.session_id = s.session_id
LEFT JOIN addresses AS d ON d.address = l.client_address AND s.start_time BETWEEN d.held_from AND d.held_until
    AND NOT d.conflict
WHERE s.source_address IS NULL AND l.client_address NOT IN ($no_addresses) AND COALESCE(d.host_id, 0) <> s.host_id
UNION ALL
SELECT s.session_id AS session_id, 'client_name' AS rule, h.host_id AS from_host_id, s.workstation_key AS from_host,
    CAST(NULL AS BIGINT) AS from_session_id, s.start_uid AS uid, 0.6 AS certainty
FROM away AS s
LEFT JOIN host_lookup AS h ON h.name_key = s.workstation_key
WHERE s.workstation_key IS NOT NULL AND COALESCE(h.host_id, 0) <> s.host_id
UNION ALL
SELECT s.session_id AS session_id, 'account' AS rule, MIN(p.host_id) AS from_host_id, CAST(NULL AS VARCHAR) AS from_host,
    CAST(NULL AS BIGINT) AS from_session_id, MIN(s.start_uid) AS uid,
    CASE WHEN MAX(f.host_id) IS NULL THEN 0.4 ELSE 0.7 END AS certainty
FROM away AS s
LEFT JOIN addresses AS d ON d.address = s.source_address AND s.start_time BETWEEN d.held_from AND d.held_until
JOIN seats AS p ON p.account_id = s.account_id AND p.host_id <> s.host_id AND p.at_hand = 1
    AND p.from_time <= s.start_time AND p.until_time >= s.start_time
-- it did not come from a host that is known to have another address
LEFT JOIN addresses AS k ON s.source_address IS NOT NULL AND k.host_id = p.host_id AND NOT k.conflict
    AND s.start_time BETWEEN k.held_from AND k.held_until
-- at another time it had the address
LEFT JOIN (
    SELECT DISTINCT address AS address, host_id AS host_id FROM addresses WHERE host_id IS NOT NULL AND NOT conflict
) AS f ON f.address = s.source_address AND f.host_id = p.host_id
WHERE d.address IS NULL AND k.address IS NULL AND s.workstation_key IS NULL AND s.opened_by <> 'access_check'
GROUP BY s.session_id
HAVING COUNT(DISTINCT p.host_id) = 1
