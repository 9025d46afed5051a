-- One row for each session that both the truth and the case tell of: the same host, the same logon id (either half), the
-- same life of the host. Of several that would fit, the one whose start is nearest.
-- What an unlock opens is a session of its own to Windows, and to the table part of the one that was locked: it has no
-- pair. Only where the logs begin behind the start of that one, the unlock stands for it in the table.
-- start_time and end_time are those of the truth by the clock of the host.

WITH meant AS (
    SELECT s.session, s.host, s.logon_id, s.linked_logon_id, clock(s.host, s.start_time) AS start_time,
        clock(s.host, s.end_time) AS end_time,
        COALESCE(clock(s.host, b.start_time), TIMESTAMP '0001-01-02') - to_seconds($life_s) AS life_from,
        COALESCE(clock(s.host, b.end_time), TIMESTAMP '9999-01-01') + to_seconds($life_s) AS life_until
    FROM truth.sessions AS s
    LEFT JOIN truth.boots AS b ON b.host = s.host AND b.boot_no = s.boot_no
    WHERE s.opened_by IS DISTINCT FROM 'unlock' OR EXISTS (
        FROM truth.sessions AS h
        WHERE h.host = s.host AND h.sid = s.sid AND h.boot_no = s.boot_no AND NOT h.logged
            AND h.opened_by IN ('desktop', 'remote_desktop')
            AND h.start_time < s.start_time AND COALESCE(h.end_time > s.start_time, TRUE))
),
meant_ids AS (
    SELECT session, host, logon_id FROM meant
    UNION
    SELECT session, host, linked_logon_id FROM meant WHERE linked_logon_id IS NOT NULL
),
told_ids AS (
    SELECT session_id, host_id, logon_id FROM sessions
    UNION
    SELECT session_id, host_id, linked_logon_id FROM sessions WHERE linked_logon_id IS NOT NULL
),
candidates AS (
    SELECT m.session, s.session_id, m.host, m.start_time, m.end_time,
        ABS(seconds(COALESCE(s.start_time, s.first_time), m.start_time)) AS off_s
    FROM (
        SELECT DISTINCT i.session, t.session_id
        FROM meant_ids AS i
        JOIN host_pairs AS p ON p.host = i.host
        JOIN told_ids AS t ON t.host_id = p.host_id AND t.logon_id = i.logon_id
    ) AS same
    JOIN meant AS m ON m.session = same.session
    JOIN sessions AS s ON s.session_id = same.session_id
    WHERE COALESCE(s.start_time, s.first_time) BETWEEN m.life_from AND m.life_until
)
SELECT session, session_id, host, start_time, end_time
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY session ORDER BY off_s, session_id) AS of_truth,
        ROW_NUMBER() OVER (PARTITION BY session_id ORDER BY off_s, session) AS of_case
    FROM candidates
)
WHERE of_truth = 1 AND of_case = 1
