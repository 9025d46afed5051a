-- One row for each name by which a record can mean just one host of the case: its full names, the first label of those
-- where no other host has the same, and what its account in the domain was called before or after.
-- Reads: host_names, account_names.

WITH short AS (
    SELECT DISTINCT host_id AS host_id,
        CASE WHEN POSITION('.' IN computer_key) > 1 AND POSITION(':' IN computer_key) = 0
            THEN SUBSTR(computer_key, 1, POSITION('.' IN computer_key) - 1) ELSE computer_key END AS name_key
    FROM host_names
),
names AS (
    SELECT computer_key AS name_key, host_id AS host_id FROM host_names
    UNION
    SELECT name_key AS name_key, host_id AS host_id FROM short
    UNION
    SELECT SUBSTR(o.name_key, 1, LENGTH(o.name_key) - 1) AS name_key, s.host_id AS host_id
    FROM short AS s
    JOIN account_names AS n ON n.name_key = CONCAT(s.name_key, '$$') AND n.sid IS NOT NULL AND n.local_host_id IS NULL
    JOIN account_names AS o ON o.account_id = n.account_id AND o.name_key LIKE '_%$$'
    -- an account may be given the name of another host: its own logs come first
    LEFT JOIN short AS t ON t.name_key = SUBSTR(o.name_key, 1, LENGTH(o.name_key) - 1)
    WHERE t.name_key IS NULL
)
SELECT name_key AS name_key, MIN(host_id) AS host_id
FROM names
GROUP BY name_key
HAVING MIN(host_id) = MAX(host_id)
