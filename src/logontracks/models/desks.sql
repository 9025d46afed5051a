-- One row for each session that somebody may have sat at, for each unlock, and for each session whose start is not in the
-- logs: who it is of.
-- Reads: spans, logged.
-- NULL: what the record does not say.

SELECT
    host_id AS host_id, boot_id AS boot_id, logon_id AS logon_id, sid AS sid, name_key AS name_key,
    at_desk AND COALESCE(sid, '') NOT LIKE 'S-1-5-90-%' AND COALESCE(sid, '') NOT LIKE 'S-1-5-96-%' AS is_desktop
FROM (
    SELECT s.host_id AS host_id, s.boot_id AS boot_id, s.logon_id AS logon_id, s.at_desk AS at_desk,
        CASE WHEN s.start_seq IS NOT NULL OR e.target_logon_id IN (s.logon_id, s.linked_logon_id)
            THEN e.target_sid ELSE e.subject_sid END AS sid,
        CASE WHEN s.start_seq IS NOT NULL OR e.target_logon_id IN (s.logon_id, s.linked_logon_id)
            THEN e.target_name_key ELSE e.subject_name_key END AS name_key
    FROM spans AS s
    JOIN logged AS e ON e.uid = s.told_uid AND e.channel = 'Security'
    WHERE s.at_desk OR s.start_seq IS NULL OR s.logon_type IN (7, 13)
) AS told
