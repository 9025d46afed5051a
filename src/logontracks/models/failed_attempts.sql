-- One row for each failed attempt to log on, with the row of `failures` that counts it: attempts that repeat the one before
-- are counted with it, until the day ends or the account does anything else on that host.
-- Reads: attempts, logged, authentications, account_lookup, account_names, status_codes, kerberos_codes.
-- NULL: what no record says.

WITH parts AS (
    SELECT attempt_id AS attempt_id,
        MIN(CASE WHEN layer = 'host' THEN uid END) AS host_uid,
        MIN(CASE WHEN layer = 'kerberos' THEN uid END) AS kerberos_uid,
        MIN(CASE WHEN layer = 'ntlm' THEN uid END) AS ntlm_uid
    FROM attempts
    GROUP BY attempt_id
),
joined AS (
    SELECT p.attempt_id AS attempt_id, p.host_uid AS host_uid, p.kerberos_uid AS kerberos_uid, p.ntlm_uid AS ntlm_uid,
        LEAST(COALESCE(h.time, k.time, n.time), COALESCE(k.time, n.time, h.time), COALESCE(n.time, k.time, h.time)) AS time,
        h.host_id AS target_host_id, h.host AS target_host, COALESCE(k.controller, n.controller) AS controller,
        COALESCE(h.target_name, k.name, n.name) AS name, COALESCE(h.target_domain, k.domain, n.domain) AS domain,
        COALESCE(hn.account_id, hl.account_id, k.account_id, n.account_id) AS account_id,
        COALESCE(NULLIF(h.source_address, '0.0.0.0'), k.client_address, n.client_address) AS source_address,
        COALESCE(h.workstation, n.workstation) AS workstation, h.logon_type AS logon_type,
        h.logon_process AS logon_process, h.process_name AS process_name,
        CASE WHEN COALESCE(h.sub_status, 0) <> 0 THEN h.sub_status ELSE h.status END AS host_code,
        h.status AS host_status, h.sub_status AS host_sub_status, k.status AS kerberos_code, k.event_id AS kerberos_event,
        n.status AS ntlm_code, k.delegation AS delegation
    FROM parts AS p
    LEFT JOIN logged AS h ON h.uid = p.host_uid AND h.mark = 'failure'
    LEFT JOIN authentications AS k ON k.authentication_id = p.kerberos_uid
    LEFT JOIN authentications AS n ON n.authentication_id = p.ntlm_uid
    LEFT JOIN account_names AS hn ON hn.host_id = h.host_id AND hn.sid_written = h.target_sid
        AND hn.name_key = h.target_name_key AND COALESCE(hn.domain_key, '') = COALESCE(h.target_domain_key, '')
    LEFT JOIN account_lookup AS hl ON h.target_sid IS NULL AND hl.name_key = h.target_name_key
        AND hl.domain_key = h.target_domain_key
),
told AS (
    SELECT j.attempt_id AS attempt_id, j.time AS time, j.target_host_id AS target_host_id, j.target_host AS target_host,
        j.controller AS controller, j.name AS name, LOWER(j.name) AS name_key, j.domain AS domain,
        j.account_id AS account_id, j.source_address AS source_address, j.workstation AS workstation,
        j.logon_type AS logon_type, j.logon_process AS logon_process, j.process_name AS process_name,
        COALESCE(hc.meaning, CASE WHEN j.host_code IS NOT NULL THEN CONCAT('code ', told_code(j.host_code)) END,
            nc.meaning, CASE WHEN j.ntlm_code IS NOT NULL THEN CONCAT('code ', told_code(j.ntlm_code)) END,
            kc.windows_reason, kc.meaning, CONCAT('code ', told_code(j.kerberos_code))) AS reason,
        COALESCE(hc.reason, told_code(j.host_code), nc.reason, told_code(j.ntlm_code),
            CONCAT('kerberos ', told_code(j.kerberos_code))) AS reason_key,
        TRIM(CONCAT(
            CASE WHEN j.host_uid IS NOT NULL THEN CONCAT('4625 ', told_code(COALESCE(j.host_status, 0)),
                CASE WHEN COALESCE(j.host_sub_status, 0) <> 0 THEN CONCAT('/', told_code(j.host_sub_status)) ELSE '' END,
                ' ') ELSE '' END,
            CASE WHEN j.kerberos_uid IS NOT NULL
                THEN CONCAT(CAST(j.kerberos_event AS VARCHAR), ' ', told_code(COALESCE(j.kerberos_code, 0)), ' ')
                ELSE '' END,
            CASE WHEN j.ntlm_uid IS NOT NULL THEN CONCAT('4776 ', told_code(COALESCE(j.ntlm_code, 0))) ELSE '' END
            )) AS codes,
        TRIM(CONCAT(CASE WHEN j.host_uid IS NOT NULL THEN 'host ' ELSE '' END,
            CASE WHEN j.kerberos_uid IS NOT NULL THEN 'kerberos ' ELSE '' END,
            CASE WHEN j.ntlm_uid IS NOT NULL THEN 'ntlm' ELSE '' END)) AS layers,
        CASE
            WHEN j.host_code = 3221225739 THEN 'a UAC prompt tries the cached password'
            WHEN j.logon_type = 11 AND j.process_name LIKE '%\consent.exe' AND EXISTS (
                SELECT 1 FROM joined AS o
                WHERE o.target_host_id = j.target_host_id AND o.name = j.name AND o.logon_type = 2
                    AND o.process_name = j.process_name AND o.time >= j.time
                    AND micros(o.time) - micros(j.time) <= $uac_prompt_s * 1000000)
                THEN 'a UAC prompt tries the cached password'
            WHEN j.process_name LIKE '%\chrome.exe' AND j.logon_type = 2 THEN 'a browser tests for an empty password'
            WHEN j.name IS NULL THEN 'the record names no account'
            WHEN j.name LIKE '%$$' THEN 'a computer account'
            WHEN j.host_uid IS NULL AND j.ntlm_uid IS NULL AND (j.kerberos_code = 27
                OR (j.kerberos_code = 36 AND j.delegation = 'user_to_user')) THEN 'a ticket asked for in the wrong way'
            -- a right that is missing shows that the password was right
            WHEN COALESCE(hc.noise, nc.noise) = 'yes' AND COALESCE(j.host_code, j.ntlm_code) <> 3221225819
                THEN 'says nothing about the password'
            END AS noise
    FROM joined AS j
    LEFT JOIN status_codes AS hc ON hc.code = j.host_code
    LEFT JOIN status_codes AS nc ON nc.code = j.ntlm_code
    LEFT JOIN kerberos_codes AS kc ON kc.code = j.kerberos_code
),
-- what an account did on a host between two failures ends a row
between_them AS (
    SELECT DISTINCT e.target_name_key AS name_key, e.host_id AS host_id, e.time AS time, e.uid AS uid
    FROM logged AS e
    JOIN told AS t ON t.target_host_id = e.host_id AND t.name_key = e.target_name_key
    WHERE e.mark = 'logon'
),
line AS (
    SELECT COALESCE(name_key, '') AS name_key, COALESCE(target_host_id, 0) AS host_id, time AS time, attempt_id AS uid,
        CONCAT(CAST(CAST(time AS DATE) AS VARCHAR), '|', COALESCE(LOWER(domain), ''), '|', COALESCE(source_address, ''),
            '|', COALESCE(LOWER(workstation), ''), '|', COALESCE(CAST(logon_type AS VARCHAR), ''), '|',
            COALESCE(process_name, ''), '|', COALESCE(reason_key, ''), '|', COALESCE(noise, ''), '|',
            CASE WHEN target_host_id IS NULL THEN COALESCE(controller, '') ELSE '' END) AS what
    FROM told
    UNION ALL
    SELECT name_key AS name_key, host_id AS host_id, time AS time, uid AS uid, CAST(NULL AS VARCHAR) AS what
    FROM between_them
),
turned AS (
    SELECT name_key AS name_key, host_id AS host_id, time AS time, uid AS uid, what AS what,
        CASE WHEN what = LAG(what) OVER (
            PARTITION BY name_key, host_id ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST) THEN 0 ELSE 1 END AS turn
    FROM line
),
runs AS (
    SELECT uid AS attempt_id, name_key AS name_key, host_id AS host_id, what AS what,
        SUM(turn) OVER (
            PARTITION BY name_key, host_id ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS run
    FROM turned
)
SELECT
    t.attempt_id AS attempt_id,
    FIRST_VALUE(t.attempt_id) OVER (
        PARTITION BY r.name_key, r.host_id, r.run ORDER BY t.time ASC NULLS LAST, t.attempt_id ASC NULLS LAST
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS failure_id,
    t.time AS time, t.target_host_id AS target_host_id, t.target_host AS target_host, t.controller AS controller,
    t.name AS name, t.domain AS domain, t.account_id AS account_id, t.source_address AS source_address,
    t.workstation AS workstation, t.logon_type AS logon_type, t.logon_process AS logon_process,
    t.process_name AS process_name, t.reason AS reason, t.reason_key AS reason_key, t.codes AS codes,
    t.layers AS layers, t.noise AS noise
FROM runs AS r
JOIN told AS t ON t.attempt_id = r.attempt_id
WHERE r.what IS NOT NULL
