-- One row for each record in which a host tells of its terminal sessions outside the Security log.
-- Reads: logged.
-- NULL: name_key and sid where the record names nobody.

SELECT
    host_id AS host_id, time AS time, seq AS seq, uid AS uid, mark AS mark, terminal_session AS terminal_session,
    target_name_key AS name_key, COALESCE(target_sid, record_sid) AS sid, source_address AS source_address,
    activity_id AS activity_id
FROM logged
WHERE mark IN ('terminal_begin', 'terminal_logon', 'terminal_logoff', 'terminal_disconnect', 'terminal_reconnect')
