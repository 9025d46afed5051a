-- One row for each thing that makes the logs of a host tell less than they seem to: gaps, clears, changes of auditing,
-- clocks that were set, what is not audited although it must have happened, logs that are not here at all.
-- What is missing is said only where its trigger must have happened.
-- Reads: log_spans, extents, host_names, logged, event_counts, sessions, authentications, controllers, accounts,
-- blind_spot_texts, audit_policy.
-- NULL: host_id where the host has no log here; times where the row is about all of the log.
--
-- Columns:
--   host_id BIGINT: Host
--   host VARCHAR: Its name
--   channel VARCHAR: Log it is about
--   kind VARCHAR: gap, selection, clear, log_full, records_lost, policy_change, clock_step, logoff, locks ...
--   start_time TIMESTAMP: When, or since when
--   end_time TIMESTAMP: Until when
--   amount BIGINT: Records that are missing, seconds that the clock was set by, logons that were not answered for
--   detail VARCHAR: Which records, by whom, what was changed
--   what VARCHAR: What it is, in words
--   unsafe VARCHAR: What cannot be concluded because of it
--   subcategory VARCHAR: Audit subcategory to turn on
--   how_to_set VARCHAR: How to turn it on
--   uid BIGINT: Record that tells it, where one does

WITH runs AS (
    SELECT n.host_id AS host_id, x.channel AS channel, x.first_record_id AS first_id, x.first_time AS first_time,
        MAX(x.last_record_id) OVER (
            PARTITION BY n.host_id, x.channel
            ORDER BY x.first_record_id ASC NULLS LAST, x.last_record_id ASC NULLS LAST, x.source_sha256 ASC NULLS LAST,
                x.first_time ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached,
        MAX(x.last_time) OVER (
            PARTITION BY n.host_id, x.channel
            ORDER BY x.first_record_id ASC NULLS LAST, x.last_record_id ASC NULLS LAST, x.source_sha256 ASC NULLS LAST,
                x.first_time ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached_time
    FROM extents AS x
    JOIN host_names AS n ON n.computer_key = LOWER(x.computer)
    WHERE x.first_record_id IS NOT NULL
),
seen AS (
    SELECT n.host_id AS host_id, c.provider AS provider, c.event_id AS event_id, CAST(SUM(c.records) AS BIGINT) AS records,
        COUNT(DISTINCT c.day) AS days
    FROM event_counts AS c
    JOIN host_names AS n ON n.computer_key = LOWER(c.computer)
    WHERE c.provider IN ('Microsoft-Windows-Security-Auditing', 'Security')
    GROUP BY n.host_id, c.provider, c.event_id
),
had AS (
    SELECT host_id AS host_id,
        SUM(CASE WHEN event_id = 4624 THEN records ELSE 0 END) AS logons,
        MAX(CASE WHEN event_id = 4624 THEN days ELSE 0 END) AS logon_days,
        SUM(CASE WHEN event_id = 4625 THEN records ELSE 0 END) AS logon_failures,
        SUM(CASE WHEN event_id IN (4634, 4647) THEN records ELSE 0 END) AS logoffs,
        SUM(CASE WHEN event_id = 4672 THEN records ELSE 0 END) AS specials,
        SUM(CASE WHEN event_id IN (4648, 4688) THEN records ELSE 0 END) AS uses,
        SUM(CASE WHEN event_id IN (4778, 4779) THEN records ELSE 0 END) AS connections,
        SUM(CASE WHEN event_id IN (4800, 4801) THEN records ELSE 0 END) AS locks
    FROM seen
    GROUP BY host_id
),
opened AS (
    SELECT host_id AS host_id, SUM(CASE WHEN opened_by = 'remote_desktop' THEN 1 ELSE 0 END) AS remotes
    FROM sessions
    GROUP BY host_id
),
unlocked AS (
    SELECT host_id AS host_id, COUNT(*) AS unlocks
    FROM logged
    WHERE mark = 'logon' AND logon_type IN (7, 13) AND target_logon_id IS NOT NULL
    GROUP BY host_id
),
answered AS (
    SELECT host_id AS host_id,
        SUM(CASE WHEN step = 'ticket_granting' AND success THEN 1 ELSE 0 END) AS tickets,
        SUM(CASE WHEN step = 'ticket_granting' AND NOT success THEN 1 ELSE 0 END) AS ticket_failures,
        SUM(CASE WHEN step = 'service' AND success THEN 1 ELSE 0 END) AS services,
        SUM(CASE WHEN step = 'service' AND NOT success THEN 1 ELSE 0 END) AS service_failures,
        SUM(CASE WHEN step = 'ntlm' AND success THEN 1 ELSE 0 END) AS checks,
        SUM(CASE WHEN step = 'ntlm' AND NOT success THEN 1 ELSE 0 END) AS check_failures,
        COUNT(DISTINCT CAST(time AS DATE)) AS days
    FROM authentications
    GROUP BY host_id
),
silent AS (
    SELECT h.host_id AS host_id, 'logoff' AS kind, h.logons AS amount FROM had AS h WHERE h.logons >= 50 AND h.logoffs = 0
    UNION ALL
    SELECT h.host_id AS host_id, 'special_logon' AS kind, h.logons AS amount
    FROM had AS h
    WHERE h.logons >= 50 AND h.specials = 0
    UNION ALL
    SELECT h.host_id AS host_id, 'logon_success' AS kind, h.logoffs + h.specials AS amount
    FROM had AS h
    WHERE h.logons = 0 AND h.logoffs + h.specials >= 10
    UNION ALL
    SELECT h.host_id AS host_id, 'logon_failure' AS kind, h.logons AS amount
    FROM had AS h
    WHERE h.logon_failures = 0 AND h.logon_days >= 5 AND h.logons >= 500
    UNION ALL
    SELECT h.host_id AS host_id, 'remote_desktop' AS kind, CAST(o.remotes AS BIGINT) AS amount
    FROM had AS h
    JOIN opened AS o ON o.host_id = h.host_id
    WHERE o.remotes >= 2 AND h.connections = 0
    UNION ALL
    SELECT h.host_id AS host_id, 'locks' AS kind, u.unlocks AS amount
    FROM had AS h
    JOIN unlocked AS u ON u.host_id = h.host_id
    WHERE u.unlocks >= 2 AND h.locks = 0
    UNION ALL
    SELECT a.host_id AS host_id, 'kerberos_failure' AS kind, CAST(a.tickets AS BIGINT) AS amount
    FROM answered AS a
    WHERE a.tickets >= 100 AND a.days >= 3 AND a.ticket_failures = 0
    UNION ALL
    SELECT a.host_id AS host_id, 'service_ticket_failure' AS kind, CAST(a.services AS BIGINT) AS amount
    FROM answered AS a
    WHERE a.services >= 1000 AND a.days >= 3 AND a.service_failures = 0
    UNION ALL
    SELECT a.host_id AS host_id, 'account_logon_failure' AS kind, CAST(a.checks AS BIGINT) AS amount
    FROM answered AS a
    WHERE a.checks >= 100 AND a.days >= 3 AND a.check_failures = 0
    UNION ALL
    SELECT g.host_id AS host_id, 'kerberos_success' AS kind, h.logons AS amount
    FROM controllers AS g
    JOIN had AS h ON h.host_id = g.host_id
    WHERE g.tickets = 0 AND h.logons >= 50
),
-- desktops that accounts of the domain opened, and whether any controller here was asked for them
domain_logons AS (
    SELECT s.session_id AS session_id, MAX(CASE WHEN a.authentication_id IS NOT NULL THEN 1 ELSE 0 END) AS answered
    FROM sessions AS s
    JOIN accounts AS c ON c.account_id = s.account_id AND c.local_host_id IS NULL AND c.kind = 'person'
        AND c.sid LIKE 'S-1-5-21-%'
    LEFT JOIN authentications AS a ON a.account_id = s.account_id AND a.success
        AND ABS(micros(a.time) - micros(s.start_time)) <= $answer_s * 1000000
    WHERE s.logon_type IN (2, 10) AND s.opened_by IN ('desktop', 'remote_desktop')
    GROUP BY s.session_id
),
found AS (
    SELECT r.host_id AS host_id, r.channel AS channel, 'gap' AS kind, r.reached_time AS start_time,
        r.first_time AS end_time, r.first_id - r.reached - 1 AS amount,
        CASE WHEN r.first_id = r.reached + 2 THEN CONCAT('record ', CAST(r.first_id - 1 AS VARCHAR))
            ELSE CONCAT('records ', CAST(r.reached + 1 AS VARCHAR), ' to ', CAST(r.first_id - 1 AS VARCHAR)) END AS detail,
        CAST(NULL AS BIGINT) AS uid
    FROM runs AS r
    JOIN log_spans AS s ON s.host_id = r.host_id AND s.channel = r.channel
    WHERE r.first_id > r.reached + 1 AND s.part >= 0.5 AND s.runs <= 50
    UNION ALL
    SELECT s.host_id AS host_id, s.channel AS channel, 'selection' AS kind, s.first_time AS start_time,
        s.last_time AS end_time, s.missing AS amount,
        CONCAT(CAST(s.records AS VARCHAR), ' of ', CAST(s.last_record_id - s.first_record_id + 1 AS VARCHAR), ' records')
            AS detail,
        CAST(NULL AS BIGINT) AS uid
    FROM log_spans AS s
    WHERE s.missing > 0 AND (s.part < 0.5 OR s.runs > 50)
    UNION ALL
    SELECT e.host_id AS host_id, e.channel AS channel,
        CASE WHEN r.host_id IS NULL THEN 'cleared' ELSE 'clear' END AS kind, CAST(NULL AS TIMESTAMP) AS start_time,
        e.time AS end_time, CAST(NULL AS BIGINT) AS amount,
        CASE WHEN e.subject_name IS NULL THEN NULL WHEN e.subject_domain IS NULL THEN CONCAT('by ', e.subject_name)
            ELSE CONCAT('by ', e.subject_domain, '\', e.subject_name) END AS detail,
        e.uid AS uid
    FROM logged AS e
    LEFT JOIN runs AS r ON r.host_id = e.host_id AND r.channel = e.channel AND r.first_id = e.record_id
        AND (r.reached IS NULL OR r.reached < r.first_id - 1)
    WHERE e.mark = 'clear'
    UNION ALL
    SELECT e.host_id AS host_id, e.channel AS channel, CASE e.event_id WHEN 1104 THEN 'log_full' ELSE 'records_lost' END AS kind,
        e.time AS start_time, CAST(NULL AS TIMESTAMP) AS end_time, CAST(NULL AS BIGINT) AS amount,
        CAST(NULL AS VARCHAR) AS detail, e.uid AS uid
    FROM logged AS e
    WHERE e.mark IN ('log_full', 'record_failed')
    UNION ALL
    SELECT e.host_id AS host_id, e.channel AS channel, 'policy_change' AS kind, e.time AS start_time,
        CAST(NULL AS TIMESTAMP) AS end_time, CAST(NULL AS BIGINT) AS amount,
        CONCAT(COALESCE(p.name, e.audit_subcategory, 'auditing'), ': ',
            CASE WHEN e.audit_changes LIKE '%8448%' THEN 'success off ' ELSE '' END,
            CASE WHEN e.audit_changes LIKE '%8449%' THEN 'success on ' ELSE '' END,
            CASE WHEN e.audit_changes LIKE '%8450%' THEN 'failure off ' ELSE '' END,
            CASE WHEN e.audit_changes LIKE '%8451%' THEN 'failure on ' ELSE '' END,
            CASE WHEN e.subject_name IS NULL THEN '' ELSE CONCAT('by ', e.subject_name) END) AS detail,
        e.uid AS uid
    FROM logged AS e
    LEFT JOIN audit_policy AS p ON p.guid = CONCAT('{', e.audit_subcategory, '}')
    WHERE e.mark = 'audit_policy'
    UNION ALL
    SELECT e.host_id AS host_id, e.channel AS channel, 'clock_step' AS kind, e.old_time AS start_time, e.new_time AS end_time,
        CAST(ROUND((micros(e.new_time) - micros(e.old_time)) / 1000000.0) AS BIGINT) AS amount,
        CAST(NULL AS VARCHAR) AS detail, e.uid AS uid
    FROM logged AS e
    LEFT JOIN logged AS o ON e.channel <> 'Security' AND o.mark = 'clock' AND o.channel = 'Security'
        AND o.host_id = e.host_id AND ABS(micros(o.new_time) - micros(e.new_time)) <= 2000000
        AND ABS(micros(o.old_time) - micros(e.old_time)) <= 2000000
    WHERE e.mark = 'clock' AND o.uid IS NULL
        AND ABS(micros(e.new_time) - micros(e.old_time)) >= $told_step_s * 1000000
    UNION ALL
    SELECT s.host_id AS host_id, 'Security' AS channel, s.kind AS kind, CAST(NULL AS TIMESTAMP) AS start_time,
        CAST(NULL AS TIMESTAMP) AS end_time, CAST(s.amount AS BIGINT) AS amount, CAST(NULL AS VARCHAR) AS detail,
        CAST(NULL AS BIGINT) AS uid
    FROM silent AS s
),
absent AS (
    SELECT CAST(NULL AS BIGINT) AS host_id, a.account AS host, 'no_log' AS kind, a.first_seen AS start_time,
        a.last_seen AS end_time, CAST(NULL AS BIGINT) AS amount
    FROM accounts AS a
    LEFT JOIN host_names AS n ON CONCAT(n.computer_key, '$$') = LOWER(a.name)
        OR n.computer_key LIKE CONCAT(SUBSTR(LOWER(a.name), 1, LENGTH(a.name) - 1), '.%')
    WHERE a.kind = 'computer' AND a.local_host_id IS NULL AND n.host_id IS NULL AND NOT a.service_use
    UNION ALL
    SELECT CAST(NULL AS BIGINT) AS host_id, 'a domain controller' AS host, 'no_controller' AS kind,
        CAST(NULL AS TIMESTAMP) AS start_time, CAST(NULL AS TIMESTAMP) AS end_time,
        CAST(SUM(1 - answered) AS BIGINT) AS amount
    FROM domain_logons
    HAVING COUNT(*) >= 3 AND SUM(1 - answered) * 5 >= COUNT(*)
)
SELECT
    f.host_id AS host_id, n.computer AS host, f.channel AS channel, f.kind AS kind, f.start_time AS start_time,
    f.end_time AS end_time, f.amount AS amount, f.detail AS detail, t.what AS what, t.unsafe AS unsafe,
    t.subcategory AS subcategory, p.how_to_set AS how_to_set, f.uid AS uid
FROM found AS f
JOIN host_names AS n ON n.host_id = f.host_id AND n.computer_key = n.host_key
JOIN blind_spot_texts AS t ON t.kind = f.kind
LEFT JOIN audit_policy AS p ON p.name = t.subcategory
UNION ALL
SELECT
    a.host_id AS host_id, a.host AS host, CAST(NULL AS VARCHAR) AS channel, a.kind AS kind, a.start_time AS start_time,
    a.end_time AS end_time, a.amount AS amount, CAST(NULL AS VARCHAR) AS detail, t.what AS what, t.unsafe AS unsafe,
    t.subcategory AS subcategory, CAST(NULL AS VARCHAR) AS how_to_set, CAST(NULL AS BIGINT) AS uid
FROM absent AS a
JOIN blind_spot_texts AS t ON t.kind = a.kind
