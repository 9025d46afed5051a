"""What the logs can and cannot answer."""

from __future__ import annotations

from datetime import datetime

from logontracks import catalogue
from logontracks.case import Case
from logontracks.engines.duckdb import Connection, literal
from logontracks.queries.answer import Answer, listed, moment
from logontracks.queries.tables import among, answered, hosts_of, many


def logs(case: Case, hosts: tuple[str, ...] = (), *, limit: int = 0, for_people: bool = False) -> Answer:
    """What is here of each log of each host."""

    def asked(connection: Connection) -> Answer:
        where, notes = _hosts(connection, hosts)
        columns = (
            "host, channel AS log, first_time, last_time, records, NULLIF(missing, 0) AS missing,"
            " printf('%.0f %%', floor(part * 100)) AS here, NULLIF(clears, 0) AS clears, NULLIF(stops, 0) AS stops,"
            " NULLIF(starts, 0) AS starts"
            if for_people
            else "*"
        )
        return listed(connection, columns, f"FROM log_spans WHERE {where}", "1, 2, 3", limit).told(*notes)

    return answered(case, asked)


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
            where += f" AND day >= CAST({moment(since)} AS DATE)"
        if until is not None:
            where += f" AND day < {moment(until)}"
        query = (
            f"""SELECT host, subcategory, SUM(records)::BIGINT AS records, COUNT(DISTINCT day) AS days,
                MIN(day) AS first_day, MAX(day) AS last_day
            FROM coverage WHERE {where} AND subcategory IS NOT NULL GROUP BY host, subcategory"""
            if for_people
            else f"SELECT * FROM coverage WHERE {where}"
        )
        return listed(connection, "*", f"FROM ({query})", "1, 2, 3, 4", limit).told(*notes)

    return answered(case, asked)


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
        if hosts:  # a controller without a log matters to all, another computer to who asks for it
            named = " OR ".join(f"contains(LOWER(host), {literal(host.lower().strip('*'))})" for host in hosts)
            where = f"({where} OR (host_id IS NULL AND (kind IN ('no_controller', 'no_controller_log') OR {named})))"
        if since is not None:
            where += f" AND COALESCE(end_time, TIMESTAMP '9999-12-31') >= {moment(since)}"
        if until is not None:
            begin = "COALESCE(start_time, end_time, TIMESTAMP '0001-01-01')"
            where += f" AND {begin} < {moment(until)}"
        query = f"SELECT * FROM blind_spots WHERE {where}"
        if for_people:
            query = f"""
                SELECT CASE WHEN host_id IS NOT NULL THEN short(MIN(host))
                        WHEN kind <> 'no_named_log' THEN MIN(host)
                        ELSE array_to_string(list_slice(list(host ORDER BY host), 1, 3), ', ')
                            || CASE WHEN COUNT(*) > 3 THEN ' and ' || (COUNT(*) - 3) || ' more' ELSE '' END END AS host,
                    channel AS log, MIN(start_time) AS since, MAX(end_time) AS until, MIN(what) AS what,
                    CASE WHEN kind = 'gap' AND COUNT(*) > 1
                            THEN COUNT(*) || ' gaps, ' || SUM(amount)::BIGINT || ' records'
                        WHEN kind = 'clock_step' THEN concat_ws(', ', spelled(ABS(MIN(amount)))
                            || CASE WHEN MIN(amount) < 0 THEN ' back' ELSE ' ahead' END, MIN(detail))
                        WHEN kind = 'clock_apart' THEN concat_ws(', ', spelled(ABS(MIN(amount)))
                            || CASE WHEN MIN(amount) < 0 THEN ' behind' ELSE ' ahead' END, MIN(detail))
                        WHEN kind = 'gap' THEN MIN(detail)
                        ELSE COALESCE(MIN(detail), MIN(amount) || ' ' || MIN(unit)) END AS how_much,
                    MIN(unsafe) AS unsafe_to_conclude, COALESCE(MIN(how_to_set), MIN(policy_path)) AS to_turn_it_on
                FROM ({query}) GROUP BY kind, host_id, channel,
                    CASE WHEN host_id IS NULL AND kind <> 'no_named_log' THEN host END,
                    CASE WHEN kind = 'gap' THEN CAST(end_time AS DATE) END,
                    CASE WHEN kind <> 'gap' THEN COALESCE(uid, 0) END"""
        return listed(connection, "*", f"FROM ({query})", "1, 2, 3, 4, 5, 6", limit).told(*notes)

    return answered(case, asked)


