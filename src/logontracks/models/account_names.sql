-- One row for each way in which the records of a host name an account, with the account that is meant.
-- An account of a domain is its SID. An account of a host is its SID and the host, as clones share SIDs: the domain of
-- such a SID is the name of a host that logs it. Without a SID the one account of that name and domain is meant, where
-- there is just one; else name and domain are an account of their own.
-- Reads: account_uses, host_names.
-- NULL: what records do not say; local_host_id for accounts that are not of one host.
--
-- Columns:
--   account_id BIGINT: The account
--   host_id BIGINT: Host whose records name it so
--   sid VARCHAR: SID of the account
--   sid_written VARCHAR: SID in those records
--   name VARCHAR: Name in those records
--   name_key VARCHAR: Name in lower case
--   domain VARCHAR: Domain or host in those records
--   domain_key VARCHAR: Domain in lower case
--   sid_domain VARCHAR: SID of the domain or host of the account
--   local_host_id BIGINT: Host that the account is of; NULL for those of a domain and those that Windows brings
--   first_time TIMESTAMP: First record that names it so
--   last_time TIMESTAMP: Last one
--   records BIGINT: How many do
--   renamed BIGINT: 1 where a record of a rename (4781) tells it
--   service BIGINT: 1 where it logged on as a service or batch job
--   upn VARCHAR: User principal name in those records

WITH local_domains AS (
    SELECT DISTINCT u.host_id AS host_id, u.sid_domain AS sid_domain
    FROM account_uses AS u
    JOIN host_names AS n ON n.host_id = u.host_id
    WHERE u.sid_domain IS NOT NULL
        AND (u.domain_key = n.computer_key OR n.computer_key LIKE CONCAT(u.domain_key, '.%')
            OR u.domain_key LIKE CONCAT(n.computer_key, '.%'))
),
-- the domain of a controller may bear the name of no host, and is seen on several
keyed AS (
    SELECT u.host_id AS host_id, u.sid AS sid, u.name AS name, u.name_key AS name_key, u.domain AS domain,
        u.domain_key AS domain_key, u.sid_domain AS sid_domain, u.first_time AS first_time, u.last_time AS last_time,
        u.records AS records, u.renamed AS renamed, u.service AS service, u.upn AS upn,
        CASE WHEN l.host_id IS NOT NULL THEN u.host_id END AS local_host_id,
        -- SYSTEM under the name of a computer is that computer
        CASE WHEN u.sid IS NULL OR (u.sid IN ('S-1-5-18', 'S-1-5-19', 'S-1-5-20') AND u.name_key LIKE '%$$')
            THEN 1 ELSE 0 END AS by_name
    FROM account_uses AS u
    LEFT JOIN local_domains AS l ON l.host_id = u.host_id AND l.sid_domain = u.sid_domain
),
aliases AS (
    SELECT DISTINCT sid_domain AS sid_domain, domain_key AS domain_key, local_host_id AS local_host_id
    FROM keyed
    WHERE sid_domain IS NOT NULL AND domain_key IS NOT NULL
),
known AS (
    SELECT k.name_key AS name_key, a.domain_key AS domain_key, MIN(k.sid) AS sid, MAX(k.sid) AS other_sid,
        MIN(COALESCE(k.local_host_id, 0)) AS local_host_id, MAX(COALESCE(k.local_host_id, 0)) AS other_host_id,
        MIN(k.sid_domain) AS sid_domain
    FROM keyed AS k
    JOIN aliases AS a ON a.sid_domain = k.sid_domain
        AND COALESCE(a.local_host_id, 0) = COALESCE(k.local_host_id, 0)
    WHERE k.by_name = 0
    GROUP BY k.name_key, a.domain_key
),
named AS (
    SELECT u.host_id AS host_id, u.sid AS sid, u.name AS name, u.name_key AS name_key, u.domain AS domain,
        u.domain_key AS domain_key, COALESCE(u.sid_domain, n.sid_domain) AS sid_domain, u.first_time AS first_time,
        u.last_time AS last_time, u.records AS records, u.renamed AS renamed, u.service AS service, u.upn AS upn,
        COALESCE(u.local_host_id, NULLIF(n.local_host_id, 0)) AS local_host_id,
        CASE WHEN u.by_name = 1 THEN n.sid ELSE u.sid END AS account_sid
    FROM keyed AS u
    LEFT JOIN known AS n ON u.by_name = 1 AND n.name_key = u.name_key AND n.domain_key = u.domain_key
        AND n.sid = n.other_sid AND n.local_host_id = n.other_host_id
)
SELECT
    text_id(CASE
        WHEN account_sid IS NULL THEN CONCAT('name ', COALESCE(domain_key, ''), '|', name_key)
        WHEN local_host_id IS NULL THEN account_sid
        ELSE CONCAT(account_sid, '|', CAST(local_host_id AS VARCHAR)) END) AS account_id,
    host_id AS host_id, account_sid AS sid, sid AS sid_written, name AS name, name_key AS name_key, domain AS domain,
    domain_key AS domain_key, sid_domain AS sid_domain, local_host_id AS local_host_id, first_time AS first_time,
    last_time AS last_time, records AS records, renamed AS renamed, service AS service, upn AS upn
FROM named
