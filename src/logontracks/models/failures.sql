-- One row for each failed attempt to log on, whichever hosts logged it; attempts that repeat it follow in the same row,
-- counted, until the day ends or the account does anything else on that host.
-- Reads: failed_attempts, accounts.
-- NULL: what no record says. target_host where only controllers logged it: which host was meant is not known then.
--
-- Columns:
--   failure_id BIGINT: Identity: the uid of its first record on the host, else of its first record
--   first_time TIMESTAMP: First attempt
--   last_time TIMESTAMP: Last one; that of the first where it was not repeated
--   attempts BIGINT: How many
--   account_id BIGINT: Account; NULL where there is none of that name
--   account VARCHAR: DOMAIN\name as far as it is known
--   domain VARCHAR: Domain as typed or written
--   name VARCHAR: Name as typed or written
--   target_host_id BIGINT: Host that was to be logged on to
--   target_host VARCHAR: Its name at that time
--   controller VARCHAR: Controller that logged it, the first where several did
--   source_address VARCHAR: Address of the client
--   workstation VARCHAR: Name of the client, as the client claims it
--   logon_type INTEGER: Logon type
--   logon_process VARCHAR: Logon process
--   process_name VARCHAR: Process that asked
--   reason VARCHAR: Why, in words: the host's reason; from a controller alone every reason its code can mean
--   reason_key VARCHAR: The same as one word, to group by
--   codes VARCHAR: The codes behind it, by event
--   layers VARCHAR: Which layers logged it: host, kerberos, ntlm
--   noise VARCHAR: Why it is likely nothing that somebody tried; NULL where it may be

WITH folded AS (
    SELECT failure_id AS failure_id, COUNT(*) AS attempts, MIN(time) AS first_time, MAX(time) AS last_time
    FROM failed_attempts
    GROUP BY failure_id
)
SELECT
    f.failure_id AS failure_id, f.first_time AS first_time, f.last_time AS last_time, f.attempts AS attempts,
    t.account_id AS account_id,
    COALESCE(a.account, CASE WHEN t.domain IS NULL THEN t.name ELSE CONCAT(t.domain, $backslash, t.name) END) AS account,
    t.domain AS domain, t.name AS name, t.target_host_id AS target_host_id, t.target_host AS target_host,
    t.controller AS controller, t.source_address AS source_address, t.workstation AS workstation,
    CAST(t.logon_type AS INTEGER) AS logon_type, t.logon_process AS logon_process, t.process_name AS process_name,
    t.reason AS reason, t.reason_key AS reason_key, t.codes AS codes, t.layers AS layers, t.noise AS noise
FROM folded AS f
JOIN failed_attempts AS t ON t.attempt_id = f.failure_id
LEFT JOIN accounts AS a ON a.account_id = t.account_id
