-- One row for each account: a person, a computer or one of those that Windows brings.
-- Reads: account_names.
-- NULL: what no record tells.
--
-- Columns:
--   account_id BIGINT: Identity of the account, from its SID (and host, when it is of one host)
--   account VARCHAR: DOMAIN\name as told to people: the short form of the domain, the name
--   sid VARCHAR: SID
--   domain VARCHAR: Domain, or the host the account is of; its short form where records have one
--   name VARCHAR: Name: the last one of an account that was renamed, else the commonest
--   upn VARCHAR: User principal name
--   kind VARCHAR: person, computer, system, anonymous, virtual (services and application pools), window_manager
--   names INTEGER: How many names it had; the table account_names has them
--   service_use BOOLEAN: Whether it logged on as a service or batch job
--   local_host_id BIGINT: Host that it is of
--   first_seen TIMESTAMP: First record that names it
--   last_seen TIMESTAMP: Last one

WITH domains AS (
    SELECT sid_domain AS sid_domain, local_host_id AS local_host_id, domain AS domain,
        ROW_NUMBER() OVER (
            PARTITION BY sid_domain, local_host_id
            ORDER BY CASE WHEN POSITION('.' IN domain) > 0 THEN 1 ELSE 0 END ASC NULLS LAST, last_time DESC NULLS LAST,
                domain ASC NULLS LAST
        ) AS place
    FROM (
        SELECT sid_domain AS sid_domain, COALESCE(local_host_id, 0) AS local_host_id, domain AS domain,
            MAX(last_time) AS last_time
        FROM account_names
        WHERE sid_domain IS NOT NULL AND domain IS NOT NULL
        GROUP BY sid_domain, COALESCE(local_host_id, 0), domain
    ) AS spellings
),
-- an account that was renamed has its last name; of one that was not, the commonest: a forged ticket may bear any
calls AS (
    SELECT account_id AS account_id, name_key AS name_key, value_at_last(name, last_time) AS name,
        CAST(SUM(records) AS BIGINT) AS records, MAX(last_time) AS last_time
    FROM account_names
    GROUP BY account_id, name_key
),
renames AS (
    SELECT account_id AS account_id, MAX(renamed) AS renamed FROM account_names GROUP BY account_id
),
called AS (
    SELECT c.account_id AS account_id, c.name AS name,
        ROW_NUMBER() OVER (
            PARTITION BY c.account_id
            ORDER BY CASE WHEN r.renamed = 1 THEN micros(c.last_time) ELSE c.records END DESC NULLS LAST,
                c.last_time DESC NULLS LAST, c.name ASC NULLS LAST
        ) AS place
    FROM calls AS c
    JOIN renames AS r ON r.account_id = c.account_id
),
told AS (
    SELECT account_id AS account_id, MAX(sid) AS sid, MAX(sid_domain) AS sid_domain,
        MAX(local_host_id) AS local_host_id, value_at_last(domain, last_time) AS domain,
        MAX(upn) AS upn, COUNT(DISTINCT name_key) AS names,
        MAX(service) AS service, MIN(first_time) AS first_seen, MAX(last_time) AS last_seen
    FROM account_names
    GROUP BY account_id
    HAVING SUM(records) > 0
)
SELECT
    t.account_id AS account_id,
    CASE WHEN COALESCE(d.domain, t.domain) IS NULL THEN c.name
        ELSE CONCAT(COALESCE(d.domain, t.domain), '\', c.name) END AS account,
    t.sid AS sid, COALESCE(d.domain, t.domain) AS domain, c.name AS name, t.upn AS upn,
    CASE
        WHEN t.sid IN ('S-1-5-18', 'S-1-5-19', 'S-1-5-20') THEN 'system'
        WHEN t.sid IN ('S-1-5-7', 'S-1-5-17') THEN 'anonymous'
        WHEN t.sid LIKE 'S-1-5-90-%' OR t.sid LIKE 'S-1-5-96-%' THEN 'window_manager'
        WHEN t.sid LIKE 'S-1-5-8_-%' THEN 'virtual'
        WHEN c.name LIKE '%$$' THEN 'computer'
        ELSE 'person' END AS kind,
    CAST(t.names AS INTEGER) AS names, t.service = 1 AS service_use, t.local_host_id AS local_host_id,
    t.first_seen AS first_seen, t.last_seen AS last_seen
FROM told AS t
JOIN called AS c ON c.account_id = t.account_id AND c.place = 1
LEFT JOIN domains AS d ON d.place = 1 AND d.sid_domain = t.sid_domain
    AND d.local_host_id = COALESCE(t.local_host_id, 0)
