-- One row for each logon id of a host and boot, with the session that people know it as: halves of a split logon, unlocks
-- and returns are told as one.
-- Reads: session_facts, folds, session_ids.
-- unlock: 1 where the id is of an unlock, 0 of a return; else NULL.

SELECT i.host_id AS host_id, i.boot_id AS boot_id, i.logon_id AS logon_id, s.session_id AS session_id, f.unlock AS unlock
FROM session_ids AS i
LEFT JOIN folds AS f ON f.host_id = i.host_id AND f.boot_id = i.boot_id AND f.logon_id = i.session_logon_id
JOIN session_facts AS s ON s.host_id = i.host_id AND s.boot_id = i.boot_id
    AND s.logon_id = COALESCE(f.home_id, i.session_logon_id)
