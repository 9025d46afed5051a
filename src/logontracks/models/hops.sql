-- One row for each session that came from another, and each session that it can have come from, best first.
-- Reads: hop_sources, session_sources, seats, sessions, host_names, skews.
-- Sorted by: to_session_id, place.
-- Rules: subject (its logon names the session that asked), prompt (of UAC, at the only desktop that was open there),
-- explicit (4648 there names account and server), outgoing_ntlm (8001 there names server and session), desktop_client
-- (the remote desktop client there named the server), network_before (a program on the host that the account came to over
-- the network), explicit_again (4648 there named account and server within the life of a ticket before), address (the
-- machine that had its address), ticket_address (the machine that had the address its ticket was asked from),
-- address_only (its address, whose machine nothing tells), client_name (the name that its client claims), account (the
-- only other host where the account sits at that time). Where a rule tells the machine alone the session there is looked
-- for: one of the same account, else its desktop that begins a moment later, else its latest network session, else
-- desktops of others, if they are few.
-- NULL: from_session_id where the machine is known and the session is not.
--
-- Columns:
--   hop_id BIGINT: Identity
--   to_session_id BIGINT: Session that was opened
--   from_session_id BIGINT: Session that it came from
--   time TIMESTAMP: Start of the session that was opened
--   to_host_id BIGINT: Its host
--   to_host VARCHAR: Name of its host
--   from_host_id BIGINT: Host it came from, where the case has logs of it
--   from_host VARCHAR: Name of the machine it came from
--   to_account VARCHAR: Account of the session that was opened
--   from_account VARCHAR: Account of the one it came from
--   means VARCHAR: How the session was opened: network, network_share, remote_desktop, winrm, runas ...
--   rule VARCHAR: What tells it: see above
--   certainty DOUBLE: How sure, from 0 to 1; what the best is not sure of, the others share
--   candidates BIGINT: Sessions there that come into question by this rule
--   place INTEGER: 1 is the best of those told for the session
--   credential VARCHAR: same or switch: whether the account is another; new credentials (type 9) are a switch unless they
--     are known to be for the same account; NULL where nothing tells whose were used
--   uid BIGINT: Record that the rule rests on

