-- One row for each logon (4624) that is not of a reserved id, with the id of the session it belongs to: of the two
-- halves of a split logon the filtered one, as that is what the desktop uses.
-- Reads: logged, boots, used_ids.
-- at_desk: it opens a desktop, or goes back to one. NULL: other_logon_id where the logon was not split.

WITH starts AS (
    SELECT e.host_id AS host_id, b.boot_id AS boot_id, e.seq AS seq, e.time AS time, e.uid AS uid,
        e.target_logon_id AS logon_id,
        CASE WHEN e.target_linked_logon_id <> e.target_logon_id THEN e.target_linked_logon_id END AS linked_id,
        e.elevated AS elevated, e.version AS version, e.logon_type AS logon_type,
        e.logon_type IN (2, 10, 11, 12) AND e.logon_process IN ('User32', 'Winlogon') AS at_desk,
        u.admin_uid AS admin_uid
    FROM logged AS e
    JOIN boots AS b ON b.host_id = e.host_id
        AND e.seq >= COALESCE(b.security_from, -1) AND e.seq < COALESCE(b.security_until, 4611686018427387904)
    JOIN used_ids AS u ON u.host_id = b.host_id AND u.boot_id = b.boot_id AND u.logon_id = e.target_logon_id
        AND u.logon_seq = e.seq
    WHERE e.channel = 'Security' AND e.mark = 'logon' AND e.target_logon_id IS NOT NULL
),
-- before version 2 no field links the halves: they are logged side by side, one of them with privileges (4672)
unlinked AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.seq AS seq, s.time AS time, s.logon_id AS logon_id,
        s.logon_type AS logon_type, s.admin_uid AS admin_uid, e.target_sid AS sid, e.logon_process AS logon_process,
        COALESCE(e.process_id, 0) AS process_id
    FROM starts AS s
    JOIN logged AS e ON e.uid = s.uid AND e.mark = 'logon'
    WHERE s.version < 2 AND s.logon_type IN (2, 7, 10, 11, 12, 13)
),
sides AS (
    SELECT a.host_id AS host_id, a.boot_id AS boot_id, a.logon_id AS a_id, MIN(b.logon_id) AS b_id,
        MAX(CASE WHEN a.admin_uid IS NOT NULL THEN 1 ELSE 0 END) AS a_admin
    FROM unlinked AS a
    JOIN unlinked AS b ON b.host_id = a.host_id AND b.boot_id = a.boot_id AND b.sid = a.sid
        AND b.logon_type = a.logon_type AND b.logon_process = a.logon_process AND b.process_id = a.process_id
        AND b.seq > a.seq AND b.seq <= a.seq + 4 AND ABS(micros(b.time) - micros(a.time)) <= $pair_s * 1000000
    WHERE (a.admin_uid IS NULL) <> (b.admin_uid IS NULL)
    GROUP BY a.host_id, a.boot_id, a.logon_id
),
pairs AS (
    SELECT host_id AS host_id, boot_id AS boot_id, a_id AS logon_id, b_id AS other_id, a_admin = 1 AS elevated
    FROM sides
    UNION ALL
    SELECT host_id AS host_id, boot_id AS boot_id, b_id AS logon_id, MIN(a_id) AS other_id, MAX(a_admin) = 0 AS elevated
    FROM sides
    GROUP BY host_id, boot_id, b_id
),
halves AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id,
        COALESCE(s.linked_id, p.other_id) AS other_id,
        CASE WHEN s.linked_id IS NULL THEN p.elevated
            WHEN o.elevated IS NULL THEN s.elevated
            WHEN o.elevated <> s.elevated THEN s.elevated END AS elevated
    FROM starts AS s
    LEFT JOIN starts AS o ON o.host_id = s.host_id AND o.boot_id = s.boot_id AND o.logon_id = s.linked_id
    LEFT JOIN pairs AS p ON p.host_id = s.host_id AND p.boot_id = s.boot_id AND p.logon_id = s.logon_id
    WHERE s.linked_id IS NOT NULL OR p.other_id IS NOT NULL
)
SELECT
    s.host_id AS host_id, s.boot_id AS boot_id, s.seq AS seq, s.time AS time, s.uid AS uid, s.logon_id AS logon_id,
    h.other_id AS other_logon_id,
    CASE WHEN h.other_id IS NULL OR h.elevated = FALSE THEN s.logon_id
        WHEN h.elevated THEN h.other_id
        ELSE LEAST(s.logon_id, h.other_id) END AS session_logon_id,
    s.elevated AS elevated, s.logon_type AS logon_type, s.at_desk AS at_desk
FROM starts AS s
LEFT JOIN halves AS h ON h.host_id = s.host_id AND h.boot_id = s.boot_id AND h.logon_id = s.logon_id
