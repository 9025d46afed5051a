-- One row for each way in which the records of a host name an account: SID, name and domain as written.
-- A rename counts no record: groups are renamed too, and who is only renamed never did anything.
-- Reads: logged.
-- sid_domain is the SID without its last number, for accounts of a domain or host; NULL for others.

SELECT
    host_id AS host_id, sid AS sid, name_key AS name_key, domain_key AS domain_key,
    CASE WHEN sid LIKE 'S-1-5-21-%' THEN SUBSTR(sid, 1, LENGTH(sid) - POSITION('-' IN REVERSE(sid))) END AS sid_domain,
    value_at_last(name, last_time) AS name, value_at_last(domain, last_time) AS domain, MIN(first_time) AS first_time,
    MAX(last_time) AS last_time, CAST(SUM(records) AS BIGINT) AS records, MAX(renamed) AS renamed, MAX(service) AS service, MAX(upn) AS upn
FROM (
    SELECT host_id AS host_id, target_sid AS sid, target_name AS name, MAX(target_name_key) AS name_key,
        target_domain AS domain, MAX(target_domain_key) AS domain_key, MIN(time) AS first_time, MAX(time) AS last_time,
        SUM(CASE WHEN mark <> 'rename' THEN 1 ELSE 0 END) AS records,
        MAX(CASE WHEN mark = 'rename' THEN 1 ELSE 0 END) AS renamed,
        MAX(CASE WHEN mark = 'logon' AND logon_type IN (4, 5) THEN 1 ELSE 0 END) AS service,
        MAX(user_principal_name) AS upn
    FROM logged
    WHERE target_name IS NOT NULL AND mark IS NOT NULL
        AND (target_sid IS NOT NULL OR mark IN ('logon', 'reconnect', 'disconnect')
            OR (mark IN ('service_ticket', 'renewal') AND COALESCE(status, 0) = 0))
    GROUP BY host_id, target_sid, target_name, target_domain
    UNION ALL
    SELECT host_id AS host_id, subject_sid AS sid, subject_name AS name, MAX(subject_name_key) AS name_key,
        subject_domain AS domain, MAX(subject_domain_key) AS domain_key, MIN(time) AS first_time,
        MAX(time) AS last_time, COUNT(*) AS records, 0 AS renamed, 0 AS service, CAST(NULL AS VARCHAR) AS upn
    FROM logged
    WHERE subject_name IS NOT NULL AND subject_sid IS NOT NULL
    GROUP BY host_id, subject_sid, subject_name, subject_domain
    UNION ALL
    SELECT host_id AS host_id, target_sid AS sid, old_name AS name, LOWER(old_name) AS name_key,
        target_domain AS domain, MAX(target_domain_key) AS domain_key, MIN(time) AS first_time, MIN(time) AS last_time,
        0 AS records, 1 AS renamed, 0 AS service, CAST(NULL AS VARCHAR) AS upn
    FROM logged
    WHERE mark = 'rename' AND old_name IS NOT NULL AND target_sid IS NOT NULL
    GROUP BY host_id, target_sid, old_name, target_domain
) AS seen
WHERE COALESCE(sid, '') NOT LIKE 'S-1-5-32-%'
GROUP BY host_id, sid, name_key, domain_key
