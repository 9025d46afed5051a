-- One row for each stretch of a session at a desktop: active, locked, with the screen saver on, disconnected, asleep.
-- Hosts write locks (4800 to 4803) and connections (4778, 4779) only where Other Logon/Logoff Events are audited; the log
-- of terminal sessions tells of connections as well. A session has rows when a record tells of it, or when its host is
-- seen to audit such records, so that there being none means that it was active throughout.
-- Reads: desk_times, sessions_told, log_gaps.
-- NULL: start_time where what began the stretch is not in the logs, as where they begin in it, end_time where they end in
-- it, state where it is not known (before an unlock whose lock is not in the logs).
--
-- Columns:
--   session_id BIGINT: The session
--   host_id BIGINT: Host
--   host VARCHAR: Its name at that time
--   account VARCHAR: DOMAIN\name of the account
--   start_time TIMESTAMP: Start of the stretch
--   end_time TIMESTAMP: End of the stretch
--   state VARCHAR: active, locked, screen_saver, disconnected, asleep
--   duration_s DOUBLE: Length in seconds, a clock that was set taken out; NULL where an end is not known
--   locks_known BOOLEAN: Whether the host is seen to log locks, and its log has no gap in this time; where not, active may
--     be locked, and locked active
--   sleep_known BOOLEAN: Whether the System log of the host is here and has no gap in this time; where not, a host whose
--     desktop is locked may be asleep, and one that is asleep may have woken, and be locked
--   start_uid BIGINT: Record that began it
--   end_uid BIGINT: Record that ended it

