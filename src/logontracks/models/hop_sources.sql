-- One row for each session and each machine that it can have come from, as what told the machine: a record there, the
-- address of the session, that of its ticket, the name that its client claims.
-- Reads: session_sources, explicit_uses, account_names, addresses, links, host_lookup, seats, skews.
-- from_session_id: the session there, where a record names it. NULL: from_host_id of a machine without logs.
-- A machine that asks itself is no hop.

WITH own AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.account_id AS account_id, s.logon_type AS logon_type,
        s.start_time AS start_time, s.source_address AS source_address, s.workstation_key AS workstation_key,
        s.start_uid AS start_uid, s.parent_id AS parent_id, s.opened_by AS opened_by,
        micros(s.start_time) - COALESCE(k.skew_us, 0) AS start_us
    FROM session_sources AS s
    LEFT JOIN skews AS k ON k.host_id = s.host_id AND k.day = CAST(s.start_time AS DATE)
),
named AS (
    SELECT x.uid AS uid, x.from_host_id AS from_host_id, x.from_host AS from_host, x.session_id AS session_id,
        x.host_id AS host_id, x.mark AS mark, n.account_id AS account_id,
        micros(x.time) - COALESCE(k.skew_us, 0) AS us
    FROM explicit_uses AS x
    LEFT JOIN (SELECT DISTINCT name_key AS name_key, account_id AS account_id FROM account_names) AS n
        ON n.name_key = x.name_key
    LEFT JOIN skews AS k ON k.host_id = x.from_host_id AND k.day = CAST(x.time AS DATE)
    WHERE x.host_id IS NOT NULL
),
away AS (
    SELECT session_id AS session_id, host_id AS host_id, account_id AS account_id, start_time AS start_time,
        source_address AS source_address, workstation_key AS workstation_key, start_uid AS start_uid,
        opened_by AS opened_by
    FROM own
    WHERE parent_id IS NULL AND logon_type IN (3, 8, 10, 12)
        AND COALESCE(source_address, '') NOT IN ($no_addresses)
),
numbered AS (
    SELECT uid AS uid, from_host_id AS from_host_id, from_host AS from_host, session_id AS session_id,
        host_id AS host_id, account_id AS account_id, us AS us,
        ROW_NUMBER() OVER (PARTITION BY from_host_id, host_id, account_id ORDER BY us ASC NULLS LAST, uid ASC NULLS LAST) AS n
    FROM named
    WHERE mark = 'explicit' AND session_id IS NOT NULL AND account_id IS NOT NULL AND from_host_id <> host_id
),
again AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.account_id AS account_id, d.host_id AS from_host_id,
        s.start_time AS start_time, s.start_us AS start_us, MAX(n.n) AS before
    FROM own AS s
    JOIN addresses AS d ON d.address = s.source_address AND s.start_time BETWEEN d.held_from AND d.held_until
        AND NOT d.conflict
    JOIN numbered AS n ON n.from_host_id = d.host_id AND n.host_id = s.host_id AND n.account_id = s.account_id
        AND n.us <= s.start_us
    WHERE s.parent_id IS NULL AND s.logon_type IN (3, 8, 10, 12)
    GROUP BY s.session_id, s.host_id, s.account_id, d.host_id, s.start_time, s.start_us
)
SELECT session_id AS session_id, 'subject' AS rule, host_id AS from_host_id, CAST(NULL AS VARCHAR) AS from_host,
    parent_id AS from_session_id, start_uid AS uid, 1.0 AS certainty
FROM own
WHERE parent_id IS NOT NULL
UNION ALL
SELECT s.session_id AS session_id, CASE n.mark WHEN 'explicit' THEN 'explicit' WHEN 'ntlm_out' THEN 'outgoing_ntlm'
        ELSE 'desktop_client' END AS rule,
    n.from_host_id AS from_host_id, n.from_host AS from_host, n.session_id AS from_session_id, n.uid AS uid,
    -- what is asked for on another host comes over the network: a desktop there is that of a program which came so
    CASE WHEN n.from_host_id <> s.host_id AND s.logon_type = 2 THEN 0.6 WHEN n.mark = 'explicit' THEN 0.98
        WHEN n.mark = 'ntlm_out' THEN 0.95 ELSE 0.9 END AS certainty
FROM named AS n
JOIN own AS s ON s.host_id = n.host_id AND s.parent_id IS NULL AND (n.account_id = s.account_id OR n.mark = 'rdp_client')
    AND s.start_us - n.us BETWEEN -$ticket_late_us
        AND CASE WHEN s.logon_type = 10 THEN $explicit_desktop_us ELSE $explicit_us END
WHERE n.session_id IS NOT NULL AND s.session_id <> n.session_id
    AND (n.mark <> 'rdp_client' OR s.logon_type IN (3, 10))
    AND (n.from_host_id <> s.host_id OR s.logon_type IN (2, 9))
UNION ALL
-- credentials that were named once are good for as long as a ticket
SELECT s.session_id AS session_id, 'explicit_again' AS rule, n.from_host_id AS from_host_id, n.from_host AS from_host,
    n.session_id AS from_session_id, n.uid AS uid,
    CASE WHEN s.start_us - n.us <= $named_again_us THEN 0.6 ELSE 0.5 END AS certainty
FROM again AS s
JOIN numbered AS n ON n.from_host_id = s.from_host_id AND n.host_id = s.host_id AND n.account_id = s.account_id
    AND n.n = s.before
-- they go with the session that named them
LEFT JOIN seats AS p ON p.session_id = n.session_id
WHERE COALESCE(p.until_time >= s.start_time, TRUE) AND s.start_us - n.us > $explicit_us AND s.start_us - n.us <= $ticket_life_us AND n.session_id <> s.session_id
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
    CAST(NULL AS BIGINT) AS from_session_id, MIN(s.start_uid) AS uid, 0.55 AS certainty
FROM away AS s
LEFT JOIN addresses AS d ON d.address = s.source_address
JOIN seats AS p ON p.account_id = s.account_id AND p.host_id <> s.host_id AND p.at_hand = 1
    AND p.from_time <= s.start_time AND p.until_time >= s.start_time
-- it did not come from a host that is known to have another address
LEFT JOIN addresses AS k ON s.source_address IS NOT NULL AND k.host_id = p.host_id AND NOT k.conflict
    AND s.start_time BETWEEN k.held_from AND k.held_until
WHERE d.address IS NULL AND k.address IS NULL AND s.workstation_key IS NULL AND s.opened_by <> 'access_check'
GROUP BY s.session_id
HAVING COUNT(DISTINCT p.host_id) = 1
