-- One row for each logon id of a host and boot, with the id of the session that it belongs to: its own, or that of the
-- filtered half where the logon was split. Of a logon that is not in the logs the logoffs tell: those of the halves stand
-- next to each other, their ids are near, and only the filtered half was asked to log off (4647). Where the elevated half
-- has no logoff, its id tells: shortly before that of the half that locks and logs off, and the only one of the account.
-- Reads: used_ids, logons, logged.

WITH silent AS (
    SELECT u.host_id AS host_id, u.boot_id AS boot_id, u.logon_id AS logon_id, u.logoff_seq AS logoff_seq,
        u.logoff_time AS logoff_time, u.logoff_type AS logoff_type, u.user_logoff_seq AS user_logoff_seq,
        u.logoff_uid AS logoff_uid, u.first_uid AS first_uid,
        CASE WHEN u.desk = 1 OR u.user_logoff_seq IS NOT NULL THEN 1 ELSE 0 END AS at_desk,
        CASE WHEN u.logoff_seq IS NULL AND u.shares = 0 AND u.winrm = 0 THEN 1 ELSE 0 END AS quiet
    FROM used_ids AS u
    LEFT JOIN logons AS o ON o.host_id = u.host_id AND o.boot_id = u.boot_id AND o.logon_id = u.logon_id
    LEFT JOIN logons AS p ON p.host_id = u.host_id AND p.boot_id = u.boot_id AND p.other_logon_id = u.logon_id
    WHERE o.logon_id IS NULL AND p.logon_id IS NULL
),
lined AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, s.logoff_seq AS logoff_seq,
        s.logoff_time AS logoff_time, s.logoff_type AS logoff_type, s.user_logoff_seq AS user_logoff_seq,
        e.target_sid AS sid,
        LEAD(s.logon_id) OVER w AS next_id, LEAD(s.logoff_seq) OVER w AS next_seq, LEAD(s.logoff_time) OVER w AS next_time,
        LEAD(s.logoff_type) OVER w AS next_type, LEAD(s.user_logoff_seq) OVER w AS next_user_seq,
        LEAD(e.target_sid) OVER w AS next_sid
    FROM silent AS s
    JOIN logged AS e ON e.uid = s.logoff_uid
    WINDOW w AS (PARTITION BY s.host_id, s.boot_id ORDER BY s.logoff_seq ASC NULLS LAST, s.logoff_uid ASC NULLS LAST)
),
together AS (
    SELECT host_id AS host_id, boot_id AS boot_id,
        CASE WHEN next_user_seq IS NULL THEN next_id ELSE logon_id END AS logon_id,
        CASE WHEN next_user_seq IS NULL THEN logon_id ELSE next_id END AS session_logon_id
    FROM lined
    WHERE next_seq = logoff_seq + 1 AND next_type = logoff_type AND next_sid = sid
        AND micros(next_time) - micros(logoff_time) BETWEEN 0 AND $pair_s * 1000000
        -- at a logoff the sessions of UAC prompts end as well: their ids are far apart
        AND ABS(CAST(next_id AS DOUBLE) - CAST(logon_id AS DOUBLE)) <= $pair_ids
        AND (next_user_seq IS NULL) <> (user_logoff_seq IS NULL)
),
named AS (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, s.at_desk AS at_desk,
        CASE WHEN e.target_logon_id = s.logon_id THEN e.target_sid ELSE e.subject_sid END AS sid
    FROM silent AS s
    JOIN logged AS e ON e.uid = s.first_uid
    WHERE s.at_desk = 1 OR s.quiet = 1
),
-- a desk and the quiet id before it, if no other id of the account is as near to either
near AS (
    SELECT host_id AS host_id, boot_id AS boot_id, before AS logon_id, logon_id AS session_logon_id
    FROM (
        SELECT host_id AS host_id, boot_id AS boot_id, logon_id AS logon_id, at_desk AS at_desk,
            LAG(logon_id) OVER w AS before, LAG(at_desk) OVER w AS before_at_desk,
            LAG(logon_id, 2) OVER w AS second_before, LAG(at_desk, 2) OVER w AS second_at_desk,
            LEAD(logon_id) OVER w AS after, LEAD(at_desk) OVER w AS after_at_desk
        FROM named
        WHERE sid IS NOT NULL
        WINDOW w AS (PARTITION BY host_id, boot_id, sid ORDER BY logon_id ASC NULLS LAST)
    ) AS n
    WHERE at_desk = 1 AND before_at_desk = 0 AND CAST(logon_id AS DOUBLE) - CAST(before AS DOUBLE) <= $halves_ids
        AND NOT (COALESCE(second_at_desk, 1) = 0
            AND CAST(logon_id AS DOUBLE) - CAST(COALESCE(second_before, 0) AS DOUBLE) <= $halves_ids)
        AND NOT (COALESCE(after_at_desk, 0) = 1
            AND CAST(COALESCE(after, logon_id) AS DOUBLE) - CAST(before AS DOUBLE) <= $halves_ids)
),
-- of three in a row the last stays alone
halves AS (
    SELECT t.host_id AS host_id, t.boot_id AS boot_id, t.logon_id AS logon_id,
        MIN(t.session_logon_id) AS session_logon_id
    FROM together AS t
    LEFT JOIN together AS o ON o.host_id = t.host_id AND o.boot_id = t.boot_id AND o.logon_id = t.session_logon_id
    WHERE o.logon_id IS NULL
    GROUP BY t.host_id, t.boot_id, t.logon_id
    UNION ALL
    SELECT n.host_id AS host_id, n.boot_id AS boot_id, n.logon_id AS logon_id, n.session_logon_id AS session_logon_id
    FROM near AS n
    LEFT JOIN together AS o ON o.host_id = n.host_id AND o.boot_id = n.boot_id
        AND o.session_logon_id = n.session_logon_id
    WHERE o.logon_id IS NULL
)
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
SELECT u.host_id AS host_id, u.boot_id AS boot_id, u.logon_id AS logon_id,
    COALESCE(h.session_logon_id, u.logon_id) AS session_logon_id
FROM silent AS u
LEFT JOIN halves AS h ON h.host_id = u.host_id AND h.boot_id = u.boot_id AND h.logon_id = u.logon_id
