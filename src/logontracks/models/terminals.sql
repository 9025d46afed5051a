-- One row for each record in which a host tells of its terminal sessions outside the Security log. Who connects anew may
-- have the end of the old connection logged after the start of the new one; the id of the connection, which its records
-- share (R21), tells that this disconnected nobody, and it is left out.
-- Reads: logged.
-- NULL: name_key and sid where the record names nobody.

WITH told AS (
    SELECT host_id AS host_id, channel AS channel, time AS time, seq AS seq, uid AS uid, mark AS mark,
        terminal_session AS terminal_session, target_name_key AS name_key, COALESCE(target_sid, record_sid) AS sid,
        source_address AS source_address, activity_id AS activity_id,
        ROW_NUMBER() OVER (PARTITION BY host_id, terminal_session
            ORDER BY time ASC NULLS LAST, seq ASC NULLS LAST, uid ASC NULLS LAST) AS n
    FROM logged
    WHERE mark IN ('terminal_begin', 'terminal_logon', 'terminal_logoff', 'terminal_disconnect', 'terminal_reconnect')
),
connected AS (
    SELECT host_id AS host_id, channel AS channel, time AS time, seq AS seq, uid AS uid, mark AS mark,
        terminal_session AS terminal_session, name_key AS name_key, sid AS sid,
        source_address AS source_address, activity_id AS activity_id,
        MAX(CASE WHEN mark IN ('terminal_logon', 'terminal_reconnect') AND activity_id IS NOT NULL THEN n END)
            OVER (PARTITION BY host_id, terminal_session ORDER BY n ASC NULLS LAST
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS connection_n
    FROM told
)
SELECT
    c.host_id AS host_id, c.channel AS channel, c.time AS time, c.seq AS seq, c.uid AS uid, c.mark AS mark,
    c.terminal_session AS terminal_session, c.name_key AS name_key, c.sid AS sid, c.source_address AS source_address
FROM connected AS c
LEFT JOIN told AS o ON o.host_id = c.host_id AND o.terminal_session = c.terminal_session AND o.n = c.connection_n
WHERE NOT (c.mark = 'terminal_disconnect' AND COALESCE(o.activity_id <> c.activity_id, FALSE))
