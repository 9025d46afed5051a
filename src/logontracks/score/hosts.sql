-- Hosts of the truth that wrote a log of the case: how many are one host of the table. Hosts of the table: how many are one
-- of the truth. Roles that are told.

WITH of_truth AS (SELECT p.host, COUNT(*) AS many, MIN(p.host_id) AS host_id
    FROM host_pairs AS p JOIN hosts AS h ON h.host_id = p.host_id GROUP BY p.host),
of_case AS (SELECT host_id, COUNT(*) AS many, MIN(host) AS host FROM host_pairs GROUP BY host_id)
SELECT 'hosts' AS measure, 'in the truth' AS level, 1 AS counted, (o.many = 1 AND c.many = 1)::INTEGER AS correct, t.host,
    o.many || ' in the table' AS told, t.names AS truth
FROM truth.hosts AS t
JOIN of_truth AS o ON o.host = t.host
JOIN of_case AS c ON c.host_id = o.host_id
UNION ALL BY NAME
SELECT 'hosts' AS measure, 'in the table' AS level, 1 AS counted, COALESCE(c.many = 1, FALSE)::INTEGER AS correct, h.host,
    h.names AS told, COALESCE(c.many, 0) || ' in the truth' AS truth
FROM hosts AS h
LEFT JOIN of_case AS c ON c.host_id = h.host_id
UNION ALL BY NAME
SELECT 'role' AS measure, h.role AS level, 1 AS counted,
    (h.role = CASE t.role WHEN 'controller' THEN 'domain_controller' ELSE t.role END)::INTEGER AS correct, h.host,
    h.role AS told, t.role AS truth
FROM hosts AS h
JOIN of_case AS c ON c.host_id = h.host_id AND c.many = 1
JOIN truth.hosts AS t ON t.host = c.host
WHERE h.role IS NOT NULL
