"""Why a row says what it says: its records in order, what joins it to others, what was rejected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from logontracks import catalogue
from logontracks.case import Case
from logontracks.engines.duckdb import Connection
from logontracks.queries.answer import Answer, answer, number
from logontracks.queries.events import people_events
from logontracks.queries.tables import LAST_TIME, among, days_of, key_of, row_of, with_tables

TABLES = ("sessions", "failures", "hops", "tracks", "links", "addresses", "requests")
MOST_OTHERS = 5  # sessions that were open at the source and did not come into question, of each hop


@dataclass(frozen=True, slots=True)
class Explanation:
    """The row (for people its ids alone), the hops and authentications of the sessions it is about, and the records it
    rests on.

    `hops` holds every session that came into question, the chosen one first, each with its rule in words and the reason
    why; then those that were open there and did not come into question.
    """

    table: str
    row: dict[str, Any]
    hops: tuple[dict[str, Any], ...]
    links: tuple[dict[str, Any], ...]
    records: Answer


def explain(case: Case, text: str, *, limit: int = 0, for_people: bool = False) -> Explanation:
    """Everything behind the row that an id means: a session, failure, hop, track, link, address or request.

    Raises QueryError when there is no such row, or several; CaseError when the tables have not been worked out.
    """

    def asked(connection: Connection) -> Explanation:
        table, found = row_of(connection, text, tables=TABLES)
        key = key_of(table)
        columns = _OF_PEOPLE.get(table, "COLUMNS('.*id|.*time|hops')") if for_people else "*"
        (row,) = _dicts(connection, f"SELECT {columns} FROM {table} WHERE {key} = {found}")
        (ids,) = _dicts(connection, f"SELECT {_told(table, key, row)}")
        sessions = _sessions(connection, table, row)
        _give_ways(connection, sessions)
        _give_roles(connection, row, [found, *sessions])
        uids = connection.execute("SELECT role_uid FROM roles UNION SELECT uid FROM ways WHERE uid IS NOT NULL")
        case.keep_records(connection, [uid for (uid,) in uids.fetchall()], _days(connection, row, sessions))
        hops, links = (_hops(connection), _links(connection)) if sessions else ([], [])
        records = _records(connection, limit=limit, for_people=for_people)
        return Explanation(table, row | ids, tuple(hops), tuple(links), records)

    found, notes = with_tables(case, asked)
    return Explanation(found.table, found.row, found.hops, found.links, found.records.told(*notes))


_OF_PEOPLE = {"sessions": "session_id"}
"""What they see of a row are its ids, and each further column takes time; times of sessions come with others."""


def _dicts(connection: Connection, query: str) -> list[dict[str, Any]]:
    rows = connection.execute(query)
    names = [column[0] for column in rows.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


_SESSIONS = ("session_id", "to_session_id", "from_session_id", "root_session_id", "end_session_id")


def _told(table: str, key: str, row: dict[str, Any]) -> str:
    """SQL for the ids of a row as lists show them."""
    others = (name for name in _SESSIONS if row.get(name) is not None and name != key)
    own = f"told('{table[0]}', {row[key]}) AS {key}"
    return ", ".join([own, *(f"told_id({row[name]}) AS {name}" for name in others)])


def _sessions(connection: Connection, table: str, row: dict[str, Any]) -> list[int]:
    """The sessions that a row is about, the last one of a way first."""
    if table == "tracks":
        found = [row["end_session_id"]]
        for _ in range(row["hops"]):
            ((before,),) = connection.execute(
                f"SELECT from_session_id FROM hops WHERE to_session_id = {found[-1]} AND place = 1"
            ).fetchall()
            if before is None:
                break
            found.append(before)
        return found
    ids = [row.get(name) for name in ("session_id", "to_session_id", "from_session_id")]
    return [session for session in ids if session is not None]


def _give_ways(connection: Connection, sessions: list[int]) -> None:
    """Make the tables `ways`: hops that end in sessions, with all that came into question, `proofs`: their
    authentications, and `ends`: the sessions at both ends of the hops."""
    connection.execute(f"CREATE TEMP TABLE ways AS FROM hops WHERE {among('to_session_id', sessions)}")
    connection.execute(f"""CREATE TEMP TABLE proofs AS
        SELECT l.link_id, l.session_id, l.rule, l.certainty, l.apart_s, a.time, a.controller, a.step, a.client_address,
            l.authentication_id
        FROM links AS l JOIN authentications AS a ON a.authentication_id = l.authentication_id
        WHERE {among("l.session_id", sessions)}""")
    sources = connection.execute("SELECT DISTINCT from_session_id FROM ways WHERE from_session_id IS NOT NULL")
    both = [*sessions, *(source for (source,) in sources.fetchall())]
    # of what is joined the engine reads the other columns where an id is found, of a list of several ids everywhere
    connection.execute(f"""CREATE TEMP TABLE ends AS
        SELECT session_id, account_id, logon_type, start_time, first_time,
            {LAST_TIME} AS last_time FROM sessions
        WHERE session_id IN (SELECT UNNEST({both}::BIGINT[]))""")


def _days(connection: Connection, row: dict[str, Any], sessions: list[int]) -> set[str]:
    """The days on which most records of a row lie, as far as it, its sessions and their hops tell."""
    spans = connection.execute(f"""
        SELECT first_time, last_time FROM ends WHERE {among("session_id", sessions)}
        UNION ALL SELECT time, time FROM ways UNION ALL SELECT time, time FROM proofs
        UNION ALL SELECT first_time, first_time FROM addresses
            WHERE first_uid IN (SELECT uid FROM ways WHERE rule = 'address')""").fetchall()
    return days_of([*spans, *((time, time) for time in row.values() if isinstance(time, datetime))])


def _give_roles(connection: Connection, row: dict[str, Any], rows: list[int]) -> None:
    """Make the table `roles`: the records that rows rest on or that join them to others, each with its part."""
    own = [row[name] for name in ("uid", "authentication_id", "first_uid", "last_uid") if row.get(name)]
    connection.execute(f"""
        CREATE TEMP TABLE roles AS
        SELECT uid AS role_uid, string_agg(DISTINCT words(role), ', ' ORDER BY words(role)) AS role FROM (
            SELECT uid, role FROM evidence WHERE {among("row_id", rows)}
            UNION ALL SELECT UNNEST({own}::BIGINT[]), 'joins'
            UNION ALL SELECT uid, 'joins' FROM ways WHERE place = 1 AND uid IS NOT NULL
            UNION ALL SELECT authentication_id, 'joins' FROM proofs) GROUP BY uid""")


@cache
def rule_words() -> dict[str, str]:
    """What each rule of hops and links says, by its name."""
    return {row["rule"]: row["says"] for row in catalogue.table("path_rules")}


_RECORD = """COALESCE('record ' || COALESCE(CAST(e.record_id AS VARCHAR), '?') || ' (' || e.event_id || ') of '
    || short(e.computer), 'a record that is gone')"""


def _links(connection: Connection) -> list[dict[str, Any]]:
    """The authentications of the sessions, in the order of time."""
    rows = _dicts(
        connection,
        f"""SELECT told_id(l.session_id) AS session_id, l.rule, l.certainty, l.apart_s, l.time, l.controller,
            l.step, l.client_address, l.authentication_id, {_RECORD} AS record
        FROM proofs AS l LEFT JOIN events AS e ON e.uid = l.authentication_id
        ORDER BY l.time, l.certainty DESC, l.link_id""",
    )
    for row in rows:
        row["says"] = rule_words()[row["rule"]]
    return rows


def _hops(connection: Connection) -> list[dict[str, Any]]:
    """All that came into question, with the reason why it was chosen or not."""
    rows = _dicts(
        connection,
        f"""SELECT told('h', h.hop_id) AS hop_id, told_id(h.to_session_id) AS to_session_id,
            told_id(h.from_session_id) AS from_session_id, h.time, h.from_host, h.from_account, h.to_host, h.to_account,
            h.rule, h.certainty, h.candidates, h.place, h.credential, h.uid, {_RECORD} AS record,
            b.logon_type AS from_logon_type, b.start_time AS began, d.address,
            words(replace(d.told_by, ' ', ', ')) AS told_by, d.sightings,
            FIRST_VALUE(h.certainty) OVER w AS best, FIRST_VALUE(h.from_host) OVER w AS best_host,
            FIRST_VALUE(h.from_session_id) OVER w AS best_session
        FROM ways AS h LEFT JOIN events AS e ON e.uid = h.uid
        LEFT JOIN ends AS b ON b.session_id = h.from_session_id
        LEFT JOIN addresses AS d ON h.rule = 'address' AND d.first_uid = h.uid
        WINDOW w AS (PARTITION BY h.to_session_id ORDER BY h.place
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        ORDER BY h.time, h.to_session_id, h.place""",
    )
    for row in rows:
        row["says"] = rule_words()[row["rule"]]
        row["why"] = _why(row)
        if row["address"]:
            more = "" if row["sightings"] == 1 else f", and {row['sightings'] - 1} more"
            row["record"] = f"{row['address']}: {row['told_by']}, {row['record']}{more}"
    others = _others(connection)
    for row in rows:
        for name in _ON_THE_WAY:
            del row[name]
    return sorted([*rows, *others], key=lambda row: (row["time"], row["to_session_id"], row["place"] is None))


_ON_THE_WAY = ("best", "best_host", "best_session", "from_logon_type", "began", "address", "told_by", "sightings")
"""What reasons are made of."""

_NAMING = {"subject", "explicit", "explicit_again", "outgoing_ntlm", "desktop_client"}
"""Rules whose record names the session. The others name a machine, and the session there is looked for."""


def _why(row: dict[str, Any]) -> str:
    """Why a row was chosen, or why not."""
    several = (row["candidates"] or 0) > 1
    if row["place"] == 1:
        if row["from_session_id"] is None:
            return "chosen: nothing tells more than the machine"
        if row["rule"] in _NAMING:
            return "chosen: the surest"
        if row["rule"] == "prompt":
            return "chosen: the only desktop that was open there"
        if row["began"] and row["began"] > row["time"]:
            return "chosen: the desktop of the account there, which began then: moments later, by a clock of its own"
        if row["credential"] == "switch":
            return "chosen: nobody of that account is seen there; " + (
                f"one of {row['candidates']} desktops of others" if several else "the only desktop of anybody"
            )
        if row["from_logon_type"] in {3, 8}:
            return "chosen: of that account only network sessions are seen there; this is the latest before"
        return "chosen: " + (
            f"one of {row['candidates']} sessions of the account that were open there"
            if several
            else "the only session of the account that was open there"
        )
    if row["from_session_id"] is None:
        if row["best_session"] is None:
            return "less sure than what was chosen"
        if row["from_host"] == row["best_host"]:
            return "agrees with what was chosen, and tells the machine only"
        return "not chosen: tells no session; whether it is the machine that was chosen, nothing tells"
    if row["certainty"] < row["best"]:
        return f"rejected: {row['certainty']:.2f} is less sure than {row['best']:.2f}"
    return "as sure as the one that was chosen: which of them it was, the logs do not tell"


def _others(connection: Connection) -> list[dict[str, Any]]:
    """Sessions that somebody could have acted in at the machine a hop came from, and that no rule took for it."""
    hosts = connection.execute("SELECT DISTINCT from_host_id FROM ways WHERE place = 1 AND from_host_id IS NOT NULL")
    found = [host for (host,) in hosts.fetchall()]
    if not found:
        return []
    at = among("s.host_id", found)
    rows = _dicts(
        connection,
        f"""SELECT CAST(NULL AS VARCHAR) AS hop_id, told_id(h.to_session_id) AS to_session_id,
            told_id(s.session_id) AS from_session_id, h.time, s.host AS from_host, s.account AS from_account,
            h.to_host, h.to_account, CAST(NULL AS VARCHAR) AS rule, CAST(0 AS DOUBLE) AS certainty,
            CAST(NULL AS BIGINT) AS candidates, CAST(NULL AS INTEGER) AS place, CAST(NULL AS VARCHAR) AS credential,
            h.uid, CAST(NULL AS VARCHAR) AS record, h.rule AS best_rule, s.account_id = b.account_id AS same,
            s.logon_type, s.opened_by
        FROM ways AS h JOIN ends AS b ON b.session_id = h.to_session_id
        JOIN sessions AS s ON s.host_id = h.from_host_id AND s.kind = 'person' AND s.session_id <> h.to_session_id
            AND (s.logon_type IN (2, 9, 10, 11, 12) OR (s.logon_type IS NULL AND s.start_time IS NULL))
            AND COALESCE(s.start_time <= h.time, TRUE)
            AND (s.end_reason = 'still_open' OR COALESCE(s.end_time, s.end_time_max, s.last_time) >= h.time)
        WHERE h.place = 1 AND {at}
            AND NOT EXISTS (SELECT 1 FROM ways AS o
                WHERE o.to_session_id = h.to_session_id AND o.from_session_id = s.session_id)
        QUALIFY ROW_NUMBER() OVER (PARTITION BY h.to_session_id ORDER BY s.session_id) <= {MOST_OTHERS}
        ORDER BY h.to_session_id, s.session_id""",
    )
    for row in rows:
        row["says"] = "it was open there at that time"
        rule, same, logon_type, opened_by = (row.pop(name) for name in ("best_rule", "same", "logon_type", "opened_by"))
        if rule in _NAMING:
            row["why"] = "rejected: the record names another session"
        elif rule == "prompt":
            row["why"] = "rejected: it is no desktop"
        elif same and logon_type == 9:
            row["why"] = "rejected: it stands for another account on other hosts"
        elif same and opened_by == "uac_prompt":
            row["why"] = "rejected: it was opened for one program, and a session of the account was open"
        elif same:
            row["why"] = "rejected: nothing shows that it was still open; another desktop or a long silence came before"
        else:
            row["why"] = "rejected: of another account"
    return rows


_ASKING = (552, 672, 673, 680, 681, 4648, 4768, 4769, 4776, 8001)
"""Events of what is asked for."""


def _records(connection: Connection, *, limit: int, for_people: bool) -> Answer:
    """The records in the order of time, each with the part it plays and its own fields as written."""
    told = people_events(connection, "uid", "record_id", "data") if for_people else "SELECT * FROM events"
    columns, host, event = ("e.* EXCLUDE (uid)", "host", "event") if for_people else ("e.*", "computer", "event_id")
    # where clocks tell whole seconds only: what is asked for stands before what comes of it
    order = f"e.time, e.{event} NOT IN {_ASKING}, e.{host}, e.record_id, e.uid"
    limited = f"LIMIT {limit}" if limit else ""
    query = f"SELECT role, {columns} FROM ({told}) AS e JOIN roles ON role_uid = e.uid ORDER BY {order} {limited}"
    return answer(connection, query, number(connection, "SELECT COUNT(*) FROM events JOIN roles ON role_uid = uid"))
