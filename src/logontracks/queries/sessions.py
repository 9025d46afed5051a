"""Sessions of a case: who was on which host, since when and until when; presence in them; what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from logontracks.case import Case
from logontracks.engines.duckdb import Connection, literal
from logontracks.forms import address
from logontracks.queries.answer import Answer, like, listed, moment, number
from logontracks.queries.coverage import reasons, why_empty, why_unknown
from logontracks.queries.tables import accounts_of, among, answered, hosts_of, many, no_host

REASONS = {
    "logoff": "logged off",
    "user_logoff": "user logged off",
    "shutdown": "host shut down",
    "crash": "host crashed",
    "restart": "host restarted",
    "terminal_logoff": "terminal session ended",
    "log_cleared": "log was cleared",
    "still_open": "open at the end of the log",
}
"""Why sessions end, in words."""


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions are wanted; every part that is given must fit.

    `types` are logon types or ways of opening (desktop, remote_desktop ...). `overlap` is a moment or span that a
    session must reach into. Sessions match `since` and `until` by overlap, too. `least_s` is a length in seconds that
    is certain. `unpaired` are those without a record of their start, or of their own end. Times are naive UTC.
    """

    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    overlap: tuple[datetime, datetime] | None = None
    least_s: float | None = None
    open_only: bool = False
    unpaired: bool = False
    reasons: tuple[str, ...] = ()


# First and last moment that a session may have been open, as far as the logs of its host reach. Where a clock was set,
# the end can lie before the start.
_FROM = """CASE WHEN s.start_time IS NULL
    THEN LEAST(s.first_time, (SELECT MIN(h.first_seen) FROM hosts AS h WHERE h.host_id = s.host_id))
    ELSE LEAST(s.start_time, COALESCE(s.end_time, s.start_time)) END"""
_TO = """CASE WHEN s.end_certainty = 'unknown'
    THEN GREATEST(s.last_time, (SELECT MAX(h.last_seen) FROM hosts AS h WHERE h.host_id = s.host_id))
    ELSE GREATEST(s.end_time, COALESCE(s.end_time_max, s.end_time), COALESCE(s.start_time, s.first_time)) END"""
# Most network logons that lack a record of their end were over at once. To people they are shown where they are known
# to have been, not at every later time at which they may have been.
_TRAILS = "(COALESCE(s.logon_type, 0) IN (3, 8) AND s.end_certainty <> 'exact')"
_KNOWN_TO = f"CASE WHEN {_TRAILS} THEN s.last_time ELSE {_TO} END"


def sessions(
    case: Case, wanted: SessionFilter, *, limit: int = 0, for_people: bool = False, everything: bool = False
) -> Answer:
    """Sessions in the order of their start.

    `for_people`: few columns in words; a person's network logons are folded to one counted row for each account, host,
    source and day, and sessions that are not of persons are left out unless asked for by name, all this unless
    `everything`. Raises CaseError when the tables have not been worked out.
    """
    return answered(
        case, lambda connection: _sessions(connection, wanted, limit, for_people=for_people, everything=everything)
    )


def _sessions(
    connection: Connection, wanted: SessionFilter, limit: int, *, for_people: bool, everything: bool
) -> Answer:
    where, notes = _where(connection, wanted, to=_KNOWN_TO if for_people and not everything else _TO)
    if not for_people:
        rows = f"FROM sessions AS s LEFT JOIN ({reasons()}) AS w ON w.session_id = s.session_id WHERE {where}"
        order = "COALESCE(s.start_time, s.first_time), s.session_id"
        return listed(connection, f"{_WHOLE}, w.why_unknown", rows, order, limit).told(*notes)
    rows = f"FROM sessions AS s WHERE {where}"
    shown = "TRUE"
    if not everything and not wanted.users:
        shown = "COALESCE(s.kind, 'person') = 'person'"
        left = number(connection, f"SELECT COUNT(*) {rows} AND NOT ({shown})")
        if left:
            told = f"{many(left, 'session')} of computers, services and window managers left out: --all shows all."
            notes = (*notes, told)
    folds = "FALSE" if everything or wanted.types else NETWORK
    connection.execute(f"CREATE TEMP VIEW chosen AS SELECT s.*, {folds} AS folds {rows} AND {shown}")
    folded = number(connection, "SELECT COUNT(*) FROM chosen WHERE folds")
    if folded:
        told = (
            f"{many(folded, 'network logon')} counted, a row for each account, host, source and day: --all shows each."
        )
        notes = (*notes, told)
    notes = (*notes, *why_unknown(connection, "s.session_id IN (SELECT session_id FROM chosen WHERE NOT folds)"))
    found = listed(connection, "* EXCLUDE (sorted, id)", f"FROM ({_PEOPLE})", "sorted, id", limit).told(*notes)
    return found if found.total else found.told(*why_empty(connection, wanted.hosts))


