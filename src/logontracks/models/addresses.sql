-- One row for each stretch of time in which an address belonged to one machine.
-- Reads: sightings, host_names.
-- A stretch is a run of records that show the same machine at the address, with no other machine between them and no
-- silence longer than a lease. A machine that is seen at another address before or after moved between the two sightings;
-- it asks for new tickets wherever it is, so it was here no longer than the life of a ticket before or behind them. What a
-- client claims of itself counts only where no computer account is seen at the address within a lease, and not where a
-- given list has another machine. Machines that take turns at an address within
-- the hour share it (NAT, a proxy): a conflict, which is told and resolves nothing. So is a computer account that is seen
-- where the list has another machine.
-- NULL: host_id of a machine whose logs are not in the case, first_uid and last_uid of what only the list tells.
--
-- Columns:
--   address_id BIGINT: Identity, from the first record of the stretch
--   address VARCHAR: IP address
--   host_id BIGINT: Host, where the case has logs of it
--   host VARCHAR: Name of the machine
--   first_time TIMESTAMP: First record that shows it there, or first moment of a day that the list has it there
--   last_time TIMESTAMP: Last one
--   held_from TIMESTAMP: When it may have had the address at the earliest
--   held_until TIMESTAMP: When it may have had it at the latest: until another machine is seen there, at most a lease;
--     the life of a ticket where it is seen elsewhere next
--   sightings BIGINT: Records that show it there
--   told_by VARCHAR: What tells it: given (the list of --addresses), ticket (its account asked a controller),
--     computer_logon (its account logged on elsewhere), client_name, terminal_client (a name that the client claims)
--   conflict BOOLEAN: Whether other machines are seen at the address in turns with it
--   first_uid BIGINT: First record
--   last_uid BIGINT: Last record

