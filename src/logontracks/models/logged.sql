-- View: one row for each event of the case that models look at, with its host, its place in its log and its mark.
-- Reads: events, log_hosts, log_generations, marks.
-- seq orders the records of one host and channel as they were written: by record id, of logs that were made anew one
-- after the other, and by time where records have no id. A number that no log has reached is no id, and a record of a
-- time that Windows cannot show is left out. mark is NULL for events that are nothing but activity.

SELECT
    e.uid AS uid, CASE WHEN e.record_id BETWEEN 0 AND 4503599627370495 THEN e.record_id END AS record_id,
    COALESCE(i.host_id, n.host_id) AS host_id, e.computer AS host, e.channel AS channel,
    (COALESCE(i.generation, g.generation, 0) * 4503599627370496)
        + CASE WHEN e.record_id BETWEEN 0 AND 4503599627370495 THEN e.record_id ELSE micros(e.time) END AS seq,
    e.time AS time, e.event_id AS event_id, m.mark AS mark, e.version AS version, e.boot_hint AS boot_hint,
    e.activity_id AS activity_id, e.record_sid AS record_sid,
    e.subject_sid AS subject_sid, e.subject_name AS subject_name, e.subject_name_key AS subject_name_key,
    e.subject_domain AS subject_domain, e.subject_domain_key AS subject_domain_key,
    CASE WHEN e.subject_logon_id IN ($reserved_logon_ids) THEN NULL
        ELSE e.subject_logon_id END AS subject_logon_id,
    e.target_sid AS target_sid, e.target_name AS target_name, e.target_name_key AS target_name_key,
    e.target_domain AS target_domain, e.target_domain_key AS target_domain_key,
    CASE WHEN e.target_logon_id IN ($reserved_logon_ids) THEN NULL
        ELSE e.target_logon_id END AS target_logon_id,
    e.target_outbound_name AS target_outbound_name, e.target_outbound_domain AS target_outbound_domain,
    e.target_linked_logon_id AS target_linked_logon_id, e.logon_type AS logon_type, e.logon_guid AS logon_guid,
    e.logon_process AS logon_process, e.auth_package AS auth_package, e.lm_package AS lm_package,
    e.key_length AS key_length, e.elevated AS elevated, e.process_id AS process_id, e.process_name AS process_name,
    e.source_address AS source_address, e.source_port AS source_port, e.workstation AS workstation,
    e.user_principal_name AS user_principal_name, e.old_name AS old_name, e.new_name AS new_name,
    e.terminal_session AS terminal_session, e.other_terminal_session AS other_terminal_session,
    e.session_name AS session_name, e.reason_code AS reason_code, e.old_time AS old_time, e.new_time AS new_time,
    e.boot_time AS boot_time, e.stop_time AS stop_time, e.uptime_s AS uptime_s, e.boot_type AS boot_type,
    e.os_build AS os_build, e.object_name AS object_name,
    e.audit_subcategory AS audit_subcategory, e.audit_changes AS audit_changes, e.outcome AS outcome, e.status AS status, e.sub_status AS sub_status, e.failure_reason AS failure_reason,
    e.service_name AS service_name, e.service_name_key AS service_name_key, e.service_sid AS service_sid,
    e.ticket_options AS ticket_options,
    e.ticket_encryption_type AS ticket_encryption_type, e.pre_auth_type AS pre_auth_type,
    e.transmitted_services AS transmitted_services, e.server_name AS server_name, e.ntlm_version AS ntlm_version,
    e.target_server AS target_server, e.target_info AS target_info, e.workstation_key AS workstation_key,
    e.request_ticket_hash AS request_ticket_hash, e.response_ticket_hash AS response_ticket_hash
FROM events AS e
JOIN log_hosts AS n ON n.computer_key = e.computer_key
LEFT JOIN marks AS m ON m.provider = e.provider AND m.event_id = e.event_id
LEFT JOIN log_generations AS g ON g.computer_key = e.computer_key AND g.channel = e.channel AND g.source_sha256 IS NULL
    AND e.record_id BETWEEN g.first_record_id AND g.last_record_id AND e.time BETWEEN g.first_time AND g.last_time
-- what is told by file: of hundreds of clones each record must not be compared with the logs of all
LEFT JOIN log_generations AS i ON i.computer_key = e.computer_key AND i.channel = e.channel
    AND i.source_sha256 = e.source_sha256
    AND e.record_id BETWEEN i.first_record_id AND i.last_record_id AND e.time BETWEEN i.first_time AND i.last_time
WHERE e.time >= TIMESTAMP '1601-01-01 00:00:00' AND e.time < TIMESTAMP '9999-12-31 00:00:00'
