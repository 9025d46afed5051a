-- Leases within the time of the logs: how many the table has a stretch of. Stretches of the table: how many begin and end
-- in leases of that machine, with no lease of another between, give or take what clocks may be apart. A conflict claims
-- nothing. A machine that is no member has the address
-- that its sessions and attempts came from.

WITH reach AS (SELECT MIN(first_seen) AS since, MAX(last_seen) AS until FROM hosts),
leases AS (
    SELECT a.host, p.host_id, names_of(a.host) AS machines, a.address,
        COALESCE(a.from_time, TIMESTAMP '0001-01-02') - to_seconds($clocks_s) AS since,
        COALESCE(a.until_time, TIMESTAMP '9999-01-01') + to_seconds($clocks_s) AS until
    FROM truth.addresses AS a
    LEFT JOIN host_pairs AS p ON p.host = a.host
),
strangers AS (
    SELECT DISTINCT LOWER(source_host) AS machine, source_address AS address
    FROM (
        SELECT source_host, source_address FROM truth.sessions
        UNION ALL
        SELECT source_host, source_address FROM truth.attempts)
    WHERE source_host IS NOT NULL AND source_host NOT IN (SELECT host FROM truth.hosts)
),
told AS (
    SELECT address_id, address, host_id, host, first_time, last_time, told_by, conflict,
        split_part(LOWER(host), '.', 1) AS machine
    FROM addresses
),
both_ends AS (
    SELECT t.address_id, l.host, t.address, t.first_time, t.last_time
    FROM told AS t
    JOIN leases AS l ON l.address = t.address AND (l.host_id = t.host_id OR (t.host_id IS NULL AND list_contains(l.machines, t.machine)))
    GROUP BY ALL
    HAVING BOOL_OR(t.first_time BETWEEN l.since AND l.until) AND BOOL_OR(t.last_time BETWEEN l.since AND l.until)
),
right_ones AS (
    SELECT b.address_id
    FROM both_ends AS b
    WHERE NOT EXISTS (
        FROM leases AS o
        WHERE o.address = b.address AND o.host <> b.host AND o.since + to_seconds(2 * $clocks_s) < b.last_time
            AND o.until - to_seconds(2 * $clocks_s) > b.first_time)
)
SELECT 'addresses' AS measure, 'in the truth' AS level, 1 AS counted, (COUNT(t.address_id) > 0)::INTEGER AS correct, l.host,
    l.since AS time, l.address || ' until ' || l.until AS truth
FROM leases AS l
JOIN reach AS r ON l.since < r.until AND l.until > r.since
LEFT JOIN told AS t ON t.address = l.address AND t.host_id = l.host_id AND t.first_time <= l.until AND t.last_time >= l.since
WHERE l.host_id IS NOT NULL
GROUP BY l.host, l.since, l.address, l.until
UNION ALL BY NAME
SELECT 'addresses' AS measure, CASE WHEN t.conflict THEN 'conflict' ELSE 'in the table, ' || split_part(t.told_by, ' ', 1) END
        AS level, 1 AS counted,
    CASE WHEN NOT t.conflict THEN (t.address_id IN (SELECT address_id FROM right_ones)
        OR (t.machine, t.address) IN (SELECT machine, address FROM strangers))::INTEGER END AS correct,
    t.host, t.first_time AS time, concat_ws(' ', t.address, 'until', t.last_time, t.told_by) AS told,
    (SELECT string_agg(l.host, ' ') FROM leases AS l WHERE l.address = t.address AND l.since <= t.last_time
        AND l.until >= t.first_time) AS truth
FROM told AS t