WITH around AS (
    SELECT address AS address, time AS time, uid AS uid, told_by AS told_by, rank AS rank,
        machine AS machine, machine_key AS machine_key,
        host_id AS host_id, disputed AS disputed,
        MAX(CASE WHEN rank = 1 AND told_by <> 'given' THEN time END) OVER (PARTITION BY address
            ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST, machine ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS sure_before,
        MIN(CASE WHEN rank = 1 AND told_by <> 'given' THEN time END) OVER (PARTITION BY address
            ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST, machine ASC NULLS LAST
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS sure_after
    FROM sightings
),
counting AS (
    SELECT address AS address, time AS time, uid AS uid, told_by AS told_by, machine AS machine, machine_key AS machine_key,
        host_id AS host_id, disputed AS disputed
    FROM around
    WHERE rank = 1 OR (disputed = 0 AND NOT (COALESCE(micros(time) - micros(sure_before) <= $lease_us, FALSE)
        OR COALESCE(micros(sure_after) - micros(time) <= $lease_us, FALSE)))
),
turns AS (
    SELECT address AS address, time AS time, uid AS uid, told_by AS told_by, machine AS machine, machine_key AS machine_key,
        host_id AS host_id, disputed AS disputed,
        CASE WHEN LAG(machine) OVER w = machine
            AND micros(time) - micros(LAG(time) OVER w) <= $lease_us THEN 0 ELSE 1 END AS begins,
        -- whether the machine was last, and is next, seen elsewhere; it may have an address of each family
        CASE WHEN LAG(address) OVER m <> address THEN 0 ELSE 1 END AS stayed,
        CASE WHEN LEAD(address) OVER m <> address THEN 1 ELSE 0 END AS leaves
    FROM counting
    WINDOW w AS (PARTITION BY address ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST,
            machine ASC NULLS LAST),
        m AS (PARTITION BY machine, CASE WHEN address LIKE '%:%' THEN 6 ELSE 4 END
            ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST, address ASC NULLS LAST)
),
numbered AS (
    SELECT address AS address, time AS time, uid AS uid, told_by AS told_by, machine AS machine, machine_key AS machine_key,
        host_id AS host_id, disputed AS disputed, stayed AS stayed, leaves AS leaves,
        SUM(begins) OVER (PARTITION BY address
            ORDER BY time ASC NULLS LAST, uid ASC NULLS LAST, machine ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS stretch
    FROM turns
),
stretches AS (
    SELECT address AS address, stretch AS stretch, machine AS machine,
        greatest_at_last(machine_key, time) AS machine_key, MIN(host_id) AS host_id,
        MIN(time) AS first_time, MAX(time) AS last_time, COUNT(uid) AS sightings, MAX(disputed) AS disputed,
        least_at_first(stayed, time) AS stayed, greatest_at_last(leaves, time) AS leaves,
        MAX(CASE WHEN told_by = 'given' THEN 1 ELSE 0 END) AS given,
        MAX(CASE WHEN told_by = 'ticket' THEN 1 ELSE 0 END) AS ticket,
        MAX(CASE WHEN told_by = 'computer_logon' THEN 1 ELSE 0 END) AS computer_logon,
        MAX(CASE WHEN told_by = 'client_name' THEN 1 ELSE 0 END) AS client_name,
        MAX(CASE WHEN told_by = 'terminal_client' THEN 1 ELSE 0 END) AS terminal_client,
        least_at_first(uid, time) AS first_uid, greatest_at_last(uid, time) AS last_uid
    FROM numbered
    GROUP BY address, stretch, machine
),
beside AS (
    SELECT s.*, LAG(machine) OVER w AS machine_before, LAG(last_time) OVER w AS before_until,
        LEAD(machine) OVER w AS machine_after, LEAD(first_time) OVER w AS after_from,
        -- where a list has the address free, nothing goes on
        SUM(CASE WHEN machine = '' THEN 1 ELSE 0 END) OVER (PARTITION BY address ORDER BY stretch ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS part
    FROM stretches AS s
    WINDOW w AS (PARTITION BY address ORDER BY stretch ASC NULLS LAST)
),
coming_back AS (
    SELECT b.*, CASE WHEN micros(LEAD(first_time) OVER w) - micros(last_time) <= $shared_address_us
        THEN LEAD(stretch) OVER w END AS back_at
    FROM beside AS b
    WINDOW w AS (PARTITION BY address, part, machine ORDER BY stretch ASC NULLS LAST)
),
judged AS (
    SELECT c.*,
        disputed = 1
        -- it is back within the hour, or one before it is back within the hour behind it, however many take turns
        OR COALESCE(MAX(back_at) OVER (PARTITION BY address, part ORDER BY stretch ASC NULLS LAST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) >= stretch, FALSE)
        OR COALESCE(machine_before <> machine AND machine_before <> '' AND before_until = first_time, FALSE)
        OR COALESCE(machine_after <> machine AND machine_after <> '' AND after_from = last_time, FALSE) AS conflict,
        -- a machine that comes anew asks for a ticket at once; before the first one of all it may have been there, and
        -- after another one when the lease of that is over
        CASE WHEN before_until IS NULL THEN first_time - INTERVAL '$lease_s' SECOND
            WHEN micros(first_time) - micros(before_until) > $lease_us
            THEN GREATEST(before_until + INTERVAL '$lease_s' SECOND, first_time - INTERVAL '$lease_s' SECOND)
            -- the last record of the one before is its own
            ELSE LEAST(first_time, GREATEST(before_until + INTERVAL '1' MICROSECOND,
                first_time - INTERVAL '$come_anew_s' SECOND)) END AS held_from,
        CASE WHEN after_from IS NULL OR micros(after_from) - micros(last_time) > $lease_us + $come_anew_us
            THEN last_time + INTERVAL '$lease_s' SECOND
            ELSE GREATEST(last_time, after_from - INTERVAL '$come_anew_s' SECOND) END AS held_until
    FROM coming_back AS c
    WHERE machine <> ''
)
SELECT text_id(CONCAT('address ', CASE WHEN j.first_uid IS NOT NULL THEN CAST(j.first_uid AS VARCHAR)
        ELSE CONCAT(j.address, ' ', j.machine, ' ', CAST(micros(j.first_time) AS VARCHAR)) END)) AS address_id,
    j.address AS address, j.host_id AS host_id, COALESCE(n.host, j.machine_key) AS host,
    j.first_time AS first_time, j.last_time AS last_time,
    CASE WHEN j.stayed = 0 THEN GREATEST(j.held_from, j.first_time - INTERVAL '$ticket_life_s' SECOND)
        ELSE j.held_from END AS held_from,
    CASE WHEN j.leaves = 1 THEN LEAST(j.held_until, j.last_time + INTERVAL '$ticket_life_s' SECOND)
        ELSE j.held_until END AS held_until,
    j.sightings AS sightings,
    TRIM(CONCAT(CASE WHEN j.given = 1 THEN 'given ' ELSE '' END, CASE WHEN j.ticket = 1 THEN 'ticket ' ELSE '' END,
        CASE WHEN j.computer_logon = 1 THEN 'computer_logon ' ELSE '' END,
        CASE WHEN j.client_name = 1 THEN 'client_name ' ELSE '' END,
        CASE WHEN j.terminal_client = 1 THEN 'terminal_client ' ELSE '' END)) AS told_by,
    j.conflict AS conflict, j.first_uid AS first_uid, j.last_uid AS last_uid
FROM judged AS j
LEFT JOIN (SELECT DISTINCT host_id AS host_id, host AS host FROM host_names) AS n ON n.host_id = j.host_id
