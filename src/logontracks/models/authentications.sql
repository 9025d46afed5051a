-- One row for each authentication that a host answered for: a Kerberos ticket asked for or an NTLM logon checked, with
-- success or failure. A service ticket is an intention: that its service was then used is for the service's host to tell.
-- Reads: logged, account_lookup, account_names, accounts, controllers, checked_logons, kerberos_codes,
-- status_codes, encryption_types, preauth_types.
-- Sorted by: account_id, time, authentication_id.
-- NULL: what the record does not say. 4776 has no address, no server and no domain; 8004 to 8006, 4020 and 4021 no
-- result.
--
-- Columns:
--   authentication_id BIGINT: Identity: the uid of its record
--   time TIMESTAMP: When
--   host_id BIGINT: Host that answered: a domain controller, or for local accounts the host itself; of 4020 to 4023 the
--     client or the server that tells
--   controller VARCHAR: Its name at that time
--   protocol VARCHAR: kerberos, ntlm
--   step VARCHAR: ticket_granting (a logon to the domain), service, renewal, ntlm, mapping (certificate to account)
--   account_id BIGINT: Account, where the record means just one of the case
--   account VARCHAR: DOMAIN\name
--   domain VARCHAR: Domain as written
--   name VARCHAR: Name as written
--   sid VARCHAR: SID
--   client_address VARCHAR: Address that asked; ::1 and 127.0.0.1 are the controller itself
--   client_port INTEGER: Its port
--   workstation VARCHAR: Name of the client as it claims (NTLM)
--   service_name VARCHAR: Account the ticket is for
--   service_host VARCHAR: Host that this account is; NULL for service accounts, whose host the record does not tell
--   service_kind VARCHAR: computer, account, tickets (krbtgt: a ticket for tickets), referral (krbtgt of another realm)
--   server VARCHAR: Server that passed the logon on (NTLM audit 8004, 4030 to 4033), or that the host logged on to
--   success BOOLEAN: Whether it was granted
--   result VARCHAR: The result in words; from a controller alone every reason that its code can mean
--   status BIGINT: The code of the result: Kerberos, or NTSTATUS for NTLM
--   ticket_encryption VARCHAR: Encryption of the ticket
--   pre_auth VARCHAR: Pre-authentication by name
--   weak VARCHAR: What is weak about it: DES or RC4 ticket, no pre-authentication, NTLM version 1; NULL when nothing is
--   options VARCHAR: Kerberos options by name
--   delegation VARCHAR: forwarded (a ticket to act elsewhere), constrained (S4U), user_to_user; NULL for none
--   ntlm_version VARCHAR: NTLM version where an audit record tells it
--   scope VARCHAR: domain, or local: an account of the host itself; NULL where nothing tells
--   logon_guid VARCHAR: Joins the logon that used the ticket where Windows keeps it
--   request_ticket_hash VARCHAR: Hash of the ticket that was shown
--   response_ticket_hash VARCHAR: Hash of the ticket that was given
--   event_id INTEGER: Event id of the record

