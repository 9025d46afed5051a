"""tracks: one row for each way that somebody went from session to session, with how often it was gone.
Reads: hops, sessions, accounts, desk_times.
A way is a chain of the best hops back to a session that came from no other known one: its root. Sessions that lie on
the way to others have no row of their own, nor has the network logon by which a remote desktop begins or is come back
to from the same machine. Chains longer than eight hops are cut, and say so. One root, hosts and accounts gone through
more than once are one row. Where clocks tell no order, sessions may seem to have come from each other in a circle:
where that was entered is not known, and the way begins at a machine that is not told.

Columns:
  track_id BIGINT: Identity, from the first session at its end
  root_session_id BIGINT: Session it began in; NULL where only the machine is known, or nothing
  person VARCHAR: Account of the root: who caused it all
  start_time TIMESTAMP: First time it was gone to its end
  last_time TIMESTAMP: Last time
  times BIGINT: How often
  hops INTEGER: Number of hops
  hosts VARCHAR: Machines from the root to the end, joined by ' > '; a '>' in a name is told as '_'
  accounts VARCHAR: Accounts of the sessions on the way, joined by ' > ' in the same way; '?' for a session that is not
    known
  means VARCHAR: How each hop was made, joined by ' > '
  from_host VARCHAR: Machine it began at
  to_host VARCHAR: Host it ended at
  switches INTEGER: How often the account changed on the way
  label VARCHAR: one_credential, clear_switch, unclear (several sessions came into question at a switch), service (it
    switched to an account that services use), own_admin (it switched to an account that bears the person's name)
  certainty DOUBLE: Product of the certainties of its hops
  cut BOOLEAN: Whether it is longer than told
  end_session_id BIGINT: Session at its end, the first time
"""

from __future__ import annotations

from string import Template
from typing import TYPE_CHECKING

from logontracks.models import parameters

if TYPE_CHECKING:
    import pyarrow as pa

    from logontracks.engines.duckdb import Connection

HOPS = 8  # what is longer is cut, and no circle is looked for that is longer


def work(connection: Connection) -> pa.Table:
    """The table, from the best hop to each session."""
    connection.execute(Template(_CHOSEN).substitute(parameters()))
    connection.execute(_ROUND_FIRST)
    _go_on(connection, "rounds", _ROUND_NEXT, "session_id <> late_id")
    connection.execute(_BEST)
    connection.execute("DROP TABLE rounds")
    connection.execute("DROP TABLE chosen")
    connection.execute(_FIRST)
    _go_on(connection, "walked", _NEXT, "going_on")
    told = connection.sql(_TOLD).to_arrow_table()
    connection.execute("DROP TABLE walked")
    connection.execute("DROP TABLE best")
    return told


def _go_on(connection: Connection, table: str, step: str, unfinished: str) -> None:
    """Take all ways of a table one hop further, as its `step` says, as long as any is unfinished and not too long."""
    for _ in range(HOPS - 1):
        connection.execute(step)
        connection.execute(f"DROP TABLE {table}")
        connection.execute(f"ALTER TABLE {table}_on RENAME TO {table}")
        ((left,),) = connection.execute(f"SELECT COUNT(*) FROM {table} WHERE {unfinished}").fetchall()
        if not left:
            break


