"""Where sessions came from: hops, the tracks they make, the addresses and authentications that tell them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from logontracks.case import Case
from logontracks.engines.duckdb import Connection, literal
from logontracks.forms import address
from logontracks.queries.answer import Answer, like, listed, moment, number
from logontracks.queries.coverage import why_empty
from logontracks.queries.tables import accounts_of, among, answered, hosts_of, many


@dataclass(frozen=True, slots=True)
class PathFilter:
    """Which hops or tracks are wanted; every part that is given must fit. Times are naive UTC.

    `users` fit any account on the way, `sources` and `targets` are names of machines it came from and went to, of a
    track any on its way, also of such without logs.
    """

    users: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    switches: bool = False
    certainty: float = 0.0
    since: datetime | None = None
    until: datetime | None = None


def hops(
    case: Case, wanted: PathFilter, *, limit: int = 0, for_people: bool = False, everything: bool = False
) -> Answer:
    """From which session each session came, in the order of time; `everything` with all that came into question.

    Raises CaseError when the tables have not been worked out.
    """
    columns = (
        """h.time, NULLIF(h.times, 1) AS times, COALESCE(short(h.from_host), '?') AS from_host, h.from_account,
            short(h.to_host) AS to_host, h.to_account, words(h.means) AS means, words(h.rule) AS known_by,
            ROUND(h.certainty, 2) AS certainty, CASE WHEN h.candidates > 1 THEN h.candidates END AS candidates,
            h.hop_id[:10] AS hop_id"""
        if for_people
        else "h.* REPLACE (told_id(h.to_session_id) AS to_session_id, told_id(h.from_session_id) AS from_session_id)"
    )

    def asked(connection: Connection) -> Answer:
        connection.execute(_ALL_HOPS)
        parts, notes = _machines(connection, wanted, "[h.from_host]", "[h.to_host]")
        if wanted.users:
            found, told = accounts_of(connection, wanted.users)
            notes += told
            mine = f"SELECT session_id FROM sessions WHERE {among('account_id', found)}"
            parts.append(
                f"(h.to_session_id IN ({mine}) OR h.from_session_id IN ({mine}) OR {among('h.account_id', found)})"
            )
        if wanted.switches:
            parts.append("h.credential = 'switch'")
        if wanted.since is not None:
            parts.append(f"h.time >= {moment(wanted.since)}")
        if wanted.until is not None:
            parts.append(f"h.time < {moment(wanted.until)}")
        where = " AND ".join(parts)
        if not everything:
            others = number(connection, f"SELECT COUNT(*) FROM all_hops AS h WHERE {where} AND h.place > 1")
            where += " AND h.place = 1"
            if others and for_people:
                notes += (f"{many(others, 'session')} that came into question as well left out: --all shows them.",)
        if for_people:
            notes += _asked_for(connection, f"all_hops AS h WHERE {where} AND h.rule = 'request'")
        found_hops = listed(
            connection,
            columns,
            f"FROM all_hops AS h WHERE {where}",
            "h.time, h.to_session_id, h.place, h.hop_id",
            limit,
        )
        if for_people and not found_hops.total:
            notes += tuple(why_empty(connection, ()))
        return found_hops.told(*notes)

    return answered(case, asked)


# where the host that was gone to has no log, controllers tell what was asked for
_ALL_HOPS = """
    CREATE TEMP VIEW all_hops AS
    SELECT * REPLACE (told('h', hop_id) AS hop_id), 1 AS times, time AS last_time, NULL AS account_id FROM hops
    UNION ALL BY NAME
    SELECT told('r', request_id) AS hop_id, first_time AS time, last_time, times, to_host_id, to_host, from_host_id,
        from_host, account AS to_account, CASE protocol WHEN 'ntlm' THEN 'ntlm_checked' ELSE 'ticket_asked_for' END
        AS means, 'request' AS rule, certainty, 1 AS place, account_id, first_uid AS uid
    FROM requests"""

_ALL_TRACKS = """
    CREATE TEMP VIEW all_tracks AS
    SELECT * REPLACE (told('t', track_id) AS track_id) FROM tracks
    UNION ALL BY NAME
    SELECT min_by(hop_id, time) AS track_id, MIN(time) AS start_time, MAX(last_time) AS last_time,
        SUM(times)::BIGINT AS times, 1 AS hops,
        concat(COALESCE(replace(from_host, '>', '_'), '?'), ' > ', replace(to_host, '>', '_')) AS hosts,
        concat('? > ', replace(to_account, '>', '_')) AS accounts, means, from_host,
        to_host, 0 AS switches, 'one_credential' AS label, MAX(certainty) AS certainty, FALSE AS cut
    FROM all_hops WHERE rule = 'request' GROUP BY from_host, to_host, to_account, means"""


def _asked_for(connection: Connection, rows: str) -> tuple[str, ...]:
    """What to say of requests among rows."""
    if not number(connection, f"SELECT COUNT(*) FROM {rows}"):
        return ()
    return ("Ids with r are what controllers were asked for: whether it was used, a log of that host would tell.",)


_HOSTS = "string_split(t.hosts, ' > ')"

_STEPS = """list_transform(list_zip(string_split(t.hosts, ' > '), string_split(t.accounts, ' > ')),
    lambda x: short(x[1])
        || CASE WHEN x[2] IN ('?', '') THEN '' ELSE ' (' || regexp_replace(x[2], '^.*\\\\', '') || ')' END)"""
_WAY = f"""array_to_string(list_filter({_STEPS}, lambda x, i: i = 1 OR x <> ({_STEPS})[i - 1]), ' > ')"""
"""Steps on one host with one account are one."""


def tracks(
    case: Case, wanted: PathFilter, *, limit: int = 0, for_people: bool = False, everything: bool = False
) -> Answer:
    """Ways from session to session back to their root, in the order of time. `for_people` without those of a single
    hop with one credential, unless `everything` or machines or accounts are named.

    Raises CaseError when the tables have not been worked out.
    """
    columns = (
        f"""t.start_time, NULLIF(t.last_time, t.start_time) AS last_time, NULLIF(t.times, 1) AS times, {_WAY} AS way,
            words(t.means) AS means, words(t.label) AS label, ROUND(t.certainty, 2) AS certainty,
            t.track_id[:10] AS track_id"""
        if for_people
        else """t.* REPLACE (told_id(t.root_session_id) AS root_session_id,
            told_id(t.end_session_id) AS end_session_id)"""
    )

    def asked(connection: Connection) -> Answer:
        connection.execute(_ALL_HOPS)
        connection.execute(_ALL_TRACKS)
        parts, notes = _machines(connection, wanted, f"{_HOSTS}[:-2]", f"{_HOSTS}[2:]")
        if wanted.users:
            found, told = accounts_of(connection, wanted.users)
            notes += told
            names = connection.execute(f"SELECT account FROM accounts WHERE {among('account_id', found)}").fetchall()
            fits = (
                f"list_contains(string_split(t.accounts, ' > '), {literal(name.replace('>', '_'))})"
                for (name,) in names
            )
            parts.append("(" + (" OR ".join(fits) or "FALSE") + ")")
        if wanted.switches:
            parts.append("t.switches > 0")
        if wanted.since is not None:
            parts.append(f"t.last_time >= {moment(wanted.since)}")
        if wanted.until is not None:
            parts.append(f"t.start_time < {moment(wanted.until)}")
        where = " AND ".join(parts)
        if for_people and not everything and not (wanted.users or wanted.sources or wanted.targets):
            plain = "t.hops = 1 AND t.switches = 0"
            left = number(connection, f"SELECT COUNT(*) FROM all_tracks AS t WHERE {where} AND {plain}")
            where += f" AND NOT ({plain})"
            if left:
                notes += (f"{many(left, 'track')} of one hop with one credential left out: --all shows them.",)
        if for_people:
            notes += _asked_for(connection, f"all_tracks AS t WHERE {where} AND t.track_id LIKE 'r-%'")
        found_tracks = listed(
            connection, columns, f"FROM all_tracks AS t WHERE {where}", "t.start_time, t.track_id", limit
        )
        if for_people and not found_tracks.total:
            notes += tuple(why_empty(connection, ()))
        return found_tracks.told(*notes)

    return answered(case, asked)


def _machines(
    connection: Connection, wanted: PathFilter, from_host: str, to_host: str
) -> tuple[list[str], tuple[str, ...]]:
    """Conditions on the machines at both ends, by any name of a host of the case, or as told of another. `from_host`
    and `to_host` are SQL for a list of names, one of which has to fit."""
    parts = ["TRUE"]
    notes: tuple[str, ...] = ()
    for names, column in ((wanted.sources, from_host), (wanted.targets, to_host)):
        fits: list[str] = []
        for name in names:
            found, told = hosts_of(connection, (name,))
            rows = connection.execute(
                f"SELECT DISTINCT host FROM host_names WHERE {among('host_id', found)}"
            ).fetchall()
            fits += [f"x = {literal(host)}" for (host,) in rows]
            fits.append(like("LOWER(x)", name.lower()))
            fits += [
                like("LOWER(x)", f"{name.lower()} *"),
                like("LOWER(x)", f"*.* {name.lower()}"),
            ]  # address and claim
            notes += told if found else ()
        if fits:
            parts.append(f"len(list_filter({column}, lambda x: {' OR '.join(fits)})) > 0")
    if wanted.certainty:
        parts.append(f"certainty >= {float(wanted.certainty)}")
    return parts, notes


def addresses(
    case: Case,
    *,
    hosts: tuple[str, ...] = (),
    wanted: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 0,
    for_people: bool = False,
) -> Answer:
    """Which machine had which address when. Raises CaseError when the tables have not been worked out."""
    columns = (
        """a.address, short(a.host) AS host, a.first_time, a.last_time, a.held_until, a.sightings,
            words(replace(a.told_by, ' ', ', ')) AS told_by, CASE WHEN a.conflict THEN 'shared' END AS conflict"""
        if for_people
        else "a.* REPLACE (told('a', a.address_id) AS address_id)"
    )

    def asked(connection: Connection) -> Answer:
        parts = ["TRUE"]
        notes: tuple[str, ...] = ()
        fits = []
        for name in hosts:
            found, told = hosts_of(connection, (name,))
            notes += told if found else ()
            fits += [among("a.host_id", found), like("LOWER(a.host)", name.lower())]
        if fits:
            parts.append("(" + " OR ".join(fits) + ")")
        if wanted:
            forms = (one if "*" in one else address(one) or one for one in wanted)
            parts.append("(" + " OR ".join(like("a.address", one) for one in forms) + ")")
        if since is not None:
            parts.append(f"a.held_until >= {moment(since)}")
        if until is not None:
            parts.append(f"a.held_from < {moment(until)}")
        rows = f"FROM addresses AS a WHERE {' AND '.join(parts)}"
        return listed(connection, columns, rows, "a.address, a.first_time, a.address_id", limit).told(*notes)

    return answered(case, asked)


def links(
    case: Case,
    *,
    users: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    unmatched: bool = False,
    limit: int = 0,
    for_people: bool = False,
) -> Answer:
    """The authentications behind sessions; `unmatched`: the sessions of people that none is found for, and why.

    Raises CaseError when the tables have not been worked out.
    """

    def asked(connection: Connection) -> Answer:
        parts = ["TRUE"]
        notes: tuple[str, ...] = ()
        if users:
            found, told = accounts_of(connection, users)
            parts.append(among("s.account_id", found))
            notes += told
        if hosts:
            found, told = hosts_of(connection, hosts)
            parts.append(among("s.host_id", found))
            notes += told
        if since is not None:
            parts.append(f"s.start_time >= {moment(since)}")
        if until is not None:
            parts.append(f"s.start_time < {moment(until)}")
        where = " AND ".join(parts)
        if unmatched:
            shown = "account, host, start_time, words(opened_by) AS opened_by, source_address, why, told_id(session_id)"
            columns = f"{shown}[:10] AS session_id" if for_people else "* REPLACE (told_id(session_id) AS session_id)"
            rows = f"FROM ({_UNMATCHED.format(where=where)}) AS u"
            return listed(connection, columns, rows, "start_time, u.session_id", limit).told(*notes)
        columns = (
            """s.start_time, s.account, short(s.host) AS host, words(s.opened_by) AS opened_by, words(l.rule) AS rule,
                l.certainty, a.time AS authentication_time, words(a.step) AS step, short(a.controller) AS controller,
                a.client_address, told_id(l.session_id)[:10] AS session_id"""
            if for_people
            else "l.* REPLACE (told('l', l.link_id) AS link_id, told_id(l.session_id) AS session_id)"
        )
        rows = f"""FROM links AS l JOIN sessions AS s ON s.session_id = l.session_id
            JOIN authentications AS a ON a.authentication_id = l.authentication_id WHERE {where}"""
        return listed(connection, columns, rows, "s.start_time, l.session_id, l.certainty DESC, l.link_id", limit).told(
            *notes
        )

    return answered(case, asked)


_UNMATCHED = """
    SELECT s.session_id, s.account, s.host, s.start_time, s.logon_type, s.opened_by, s.source_address,
        CASE WHEN s.logon_type IN (11, 12, 13) THEN 'cached credentials: no controller was asked'
            WHEN c.local_host_id IS NOT NULL THEN 'a local account: its host alone answers for it'
            WHEN s.start_time IS NULL THEN 'the logs begin after its logon'
            WHEN k.first_time IS NULL THEN 'no log of a controller is in the case'
            WHEN s.start_time NOT BETWEEN k.first_time AND k.last_time
                THEN 'the logs of controllers do not reach that time'
            WHEN s.logon_type = 9 THEN 'new credentials are asked for when they are used'
            WHEN s.logon_type IN (4, 5) THEN 'a service or task may start with a ticket that it has'
            ELSE 'not explained: another controller may have answered, or a ticket from before the logs' END AS why
    FROM sessions AS s
    LEFT JOIN accounts AS c ON c.account_id = s.account_id
    LEFT JOIN (SELECT DISTINCT session_id FROM links) AS l ON l.session_id = s.session_id
    CROSS JOIN (SELECT MIN(time) AS first_time, MAX(time) AS last_time FROM authentications
        WHERE scope IS DISTINCT FROM 'local') AS k
    WHERE l.session_id IS NULL AND COALESCE(s.kind, 'person') = 'person' AND {where}"""
