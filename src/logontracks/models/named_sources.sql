-- One row for each session and each use of credentials elsewhere, or on its host by another session, that named what was
-- then used: account and server, or over remote desktop the server alone.
-- Reads: session_sources, explicit_uses, account_lookup, account_names, addresses, seats, skews.
-- Times are looked at in slices, and what was named last before in one pass: a program may name an account every minute.

WITH own AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.account_id AS account_id, s.logon_type AS logon_type,
        s.start_time AS start_time, s.source_address AS source_address,
        micros(s.start_time) - COALESCE(k.skew_us, 0) AS start_us, d.host_id AS address_host_id, d.host AS address_host
    FROM session_sources AS s
    LEFT JOIN skews AS k ON k.host_id = s.host_id AND k.day = CAST(s.start_time AS DATE)
    LEFT JOIN addresses AS d ON d.address = s.source_address AND s.start_time BETWEEN d.held_from AND d.held_until
        AND NOT d.conflict
    WHERE s.parent_id IS NULL
),
domains AS (SELECT DISTINCT domain_key AS domain_key FROM account_lookup WHERE domain_key IS NOT NULL),
named AS (
    SELECT x.uid AS uid, x.from_host_id AS from_host_id, x.from_host AS from_host, x.session_id AS session_id,
        x.host_id AS host_id, x.mark AS mark, COALESCE(l.account_id, n.account_id) AS account_id,
        micros(x.time) - COALESCE(w.skew_us, 0) AS us
    FROM explicit_uses AS x
    LEFT JOIN account_lookup AS l ON l.name_key = x.name_key AND l.domain_key = x.domain_key
    LEFT JOIN domains AS k ON k.domain_key = x.domain_key AND x.domain_key <> ''
    -- where the record does not tell the domain, or it is one that nothing else tells of: any account that may be meant
    LEFT JOIN (
        SELECT DISTINCT name_key AS name_key, account_id AS account_id, local_host_id AS local_host_id FROM account_names
    ) AS n ON l.account_id IS NULL AND k.domain_key IS NULL AND n.name_key = x.name_key
        AND COALESCE(n.local_host_id, x.host_id) = x.host_id
    LEFT JOIN skews AS w ON w.host_id = x.from_host_id AND w.day = CAST(x.time AS DATE)
    WHERE x.host_id IS NOT NULL AND x.session_id IS NOT NULL
),
-- of those that one session named within a second the first and the last: those between reach no other logons
ends AS (
    SELECT n.*, ROW_NUMBER() OVER (PARTITION BY session_id, host_id, account_id, mark, FLOOR(us / 1000000.0)
            ORDER BY us ASC NULLS LAST, uid ASC NULLS LAST) AS place,
        ROW_NUMBER() OVER (PARTITION BY session_id, host_id, account_id, mark, FLOOR(us / 1000000.0)
            ORDER BY us DESC NULLS LAST, uid DESC NULLS LAST) AS place_back
    FROM named AS n
),
sliced AS (
    SELECT n.*, FLOOR(n.us / $explicit_desktop_us) + s.step AS slice
    FROM ends AS n
    CROSS JOIN $slices_around AS s
),
numbered AS (
    SELECT uid AS uid, from_host_id AS from_host_id, from_host AS from_host, session_id AS session_id,
        host_id AS host_id, account_id AS account_id, us AS us,
        ROW_NUMBER() OVER (PARTITION BY from_host_id, host_id, account_id
            ORDER BY us ASC NULLS LAST, uid ASC NULLS LAST) AS n
    FROM named
    WHERE mark = 'explicit' AND account_id IS NOT NULL AND from_host_id <> host_id
),
sides AS (
    SELECT from_host_id AS from_host_id, host_id AS host_id, account_id AS account_id, us AS us, n AS n,
        CAST(NULL AS BIGINT) AS session_id, CAST(NULL AS TIMESTAMP) AS start_time
    FROM numbered
    UNION ALL
    SELECT s.address_host_id AS from_host_id, s.host_id AS host_id, s.account_id AS account_id, s.start_us AS us,
        CAST(NULL AS BIGINT) AS n, s.session_id AS session_id, s.start_time AS start_time
    FROM own AS s
    JOIN (
        SELECT DISTINCT from_host_id AS from_host_id, host_id AS host_id, account_id AS account_id FROM numbered
    ) AS k ON k.from_host_id = s.address_host_id AND k.host_id = s.host_id AND k.account_id = s.account_id
    WHERE s.logon_type IN (3, 8, 10, 12)
),
again AS (
    SELECT from_host_id AS from_host_id, host_id AS host_id, account_id AS account_id, us AS us,
        session_id AS session_id, start_time AS start_time,
        MAX(n) OVER (PARTITION BY from_host_id, host_id, account_id
            ORDER BY us ASC NULLS LAST, COALESCE(session_id, 0) ASC NULLS LAST, n ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
    FROM sides
)
SELECT DISTINCT s.session_id AS session_id,
    CASE n.mark WHEN 'explicit' THEN 'explicit' WHEN 'ntlm_out' THEN 'outgoing_ntlm' ELSE 'desktop_client' END AS rule,
    n.from_host_id AS from_host_id, n.from_host AS from_host, n.session_id AS from_session_id, n.uid AS uid,
    -- what is asked for on another host comes over the network: a desktop there is that of a program which came so
    CASE WHEN n.from_host_id <> s.host_id AND s.logon_type = 2 THEN 0.1
        -- its address is that of another machine: two named the same account at once, or something stands between
        WHEN s.address_host IS NOT NULL AND n.from_host_id <> COALESCE(s.address_host_id, 0)
            AND n.from_host_id <> s.host_id THEN 0.4
        -- nobody's, and the host has another one: it may have two
        WHEN s.source_address NOT IN ($no_addresses) AND s.address_host IS NULL AND o.host_id IS NOT NULL
            AND n.from_host_id <> s.host_id THEN 0.7
        WHEN n.mark = 'explicit' THEN 0.98
        WHEN n.mark = 'ntlm_out' THEN 0.95 ELSE 0.9 END AS certainty
FROM sliced AS n
JOIN own AS s ON s.host_id = n.host_id AND FLOOR(s.start_us / $explicit_desktop_us) = n.slice
    AND (n.account_id = s.account_id OR n.mark = 'rdp_client')
    AND s.start_us - n.us BETWEEN -$ticket_late_us
        AND CASE WHEN s.logon_type = 10 THEN $explicit_desktop_us ELSE $explicit_us END
LEFT JOIN (
    SELECT host_id AS host_id, held_from AS held_from, MAX(held_until) AS held_until
    FROM addresses
    WHERE host_id IS NOT NULL AND NOT conflict
    GROUP BY host_id, held_from
) AS o ON o.host_id = n.from_host_id AND s.start_time BETWEEN o.held_from AND o.held_until
WHERE (n.place = 1 OR n.place_back = 1) AND s.session_id <> n.session_id
    AND (n.mark <> 'rdp_client' OR s.logon_type IN (3, 10))
    AND (n.from_host_id <> s.host_id OR s.logon_type IN (2, 9))
UNION ALL
-- credentials that were named once are good for as long as a ticket
SELECT s.session_id AS session_id, 'explicit_again' AS rule, n.from_host_id AS from_host_id, n.from_host AS from_host,
    n.session_id AS from_session_id, n.uid AS uid,
    CASE WHEN s.us - n.us <= $named_again_us THEN 0.75 ELSE 0.6 END AS certainty
FROM again AS s
JOIN numbered AS n ON n.from_host_id = s.from_host_id AND n.host_id = s.host_id AND n.account_id = s.account_id
    AND n.n = s.before
-- they go with the session that named them
LEFT JOIN seats AS p ON p.session_id = n.session_id
WHERE s.session_id IS NOT NULL AND COALESCE(p.until_time >= s.start_time, TRUE)
    AND s.us - n.us > $explicit_us AND s.us - n.us <= $ticket_life_us AND n.session_id <> s.session_id
