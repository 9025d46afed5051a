-- One row for each host and day whose clock is known to differ from its controllers' by what their records of one logon
-- tell.
-- Reads: session_sources, authentications, host_lookup.
-- The commonest difference counts, in seconds, when enough logons have it: of tickets and logons that bear one GUID
-- three, of those that only agree in account, host and address ten and three in five.

WITH pairs AS (
    SELECT s.host_id AS host_id, CAST(s.start_time AS DATE) AS day, s.session_id AS session_id, 1 AS sure,
        micros(s.start_time) - micros(a.time) AS apart_us
    FROM session_sources AS s
    JOIN authentications AS a ON a.logon_guid = s.logon_guid AND a.account_id = s.account_id AND a.step = 'service'
    UNION ALL
    SELECT s.host_id AS host_id, CAST(s.start_time AS DATE) AS day, s.session_id AS session_id, 0 AS sure,
        micros(s.start_time) - micros(a.time) AS apart_us
    FROM session_sources AS s
    JOIN authentications AS a ON a.account_id = s.account_id AND a.client_address = s.source_address
        AND a.step = 'service' AND a.success
    JOIN host_lookup AS h ON h.name_key = LOWER(a.service_host) AND h.host_id = s.host_id
    WHERE s.logon_type = 3 AND ABS(micros(s.start_time) - micros(a.time)) <= $clocks_apart_us
),
buckets AS (
    SELECT host_id AS host_id, day AS day, sure AS sure, FLOOR(apart_us / 1000000.0) AS second,
        COUNT(DISTINCT session_id) AS many
    FROM pairs
    GROUP BY host_id, day, sure, FLOOR(apart_us / 1000000.0)
),
ranked AS (
    SELECT host_id AS host_id, day AS day, sure AS sure, second AS second, many AS many,
        SUM(many) OVER (PARTITION BY host_id, day, sure) AS total,
        ROW_NUMBER() OVER (PARTITION BY host_id, day ORDER BY sure DESC NULLS LAST, many DESC NULLS LAST,
            ABS(second) ASC NULLS LAST, second ASC NULLS LAST) AS place
    FROM buckets
    WHERE many >= CASE WHEN sure = 1 THEN 3 ELSE 10 END
)
SELECT host_id AS host_id, day AS day, CAST(second AS BIGINT) AS skew_s, CAST(second * 1000000 AS BIGINT) AS skew_us,
    CAST(many AS BIGINT) AS logons
FROM ranked
WHERE place = 1 AND ABS(second) > 1 AND (sure = 1 OR many * 5 >= total * 3)
