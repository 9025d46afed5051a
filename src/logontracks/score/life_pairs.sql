-- One row for each life of a host that both the truth and the case tell of.
-- A life of the case is the one of the truth in which it begins; one that the logs begin in, the one that its last record
-- is of. A second one within the same life of the truth has no pair.

WITH candidates AS (
    SELECT t.host, t.boot_no, b.boot_id,
        COALESCE(ABS(seconds(b.start_time, clock(t.host, t.start_time))), 0) AS off_s
    FROM truth.boots AS t
    JOIN host_pairs AS p ON p.host = t.host
    JOIN boots AS b ON b.host_id = p.host_id
        AND COALESCE(b.start_time, b.last_time)
            BETWEEN clock(t.host, t.start_time) - to_seconds($life_s)
            AND COALESCE(clock(t.host, t.end_time), TIMESTAMP '9999-01-01')
)
SELECT host, boot_no, boot_id
FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY host, boot_no ORDER BY off_s, boot_id) AS of_truth,
        ROW_NUMBER() OVER (PARTITION BY boot_id ORDER BY off_s, host, boot_no) AS of_case
    FROM candidates
)
WHERE of_truth = 1 AND of_case = 1