_WHOLE = "s.* REPLACE (told_id(s.session_id) AS session_id)"

NETWORK = """(COALESCE(s.logon_type, 0) IN (3, 8)
    AND COALESCE(s.opened_by, '') IN ('network', 'network_share', 'access_check', 'application'))"""

LASTED = """CASE
    WHEN s.duration_s IS NOT NULL THEN spelled(s.duration_s)
    WHEN spelled(s.duration_max_s) = spelled(s.duration_min_s) THEN spelled(s.duration_min_s)
    WHEN s.duration_max_s IS NOT NULL AND s.duration_min_s >= 0.1
        THEN spelled(s.duration_min_s) || ' to ' || spelled(s.duration_max_s)
    WHEN s.duration_max_s IS NOT NULL THEN 'at most ' || spelled(s.duration_max_s)
    WHEN s.duration_min_s >= 1 THEN 'over ' || spelled(s.duration_min_s) END
    || CASE WHEN ABS(s.clock_step_s) >= 60 THEN ', clock set' ELSE '' END"""

_WORDS = " ".join(f"WHEN {literal(code)} THEN {literal(text)}" for code, text in REASONS.items())
ENDED = f"""CASE WHEN {_TRAILS} THEN 'no record of its end' ELSE CASE s.end_reason {_WORDS} END
    || CASE WHEN s.end_certainty = 'bounded' THEN ', at about that time' ELSE '' END END"""

_BY = """concat_ws(', ', words(s.opened_by), CASE WHEN s.admin THEN 'admin' END,
    CASE WHEN s.start_certainty = 'unknown' THEN 'before the log' END)"""

_PEOPLE = f"""
SELECT s.start_time, s.end_time, {LASTED} AS lasted, short(s.host) AS host, s.account, {_BY} AS opened_by,
    COALESCE(s.source_address, s.workstation) AS source, {ENDED} AS ended,
    told_id(s.session_id)[:10] AS session_id, COALESCE(s.start_time, s.first_time) AS sorted, s.session_id AS id
FROM chosen AS s
WHERE NOT s.folds
UNION ALL
SELECT MIN(COALESCE(s.start_time, s.first_time)), MAX(s.end_time) FILTER (s.end_certainty = 'exact'), NULL,
    short(MAX(s.host)), s.account,
    words(MIN(s.opened_by)) || ', ' || COUNT(*) || CASE WHEN COUNT(*) = 1 THEN ' logon' ELSE ' logons' END
        || CASE WHEN BOOL_OR(s.admin) THEN ', admin' ELSE '' END,
    COALESCE(s.source_address, MAX(s.workstation)),
    CASE WHEN COUNT(*) FILTER (s.end_certainty <> 'exact') > 0
        THEN COUNT(*) FILTER (s.end_certainty <> 'exact') || ' without a record of the end' END,
    CASE WHEN COUNT(*) = 1 THEN told_id(MIN(s.session_id))[:10] END,
    MIN(COALESCE(s.start_time, s.first_time)), MIN(s.session_id)
FROM chosen AS s
WHERE s.folds
GROUP BY s.account, s.host_id, s.source_address, CASE WHEN s.source_address IS NULL THEN s.workstation END,
    CAST(COALESCE(s.start_time, s.first_time) AS DATE)
"""


