-- View: one row for each session with all but its presence.
-- Reads: session_facts, logged, accounts, account_names, account_lookup.
-- What a record says is of whoever logged on; where the start of a session is not in the logs, of whoever did something.

SELECT
    s.session_id AS session_id, s.host_id AS host_id, s.host AS host, s.boot_id AS boot_id, s.logon_id AS logon_id,
    s.linked_logon_id AS linked_logon_id, COALESCE(n.account_id, l.account_id) AS account_id,
    COALESCE(a.account, CASE WHEN s.domain IS NULL THEN s.name ELSE CONCAT(s.domain, '\', s.name) END) AS account,
    s.domain AS domain, s.name AS name, COALESCE(s.sid, a.sid) AS sid, a.kind AS kind, s.logon_type AS logon_type,
    s.start_time AS start_time, s.start_certainty AS start_certainty, s.end_time AS end_time,
    s.end_time_min AS end_time_min, s.end_time_max AS end_time_max, s.end_reason AS end_reason,
    s.end_certainty AS end_certainty, s.destroyed_time AS destroyed_time, s.duration_s AS duration_s,
    s.duration_min_s AS duration_min_s, s.duration_max_s AS duration_max_s, s.clock_step_s AS clock_step_s,
    s.returns AS returns, s.admin AS admin, s.elevated AS elevated,
    CASE WHEN s.start_uid IS NOT NULL THEN s.auth_package END AS auth_package,
    CASE WHEN s.start_uid IS NOT NULL THEN s.lm_package END AS lm_package,
    CASE WHEN s.start_uid IS NOT NULL THEN s.key_length END AS key_length,
    CASE WHEN s.start_uid IS NOT NULL THEN s.logon_process END AS logon_process,
    CASE WHEN s.start_uid IS NOT NULL THEN s.process_name END AS process_name,
    CASE WHEN s.start_uid IS NOT NULL THEN s.source_address END AS source_address,
    CASE WHEN s.start_uid IS NOT NULL THEN s.source_port END AS source_port,
    CASE WHEN s.start_uid IS NOT NULL THEN s.workstation END AS workstation,
    CASE WHEN s.start_uid IS NOT NULL THEN COALESCE(s.logon_guid, o.logon_guid) END AS logon_guid,
    CASE
        WHEN a.kind = 'window_manager' THEN 'window_manager'
        WHEN s.start_uid IS NULL OR s.homeless THEN
            CASE WHEN s.logon_type IN (10, 12) THEN 'remote_desktop' WHEN s.is_desktop OR s.homeless THEN 'desktop'
                WHEN s.logon_type = 3 THEN 'network' END
        WHEN s.logon_type = 0 THEN 'system'
        WHEN s.logon_type IN (10, 12) THEN 'remote_desktop'
        WHEN s.logon_type IN (7, 13) THEN 'unlock'
        WHEN s.logon_type = 5 THEN 'service'
        WHEN s.logon_type = 4 THEN 'scheduled_task'
        WHEN s.logon_process LIKE 'sshd%' OR s.process_name LIKE '%_sshd.exe' THEN 'ssh'
        WHEN s.process_name LIKE '%_w3wp.exe' THEN 'web'
        WHEN s.logon_process LIKE 'CredPro%' THEN 'uac_prompt'
        WHEN s.logon_type = 9 THEN 'netonly'
        WHEN s.logon_process LIKE 'seclogo%' THEN 'runas'
        WHEN s.logon_process LIKE 'Authz%' THEN 'access_check'
        WHEN s.logon_type = 3 AND s.winrm = 1 THEN 'winrm'
        WHEN s.logon_type = 3 AND s.shares > 0 THEN 'network_share'
        WHEN s.logon_type = 3 THEN 'network'
        WHEN s.is_desktop THEN 'desktop'
        ELSE 'application' END AS opened_by,
    s.terminal_session AS terminal_session, s.is_desktop AS is_desktop, s.first_time AS first_time,
    s.last_time AS last_time, s.start_seq AS start_seq, s.end_seq AS end_seq, s.start_uid AS start_uid,
    s.end_uid AS end_uid
FROM (
    SELECT f.*, e.host AS host, e.auth_package AS auth_package, e.lm_package AS lm_package, e.key_length AS key_length,
        e.logon_process AS logon_process, e.process_name AS process_name, e.source_address AS source_address,
        e.source_port AS source_port, e.workstation AS workstation, e.logon_guid AS logon_guid,
        CASE WHEN f.start_uid IS NOT NULL OR e.target_logon_id IN (f.logon_id, f.linked_logon_id)
            THEN e.target_sid ELSE e.subject_sid END AS sid,
        CASE WHEN f.start_uid IS NOT NULL OR e.target_logon_id IN (f.logon_id, f.linked_logon_id)
            THEN e.target_name ELSE e.subject_name END AS name,
        CASE WHEN f.start_uid IS NOT NULL OR e.target_logon_id IN (f.logon_id, f.linked_logon_id)
            THEN e.target_name_key ELSE e.subject_name_key END AS name_key,
        CASE WHEN f.start_uid IS NOT NULL OR e.target_logon_id IN (f.logon_id, f.linked_logon_id)
            THEN e.target_domain ELSE e.subject_domain END AS domain,
        CASE WHEN f.start_uid IS NOT NULL OR e.target_logon_id IN (f.logon_id, f.linked_logon_id)
            THEN e.target_domain_key ELSE e.subject_domain_key END AS domain_key
    FROM session_facts AS f
    JOIN logged AS e ON e.uid = f.told_uid AND e.channel = 'Security'
) AS s
LEFT JOIN (
    SELECT e.uid AS uid, e.logon_guid AS logon_guid
    FROM session_facts AS f
    JOIN logged AS e ON e.uid = f.other_uid AND e.mark = 'logon'
    WHERE f.other_uid IS NOT NULL
) AS o ON o.uid = s.other_uid
LEFT JOIN account_names AS n ON n.host_id = s.host_id AND n.name_key = s.name_key
    AND COALESCE(n.domain_key, '') = COALESCE(s.domain_key, '') AND COALESCE(n.sid_written, '') = COALESCE(s.sid, '')
LEFT JOIN account_lookup AS l ON s.sid IS NULL AND l.name_key = s.name_key AND l.domain_key = COALESCE(s.domain_key, '')
LEFT JOIN accounts AS a ON a.account_id = COALESCE(n.account_id, l.account_id)
