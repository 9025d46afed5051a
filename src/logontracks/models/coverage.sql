-- One row for each audit subcategory that a host wrote records of on a day, and for each of its other logs that serves:
-- what is there. A day without a row is one without such a record.
-- Reads: event_counts, host_names, event_kinds.
--
-- Columns:
--   host_id BIGINT: Host
--   host VARCHAR: The last of its names
--   day DATE: Day (UTC)
--   channel VARCHAR: Log
--   subcategory VARCHAR: Audit subcategory; NULL outside the Security log, and for kinds of records that are not known
--   records BIGINT: Records, kept or not, in the file that has most of them
--   kinds BIGINT: Different kinds of records

SELECT
    n.host_id AS host_id, h.computer AS host, c.day AS day, c.channel AS channel, k.subcategory AS subcategory,
    CAST(SUM(c.records) AS BIGINT) AS records, COUNT(*) AS kinds
FROM (
    SELECT LOWER(computer) AS computer_key, channel AS channel, provider AS provider, event_id AS event_id, day AS day,
        MAX(records) AS records
    FROM event_counts
    GROUP BY LOWER(computer), channel, provider, event_id, day
) AS c
JOIN host_names AS n ON n.computer_key = c.computer_key
JOIN host_names AS h ON h.host_id = n.host_id AND h.computer_key = h.host_key
LEFT JOIN event_kinds AS k ON k.provider = c.provider AND k.event_id = c.event_id
GROUP BY n.host_id, h.computer, c.day, c.channel, k.subcategory
