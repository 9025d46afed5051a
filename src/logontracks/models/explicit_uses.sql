-- One row for each time that a session named other credentials or a server to go to, and the host that this is: 4648,
-- outgoing NTLM (8001), the remote desktop client (1024).
-- Reads: logged, boots, session_by_id, host_lookup, addresses, sessions.
-- NULL: session_id where the record does not tell the session, host_id of a server whose logs are not in the case,
-- account_id and name_key where no credentials are named.

WITH told AS (
    SELECT e.uid AS uid, e.host_id AS from_host_id, e.host AS from_host, e.time AS time, e.seq AS seq, e.mark AS mark,
        e.channel AS channel, e.subject_logon_id AS logon_id, e.record_sid AS record_sid,
        e.target_name_key AS name_key, e.target_domain_key AS domain_key,
        CASE WHEN e.target_server LIKE '_%$$' THEN SUBSTR(LOWER(e.target_server), 1, LENGTH(e.target_server) - 1)
            ELSE LOWER(e.target_server) END AS server_key
    FROM logged AS e
    WHERE e.mark IN ('explicit', 'ntlm_out', 'rdp_client') AND e.target_server IS NOT NULL
),
asked AS (
    SELECT t.uid AS uid, t.from_host_id AS from_host_id, t.from_host AS from_host, t.time AS time, t.mark AS mark,
        t.name_key AS name_key, t.domain_key AS domain_key, t.server_key AS server_key, t.record_sid AS record_sid, i.session_id AS session_id
    FROM told AS t
    LEFT JOIN boots AS b ON t.channel = 'Security' AND t.logon_id IS NOT NULL AND b.host_id = t.from_host_id
        AND t.seq >= COALESCE(b.security_from, -1) AND t.seq < COALESCE(b.security_until, 4611686018427387904)
    LEFT JOIN session_by_id AS i ON i.host_id = b.host_id AND i.boot_id = b.boot_id AND i.logon_id = t.logon_id
    -- Windows itself names credentials in each ordinary logon and unlock
    WHERE t.mark <> 'explicit' OR i.session_id IS NOT NULL
),
sitting AS (
    -- the client of remote desktop tells the SID of the person, not the session
    SELECT a.uid AS uid, MAX(s.session_id) AS session_id, COUNT(*) AS candidates
    FROM asked AS a
    JOIN sessions AS s ON s.host_id = a.from_host_id AND s.sid = a.record_sid AND s.start_time <= a.time
        AND COALESCE(s.end_time, s.end_time_max, s.last_time) >= a.time
    WHERE a.session_id IS NULL AND a.record_sid IS NOT NULL AND s.logon_type IN (2, 10, 11, 12)
    GROUP BY a.uid
)
SELECT a.uid AS uid, a.from_host_id AS from_host_id, a.from_host AS from_host, a.time AS time, a.mark AS mark,
    a.name_key AS name_key, a.domain_key AS domain_key, a.server_key AS server_key,
    COALESCE(a.session_id, CASE WHEN s.candidates = 1 THEN s.session_id END) AS session_id,
    CASE WHEN a.server_key = 'localhost' THEN a.from_host_id ELSE COALESCE(h.host_id, d.host_id) END AS host_id
FROM asked AS a
LEFT JOIN sitting AS s ON s.uid = a.uid
LEFT JOIN host_lookup AS h ON h.name_key = a.server_key
LEFT JOIN addresses AS d ON h.host_id IS NULL AND d.address = a.server_key AND d.host_id IS NOT NULL AND NOT d.conflict
    AND a.time BETWEEN d.held_from AND d.held_until