def _where(connection: Connection, wanted: SessionFilter, *, to: str = _TO) -> tuple[str, tuple[str, ...]]:
    """SQL for the filter, and what the user should know of the names in it. `to` is the last moment of a session."""
    parts = ["TRUE"]
    notes: tuple[str, ...] = ()
    if wanted.users:
        accounts, told = accounts_of(connection, wanted.users)
        parts.append(among("s.account_id", accounts))
        notes += told
    if wanted.hosts:
        hosts, told = hosts_of(connection, wanted.hosts)
        parts.append(among("s.host_id", hosts))
        notes += told
    if wanted.types:
        parts.append("(" + " OR ".join(map(_type_fits, wanted.types)) + ")")
    if wanted.addresses:
        fits = (like("LOWER(s.source_address)", one if "*" in one else address(one) or "") for one in wanted.addresses)
        parts.append("(" + " OR ".join(fits) + ")")
    for begin, end in ((wanted.since, wanted.until), wanted.overlap or (None, None)):
        if end is not None:
            parts.append(f"{_FROM} < {moment(end)}")
        if begin is not None:
            parts.append(f"{to} >= {moment(begin)}")
    if wanted.least_s is not None:
        parts.append(f"s.duration_min_s >= {wanted.least_s}")
    if wanted.open_only:
        parts.append("s.end_reason = 'still_open'")
    if wanted.reasons:
        parts.append(f"s.end_reason IN ({', '.join(map(literal, wanted.reasons))})")
    if wanted.unpaired:
        parts.append(
            "(s.start_certainty = 'unknown' OR s.end_reason NOT IN ('logoff', 'user_logoff', 'terminal_logoff'))"
        )
    return " AND ".join(parts), notes


def _type_fits(text: str) -> str:
    if text.isdigit() and int(text) < 100:
        return f"s.logon_type = {int(text)}"
    name = text.lower().replace(" ", "_").replace("-", "_")
    return f"(s.opened_by = {literal(name)} OR LOWER(s.logon_type_name) = {literal(name.replace('_', ''))})"


def presence(case: Case, wanted: SessionFilter, *, limit: int = 0, for_people: bool = False) -> Answer:
    """Stretches of sessions at a desktop in the order of time.

    Raises CaseError when the tables have not been worked out.
    """

    def asked(connection: Connection) -> Answer:
        where, notes = _where(connection, wanted)
        told = (
            "p.start_time, p.end_time, COALESCE(words(p.state), 'not known') || CASE WHEN p.locks_known THEN ''"
            " WHEN p.state = 'active' THEN ' or locked' WHEN p.state = 'locked' THEN ' or active' ELSE '' END"
            " || CASE WHEN p.sleep_known THEN '' WHEN p.state = 'asleep' THEN ' or locked'"
            " WHEN p.state = 'locked' OR (p.state = 'active' AND NOT p.locks_known) THEN ' or asleep' ELSE '' END"
            " AS state,"
            " spelled(p.duration_s) AS lasted,"
            " short(p.host) AS host, p.account, told_id(p.session_id)[:10] AS session_id"
            if for_people
            else "p.* REPLACE (told_id(p.session_id) AS session_id)"
        )
        rows = f"FROM presence AS p JOIN sessions AS s ON s.session_id = p.session_id WHERE {where}"
        order = "COALESCE(p.start_time, p.end_time), p.session_id, p.end_time"
        found = listed(connection, told, rows, order, limit).told(*notes)
        return found if found.total or not for_people else found.told(*why_empty(connection, wanted.hosts))

    return answered(case, asked)


_OPEN = f"""
SELECT short(MAX(s.host)) AS host, MAX(h.last_seen) AS log_ends, s.account,
    MIN({_BY}) || CASE WHEN COUNT(*) > 1 THEN ', ' || COUNT(*) || ' sessions' ELSE '' END AS opened_by,
    MAX(COALESCE(s.source_address, s.workstation)) AS source, MIN(s.start_time) AS start_time,
    CASE WHEN COUNT(*) = 1 THEN MAX({LASTED}) END AS lasted, MAX(s.last_time) AS last_used,
    CASE WHEN COUNT(*) = 1 THEN told_id(MAX(s.session_id))[:10] END AS session_id, MAX(s.session_id) AS id
"""


