-- One row for each name that records have, with the host that wrote them wherever they lie.
-- Reads: host_logs.
-- A table of its own, since it is joined to all events: engines guess better how many rows of them are left.

SELECT computer_key AS computer_key, MIN(host_id) AS host_id
FROM host_logs
GROUP BY computer_key
