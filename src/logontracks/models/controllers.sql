-- One row for each host that is seen to act for a domain: it hands out Kerberos tickets, or checks the NTLM logon of an
-- account that is not its own (4776 with a logon of a domain account beside it).
-- Reads: logged, host_names.
-- NULL: sid_domain, the SID of its domain, where its records name accounts of none or of several.

SELECT host_id AS host_id, MAX(tickets) AS tickets,
    CASE WHEN MIN(sid_domain) = MAX(sid_domain) THEN MIN(sid_domain) END AS sid_domain
FROM (
    SELECT DISTINCT host_id AS host_id, 1 AS tickets,
        CASE WHEN mark IN ('ticket', 'preauth_failure') AND target_sid LIKE 'S-1-5-21-%'
            THEN SUBSTR(target_sid, 1, LENGTH(target_sid) - POSITION('-' IN REVERSE(target_sid))) END AS sid_domain
    FROM logged
    WHERE mark IN ('ticket', 'service_ticket', 'renewal', 'preauth_failure')
    UNION ALL
    SELECT DISTINCT v.host_id AS host_id, 0 AS tickets,
        SUBSTR(e.target_sid, 1, LENGTH(e.target_sid) - POSITION('-' IN REVERSE(e.target_sid))) AS sid_domain
    FROM logged AS v
    JOIN logged AS e ON e.host_id = v.host_id AND e.target_name_key = v.target_name_key
        AND ABS(micros(e.time) - micros(v.time)) <= $validation_s * 1000000
    LEFT JOIN host_names AS n ON n.host_id = e.host_id
        AND (n.computer_key = e.target_domain_key OR n.computer_key LIKE CONCAT(e.target_domain_key, '.%'))
    WHERE v.mark = 'validation' AND COALESCE(v.status, 0) = 0 AND e.mark = 'logon' AND e.logon_type IN (2, 3, 10)
        AND COALESCE(e.auth_package, '') <> 'Kerberos' AND e.target_sid LIKE 'S-1-5-21-%' AND n.host_id IS NULL
) AS seen
GROUP BY host_id