_AT = "strftime({}, '%Y-%m-%d %H:%M UTC')"

_WHY = f"""
    -- one clear of a log after the other, and what is missing between records
    WITH clears AS (
        SELECT host_id, uid, end_time,
            ' cleared' || COALESCE(' ' || detail, '') || ' at ' || {_AT.format("end_time")} AS told
        FROM blind_spots WHERE kind = 'clear' AND channel = 'Security'),
    gaps AS (SELECT host_id, end_time FROM blind_spots WHERE kind = 'gap' AND channel = 'Security'),
    logs AS (
        SELECT h.host_id, short(h.host) AS host, 'Security log of ' || short(h.host) AS log,
            {_AT.format("MIN(s.first_time)")} AS starts, {_AT.format("MAX(s.last_time)")} AS ends,
            BOOL_OR(b.kind = 'selection') AS selected, BOOL_OR(b.kind = 'logon_success') AS no_logons,
            BOOL_OR(b.kind = 'logoff') AS no_logoffs
        FROM hosts AS h
        LEFT JOIN log_spans AS s ON s.host_id = h.host_id AND s.channel = 'Security'
        LEFT JOIN blind_spots AS b ON b.host_id = h.host_id AND b.channel = 'Security'
            AND b.kind IN ('selection', 'logon_success', 'logoff')
        GROUP BY h.host_id, h.host)
    SELECT session_id, concat_ws('; ', start_why, NULLIF(end_why, COALESCE(start_why, ''))) AS why_unknown FROM (
    SELECT s.session_id,
        CASE WHEN s.start_certainty = 'exact' THEN NULL
            WHEN l.starts IS NULL THEN 'no Security log of ' || l.host
            WHEN l.no_logons THEN 'no events of subcategory Logon on ' || l.host
            WHEN l.selected THEN 'only a selection of the ' || l.log || ' is here'
            ELSE COALESCE(
                (SELECT l.log || max_by(c.told, c.end_time) FROM clears AS c
                    WHERE c.host_id = s.host_id AND c.end_time <= s.first_time),
                (SELECT 'records are missing from the ' || l.log || ' up to ' || {_AT.format("MAX(g.end_time)")}
                    FROM gaps AS g WHERE g.host_id = s.host_id AND g.end_time <= s.first_time),
                l.log || ' starts ' || l.starts) END AS start_why,
        CASE WHEN s.end_certainty = 'exact' THEN NULL
            WHEN s.end_reason = 'log_cleared'
                THEN l.log || (SELECT MIN(c.told) FROM clears AS c WHERE c.uid = s.end_uid)
            WHEN s.end_certainty = 'unknown' AND s.end_reason <> 'still_open'
                THEN 'more than one machine wrote under the name ' || l.host
            WHEN l.starts IS NULL THEN 'no Security log of ' || l.host
            WHEN l.selected THEN 'only a selection of the ' || l.log || ' is here'
            WHEN l.no_logoffs THEN 'no events of subcategory Logoff on ' || l.host
            ELSE COALESCE(
                (SELECT 'records are missing from the ' || l.log || ' before ' || {_AT.format("MIN(g.end_time)")}
                    FROM gaps AS g WHERE g.host_id = s.host_id AND g.end_time > s.last_time
                        AND g.end_time <= COALESCE(s.end_time_max, g.end_time)),
                CASE s.end_reason
                    WHEN 'crash' THEN l.host || ' crashed'
                        || COALESCE(' after ' || {_AT.format("s.end_time_min")}, '')
                    WHEN 'restart' THEN 'no record tells how ' || l.host || ' stopped'
                        || COALESCE(' before ' || {_AT.format("s.end_time_max")}, '')
                    WHEN 'shutdown' THEN 'no record of the end before ' || l.host || ' shut down at '
                        || {_AT.format("s.end_time_max")}
                    ELSE CASE WHEN COALESCE(s.logon_type, 0) IN (3, 8)
                            THEN 'no record of the end before the ' ELSE '' END
                        || l.log || ' ends ' || l.ends END) END AS end_why
    FROM {{rows}} AS s JOIN logs AS l ON l.host_id = s.host_id
    WHERE (s.start_certainty <> 'exact' OR s.end_certainty <> 'exact') AND {{which}})"""


