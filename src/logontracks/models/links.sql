-- One row for each session and each authentication that stands behind it.
-- Reads: session_sources, authentications, addresses, host_lookup, skews, desk_tickets.
-- Sorted by: session_id, authentication_id.
-- Rules, best first: logon_guid (the ticket and the logon bear the same one: R10), server_audit (the controller names the
-- server that passed the logon on: R17), local_validation (the host itself checked a local account: R15),
-- service_ticket (account, host and address within seconds: R11), service_ticket_no_address (the same where the
-- session has no address), desk_ticket (a logon at a desktop, of a service or of a task, and the ticket from the address of its
-- host: R09),
-- workstation (NTLM: account and name of the client, or that it has none, within seconds: R15), service_account (a
-- ticket for an account that services run as, whose host it does not tell, from the same address within seconds),
-- ticket_reuse and service_account_reuse (an older ticket that was still valid). Sessions of computers and of Windows
-- itself are left out.
--
-- Columns:
--   link_id BIGINT: Identity
--   session_id BIGINT: The session
--   authentication_id BIGINT: The authentication
--   rule VARCHAR: What joins them: see above
--   certainty DOUBLE: How sure, from 0 to 1
--   apart_s DOUBLE: From the authentication to the start of the session, difference of clocks taken out
--   client_address VARCHAR: Address that the authentication came from

