-- One row for each host that wrote a log, under all its names.
-- Reads: host_names, host_counts, logged, boots, sessions, windows_builds, controllers, event_kinds, events.
-- NULL: role where nothing tells it.
--
-- Columns:
--   host_id BIGINT: Identity of the host, from the first of its names
--   host VARCHAR: Its name; after a rename the last one
--   names VARCHAR: All its names in the order of use, separated by blanks
--   role VARCHAR: domain_controller, server, workstation
--   role_by VARCHAR: What tells the role: Kerberos tickets it hands out, kinds of records that only such a host writes,
--     groups of its own account, NTLM checks of accounts that are not its own; else build of Windows, fast startup
--     (servers have none), or a name that setup gives to workstations alone
--   os_build INTEGER: Build of Windows
--   os_name VARCHAR: Release of Windows with that build, of workstations or servers where the role is known
--   first_seen TIMESTAMP: Its first record in the case
--   last_seen TIMESTAMP: Its last one
--   boots BIGINT: Lives of the host that the logs tell of
--   sessions BIGINT: Logon sessions of accounts other than window managers
--   open_sessions BIGINT: Those still open when its logs end
--   events BIGINT: Records of it in the case

WITH seen AS (
    SELECT host_id AS host_id, MIN(time) AS first_seen, MAX(time) AS last_seen, COUNT(*) AS events,
        MAX(CASE WHEN mark IN ('ticket', 'service_ticket', 'renewal', 'preauth_failure') THEN 1 ELSE 0 END) AS kdc,
        MAX(CASE WHEN mark = 'boot_type' AND boot_type = 1 THEN 1 ELSE 0 END) AS fast_startup,
        MAX(os_build) AS os_build
    FROM logged
    GROUP BY host_id
),
-- records, kept or not, of kinds that only a host of a role writes
kinds AS (
    SELECT c.host_id AS host_id,
        MAX(CASE WHEN k.host_role = 'DC' OR k.host_role LIKE 'DC (%' THEN 1 ELSE 0 END) AS controller,
        MAX(CASE WHEN k.host_role IN ('AD FS server', 'NPS server', 'RD Gateway') THEN 1 ELSE 0 END) AS server
    FROM host_counts AS c
    JOIN event_kinds AS k ON k.provider = c.provider AND k.event_id = c.event_id
    GROUP BY c.host_id
),
-- a session of the host's own account tells its groups: S-1-5-9 is that of all controllers
own AS (
    SELECT n.host_id AS host_id, COUNT(*) AS sessions
    FROM events AS e
    JOIN host_names AS n ON n.computer_key = e.computer_key AND (e.target_name_key = CONCAT(n.computer_key, '$$')
        OR n.computer_key LIKE CONCAT(SUBSTR(e.target_name_key, 1, LENGTH(e.target_name_key) - 1), '.%'))
    WHERE e.provider = 'Microsoft-Windows-Security-Auditing' AND e.event_id = 4627 AND e.target_name_key LIKE '%$$'
        AND CONCAT(' ', e.group_sids, ' ') LIKE '% S-1-5-9 %'
    GROUP BY n.host_id
),
opened AS (
    SELECT host_id AS host_id, COUNT(*) AS sessions,
        CAST(SUM(CASE WHEN end_reason = 'still_open' THEN 1 ELSE 0 END) AS BIGINT) AS open_sessions
    FROM sessions
    WHERE COALESCE(kind, '') <> 'window_manager'
    GROUP BY host_id
),
lives AS (
    SELECT host_id AS host_id, COUNT(*) AS boots FROM boots GROUP BY host_id
),
named AS (
    SELECT host_id AS host_id, MIN(host) AS host, MIN(names) AS names,
        -- of setup: DESKTOP- or LAPTOP- and seven or eight letters
        MAX(CASE WHEN computer_key LIKE 'desktop-_______' OR computer_key LIKE 'desktop-_______.%'
            OR computer_key LIKE 'laptop-________' OR computer_key LIKE 'laptop-________.%' THEN 1 ELSE 0 END)
            AS by_setup
    FROM host_names
    GROUP BY host_id
),
roles AS (
    SELECT n.host_id AS host_id,
        CASE WHEN s.kdc = 1 THEN 'Kerberos tickets' WHEN k.controller = 1 THEN 'kinds of records'
            WHEN w.host_id IS NOT NULL THEN 'groups' WHEN c.host_id IS NOT NULL THEN 'NTLM checks' END AS controller_by,
        CASE WHEN k.server = 1 THEN 'kinds of records' WHEN b.workstation IS NULL AND b.server IS NOT NULL THEN 'build'
            END AS server_by,
        CASE WHEN b.server IS NULL AND b.workstation IS NOT NULL THEN 'build' WHEN s.fast_startup = 1 THEN 'fast startup'
            WHEN n.by_setup = 1 THEN 'name' END AS workstation_by,
        b.workstation AS workstation, b.server AS server
    FROM named AS n
    JOIN seen AS s ON s.host_id = n.host_id
    LEFT JOIN kinds AS k ON k.host_id = n.host_id
    LEFT JOIN own AS w ON w.host_id = n.host_id
    LEFT JOIN controllers AS c ON c.host_id = n.host_id
    LEFT JOIN windows_builds AS b ON b.build = s.os_build
)
SELECT
    n.host_id AS host_id, n.host AS host, n.names AS names,
    CASE WHEN r.controller_by IS NOT NULL THEN 'domain_controller' WHEN r.server_by IS NOT NULL THEN 'server'
        WHEN r.workstation_by IS NOT NULL THEN 'workstation' END AS role,
    COALESCE(r.controller_by, r.server_by, r.workstation_by) AS role_by, s.os_build AS os_build,
    CASE WHEN r.server IS NULL THEN r.workstation WHEN r.workstation IS NULL THEN r.server
        WHEN COALESCE(r.controller_by, r.server_by) IS NOT NULL THEN r.server
        WHEN r.workstation_by IS NOT NULL THEN r.workstation
        ELSE CONCAT(r.workstation, ' or ', r.server) END AS os_name,
    s.first_seen AS first_seen, s.last_seen AS last_seen,
    COALESCE(l.boots, 0) AS boots, COALESCE(o.sessions, 0) AS sessions, COALESCE(o.open_sessions, 0) AS open_sessions,
    s.events AS events
FROM named AS n
JOIN seen AS s ON s.host_id = n.host_id
JOIN roles AS r ON r.host_id = n.host_id
LEFT JOIN opened AS o ON o.host_id = n.host_id
LEFT JOIN lives AS l ON l.host_id = n.host_id
