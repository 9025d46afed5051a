-- One row for each host that wrote a log, under all its names.
-- Reads: host_names, logged, boots, sessions, windows_builds.
-- NULL: role where nothing tells it.
--
-- Columns:
--   host_id BIGINT: Identity of the host, from the first of its names
--   host VARCHAR: Its name; after a rename the last one
--   names VARCHAR: All its names in the order of use, separated by blanks
--   role VARCHAR: domain_controller (it hands out Kerberos tickets), server, workstation
--   role_by VARCHAR: What tells the role
--   os_build INTEGER: Build of Windows
--   os_name VARCHAR: Releases of Windows with that build
--   first_seen TIMESTAMP: Its first record in the case
--   last_seen TIMESTAMP: Its last one
--   boots BIGINT: Lives of the host that the logs tell of
--   sessions BIGINT: Logon sessions of accounts other than window managers
--   open_sessions BIGINT: Those still open when its logs end
--   events BIGINT: Records of it in the case

WITH seen AS (
    SELECT host_id AS host_id, MIN(time) AS first_seen, MAX(time) AS last_seen, COUNT(*) AS events,
        MAX(CASE WHEN mark IN ('ticket', 'service_ticket', 'renewal', 'preauth_failure') THEN 1 ELSE 0 END) AS kdc,
        MAX(os_build) AS os_build
    FROM logged
    GROUP BY host_id
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
    SELECT DISTINCT host_id AS host_id, host AS host, names AS names FROM host_names
)
SELECT
    n.host_id AS host_id, n.host AS host, n.names AS names,
    CASE WHEN s.kdc = 1 THEN 'domain_controller' ELSE w.kind END AS role,
    CASE WHEN s.kdc = 1 THEN 'Kerberos tickets' WHEN w.kind IS NOT NULL THEN 'build' END AS role_by,
    s.os_build AS os_build, w.name AS os_name, s.first_seen AS first_seen, s.last_seen AS last_seen,
    COALESCE(l.boots, 0) AS boots, COALESCE(o.sessions, 0) AS sessions, COALESCE(o.open_sessions, 0) AS open_sessions,
    s.events AS events
FROM named AS n
JOIN seen AS s ON s.host_id = n.host_id
LEFT JOIN opened AS o ON o.host_id = n.host_id
LEFT JOIN lives AS l ON l.host_id = n.host_id
LEFT JOIN windows_builds AS w ON w.build = s.os_build
