-- One row for each logon session of a host: one logon id between two starts of the host, the two halves of a split
-- (UAC) logon told as one, unlocks and reconnects folded into the session they came back to. Reserved logon ids (SYSTEM,
-- LOCAL SERVICE ...) are no sessions.
-- Times are as the host logged them: where its clock was set, an end may lie before its start; clock_step_s tells.
-- Reads: sessions_told, presence, desk_times, terminals, logon_types.
-- Sorted by: host_id, first_time, session_id.
-- NULL: what the logs do not tell. No end time is invented: see end_certainty.
--
-- Columns:
--   session_id BIGINT: Identity, from the first record of the session; shown as s- and 13 letters
--   host_id BIGINT: Host
--   host VARCHAR: Its name at that time
--   boot_id BIGINT: Life of the host that the session belongs to
--   logon_id BIGINT: Logon id; of a split logon that of the filtered half, which locks and logoffs carry
--   linked_logon_id BIGINT: The elevated half
--   account_id BIGINT: Account
--   account VARCHAR: DOMAIN\name as the table accounts has it
--   domain VARCHAR: Domain as the logon has it
--   name VARCHAR: Name as the logon has it
--   sid VARCHAR: SID
--   kind VARCHAR: Kind of the account: person, computer, system, anonymous, virtual, window_manager
--   logon_type INTEGER: Logon type; of a session whose start is not in the logs, that of its logoff
--   logon_type_name VARCHAR: Its name
--   start_time TIMESTAMP: Start; NULL when it is not in the logs
--   start_certainty VARCHAR: exact, or unknown: the session was open when its logs begin
--   end_time TIMESTAMP: End; where it is bounded, the last moment at which its host is known to have run; NULL where it
--     is unknown
--   end_time_min TIMESTAMP: Earliest end, where it is bounded
--   end_time_max TIMESTAMP: Latest end, where it is bounded
--   end_reason VARCHAR: logoff, user_logoff, shutdown, crash, restart, terminal_logoff, log_cleared, still_open
--   end_certainty VARCHAR: exact (a record tells it), bounded (it lies between two times), unknown
--   destroyed_time TIMESTAMP: When Windows took the session down (4634), where the user had asked for it before (4647)
--   duration_s DOUBLE: Seconds from start to end, only when both are exact; a clock that was set is taken out
--   duration_min_s DOUBLE: The least that is certain
--   duration_max_s DOUBLE: The most that is possible; NULL where nothing bounds it
--   clock_step_s DOUBLE: By how much the clock of the host was set while the session lasted
--   active_s DOUBLE: Seconds at the desktop, unlocked and connected; NULL where locks are not audited
--   locked_s DOUBLE: Seconds locked; NULL where locks are not audited
--   disconnected_s DOUBLE: Seconds disconnected; NULL where no log tells of connections
--   reconnects BIGINT: How often it was connected to again; NULL where no log tells of connections
--   admin BOOLEAN: It was given privileges of an administrator (4672); NULL where its host logs none
--   elevated BOOLEAN: ElevatedToken of its logon; says nothing about administrators on network logons
--   auth_package VARCHAR: Authentication package
--   lm_package VARCHAR: NTLM flavour
--   key_length INTEGER: Bits of the NTLM session key
--   logon_process VARCHAR: Logon process
--   process_name VARCHAR: Process that asked for the logon
--   source_address VARCHAR: Address of the client
--   source_port INTEGER: Its port
--   workstation VARCHAR: Name of the client, as the client claims it
--   logon_guid VARCHAR: Joins a Kerberos ticket where Windows keeps it
--   opened_by VARCHAR: desktop, remote_desktop, network, network_share, winrm, ssh, web, service, scheduled_task, runas,
--     netonly (runas /netonly), uac_prompt, unlock, access_check, application, window_manager, system
--   terminal_session INTEGER: Number of the terminal session
--   first_time TIMESTAMP: First record of the session
--   last_time TIMESTAMP: Last record that carries its logon id
--   start_uid BIGINT: Record that tells its start
--   end_uid BIGINT: Record that tells its end, or of one that is open the last that shows it

