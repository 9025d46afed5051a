-- One row for each logon session as its own records tell it, unlocks and reconnects not yet folded: what began it, what
-- ended it, where it was last seen.
-- Reads: used_ids, session_ids, logons, logged.
-- seq is a place in the Security log. NULL: there is no such record; start_* where the logs begin later.

WITH halves AS (
    SELECT i.host_id AS host_id, i.boot_id AS boot_id, i.session_logon_id AS logon_id,
        MAX(CASE WHEN i.logon_id <> i.session_logon_id THEN i.logon_id END) AS linked_logon_id,
        MIN(u.first_seq) AS first_seq, value_at_first(u.first_uid, u.first_seq) AS first_uid,
        value_at_first(u.first_time, u.first_seq) AS first_time,
        MAX(u.last_seq) AS last_seq, value_at_last(u.last_uid, u.last_seq) AS last_uid,
        value_at_last(u.last_time, u.last_seq) AS last_time,
        MIN(u.logon_seq) AS start_seq,
        MAX(u.logoff_seq) AS logoff_seq, value_at_last(u.logoff_uid, u.logoff_seq) AS logoff_uid,
        value_at_last(u.logoff_time, u.logoff_seq) AS logoff_time,
        MAX(u.user_logoff_seq) AS user_logoff_seq,
        value_at_last(u.user_logoff_uid, u.user_logoff_seq) AS user_logoff_uid,
        value_at_last(u.user_logoff_time, u.user_logoff_seq) AS user_logoff_time,
        MIN(u.first_user_logoff_seq) AS first_user_logoff_seq,
        value_at_first(u.first_user_logoff_uid, u.first_user_logoff_seq) AS first_user_logoff_uid,
        value_at_first(u.first_user_logoff_time, u.first_user_logoff_seq) AS first_user_logoff_time,
        MAX(u.desk_seq) AS desk_seq, value_at_last(u.desk_time, u.desk_seq) AS desk_time, MAX(u.desk) AS desk,
        MIN(u.admin_uid) AS admin_uid, CAST(SUM(u.shares) AS BIGINT) AS shares, MAX(u.winrm) AS winrm, MAX(u.logoff_type) AS logoff_type
    FROM session_ids AS i
    LEFT JOIN used_ids AS u ON u.host_id = i.host_id AND u.boot_id = i.boot_id AND u.logon_id = i.logon_id
    GROUP BY i.host_id, i.boot_id, i.session_logon_id
),
-- a logoff that the desktop was used long after was cancelled; of several that stand, the first is when she left
asked AS (
    SELECT h.host_id AS host_id, h.boot_id AS boot_id, h.logon_id AS logon_id, h.linked_logon_id AS linked_logon_id,
        h.first_seq AS first_seq, h.first_uid AS first_uid, h.first_time AS first_time, h.last_seq AS last_seq,
        h.last_uid AS last_uid, h.last_time AS last_time, h.start_seq AS start_seq, h.logoff_seq AS logoff_seq,
        h.logoff_uid AS logoff_uid, h.logoff_time AS logoff_time, h.user_logoff_seq AS user_logoff_seq,
        h.user_logoff_uid AS user_logoff_uid, h.user_logoff_time AS user_logoff_time,
        h.first_user_logoff_seq AS first_user_logoff_seq, h.first_user_logoff_uid AS first_user_logoff_uid,
        h.first_user_logoff_time AS first_user_logoff_time, h.desk AS desk, h.admin_uid AS admin_uid,
        h.shares AS shares, h.winrm AS winrm, h.logoff_type AS logoff_type,
        CASE
            WHEN h.user_logoff_seq IS NULL THEN NULL
            WHEN h.desk_seq > h.first_user_logoff_seq
                AND micros(h.desk_time) - micros(h.first_user_logoff_time) > $logoff_cancelled_s * 1000000
                THEN CASE WHEN h.desk_seq > h.user_logoff_seq
                    AND micros(h.desk_time) - micros(h.user_logoff_time) > $logoff_cancelled_s * 1000000
                    THEN 0 ELSE 2 END
            ELSE 1 END AS logoff_asked
    FROM halves AS h
),
begun AS (
    SELECT l.host_id AS host_id, l.boot_id AS boot_id, l.session_logon_id AS logon_id, MIN(l.seq) AS seq,
        MAX(l.logon_guid) AS logon_guid, MAX(CASE WHEN l.elevated THEN 1 ELSE 0 END) AS elevated,
        COALESCE(MIN(CASE WHEN l.logon_id = l.session_logon_id THEN l.seq END), MIN(l.seq)) AS told_seq
    FROM logons AS l
    GROUP BY l.host_id, l.boot_id, l.session_logon_id
),
-- sessions whose start is not in the logs: who they are of is told by the first record of theirs
orphans AS (
    SELECT h.host_id AS host_id, h.boot_id AS boot_id, h.logon_id AS logon_id, MIN(e.host) AS host,
        MIN(CASE WHEN e.target_logon_id = h.logon_id THEN e.target_sid ELSE e.subject_sid END) AS sid,
        MIN(CASE WHEN e.target_logon_id = h.logon_id THEN e.target_name ELSE e.subject_name END) AS name,
        MIN(CASE WHEN e.target_logon_id = h.logon_id THEN e.target_name_key ELSE e.subject_name_key END) AS name_key,
        MIN(CASE WHEN e.target_logon_id = h.logon_id THEN e.target_domain ELSE e.subject_domain END) AS domain,
        MIN(CASE WHEN e.target_logon_id = h.logon_id THEN e.target_domain_key ELSE e.subject_domain_key END)
            AS domain_key
    FROM halves AS h
    JOIN logged AS e ON e.host_id = h.host_id AND e.seq = h.first_seq AND e.channel = 'Security'
    WHERE h.start_seq IS NULL
    GROUP BY h.host_id, h.boot_id, h.logon_id
)
SELECT
    h.host_id AS host_id, h.boot_id AS boot_id, h.logon_id AS logon_id, h.linked_logon_id AS linked_logon_id,
    COALESCE(s.host, o.host) AS host, s.seq AS start_seq, s.time AS start_time, s.uid AS start_uid,
    h.first_seq AS first_seq, h.first_uid AS first_uid, h.first_time AS first_time, h.last_seq AS last_seq,
    h.last_uid AS last_uid, h.last_time AS last_time, h.logoff_seq AS logoff_seq, h.logoff_uid AS logoff_uid,
    h.logoff_time AS logoff_time,
    CASE h.logoff_asked WHEN 1 THEN h.first_user_logoff_seq WHEN 2 THEN h.user_logoff_seq END AS user_logoff_seq,
    CASE h.logoff_asked WHEN 1 THEN h.first_user_logoff_uid WHEN 2 THEN h.user_logoff_uid END AS user_logoff_uid,
    CASE h.logoff_asked WHEN 1 THEN h.first_user_logoff_time WHEN 2 THEN h.user_logoff_time END AS user_logoff_time,
    h.admin_uid AS admin_uid, h.shares AS shares, h.winrm AS winrm, h.desk AS desk,
    COALESCE(t.sid, o.sid) AS sid, COALESCE(t.name, o.name) AS name, COALESCE(t.name_key, o.name_key) AS name_key,
    COALESCE(t.domain, o.domain) AS domain, COALESCE(t.domain_key, o.domain_key) AS domain_key,
    COALESCE(t.logon_type, h.logoff_type) AS logon_type, g.elevated = 1 AS elevated,
    t.logon_process AS logon_process, t.auth_package AS auth_package, t.lm_package AS lm_package,
    t.key_length AS key_length, t.process_name AS process_name, t.source_address AS source_address,
    t.source_port AS source_port, t.workstation AS workstation, g.logon_guid AS logon_guid,
    CASE WHEN s.seq IS NOT NULL THEN t.logon_type IN (2, 10, 11, 12) AND t.logon_process IN ('User32', 'Winlogon')
        ELSE h.desk = 1 OR h.logoff_asked > 0 OR COALESCE(h.logoff_type, 0) IN (2, 10, 11, 12)
        END
        AND COALESCE(t.sid, o.sid, '') NOT LIKE 'S-1-5-90-%' AND COALESCE(t.sid, o.sid, '') NOT LIKE 'S-1-5-96-%'
        AS is_desktop
FROM asked AS h
LEFT JOIN begun AS g ON g.host_id = h.host_id AND g.boot_id = h.boot_id AND g.logon_id = h.logon_id
LEFT JOIN logons AS s ON s.host_id = h.host_id AND s.boot_id = h.boot_id AND s.seq = g.seq
LEFT JOIN logons AS t ON t.host_id = h.host_id AND t.boot_id = h.boot_id AND t.seq = g.told_seq
LEFT JOIN orphans AS o ON o.host_id = h.host_id AND o.boot_id = h.boot_id AND o.logon_id = h.logon_id
WHERE h.first_seq IS NOT NULL
