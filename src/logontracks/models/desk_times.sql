-- One row for each moment at which a desktop began or ceased to be used: locked, unlocked, connected, put to sleep.
-- The Security log tells it by logon id; where it tells nothing of a host's connections, the log of terminal sessions
-- does, by the terminal session. Sleep is the host's and goes for each desktop that is open.
-- Reads: logged, session_ids, boots, session_ends, terminals, wakes, folds, spans.

WITH marked AS (
    SELECT b.host_id AS host_id, b.boot_id AS boot_id, i.session_logon_id AS logon_id, e.time AS time, e.seq AS seq,
        e.uid AS uid, e.mark AS mark
    FROM logged AS e
    JOIN boots AS b ON b.host_id = e.host_id
        AND e.seq >= COALESCE(b.security_from, -1) AND e.seq < COALESCE(b.security_until, 4611686018427387904)
    JOIN session_ids AS i ON i.host_id = b.host_id AND i.boot_id = b.boot_id AND i.logon_id = e.target_logon_id
    WHERE e.channel = 'Security' AND e.mark IN ($desk_marks)
),
slept AS (
    SELECT host_id AS host_id, time AS time, seq AS seq, uid AS uid, mark AS mark FROM logged WHERE mark = 'sleep'
    UNION ALL
    SELECT host_id AS host_id, time AS time, seq AS seq, uid AS uid, 'wake' AS mark FROM wakes
),
-- where the log has the end of the session: what stands behind it there is of others, whatever its clock says
gone AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, t.channel AS channel,
        MAX(t.seq) AS seq
    FROM session_ends AS s
    JOIN terminals AS t ON t.host_id = s.host_id AND t.terminal_session = s.terminal_session
        AND t.mark = 'terminal_logoff'
        AND ABS(micros(t.time) - micros(s.end_time)) <= $boot_kin_s * 1000000
    WHERE s.is_desktop AND s.end_certainty = 'exact'
    GROUP BY s.host_id, s.boot_id, s.logon_id, t.channel
),
audited AS (
    SELECT host_id AS host_id, MAX(CASE WHEN mark IN ('reconnect', 'disconnect') THEN 1 ELSE 0 END) AS connections,
        MAX(CASE WHEN mark IN ('lock', 'unlock') THEN 1 ELSE 0 END) AS locks
    FROM marked
    GROUP BY host_id
)
SELECT m.host_id AS host_id, m.boot_id AS boot_id, m.logon_id AS logon_id, m.time AS time, m.seq AS seq, m.uid AS uid,
    m.mark AS mark
FROM marked AS m
LEFT JOIN session_ends AS n ON n.host_id = m.host_id AND n.boot_id = m.boot_id AND n.logon_id = m.logon_id
-- a desktop that was left still locks for a moment
WHERE n.end_time IS NULL OR m.time <= n.end_time OR (m.seq <= n.end_seq
    AND (n.end_certainty <> 'exact' OR micros(m.time) - micros(n.end_time) > $boot_kin_s * 1000000))
UNION ALL
-- the logon that unlocks a desktop tells it where the record of the unlock is missing
SELECT f.host_id AS host_id, f.boot_id AS boot_id, f.home_id AS logon_id, s.start_time AS time, s.start_seq AS seq,
    s.start_uid AS uid, 'unlock' AS mark
FROM folds AS f
JOIN spans AS s ON s.host_id = f.host_id AND s.boot_id = f.boot_id AND s.logon_id = f.logon_id
    AND s.start_time IS NOT NULL
JOIN audited AS a ON a.host_id = f.host_id AND a.locks = 1
LEFT JOIN marked AS m ON m.host_id = f.host_id AND m.boot_id = f.boot_id AND m.logon_id = f.home_id
    AND m.mark IN ('unlock', 'reconnect') AND ABS(micros(m.time) - micros(s.start_time)) <= $unlock_s * 1000000
WHERE f.unlock = 1 AND f.home_id <> f.logon_id AND m.uid IS NULL
UNION ALL
SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, t.time AS time, t.seq AS seq, t.uid AS uid,
    CASE t.mark WHEN 'terminal_disconnect' THEN 'disconnect' ELSE 'reconnect' END AS mark
FROM session_ends AS s
JOIN terminals AS t ON t.host_id = s.host_id AND t.terminal_session = s.terminal_session
    AND t.mark IN ('terminal_disconnect', 'terminal_reconnect')
    AND t.time > s.start_time AND t.time < COALESCE(s.end_time, t.time + INTERVAL '1' SECOND)
LEFT JOIN audited AS a ON a.host_id = s.host_id
JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
    AND t.time <= COALESCE(b.last_stop_time, b.end_time_max, t.time)
LEFT JOIN gone AS g ON g.host_id = s.host_id AND g.boot_id = s.boot_id AND g.logon_id = s.logon_id
    AND g.channel = t.channel
WHERE s.is_desktop AND COALESCE(a.connections, 0) = 0 AND t.seq <= COALESCE(g.seq, t.seq)
UNION ALL
SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, e.time AS time, e.seq AS seq, e.uid AS uid,
    e.mark AS mark
FROM session_ends AS s
JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
JOIN slept AS e ON e.host_id = s.host_id
    AND e.time > COALESCE(s.start_time, s.first_time)
    AND e.time < COALESCE(s.end_time, b.end_time_max, e.time + INTERVAL '1' SECOND)
    AND e.seq >= COALESCE(b.system_from, e.seq) AND e.seq < COALESCE(b.system_until, e.seq + 1)
WHERE s.is_desktop
