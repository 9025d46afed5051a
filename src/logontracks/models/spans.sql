-- One row for each logon session as its own records tell it, unlocks and reconnects not yet folded: what began it, what
-- ended it, where it was last seen.
-- Reads: used_ids, session_ids, logons.
-- seq is a place in the Security log. told_uid is the record that tells most of it, other_uid that of its other half.
-- NULL: there is no such record; start_* where the logs begin later.

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
        -- of the half that no logoff was written of
        MAX(CASE WHEN u.logoff_seq IS NULL THEN u.last_seq END) AS open_seq,
        value_at_last(u.last_time, CASE WHEN u.logoff_seq IS NULL THEN u.last_seq END) AS open_time,
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
        h.last_uid AS last_uid, h.last_time AS last_time, h.start_seq AS start_seq,
        -- one half may go long before the other
        CASE WHEN h.open_seq > h.logoff_seq
            AND micros(h.open_time) - micros(h.logoff_time) > $logoff_cancelled_s * 1000000
            THEN NULL ELSE h.logoff_seq END AS logoff_seq,
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
-- the record of the filtered half tells the most; where it is not here, the first
begun AS (
    SELECT l.host_id AS host_id, l.boot_id AS boot_id, l.session_logon_id AS logon_id, MIN(l.seq) AS seq,
        value_at_first(l.time, l.seq) AS time, value_at_first(l.uid, l.seq) AS uid,
        MAX(CASE WHEN l.logon_id = l.session_logon_id THEN l.uid END) AS own_uid,
        MAX(CASE WHEN l.logon_id <> l.session_logon_id THEN l.uid END) AS other_uid,
        value_at_first(l.logon_type, l.seq) AS logon_type, MAX(CASE WHEN l.at_desk THEN 1 ELSE 0 END) AS at_desk,
        MAX(CASE WHEN l.elevated THEN 1 ELSE 0 END) AS elevated
    FROM logons AS l
    GROUP BY l.host_id, l.boot_id, l.session_logon_id
)
SELECT
    h.host_id AS host_id, h.boot_id AS boot_id, h.logon_id AS logon_id, h.linked_logon_id AS linked_logon_id,
    g.seq AS start_seq, g.time AS start_time, g.uid AS start_uid,
    COALESCE(g.own_uid, g.uid, h.first_uid) AS told_uid, CASE WHEN g.own_uid IS NOT NULL THEN g.other_uid END AS other_uid,
    h.first_seq AS first_seq, h.first_uid AS first_uid, h.first_time AS first_time, h.last_seq AS last_seq,
    h.last_uid AS last_uid, h.last_time AS last_time, h.logoff_seq AS logoff_seq, h.logoff_uid AS logoff_uid,
    h.logoff_time AS logoff_time,
    CASE h.logoff_asked WHEN 1 THEN h.first_user_logoff_seq WHEN 2 THEN h.user_logoff_seq END AS user_logoff_seq,
    CASE h.logoff_asked WHEN 1 THEN h.first_user_logoff_uid WHEN 2 THEN h.user_logoff_uid END AS user_logoff_uid,
    CASE h.logoff_asked WHEN 1 THEN h.first_user_logoff_time WHEN 2 THEN h.user_logoff_time END AS user_logoff_time,
    h.admin_uid AS admin_uid, h.shares AS shares, h.winrm AS winrm,
    COALESCE(g.logon_type, h.logoff_type) AS logon_type, h.logoff_type AS logoff_type, g.elevated = 1 AS elevated,
    CASE WHEN g.seq IS NOT NULL THEN g.at_desk = 1
        ELSE h.desk = 1 OR h.logoff_asked > 0 OR COALESCE(h.logoff_type, 0) IN (2, 10, 11, 12) END AS at_desk
FROM asked AS h
LEFT JOIN begun AS g ON g.host_id = h.host_id AND g.boot_id = h.boot_id AND g.logon_id = h.logon_id
WHERE h.first_seq IS NOT NULL
