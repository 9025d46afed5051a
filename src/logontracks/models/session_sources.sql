-- One row for each session of a person or of an account that people make for services, whose start is in the logs: what its
-- logon says of where it came from.
-- Reads: sessions, logged, boots, session_by_id.
-- NULL: parent_id, the session on the same host that asked for this one, where that was Windows itself or nothing is told.

SELECT s.session_id AS session_id, s.host_id AS host_id, s.boot_id AS boot_id, s.account_id AS account_id,
    s.account AS account, s.kind AS kind, s.logon_type AS logon_type, s.opened_by AS opened_by,
    s.start_time AS start_time, s.logon_guid AS logon_guid, s.auth_package AS auth_package,
    s.source_address AS source_address, LOWER(s.workstation) AS workstation_key, s.start_uid AS start_uid,
    p.parent_id AS parent_id
FROM sessions AS s
LEFT JOIN (
    SELECT e.uid AS uid, MIN(i.session_id) AS parent_id
    FROM logged AS e
    JOIN boots AS b ON b.host_id = e.host_id
        AND e.seq >= COALESCE(b.security_from, -1) AND e.seq < COALESCE(b.security_until, 4611686018427387904)
    JOIN session_by_id AS i ON i.host_id = b.host_id AND i.boot_id = b.boot_id AND i.logon_id = e.subject_logon_id
    WHERE e.mark = 'logon' AND e.channel = 'Security' AND e.subject_logon_id IS NOT NULL
        AND e.subject_logon_id <> COALESCE(e.target_logon_id, 0)
    GROUP BY e.uid
) AS p ON p.uid = s.start_uid AND p.parent_id <> s.session_id
WHERE s.start_uid IS NOT NULL AND s.start_time IS NOT NULL AND COALESCE(s.kind, 'person') = 'person'
    AND COALESCE(s.logon_type, 3) <> 0 AND s.opened_by <> 'unlock'
