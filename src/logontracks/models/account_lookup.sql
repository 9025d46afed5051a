-- One row for each name and spelling of a domain by which a record without a SID can mean just one account.
-- The spellings of a domain are those seen with its SID, and the first label of its DNS name, which is its short name
-- unless somebody chose another.
-- Reads: account_names.
-- NULL: domain_key in the row for a name that only one account of a domain has. It is '' in rows for name@domain.

WITH spellings AS (
    SELECT DISTINCT sid_domain AS sid_domain, COALESCE(local_host_id, 0) AS local_host_id, domain_key AS domain_key
    FROM account_names
    WHERE sid_domain IS NOT NULL AND domain_key IS NOT NULL
    UNION
    SELECT DISTINCT n.sid_domain AS sid_domain, COALESCE(n.local_host_id, 0) AS local_host_id, m.domain_key AS domain_key
    FROM account_names AS n
    JOIN account_names AS m ON m.sid IS NULL AND m.domain_key LIKE CONCAT(n.domain_key, '.%')
    WHERE n.sid_domain IS NOT NULL AND n.local_host_id IS NULL
),
named AS (
    SELECT DISTINCT n.account_id AS account_id, n.name_key AS name_key, n.sid_domain AS sid_domain,
        COALESCE(n.local_host_id, 0) AS local_host_id, n.domain_key AS domain_key
    FROM account_names AS n
    WHERE n.sid IS NOT NULL
),
meant AS (
    SELECT n.name_key AS name_key, s.domain_key AS domain_key, n.account_id AS account_id
    FROM named AS n
    JOIN spellings AS s ON s.sid_domain = n.sid_domain AND s.local_host_id = n.local_host_id
    UNION
    SELECT name_key AS name_key, domain_key AS domain_key, account_id AS account_id FROM account_names WHERE sid IS NULL
    UNION
    SELECT name_key AS name_key, CAST(NULL AS VARCHAR) AS domain_key, account_id AS account_id
    FROM named
    WHERE local_host_id = 0 AND sid_domain IS NOT NULL
    UNION
    SELECT CONCAT(n.name_key, '@', s.domain_key) AS name_key, '' AS domain_key, n.account_id AS account_id
    FROM named AS n
    JOIN spellings AS s ON s.sid_domain = n.sid_domain AND s.local_host_id = n.local_host_id
    WHERE n.local_host_id = 0
    UNION
    SELECT LOWER(upn) AS name_key, '' AS domain_key, account_id AS account_id
    FROM account_names
    WHERE sid IS NOT NULL AND POSITION('@' IN upn) > 0
)
SELECT name_key AS name_key, domain_key AS domain_key, MIN(account_id) AS account_id
FROM meant
GROUP BY name_key, domain_key
HAVING MIN(account_id) = MAX(account_id)
