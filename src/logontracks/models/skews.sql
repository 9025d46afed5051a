-- One row for each host and day whose clock is known to differ from that of most hosts, by what the records of one logon
-- tell on both sides.
-- Reads: session_sources, authentications, host_lookup.
-- Between a host and a controller the commonest difference counts, in seconds, when enough logons have it: of tickets
-- and logons that bear one GUID two, or three where it is so little that both may have taken long; of those that only
-- agree in account, host and address ten and three in five. The clocks of other controllers follow from hosts that both
-- vouch for. On a day that tells too little a clock is as on all days together, which stand under a day of their own.

WITH came AS (
    SELECT s.session_id AS session_id, s.host_id AS host_id, s.account_id AS account_id,
        s.source_address AS address, s.start_time AS start_time,
        FLOOR(micros(s.start_time) / $clocks_apart_us) + n.step AS slice
    FROM session_sources AS s
    -- of times in slices none is missed: an account may have come a million times
    CROSS JOIN $slices_around AS n
    WHERE s.logon_type = 3 AND s.source_address IS NOT NULL
),
asked AS (
    SELECT a.host_id AS controller_id, a.account_id AS account_id, a.client_address AS address, a.time AS time,
        h.host_id AS host_id, FLOOR(micros(a.time) / $clocks_apart_us) AS slice
    FROM authentications AS a
    JOIN host_lookup AS h ON h.name_key = LOWER(a.service_host)
    WHERE a.step = 'service' AND a.success
),
matched AS (
    SELECT s.host_id AS host_id, a.host_id AS controller_id, CAST(s.start_time AS DATE) AS day,
        s.session_id AS session_id, 1 AS sure, micros(s.start_time) - micros(a.time) AS apart_us
    FROM session_sources AS s
    JOIN authentications AS a ON a.logon_guid = s.logon_guid AND a.account_id = s.account_id AND a.step = 'service'
    -- what many tickets bear is no identity of one
    JOIN (
        SELECT logon_guid AS logon_guid FROM authentications WHERE step = 'service'
        GROUP BY logon_guid
        HAVING COUNT(*) <= $one_guid
    ) AS g ON g.logon_guid = s.logon_guid
    UNION ALL
    SELECT s.host_id AS host_id, a.controller_id AS controller_id, CAST(s.start_time AS DATE) AS day,
        s.session_id AS session_id, 0 AS sure, micros(s.start_time) - micros(a.time) AS apart_us
    FROM came AS s
    JOIN asked AS a ON a.account_id = s.account_id AND a.address = s.address AND a.host_id = s.host_id
        AND a.slice = s.slice AND ABS(micros(s.start_time) - micros(a.time)) <= $clocks_apart_us
),
pairs AS (
    SELECT host_id AS host_id, controller_id AS controller_id, day AS day, session_id AS session_id, sure AS sure,
        apart_us AS apart_us
    FROM matched
    UNION ALL
    SELECT host_id AS host_id, controller_id AS controller_id, DATE '1601-01-01' AS day, session_id AS session_id,
        sure AS sure, apart_us AS apart_us
    FROM matched
),
buckets AS (
    SELECT host_id AS host_id, controller_id AS controller_id, day AS day, sure AS sure,
        FLOOR(apart_us / 1000000.0) AS second, COUNT(DISTINCT session_id) AS many
    FROM pairs
    GROUP BY host_id, controller_id, day, sure, FLOOR(apart_us / 1000000.0)
),
ranked AS (
    SELECT host_id AS host_id, controller_id AS controller_id, day AS day, sure AS sure, second AS second, many AS many,
        SUM(many) OVER (PARTITION BY host_id, controller_id, day, sure) AS total,
        ROW_NUMBER() OVER (PARTITION BY host_id, controller_id, day ORDER BY sure DESC NULLS LAST, many DESC NULLS LAST,
            ABS(second) ASC NULLS LAST, second ASC NULLS LAST) AS place
    FROM buckets
    WHERE many >= CASE WHEN sure = 0 THEN 10 WHEN ABS(second) <= 5 THEN 3 ELSE 2 END
),
apart AS (
    SELECT host_id AS host_id, controller_id AS controller_id, day AS day, second AS second, many AS many
    FROM ranked
    WHERE place = 1 AND (sure = 1 OR many * 5 >= total * 3)
),
vouching AS (
    SELECT controller_id AS controller_id,
        ROW_NUMBER() OVER (ORDER BY SUM(many) DESC NULLS LAST, controller_id ASC NULLS LAST) AS place
    FROM apart
    GROUP BY controller_id
),
told AS (
    SELECT a.host_id AS host_id, a.controller_id AS controller_id, a.day AS day, a.second AS second, a.many AS many,
        v.place AS place
    FROM apart AS a
    JOIN vouching AS v ON v.controller_id = a.controller_id
),
others AS (
    SELECT c.controller_id AS controller_id, c.day AS day, f.second - c.second AS second,
        ROW_NUMBER() OVER (PARTITION BY c.controller_id, c.day ORDER BY SUM(c.many) DESC NULLS LAST,
            ABS(f.second - c.second) ASC NULLS LAST, f.second - c.second ASC NULLS LAST) AS place
    FROM told AS c
    JOIN told AS f ON f.place = 1 AND f.host_id = c.host_id AND f.day = c.day
    WHERE c.place > 1
    GROUP BY c.controller_id, c.day, f.second - c.second
),
found AS (
    SELECT host_id AS host_id, day AS day, second AS second, many AS many, 1 AS way
    FROM told
    WHERE place = 1
    UNION ALL
    SELECT controller_id AS host_id, day AS day, second AS second, 0 AS many, 2 AS way
    FROM others
    WHERE place = 1
    UNION ALL
    SELECT t.host_id AS host_id, t.day AS day, t.second + COALESCE(o.second, 0) AS second, t.many AS many, 3 AS way
    FROM told AS t
    LEFT JOIN others AS o ON o.place = 1 AND o.controller_id = t.controller_id AND o.day = t.day
    WHERE t.place > 1
),
chosen AS (
    SELECT host_id AS host_id, day AS day, second AS second,
        ROW_NUMBER() OVER (PARTITION BY host_id, day ORDER BY way ASC NULLS LAST, many DESC NULLS LAST,
            second ASC NULLS LAST) AS place
    FROM found
),
-- the first controller tells no time of its own: it is among the hosts that may be wrong
known AS (
    SELECT c.host_id AS host_id, c.day AS day, c.second AS second
    FROM chosen AS c
    LEFT JOIN vouching AS v ON v.place = 1 AND v.controller_id = c.host_id
    WHERE c.place = 1 AND v.controller_id IS NULL
    UNION ALL
    SELECT controller_id AS host_id, DATE '1601-01-01' AS day, 0 AS second FROM vouching WHERE place = 1
),
most AS (
    SELECT second AS second,
        ROW_NUMBER() OVER (ORDER BY COUNT(*) DESC NULLS LAST, ABS(second) ASC NULLS LAST, second ASC NULLS LAST) AS place
    FROM known
    WHERE day = DATE '1601-01-01'
    GROUP BY second
),
days AS (
    SELECT CAST(start_time AS DATE) AS day FROM session_sources
    UNION
    SELECT CAST(time AS DATE) AS day FROM authentications
),
told_days AS (
    SELECT a.host_id AS host_id, d.day AS day, COALESCE(k.second, a.second) - m.second AS second
    FROM known AS a
    CROSS JOIN days AS d
    CROSS JOIN most AS m
    LEFT JOIN known AS k ON k.host_id = a.host_id AND k.day = d.day
    WHERE a.day = DATE '1601-01-01' AND m.place = 1
)
SELECT host_id AS host_id, day AS day, CAST(second AS BIGINT) AS skew_s, CAST(second * 1000000 AS BIGINT) AS skew_us
FROM told_days
WHERE ABS(second) > 1
