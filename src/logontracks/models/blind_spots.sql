-- One row for each thing that makes the logs of a host tell less than they seem to: gaps, clears, an event log service
-- that stopped, changes of auditing, clocks that were set, what is not audited although it must have happened, logs that
-- are not here at all. What is missing is said only where its trigger must have happened.
-- Reads: log_spans, log_runs, host_names, host_counts, logged, sessions, authentications, accounts, silences, skews,
-- unlogged, blind_spot_texts, audit_policy, event_kinds.
-- NULL: host_id where the host has no log here; times where the row is about all of the log.
--
-- Columns:
--   host_id BIGINT: Host
--   host VARCHAR: Its name; of a computer without a log the name that others give it
--   channel VARCHAR: Log it is about
--   kind VARCHAR: gap, selection, clear, log_full, records_lost, policy_change, clock_step, logoff, locks ...
--   start_time TIMESTAMP: When, or since when
--   end_time TIMESTAMP: Until when
--   amount BIGINT: How much of it: records that are missing, seconds that the clock was set by, what was seen of the
--     things that go together with those that were not
--   unit VARCHAR: What the amount counts
--   detail VARCHAR: Which records, by whom, what was changed
--   what VARCHAR: What it is, in words
--   unsafe VARCHAR: What cannot be concluded because of it
--   subcategory VARCHAR: Audit subcategory to turn on
--   how_to_set VARCHAR: The command that turns it on; NULL where Windows is too old for it
--   policy_path VARCHAR: Where group policy has it; up to Windows 2003 that of the category
--   uid BIGINT: Record that tells it, where one does

