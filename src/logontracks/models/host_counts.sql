-- One row for each kind of record that a host wrote on a day under one of its names: how many there are, kept or not, in
-- the file that has most of them. A record that lies in two files counts once.
-- Reads: event_counts, host_logs.

SELECT n.host_id AS host_id, n.computer_key AS computer_key, c.channel AS channel, c.provider AS provider,
    c.event_id AS event_id, c.day AS day, MAX(c.records) AS records
FROM event_counts AS c
JOIN host_logs AS n ON n.computer_key = LOWER(c.computer)
    AND (n.source_sha256 IS NULL OR n.source_sha256 = c.source_sha256)
GROUP BY n.host_id, n.computer_key, c.channel, c.provider, c.event_id, c.day
