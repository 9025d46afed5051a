-- One row for each logon id that the Security log of a host has in a boot, reserved ones left out: where it was first
-- and last seen, and what says that its session started, ended or was used.
-- Reads: logged, boots.
-- seq is a place in the Security log. NULL: there is no such record.

SELECT
    u.host_id AS host_id, b.boot_id AS boot_id, u.logon_id AS logon_id,
    MIN(u.seq) AS first_seq, value_at_first(u.uid, u.seq) AS first_uid, value_at_first(u.time, u.seq) AS first_time,
    MAX(u.seq) AS last_seq, value_at_last(u.uid, u.seq) AS last_uid, value_at_last(u.time, u.seq) AS last_time,
    MIN(CASE WHEN u.mark = 'logon' THEN u.seq END) AS logon_seq,
    SUM(CASE WHEN u.mark = 'logon' THEN 1 ELSE 0 END) AS logons,
    MAX(CASE WHEN u.mark = 'logoff' THEN u.seq END) AS logoff_seq,
    value_at_last(CASE WHEN u.mark = 'logoff' THEN u.uid END, CASE WHEN u.mark = 'logoff' THEN u.seq END) AS logoff_uid,
    value_at_last(CASE WHEN u.mark = 'logoff' THEN u.time END, CASE WHEN u.mark = 'logoff' THEN u.seq END)
        AS logoff_time,
    MAX(CASE WHEN u.mark = 'user_logoff' THEN u.seq END) AS user_logoff_seq,
    value_at_last(CASE WHEN u.mark = 'user_logoff' THEN u.uid END, CASE WHEN u.mark = 'user_logoff' THEN u.seq END)
        AS user_logoff_uid,
    value_at_last(CASE WHEN u.mark = 'user_logoff' THEN u.time END, CASE WHEN u.mark = 'user_logoff' THEN u.seq END)
        AS user_logoff_time,
    MIN(CASE WHEN u.mark = 'user_logoff' THEN u.seq END) AS first_user_logoff_seq,
    value_at_first(CASE WHEN u.mark = 'user_logoff' THEN u.uid END, CASE WHEN u.mark = 'user_logoff' THEN u.seq END)
        AS first_user_logoff_uid,
    value_at_first(CASE WHEN u.mark = 'user_logoff' THEN u.time END, CASE WHEN u.mark = 'user_logoff' THEN u.seq END)
        AS first_user_logoff_time,
    MAX(CASE WHEN u.desk = 1 THEN u.seq END) AS desk_seq,
    value_at_last(CASE WHEN u.desk = 1 THEN u.time END, CASE WHEN u.desk = 1 THEN u.seq END) AS desk_time,
    MIN(CASE WHEN u.mark = 'admin' THEN u.uid END) AS admin_uid,
    SUM(CASE WHEN u.mark = 'share' THEN 1 ELSE 0 END) AS shares,
    MAX(u.winrm) AS winrm, MAX(u.desk) AS desk,
    MAX(CASE WHEN u.mark = 'logoff' THEN u.logon_type END) AS logoff_type
FROM (
    SELECT host_id AS host_id, seq AS seq, time AS time, uid AS uid, target_logon_id AS logon_id, mark AS mark,
        CASE WHEN mark IN ($desk_marks) THEN 1
            ELSE 0 END AS desk,
        0 AS winrm, logon_type AS logon_type
    FROM logged
    WHERE channel = 'Security' AND target_logon_id IS NOT NULL
    UNION ALL
    SELECT host_id AS host_id, seq AS seq, time AS time, uid AS uid, subject_logon_id AS logon_id,
        CASE WHEN mark IN ('admin', 'share') THEN mark END AS mark, 0 AS desk,
        CASE WHEN event_id = 4688 AND object_name LIKE '%_wsmprovhost.exe' THEN 1 ELSE 0 END AS winrm,
        CAST(NULL AS SMALLINT) AS logon_type
    FROM logged
    WHERE channel = 'Security' AND subject_logon_id IS NOT NULL
) AS u
JOIN boots AS b ON b.host_id = u.host_id
    AND u.seq >= COALESCE(b.security_from, -1) AND u.seq < COALESCE(b.security_until, 4611686018427387904)
GROUP BY u.host_id, b.boot_id, u.logon_id
