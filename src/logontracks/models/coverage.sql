-- One row for each audit subcategory that a host wrote records of on a day, and for each of its other logs that serves:
-- what is there. A day without a row is one without such a record.
-- Reads: host_counts, host_names, event_kinds, logged, status_codes.
-- A failed logon is of the subcategory Account Lockout when the account was locked, else of Logon. Records of Windows up
-- to 2003, which had no subcategories, count to those that they would be of today.
--
-- Columns:
--   host_id BIGINT: Host
--   host VARCHAR: The last of its names
--   day DATE: Day (UTC)
--   channel VARCHAR: Log
--   subcategory VARCHAR: Audit subcategory, several joined by "or" where the kind of record is of one of them; NULL
--     outside the Security log, and for kinds of records that are not known
--   records BIGINT: Records, kept or not, in the file that has most of them
--   kinds BIGINT: Different kinds of records

WITH locked AS (
    SELECT e.host_id AS host_id, e.channel AS channel, e.event_id AS event_id, CAST(e.time AS DATE) AS day,
        COUNT(*) AS records
    FROM logged AS e
    JOIN status_codes AS c ON c.code = e.status AND c.reason = 'locked_out'
    WHERE e.mark = 'failure'
    GROUP BY e.host_id, e.channel, e.event_id, CAST(e.time AS DATE)
),
told AS (
    SELECT c.host_id AS host_id, c.day AS day, c.channel AS channel,
        CASE WHEN k.subcategory = 'Logon;Account Lockout' THEN 'Logon'
            ELSE REPLACE(k.subcategory, ';', ' or ') END AS subcategory,
        k.subcategory AS subcategories, c.event_id AS event_id, CAST(SUM(c.records) AS BIGINT) AS records
    FROM host_counts AS c
    LEFT JOIN event_kinds AS k ON k.provider = c.provider AND k.event_id = c.event_id
    GROUP BY c.host_id, c.day, c.channel, k.subcategory, c.provider, c.event_id
),
parted AS (
    SELECT t.host_id AS host_id, t.day AS day, t.channel AS channel, t.subcategory AS subcategory,
        t.event_id AS event_id,
        CASE WHEN t.subcategories = 'Logon;Account Lockout' THEN t.records - COALESCE(l.records, 0) ELSE t.records END
            AS records
    FROM told AS t
    LEFT JOIN locked AS l ON l.host_id = t.host_id AND l.channel = t.channel AND l.day = t.day
        AND l.event_id = t.event_id
    UNION ALL
    SELECT host_id AS host_id, day AS day, channel AS channel, 'Account Lockout' AS subcategory,
        event_id AS event_id, records AS records
    FROM locked
)
SELECT
    p.host_id AS host_id, h.computer AS host, p.day AS day, p.channel AS channel, p.subcategory AS subcategory,
    CAST(SUM(p.records) AS BIGINT) AS records, COUNT(*) AS kinds
FROM parted AS p
JOIN host_names AS h ON h.host_id = p.host_id AND h.computer_key = h.host_key
WHERE p.records > 0
GROUP BY p.host_id, h.computer, p.day, p.channel, p.subcategory
