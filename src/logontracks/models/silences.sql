-- One row for each sort of record that a host had cause to write, as other records show, and never wrote.
-- Reads: host_counts, log_spans, logged, marks, authentications, controllers.
-- Hosts of whose Security log only a selection is here have none: what is not here may have been written. A record that
-- lies in two files counts once. Up to Windows 2003 nothing was written of locks, so that none are missing there.

WITH seen AS (
    SELECT c.host_id AS host_id, CAST(SUM(CASE WHEN m.mark = 'logon' THEN 1 ELSE 0 END) AS BIGINT) AS logon_days,
        SUM(CASE WHEN m.mark = 'failure' THEN 1 ELSE 0 END) AS failure_days,
        CAST(SUM(CASE WHEN m.mark IN ('logoff', 'user_logoff') THEN c.records ELSE 0 END) AS BIGINT) AS logoffs,
        CAST(SUM(CASE WHEN m.mark = 'admin' THEN c.records ELSE 0 END) AS BIGINT) AS specials,
        SUM(CASE WHEN m.mark IN ('reconnect', 'disconnect') THEN 1 ELSE 0 END) AS connection_days,
        SUM(CASE WHEN m.mark IN ('lock', 'unlock') THEN 1 ELSE 0 END) AS lock_days
    FROM host_counts AS c
    JOIN marks AS m ON m.provider = c.provider AND m.event_id = c.event_id
    WHERE c.channel = 'Security'
    GROUP BY c.host_id
),
had AS (
    SELECT s.host_id AS host_id, s.logon_days AS logon_days, s.failure_days AS failure_days, s.logoffs AS logoffs,
        s.specials AS specials, s.connection_days AS connection_days, s.lock_days AS lock_days
    FROM seen AS s
    LEFT JOIN log_spans AS l ON l.host_id = s.host_id AND l.channel = 'Security'
    WHERE COALESCE(l.part, 1.0) >= $selection_part AND (l.first_record_id IS NULL OR l.runs <= $selection_runs)
),
-- logons that end with a record of it (those of services and of Windows itself have none), those of SYSTEM, which
-- always have privileges, those for which somebody typed a password, those by remote desktop, and unlocks
opening AS (
    SELECT host_id AS host_id,
        CAST(SUM(CASE WHEN logon_type IN (2, 3, 7, 8, 10, 11, 12, 13) AND target_logon_id IS NOT NULL
            AND COALESCE(target_sid, '') NOT LIKE 'S-1-5-90-%' AND COALESCE(target_sid, '') NOT LIKE 'S-1-5-96-%'
            THEN 1 ELSE 0 END) AS BIGINT) AS ending,
        CAST(SUM(CASE WHEN target_sid = 'S-1-5-18' THEN 1 ELSE 0 END) AS BIGINT) AS of_system,
        CAST(SUM(CASE WHEN logon_type IN (2, 7, 10, 11, 12, 13) AND logon_process = 'User32'
            AND target_sid LIKE 'S-1-5-21-%' THEN 1 ELSE 0 END) AS BIGINT) AS typed,
        COUNT(DISTINCT CASE WHEN logon_type IN (2, 7, 10, 11, 12, 13) AND logon_process = 'User32'
            AND target_sid LIKE 'S-1-5-21-%' THEN CAST(time AS DATE) END) AS typed_days,
        -- the two halves of a split logon are one; coming back to a desktop writes such a logon, too
        CAST(SUM(CASE WHEN logon_type IN (10, 12) AND (COALESCE(target_linked_logon_id, 0) = 0
            OR target_logon_id < target_linked_logon_id) THEN 1 ELSE 0 END) AS BIGINT) AS remotes,
        CAST(SUM(CASE WHEN logon_type IN (7, 13) AND target_logon_id IS NOT NULL
            AND event_id = 4624 THEN 1 ELSE 0 END) AS BIGINT) AS unlocks
    FROM logged
    WHERE mark = 'logon'
    GROUP BY host_id
),
answered AS (
    SELECT a.host_id AS host_id,
        CAST(SUM(CASE WHEN a.step = 'ticket_granting' AND a.success AND a.name NOT LIKE '%$$' THEN 1 ELSE 0 END) AS BIGINT)
            AS tickets,
        SUM(CASE WHEN a.step = 'ticket_granting' AND NOT a.success THEN 1 ELSE 0 END) AS ticket_failures,
        CAST(SUM(CASE WHEN a.step = 'service' AND a.success THEN 1 ELSE 0 END) AS BIGINT) AS services,
        SUM(CASE WHEN a.step = 'service' AND NOT a.success THEN 1 ELSE 0 END) AS service_failures,
        CAST(SUM(CASE WHEN a.step = 'ntlm' AND a.success THEN 1 ELSE 0 END) AS BIGINT) AS checks,
        SUM(CASE WHEN a.step = 'ntlm' AND NOT a.success THEN 1 ELSE 0 END) AS check_failures,
        COUNT(DISTINCT CAST(a.time AS DATE)) AS days
    FROM authentications AS a
    JOIN had AS h ON h.host_id = a.host_id
    GROUP BY a.host_id
)
SELECT h.host_id AS host_id, 'logoff' AS kind, o.ending AS amount
FROM had AS h
JOIN opening AS o ON o.host_id = h.host_id
WHERE o.ending >= $silent_logons AND h.logoffs = 0
UNION ALL
SELECT h.host_id AS host_id, 'special_logon' AS kind, o.of_system AS amount
FROM had AS h
JOIN opening AS o ON o.host_id = h.host_id
WHERE o.of_system >= $silent_records AND h.specials = 0
UNION ALL
SELECT host_id AS host_id, 'logon_success' AS kind, logoffs + specials AS amount
FROM had
WHERE logon_days = 0 AND logoffs + specials >= $silent_records
UNION ALL
SELECT h.host_id AS host_id, 'logon_failure' AS kind, o.typed AS amount
FROM had AS h
JOIN opening AS o ON o.host_id = h.host_id
WHERE h.failure_days = 0 AND o.typed >= $silent_tries AND o.typed_days >= $silent_days
UNION ALL
SELECT h.host_id AS host_id, 'remote_desktop' AS kind, o.remotes AS amount
FROM had AS h
JOIN opening AS o ON o.host_id = h.host_id
WHERE o.remotes >= $silent_desks AND h.connection_days = 0
UNION ALL
SELECT h.host_id AS host_id, 'locks' AS kind, o.unlocks AS amount
FROM had AS h
JOIN opening AS o ON o.host_id = h.host_id
WHERE o.unlocks >= $silent_desks AND h.lock_days = 0
UNION ALL
SELECT host_id AS host_id, 'kerberos_failure' AS kind, tickets AS amount
FROM answered
WHERE tickets >= $silent_tries AND days >= $silent_days AND ticket_failures = 0
UNION ALL
SELECT host_id AS host_id, 'service_ticket_failure' AS kind, services AS amount
FROM answered
WHERE services >= $silent_services AND days >= $silent_days AND service_failures = 0
UNION ALL
SELECT host_id AS host_id, 'account_logon_failure' AS kind, checks AS amount
FROM answered
WHERE checks >= $silent_tries AND days >= $silent_days AND check_failures = 0
UNION ALL
SELECT h.host_id AS host_id, 'kerberos_success' AS kind, o.ending AS amount
FROM controllers AS c
JOIN had AS h ON h.host_id = c.host_id
JOIN opening AS o ON o.host_id = h.host_id
WHERE c.tickets = 0 AND o.ending >= $silent_logons
