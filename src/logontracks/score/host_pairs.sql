-- One row for each host of the truth and host of the case that have a name in common.
-- A short name is that of the full name that begins with it; where two hosts share a name, both are paired. Only the name
-- of an image, which several hosts of the truth began under, pairs no host that has another one.

WITH meant AS (
    SELECT DISTINCT host, LOWER(name) AS name
    FROM (SELECT host, UNNEST(string_split(concat_ws(' ', host, names), ' ')) AS name FROM truth.hosts)
    WHERE name <> ''
),
images AS (
    SELECT name FROM meant GROUP BY name HAVING COUNT(DISTINCT host) > 1
)
SELECT DISTINCT m.host, n.host_id
FROM meant AS m
JOIN host_names AS n ON split_part(n.computer_key, '.', 1) = split_part(m.name, '.', 1)
    AND (n.computer_key = m.name OR NOT contains(n.computer_key, '.') OR NOT contains(m.name, '.'))
LEFT JOIN images AS i ON i.name = m.name
WHERE i.name IS NULL OR n.host_key = n.computer_key