_CHOSEN = """
CREATE TABLE chosen AS
SELECT h.to_session_id AS session_id, h.from_session_id AS from_session_id, h.time AS time,
    CONCAT(h.to_host, ' ', CAST(h.to_session_id AS VARCHAR)) AS name,
    -- a client may claim any name, also one that looks like a way
    REPLACE(from_host, '>', '_') AS from_host, REPLACE(to_host, '>', '_') AS to_host,
    REPLACE(to_account, '>', '_') AS to_account, means AS means, certainty AS certainty,
    CASE WHEN credential = 'switch' THEN 1 ELSE 0 END AS switched,
    CASE WHEN credential = 'switch' AND candidates > 1 THEN 1 ELSE 0 END AS unclear
FROM hops AS h
-- a desktop over the network begins with a network logon, which is no way of its own (R21); so does each return to it,
-- unless somebody takes it over from elsewhere
LEFT JOIN (
    SELECT DISTINCT n.hop_id AS hop_id
    FROM hops AS n
    JOIN (
        SELECT d.*, t.time AS seen_time
        FROM hops AS d
        JOIN (
            SELECT session_id AS session_id, start_time AS time FROM sessions WHERE opened_by = 'remote_desktop'
            UNION ALL
            SELECT s.session_id AS session_id, r.time AS time
            FROM desk_times AS r
            JOIN sessions AS s ON s.host_id = r.host_id AND s.boot_id = r.boot_id AND s.logon_id = r.logon_id
            WHERE r.mark = 'reconnect'
        ) AS t ON t.session_id = d.to_session_id
        WHERE d.place = 1 AND d.means = 'remote_desktop'
    ) AS c ON c.to_host_id = n.to_host_id AND c.to_account = n.to_account
        AND COALESCE(c.from_session_id, 0) = COALESCE(n.from_session_id, 0)
        AND COALESCE(c.from_host, '') = COALESCE(n.from_host, '')
        AND c.seen_time BETWEEN n.time AND n.time + INTERVAL '$desktop_logon_s' SECOND
    WHERE n.place = 1 AND n.means = 'network'
) AS x ON x.hop_id = h.hop_id
WHERE place = 1 AND x.hop_id IS NULL"""

# a circle has a session that did not begin after the one it came from: from each such the way back, until it returns
_ROUND_FIRST = """
CREATE TABLE rounds AS
SELECT c.session_id AS late_id, c.from_session_id AS session_id, c.name AS opens
FROM chosen AS c
JOIN chosen AS f ON f.session_id = c.from_session_id
WHERE f.time >= c.time"""

_ROUND_NEXT = """
CREATE TABLE rounds_on AS
SELECT r.late_id AS late_id,
    CASE WHEN r.session_id = r.late_id THEN r.session_id ELSE c.from_session_id END AS session_id,
    CASE WHEN c.time <= f.time THEN LEAST(r.opens, c.name) ELSE r.opens END AS opens
FROM rounds AS r
JOIN chosen AS c ON c.session_id = r.session_id
JOIN chosen AS f ON f.session_id = c.from_session_id"""

_BEST = """
CREATE TABLE best AS
SELECT c.session_id AS session_id, CASE WHEN r.late_id IS NULL THEN c.from_session_id END AS from_session_id,
    CASE WHEN r.late_id IS NULL THEN c.from_host END AS from_host, c.to_host AS to_host, c.to_account AS to_account,
    c.means AS means, c.certainty AS certainty, CASE WHEN r.late_id IS NULL THEN c.switched ELSE 0 END AS switched,
    CASE WHEN r.late_id IS NULL THEN c.unclear ELSE 0 END AS unclear
FROM chosen AS c
-- one of a circle is where it opens
LEFT JOIN rounds AS r ON r.late_id = c.session_id AND r.session_id = r.late_id AND r.opens = c.name"""

_FIRST = """
CREATE TABLE walked AS
SELECT b.session_id AS end_id, b.from_session_id AS session_id, b.from_host AS machine, 1 AS hops,
    CONCAT(' > ', b.to_host) AS hosts, CONCAT(' > ', b.to_account) AS accounts, b.means AS means,
    b.certainty AS certainty, b.switched AS switches, b.unclear AS unclear,
    b.from_session_id IN (SELECT session_id FROM best) AS going_on
FROM best AS b
LEFT JOIN (SELECT DISTINCT from_session_id AS session_id FROM best) AS p ON p.session_id = b.session_id
WHERE p.session_id IS NULL"""

