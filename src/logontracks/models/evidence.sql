-- One row for each record that a row of another table rests on.
-- Reads: session_facts, folds, logons, session_ids, used_ids, logged, desk_times, boots, clock_steps, attempts,
-- failed_attempts.
-- Sorted by: row_id, uid, role.
-- A session rests on each logon behind it (start, other half, unlock, return), on what says that it has privileges, on
-- what ended it, on each change of its presence and on each clock that was set while it lasted.
--
-- Columns:
--   row_id BIGINT: Row that rests on the record: a session_id, boot_id or failure_id
--   uid BIGINT: Record, as `events` has it
--   role VARCHAR: start, other_half, unlock, return, again (the same logon told twice), first_seen, admin, end,
--     destroyed, last_seen, presence, terminal, clock_step; of a failure host, kerberos, ntlm, ntlm_audit

WITH heads AS (
    SELECT host_id AS host_id, boot_id AS boot_id, logon_id AS logon_id, session_id AS session_id
    FROM session_facts
),
homes AS (
    SELECT i.host_id AS host_id, i.boot_id AS boot_id, i.logon_id AS logon_id,
        COALESCE(f.home_id, i.session_logon_id) AS home_id, f.unlock AS unlock
    FROM session_ids AS i
    LEFT JOIN folds AS f ON f.host_id = i.host_id AND f.boot_id = i.boot_id AND f.logon_id = i.session_logon_id
)
SELECT h.session_id AS row_id, e.uid AS uid,
    CASE WHEN m.unlock = 1 THEN 'unlock' WHEN m.unlock = 0 THEN 'return' WHEN e.uid = h.session_id THEN 'start'
        ELSE 'other_half' END AS role
FROM logons AS e
JOIN homes AS m ON m.host_id = e.host_id AND m.boot_id = e.boot_id AND m.logon_id = e.logon_id
JOIN heads AS h ON h.host_id = m.host_id AND h.boot_id = m.boot_id AND h.logon_id = m.home_id
UNION ALL
SELECT h.session_id AS row_id, e.uid AS uid, 'again' AS role
FROM used_ids AS u
JOIN boots AS b ON b.host_id = u.host_id AND b.boot_id = u.boot_id
JOIN logged AS e ON e.host_id = u.host_id AND e.channel = 'Security' AND e.mark = 'logon'
    AND e.target_logon_id = u.logon_id AND e.seq > u.logon_seq
    AND e.seq < COALESCE(b.security_until, 4611686018427387904)
JOIN homes AS m ON m.host_id = u.host_id AND m.boot_id = u.boot_id AND m.logon_id = u.logon_id
JOIN heads AS h ON h.host_id = m.host_id AND h.boot_id = m.boot_id AND h.logon_id = m.home_id
WHERE u.logons > 1
UNION ALL
SELECT session_id AS row_id, admin_uid AS uid, 'admin' AS role FROM session_facts WHERE admin_uid IS NOT NULL
UNION ALL
SELECT session_id AS row_id, end_uid AS uid, CASE WHEN end_reason = 'still_open' THEN 'last_seen' ELSE 'end' END AS role
FROM session_facts
WHERE end_uid IS NOT NULL
UNION ALL
SELECT session_id AS row_id, last_uid AS uid, 'last_seen' AS role
FROM session_facts
WHERE end_certainty <> 'exact' AND end_reason <> 'still_open'
UNION ALL
SELECT session_id AS row_id, first_uid AS uid, 'first_seen' AS role FROM session_facts WHERE start_uid IS NULL
UNION ALL
SELECT session_id AS row_id, destroyed_uid AS uid, 'destroyed' AS role
FROM session_facts
WHERE destroyed_uid IS NOT NULL
UNION ALL
SELECT session_id AS row_id, seat_uid AS uid, 'terminal' AS role FROM session_facts WHERE seat_uid IS NOT NULL
UNION ALL
SELECT h.session_id AS row_id, d.uid AS uid, 'presence' AS role
FROM desk_times AS d
JOIN heads AS h ON h.host_id = d.host_id AND h.boot_id = d.boot_id AND h.logon_id = d.logon_id
UNION ALL
SELECT s.session_id AS row_id, c.uid AS uid, 'clock_step' AS role
FROM clock_steps AS c
JOIN session_facts AS s ON s.host_id = c.host_id AND s.boot_id = c.boot_id
    AND c.seq > s.start_seq AND c.seq <= s.end_seq
UNION ALL
SELECT boot_id AS row_id, start_uid AS uid, 'start' AS role FROM boots WHERE start_uid IS NOT NULL
UNION ALL
SELECT boot_id AS row_id, end_uid AS uid, CASE WHEN end_kind = 'running' THEN 'last_seen' ELSE 'end' END AS role
FROM boots
WHERE end_uid IS NOT NULL
UNION ALL
SELECT f.failure_id AS row_id, a.uid AS uid, a.layer AS role
FROM attempts AS a
JOIN failed_attempts AS f ON f.attempt_id = a.attempt_id
