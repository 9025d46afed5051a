-- One row for each host that is seen to act for a domain: it hands out Kerberos tickets, or checks the NTLM logon of an
-- account that is not its own (4776 with a logon of a domain account beside it).
-- Reads: logged, checked_logons, host_names.
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
    SELECT DISTINCT c.host_id AS host_id, 0 AS tickets,
        SUBSTR(c.sid, 1, LENGTH(c.sid) - POSITION('-' IN REVERSE(c.sid))) AS sid_domain
    FROM checked_logons AS c
    LEFT JOIN host_names AS n ON n.host_id = c.host_id
        AND (n.computer_key = c.domain_key OR n.computer_key LIKE CONCAT(c.domain_key, '.%'))
    WHERE c.logon_type IN (2, 3, 10) AND c.sid LIKE 'S-1-5-21-%' AND n.host_id IS NULL
) AS seen
GROUP BY host_id