-- who did what a record tells of, and with which program
WITH told AS (
    SELECT e.host_id AS host_id, e.channel AS channel, e.mark AS mark, e.event_id AS event_id, e.time AS time,
        e.uid AS uid, e.seq AS seq, e.record_id AS record_id, e.old_time AS old_time, e.new_time AS new_time,
        e.object_name AS object_name, e.audit_subcategory AS audit_subcategory, e.audit_changes AS audit_changes,
        CASE WHEN e.subject_name IS NULL THEN NULL WHEN e.subject_domain IS NULL THEN CONCAT('by ', e.subject_name)
            ELSE CONCAT('by ', e.subject_domain, CHR(92), e.subject_name) END AS by_whom,
        CASE WHEN POSITION(CHR(92) IN e.process_name) > 0
            THEN SUBSTR(e.process_name, LENGTH(e.process_name) - POSITION(CHR(92) IN REVERSE(e.process_name)) + 2)
            ELSE e.process_name END AS program
    FROM logged AS e
    WHERE e.mark IN ('clear', 'log_full', 'record_failed', 'audit_dropped', 'audit_policy', 'clock', 'audit_stop',
        'log_start', 'audit_start', 'wake')
),
-- the lives of hosts that boot hints tell, from their first to their last place in the Security log
hints AS (
    SELECT host_id AS host_id, boot_hint AS boot_hint, MIN(seq) AS first_seq, MAX(seq) AS last_seq,
        value_at_last(time, seq) AS last_time,
        LAG(boot_hint) OVER (PARTITION BY host_id ORDER BY boot_hint ASC NULLS LAST) AS hint_before
    FROM logged
    WHERE boot_hint IS NOT NULL AND channel = 'Security'
    GROUP BY host_id, boot_hint
),
numbered AS (
    SELECT host_id AS host_id, first_seq AS first_seq, last_seq AS last_seq, last_time AS last_time,
        SUM(CASE WHEN micros(boot_hint) - micros(hint_before) <= $boot_clock_s * 1000000 THEN 0 ELSE 1 END) OVER (
            PARTITION BY host_id ORDER BY boot_hint ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS life
    FROM hints
),
lives AS (
    SELECT host_id AS host_id, life AS life, MIN(first_seq) AS first_seq, MAX(last_seq) AS last_seq,
        value_at_last(last_time, last_seq) AS last_time
    FROM numbered
    GROUP BY host_id, life
),
-- the service stopped and the host ran on; at a shutdown a few records may still follow
stops AS (
    SELECT DISTINCT e.host_id AS host_id, e.channel AS channel, e.uid AS uid, e.time AS time
    FROM told AS e
    JOIN lives AS l ON l.host_id = e.host_id AND l.first_seq < e.seq AND l.last_seq > e.seq
        AND micros(l.last_time) - micros(e.time) > $boot_quiet_s * 1000000
    WHERE e.mark = 'audit_stop'
),
-- days on which a host ran, by its System log, and of which its Security log has nothing
days AS (
    SELECT c.host_id AS host_id, c.day AS day, MAX(CASE WHEN c.channel = 'Security' THEN 1 ELSE 0 END) AS security
    FROM host_counts AS c
    WHERE c.channel IN ('Security', 'System')
    GROUP BY c.host_id, c.day
),
-- logs that serve: those of which any record is kept
serving AS (
    SELECT DISTINCT channel AS channel FROM logged
),
found AS (
    SELECT r.host_id AS host_id, r.channel AS channel, 'gap' AS kind, r.told_until AS start_time,
        r.first_time AS end_time, r.first_id - r.reached - 1 AS amount,
        CASE WHEN r.first_id = r.reached + 2 THEN CONCAT('record ', CAST(r.first_id - 1 AS VARCHAR))
            ELSE CONCAT('records ', CAST(r.reached + 1 AS VARCHAR), ' to ', CAST(r.first_id - 1 AS VARCHAR)) END AS detail,
        CAST(NULL AS BIGINT) AS uid
    FROM log_runs AS r
    JOIN log_spans AS s ON s.host_id = r.host_id AND s.channel = r.channel
    JOIN serving AS v ON v.channel = r.channel
    WHERE r.first_id > r.reached + 1 AND s.part >= $selection_part AND s.runs <= $selection_runs
    UNION ALL
    SELECT s.host_id AS host_id, s.channel AS channel, 'selection' AS kind, s.first_time AS start_time,
        s.last_time AS end_time, s.missing AS amount,
        CONCAT(CAST(s.records AS VARCHAR), ' of ', CAST(s.last_record_id - s.first_record_id + 1 AS VARCHAR), ' records')
            AS detail,
        CAST(NULL AS BIGINT) AS uid
    FROM log_spans AS s
    JOIN serving AS v ON v.channel = s.channel
    WHERE s.missing > 0 AND (s.part < $selection_part OR s.runs > $selection_runs)
    UNION ALL
    SELECT e.host_id AS host_id, e.channel AS channel,
        CASE WHEN r.host_id IS NULL THEN 'cleared' ELSE 'clear' END AS kind, CAST(NULL AS TIMESTAMP) AS start_time,
        e.time AS end_time, CAST(NULL AS BIGINT) AS amount, e.by_whom AS detail, e.uid AS uid
    FROM told AS e
    LEFT JOIN log_runs AS r ON r.host_id = e.host_id AND r.channel = e.channel AND r.first_id = e.record_id
        AND (r.reached IS NULL OR r.reached < r.first_id - 1)
    WHERE e.mark = 'clear' AND COALESCE(e.object_name, e.channel) = e.channel
    UNION ALL
    -- the System log tells of the clear of another one
    SELECT e.host_id AS host_id, e.object_name AS channel,
        CASE WHEN s.first_time < e.time THEN 'cleared' ELSE 'clear' END AS kind, CAST(NULL AS TIMESTAMP) AS start_time,
        e.time AS end_time, CAST(NULL AS BIGINT) AS amount, e.by_whom AS detail, e.uid AS uid
    FROM told AS e
    LEFT JOIN log_spans AS s ON s.host_id = e.host_id AND s.channel = e.object_name
    WHERE e.mark = 'clear' AND e.object_name <> e.channel
    UNION ALL
    SELECT e.host_id AS host_id, e.channel AS channel,
        CASE e.mark WHEN 'log_full' THEN 'log_full' WHEN 'record_failed' THEN 'record_failed' ELSE 'records_lost' END
            AS kind,
        e.time AS start_time, CAST(NULL AS TIMESTAMP) AS end_time, CAST(NULL AS BIGINT) AS amount,
        CAST(NULL AS VARCHAR) AS detail, e.uid AS uid
    FROM told AS e
    WHERE e.mark IN ('log_full', 'record_failed', 'audit_dropped')
    UNION ALL
    SELECT s.host_id AS host_id, s.channel AS channel, 'log_stopped' AS kind, s.time AS start_time,
        MIN(e.time) AS end_time, CAST(NULL AS BIGINT) AS amount, CAST(NULL AS VARCHAR) AS detail, s.uid AS uid
    FROM stops AS s
    LEFT JOIN told AS e ON e.host_id = s.host_id AND e.mark IN ('log_start', 'audit_start') AND e.time >= s.time
    GROUP BY s.host_id, s.channel, s.time, s.uid
    UNION ALL
    SELECT e.host_id AS host_id, e.channel AS channel, 'policy_change' AS kind, e.time AS start_time,
        CAST(NULL AS TIMESTAMP) AS end_time, CAST(NULL AS BIGINT) AS amount,
        CONCAT(COALESCE(p.subcategory, e.audit_subcategory, 'auditing'), ': ',
            CASE WHEN e.audit_changes LIKE '%8448%' THEN 'success off ' ELSE '' END,
            CASE WHEN e.audit_changes LIKE '%8449%' THEN 'success on ' ELSE '' END,
            CASE WHEN e.audit_changes LIKE '%8450%' THEN 'failure off ' ELSE '' END,
            CASE WHEN e.audit_changes LIKE '%8451%' THEN 'failure on ' ELSE '' END, COALESCE(e.by_whom, '')) AS detail,
        e.uid AS uid
    FROM told AS e
    LEFT JOIN (SELECT DISTINCT subcategory AS subcategory, subcategory_guid AS guid FROM event_kinds) AS p
        ON p.guid = CONCAT('{', e.audit_subcategory, '}')
    WHERE e.mark = 'audit_policy'
    UNION ALL
    -- the Security log tells it best; a host that wakes catches up with time that has passed
    SELECT e.host_id AS host_id, e.channel AS channel, 'clock_step' AS kind, e.old_time AS start_time, e.new_time AS end_time,
        CAST(ROUND((micros(e.new_time) - micros(e.old_time)) / 1000000.0) AS BIGINT) AS amount,
        CASE WHEN e.by_whom IS NULL THEN CASE WHEN e.program IS NOT NULL THEN CONCAT('with ', e.program) END
            WHEN e.program IS NULL THEN e.by_whom ELSE CONCAT(e.by_whom, ' with ', e.program) END AS detail,
        e.uid AS uid
    FROM told AS e
    LEFT JOIN told AS o ON e.channel <> 'Security' AND o.mark = 'clock' AND o.channel = 'Security'
        AND o.host_id = e.host_id AND ABS(micros(o.new_time) - micros(e.new_time)) <= $clock_step_s * 1000000
        AND ABS(micros(o.old_time) - micros(e.old_time)) <= $clock_step_s * 1000000
    LEFT JOIN (SELECT DISTINCT host_id AS host_id, time AS time FROM told WHERE mark = 'wake') AS w
        ON w.host_id = e.host_id AND e.new_time > e.old_time
        AND (ABS(micros(w.time) - micros(e.new_time)) <= $wake_s * 1000000
            OR ABS(micros(w.time) - micros(e.old_time)) <= $wake_s * 1000000)
    WHERE e.mark = 'clock' AND o.uid IS NULL AND w.host_id IS NULL
        AND ABS(micros(e.new_time) - micros(e.old_time)) >= $told_step_s * 1000000
    UNION ALL
    SELECT host_id AS host_id, 'Security' AS channel, 'quiet_days' AS kind, CAST(MIN(day) AS TIMESTAMP) AS start_time,
        CAST(MAX(day) AS TIMESTAMP) + INTERVAL '1' DAY AS end_time, COUNT(*) AS amount, CAST(NULL AS VARCHAR) AS detail,
        CAST(NULL AS BIGINT) AS uid
    FROM days
    WHERE security = 0
    GROUP BY host_id
    UNION ALL
    SELECT k.host_id AS host_id, 'Security' AS channel, 'clock_apart' AS kind, CAST(MIN(k.day) AS TIMESTAMP) AS start_time,
        CAST(MAX(k.day) AS TIMESTAMP) + INTERVAL '1' DAY AS end_time, k.skew_s AS amount,
        CAST(NULL AS VARCHAR) AS detail, CAST(NULL AS BIGINT) AS uid
    FROM skews AS k
    GROUP BY k.host_id, k.skew_s
    UNION ALL
    SELECT DISTINCT n.host_id AS host_id, CAST(NULL AS VARCHAR) AS channel, 'image_name' AS kind,
        CAST(NULL AS TIMESTAMP) AS start_time, CAST(NULL AS TIMESTAMP) AS end_time, CAST(NULL AS BIGINT) AS amount,
        CAST(NULL AS VARCHAR) AS detail, CAST(NULL AS BIGINT) AS uid
    FROM host_names AS n
    WHERE n.is_image
    UNION ALL
    SELECT s.host_id AS host_id, 'Security' AS channel, s.kind AS kind, CAST(NULL AS TIMESTAMP) AS start_time,
        CAST(NULL AS TIMESTAMP) AS end_time, s.amount AS amount, CAST(NULL AS VARCHAR) AS detail,
        CAST(NULL AS BIGINT) AS uid
    FROM silences AS s
),
-- desktops that accounts of a domain opened, and whether any controller here was asked for them
domain_logons AS (
    SELECT s.session_id AS session_id, MIN(s.start_time) AS time, MIN(c.domain) AS domain,
        MIN(SUBSTR(c.sid, 1, LENGTH(c.sid) - POSITION('-' IN REVERSE(c.sid)))) AS sid_domain,
        MAX(CASE WHEN a.authentication_id IS NOT NULL THEN 1 ELSE 0 END) AS answered
    FROM sessions AS s
    JOIN accounts AS c ON c.account_id = s.account_id AND c.local_host_id IS NULL AND c.kind = 'person'
        AND c.sid LIKE 'S-1-5-21-%'
    LEFT JOIN authentications AS a ON a.account_id = s.account_id AND a.success
        AND ABS(micros(a.time) - micros(s.start_time)) <= $answer_s * 1000000
    WHERE s.logon_type IN (2, 10) AND s.opened_by IN ('desktop', 'remote_desktop')
    GROUP BY s.session_id
),
absent AS (
    SELECT host AS host, kind AS kind, first_time AS start_time, last_time AS end_time, CAST(NULL AS BIGINT) AS amount,
        CAST(NULL AS VARCHAR) AS detail
    FROM unlogged
    UNION ALL
    SELECT CONCAT('a domain controller of ', COALESCE(MIN(domain), '?')) AS host, 'no_controller' AS kind,
        MIN(CASE WHEN answered = 0 THEN time END) AS start_time, MAX(CASE WHEN answered = 0 THEN time END) AS end_time,
        CAST(SUM(1 - answered) AS BIGINT) AS amount,
        CONCAT(CAST(SUM(1 - answered) AS VARCHAR), ' of ', CAST(COUNT(*) AS VARCHAR), ' logons') AS detail
    FROM domain_logons
    GROUP BY sid_domain
    HAVING COUNT(*) >= $absent_logons AND SUM(1 - answered) >= COUNT(*) * $absent_part
),
-- up to Windows 2003 there are nine categories and no subcategories; the records themselves tell it, too
old AS (
    SELECT host_id AS host_id, COALESCE(MAX(os_build), MAX(CASE WHEN channel = 'Security' AND event_id > 1000 THEN 6000
        WHEN channel = 'Security' THEN 3790 END)) AS os_build
    FROM logged
    GROUP BY host_id
)
SELECT
    f.host_id AS host_id, n.computer AS host, f.channel AS channel, f.kind AS kind, f.start_time AS start_time,
    f.end_time AS end_time, f.amount AS amount, t.unit AS unit, f.detail AS detail, t.what AS what, t.unsafe AS unsafe,
    t.subcategory AS subcategory, CASE WHEN COALESCE(o.os_build, 6000) >= 6000 THEN p.how_to_set END AS how_to_set,
    CASE WHEN p.category IS NULL THEN NULL
        WHEN COALESCE(o.os_build, 6000) < 6000 THEN CONCAT(
            'Computer Configuration > Windows Settings > Security Settings > Local Policies > Audit Policy > Audit ',
            CASE WHEN p.name = 'Special Logon' THEN 'privilege use' WHEN p.category = 'Account Logon'
                THEN 'account logon events' WHEN p.category = 'Logon/Logoff' THEN 'logon events' END)
        ELSE CONCAT('Computer Configuration > Policies > Windows Settings > Security Settings > ',
            'Advanced Audit Policy Configuration > Audit Policies > ', p.category, ' > Audit ', p.name)
        END AS policy_path,
    f.uid AS uid
FROM found AS f
JOIN host_names AS n ON n.host_id = f.host_id AND n.computer_key = n.host_key
JOIN blind_spot_texts AS t ON t.kind = f.kind
LEFT JOIN audit_policy AS p ON p.name = t.subcategory
LEFT JOIN old AS o ON o.host_id = f.host_id
UNION ALL
SELECT
    CAST(NULL AS BIGINT) AS host_id, a.host AS host, CAST(NULL AS VARCHAR) AS channel, a.kind AS kind,
    a.start_time AS start_time, a.end_time AS end_time, a.amount AS amount, t.unit AS unit, a.detail AS detail, t.what AS what,
    t.unsafe AS unsafe, t.subcategory AS subcategory, CAST(NULL AS VARCHAR) AS how_to_set,
    CAST(NULL AS VARCHAR) AS policy_path, CAST(NULL AS BIGINT) AS uid
FROM absent AS a
JOIN blind_spot_texts AS t ON t.kind = a.kind
