"""The story of one account: what it did on all hosts, in the order of time, under a header of who it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from logontracks.case import Case
from logontracks.engines.duckdb import Connection, interruptible
from logontracks.errors import QueryError
from logontracks.queries.answer import Answer, listed, moment
from logontracks.queries.authentications import FAILED_FROM
from logontracks.queries.coverage import why_unknown
from logontracks.queries.sessions import ENDED, LASTED, NETWORK
from logontracks.queries.tables import accounts_of, among, many, with_tables

MOST_ACCOUNTS = 50


@dataclass(frozen=True, slots=True)
class Track:
    """A header for each account, and their story in one. Times are naive UTC; `usual_hours` are in the asked zone."""

    accounts: tuple[dict[str, Any], ...]
    story: Answer


def track(
    case: Case,
    user: str,
    *,
    tz: ZoneInfo,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 0,
    for_people: bool = False,
    everything: bool = False,
) -> Track:
    """What an account did. Network logons and tickets are folded to one counted row for each host, source and day,
    unless `everything`. `since` and `until` are for the story; the header tells of all time.

    Raises QueryError when no account fits, or too many; CaseError when the tables have not been worked out.
    """

    def asked(connection: Connection) -> Track:
        accounts, notes = accounts_of(connection, (user,))
        if not accounts:
            what, _, hint = notes[0].partition(". ")
            raise QueryError(what.removesuffix("."), hint or "list them with `logontracks accounts --all`")
        if len(accounts) > MOST_ACCOUNTS:
            raise QueryError(f"{user} fits {len(accounts):,} accounts", "name one, or a domain: DOMAIN\\name")
        interruptible(connection, lambda: _give_own(connection, accounts))
        headers = tuple(interruptible(connection, lambda: [_header(connection, account, tz) for account in accounts]))
        story = _story(accounts, _between("t", "t", since, until), folded=not everything)
        where = _between("start_time", "COALESCE(end_time, start_time)", since, until)
        columns = _FOR_PEOPLE if for_people else "*"
        if for_people and len(accounts) > 1:
            columns = columns.replace("what,", "account, what,", 1)
        interruptible(connection, lambda: _give_reached(connection))
        interruptible(connection, lambda: connection.execute(f"CREATE TEMP TABLE story AS {story}"))
        order = "start_time, rank, depth, what, host, id"
        return Track(headers, listed(connection, columns, f"FROM story WHERE {where}", order, limit).told(*notes))

    found, notes = with_tables(case, asked)
    return Track(found.accounts, found.story.told(*notes))


_FOR_PEOPLE = """start_time, end_time, repeat('> ', depth) || what AS what, count, short(host) AS host, source,
    detail, result, id[:10] AS id"""

SURE = 0.5  # a session of another account is told as caused by this one when it is at least so sure
DEEP = 3  # how many hops on


_TOLD = """session_id, host_id, host, account_id, account, name, logon_type, start_time, start_certainty, end_time,
    end_time_min, end_time_max, end_reason, end_certainty, end_uid, duration_s, duration_min_s, duration_max_s,
    clock_step_s, active_s, reconnects, admin, auth_package, source_address, workstation, opened_by, first_time,
    last_time"""
"""What is told of sessions: reading all their columns takes twice as long."""


def _give_own(connection: Connection, accounts: list[int]) -> None:
    """Make the table `own`: the sessions of accounts, read once."""
    connection.execute(f"CREATE TEMP TABLE own AS SELECT {_TOLD} FROM sessions WHERE {among('account_id', accounts)}")


def _give_reached(connection: Connection) -> None:
    """Make the table `reached`: `own` sessions, those of others that they led to, and how deep each lies under the one
    it came from. `came` is the host it came from, NULL where that is none of the case."""
    connection.execute("CREATE TEMP TABLE ours AS SELECT session_id, FALSE AS others FROM own")
    connection.execute(f"""
        CREATE TEMP TABLE sure AS
        SELECT to_session_id, from_session_id FROM hops
        WHERE place = 1 AND certainty >= {SURE} AND from_session_id IS NOT NULL""")
    for _ in range(DEEP):
        connection.execute("""
            INSERT INTO ours SELECT DISTINCT h.to_session_id, TRUE FROM sure AS h
            JOIN ours AS o ON o.session_id = h.from_session_id
            WHERE h.to_session_id NOT IN (SELECT session_id FROM ours)""")
    connection.execute("""
        CREATE TEMP TABLE above AS
        SELECT h.to_session_id AS session_id, h.from_session_id FROM sure AS h
        JOIN ours AS c ON c.session_id = h.to_session_id JOIN ours AS p ON p.session_id = h.from_session_id""")
    connection.execute(f"""
        CREATE TEMP TABLE reached AS
        SELECT s.*, o.others, CASE WHEN h.from_host_id IS NOT NULL THEN h.from_host END AS came,
            CASE WHEN h.credential = 'switch' THEN h.from_account END AS came_as, h.certainty AS came_surely,
            told_id(h.from_session_id) AS came_from_id,
            (a.session_id IS NOT NULL)::INTEGER + (b.session_id IS NOT NULL)::INTEGER
                + (c.session_id IS NOT NULL)::INTEGER AS depth
        FROM ours AS o
        JOIN (FROM own UNION ALL
                SELECT {_TOLD} FROM sessions WHERE session_id IN (SELECT session_id FROM ours WHERE others)) AS s
            ON s.session_id = o.session_id
        LEFT JOIN hops AS h ON h.to_session_id = o.session_id AND h.place = 1
        LEFT JOIN above AS a ON a.session_id = o.session_id
        LEFT JOIN above AS b ON b.session_id = a.from_session_id
        LEFT JOIN above AS c ON c.session_id = b.from_session_id""")


def _story(accounts: list[int], within: str, *, folded: bool) -> str:
    """SQL for all that is told of accounts: sessions and those they led to, changes of presence, failures, tickets.

    `within` is a condition on the time `t` of what is folded, so that a row counts nothing beyond the asked time.
    """
    mine = among("account_id", accounts)
    day = "CAST(t AS DATE)" if folded else "id"
    return f"""
    -- sessions that somebody sat at, or that ran something: a row each
    SELECT 1 AS rank, s.account, COALESCE(s.start_time, s.first_time) AS start_time, s.end_time,
        COALESCE(words(s.opened_by), 'session')
            || CASE WHEN s.start_certainty = 'unknown' THEN ' (open before the log)' ELSE '' END
            || CASE WHEN s.others THEN ' as ' || s.name ELSE '' END AS what,
        NULL::BIGINT AS count, s.host, COALESCE(short(s.came), {_CLIENT}) AS source,
        concat_ws(', ', {_CAME}, {LASTED}, CASE WHEN s.admin THEN 'admin' END, s.auth_package,
            CASE WHEN s.reconnects > 1 THEN 'reconnected ' || s.reconnects || ' times'
                WHEN s.reconnects = 1 THEN 'reconnected once' END) AS detail,
        {ENDED} AS result, told_id(s.session_id) AS id, s.depth, s.came_from_id
    FROM reached AS s
    WHERE NOT ({NETWORK})
    UNION ALL
    SELECT 2, MAX(account), MIN(t), MAX(end_time) FILTER (sure),
        'network logon' || CASE WHEN BOOL_OR(others) THEN ' as ' || MAX(name) ELSE '' END, COUNT(*), MAX(host), source,
        concat_ws(', ', came_as, CASE WHEN BOOL_OR(admin) THEN 'admin' END,
            string_agg(DISTINCT kind, ', ' ORDER BY kind)), NULL,
        CASE WHEN COUNT(*) = 1 THEN MIN(id) END, MAX(depth), came_from_id
    FROM (
        SELECT s.account, COALESCE(s.start_time, s.first_time) AS t, s.end_time, s.end_certainty = 'exact' AS sure,
            s.host, s.host_id, COALESCE(short(s.came), {_CLIENT}) AS source, {_CAME} AS came_as, s.others, s.depth,
            s.came_from_id, s.name, s.admin, told_id(s.session_id) AS id,
            CASE WHEN s.opened_by = 'network' THEN s.auth_package ELSE words(s.opened_by) END AS kind, s.account_id
        FROM reached AS s WHERE {NETWORK})
    WHERE {within}
    GROUP BY account_id, host_id, source, came_as, came_from_id, {day}
    UNION ALL
    SELECT 3, p.account, p.start_time, p.end_time, words(p.state), NULL, p.host, NULL, spelled(p.duration_s), NULL,
        told_id(p.session_id), 0, NULL
    FROM presence AS p JOIN own AS s ON s.session_id = p.session_id
    WHERE p.state IN ('locked', 'disconnected', 'asleep')
        AND COALESCE(p.duration_s, 60) >= 60
    UNION ALL
    SELECT 0, f.account, f.first_time, NULLIF(f.last_time, f.first_time), 'failed logon', NULLIF(f.attempts, 1),
        COALESCE(f.target_host, f.controller),
        NULLIF({FAILED_FROM}, 'the host itself'),
        concat_ws(', ', y.symbol, f.codes),
        f.reason || CASE WHEN f.noise IS NULL THEN '' ELSE ' (' || f.noise || ')' END,
        told_failure(f.failure_id), 0, NULL
    FROM failures AS f LEFT JOIN logon_words AS y ON y.code = f.logon_type
    WHERE {mine.replace("account_id", "f.account_id")}
    UNION ALL
    SELECT 4, MAX(account), MIN(t), NULLIF(MAX(t), MIN(t)), what, COUNT(*), MAX(controller), client, MAX(detail), NULL,
        NULL, 0, NULL
    FROM (
        SELECT a.account, a.account_id, a.time AS t, a.controller, a.host_id, a.authentication_id AS id,
            CASE WHEN a.client_address IN ('::1', '127.0.0.1') THEN 'the controller'
                ELSE COALESCE(a.client_address, a.workstation) END AS client,
            CASE a.step WHEN 'ticket_granting' THEN 'Kerberos logon' WHEN 'renewal' THEN 'Kerberos renewal'
                WHEN 'service' THEN 'ticket for ' || COALESCE(a.service_host, a.service_name, '?')
                WHEN 'mapping' THEN 'certificate mapped' ELSE 'NTLM checked' END AS what,
            concat_ws(', ', a.weak, words(a.delegation)) AS detail
        FROM authentications AS a WHERE {mine.replace("account_id", "a.account_id")} AND a.success)
    WHERE {within}
    GROUP BY account_id, host_id, client, what, {day}"""


def _between(first: str, last: str, since: datetime | None, until: datetime | None) -> str:
    parts = ["TRUE"]
    if since is not None:
        parts.append(f"{last} >= {moment(since)}")
    if until is not None:
        parts.append(f"{first} < {moment(until)}")
    return " AND ".join(parts)


_CAME = """CASE WHEN s.came_as IS NULL THEN NULL ELSE 'from ' || s.came_as END
    || CASE WHEN s.came_surely < 0.9 THEN ', ' || printf('%.0f %%', 100 * s.came_surely) || ' sure' ELSE '' END"""

_CLIENT = (
    "CASE WHEN s.source_address IN ('127.0.0.1', '::1') THEN NULL ELSE COALESCE(s.source_address, s.workstation) END"
)


def _header(connection: Connection, account: int, tz: ZoneInfo) -> dict[str, Any]:
    """Who an account is, where and when it is usually seen, and what the logs cannot show of it."""
    row = connection.execute(f"SELECT * FROM accounts WHERE account_id = {account}")
    header = dict(zip([column[0] for column in row.description or ()], row.fetchall()[0], strict=True))
    others = connection.execute(f"""
        SELECT DISTINCT concat_ws('\\', domain, name) FROM account_names WHERE account_id = {account} ORDER BY 1
        """).fetchall()  # fmt: skip
    header["also_called"] = [name for (name,) in others if name.lower() != (header["account"] or "").lower()]
    counts = connection.execute(f"""
        SELECT COUNT(*) AS sessions, COUNT(DISTINCT host_id) AS hosts,
            COUNT(*) FILTER (opened_by = 'desktop') AS desktops,
            COUNT(*) FILTER (opened_by = 'remote_desktop') AS remote_desktops,
            COUNT(*) FILTER ({NETWORK}) AS network_logons,
            COUNT(*) FILTER (end_reason = 'still_open') AS open_sessions, COUNT(*) FILTER (admin) AS admin_sessions
        FROM own AS s WHERE account_id = {account}""")
    header |= dict(zip([column[0] for column in counts.description or ()], counts.fetchall()[0], strict=True))
    ((tickets, ntlm, weak),) = connection.execute(f"""
        SELECT COUNT(*) FILTER (protocol = 'kerberos'), COUNT(*) FILTER (protocol = 'ntlm'),
            COUNT(*) FILTER (weak IS NOT NULL)
        FROM authentications WHERE account_id = {account}""").fetchall()
    ((failed,),) = connection.execute(
        f"SELECT COALESCE(SUM(attempts), 0)::BIGINT FROM failures WHERE account_id = {account} AND noise IS NULL"
    ).fetchall()
    header |= {"kerberos": tickets, "ntlm": ntlm, "weak": weak, "failed_attempts": failed}
    home = connection.execute(f"""
        SELECT h.host, COUNT(*) FROM own AS s JOIN hosts AS h ON h.host_id = s.host_id
        WHERE s.account_id = {account} AND s.opened_by = 'desktop'
        GROUP BY h.host ORDER BY COUNT(*) DESC, SUM(s.duration_min_s) DESC, 1 LIMIT 1""").fetchall()
    header["home_machine"] = home[0][0] if home else None
    header["usual_hours"] = usual_hours(_starts(connection, account, tz))
    header["cannot_show"] = _limits(connection, account, header)
    return header


def _starts(connection: Connection, account: int, tz: ZoneInfo) -> list[int]:
    """The hours, in the zone, at which desktop and remote desktop sessions of an account began."""
    starts = connection.execute(f"""
        SELECT epoch_us(start_time) FROM own
        WHERE account_id = {account} AND start_time BETWEEN TIMESTAMP '1971-01-01' AND TIMESTAMP '2200-01-01'
            AND opened_by IN ('desktop', 'remote_desktop') ORDER BY start_time DESC LIMIT 10000""").fetchall()
    return [datetime.fromtimestamp(start / 1e6, tz).hour for (start,) in starts]


def usual_hours(hours: list[int]) -> str | None:
    """Between which hours of the day most of these lie: 07:00 to 10:59. None for under 3, and for any hour."""
    if len(hours) < 3:
        return None
    usual = len(hours) - max(len(hours) // 5, min(2, len(hours) - 4), 0)  # the others are not usual
    clock = sorted([*hours, *(hour + 24 for hour in hours)])  # a night shift goes on after midnight
    span, early = min((clock[at + usual - 1] - clock[at], clock[at]) for at in range(len(hours)))
    return f"{early:02}:00 to {(early + span) % 24:02}:59" if span < 12 else None


def _limits(connection: Connection, account: int, header: dict[str, Any]) -> list[str]:
    """What the logs cannot show of an account, in sentences."""
    said: list[str] = []
    ((elsewhere,),) = connection.execute(f"""
        SELECT COUNT(*) FROM own AS s JOIN hosts AS h ON h.host_id = s.host_id
        WHERE s.account_id = {account} AND COALESCE(h.role, '') <> 'domain_controller'""").fetchall()
    if header["kind"] == "person" and not elsewhere and (header["kerberos"] or header["ntlm"]):
        said.append(
            "Only controllers tell of it: on which hosts its sessions ran, and when they ended, is not in the logs."
        )
    said += why_unknown(connection, f"s.account_id = {account}", "own")
    ((silent,),) = connection.execute(f"""
        SELECT COUNT(*) FILTER (active_s IS NULL AND end_certainty = 'exact'
                AND opened_by IN ('desktop', 'remote_desktop'))
        FROM own WHERE account_id = {account}""").fetchall()
    if silent:
        said.append(f"{many(silent, 'desktop session')} of it ran where locks are not audited.")
    if not header["kerberos"] and not header["ntlm"] and header["local_host_id"] is None:
        said.append("No controller tells of it: what else it asked for is not in the logs.")
    ((refused,),) = connection.execute(
        "SELECT COUNT(*) FROM authentications WHERE protocol = 'kerberos' AND NOT success"
    ).fetchall()
    if header["kerberos"] and not refused:
        said.append("No controller logged one failed Kerberos authentication: failures may not be audited there.")
    return said