def at_the_end(
    case: Case, wanted: SessionFilter, *, limit: int = 0, for_people: bool = False, everything: bool = False
) -> Answer:
    """Sessions that were open when the logs of their host end, with that moment, the last used first.

    `for_people` without network logons, of most of which no record tells the end, and with those of one service account
    on one host counted in one row, all this unless `everything`.
    """

    def asked(connection: Connection) -> Answer:
        where, notes = _where(connection, wanted)
        where += " AND s.end_reason = 'still_open'"
        rows = f"FROM sessions AS s JOIN hosts AS h ON h.host_id = s.host_id WHERE {where}"
        if not for_people:
            order = "s.host, s.last_time DESC, s.session_id"
            return listed(connection, f"h.last_seen AS log_end_time, {_WHOLE}", rows, order, limit).told(*notes)
        apart = "s.session_id"
        if not everything:
            apart = "CASE WHEN COALESCE(s.opened_by, '') NOT IN ('service', 'scheduled_task') THEN s.session_id END"
            if not wanted.users:
                rows += " AND COALESCE(s.kind, 'person') = 'person'"
            left = number(connection, f"SELECT COUNT(*) {rows} AND {_TRAILS}")
            rows += f" AND NOT {_TRAILS}"
            if left:
                told = f"{many(left, 'network logon')} without a record of the end left out: --all shows all."
                notes = (*notes, told)
        query = f"FROM ({_OPEN} {rows} GROUP BY s.host_id, s.account, s.opened_by, {apart})"
        found = listed(connection, "* EXCLUDE (id)", query, "host, last_used DESC, id", limit).told(*notes)
        return found if found.total else found.told(*why_empty(connection, wanted.hosts))

    return answered(case, asked)


def who_was_on(
    case: Case, host: str, time: datetime, *, limit: int = 0, for_people: bool = False, everything: bool = False
) -> Answer:
    """Sessions that a host had at a moment, each with how sure that is.

    certain: between its start and an end (or a last sign of life) that records tell. possible: the logs leave it open.
    Raises QueryError when no host is called so.
    """

    def asked(connection: Connection) -> Answer:
        hosts, notes = hosts_of(connection, (host,))
        if not hosts:
            raise no_host(notes)
        at = moment(time)
        # where the clock was set, what it showed at a moment is not what it showed before
        certain = f"""COALESCE(s.start_time, s.first_time) <= {at} AND ABS(s.clock_step_s) < 60 AND CASE s.end_certainty
            WHEN 'exact' THEN s.end_time > {at} WHEN 'bounded' THEN s.end_time_min >= {at} ELSE s.last_time >= {at}
                OR COALESCE(s.start_time, s.first_time) + to_microseconds((s.duration_min_s * 1e6)::BIGINT) >= {at}
            END"""
        rows = f"FROM sessions AS s WHERE {among('s.host_id', hosts)} AND {_FROM} <= {at} AND {_TO} > {at}"
        if for_people and not everything:
            rows += " AND COALESCE(s.kind, 'person') = 'person'"
            earlier = f"{_TRAILS} AND s.last_time < {at}"
            left = number(connection, f"SELECT COUNT(*) {rows} AND {earlier}")
            rows += f" AND NOT ({earlier})"
            if left:
                told = f"{many(left, 'earlier network logon')} without a record of the end may have been open: --all."
                notes = (*notes, told)
        sure = f"CASE WHEN {certain} THEN 'certain' ELSE 'possible' END AS certainty"
        columns = (
            f"""{sure}, s.account, {_BY} AS opened_by, COALESCE(s.source_address, s.workstation) AS source,
                short(s.host) AS host, s.start_time, s.end_time, {ENDED} AS ended,
                (SELECT MAX(words(p.state)) FROM presence AS p
                    WHERE p.session_id = s.session_id AND p.start_time <= {at} AND p.end_time > {at}) AS then,
                told_id(s.session_id)[:10] AS session_id"""
            if for_people
            else f"{sure}, {_WHOLE}"
        )
        found = listed(connection, columns, rows, "certainty, s.start_time, s.session_id", limit).told(*notes)
        return found if found.total or not for_people else found.told(*why_empty(connection, (host,)))

    return answered(case, asked)
