-- One row for each failed attempt to log on, with the row of `failures` that counts it: attempts that repeat the one before
-- are counted with it, until the day ends or the account does anything else on that host: of attempts that only
-- a controller tells, until it grants something.
-- Reads: told_attempts, logged, authentications, account_names.
-- NULL: what no record says.

WITH tried AS (
    SELECT DISTINCT who AS who, target_host_id AS target_host_id, told_by AS told_by, name_key AS name_key,
        account_id AS account_id, CASE WHEN domain IS NULL THEN 1 ELSE 0 END AS bare,
        CASE WHEN noise IS NULL THEN 0 ELSE 1 END AS noise
    FROM told_attempts
),
-- what an account did on a host between two failures ends a row; of failures that only a controller tells, what that
-- granted
between_them AS (
    SELECT DISTINCT t.who AS who, e.host_id AS host_id, e.time AS time, e.uid AS uid
    FROM logged AS e
    JOIN tried AS t ON t.target_host_id = e.host_id AND t.name_key = e.target_name_key
    LEFT JOIN account_names AS n ON n.host_id = e.host_id AND n.sid_written = e.target_sid
        AND n.name_key = e.target_name_key AND n.domain_key = e.target_domain_key
    WHERE e.mark = 'logon' AND (t.account_id = n.account_id OR (t.account_id IS NULL AND t.bare = 1))
    UNION ALL
    SELECT DISTINCT t.who AS who, e.host_id AS host_id, e.time AS time, e.uid AS uid
    FROM logged AS e
    JOIN tried AS t ON t.target_host_id IS NULL AND t.told_by = e.host_id AND t.name_key = e.target_name_key
    JOIN authentications AS a ON a.authentication_id = e.uid
    WHERE e.mark IN ('ticket', 'validation', 'ntlm_audit') AND a.success AND a.step IN ('ticket_granting', 'ntlm') AND t.noise = 0
        AND (t.account_id = a.account_id OR (t.account_id IS NULL AND t.bare = 1))
),
line AS (
    SELECT who AS who, told_by AS host_id, time AS time, attempt_id AS uid,
        CONCAT(CAST(CAST(time AS DATE) AS VARCHAR), '|', COALESCE(domain_key, ''), '|', COALESCE(source_address, ''),
            '|', COALESCE(workstation_key, ''), '|', COALESCE(CAST(logon_type AS VARCHAR), ''), '|',
            COALESCE(process_name, ''), '|', COALESCE(reason_key, ''), '|', COALESCE(noise, ''), '|',
            CASE WHEN target_host_id IS NULL THEN 'controller' ELSE 'host' END) AS what
    FROM told_attempts
    UNION ALL
    SELECT who AS who, host_id AS host_id, time AS time, uid AS uid, CAST(NULL AS VARCHAR) AS what
    FROM between_them
),
turned AS (
    SELECT who AS who, host_id AS host_id, time AS time, uid AS uid, what AS what,
        CASE WHEN what = LAG(what) OVER (
            PARTITION BY who, host_id ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST) THEN 0 ELSE 1 END AS turn
    FROM line
),
runs AS (
    SELECT uid AS attempt_id, who AS who, host_id AS host_id, what AS what,
        SUM(turn) OVER (
            PARTITION BY who, host_id ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
    FROM turned
)
SELECT
    t.attempt_id AS attempt_id,
    FIRST_VALUE(t.attempt_id) OVER (
        PARTITION BY r.who, r.host_id, r.run ORDER BY t.time ASC NULLS LAST, t.attempt_id ASC NULLS LAST
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS failure_id,
    t.time AS time, t.target_host_id AS target_host_id, t.target_host AS target_host, t.controller AS controller,
    t.name AS name, t.domain AS domain, t.account_id AS account_id, t.source_address AS source_address,
    t.workstation AS workstation, t.logon_type AS logon_type, t.logon_process AS logon_process,
    t.process_name AS process_name, t.reason AS reason, t.reason_key AS reason_key, t.codes AS codes,
    t.layers AS layers, t.noise AS noise
FROM runs AS r
JOIN told_attempts AS t ON t.attempt_id = r.attempt_id
WHERE r.what IS NOT NULL
