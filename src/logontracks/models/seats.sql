-- One row for each session that others can have come from by somebody's hand or a program's, and how long it was open:
-- desktops, new credentials, services and tasks, and sessions from before the logs.
-- Reads: sessions, boots, logged, account_lookup.
-- account_id: who it is for other hosts. New credentials (type 9) are somebody else there; 0 where it is not told who.
-- sure_from: when it began; of a session that began before the logs of its host shortly before those begin, of one whose
-- logon is missing from them when it is seen first. sure_until: of a session that was open when the logs of its host end, until
-- shortly behind their end.

SELECT s.session_id AS session_id, s.host_id AS host_id,
    CASE WHEN s.logon_type = 9 THEN COALESCE(o.account_id, 0) ELSE s.account_id END AS account_id,
    CASE WHEN s.logon_type IN (4, 5) THEN 0 ELSE 1 END AS at_hand,
    CASE WHEN s.logon_type = 9 THEN 1 ELSE 0 END AS new_credentials,
    COALESCE(s.start_time, b.start_time, TIMESTAMP '1601-01-01 00:00:00') AS from_time,
    COALESCE(s.start_time, CASE WHEN b.start_time > l.first_time THEN s.first_time
        ELSE l.first_time - INTERVAL '$seat_silence_s' SECOND END) AS sure_from,
    -- of a session whose end is not known: as long as something is seen of it
    COALESCE(s.end_time, s.end_time_max, CASE WHEN s.end_reason = 'still_open' THEN TIMESTAMP '9999-12-31 00:00:00' END,
        s.last_time) AS until_time,
    COALESCE(s.end_time, s.end_time_max, b.last_time + INTERVAL '$seat_silence_s' SECOND,
        TIMESTAMP '9999-12-31 00:00:00') AS sure_until
FROM sessions AS s
LEFT JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
LEFT JOIN (
    SELECT host_id AS host_id, MIN(time) AS first_time FROM logged WHERE channel = 'Security' GROUP BY host_id
) AS l ON l.host_id = s.host_id
LEFT JOIN (
    SELECT e.uid AS uid, MIN(COALESCE(d.account_id, n.account_id)) AS account_id
    FROM logged AS e
    LEFT JOIN account_lookup AS d ON d.name_key = LOWER(e.target_outbound_name)
        AND d.domain_key = LOWER(e.target_outbound_domain)
    LEFT JOIN account_lookup AS n ON n.name_key = LOWER(e.target_outbound_name) AND n.domain_key IS NULL
    WHERE e.mark = 'logon' AND e.logon_type = 9
    GROUP BY e.uid
) AS o ON o.uid = s.start_uid
WHERE s.kind = 'person'
    AND (s.logon_type IN (2, 4, 5, 9, 10, 11, 12) OR (s.logon_type IS NULL AND s.start_time IS NULL))