def reasons(which: str = "TRUE", rows: str = "sessions") -> str:
    """SQL: `session_id` and `why_unknown` in words of each session whose start or end is not known exactly, of the
    table `rows` (as `s`) where it fits the condition `which`."""
    return _WHY.format(which=which, rows=rows)


def why_unknown(connection: Connection, which: str, rows: str = "sessions", *, most: int = 3) -> tuple[str, ...]:
    """Why starts and ends of sessions are not known, the commonest reasons first, each with how many it is true of.

    Which sessions: see `reasons`.
    """
    found = connection.execute(
        f"SELECT why_unknown, COUNT(*) FROM ({reasons(which, rows)}) GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    told = tuple(f"{many(count, 'session')} not known from start to end: {why}." for why, count in found[:most])
    left = sum(count for _, count in found[most:])
    return (*told, f"{many(left, 'session')} for other reasons: `why_unknown` in --format json.") if left else told


def why_empty(connection: Connection, hosts: tuple[str, ...]) -> tuple[str, ...]:
    """What to tell somebody who got no rows: what the logs reach, and what is known to be missing from them."""
    where, _ = _hosts(connection, hosts)
    rows = connection.execute(f"""
        SELECT COUNT(DISTINCT host_id), MIN(first_time), MAX(last_time), MIN(short(host))
        FROM log_spans WHERE channel = 'Security' AND {where}""").fetchall()
    ((number, first, last, host),) = rows
    if not number:
        return ("There is no Security log of it in the case.",) if hosts else ("There is no Security log in the case.",)
    whose = f"log of {host} starts {first:%Y-%m-%d %H:%M} UTC and ends" if number == 1 else (
        f"logs of {number:,} hosts start {first:%Y-%m-%d %H:%M} UTC and end"
    )  # fmt: skip
    told = (f"Security {whose} {last:%Y-%m-%d %H:%M} UTC.",)
    # of one host all that is known, of many what is not audited
    blind = connection.execute(f"""
        SELECT MIN(what) || ': ' || CASE WHEN COUNT(DISTINCT host_id) > 1 THEN COUNT(DISTINCT host_id) || ' hosts'
                ELSE MIN(short(host)) || CASE WHEN COUNT(*) > 1 THEN ' (' || COUNT(*) || ' times)'
                    WHEN MIN(end_time) IS NOT NULL THEN ', ' || concat_ws(' ', MIN(detail), 'at',
                        {_AT.format("MIN(end_time)")}) ELSE '' END END
        FROM blind_spots WHERE {where} AND host_id IS NOT NULL AND ({bool(hosts)} OR subcategory IS NOT NULL
            OR kind = 'clear')
        GROUP BY kind ORDER BY COUNT(DISTINCT host_id) DESC, 1 LIMIT 4""").fetchall()
    more = ("All that is missing from them: `logontracks coverage`.",) if number > 1 else ()
    return (*told, *(f"{text}." for (text,) in blind), *more)


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
