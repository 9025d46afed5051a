-- One row for each host of the truth and host of the case that have a name in common.
-- A short name is that of the full name that begins with it; where two hosts share a name, both are paired.

WITH meant AS (
    SELECT DISTINCT host, LOWER(name) AS name
    FROM (SELECT host, UNNEST(string_split(concat_ws(' ', host, names), ' ')) AS name FROM truth.hosts)
    WHERE name <> ''
)
SELECT DISTINCT m.host, n.host_id
FROM meant AS m
JOIN host_names AS n ON split_part(n.computer_key, '.', 1) = split_part(m.name, '.', 1)
    AND (n.computer_key = m.name OR NOT contains(n.computer_key, '.') OR NOT contains(m.name, '.'))