WITH own AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.account_id AS account_id, s.logon_type AS logon_type,
        s.start_time AS start_time, s.logon_guid AS logon_guid, s.auth_package AS auth_package,
        s.source_address AS source_address, s.workstation_key AS workstation_key,
        micros(s.start_time) - COALESCE(k.skew_us, 0) AS start_us
    FROM session_sources AS s
    LEFT JOIN skews AS k ON k.host_id = s.host_id AND k.day = CAST(s.start_time AS DATE)
),
granted AS (
    SELECT a.authentication_id AS authentication_id, a.account_id AS account_id, a.event_id AS event_id,
        a.step AS step, a.service_kind AS service_kind,
        a.host_id AS controller_id, a.client_address AS client_address, a.logon_guid AS logon_guid,
        LOWER(a.workstation) AS workstation_key,
        micros(a.time) - COALESCE(k.skew_us, 0) AS us, COALESCE(h.host_id, v.host_id) AS service_id
    FROM authentications AS a
    LEFT JOIN host_lookup AS h ON h.name_key = LOWER(a.service_host)
    LEFT JOIN host_lookup AS v ON v.name_key = LOWER(a.server)
    LEFT JOIN skews AS k ON k.host_id = a.host_id AND k.day = CAST(a.time AS DATE)
    WHERE COALESCE(a.success, TRUE)
),
-- both sides of each rule under one key; who comes last before a session is looked for in one pass
sides AS (
    SELECT 'service_ticket' AS rule, account_id AS account_id, host_id AS host_id, source_address AS word,
        start_us AS us, session_id AS session_id, CAST(NULL AS BIGINT) AS authentication_id
    FROM own
    WHERE logon_type = 3 AND source_address IS NOT NULL AND COALESCE(auth_package, '') NOT LIKE 'NTLM%'
    UNION ALL
    SELECT 'service_ticket' AS rule, account_id AS account_id, service_id AS host_id, client_address AS word,
        us - $ticket_late_us AS us, CAST(NULL AS BIGINT) AS session_id, authentication_id AS authentication_id
    FROM granted
    WHERE step = 'service' AND service_id IS NOT NULL AND client_address IS NOT NULL
    UNION ALL
    SELECT 'service_ticket_no_address' AS rule, account_id AS account_id, host_id AS host_id, '' AS word,
        start_us AS us, session_id AS session_id, CAST(NULL AS BIGINT) AS authentication_id
    FROM own
    WHERE logon_type = 3 AND source_address IS NULL AND auth_package LIKE 'Kerberos%'
    UNION ALL
    SELECT 'service_ticket_no_address' AS rule, account_id AS account_id, service_id AS host_id, '' AS word,
        us - $ticket_late_us AS us, CAST(NULL AS BIGINT) AS session_id, authentication_id AS authentication_id
    FROM granted
    WHERE step = 'service' AND service_id IS NOT NULL
    UNION ALL
    SELECT 'service_account' AS rule, account_id AS account_id, 0 AS host_id, source_address AS word,
        start_us AS us, session_id AS session_id, CAST(NULL AS BIGINT) AS authentication_id
    FROM own
    WHERE logon_type = 3 AND source_address IS NOT NULL AND auth_package LIKE 'Kerberos%'
    UNION ALL
    SELECT 'service_account' AS rule, account_id AS account_id, 0 AS host_id, client_address AS word,
        us - $ticket_late_us AS us, CAST(NULL AS BIGINT) AS session_id, authentication_id AS authentication_id
    FROM granted
    WHERE service_kind = 'account' AND client_address IS NOT NULL
    UNION ALL
    SELECT 'server_audit' AS rule, account_id AS account_id, host_id AS host_id, '' AS word,
        start_us AS us, session_id AS session_id, CAST(NULL AS BIGINT) AS authentication_id
    FROM own
    WHERE auth_package LIKE 'NTLM%'
    UNION ALL
    SELECT 'server_audit' AS rule, account_id AS account_id, service_id AS host_id, '' AS word,
        us - $validation_us AS us, CAST(NULL AS BIGINT) AS session_id, authentication_id AS authentication_id
    FROM granted
    WHERE event_id IN (8004, 4032, 4033) AND service_id IS NOT NULL
    UNION ALL
    SELECT 'local_validation' AS rule, account_id AS account_id, host_id AS host_id, '' AS word,
        start_us AS us, session_id AS session_id, CAST(NULL AS BIGINT) AS authentication_id
    FROM own
    WHERE COALESCE(auth_package, '') NOT LIKE 'Kerberos%'
    UNION ALL
    SELECT 'local_validation' AS rule, account_id AS account_id, controller_id AS host_id, '' AS word,
        us - $validation_us AS us, CAST(NULL AS BIGINT) AS session_id, authentication_id AS authentication_id
    FROM granted
    WHERE event_id IN (680, 681, 4776)
    UNION ALL
    -- a client that gives no name gives none on both sides
    SELECT 'workstation' AS rule, account_id AS account_id, 0 AS host_id, COALESCE(workstation_key, '') AS word,
        start_us AS us, session_id AS session_id, CAST(NULL AS BIGINT) AS authentication_id
    FROM own
    WHERE auth_package LIKE 'NTLM%'
    UNION ALL
    SELECT 'workstation' AS rule, account_id AS account_id, 0 AS host_id, COALESCE(workstation_key, '') AS word,
        us - $validation_us AS us, CAST(NULL AS BIGINT) AS session_id, authentication_id AS authentication_id
    FROM granted
    WHERE event_id IN (680, 681, 4776)
),
-- of which there is something on both sides
keys AS (
    SELECT rule AS rule, account_id AS account_id, host_id AS host_id, word AS word
    FROM sides
    GROUP BY rule, account_id, host_id, word
    HAVING COUNT(session_id) > 0 AND COUNT(authentication_id) > 0
),
counted AS (
    SELECT s.rule AS rule, s.account_id AS account_id, s.host_id AS host_id, s.word AS word, s.us AS us,
        s.session_id AS session_id, s.authentication_id AS authentication_id,
        COUNT(s.authentication_id) OVER (PARTITION BY s.rule, s.account_id, s.host_id, s.word
            ORDER BY s.us ASC NULLS LAST, COALESCE(s.session_id, 0) ASC NULLS LAST,
                s.authentication_id ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
    FROM sides AS s
    JOIN keys AS k ON k.rule = s.rule AND k.account_id = s.account_id AND k.host_id = s.host_id AND k.word = s.word
),
-- the last one before may be too late: it counts as before because clocks differ
looking AS (
    SELECT rule AS rule, account_id AS account_id, host_id AS host_id, word AS word, us AS us, session_id AS session_id,
        before AS number
    FROM counted
    WHERE session_id IS NOT NULL
    UNION ALL
    SELECT rule AS rule, account_id AS account_id, host_id AS host_id, word AS word, us AS us, session_id AS session_id,
        before - 1 AS number
    FROM counted
    WHERE session_id IS NOT NULL
),
found AS (
    SELECT s.rule AS rule, s.session_id AS session_id, a.authentication_id AS authentication_id, s.us AS us
    FROM looking AS s
    JOIN counted AS a ON a.authentication_id IS NOT NULL AND a.rule = s.rule AND a.account_id = s.account_id
        AND a.host_id = s.host_id AND a.word = s.word AND a.before = s.number
    UNION ALL
    SELECT 'logon_guid' AS rule, s.session_id AS session_id, a.authentication_id AS authentication_id, s.start_us AS us
    FROM own AS s
    -- whatever the ticket calls the account: its realm may be one that nothing ties to the domain
    JOIN granted AS a ON a.logon_guid = s.logon_guid AND a.step = 'service'
    -- what many tickets bear is no identity of one
    JOIN (
        SELECT logon_guid AS logon_guid FROM granted WHERE step = 'service'
        GROUP BY logon_guid
        HAVING COUNT(*) <= $one_guid
    ) AS g ON g.logon_guid = s.logon_guid
    UNION ALL
    SELECT 'desk_ticket' AS rule, t.session_id AS session_id, t.authentication_id AS authentication_id, t.us AS us
    FROM desk_tickets AS t
    JOIN addresses AS d ON d.host_id = t.host_id AND d.address = t.client_address
        AND t.start_time BETWEEN d.held_from AND d.held_until AND NOT d.conflict
),
timed AS (
    SELECT f.rule AS rule, f.session_id AS session_id, f.authentication_id AS authentication_id,
        f.us - g.us AS apart_us, g.client_address AS client_address
    FROM found AS f
    JOIN granted AS g ON g.authentication_id = f.authentication_id
    JOIN own AS o ON o.session_id = f.session_id
    -- on a host that is the controller itself there is one clock, and a ticket comes before the logon
    WHERE g.controller_id <> o.host_id OR g.step <> 'service' OR f.us >= g.us
),
-- of both sides of a session in time the nearer one, before it has a name
nearest AS (
    SELECT t.*, ROW_NUMBER() OVER (PARTITION BY t.session_id, t.rule ORDER BY ABS(t.apart_us) ASC NULLS LAST,
        t.authentication_id ASC NULLS LAST) AS near
    FROM timed AS t
),
judged AS (
    SELECT session_id AS session_id, authentication_id AS authentication_id, apart_us AS apart_us,
        client_address AS client_address,
        CASE WHEN apart_us <= $fresh_ticket_us THEN rule WHEN rule = 'service_ticket' THEN 'ticket_reuse'
            WHEN rule = 'service_account' THEN 'service_account_reuse' ELSE rule END AS rule
    FROM nearest
    WHERE near = 1 AND (rule IN ('logon_guid', 'desk_ticket')
        OR (rule IN ('service_ticket', 'service_account') AND apart_us <= $ticket_life_us)
        OR (rule = 'service_ticket_no_address' AND apart_us <= $fresh_ticket_us)
        OR apart_us <= $validation_us)
),
weighed AS (
    SELECT session_id AS session_id, authentication_id AS authentication_id, rule AS rule, apart_us AS apart_us,
        client_address AS client_address,
        CASE rule WHEN 'logon_guid' THEN 0.99 WHEN 'server_audit' THEN 0.95 WHEN 'local_validation' THEN 0.95
            WHEN 'service_ticket' THEN 0.9 WHEN 'service_ticket_no_address' THEN 0.8 WHEN 'desk_ticket' THEN 0.8
            WHEN 'workstation' THEN 0.7 WHEN 'service_account' THEN 0.7 WHEN 'ticket_reuse' THEN 0.6
            ELSE 0.5 END AS certainty,
        -- a ticket for an account that services run as does not say the host: it counts where none for the host is there
        MAX(CASE WHEN rule IN ('service_account', 'service_account_reuse') THEN 0 ELSE 1 END)
            OVER (PARTITION BY session_id) AS better
    FROM judged
)
SELECT text_id(CONCAT('link ', CAST(session_id AS VARCHAR), ' ', CAST(authentication_id AS VARCHAR))) AS link_id,
    session_id AS session_id, authentication_id AS authentication_id,
    value_at_last(rule, certainty) AS rule, MAX(certainty) AS certainty, MIN(apart_us) / 1000000.0 AS apart_s,
    MIN(client_address) AS client_address
FROM weighed
WHERE better = 0 OR rule NOT IN ('service_account', 'service_account_reuse')
GROUP BY session_id, authentication_id
