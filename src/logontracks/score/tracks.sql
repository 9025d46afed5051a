-- Ways of attacks, from their ends back to their roots, where the case has each session: how many are in a row of the
-- table, with the root, the hosts and the accounts of them all. What was done within sessions is no way.
-- Ways of the table, and these by certainty: how many went through these hosts, as these accounts, from that root. One that
-- begins at a machine is right where the true way came through it.

WITH RECURSIVE ends AS (
    SELECT DISTINCT h.attack, h.to_session AS session
    FROM truth.hops AS h
    WHERE h.attack IS NOT NULL AND NOT EXISTS (SELECT 1 FROM truth.hops AS n WHERE n.from_session = h.to_session)
),
walked AS (
    SELECT e.attack, e.session AS last, e.session, 0 AS step FROM ends AS e
    UNION ALL
    SELECT w.attack, w.last, t.parent_session AS session, w.step + 1 AS step
    FROM walked AS w
    JOIN truth.sessions AS t ON t.session = w.session
    WHERE t.parent_session IS NOT NULL AND w.step < 20
),
ways AS (
    SELECT w.attack, w.last, COUNT(*) - COUNT(s.session_id) AS missing, arg_max(w.session, w.step) AS root,
        arg_max(s.session_id, w.step) AS root_id, MAX(w.step) AS hops, MIN(s.start_time) AS time,
        string_agg(s.host, ' > ' ORDER BY w.step DESC) AS hosts,
        string_agg(s.account, ' > ' ORDER BY w.step DESC) AS accounts
    FROM walked AS w
    LEFT JOIN session_pairs AS p ON p.session = w.session
    LEFT JOIN sessions AS s ON s.session_id = p.session_id
    GROUP BY w.attack, w.last
),
back_steps AS (
    SELECT p.session AS last, p.session, 0 AS step
    FROM tracks AS k
    JOIN session_pairs AS p ON p.session_id = k.end_session_id
    UNION ALL
    SELECT w.last, t.parent_session AS session, w.step + 1 AS step
    FROM back_steps AS w
    JOIN truth.sessions AS t ON t.session = w.session
    WHERE t.parent_session IS NOT NULL AND w.step < 20
),
back AS (
    SELECT w.last, list(s.session_id) AS ids, string_agg(s.host, ' > ' ORDER BY w.step DESC) AS hosts,
        string_agg(s.account, ' > ' ORDER BY w.step DESC) AS accounts,
        -- what the machine of each step may be called
        list(list_append(names_of(COALESCE(f.host, t.source_host)), t.source_address) ORDER BY w.step) AS came_from
    FROM back_steps AS w
    JOIN truth.sessions AS t ON t.session = w.session
    LEFT JOIN truth.sessions AS f ON f.session = t.parent_session
    LEFT JOIN session_pairs AS p ON p.session = w.session
    LEFT JOIN sessions AS s ON s.session_id = p.session_id
    GROUP BY w.last
),
meant AS (
    SELECT w.attack, w.root_id, w.hosts, w.accounts, r.source_host, r.source_address, MIN(w.time) AS time,
        MIN(w.last) AS number
    FROM ways AS w
    JOIN truth.sessions AS r ON r.session = w.root
    WHERE w.missing = 0 AND (w.hops > 0 OR r.source_host IS NOT NULL)
    GROUP BY ALL
)
SELECT 'tracks' AS measure, 'of attacks' AS level, 1 AS counted, EXISTS (
        SELECT 1
        FROM tracks AS t
        WHERE (t.root_session_id = m.root_id AND m.source_host IS NULL AND starts_with(t.hosts, m.hosts)
                AND starts_with(t.accounts, m.accounts))
            OR (t.root_session_id IS NULL AND m.source_host IS NOT NULL
                AND starts_with(t.hosts, concat(t.from_host, ' > ', m.hosts))
                AND starts_with(t.accounts, '? > ' || m.accounts)
                AND list_has_any(string_split(LOWER(t.from_host), ' '), [m.source_address, LOWER(m.source_host)])))::INTEGER
        AS correct,
    m.time, m.attack || ': ' || m.hosts || '; ' || m.accounts AS truth, told_id(m.root_id) AS id, m.number
FROM meant AS m
UNION ALL BY NAME
SELECT 'tracks' AS measure, UNNEST(['in the table', bin(k.certainty)]) AS level, 1 AS counted, COALESCE(
        CASE WHEN k.root_session_id IS NOT NULL THEN list_contains(b.ids, k.root_session_id)
                AND ends_with(b.hosts, k.hosts) AND ends_with(b.accounts, k.accounts)
            ELSE ends_with(b.hosts, substr(k.hosts, instr(k.hosts, ' > ') + 3))
                AND ends_with(b.accounts, substr(k.accounts, instr(k.accounts, ' > ') + 3))
                AND list_has_any(string_split(LOWER(k.from_host), ' '), b.came_from[k.hops]) END,
        FALSE)::INTEGER AS correct, k.to_host AS host,
    k.person AS account, k.start_time AS time, concat_ws('; ', k.hosts, k.accounts, k.means) AS told,
    concat_ws('; ', b.hosts, b.accounts) AS truth, k.certainty AS off_s, told_id(k.end_session_id) AS id, b.last AS number
FROM tracks AS k
JOIN session_pairs AS p ON p.session_id = k.end_session_id
JOIN back AS b ON b.last = p.session
WHERE NOT k.cut
