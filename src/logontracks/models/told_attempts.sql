-- One row for each failed attempt to log on, as the records of all its layers tell it together.
-- who is what repeats are looked for by: the account, or the name where there is none; noise stands apart. told_by is the
-- host that was to be logged on to, else the controller.
-- Reads: attempts, logged, authentications, account_lookup, account_names, status_codes.
-- NULL: what no record says.

WITH parts AS (
    SELECT attempt_id AS attempt_id, MIN(reason) AS reason,
        MIN(CASE WHEN layer = 'host' THEN uid END) AS host_uid,
        MIN(CASE WHEN layer = 'kerberos' AND place = 1 THEN uid END) AS kerberos_uid,
        MIN(CASE WHEN layer = 'ntlm' AND place = 1 THEN uid END) AS ntlm_uid,
        MIN(CASE WHEN layer = 'ntlm_audit' AND place = 1 THEN uid END) AS audit_uid
    FROM attempts
    GROUP BY attempt_id
),
failed AS (
    SELECT uid AS uid, event_id AS event_id, host_id AS host_id, host AS host, time AS time, target_sid AS target_sid,
        target_name AS target_name, target_name_key AS target_name_key, target_domain AS target_domain,
        target_domain_key AS target_domain_key, source_address AS source_address, workstation AS workstation,
        workstation_key AS workstation_key, logon_type AS logon_type, logon_process AS logon_process,
        process_name AS process_name, status AS status, sub_status AS sub_status
    FROM logged
    WHERE uid IN (SELECT uid FROM attempts)
),
joined AS (
    SELECT p.attempt_id AS attempt_id, p.host_uid AS host_uid, p.kerberos_uid AS kerberos_uid,
        COALESCE(p.ntlm_uid, p.audit_uid) AS ntlm_uid, p.reason AS reason,
        -- by the clock of the host, where that of the controller differs
        CASE WHEN ABS(micros(h.time) - micros(COALESCE(k.time, n.time))) > $attempt_us THEN h.time
            ELSE LEAST(COALESCE(h.time, k.time, n.time), COALESCE(k.time, n.time, h.time),
                COALESCE(n.time, k.time, h.time)) END AS time,
        h.host_id AS target_host_id, h.host AS target_host,
        CASE WHEN n.time < k.time THEN n.controller ELSE COALESCE(k.controller, n.controller) END AS controller,
        CASE WHEN n.time < k.time THEN n.host_id ELSE COALESCE(k.host_id, n.host_id) END AS controller_id,
        COALESCE(h.target_name, k.name, n.name) AS name,
        COALESCE(h.target_name_key, kl.target_name_key, nl.target_name_key) AS full_key,
        COALESCE(h.target_domain, k.domain, n.domain) AS domain,
        COALESCE(h.target_domain_key, kl.target_domain_key, nl.target_domain_key) AS domain_key,
        COALESCE(hn.account_id, hl.account_id, k.account_id, n.account_id) AS account_id,
        COALESCE(NULLIF(h.source_address, '0.0.0.0'), k.client_address, n.client_address) AS source_address,
        COALESCE(h.workstation, n.workstation) AS workstation,
        COALESCE(h.workstation_key, nl.workstation_key) AS workstation_key, h.logon_type AS logon_type,
        h.logon_process AS logon_process, h.process_name AS process_name,
        CASE WHEN COALESCE(h.sub_status, 0) <> 0 THEN h.sub_status ELSE h.status END AS host_code,
        h.event_id AS host_event, h.status AS host_status, h.sub_status AS host_sub_status,
        k.status AS kerberos_code, k.event_id AS kerberos_event, k.result AS kerberos_result,
        n.status AS ntlm_code, n.event_id AS ntlm_event, k.delegation AS delegation
    FROM parts AS p
    LEFT JOIN failed AS h ON h.uid = p.host_uid
    LEFT JOIN authentications AS k ON k.authentication_id = p.kerberos_uid
    LEFT JOIN failed AS kl ON kl.uid = p.kerberos_uid
    LEFT JOIN authentications AS n ON n.authentication_id = COALESCE(p.ntlm_uid, p.audit_uid)
    LEFT JOIN failed AS nl ON nl.uid = COALESCE(p.ntlm_uid, p.audit_uid)
    LEFT JOIN account_names AS hn ON hn.host_id = h.host_id AND hn.sid_written = h.target_sid
        AND hn.name_key = h.target_name_key AND COALESCE(hn.domain_key, '') = COALESCE(h.target_domain_key, '')
    LEFT JOIN account_lookup AS hl ON h.target_sid IS NULL AND hl.name_key = h.target_name_key
        AND hl.domain_key = COALESCE(h.target_domain_key, '')
),
-- a UAC prompt tries the cached password first: its failure is followed by that of the one that was typed
prompts AS (
    SELECT DISTINCT j.attempt_id AS attempt_id, 1 AS cached
    FROM joined AS j
    JOIN joined AS o ON o.target_host_id = j.target_host_id AND o.full_key = j.full_key
        AND o.process_name = j.process_name AND o.logon_type = 2
    WHERE j.logon_type = 11 AND RIGHT(j.process_name, 12) = CONCAT($backslash, 'consent.exe') AND o.time >= j.time
        AND micros(o.time) - micros(j.time) <= $uac_prompt_s * 1000000
),
told AS (
    SELECT j.attempt_id AS attempt_id, j.time AS time, j.target_host_id AS target_host_id, j.target_host AS target_host,
        j.controller AS controller, COALESCE(j.target_host_id, j.controller_id) AS told_by, j.name AS name,
        CASE WHEN POSITION('@' IN j.full_key) > 1 THEN SUBSTR(j.full_key, 1, POSITION('@' IN j.full_key) - 1)
            ELSE j.full_key END AS name_key,
        j.domain AS domain, j.domain_key AS domain_key, j.workstation_key AS workstation_key,
        j.account_id AS account_id, j.source_address AS source_address, j.workstation AS workstation,
        j.logon_type AS logon_type, j.logon_process AS logon_process, j.process_name AS process_name,
        -- the host tells best, unless it only tells that some reason was there, and another layer tells which
        COALESCE(CASE WHEN hc.reason = COALESCE(j.reason, hc.reason) THEN hc.meaning
                WHEN j.ntlm_uid IS NOT NULL AND nc.reason = j.reason THEN nc.meaning ELSE j.kerberos_result END,
            hc.meaning, CASE WHEN j.host_code IS NOT NULL THEN CONCAT('code ', told_code(j.host_code)) END,
            nc.meaning, CASE WHEN j.ntlm_code IS NOT NULL THEN CONCAT('code ', told_code(j.ntlm_code)) END,
            j.kerberos_result) AS reason,
        COALESCE(j.reason, hc.reason, told_code(j.host_code), nc.reason, told_code(j.ntlm_code),
            CONCAT('kerberos_', told_code(j.kerberos_code))) AS reason_key,
        TRIM(CONCAT(
            CASE WHEN j.host_uid IS NOT NULL
                THEN CONCAT(CAST(j.host_event AS VARCHAR), ' ', told_code(COALESCE(j.host_status, 0)),
                CASE WHEN COALESCE(j.host_sub_status, 0) <> 0 THEN CONCAT('/', told_code(j.host_sub_status)) ELSE '' END,
                ' ') ELSE '' END,
            CASE WHEN j.kerberos_uid IS NOT NULL
                THEN CONCAT(CAST(j.kerberos_event AS VARCHAR), ' ', told_code(COALESCE(j.kerberos_code, 0)), ' ')
                ELSE '' END,
            CASE WHEN j.ntlm_uid IS NOT NULL
                THEN CONCAT(CAST(j.ntlm_event AS VARCHAR), ' ', told_code(COALESCE(j.ntlm_code, 0))) ELSE '' END
            )) AS codes,
        TRIM(CONCAT(CASE WHEN j.host_uid IS NOT NULL THEN 'host ' ELSE '' END,
            CASE WHEN j.kerberos_uid IS NOT NULL THEN 'kerberos ' ELSE '' END,
            CASE WHEN j.ntlm_uid IS NOT NULL THEN 'ntlm' ELSE '' END)) AS layers,
        CASE
            WHEN j.host_code = 3221225739 THEN 'a UAC prompt tries the cached password'
            WHEN u.cached = 1 THEN 'a UAC prompt tries the cached password'
            WHEN RIGHT(j.process_name, 11) = CONCAT($backslash, 'chrome.exe') AND j.logon_type = 2
                THEN 'a browser tests for an empty password'
            WHEN j.name IS NULL THEN 'the record names no account'
            WHEN j.name LIKE '%$$' THEN 'a computer account'
            WHEN j.host_uid IS NULL AND j.ntlm_uid IS NULL AND (j.kerberos_code = 27
                OR (j.kerberos_code = 36 AND j.delegation = 'user_to_user')) THEN 'a ticket asked for in the wrong way'
            WHEN j.host_uid IS NULL AND j.ntlm_uid IS NULL AND j.kerberos_event IN (673, 677, 4769)
                AND j.kerberos_code = 7 THEN 'a ticket for a service that is not known'
            WHEN j.host_uid IS NULL AND j.ntlm_uid IS NULL AND j.kerberos_code IN (25, 32, 37, 52, 68)
                THEN 'says nothing about the password'
            -- a right that is missing shows that the password was right
            WHEN COALESCE(hc.noise, nc.noise) = 'yes' AND COALESCE(hc.reason, nc.reason) <> 'logon_type_not_granted'
                THEN 'says nothing about the password'
            END AS noise
    FROM joined AS j
    LEFT JOIN prompts AS u ON u.attempt_id = j.attempt_id
    LEFT JOIN status_codes AS hc ON hc.code = j.host_code
    LEFT JOIN status_codes AS nc ON nc.code = j.ntlm_code
)
SELECT
    t.attempt_id AS attempt_id, t.time AS time, t.target_host_id AS target_host_id, t.target_host AS target_host,
    t.controller AS controller, t.told_by AS told_by, t.name AS name, t.name_key AS name_key, t.domain AS domain,
    t.domain_key AS domain_key, t.workstation_key AS workstation_key,
    t.account_id AS account_id, t.source_address AS source_address, t.workstation AS workstation,
    t.logon_type AS logon_type, t.logon_process AS logon_process, t.process_name AS process_name,
    t.reason AS reason, t.reason_key AS reason_key, t.codes AS codes, t.layers AS layers, t.noise AS noise,
    CONCAT(
        COALESCE(CAST(t.account_id AS VARCHAR), CONCAT(COALESCE(t.domain_key, ''), '|', COALESCE(t.name_key, ''))),
        CASE WHEN t.noise IS NULL THEN '' ELSE '|noise' END) AS who
FROM told AS t
