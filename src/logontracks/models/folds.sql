-- One row for each logon that did not open a session but came back to one: an unlock (type 7, 13), or a logon to a
-- desktop that is there already, which Windows closes at once; the logoff of a type 11 then tells type 2. With the session
-- it came back to.
-- Without that session in the logs, the first unlock of an account in a boot stands for it.
-- Reads: spans, desks, logged, terminals.

WITH back AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id,
        -- of an unlock whose logon is not in the logs its logoff tells
        COALESCE(s.start_seq, s.first_seq) AS start_seq, COALESCE(s.start_time, s.first_time) AS start_time,
        COALESCE(s.start_uid, s.first_uid) AS start_uid, d.sid AS sid, d.name_key AS name_key,
        CASE WHEN s.logon_type IN (7, 13) THEN 1 ELSE 0 END AS unlock,
        CASE WHEN s.logon_type = 11 AND s.logoff_type = 2 THEN 1 ELSE 0 END AS told_other
    FROM spans AS s
    JOIN desks AS d ON d.host_id = s.host_id AND d.boot_id = s.boot_id AND d.logon_id = s.logon_id
    WHERE d.name_key IS NOT NULL
        AND (s.logon_type IN (7, 13)
            OR (s.start_seq IS NOT NULL AND d.is_desktop AND s.logoff_seq IS NOT NULL AND s.user_logoff_seq IS NULL
                AND micros(s.logoff_time) - micros(s.start_time) <= $reentry_s * 1000000))
),
homes AS (
    SELECT b.host_id AS host_id, b.boot_id AS boot_id, b.logon_id AS logon_id, b.start_seq AS start_seq,
        b.start_time AS start_time, b.start_uid AS start_uid, b.unlock AS unlock, b.name_key AS name_key,
        b.told_other AS told_other, p.logon_id AS home_id, p.linked_logon_id AS home_linked_id,
        COALESCE(p.start_seq, -1) AS home_seq
    FROM back AS b
    JOIN desks AS d ON d.host_id = b.host_id AND d.boot_id = b.boot_id AND d.logon_id <> b.logon_id
        AND (d.sid = b.sid OR ((d.sid IS NULL OR b.sid IS NULL) AND d.name_key = b.name_key))
    JOIN spans AS p ON p.host_id = d.host_id AND p.boot_id = d.boot_id AND p.logon_id = d.logon_id
    LEFT JOIN back AS x ON x.host_id = p.host_id AND x.boot_id = p.boot_id AND x.logon_id = p.logon_id
    WHERE d.is_desktop AND x.logon_id IS NULL AND COALESCE(p.start_seq, -1) < b.start_seq
        AND COALESCE(p.user_logoff_seq, p.logoff_seq, 4611686018427387904) > b.start_seq
),
-- what the Security log says of the desktop at that moment
woken AS (
    SELECT h.host_id AS host_id, h.boot_id AS boot_id, h.logon_id AS logon_id, h.home_id AS home_id, 1 AS woken
    FROM homes AS h
    JOIN logged AS e ON e.host_id = h.host_id AND e.channel = 'Security' AND e.mark IN ('unlock', 'reconnect')
        AND (e.target_logon_id = h.home_id OR e.target_logon_id = h.home_linked_id)
        AND ABS(micros(e.time) - micros(h.start_time)) <= $unlock_s * 1000000
    GROUP BY h.host_id, h.boot_id, h.logon_id, h.home_id
),
-- what the log of terminal sessions says of it: that it was connected to again, or that none was begun
watched AS (
    SELECT host_id AS host_id, MIN(time) AS first_time, MAX(time) AS last_time
    FROM terminals
    WHERE mark IN ('terminal_begin', 'terminal_logon')
    GROUP BY host_id
),
terminal AS (
    SELECT h.host_id AS host_id, h.boot_id AS boot_id, h.logon_id AS logon_id,
        MAX(CASE WHEN t.mark = 'terminal_reconnect' THEN 1 ELSE 0 END) AS reconnect,
        MAX(CASE WHEN t.mark = 'terminal_logon' THEN 1 ELSE 0 END) AS logon
    FROM homes AS h
    JOIN terminals AS t ON t.host_id = h.host_id AND t.name_key = h.name_key
        AND ABS(micros(t.time) - micros(h.start_time)) <= $reentry_s * 1000000
    WHERE h.unlock = 0
    GROUP BY h.host_id, h.boot_id, h.logon_id
),
chosen AS (
    SELECT h.host_id AS host_id, h.boot_id AS boot_id, h.logon_id AS logon_id, h.start_seq AS start_seq,
        h.start_time AS start_time, h.start_uid AS start_uid, h.home_id AS home_id, h.unlock AS unlock,
        ROW_NUMBER() OVER (
            PARTITION BY h.host_id, h.boot_id, h.logon_id
            ORDER BY COALESCE(w.woken, 0) DESC NULLS LAST, h.home_seq DESC NULLS LAST, h.home_id ASC NULLS LAST
        ) AS place
    FROM homes AS h
    LEFT JOIN woken AS w ON w.host_id = h.host_id AND w.boot_id = h.boot_id AND w.logon_id = h.logon_id
        AND w.home_id = h.home_id
    LEFT JOIN terminal AS t ON t.host_id = h.host_id AND t.boot_id = h.boot_id AND t.logon_id = h.logon_id
    LEFT JOIN watched AS g ON g.host_id = h.host_id AND h.start_time BETWEEN g.first_time AND g.last_time
    WHERE h.unlock = 1 OR h.told_other = 1 OR w.woken = 1 OR t.reconnect = 1
        OR (g.host_id IS NOT NULL AND COALESCE(t.logon, 0) = 0)
),
homeless AS (
    SELECT b.host_id AS host_id, b.boot_id AS boot_id, b.logon_id AS logon_id, b.start_seq AS start_seq,
        b.start_time AS start_time, b.start_uid AS start_uid,
        FIRST_VALUE(b.logon_id) OVER (
            PARTITION BY b.host_id, b.boot_id, COALESCE(b.sid, b.name_key)
            ORDER BY b.start_seq ASC NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS home_id
    FROM back AS b
    LEFT JOIN chosen AS c ON c.host_id = b.host_id AND c.boot_id = b.boot_id AND c.logon_id = b.logon_id
    WHERE b.unlock = 1 AND c.logon_id IS NULL
)
SELECT host_id AS host_id, boot_id AS boot_id, logon_id AS logon_id, home_id AS home_id, start_seq AS start_seq,
    start_time AS start_time, start_uid AS start_uid, unlock AS unlock, FALSE AS homeless
FROM chosen
WHERE place = 1
UNION ALL
SELECT host_id AS host_id, boot_id AS boot_id, logon_id AS logon_id, home_id AS home_id, start_seq AS start_seq,
    start_time AS start_time, start_uid AS start_uid, 1 AS unlock, TRUE AS homeless
FROM homeless