WITH audited AS (
    SELECT host_id AS host_id, MAX(CASE WHEN mark IN ('lock', 'unlock') THEN 1 ELSE 0 END) AS locks,
        -- locks and connections are of one subcategory: who logs the ones logs the others
        MAX(CASE WHEN mark IN ('lock', 'unlock', 'reconnect', 'disconnect') THEN 1 ELSE 0 END) AS connections
    FROM desk_times
    GROUP BY host_id
),
watched AS (
    SELECT host_id AS host_id, MIN(time) AS first_time
    FROM terminals
    WHERE terminal_session IS NOT NULL
    GROUP BY host_id
),
-- coming back is told by a record, or by the logon that was folded, or by both
returns AS (
    SELECT host_id AS host_id, boot_id AS boot_id, logon_id AS logon_id, COUNT(*) AS reconnects
    FROM desk_times
    WHERE mark = 'reconnect'
    GROUP BY host_id, boot_id, logon_id
),
lengths AS (
    SELECT session_id AS session_id, state AS state, CAST(ROUND(duration_s * 1000000) AS BIGINT) AS length_us
    FROM presence
),
totals AS (
    SELECT session_id AS session_id,
        -- whole microseconds: sums of them do not hang on the order of rows
        SUM(CASE WHEN state = 'active' THEN length_us ELSE 0 END) / 1000000.0 AS active_s,
        SUM(CASE WHEN state IN ('locked', 'screen_saver') THEN length_us ELSE 0 END) / 1000000.0 AS locked_s,
        SUM(CASE WHEN state = 'disconnected' THEN length_us ELSE 0 END) / 1000000.0 AS disconnected_s,
        MAX(CASE WHEN state IS NULL OR length_us IS NULL THEN 1 ELSE 0 END) AS open
    FROM lengths
    GROUP BY session_id
),
told AS (
    SELECT s.*, COALESCE(s.is_desktop AND (a.connections = 1
        OR micros(w.first_time) - micros(s.start_time) <= $reentry_s * 1000000), FALSE) AS connections_known
    FROM sessions_told AS s
    LEFT JOIN audited AS a ON a.host_id = s.host_id
    LEFT JOIN watched AS w ON w.host_id = s.host_id
)
SELECT
    s.session_id AS session_id, s.host_id AS host_id, s.host AS host, s.boot_id AS boot_id, s.logon_id AS logon_id,
    s.linked_logon_id AS linked_logon_id, s.account_id AS account_id, s.account AS account, s.domain AS domain,
    s.name AS name, s.sid AS sid, s.kind AS kind, CAST(s.logon_type AS INTEGER) AS logon_type,
    y.symbol AS logon_type_name, s.start_time AS start_time, s.start_certainty AS start_certainty,
    s.end_time AS end_time, s.end_time_min AS end_time_min, s.end_time_max AS end_time_max,
    s.end_reason AS end_reason, s.end_certainty AS end_certainty, s.destroyed_time AS destroyed_time,
    s.duration_s AS duration_s, s.duration_min_s AS duration_min_s, s.duration_max_s AS duration_max_s,
    s.clock_step_s AS clock_step_s,
    CASE WHEN a.locks = 1 AND t.open = 0 THEN t.active_s END AS active_s,
    CASE WHEN a.locks = 1 AND t.open = 0 THEN t.locked_s END AS locked_s,
    CASE WHEN s.connections_known AND t.open = 0 THEN t.disconnected_s END AS disconnected_s,
    CASE WHEN s.connections_known THEN GREATEST(s.returns, COALESCE(r.reconnects, 0)) ELSE NULLIF(s.returns, 0) END
        AS reconnects, s.admin AS admin, s.elevated AS elevated, s.auth_package AS auth_package,
    s.lm_package AS lm_package, s.key_length AS key_length, s.logon_process AS logon_process,
    s.process_name AS process_name, s.source_address AS source_address, s.source_port AS source_port,
    s.workstation AS workstation, s.logon_guid AS logon_guid, s.opened_by AS opened_by,
    s.terminal_session AS terminal_session, s.first_time AS first_time, s.last_time AS last_time,
    s.start_uid AS start_uid, s.end_uid AS end_uid
FROM told AS s
LEFT JOIN totals AS t ON t.session_id = s.session_id
LEFT JOIN returns AS r ON r.host_id = s.host_id AND r.boot_id = s.boot_id AND r.logon_id = s.logon_id
LEFT JOIN audited AS a ON a.host_id = s.host_id
LEFT JOIN logon_types AS y ON y.code = s.logon_type
