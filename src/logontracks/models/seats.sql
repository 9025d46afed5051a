-- One row for each session that others can have come from by somebody's hand or a program's, and how long it was open:
-- desktops, new credentials, services and tasks, and sessions from before the logs.
-- Reads: sessions, session_sources, boots, log_gaps, logged, account_lookup.
-- account_id: who it is for other hosts. New credentials (type 9) are somebody else there; 0 where it is not told who.
-- An account has one desktop at a time on a host (Windows can be told otherwise, which is seen), or a session of which
-- nothing tells what opened it: where the logs do not tell its start or end, the one before or after does. What was asked
-- for at a desktop is over with it. A session that is open when its host falls silent comes into question for a while only.
-- sure_from: when it began; of a session that began before the logs of its host shortly before those begin, of one whose
-- logon is missing from them the end of the gap before it is seen, or when it is seen first.
-- glimpsed: nothing but the logoff is in the logs, which may be that of an unlock.

WITH desktops AS (
    SELECT s.session_id AS session_id,
        CASE WHEN s.end_certainty = 'exact' THEN s.end_time END AS end_time,
        CASE WHEN LAG(COALESCE(s.end_time, s.last_time)) OVER w <= s.first_time
            THEN LAG(COALESCE(s.end_time, s.last_time)) OVER w END AS left_before,
        LEAD(s.start_time) OVER w AS next_time, s.host_id AS host_id
    FROM sessions AS s
    WHERE s.kind = 'person' AND COALESCE(s.opened_by, 'desktop') IN ('desktop', 'remote_desktop')
    WINDOW w AS (PARTITION BY s.host_id, s.account_id
        ORDER BY COALESCE(s.start_time, s.first_time) ASC NULLS LAST, s.session_id ASC NULLS LAST)
),
-- where somebody has two desktops at a time, one tells nothing of the end of another
several AS (SELECT DISTINCT host_id AS host_id FROM desktops WHERE next_time < end_time)
SELECT s.session_id AS session_id, s.host_id AS host_id,
    CASE WHEN s.logon_type = 9 THEN COALESCE(o.account_id, 0) ELSE s.account_id END AS account_id,
    CASE WHEN s.logon_type IN (4, 5) THEN 0 ELSE 1 END AS at_hand,
    CASE WHEN s.logon_type = 9 THEN 1 ELSE 0 END AS new_credentials,
    CASE WHEN d.session_id IS NULL THEN 0 ELSE 1 END AS desktop,
    CASE WHEN s.opened_by = 'uac_prompt' THEN 1 ELSE 0 END AS prompt,
    COALESCE(s.start_time, CASE WHEN d.left_before > b.start_time THEN d.left_before END, b.start_time, d.left_before,
        TIMESTAMP '1601-01-01 00:00:00') AS from_time,
    COALESCE(s.start_time, CASE
        WHEN g.until_time >= COALESCE(d.left_before, b.start_time, g.until_time) THEN g.until_time
        WHEN d.left_before IS NOT NULL OR b.start_time > l.first_time THEN s.first_time
        ELSE l.first_time - INTERVAL '$seat_silence_s' SECOND END) AS sure_from,
    CASE WHEN s.start_time IS NULL AND s.first_time = s.end_time AND s.end_certainty = 'exact' THEN 1 ELSE 0 END AS glimpsed,
    CASE WHEN s.end_certainty = 'exact' THEN s.end_time
        -- not before it is last seen
        ELSE GREATEST(s.last_time, LEAST(
            COALESCE(CASE WHEN v.host_id IS NULL THEN COALESCE(d.next_time, p.end_time, p.next_time) ELSE p.end_time END,
                TIMESTAMP '9999-12-31 00:00:00'),
            -- who comes from a host shows that it runs, also where its own log does not
            CASE WHEN s.end_reason = 'still_open' THEN b.last_time + INTERVAL '$seat_silence_s' SECOND
                WHEN s.end_time_max < b.last_time + INTERVAL '$seat_silence_s' SECOND THEN s.end_time_max
                WHEN s.end_time_max IS NOT NULL THEN b.last_time + INTERVAL '$seat_silence_s' SECOND
                ELSE COALESCE(s.end_time, s.last_time) END))
        END AS until_time
FROM sessions AS s
LEFT JOIN desktops AS d ON d.session_id = s.session_id
LEFT JOIN session_sources AS c ON c.session_id = s.session_id
LEFT JOIN desktops AS p ON p.session_id = c.parent_id
LEFT JOIN several AS v ON v.host_id = s.host_id
LEFT JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
LEFT JOIN (
    SELECT host_id AS host_id, MIN(time) AS first_time FROM logged WHERE channel = 'Security' GROUP BY host_id
) AS l ON l.host_id = s.host_id
-- the last gap in the log in which it can have begun
LEFT JOIN (
    SELECT s.session_id AS session_id, MAX(g.until_time) AS until_time
    FROM sessions AS s
    JOIN log_gaps AS g ON g.host_id = s.host_id AND g.channel = 'Security' AND g.until_time <= s.first_time
        AND g.from_time > TIMESTAMP '1601-01-01 00:00:00'
    WHERE s.start_time IS NULL AND s.kind = 'person'
    GROUP BY s.session_id
) AS g ON g.session_id = s.session_id
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
