-- One row for each NTLM logon beside which its own host checked the password (4776), and each such check.
-- Reads: logged.
-- Both are logged within moments. Slices of that length are joined first: an account may log on a million times.

WITH checks AS (
    SELECT uid AS uid, host_id AS host_id, target_name_key AS name_key, time AS time,
        FLOOR(micros(time) / $validation_us) + n.step AS slice
    FROM logged
    CROSS JOIN $slices_around AS n
    WHERE mark = 'validation' AND COALESCE(status, 0) = 0 AND target_name_key IS NOT NULL
),
logons AS (
    SELECT host_id AS host_id, target_name_key AS name_key, time AS time, FLOOR(micros(time) / $validation_us) AS slice,
        target_sid AS sid, target_domain_key AS domain_key, logon_type AS logon_type
    FROM logged
    WHERE mark = 'logon' AND COALESCE(auth_package, '') <> 'Kerberos'
)
SELECT c.uid AS uid, c.host_id AS host_id, c.name_key AS name_key, e.sid AS sid, e.domain_key AS domain_key,
    e.logon_type AS logon_type
FROM checks AS c
JOIN logons AS e ON e.host_id = c.host_id AND e.name_key = c.name_key AND e.slice = c.slice
    AND ABS(micros(e.time) - micros(c.time)) <= $validation_us
