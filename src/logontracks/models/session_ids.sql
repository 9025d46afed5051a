-- One row for each logon id of a host and boot, with the id of the session that it belongs to: its own, or that of the
-- filtered half where the logon was split.
-- Reads: used_ids, logons.

SELECT l.host_id AS host_id, l.boot_id AS boot_id, l.logon_id AS logon_id, l.session_logon_id AS session_logon_id
FROM logons AS l
UNION ALL
-- the half whose own logon is not in the logs
SELECT l.host_id AS host_id, l.boot_id AS boot_id, l.other_logon_id AS logon_id,
    MIN(l.session_logon_id) AS session_logon_id
FROM logons AS l
LEFT JOIN logons AS o ON o.host_id = l.host_id AND o.boot_id = l.boot_id AND o.logon_id = l.other_logon_id
WHERE l.other_logon_id IS NOT NULL AND o.logon_id IS NULL
GROUP BY l.host_id, l.boot_id, l.other_logon_id
UNION ALL
SELECT u.host_id AS host_id, u.boot_id AS boot_id, u.logon_id AS logon_id, u.logon_id AS session_logon_id
FROM used_ids AS u
LEFT JOIN logons AS o ON o.host_id = u.host_id AND o.boot_id = u.boot_id
    AND (o.logon_id = u.logon_id)
LEFT JOIN logons AS p ON p.host_id = u.host_id AND p.boot_id = u.boot_id AND p.other_logon_id = u.logon_id
WHERE o.logon_id IS NULL AND p.logon_id IS NULL
