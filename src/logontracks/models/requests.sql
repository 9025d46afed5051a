-- One row for each day, account of a person, machine and host that it asked a controller for from there, where the case
-- has no session on that host that day: service tickets, and NTLM logons that the host had checked.
-- Reads: authentications, accounts, addresses, host_lookup, host_names, sessions.
-- What was asked for is an intention. Whether somebody came there, and as what, its own log would tell.
-- NULL: account_id of an account that records do not tell apart, from_host_id of a machine without logs, to_host_id of
-- a host without any, from_address in NTLM records.
--
-- Columns:
--   request_id BIGINT: Identity, from the first of its records
--   account_id BIGINT: Account
--   account VARCHAR: Its name
--   from_address VARCHAR: Address that asked
--   from_host_id BIGINT: Host that asked, where the case has logs of it
--   from_host VARCHAR: Name of the machine that asked: by its address, of NTLM the name that it claims
--   to_host_id BIGINT: Host that was asked for, where the case has logs of it
--   to_host VARCHAR: Its name
--   protocol VARCHAR: kerberos, ntlm
--   first_time TIMESTAMP: First time on that day
--   last_time TIMESTAMP: Last time
--   times BIGINT: Tickets or checks
--   certainty DOUBLE: How sure it is that the account went there from that machine, from 0 to 1
--   first_uid BIGINT: First record
--   last_uid BIGINT: Last record

WITH asked AS (
    SELECT a.account_id AS account_id, a.account AS account, a.protocol AS protocol, a.client_address AS address, a.host_id AS host_id,
        CASE WHEN a.protocol = 'ntlm' AND LOWER(a.workstation) NOT IN ($no_names) THEN LOWER(a.workstation) END
            AS workstation_key,
        LOWER(COALESCE(a.service_host, a.server)) AS server_key, CAST(a.time AS DATE) AS day,
        MIN(COALESCE(a.service_host, a.server)) AS server, MIN(a.time) AS first_time, MAX(a.time) AS last_time,
        COUNT(*) AS times, least_at_first(a.authentication_id, a.time) AS first_uid,
        greatest_at_last(a.authentication_id, a.time) AS last_uid
    FROM authentications AS a
    WHERE COALESCE(a.success, TRUE) AND (a.step = 'service' OR (a.step = 'ntlm' AND a.server IS NOT NULL))
        AND COALESCE(a.service_host, a.server) IS NOT NULL AND a.name NOT LIKE '%$$'
    GROUP BY a.account_id, a.account, a.protocol, a.client_address, a.host_id,
        CASE WHEN a.protocol = 'ntlm' AND LOWER(a.workstation) NOT IN ($no_names) THEN LOWER(a.workstation) END,
        LOWER(COALESCE(a.service_host, a.server)),
        CAST(a.time AS DATE)
),
placed AS (
    SELECT q.account_id AS account_id, q.account AS account, q.protocol AS protocol, q.day AS day, q.first_time AS first_time,
        q.last_time AS last_time, q.times AS times, q.first_uid AS first_uid, q.last_uid AS last_uid,
        q.server_key AS server_key, q.server AS server, h.host_id AS to_host_id,
        -- a controller that asks itself does so for who is on it
        CASE WHEN q.address IN ($no_addresses) THEN NULL ELSE q.address END AS from_address,
        CASE WHEN q.address IN ($no_addresses) THEN q.host_id ELSE COALESCE(d.host_id, w.host_id) END AS from_host_id,
        CASE WHEN q.address IN ($no_addresses) THEN NULL ELSE COALESCE(d.host, q.address, q.workstation_key) END
            AS from_host,
        CASE WHEN q.protocol = 'ntlm' THEN 0.4 ELSE 0.5 END AS certainty
    FROM asked AS q
    LEFT JOIN host_lookup AS h ON h.name_key = q.server_key
    LEFT JOIN addresses AS d ON d.address = q.address AND q.first_time BETWEEN d.held_from AND d.held_until
        AND NOT d.conflict
    LEFT JOIN host_lookup AS w ON q.address IS NULL AND w.name_key = q.workstation_key
)
SELECT text_id(CONCAT('request ', CAST(MIN(p.first_uid) AS VARCHAR))) AS request_id, p.account_id AS account_id,
    p.account AS account, MIN(p.from_address) AS from_address, p.from_host_id AS from_host_id,
    COALESCE(MIN(n.host), MIN(p.from_host)) AS from_host, MIN(p.to_host_id) AS to_host_id,
    COALESCE(MIN(t.host), MIN(p.server)) AS to_host, p.protocol AS protocol, MIN(p.first_time) AS first_time,
    MAX(p.last_time) AS last_time, CAST(SUM(p.times) AS BIGINT) AS times, MAX(p.certainty) AS certainty,
    least_at_first(p.first_uid, p.first_time) AS first_uid, greatest_at_last(p.last_uid, p.last_time) AS last_uid
FROM placed AS p
LEFT JOIN accounts AS a ON a.account_id = p.account_id
LEFT JOIN (SELECT DISTINCT host_id AS host_id, CAST(start_time AS DATE) AS day FROM sessions) AS s
    ON s.host_id = p.to_host_id AND s.day = p.day
LEFT JOIN (SELECT DISTINCT host_id AS host_id, host AS host FROM host_names) AS n ON n.host_id = p.from_host_id
LEFT JOIN (SELECT DISTINCT host_id AS host_id, host AS host FROM host_names) AS t ON t.host_id = p.to_host_id
WHERE s.host_id IS NULL AND COALESCE(a.kind, 'person') = 'person'
    AND COALESCE(p.to_host_id, 0) <> COALESCE(p.from_host_id, 1)
    -- a machine asks for itself when somebody logs on to it
    AND p.server_key <> COALESCE(p.from_host, '')
GROUP BY p.account_id, p.account, p.day, p.from_host_id, p.from_host, p.server_key, p.protocol
