"""Hosts, accounts and boots of a case, and the records that a row of its tables rests on."""

from __future__ import annotations

from datetime import datetime

from logontracks.case import Case
from logontracks.engines.duckdb import Connection
from logontracks.queries.answer import Answer, listed, moment, number
from logontracks.queries.coverage import why_empty, why_unknown
from logontracks.queries.events import people_events
from logontracks.queries.tables import (
    LAST_TIME,
    accounts_of,
    among,
    answered,
    days_of,
    hosts_of,
    key_of,
    many,
    no_host,
    row_of,
)


def hosts(
    case: Case, names: tuple[str, ...] = (), *, limit: int = 0, for_people: bool = False, must: bool = False
) -> Answer:
    """Hosts by name. Raises CaseError when the tables have not been worked out, and QueryError when one `must` fit."""
    columns = (
        "host, words(role) AS role, NULLIF(names, host) AS names, os_name, first_seen, last_seen, boots, sessions,"
        " open_sessions"
        if for_people
        else "*"
    )

    def asked(connection: Connection) -> Answer:
        found, notes = hosts_of(connection, names)
        if must and not found:
            raise no_host(notes)
        where = among("host_id", found) if names else "TRUE"
        return listed(connection, columns, f"FROM hosts WHERE {where}", "LOWER(host), host_id", limit).told(*notes)

    return answered(case, asked)


def accounts(
    case: Case, users: tuple[str, ...] = (), *, limit: int = 0, for_people: bool = False, everything: bool = False
) -> Answer:
    """Accounts with what they were seen to do; `for_people` those of persons alone unless `everything` or named."""

    def asked(connection: Connection) -> Answer:
        found, notes = accounts_of(connection, users)
        where = among("a.account_id", found) if users else "TRUE"
        if for_people and not users and not everything:
            where = "a.kind = 'person'"
            left = number(connection, "SELECT COUNT(*) FROM accounts AS a WHERE a.kind <> 'person'")
            if left:
                told = f"{many(left, 'account')} of computers and of Windows itself left out: --all shows all."
                notes = (*notes, told)
        rows = f"""FROM accounts AS a LEFT JOIN (
                SELECT account_id, COUNT(*) AS sessions, COUNT(DISTINCT host_id) AS hosts,
                    SUM(CASE WHEN end_reason = 'still_open' THEN 1 ELSE 0 END)::BIGINT AS open_sessions
                FROM sessions GROUP BY account_id) AS s ON s.account_id = a.account_id
            LEFT JOIN hosts AS h ON h.host_id = a.local_host_id WHERE {where}"""
        counts = "COALESCE(s.sessions, 0) AS sessions, COALESCE(s.hosts, 0) AS hosts, COALESCE(s.open_sessions, 0)"
        columns = (
            f"a.account, a.kind, a.sid, h.host AS local_to, a.first_seen, a.last_seen, {counts} AS open_sessions"
            if for_people
            else f"a.*, {counts} AS open_sessions"
        )
        return listed(connection, columns, rows, "LOWER(a.account), a.account_id", limit).told(*notes)

    return answered(case, asked)


def boots(
    case: Case,
    names: tuple[str, ...] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 0,
    for_people: bool = False,
) -> Answer:
    """Lives of hosts between two starts, those that reach into the period."""

    def asked(connection: Connection) -> Answer:
        found, notes = hosts_of(connection, names)
        where = among("b.host_id", found) if names else "TRUE"
        if until is not None:
            where += f" AND COALESCE(LEAST(start_time, end_time), end_time, TIMESTAMP '0001-01-01') < {moment(until)}"
        if since is not None:
            where += f" AND COALESCE(GREATEST(start_time, end_time), TIMESTAMP '9999-12-31') >= {moment(since)}"
        columns = (
            "b.host, boot_no, start_time, end_time, words(end_kind) AS ended, end_certainty,"
            f" end_time_max AS at_the_latest, {_evidence('started_by')}, {_evidence('ended_by')}"
            if for_people
            else "b.*"
        )
        rows = f"FROM boots AS b JOIN hosts AS h ON h.host_id = b.host_id WHERE {where}"
        found_boots = listed(connection, columns, rows, "LOWER(h.host), b.host_id, boot_no", limit)
        if for_people and not found_boots.total:
            notes = (*notes, *why_empty(connection, names))
        return found_boots.told(*notes)

    return answered(case, asked)


def _evidence(column: str) -> str:
    """SQL for kinds of evidence, blank separated in the table, as people read a list."""
    return f"words(replace({column}, ' ', ', ')) AS {column}"


def evidence(case: Case, row: str, *, limit: int = 0, for_people: bool = False) -> Answer:
    """The records that a session or failure rests on, each with the part it plays.

    Raises QueryError when there is no such row, or several.
    """

    def asked(connection: Connection) -> Answer:
        table, wanted = row_of(connection, row)
        connection.execute(f"""
            CREATE TEMP TABLE roles AS
            SELECT uid AS role_uid, string_agg(DISTINCT words(role), ', ' ORDER BY words(role)) AS role
            FROM evidence WHERE row_id = {wanted} GROUP BY uid""")
        uids = connection.execute("SELECT role_uid FROM roles").fetchall()
        last = LAST_TIME if table == "sessions" else "last_time"
        spans = connection.execute(f"SELECT first_time, {last} FROM {table} WHERE {key_of(table)} = {wanted}")
        case.keep_records(connection, [uid for (uid,) in uids], days_of(spans.fetchall()))
        told = people_events(connection, "uid", "channel", "record_id") if for_people else "SELECT * FROM events"
        columns = "e.* EXCLUDE (uid)" if for_people else "e.*"
        rows = f"FROM ({told}) AS e JOIN roles ON role_uid = e.uid"
        order = "e.channel <> 'Security', e.record_id, e.time, e.uid"
        notes = why_unknown(connection, f"s.session_id = {wanted}")
        return listed(connection, f"role, {columns}", rows, order, limit).told(*notes)

    return answered(case, asked)
