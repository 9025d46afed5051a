-- One row for each session with all but its presence.
-- Reads: session_ends, spans, logged, accounts, account_names, clock_steps.

WITH stepped AS (
    SELECT e.host_id AS host_id, e.boot_id AS boot_id, e.logon_id AS logon_id, CAST(SUM(c.step_us) AS BIGINT) AS step_us,
        MIN(c.uid) AS uid
    FROM session_ends AS e
    JOIN clock_steps AS c ON c.host_id = e.host_id AND c.boot_id = e.boot_id
        AND c.seq > COALESCE(e.start_seq, e.first_seq) AND c.seq <= e.end_seq
    GROUP BY e.host_id, e.boot_id, e.logon_id
),
bounds AS (
    SELECT e.host_id AS host_id, e.boot_id AS boot_id, e.logon_id AS logon_id, COALESCE(t.step_us, 0) AS step_us,
        CASE WHEN e.end_certainty = 'bounded' THEN
            CASE WHEN micros(e.bound_min) > micros(e.end_time) THEN e.end_time ELSE e.bound_min END END AS end_time_min,
        CASE WHEN e.end_certainty = 'bounded' THEN e.bound_max END AS end_time_max,
        CASE
            WHEN e.end_certainty = 'exact' THEN e.end_time
            WHEN e.end_certainty = 'bounded' AND micros(e.bound_min) > micros(e.end_time) THEN e.end_time
            WHEN e.end_certainty = 'bounded' THEN e.bound_min
            WHEN e.end_reason = 'still_open' AND e.stays THEN GREATEST(e.last_time, COALESCE(e.log_end, e.last_time))
            ELSE e.last_time END AS surely_until,
        CASE
            WHEN e.end_certainty = 'exact' THEN e.end_time
            WHEN e.end_certainty = 'bounded' OR e.end_reason = 'log_cleared' THEN e.bound_max END AS at_most_until
    FROM session_ends AS e
    LEFT JOIN stepped AS t ON t.host_id = e.host_id AND t.boot_id = e.boot_id AND t.logon_id = e.logon_id
),
-- what the record says that tells most of a session: of whoever logged on, or where its start is not in the logs of
-- whoever did something
records AS (
    SELECT s.boot_id AS boot_id, s.logon_id AS logon_id, e.uid AS uid, e.host AS host,
        CASE WHEN s.start_seq IS NOT NULL OR e.target_logon_id IN (s.logon_id, s.linked_logon_id)
            THEN e.target_sid ELSE e.subject_sid END AS sid,
        CASE WHEN s.start_seq IS NOT NULL OR e.target_logon_id IN (s.logon_id, s.linked_logon_id)
            THEN e.target_name ELSE e.subject_name END AS name,
        CASE WHEN s.start_seq IS NOT NULL OR e.target_logon_id IN (s.logon_id, s.linked_logon_id)
            THEN e.target_name_key ELSE e.subject_name_key END AS name_key,
        CASE WHEN s.start_seq IS NOT NULL OR e.target_logon_id IN (s.logon_id, s.linked_logon_id)
            THEN e.target_domain ELSE e.subject_domain END AS domain,
        CASE WHEN s.start_seq IS NOT NULL OR e.target_logon_id IN (s.logon_id, s.linked_logon_id)
            THEN e.target_domain_key ELSE e.subject_domain_key END AS domain_key,
        CASE WHEN s.start_seq IS NOT NULL THEN e.auth_package END AS auth_package,
        CASE WHEN s.start_seq IS NOT NULL THEN e.lm_package END AS lm_package,
        CASE WHEN s.start_seq IS NOT NULL THEN e.key_length END AS key_length,
        CASE WHEN s.start_seq IS NOT NULL THEN e.logon_process END AS logon_process,
        CASE WHEN s.start_seq IS NOT NULL THEN e.process_name END AS process_name,
        CASE WHEN s.start_seq IS NOT NULL THEN e.source_address END AS source_address,
        CASE WHEN s.start_seq IS NOT NULL THEN e.source_port END AS source_port,
        CASE WHEN s.start_seq IS NOT NULL THEN e.workstation END AS workstation,
        CASE WHEN s.start_seq IS NOT NULL THEN e.logon_guid END AS logon_guid
    FROM spans AS s
    JOIN logged AS e ON e.uid = s.told_uid AND e.channel = 'Security'
),
guids AS (
    SELECT e.uid AS uid, e.logon_guid AS logon_guid
    FROM spans AS s
    JOIN logged AS e ON e.uid = s.other_uid AND e.mark = 'logon'
    WHERE s.other_uid IS NOT NULL
)
SELECT
    -- one record may be the first of two sessions: what one did when the other began
    COALESCE(s.start_uid, text_id(CONCAT(CAST(s.first_uid AS VARCHAR), ' ', CAST(s.logon_id AS VARCHAR)))) AS session_id,
    s.host_id AS host_id, r.host AS host, e.boot_id AS boot_id,
    s.logon_id AS logon_id, s.linked_logon_id AS linked_logon_id, n.account_id AS account_id,
    COALESCE(a.account, CASE WHEN r.domain IS NULL THEN r.name ELSE CONCAT(r.domain, '\', r.name) END) AS account,
    r.domain AS domain, r.name AS name, COALESCE(r.sid, a.sid) AS sid, a.kind AS kind, s.logon_type AS logon_type,
    e.start_time AS start_time, CASE WHEN e.start_time IS NULL THEN 'unknown' ELSE 'exact' END AS start_certainty,
    e.end_time AS end_time, o.end_time_min AS end_time_min, o.end_time_max AS end_time_max,
    e.end_reason AS end_reason, e.end_certainty AS end_certainty, e.destroyed_time AS destroyed_time,
    CASE WHEN e.end_certainty = 'exact' AND e.start_time IS NOT NULL
        THEN GREATEST(micros(e.end_time) - micros(e.start_time) - o.step_us, 0) / 1000000.0 END AS duration_s,
    GREATEST(micros(o.surely_until) - micros(COALESCE(e.start_time, s.first_time)) - o.step_us, 0) / 1000000.0
        AS duration_min_s,
    -- GREATEST does not count what is NULL
    CASE WHEN o.at_most_until IS NOT NULL AND COALESCE(e.start_time, e.boot_start) IS NOT NULL
        THEN GREATEST(micros(o.at_most_until) - micros(COALESCE(e.start_time, e.boot_start)) - o.step_us, 0) / 1000000.0
        END AS duration_max_s,
    o.step_us / 1000000.0 AS clock_step_s, e.returns AS returns,
    CASE WHEN e.admin_uid IS NOT NULL THEN TRUE WHEN e.start_time IS NOT NULL THEN FALSE END AS admin,
    s.elevated AS elevated, r.auth_package AS auth_package, r.lm_package AS lm_package, r.key_length AS key_length,
    r.logon_process AS logon_process, r.process_name AS process_name, r.source_address AS source_address,
    r.source_port AS source_port, r.workstation AS workstation, COALESCE(r.logon_guid, o2.logon_guid) AS logon_guid,
    CASE
        WHEN a.kind = 'window_manager' THEN 'window_manager'
        WHEN s.start_seq IS NULL OR e.homeless THEN
            CASE WHEN s.logon_type IN (10, 12) THEN 'remote_desktop' WHEN e.is_desktop OR e.homeless THEN 'desktop'
                WHEN s.logon_type = 3 THEN 'network' END
        WHEN s.logon_type = 0 THEN 'system'
        WHEN s.logon_type IN (10, 12) THEN 'remote_desktop'
        WHEN s.logon_type IN (7, 13) THEN 'unlock'
        WHEN s.logon_type = 5 THEN 'service'
        WHEN s.logon_type = 4 THEN 'scheduled_task'
        WHEN r.logon_process LIKE 'sshd%' OR r.process_name LIKE '%_sshd.exe' THEN 'ssh'
        WHEN r.process_name LIKE '%_w3wp.exe' THEN 'web'
        WHEN r.logon_process LIKE 'CredPro%' THEN 'uac_prompt'
        WHEN s.logon_type = 9 THEN 'netonly'
        WHEN r.logon_process LIKE 'seclogo%' THEN 'runas'
        WHEN r.logon_process LIKE 'Authz%' THEN 'access_check'
        WHEN s.logon_type = 3 AND e.winrm = 1 THEN 'winrm'
        WHEN s.logon_type = 3 AND e.shares > 0 THEN 'network_share'
        WHEN s.logon_type = 3 THEN 'network'
        WHEN e.is_desktop THEN 'desktop'
        ELSE 'application' END AS opened_by,
    e.terminal_session AS terminal_session, e.is_desktop AS is_desktop,
    s.first_time AS first_time, e.last_time AS last_time, s.start_seq AS start_seq, e.end_seq AS end_seq,
    s.start_uid AS start_uid, s.first_uid AS first_uid, e.last_uid AS last_uid, e.end_uid AS end_uid,
    e.destroyed_uid AS destroyed_uid, e.admin_uid AS admin_uid, e.seat_uid AS seat_uid, e.homeless AS homeless
FROM session_ends AS e
JOIN bounds AS o ON o.host_id = e.host_id AND o.boot_id = e.boot_id AND o.logon_id = e.logon_id
JOIN spans AS s ON s.host_id = e.host_id AND s.boot_id = e.boot_id AND s.logon_id = e.logon_id
JOIN records AS r ON r.uid = s.told_uid AND r.logon_id = s.logon_id AND r.boot_id = s.boot_id
LEFT JOIN guids AS o2 ON o2.uid = s.other_uid
LEFT JOIN account_names AS n ON n.host_id = s.host_id AND n.name_key = r.name_key
    AND COALESCE(n.domain_key, '') = COALESCE(r.domain_key, '') AND COALESCE(n.sid_written, '') = COALESCE(r.sid, '')
LEFT JOIN accounts AS a ON a.account_id = n.account_id
