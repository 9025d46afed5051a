"""What the logs can and cannot answer."""

from __future__ import annotations

from datetime import datetime

from logontracks import catalogue
from logontracks.case import Case
from logontracks.engines.duckdb import Connection, interruptible, literal
from logontracks.queries.answer import Answer, answer
from logontracks.queries.tables import among, hosts_of, with_tables


def logs(case: Case, hosts: tuple[str, ...] = (), *, limit: int = 0, for_people: bool = False) -> Answer:
    """What is here of each log of each host."""

    def asked(connection: Connection) -> Answer:
        where, notes = _hosts(connection, hosts)
        columns = (
            "host, channel AS log, first_time, last_time, records, NULLIF(missing, 0) AS missing,"
            " printf('%.0f %%', floor(part * 100)) AS here"
            if for_people
            else "*"
        )
        return _listed(connection, f"SELECT {columns} FROM log_spans WHERE {where}", "1, 2, 3", limit).told(*notes)

    found, notes = with_tables(case, asked)
    return found.told(*notes)


def coverage(
    case: Case,
    hosts: tuple[str, ...] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 0,
    for_people: bool = False,
) -> Answer:
    """Which audit subcategories a host wrote records of, day by day; `for_people` over all days."""

    def asked(connection: Connection) -> Answer:
        where, notes = _hosts(connection, hosts)
        if since is not None:
            where += f" AND day >= CAST(TIMESTAMP {literal(since.isoformat(' '))} AS DATE)"
        if until is not None:
            where += f" AND day < TIMESTAMP {literal(until.isoformat(' '))}"
        query = (
            f"""SELECT host, subcategory, SUM(records)::BIGINT AS records, COUNT(DISTINCT day) AS days,
                MIN(day) AS first_day, MAX(day) AS last_day
            FROM coverage WHERE {where} AND subcategory IS NOT NULL GROUP BY host, subcategory"""
            if for_people
            else f"SELECT * FROM coverage WHERE {where}"
        )
        return _listed(connection, query, "1, 2, 3, 4", limit).told(*notes)

    found, notes = with_tables(case, asked)
    return found.told(*notes)


def blind_spots(
    case: Case,
    hosts: tuple[str, ...] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 0,
    for_people: bool = False,
) -> Answer:
    """What makes the logs tell less than they seem to; `for_people` gaps of one log and day as one."""

    def asked(connection: Connection) -> Answer:
        where, notes = _hosts(connection, hosts)
        if hosts:
            where = f"({where} OR host_id IS NULL)"
        if since is not None:
            where += f" AND COALESCE(end_time, TIMESTAMP '9999-12-31') >= TIMESTAMP {literal(since.isoformat(' '))}"
        if until is not None:
            begin = "COALESCE(start_time, end_time, TIMESTAMP '0001-01-01')"
            where += f" AND {begin} < TIMESTAMP {literal(until.isoformat(' '))}"
        query = f"SELECT * FROM blind_spots WHERE {where}"
        if for_people:
            query = f"""
                SELECT host, channel AS log, MIN(start_time) AS since, MAX(end_time) AS until, MIN(what) AS what,
                    CASE WHEN COUNT(*) > 1 THEN COUNT(*) || ' gaps, ' || SUM(amount)::BIGINT || ' records'
                        WHEN MIN(kind) = 'clock_step' THEN 'by ' || spelled(ABS(MIN(amount)))
                            || CASE WHEN MIN(amount) < 0 THEN ' back' ELSE ' ahead' END
                        ELSE concat_ws(', ', MIN(detail), CASE WHEN MIN(kind) NOT IN ('gap', 'selection')
                            THEN MIN(amount) || ' records' END) END AS how_much,
                    MIN(unsafe) AS unsafe_to_conclude, MIN(how_to_set) AS to_turn_it_on
                FROM ({query}) GROUP BY host_id, host, channel, kind,
                    CASE WHEN kind = 'gap' THEN CAST(end_time AS DATE) END,
                    CASE WHEN kind <> 'gap' THEN COALESCE(uid, 0) END"""
        return _listed(connection, query, "1, 2, 3, 4, 5", limit).told(*notes)

    found, notes = with_tables(case, asked)
    return found.told(*notes)


def why_empty(connection: Connection, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """What to tell somebody who got no rows: what the logs reach, and what is known to be missing from them."""
    where, _ = _hosts(connection, hosts)
    rows = connection.execute(f"""
        SELECT COUNT(DISTINCT host_id), MIN(first_time), MAX(last_time), MIN(host)
        FROM log_spans WHERE channel = 'Security' AND {where}""").fetchall()
    ((number, first, last, host),) = rows
    if not number:
        return ("There is no Security log of it in the case.",) if hosts else ("There is no Security log in the case.",)
    whose = f"log of {host}" if number == 1 else f"logs of {number:,} hosts"
    told = (f"Security {whose}: {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC.",)
    if not hosts:
        return (*told, "What is missing from them: `logontracks coverage`.")
    blind = connection.execute(f"""
        SELECT MIN(what) || CASE WHEN COUNT(*) > 1 THEN ' (' || COUNT(*) || ' times)' ELSE '' END || ': ' || MIN(host)
        FROM blind_spots WHERE {where} AND host_id IS NOT NULL GROUP BY host_id, kind ORDER BY 1 LIMIT 4""").fetchall()
    return (*told, *(f"{text}." for (text,) in blind))


def policy(role: str) -> tuple[str, ...]:
    """Lines of a script that turns on what logon tracking needs on hosts of a role: domain_controller, server,
    workstation. Audit subcategories are named by GUID, which is the same in every language."""
    wanted = {"domain_controller": ("all hosts", "DCs"), "server": ("all hosts",), "workstation": ("all hosts",)}[role]
    lines = [
        f"REM Auditing for logon tracking: {role.replace('_', ' ')}. Run as administrator, or set it by group policy:"
    ]
    lines.append("REM Computer Configuration, Policies, Windows Settings, Security Settings, Advanced Audit Policy")
    for row in catalogue.table("audit_policy"):
        if row["kind"] != "subcategory" or not any(each in row["needed_on"] for each in wanted) or not row["guid"]:
            continue
        flags = " ".join(f"/{kind}:enable" for kind in ("success", "failure") if kind in row["needed"])
        if flags:
            lines.append(f'auditpol /set /subcategory:"{row["guid"]}" {flags}')
            lines.append(f"REM   {row['category']}: {row['name']}. Without it: {row['missing_means']}")
    lines.append("REM Subcategories win over the nine old categories only with this:")
    lines.append(
        r"reg add HKLM\SYSTEM\CurrentControlSet\Control\Lsa /v SCENoApplyLegacyAuditPolicy /t REG_DWORD /d 1 /f"
    )
    lines.append(
        "REM Windows 2003 has two policies instead: Audit account logon events, Audit logon events; success and"
    )
    lines.append("REM failure of both.")
    return tuple(lines)


def _hosts(connection: Connection, hosts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    found, notes = hosts_of(connection, hosts)
    return (among("host_id", found) if hosts else "TRUE"), notes


def _listed(connection: Connection, query: str, order: str, limit: int) -> Answer:
    total = interruptible(connection, lambda: connection.execute(f"SELECT COUNT(*) FROM ({query})").fetchall()[0][0])
    limited = f"LIMIT {limit}" if limit else ""
    return answer(connection, f"SELECT * FROM ({query}) ORDER BY {order} {limited}", total)
