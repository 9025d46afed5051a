-- One row for each authentication of the case that is one of the truth: the same controller, name, kind and service at the
-- same moment by the clock of the controller. Several records can tell one, and one can be either of twins.

SELECT m.authentication, a.authentication_id
FROM (
    SELECT t.authentication, p.host_id, bare(t.account) AS name, t.kind, t.service, clock(t.controller, t.time) AS time
    FROM truth.authentications AS t
    JOIN host_pairs AS p ON p.host = t.controller
) AS m
JOIN authentications AS a ON a.host_id = m.host_id AND bare(a.name) = m.name
    AND CASE a.step WHEN 'ticket_granting' THEN 'ticket' WHEN 'service' THEN 'service_ticket' ELSE a.step END = m.kind
    AND (m.service IS NULL OR LOWER(a.service_name) = LOWER(m.service))
    AND ABS(seconds(a.time, m.time)) <= $record_s
QUALIFY RANK() OVER (PARTITION BY a.authentication_id ORDER BY ABS(seconds(a.time, m.time))) = 1
