-- One row for each name by which a record can mean just one host of the case: its full names, and the first label of
-- those where no other host has the same.
-- Reads: host_names.

SELECT name_key AS name_key, MIN(host_id) AS host_id
FROM (
    SELECT computer_key AS name_key, host_id AS host_id FROM host_names
    UNION
    SELECT SUBSTR(computer_key, 1, POSITION('.' IN computer_key) - 1) AS name_key, host_id AS host_id
    FROM host_names
    WHERE POSITION('.' IN computer_key) > 1 AND POSITION(':' IN computer_key) = 0
) AS names
GROUP BY name_key
HAVING MIN(host_id) = MAX(host_id)
