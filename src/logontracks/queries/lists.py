"""Hosts, accounts and boots of a case, and the records that a row of its tables rests on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from logontracks.case import Case
from logontracks.engines.duckdb import Connection, interruptible, literal
from logontracks.queries.answer import Answer, answer
from logontracks.queries.coverage import give_reasons, why_empty, why_unknown
from logontracks.queries.events import people_events
from logontracks.queries.tables import accounts_of, among, hosts_of, no_host, row_of, with_tables


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
        return _listed(connection, columns, f"FROM hosts WHERE {where}", "LOWER(host), host_id", limit).told(*notes)

    return _answered(case, asked)


def accounts(
    case: Case, users: tuple[str, ...] = (), *, limit: int = 0, for_people: bool = False, everything: bool = False
) -> Answer:
    """Accounts with what they were seen to do; `for_people` those of persons alone unless `everything` or named."""

    def asked(connection: Connection) -> Answer:
        found, notes = accounts_of(connection, users)
        where = among("a.account_id", found) if users else "TRUE"
        if for_people and not users and not everything:
            left = "SELECT COUNT(*) FROM accounts WHERE kind <> 'person'"
            count = interruptible(connection, lambda: connection.execute(left).fetchall()[0][0])
            where = "a.kind = 'person'"
            notes = (*notes, f"{count:,} accounts of computers and of Windows itself are left out: --all shows them.")
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
        return _listed(connection, columns, rows, "LOWER(a.account), a.account_id", limit).told(*notes)

    return _answered(case, asked)


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
            where += f" AND COALESCE(LEAST(start_time, end_time), end_time, TIMESTAMP '0001-01-01') < {_moment(until)}"
        if since is not None:
            where += f" AND COALESCE(GREATEST(start_time, end_time), TIMESTAMP '9999-12-31') >= {_moment(since)}"
        columns = (
            "b.host, boot_no, start_time, end_time, words(end_kind) AS ended, end_certainty,"
            " end_time_max AS at_the_latest, words(started_by) AS started_by, words(ended_by) AS ended_by"
            if for_people
            else "b.*"
        )
        rows = f"FROM boots AS b JOIN hosts AS h ON h.host_id = b.host_id WHERE {where}"
        if for_people and connection.execute(f"SELECT 1 {rows} LIMIT 1").fetchone() is None:
            notes = (*notes, *why_empty(connection, names))
        return _listed(connection, columns, rows, "LOWER(h.host), b.host_id, boot_no", limit).told(*notes)

    return _answered(case, asked)


def evidence(case: Case, row: str, *, limit: int = 0, for_people: bool = False) -> Answer:
    """The records that a session or failure rests on, each with the part it plays.

    Raises QueryError when there is no such row, or several.
    """

    def asked(connection: Connection) -> Answer:
        wanted = row_of(connection, row)
        connection.execute(f"""
            CREATE TEMP TABLE roles AS
            SELECT uid AS role_uid, string_agg(role, ', ' ORDER BY role) AS role
            FROM (SELECT DISTINCT uid, words(role) AS role, row_id FROM evidence)
            WHERE row_id = {wanted} GROUP BY uid""")
        where = "uid IN (SELECT role_uid FROM roles)"
        count = f"SELECT COUNT(*) FROM events WHERE {where}"
        total = interruptible(connection, lambda: connection.execute(count).fetchall()[0][0])
        told = people_events(connection, "uid", "channel", "record_id") if for_people else "SELECT * FROM events"
        limited = f"LIMIT {limit}" if limit else ""
        columns = "e.* EXCLUDE (uid)" if for_people else "e.*"
        query = f"""SELECT role, {columns} FROM ({told} WHERE {where}) AS e JOIN roles ON role_uid = e.uid
            ORDER BY e.channel <> 'Security', e.record_id, e.time, e.uid {limited}"""
        give_reasons(connection)
        notes = why_unknown(connection, f"SELECT {wanted}")
        return answer(connection, query, total).told(*notes)

    return _answered(case, asked)


def _answered(case: Case, asked: Callable[[Connection], Answer]) -> Answer:
    found, notes = with_tables(case, asked)
    return found.told(*notes)


def _listed(connection: Connection, columns: str, rows: str, order: str, limit: int) -> Answer:
    total = interruptible(connection, lambda: connection.execute(f"SELECT COUNT(*) {rows}").fetchall()[0][0])
    limited = f"LIMIT {limit}" if limit else ""
    return answer(connection, f"SELECT {columns} {rows} ORDER BY {order} {limited}", total)


def _moment(moment: datetime) -> str:
    return f"TIMESTAMP {literal(moment.isoformat(' '))}"
