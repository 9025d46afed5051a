-- One row for each logon at a desktop, of a service or of a task, and each ticket for tickets that its account got at that
-- moment, wherever that came from.
-- Reads: session_sources, authentications, skews.
-- apart_us: from the ticket to the logon, difference of clocks taken out.

WITH came AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.account_id AS account_id, s.start_time AS start_time,
        micros(s.start_time) - COALESCE(k.skew_us, 0) AS us
    FROM session_sources AS s
    LEFT JOIN skews AS k ON k.host_id = s.host_id AND k.day = CAST(s.start_time AS DATE)
    WHERE s.logon_type IN (2, 4, 5, 7, 10)
),
sliced AS (
    SELECT c.session_id AS session_id, c.host_id AS host_id, c.account_id AS account_id, c.start_time AS start_time,
        c.us AS us, FLOOR(c.us / $desk_ticket_us) + n.step AS slice
    FROM came AS c
    CROSS JOIN $slices_around AS n
),
asked AS (
    SELECT a.authentication_id AS authentication_id, a.account_id AS account_id, a.client_address AS client_address,
        micros(a.time) - COALESCE(k.skew_us, 0) AS us
    FROM authentications AS a
    LEFT JOIN skews AS k ON k.host_id = a.host_id AND k.day = CAST(a.time AS DATE)
    WHERE a.step = 'ticket_granting' AND COALESCE(a.success, TRUE) AND a.client_address IS NOT NULL
),
-- of those within a tenth of a second the first: which of them it was, nothing tells
granted AS (
    SELECT authentication_id AS authentication_id, account_id AS account_id, client_address AS client_address,
        us AS us, FLOOR(us / $desk_ticket_us) AS slice,
        ROW_NUMBER() OVER (PARTITION BY account_id, client_address, FLOOR(us / 100000)
            ORDER BY us ASC NULLS LAST, authentication_id ASC NULLS LAST) AS place
    FROM asked
)
SELECT s.session_id AS session_id, s.host_id AS host_id, s.start_time AS start_time, s.us AS us,
    g.authentication_id AS authentication_id, g.client_address AS client_address, s.us - g.us AS apart_us
FROM sliced AS s
JOIN granted AS g ON g.place = 1 AND g.account_id = s.account_id AND g.slice = s.slice
    AND g.us - s.us BETWEEN -$desk_ticket_us AND $desk_ticket_us
