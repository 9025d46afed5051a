-- Failed attempts that are in the logs: how many are found. Attempts of the table: how many are no invention (what it calls
-- noise is not counted). Reasons that are told; a Kerberos code alone can mean several, and is not judged.
-- An attempt is in a row of the table that is of the same name, of the same host or of a controller alone, and of that
-- time by the clock of who tells it; a row holds as many as it counts.

WITH words AS (
    SELECT * FROM (VALUES ('wrong_password', 'bad_password'), ('no_such_user', 'unknown_user'),
        ('disabled', 'account_disabled'), ('expired', 'account_expired')) AS w (meant, told)
),
meant AS (
    SELECT t.attempt, t.target_host, t.time, t.account, t.source_address, bare(t.account) AS name,
        COALESCE(w.told, t.reason) AS reason
    FROM truth.attempts AS t
    LEFT JOIN words AS w ON w.meant = t.reason
    WHERE t.logged
),
told AS (
    SELECT f.*, bare(f.name) AS key, COALESCE(f.target_host_id, n.host_id) AS told_by
    FROM failures AS f
    LEFT JOIN host_names AS n ON n.computer_key = LOWER(f.controller)
),
candidates AS (
    SELECT m.attempt, f.failure_id, f.attempts, m.time, m.reason,
        -- a row of one attempt fits one time alone; what is called noise fits where nothing else does
        ROW_NUMBER() OVER (PARTITION BY m.attempt ORDER BY f.noise IS NOT NULL, f.attempts > 1, f.target_host_id IS NULL,
            COALESCE(f.source_address = m.source_address, FALSE) DESC, f.reason_key = m.reason DESC,
            ABS(seconds(f.first_time, clock(p.host, m.time))), f.failure_id) AS place
    FROM meant AS m
    JOIN told AS f ON f.key = m.name
    JOIN host_pairs AS p ON p.host_id = f.told_by
    WHERE (f.target_host_id IS NULL OR m.target_host IS NULL OR p.host = m.target_host)
        AND clock(p.host, m.time)
            BETWEEN f.first_time - to_seconds($attempt_s) AND f.last_time + to_seconds($attempt_s)
),
placed AS (
    SELECT attempt, failure_id, reason FROM candidates WHERE place = 1
    QUALIFY ROW_NUMBER() OVER (PARTITION BY failure_id ORDER BY time, attempt) <= attempts
)
SELECT 'attempts' AS measure, 'in the truth' AS level, 1 AS counted, (p.failure_id IS NOT NULL)::INTEGER AS correct,
    m.target_host AS host, m.account, m.time, m.reason AS truth, told_failure(p.failure_id) AS id, m.attempt AS number
FROM meant AS m
LEFT JOIN placed AS p ON p.attempt = m.attempt
UNION ALL BY NAME
SELECT 'attempts' AS measure, 'in the table' AS level, f.attempts AS counted, COUNT(p.attempt) AS correct,
    COALESCE(f.target_host, f.controller) AS host, f.account, f.first_time AS time,
    f.attempts || ' ' || f.reason_key || ' ' || f.layers AS told, COUNT(p.attempt) || ' in the truth' AS truth,
    told_failure(f.failure_id) AS id, MIN(p.attempt) AS number
FROM told AS f
LEFT JOIN placed AS p ON p.failure_id = f.failure_id
WHERE f.noise IS NULL OR p.attempt IS NOT NULL
GROUP BY ALL
UNION ALL BY NAME
SELECT 'attempt reason' AS measure, f.reason_key AS level, 1 AS counted,
    CASE WHEN NOT starts_with(f.reason_key, 'kerberos_') THEN (f.reason_key = p.reason)::INTEGER END AS correct, COALESCE(f.target_host, f.controller) AS host, f.account,
    f.first_time AS time, concat_ws(' ', f.reason_key, f.codes) AS told, p.reason AS truth,
    told_failure(f.failure_id) AS id, p.attempt AS number
FROM placed AS p
JOIN told AS f ON f.failure_id = p.failure_id
