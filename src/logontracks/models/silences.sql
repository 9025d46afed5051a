-- One row for each sort of record that a host had cause to write, as other records show, and never wrote.
-- Reads: event_counts, host_names, log_spans, sessions, logged, authentications, controllers.
-- Hosts of whose Security log only a selection is here have none: what is not here may have been written. A record that
-- lies in two files counts once.

WITH seen AS (
    SELECT n.host_id AS host_id, c.event_id AS event_id, CAST(SUM(c.records) AS BIGINT) AS records,
        COUNT(DISTINCT c.day) AS days
    FROM (
        SELECT LOWER(computer) AS computer_key, event_id AS event_id, day AS day, MAX(records) AS records
        FROM event_counts
        WHERE provider = 'Microsoft-Windows-Security-Auditing'
        GROUP BY LOWER(computer), event_id, day
    ) AS c
    JOIN host_names AS n ON n.computer_key = c.computer_key
    GROUP BY n.host_id, c.event_id
),
had AS (
    SELECT s.host_id AS host_id,
        CAST(SUM(CASE WHEN s.event_id = 4624 THEN s.records ELSE 0 END) AS BIGINT) AS logons,
        MAX(CASE WHEN s.event_id = 4624 THEN s.days ELSE 0 END) AS logon_days,
        SUM(CASE WHEN s.event_id = 4625 THEN s.records ELSE 0 END) AS logon_failures,
        CAST(SUM(CASE WHEN s.event_id IN (4634, 4647) THEN s.records ELSE 0 END) AS BIGINT) AS logoffs,
        CAST(SUM(CASE WHEN s.event_id = 4672 THEN s.records ELSE 0 END) AS BIGINT) AS specials,
        SUM(CASE WHEN s.event_id IN (4778, 4779) THEN s.records ELSE 0 END) AS connections,
        SUM(CASE WHEN s.event_id IN (4800, 4801) THEN s.records ELSE 0 END) AS locks
    FROM seen AS s
    LEFT JOIN log_spans AS l ON l.host_id = s.host_id AND l.channel = 'Security'
    WHERE COALESCE(l.part, 1.0) >= $selection_part
        AND (l.first_record_id IS NULL OR l.runs <= $selection_runs)
    GROUP BY s.host_id
),
opened AS (
    SELECT host_id AS host_id, COUNT(*) AS remotes FROM sessions WHERE opened_by = 'remote_desktop' GROUP BY host_id
),
unlocked AS (
    SELECT host_id AS host_id, COUNT(*) AS unlocks
    FROM logged
    WHERE mark = 'logon' AND logon_type IN (7, 13) AND target_logon_id IS NOT NULL
    GROUP BY host_id
),
answered AS (
    SELECT a.host_id AS host_id,
        CAST(SUM(CASE WHEN a.step = 'ticket_granting' AND a.success THEN 1 ELSE 0 END) AS BIGINT) AS tickets,
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
SELECT host_id AS host_id, 'logoff' AS kind, logons AS amount
FROM had
WHERE logons >= $silent_logons AND logoffs = 0
UNION ALL
SELECT host_id AS host_id, 'special_logon' AS kind, logons AS amount
FROM had
WHERE logons >= $silent_logons AND specials = 0
UNION ALL
SELECT host_id AS host_id, 'logon_success' AS kind, logoffs + specials AS amount
FROM had
WHERE logons = 0 AND logoffs + specials >= $silent_ends
UNION ALL
SELECT host_id AS host_id, 'logon_failure' AS kind, logons AS amount
FROM had
WHERE logon_failures = 0 AND logon_days >= $silent_logon_days AND logons >= $silent_failures
UNION ALL
SELECT h.host_id AS host_id, 'remote_desktop' AS kind, o.remotes AS amount
FROM had AS h
JOIN opened AS o ON o.host_id = h.host_id
WHERE o.remotes >= $silent_desks AND h.connections = 0
UNION ALL
SELECT h.host_id AS host_id, 'locks' AS kind, u.unlocks AS amount
FROM had AS h
JOIN unlocked AS u ON u.host_id = h.host_id
WHERE u.unlocks >= $silent_desks AND h.locks = 0
UNION ALL
SELECT host_id AS host_id, 'kerberos_failure' AS kind, tickets AS amount
FROM answered
WHERE tickets >= $silent_tickets AND days >= $silent_days AND ticket_failures = 0
UNION ALL
SELECT host_id AS host_id, 'service_ticket_failure' AS kind, services AS amount
FROM answered
WHERE services >= $silent_services AND days >= $silent_days AND service_failures = 0
UNION ALL
SELECT host_id AS host_id, 'account_logon_failure' AS kind, checks AS amount
FROM answered
WHERE checks >= $silent_tickets AND days >= $silent_days AND check_failures = 0
UNION ALL
SELECT h.host_id AS host_id, 'kerberos_success' AS kind, h.logons AS amount
FROM controllers AS c
JOIN had AS h ON h.host_id = c.host_id
WHERE c.tickets = 0 AND h.logons >= $silent_logons
