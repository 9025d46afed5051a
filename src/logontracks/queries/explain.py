"""Why a row says what it says: its records in order, what joins it to others, what was rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from logontracks.case import Case
from logontracks.engines.duckdb import Connection
from logontracks.queries.answer import Answer, answer, number
from logontracks.queries.events import people_events
from logontracks.queries.tables import among, row_of, with_tables

TABLES = ("sessions", "failures", "hops", "tracks", "links", "addresses", "requests")
MOST_HOPS = 8  # tracks are not longer


@dataclass(frozen=True, slots=True)
class Explanation:
    """The row, the hops and authentications of the sessions it is about, and the records it rests on.

    `hops` holds every session that came into question, the chosen one first, each with the reason why.
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
        key = "address_id" if table == "addresses" else f"{table[:-1]}_id"
        (row,) = _dicts(connection, f"SELECT * FROM {table} WHERE {key} = {found}")
        sessions = _sessions(connection, table, row)
        hops = _hops(connection, sessions)
        links = _dicts(
            connection,
            f"""SELECT told_id(l.session_id) AS session_id, l.rule, l.certainty, l.apart_s, a.time, a.controller,
                a.step, a.client_address, a.authentication_id
            FROM links AS l JOIN authentications AS a ON a.authentication_id = l.authentication_id
            WHERE {among("l.session_id", sessions)} ORDER BY a.time, l.certainty DESC, l.link_id""",
        )
        own = [row[name] for name in ("uid", "authentication_id", "first_uid", "last_uid") if row.get(name)]
        uids = [
            *own,
            *(hop["uid"] for hop in hops if hop["place"] == 1),
            *(link["authentication_id"] for link in links),
        ]
        records = _records(connection, [found, *sessions], uids, limit=limit, for_people=for_people)
        return Explanation(table, row, tuple(hops), tuple(links), records)

    found, notes = with_tables(case, asked)
    return Explanation(found.table, found.row, found.hops, found.links, found.records.told(*notes))


def _dicts(connection: Connection, query: str) -> list[dict[str, Any]]:
    rows = connection.execute(query)
    names = [column[0] for column in rows.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def _sessions(connection: Connection, table: str, row: dict[str, Any]) -> list[int]:
    """The sessions that a row is about, the last one of a way first."""
    if table == "tracks":
        found = [row["end_session_id"]]
        while len(found) <= MOST_HOPS:
            before = connection.execute(
                f"SELECT from_session_id FROM hops WHERE to_session_id = {found[-1]} AND place = 1"
            ).fetchall()
            if not before or before[0][0] is None:
                break
            found.append(before[0][0])
        return found
    ids = [row.get(name) for name in ("session_id", "to_session_id", "from_session_id")]
    return [session for session in ids if session is not None]


def _hops(connection: Connection, sessions: list[int]) -> list[dict[str, Any]]:
    """All that came into question, with the reason why it was chosen or not."""
    rows = _dicts(
        connection,
        f"""SELECT told('h', h.hop_id) AS hop_id, told_id(h.to_session_id) AS to_session_id,
            told_id(h.from_session_id) AS from_session_id, h.time, h.from_host, h.from_account, h.to_host, h.to_account,
            h.rule, h.certainty, h.candidates, h.place, h.uid,
            FIRST(h.certainty) OVER (PARTITION BY h.to_session_id ORDER BY h.place) AS best
        FROM hops AS h WHERE {among("h.to_session_id", sessions)} ORDER BY h.time, h.to_session_id, h.place""",
    )
    for row in rows:
        if row["place"] == 1:
            several = f", one of {row['candidates']} that came into question" if (row["candidates"] or 0) > 1 else ""
            row["why"] = "chosen: the surest" + several
        elif row["from_session_id"] is None:
            row["why"] = "rejected: tells the machine only, another rule tells the session"
        elif row["certainty"] < row["best"]:
            row["why"] = f"rejected: {row['certainty']:.2f} is less sure than {row['best']:.2f}"
        else:
            row["why"] = "as sure as the one that was chosen: which of them it was, the logs do not tell"
        del row["best"]
    return rows


def _records(connection: Connection, rows: list[int], uids: list[int], *, limit: int, for_people: bool) -> Answer:
    """The records in the order of time, each with the part it plays and its own fields as written."""
    connection.execute(f"""
        CREATE TEMP TABLE roles AS
        SELECT uid AS role_uid, string_agg(DISTINCT words(role), ', ' ORDER BY words(role)) AS role
        FROM (SELECT uid, role FROM evidence WHERE {among("row_id", rows)}
            UNION ALL SELECT uid, 'joins' FROM events WHERE {among("uid", uids)}) GROUP BY uid""")
    where = "uid IN (SELECT role_uid FROM roles)"
    total = number(connection, f"SELECT COUNT(*) FROM events WHERE {where}")
    told = people_events(connection, "uid", "record_id", "data") if for_people else "SELECT * FROM events"
    columns = "e.* EXCLUDE (uid)" if for_people else "e.*"
    limited = f"LIMIT {limit}" if limit else ""
    return answer(
        connection,
        f"""SELECT role, {columns} FROM ({told} WHERE {where}) AS e JOIN roles ON role_uid = e.uid
            ORDER BY e.time, e.record_id, e.uid {limited}""",
        total,
    )