WITH audited AS (
    SELECT host_id AS host_id, MAX(CASE WHEN mark IN ('lock', 'unlock') THEN 1 ELSE 0 END) AS locks
    FROM desk_times
    WHERE mark NOT IN ('sleep', 'wake')
    GROUP BY host_id
),
sitting AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id,
        s.host AS host, s.account AS account, s.start_time AS start_time, s.end_time AS end_time, s.start_uid AS start_uid,
        s.end_uid AS end_uid, s.start_seq AS start_seq, s.end_seq AS end_seq
    FROM sessions_told AS s
    WHERE s.is_desktop AND s.host_id IN (SELECT host_id FROM audited)
),
moments AS (
    SELECT s.session_id AS session_id, d.time AS time, d.seq AS seq, d.uid AS uid, d.mark AS mark, 1 AS place
    FROM sitting AS s
    JOIN desk_times AS d ON d.host_id = s.host_id AND d.boot_id = s.boot_id AND d.logon_id = s.logon_id
    UNION ALL
    SELECT session_id AS session_id, start_time AS time, start_seq AS seq, start_uid AS uid, 'start' AS mark, 0 AS place
    FROM sitting
),
ordered AS (
    SELECT session_id AS session_id, time AS time, uid AS uid, mark AS mark,
        ROW_NUMBER() OVER (PARTITION BY session_id
            ORDER BY place ASC NULLS LAST, time ASC NULLS LAST, seq ASC NULLS LAST, uid ASC NULLS LAST) AS n
    FROM moments
),
counted AS (
    SELECT session_id AS session_id, time AS time, uid AS uid, mark AS mark, n AS n,
        LEAD(mark) OVER (PARTITION BY session_id ORDER BY n ASC NULLS LAST) AS next_mark,
        LEAD(time) OVER (PARTITION BY session_id ORDER BY n ASC NULLS LAST) AS next_time,
        LEAD(uid) OVER (PARTITION BY session_id ORDER BY n ASC NULLS LAST) AS next_uid,
        MAX(CASE WHEN mark = 'lock' THEN n ELSE 0 END) OVER w AS locked_n,
        MAX(CASE WHEN mark = 'unlock' THEN n ELSE 0 END) OVER w AS unlocked_n,
        MAX(CASE WHEN mark = 'disconnect' THEN n ELSE 0 END) OVER w AS left_n,
        MAX(CASE WHEN mark = 'reconnect' THEN n ELSE 0 END) OVER w AS back_n,
        MAX(CASE WHEN mark = 'screen_saver_on' THEN n ELSE 0 END) OVER w AS saver_n,
        MAX(CASE WHEN mark = 'screen_saver_off' THEN n ELSE 0 END) OVER w AS saved_n,
        MAX(CASE WHEN mark = 'sleep' THEN n ELSE 0 END) OVER w AS slept_n,
        -- the record of a wake may be lost: who unlocks or connects is awake
        MAX(CASE WHEN mark IN ('wake', 'unlock', 'reconnect') THEN n ELSE 0 END) OVER w AS woke_n
    FROM ordered
    WINDOW w AS (PARTITION BY session_id ORDER BY n ASC NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),
firsts AS (
    -- who disconnects locks as well
    SELECT session_id AS session_id, MIN(CASE WHEN mark IN ('lock', 'unlock', 'disconnect') THEN n END) AS lock_n,
        MIN(CASE WHEN mark = 'unlock' THEN n END) AS unlock_n,
        MIN(CASE WHEN mark IN ('disconnect', 'reconnect') THEN n END) AS leave_n,
        MIN(CASE WHEN mark = 'reconnect' THEN n END) AS back_n
    FROM ordered
    GROUP BY session_id
),
stretches AS (
    SELECT c.session_id AS session_id, c.n AS n, c.time AS start_time, c.uid AS start_uid,
        c.next_time AS next_time, c.next_uid AS next_uid,
        CASE
            WHEN c.slept_n > c.woke_n THEN 'asleep'
            WHEN c.left_n > c.back_n THEN 'disconnected'
            -- the first word on it is that it came back: since when it was away is not in the logs
            WHEN f.back_n = f.leave_n AND c.n < f.back_n THEN NULL
            WHEN c.mark = 'reconnect' AND c.next_mark = 'unlock' THEN 'locked'
            WHEN c.locked_n > c.unlocked_n THEN 'locked'
            WHEN f.unlock_n = f.lock_n AND c.n < f.unlock_n THEN NULL
            WHEN c.saver_n > c.saved_n THEN 'screen_saver'
            ELSE 'active' END AS state
    FROM counted AS c
    JOIN firsts AS f ON f.session_id = c.session_id
),
-- moments that change nothing are not told: a lock while disconnected
changes AS (
    SELECT session_id AS session_id, n AS n, start_time AS start_time, start_uid AS start_uid, state AS state,
        COALESCE(LAG(state) OVER (PARTITION BY session_id ORDER BY n ASC NULLS LAST), '?') AS state_before
    FROM stretches
),
kept AS (
    SELECT session_id AS session_id, n AS n, start_time AS start_time, start_uid AS start_uid, state AS state,
        LEAD(start_time) OVER (PARTITION BY session_id ORDER BY n ASC NULLS LAST) AS next_time,
        LEAD(start_uid) OVER (PARTITION BY session_id ORDER BY n ASC NULLS LAST) AS next_uid,
        LEAD(n) OVER (PARTITION BY session_id ORDER BY n ASC NULLS LAST) AS next_n
    FROM changes
    WHERE n = 1 OR COALESCE(state, '?') <> state_before
),
-- a session that is open when its log ends is open for all that the log tells
timed AS (
    SELECT k.session_id AS session_id, k.n AS n, s.host_id AS host_id, COALESCE(k.start_time, s.first_time) AS from_time,
        COALESCE(CASE WHEN k.next_n IS NULL THEN s.end_time ELSE k.next_time END, l.log_end) AS until_time
    FROM kept AS k
    JOIN sessions_told AS s ON s.session_id = k.session_id
    JOIN (
        SELECT host_id AS host_id, MAX(from_time) AS log_end FROM log_gaps WHERE channel = 'Security' GROUP BY host_id
    ) AS l ON l.host_id = s.host_id
    WHERE k.state IN ('active', 'locked', 'asleep')
),
gappy AS (
    SELECT k.session_id AS session_id, k.n AS n, MAX(CASE WHEN g.channel = 'Security' THEN 1 ELSE 0 END) AS locks_lost,
        MAX(CASE WHEN g.channel = 'System' THEN 1 ELSE 0 END) AS sleep_lost
    FROM timed AS k
    JOIN log_gaps AS g ON g.host_id = k.host_id AND k.from_time < g.until_time AND k.until_time > g.from_time
    GROUP BY k.session_id, k.n
)
SELECT
    k.session_id AS session_id, s.host_id AS host_id, s.host AS host, s.account AS account,
    k.start_time AS start_time, CASE WHEN k.next_n IS NULL THEN s.end_time ELSE k.next_time END AS end_time,
    k.state AS state,
    CASE WHEN s.clock_step_s = 0
        THEN (micros(CASE WHEN k.next_n IS NULL THEN s.end_time ELSE k.next_time END) - micros(k.start_time)) / 1000000.0
        END AS duration_s,
    a.locks = 1 AND (k.state = 'asleep' OR COALESCE(g.locks_lost, 0) = 0) AS locks_known,
    y.host_id IS NOT NULL AND COALESCE(g.sleep_lost, 0) = 0 AS sleep_known,
    k.start_uid AS start_uid, CASE WHEN k.next_n IS NULL THEN s.end_uid ELSE k.next_uid END AS end_uid
FROM kept AS k
JOIN sessions_told AS s ON s.session_id = k.session_id
JOIN audited AS a ON a.host_id = s.host_id
LEFT JOIN gappy AS g ON g.session_id = k.session_id AND g.n = k.n
LEFT JOIN (SELECT DISTINCT host_id AS host_id FROM log_gaps WHERE channel = 'System') AS y ON y.host_id = s.host_id
WHERE NOT (k.start_time IS NULL AND k.next_time IS NULL AND k.state IS NULL)