_NEXT = """
CREATE TABLE walked_on AS
SELECT w.end_id AS end_id, CASE WHEN b.session_id IS NULL THEN w.session_id ELSE b.from_session_id END AS session_id,
    CASE WHEN b.session_id IS NULL THEN w.machine ELSE b.from_host END AS machine,
    w.hops + CASE WHEN b.session_id IS NULL THEN 0 ELSE 1 END AS hops,
    CONCAT(CASE WHEN b.session_id IS NULL THEN '' ELSE CONCAT(' > ', b.to_host) END, w.hosts) AS hosts,
    CONCAT(CASE WHEN b.session_id IS NULL THEN '' ELSE CONCAT(' > ', b.to_account) END, w.accounts) AS accounts,
    CONCAT(CASE WHEN b.session_id IS NULL THEN '' ELSE CONCAT(b.means, ' > ') END, w.means) AS means,
    w.certainty * COALESCE(b.certainty, 1) AS certainty, w.switches + COALESCE(b.switched, 0) AS switches,
    GREATEST(w.unclear, COALESCE(b.unclear, 0)) AS unclear,
    COALESCE(b.from_session_id IN (SELECT session_id FROM best), FALSE) AS going_on
FROM walked AS w
LEFT JOIN best AS b ON b.session_id = w.session_id"""

_TOLD = """
WITH named AS (
    SELECT w.end_id AS end_id, w.session_id AS root_id, w.hops AS hops, w.means AS means, w.certainty AS certainty,
        w.switches AS switches, w.unclear AS unclear, w.going_on AS going_on, e.start_time AS time, e.host AS to_host,
        e.account_id AS to_account_id, COALESCE(r.host, w.machine) AS from_host, r.account AS person,
        r.account_id AS person_id, CONCAT(COALESCE(REPLACE(r.host, '>', '_'), w.machine, '?'), w.hosts) AS hosts,
        CONCAT(COALESCE(REPLACE(r.account, '>', '_'), '?'), w.accounts) AS accounts
    FROM walked AS w
    JOIN sessions AS e ON e.session_id = w.end_id
    LEFT JOIN sessions AS r ON r.session_id = w.session_id
),
gone AS (
    SELECT root_id AS root_id, hosts AS hosts, accounts AS accounts, means AS means, hops AS hops,
        MIN(from_host) AS from_host, MIN(to_host) AS to_host, MIN(person) AS person, MIN(person_id) AS person_id,
        MIN(to_account_id) AS to_account_id, MIN(time) AS start_time, MAX(time) AS last_time, COUNT(*) AS times,
        MAX(certainty) AS certainty, MAX(switches) AS switches,
        MIN(unclear) AS unclear,
        MAX(CASE WHEN going_on THEN 1 ELSE 0 END) AS cut,
        least_at_first(end_id, time) AS end_id
    FROM named
    GROUP BY root_id, hosts, accounts, means, hops
)
SELECT text_id(CONCAT('track ', CAST(g.end_id AS VARCHAR))) AS track_id, g.root_id AS root_session_id,
    g.person AS person, g.start_time AS start_time, g.last_time AS last_time, g.times AS times,
    CAST(g.hops AS INTEGER) AS hops, g.hosts AS hosts, g.accounts AS accounts, g.means AS means,
    g.from_host AS from_host, g.to_host AS to_host, CAST(g.switches AS INTEGER) AS switches,
    CASE WHEN g.switches = 0 THEN 'one_credential' WHEN g.unclear = 1 THEN 'unclear'
        WHEN g.switches = 1 AND p.name_key IS NOT NULL AND t.name_key IS NOT NULL
            AND POSITION('adm' IN t.name_key) > 0 AND POSITION(p.part IN t.name_key) > 0 THEN 'own_admin'
        WHEN t.service_use THEN 'service'
        ELSE 'clear_switch' END AS label,
    g.certainty AS certainty, g.cut = 1 AS cut, g.end_id AS end_session_id
FROM gone AS g
LEFT JOIN (
    SELECT account_id AS account_id, LOWER(name) AS name_key,
        -- the first or the last part of the name, whichever is longer: anna of anna.berg
        CASE WHEN POSITION('.' IN name) > 3 THEN SUBSTR(LOWER(name), 1, POSITION('.' IN name) - 1) ELSE LOWER(name)
            END AS part
    FROM accounts
) AS p ON p.account_id = g.person_id
LEFT JOIN (
    SELECT account_id AS account_id, LOWER(name) AS name_key, service_use AS service_use FROM accounts
) AS t ON t.account_id = g.to_account_id
"""