WITH asked AS (
    SELECT e.*, COALESCE(e.status, 0) AS code, CASE WHEN e.mark IN ('validation', 'ntlm_audit') THEN 1 ELSE 0 END AS ntlm
    FROM logged AS e
    WHERE e.mark IN ('ticket', 'service_ticket', 'renewal', 'preauth_failure', 'validation', 'ntlm_audit', 'mapping')
),
local_logons AS (
    SELECT c.uid AS uid, MAX(CASE WHEN a.local_host_id IS NOT NULL THEN 1 ELSE 0 END) AS local,
        MIN(n.account_id) AS account_id, MAX(n.account_id) AS other_id
    FROM checked_logons AS c
    JOIN account_names AS n ON n.host_id = c.host_id AND n.sid_written = c.sid AND n.name_key = c.name_key
        AND n.domain_key = c.domain_key
    JOIN accounts AS a ON a.account_id = n.account_id
    GROUP BY c.uid
),
-- a controller has no accounts of its own
local_names AS (
    SELECT local_host_id AS host_id, name_key AS name_key, MIN(account_id) AS account_id, MAX(account_id) AS other_id
    FROM account_names
    WHERE local_host_id IS NOT NULL AND sid IS NOT NULL
    GROUP BY local_host_id, name_key
),
domain_names AS (
    SELECT sid_domain AS sid_domain, name_key AS name_key, MIN(account_id) AS account_id, MAX(account_id) AS other_id
    FROM account_names
    WHERE local_host_id IS NULL AND sid IS NOT NULL
    GROUP BY sid_domain, name_key
),
-- NTLM is checked without a domain: it is an account of the host or, at a controller, of its domain before any other
checked AS (
    SELECT v.uid AS uid, CASE WHEN g.host_id IS NOT NULL THEN 'domain' WHEN l.local = 1 THEN 'local'
            WHEN h.host_id IS NOT NULL THEN 'local' END AS scope,
        COALESCE(
            CASE WHEN l.account_id = l.other_id THEN l.account_id END,
            CASE WHEN g.host_id IS NULL AND m.account_id = m.other_id THEN m.account_id END,
            CASE WHEN x.account_id = x.other_id THEN x.account_id END,
            CASE WHEN g.host_id IS NOT NULL THEN o.account_id END, u.account_id) AS account_id
    FROM asked AS v
    LEFT JOIN controllers AS g ON g.host_id = v.host_id
    LEFT JOIN local_logons AS l ON l.uid = v.uid
    LEFT JOIN (SELECT DISTINCT host_id AS host_id FROM local_names) AS h ON h.host_id = v.host_id
    LEFT JOIN local_names AS m ON m.host_id = v.host_id AND m.name_key = v.target_name_key
    LEFT JOIN domain_names AS x ON x.sid_domain = g.sid_domain AND x.name_key = v.target_name_key
    LEFT JOIN account_lookup AS o ON o.domain_key IS NULL AND o.name_key = v.target_name_key
    LEFT JOIN account_lookup AS u ON u.domain_key = '' AND u.name_key = v.target_name_key
    WHERE v.mark = 'validation'
)
SELECT
    e.uid AS authentication_id, e.time AS time, e.host_id AS host_id, e.host AS controller,
    CASE WHEN e.ntlm = 1 THEN 'ntlm' ELSE 'kerberos' END AS protocol,
    CASE e.mark WHEN 'ticket' THEN 'ticket_granting' WHEN 'preauth_failure' THEN 'ticket_granting'
        WHEN 'service_ticket' THEN 'service' WHEN 'renewal' THEN 'renewal' WHEN 'mapping' THEN 'mapping' ELSE 'ntlm'
        END AS step,
    COALESCE(n.account_id, v.account_id, d.account_id) AS account_id,
    COALESCE(a.account, CASE WHEN e.target_domain IS NULL THEN e.target_name
        ELSE CONCAT(e.target_domain, $backslash, e.target_name) END) AS account,
    e.target_domain AS domain, e.target_name AS name, COALESCE(e.target_sid, a.sid) AS sid,
    e.source_address AS client_address, e.source_port AS client_port, e.workstation AS workstation,
    e.service_name AS service_name,
    CASE WHEN e.service_name LIKE '%$$' THEN SUBSTR(e.service_name, 1, LENGTH(e.service_name) - 1) END AS service_host,
    CASE WHEN e.service_name LIKE '%$$' THEN 'computer'
        WHEN e.service_name_key = 'krbtgt' OR e.service_sid LIKE 'S-1-5-21-%-502' THEN 'tickets'
        WHEN e.service_name_key LIKE 'krbtgt/%' THEN CASE WHEN e.mark = 'service_ticket' THEN 'referral' ELSE 'tickets' END
        WHEN e.service_name IS NOT NULL THEN 'account' END AS service_kind,
    COALESCE(e.server_name, e.target_server) AS server,
    CASE WHEN e.mark = 'preauth_failure' OR e.event_id IN (679, 4775) THEN FALSE
        WHEN e.mark = 'ntlm_audit' AND e.status IS NULL THEN NULL
        ELSE e.code = 0 END AS success,
    CASE WHEN e.event_id IN (679, 4775) THEN 'No account was found for it'
        WHEN e.mark = 'ntlm_audit' AND e.status IS NULL THEN NULL
        WHEN e.code = 0 AND e.mark <> 'preauth_failure' THEN 'success'
        WHEN e.ntlm = 1 THEN COALESCE(t.meaning, CONCAT('code ', told_code(e.code)))
        WHEN k.windows_reason IS NOT NULL THEN CONCAT(k.meaning, ' (', k.windows_reason, ')')
        ELSE COALESCE(k.meaning, CONCAT('code ', told_code(e.code))) END AS result,
    e.status AS status,
    CASE WHEN e.ticket_encryption_type <> 4294967295 AND e.ticket_encryption_type <> -1
        THEN COALESCE(c.symbol, told_code(e.ticket_encryption_type)) END AS ticket_encryption,
    CASE WHEN e.pre_auth_type = 0 THEN 'none' ELSE COALESCE(p.symbol, CAST(e.pre_auth_type AS VARCHAR)) END AS pre_auth,
    CASE WHEN c.weak = 'yes' AND e.ticket_encryption_type > 0 THEN CONCAT(c.symbol, ' ticket')
        WHEN e.mark = 'ticket' AND e.code = 0 AND e.pre_auth_type = 0 THEN 'no pre-authentication'
        WHEN e.ntlm_version LIKE '%v1%' OR e.ntlm_version LIKE '%V1%' THEN 'NTLM version 1' END AS weak,
    NULLIF(TRIM(CONCAT($ticket_option_words)), '') AS options,
    CASE WHEN e.transmitted_services IS NOT NULL OR has_bit(e.ticket_options, 131072) THEN 'constrained'
        WHEN has_bit(e.ticket_options, 8) THEN 'user_to_user'
        WHEN e.mark = 'service_ticket' AND has_bit(e.ticket_options, 536870912) THEN 'forwarded' END AS delegation,
    e.ntlm_version AS ntlm_version,
    CASE WHEN e.event_id BETWEEN 4020 AND 4023 THEN NULL
        WHEN e.ntlm = 0 OR e.mark = 'ntlm_audit' THEN 'domain'
        ELSE v.scope END AS scope,
    e.logon_guid AS logon_guid, e.request_ticket_hash AS request_ticket_hash,
    e.response_ticket_hash AS response_ticket_hash, e.event_id AS event_id
FROM asked AS e
LEFT JOIN account_names AS n ON e.target_sid IS NOT NULL AND n.host_id = e.host_id AND n.sid_written = e.target_sid
    AND n.name_key = e.target_name_key AND COALESCE(n.domain_key, '') = COALESCE(e.target_domain_key, '')
LEFT JOIN account_lookup AS d ON e.target_sid IS NULL AND d.name_key = e.target_name_key
    AND d.domain_key = COALESCE(e.target_domain_key, '')
LEFT JOIN checked AS v ON v.uid = e.uid
LEFT JOIN accounts AS a ON a.account_id = COALESCE(n.account_id, v.account_id, d.account_id)
LEFT JOIN kerberos_codes AS k ON e.ntlm = 0 AND k.code = e.code
LEFT JOIN status_codes AS t ON e.ntlm = 1 AND t.code = e.code
LEFT JOIN encryption_types AS c ON c.code = e.ticket_encryption_type
LEFT JOIN preauth_types AS p ON p.code = e.pre_auth_type
