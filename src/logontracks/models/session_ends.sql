-- One row for each session after folding: what belongs to it, and how it ended.
-- Reads: spans, desks, folds, boots, terminals, logged, log_runs.
-- seq is a place in the Security log; end_seq of an end that is not in that log is where its boot ends.

WITH own AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, d.sid AS sid, d.name_key AS name_key,
        s.logon_type AS logon_type, COALESCE(d.is_desktop, FALSE) AS is_desktop, s.start_seq AS start_seq, s.start_time AS start_time,
        s.first_seq AS first_seq, s.first_time AS first_time, s.last_seq AS last_seq, s.last_time AS last_time,
        s.last_uid AS last_uid, s.logoff_seq AS logoff_seq, s.logoff_time AS logoff_time, s.logoff_uid AS logoff_uid,
        s.user_logoff_seq AS user_logoff_seq, s.user_logoff_time AS user_logoff_time,
        s.user_logoff_uid AS user_logoff_uid, s.admin_uid AS admin_uid,
        s.shares AS shares, s.winrm AS winrm, f.homeless AS homeless
    FROM spans AS s
    LEFT JOIN desks AS d ON d.host_id = s.host_id AND d.boot_id = s.boot_id AND d.logon_id = s.logon_id
    LEFT JOIN folds AS f ON f.host_id = s.host_id AND f.boot_id = s.boot_id AND f.logon_id = s.logon_id
    WHERE f.logon_id IS NULL OR f.home_id = f.logon_id
),
-- what was done by the ids that were folded into it counts as use of the session
guests AS (
    SELECT f.host_id AS host_id, f.boot_id AS boot_id, f.home_id AS logon_id, MAX(s.last_seq) AS last_seq,
        value_at_last(s.last_time, s.last_seq) AS last_time, value_at_last(s.last_uid, s.last_seq) AS last_uid,
        CAST(SUM(CASE WHEN f.unlock = 0 THEN 1 ELSE 0 END) AS BIGINT) AS returns, MIN(s.admin_uid) AS admin_uid
    FROM folds AS f
    JOIN spans AS s ON s.host_id = f.host_id AND s.boot_id = f.boot_id AND s.logon_id = f.logon_id
    WHERE f.home_id <> f.logon_id
    GROUP BY f.host_id, f.boot_id, f.home_id
),
-- clears of the Security log that took records with them: the one before the clear is in no file
clears AS (
    SELECT e.host_id AS host_id, e.seq AS seq, MIN(e.uid) AS uid, MIN(e.time) AS time
    FROM logged AS e
    JOIN log_runs AS x ON x.host_id = e.host_id AND x.channel = e.channel AND x.first_id = e.record_id
    LEFT JOIN log_runs AS y ON y.host_id = e.host_id AND y.channel = e.channel
        AND y.first_id < e.record_id AND y.last_id >= e.record_id - 1
    WHERE e.mark = 'clear' AND e.channel = 'Security' AND y.channel IS NULL
    GROUP BY e.host_id, e.seq
),
-- where records are missing from the Security log: the place of the first one after
last_gaps AS (
    SELECT b.host_id AS host_id, b.boot_id AS boot_id, MAX(g.first_id) AS seq
    FROM boots AS b
    JOIN log_runs AS g ON g.host_id = b.host_id AND g.channel = 'Security' AND g.first_id > g.reached + 1
        AND g.first_id > COALESCE(b.security_from, -1)
        AND g.first_id < COALESCE(b.security_until, 4611686018427387904)
    GROUP BY b.host_id, b.boot_id
),
cleared AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, MIN(c.seq) AS seq,
        value_at_first(c.uid, c.seq) AS uid
    FROM own AS s
    JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
    JOIN clears AS c ON c.host_id = s.host_id AND c.seq > s.last_seq
        AND c.seq < COALESCE(b.security_until, 4611686018427387904)
    WHERE s.logoff_seq IS NULL AND s.user_logoff_seq IS NULL
    GROUP BY s.host_id, s.boot_id, s.logon_id
),
-- the terminal session that a desktop was opened in, by the first sign of it
seats AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id,
        value_at_first(t.terminal_session, t.time) AS terminal_session, value_at_first(t.uid, t.time) AS uid
    FROM own AS s
    JOIN terminals AS t ON t.host_id = s.host_id AND t.name_key = s.name_key
        AND t.mark IN ('terminal_begin', 'terminal_logon')
        AND t.time >= s.start_time AND micros(t.time) - micros(s.start_time) <= $terminal_s * 1000000
    WHERE s.is_desktop
    GROUP BY s.host_id, s.boot_id, s.logon_id
),
terminal_ends AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, MIN(t.time) AS time,
        value_at_first(t.uid, t.time) AS uid
    FROM own AS s
    JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
    LEFT JOIN seats AS p ON p.host_id = s.host_id AND p.boot_id = s.boot_id AND p.logon_id = s.logon_id
    JOIN terminals AS t ON t.host_id = s.host_id AND t.mark = 'terminal_logoff'
        AND (t.name_key = s.name_key OR (t.name_key IS NULL AND t.sid = s.sid))
        AND t.time >= COALESCE(s.start_time, b.start_time, s.first_time)
        AND (p.terminal_session IS NULL OR t.terminal_session = p.terminal_session)
        AND t.time <= COALESCE(b.last_stop_time, b.end_time_max, t.time)
        -- the log of terminal sessions names no logon id: who was seen after it was in another session
        AND micros(s.last_time) - micros(t.time) <= $logoff_cancelled_s * 1000000
    WHERE (s.is_desktop OR COALESCE(s.homeless, FALSE)) AND s.logoff_seq IS NULL AND s.user_logoff_seq IS NULL
    GROUP BY s.host_id, s.boot_id, s.logon_id
),
told AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id,
        CASE WHEN COALESCE(s.homeless, FALSE) THEN NULL ELSE s.start_seq END AS start_seq,
        CASE WHEN COALESCE(s.homeless, FALSE) THEN NULL ELSE s.start_time END AS start_time,
        s.first_seq AS first_seq, s.first_time AS first_time,
        GREATEST(s.last_seq, COALESCE(g.last_seq, s.last_seq)) AS last_seq,
        CASE WHEN g.last_seq > s.last_seq THEN g.last_time ELSE s.last_time END AS last_time,
        CASE WHEN g.last_seq > s.last_seq THEN g.last_uid ELSE s.last_uid END AS last_uid,
        COALESCE(s.admin_uid, g.admin_uid) AS admin_uid,
        COALESCE(g.returns, 0) AS returns, s.shares AS shares, s.winrm AS winrm,
        p.terminal_session AS terminal_session, p.uid AS seat_uid, COALESCE(s.homeless, FALSE) AS homeless,
        s.is_desktop AS is_desktop,
        CASE WHEN s.homeless THEN NULL ELSE s.logoff_seq END AS logoff_seq,
        s.logoff_time AS logoff_time, s.logoff_uid AS logoff_uid,
        s.user_logoff_seq AS user_logoff_seq, s.user_logoff_time AS user_logoff_time,
        s.user_logoff_uid AS user_logoff_uid, t.time AS terminal_time, t.uid AS terminal_uid, c.uid AS clear_uid,
        b.start_time AS boot_start, b.end_kind AS boot_kind, b.end_certainty AS boot_certainty,
        b.end_time AS boot_end, b.end_time_min AS boot_end_min, b.end_time_max AS boot_end_max,
        b.last_stop_time AS last_stop_time, b.last_time AS log_end, b.end_uid AS boot_uid,
        COALESCE(b.security_until, 4611686018427387904) AS boot_until,
        -- a network logon may end long before its host does without a record that says so
        -- and where records are missing after its last one, any session may have ended there
        COALESCE(s.logon_type, CASE WHEN s.is_desktop THEN 2 ELSE 3 END) NOT IN (3, 8)
            AND COALESCE(a.seq, -1) <= GREATEST(s.last_seq, COALESCE(g.last_seq, s.last_seq)) AS stays
    FROM own AS s
    JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
    LEFT JOIN guests AS g ON g.host_id = s.host_id AND g.boot_id = s.boot_id AND g.logon_id = s.logon_id
    LEFT JOIN seats AS p ON p.host_id = s.host_id AND p.boot_id = s.boot_id AND p.logon_id = s.logon_id
    LEFT JOIN terminal_ends AS t ON t.host_id = s.host_id AND t.boot_id = s.boot_id AND t.logon_id = s.logon_id
    LEFT JOIN cleared AS c ON c.host_id = s.host_id AND c.boot_id = s.boot_id AND c.logon_id = s.logon_id
    LEFT JOIN last_gaps AS a ON a.host_id = s.host_id AND a.boot_id = s.boot_id
),
reasons AS (
    SELECT host_id AS host_id, boot_id AS boot_id, logon_id AS logon_id,
        CASE
            WHEN user_logoff_seq IS NOT NULL THEN 'user_logoff'
            WHEN logoff_seq IS NOT NULL THEN 'logoff'
            WHEN terminal_time IS NOT NULL AND boot_kind = 'shutdown' AND boot_certainty = 'exact'
                AND micros(boot_end) - micros(terminal_time) BETWEEN 0 AND $boot_quiet_s * 1000000 THEN 'shutdown'
            WHEN terminal_time IS NOT NULL THEN 'terminal_logoff'
            WHEN clear_uid IS NOT NULL THEN 'log_cleared'
            WHEN boot_kind = 'running' THEN 'still_open'
            ELSE boot_kind END AS reason,
        -- a host goes on logging for a moment after the first word of its end; more than that is a clock that was set
        CASE WHEN boot_certainty = 'exact' AND last_time > boot_end
            AND micros(last_time) - micros(boot_end) <= $boot_kin_s * 1000000 THEN 1 ELSE 0 END AS after_stop
    FROM told
)
SELECT
    t.host_id AS host_id, t.boot_id AS boot_id, t.logon_id AS logon_id, t.start_seq AS start_seq, t.start_time AS start_time,
    t.first_seq AS first_seq, t.first_time AS first_time, t.last_seq AS last_seq, t.last_time AS last_time,
    t.last_uid AS last_uid,
    t.admin_uid AS admin_uid, t.returns AS returns, t.shares AS shares, t.winrm AS winrm,
    t.terminal_session AS terminal_session, t.seat_uid AS seat_uid, t.homeless AS homeless, t.is_desktop AS is_desktop,
    t.stays AS stays, t.boot_start AS boot_start, t.log_end AS log_end, r.reason AS end_reason,
    CASE
        WHEN r.reason IN ('user_logoff', 'logoff', 'terminal_logoff') THEN 'exact'
        WHEN r.reason IN ('log_cleared', 'still_open') THEN 'unknown'
        WHEN t.terminal_time IS NOT NULL THEN 'exact'
        -- of an image's name: it may be another machine that ended
        WHEN t.boot_certainty = 'unknown' THEN 'unknown'
        WHEN t.boot_certainty = 'exact' AND t.stays AND (r.after_stop = 0 OR t.last_time <= t.last_stop_time) THEN 'exact'
        ELSE 'bounded' END AS end_certainty,
    CASE r.reason
        WHEN 'user_logoff' THEN t.user_logoff_time
        WHEN 'logoff' THEN t.logoff_time
        WHEN 'terminal_logoff' THEN t.terminal_time
        WHEN 'log_cleared' THEN NULL
        WHEN 'still_open' THEN NULL
        ELSE CASE WHEN t.terminal_time IS NOT NULL THEN t.terminal_time
            WHEN r.after_stop = 1 THEN GREATEST(t.last_stop_time, t.last_time)
            WHEN t.boot_certainty <> 'unknown' THEN t.boot_end END
        END AS end_time,
    -- of an end that is bounded
    CASE WHEN t.stays AND t.boot_certainty = 'bounded' THEN t.boot_end_min ELSE t.last_time END AS bound_min,
    CASE WHEN r.after_stop = 1 THEN GREATEST(t.last_stop_time, t.last_time)
        WHEN t.boot_certainty = 'exact' THEN t.boot_end
        ELSE t.boot_end_max END AS bound_max,
    CASE WHEN r.reason = 'user_logoff' AND t.logoff_seq IS NOT NULL THEN t.logoff_time END AS destroyed_time,
    CASE WHEN r.reason = 'user_logoff' THEN t.logoff_uid END AS destroyed_uid,
    CASE r.reason
        WHEN 'user_logoff' THEN t.user_logoff_seq
        WHEN 'logoff' THEN t.logoff_seq
        ELSE t.boot_until END AS end_seq,
    CASE r.reason
        WHEN 'user_logoff' THEN t.user_logoff_uid
        WHEN 'logoff' THEN t.logoff_uid
        WHEN 'terminal_logoff' THEN t.terminal_uid
        WHEN 'log_cleared' THEN t.clear_uid
        WHEN 'still_open' THEN t.last_uid
        ELSE COALESCE(t.terminal_uid, t.boot_uid) END AS end_uid
FROM told AS t
JOIN reasons AS r ON r.host_id = t.host_id AND r.boot_id = t.boot_id AND r.logon_id = t.logon_id