-- us: the moment by the clock of the machine that it came from
WITH wanted AS (
    SELECT f.session_id AS session_id, f.rule AS rule, f.from_host_id AS from_host_id, t.account_id AS account_id,
        micros(t.start_time) - COALESCE(k.skew_us, 0) + COALESCE(w.skew_us, 0) AS us,
        CASE WHEN w.host_id IS NULL THEN 0 ELSE 1 END AS clock_known
    FROM hop_sources AS f
    JOIN session_sources AS t ON t.session_id = f.session_id
    LEFT JOIN skews AS k ON k.host_id = t.host_id AND k.day = CAST(t.start_time AS DATE)
    LEFT JOIN skews AS w ON w.host_id = f.from_host_id AND w.day = CAST(t.start_time AS DATE)
    WHERE f.from_session_id IS NULL AND f.from_host_id IS NOT NULL
),
timed_seats AS (
    SELECT p.session_id AS session_id, p.host_id AS host_id, p.account_id AS account_id, p.at_hand AS at_hand,
        p.new_credentials AS new_credentials, micros(p.from_time) AS from_us, micros(p.until_time) AS until_us,
        micros(p.sure_from) AS sure_from_us, p.glimpsed AS glimpsed, p.prompt AS prompt, p.desktop AS desktop
    FROM seats AS p
    WHERE p.until_time >= p.from_time
),
-- how many sessions are open there at that moment, of the account and at desktops, in one pass
moments AS (
    SELECT host_id AS host_id, account_id AS account_id, from_us AS us, 0 AS step, 1 AS opened, at_hand AS desks,
        CAST(NULL AS BIGINT) AS session_id, CAST(NULL AS VARCHAR) AS rule
    FROM timed_seats
    UNION ALL
    SELECT host_id AS host_id, account_id AS account_id, until_us AS us, 2 AS step, -1 AS opened,
        -at_hand AS desks, CAST(NULL AS BIGINT) AS session_id, CAST(NULL AS VARCHAR) AS rule
    FROM timed_seats
    UNION ALL
    SELECT from_host_id AS host_id, account_id AS account_id, us AS us, 1 AS step, 0 AS opened, 0 AS desks,
        session_id AS session_id, rule AS rule
    FROM wanted
),
counted AS (
    SELECT session_id AS session_id, rule AS rule,
        SUM(opened) OVER (PARTITION BY host_id, account_id ORDER BY us ASC NULLS LAST, step ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS opened,
        SUM(desks) OVER (PARTITION BY host_id ORDER BY us ASC NULLS LAST, step ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS desks
    FROM moments
),
-- one of very many is none: their ends are not in the logs, and the machine is all that is told
asked AS (
    SELECT w.session_id AS session_id, w.rule AS rule, w.from_host_id AS from_host_id, w.account_id AS account_id,
        w.us AS us, w.clock_known AS clock_known, c.desks AS desks, FLOOR(w.us / 86400000000.0) AS day
    FROM wanted AS w
    JOIN (
        SELECT session_id AS session_id, rule AS rule, MAX(opened) AS opened, MAX(desks) AS desks
        FROM counted
        WHERE session_id IS NOT NULL
        GROUP BY session_id, rule
    ) AS c ON c.session_id = w.session_id AND c.rule = w.rule AND c.opened <= $most_open
),
-- day by day, as a task may have begun a million times on one host
day_seats AS (
    SELECT p.*, d.day AS day
    FROM timed_seats AS p
    JOIN (SELECT DISTINCT day AS day FROM asked) AS d ON d.day >= FLOOR(p.from_us / 86400000000.0)
        AND d.day <= FLOOR(p.until_us / 86400000000.0)
),
same_account AS (
    SELECT a.session_id AS session_id, a.rule AS rule, p.session_id AS from_session_id, p.prompt AS prompt,
        -- credentials that were given to one session may be used by others as well, the more so later; a session whose
        -- start is not in the logs may have begun later; most programs that UAC asked for do nothing on other hosts
        CASE WHEN p.prompt = 1 OR (p.glimpsed = 1 AND a.us < p.sure_from_us)
                OR (p.new_credentials = 1 AND a.us - p.from_us > $named_again_us) THEN 0.5
            WHEN p.new_credentials = 1 OR a.us < p.sure_from_us THEN 0.8 ELSE 0.9 END AS share,
        MAX(CASE WHEN p.prompt = 0 AND a.us >= p.sure_from_us THEN 1 ELSE 0 END)
            OVER (PARTITION BY a.session_id, a.rule) AS sure
    FROM asked AS a
    JOIN day_seats AS p ON p.host_id = a.from_host_id AND p.account_id = a.account_id AND p.day = a.day
        AND p.from_us <= a.us AND p.until_us >= a.us
),
-- where none is sure to have been open, and the clock of the host is not known, the next desktop may have begun before
desks AS (
    SELECT host_id AS host_id, account_id AS account_id, from_us AS us, session_id AS desk_id,
        CAST(NULL AS BIGINT) AS session_id, CAST(NULL AS VARCHAR) AS rule
    FROM timed_seats
    WHERE desktop = 1 AND from_us = sure_from_us
    UNION ALL
    SELECT a.from_host_id AS host_id, a.account_id AS account_id, a.us AS us, CAST(NULL AS BIGINT) AS desk_id,
        a.session_id AS session_id, a.rule AS rule
    FROM asked AS a
    LEFT JOIN (SELECT DISTINCT session_id AS session_id, rule AS rule FROM same_account WHERE sure = 1) AS x
        ON x.session_id = a.session_id AND x.rule = a.rule
    WHERE x.session_id IS NULL AND a.clock_known = 0
),
next_desks AS (
    SELECT session_id AS session_id, rule AS rule, us AS us, host_id AS host_id, account_id AS account_id,
        desk_id AS desk_id,
        COUNT(desk_id) OVER (PARTITION BY host_id, account_id ORDER BY us DESC NULLS LAST,
            COALESCE(desk_id, 0) DESC NULLS LAST, session_id ASC NULLS LAST, rule ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS behind
    FROM desks
),
same_seats AS (
    SELECT session_id AS session_id, rule AS rule, from_session_id AS from_session_id, share AS share,
        COUNT(*) OVER (PARTITION BY session_id, rule) AS candidates
    FROM (
        SELECT session_id AS session_id, rule AS rule, from_session_id AS from_session_id, share AS share
        FROM same_account
        WHERE prompt = 0 OR sure = 0
        UNION ALL
        SELECT r.session_id AS session_id, r.rule AS rule, p.desk_id AS from_session_id, 0.7 AS share
        FROM next_desks AS r
        JOIN next_desks AS p ON p.desk_id IS NOT NULL AND p.host_id = r.host_id AND p.account_id = r.account_id
            AND p.behind = r.behind
        WHERE r.session_id IS NOT NULL AND p.us > r.us AND p.us - r.us <= $seat_soon_us
    ) AS s
),
-- network sessions of the account there: the latest before
roads AS (
    SELECT host_id AS host_id, account_id AS account_id, micros(start_time) AS us, session_id AS road_id,
        CAST(NULL AS BIGINT) AS session_id, CAST(NULL AS VARCHAR) AS rule
    FROM session_sources
    WHERE logon_type IN (3, 8)
    UNION ALL
    SELECT a.from_host_id AS host_id, a.account_id AS account_id, a.us AS us, CAST(NULL AS BIGINT) AS road_id,
        a.session_id AS session_id, a.rule AS rule
    FROM asked AS a
    LEFT JOIN same_seats AS x ON x.session_id = a.session_id AND x.rule = a.rule
    WHERE x.session_id IS NULL
),
last_roads AS (
    SELECT session_id AS session_id, rule AS rule, us AS us, host_id AS host_id, account_id AS account_id,
        road_id AS road_id,
        COUNT(road_id) OVER (PARTITION BY host_id, account_id ORDER BY us ASC NULLS LAST,
            COALESCE(road_id, 0) DESC NULLS LAST, session_id ASC NULLS LAST, rule ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
    FROM roads
),
same_roads AS (
    SELECT r.session_id AS session_id, r.rule AS rule, p.road_id AS from_session_id
    FROM last_roads AS r
    JOIN last_roads AS p ON p.road_id IS NOT NULL AND p.host_id = r.host_id AND p.account_id = r.account_id
        AND p.before = r.before
    WHERE r.session_id IS NOT NULL AND r.us - p.us <= $hop_memory_us
),
other_seats AS (
    SELECT a.session_id AS session_id, a.rule AS rule, p.session_id AS from_session_id,
        COUNT(*) OVER (PARTITION BY a.session_id, a.rule) AS candidates
    FROM asked AS a
    LEFT JOIN same_seats AS x ON x.session_id = a.session_id AND x.rule = a.rule
    LEFT JOIN same_roads AS y ON y.session_id = a.session_id AND y.rule = a.rule
    JOIN day_seats AS p ON p.host_id = a.from_host_id AND p.account_id <> a.account_id AND p.at_hand = 1
        AND p.day = a.day AND p.from_us <= a.us AND p.until_us >= a.us
    WHERE x.session_id IS NULL AND y.session_id IS NULL AND a.desks <= 5
        -- new credentials are for whom they were given
        AND (p.new_credentials = 0 OR p.account_id = 0)
),
found AS (
    SELECT f.session_id AS session_id, f.rule AS rule, f.from_session_id AS from_session_id,
        1 + COALESCE(x.seats, 0) AS candidates,
        CASE WHEN x.seats IS NULL OR f.certainty >= 0.75 THEN 1.0 ELSE 0.4 END AS share
    FROM hop_sources AS f
    LEFT JOIN (
        SELECT session_id AS session_id, COUNT(DISTINCT from_session_id) AS seats FROM same_seats GROUP BY session_id
    ) AS x ON f.rule = 'explicit_again' AND x.session_id = f.session_id
    WHERE f.from_session_id IS NOT NULL
    UNION ALL
    -- whoever named the account there before comes into question as well, and less
    SELECT s.session_id AS session_id, s.rule AS rule, s.from_session_id AS from_session_id,
        s.candidates + COALESCE(x.others, 0) AS candidates,
        CASE WHEN x.others IS NULL THEN s.share ELSE 0.8 * s.share END / s.candidates AS share
    FROM same_seats AS s
    LEFT JOIN (
        SELECT session_id AS session_id, COUNT(DISTINCT from_session_id) AS others
        FROM hop_sources
        WHERE rule = 'explicit_again'
        GROUP BY session_id
    ) AS x ON x.session_id = s.session_id
    UNION ALL
    SELECT session_id AS session_id, rule AS rule, from_session_id AS from_session_id, 1 AS candidates, 0.4 AS share
    FROM same_roads
    UNION ALL
    SELECT session_id AS session_id, rule AS rule, from_session_id AS from_session_id, candidates AS candidates,
        0.5 / candidates AS share
    FROM other_seats
    WHERE candidates <= 5
),
told AS (
    SELECT f.session_id AS session_id, f.rule AS rule, f.from_host_id AS from_host_id, f.from_host AS from_host,
        g.from_session_id AS from_session_id, f.uid AS uid, COALESCE(g.candidates, 0) AS candidates,
        f.certainty * COALESCE(g.share, 1.0) AS certainty,
        ROW_NUMBER() OVER (PARTITION BY f.session_id, g.from_session_id
            ORDER BY f.certainty * COALESCE(g.share, 1.0) DESC NULLS LAST, f.uid ASC NULLS LAST) AS again
    FROM hop_sources AS f
    LEFT JOIN found AS g ON g.session_id = f.session_id AND g.rule = f.rule
        AND (f.from_session_id IS NULL OR f.from_session_id = g.from_session_id)
),
placed AS (
    SELECT t.session_id AS session_id, t.rule AS rule, t.from_host_id AS from_host_id, t.from_host AS from_host,
        t.from_session_id AS from_session_id, t.uid AS uid, t.candidates AS candidates, t.certainty AS certainty,
        ROW_NUMBER() OVER (PARTITION BY t.session_id
            -- a session tells its machine as well, and an address no machine
            ORDER BY t.certainty * CASE WHEN t.from_session_id IS NOT NULL THEN 1.0 WHEN t.rule = 'address_only' THEN 0.0
                    ELSE 0.5 END DESC NULLS LAST,
                CASE WHEN t.from_session_id IS NULL THEN 1 ELSE 0 END ASC NULLS LAST,
                -- whoever came last
                p.from_time DESC NULLS LAST, t.from_session_id ASC NULLS LAST, t.uid ASC NULLS LAST) AS place
    FROM told AS t
    LEFT JOIN seats AS p ON p.session_id = t.from_session_id
    WHERE t.again = 1 AND t.session_id <> COALESCE(t.from_session_id, 0)
),
-- a session came from one other: what the best is sure of, the others share the rest of
shared AS (
    SELECT session_id AS session_id, MAX(certainty) AS best, COUNT(from_session_id) AS many
    FROM placed
    WHERE from_session_id IS NOT NULL
    GROUP BY session_id
)
SELECT
    text_id(CONCAT('hop ', CAST(p.session_id AS VARCHAR), ' ', CAST(COALESCE(p.from_session_id, 0) AS VARCHAR), ' ',
        COALESCE(p.from_host, ''))) AS hop_id,
    p.session_id AS to_session_id, p.from_session_id AS from_session_id, t.start_time AS time, t.host_id AS to_host_id,
    t.host AS to_host, p.from_host_id AS from_host_id, COALESCE(s.host, n.host, p.from_host) AS from_host,
    t.account AS to_account, s.account AS from_account, t.opened_by AS means, p.rule AS rule,
    CASE WHEN p.place > 1 AND p.from_session_id IS NOT NULL AND p.certainty > (1.0 - b.best) / (b.many - 1)
        THEN (1.0 - b.best) / (b.many - 1) ELSE p.certainty END AS certainty,
    p.candidates AS candidates, CAST(p.place AS INTEGER) AS place,
    CASE WHEN COALESCE(o.account_id, s.account_id) = COALESCE(w.account_id, t.account_id) THEN 'same'
        WHEN s.account_id IS NOT NULL AND COALESCE(o.account_id, 1) <> 0 THEN 'switch' END AS credential,
    p.uid AS uid
FROM placed AS p
JOIN sessions AS t ON t.session_id = p.session_id
LEFT JOIN shared AS b ON b.session_id = p.session_id
LEFT JOIN sessions AS s ON s.session_id = p.from_session_id
-- who new credentials are for other hosts: the switch is where they are taken, and not where they are used
LEFT JOIN seats AS o ON o.session_id = s.session_id
LEFT JOIN seats AS w ON w.session_id = t.session_id
LEFT JOIN (SELECT DISTINCT host_id AS host_id, host AS host FROM host_names) AS n ON n.host_id = p.from_host_id
WHERE p.place <= 5
