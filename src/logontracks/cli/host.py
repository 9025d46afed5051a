"""logontracks host: who was on one machine."""

from __future__ import annotations

from typing import Any

import click

from logontracks.cli.options import Query, View, microseconds, read_time, said, wall_clock, with_query


@click.command("host")
@click.argument("name", metavar="HOST", callback=said)
@with_query
@click.option("--at", "moment", metavar="TIME", help="Who was on it at that moment, and how sure that is.")
@click.option("--all", "everything", is_flag=True, help="Also sessions of computers, services and window managers.")
def command(name: str, query: Query, moment: str | None, *, everything: bool) -> None:
    """Who was on a host: all its sessions, or with --at those of one moment, each certain or possible.

    \b
    Examples:
      logontracks host WKS-105
      logontracks host APP01 --at 2026-10-08T02:50
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries import lists  # noqa: PLC0415 - fast start
    from logontracks.queries.sessions import SessionFilter, sessions, who_was_on  # noqa: PLC0415 - fast start

    case, for_people = Case(query.case), people(query.view)
    if moment is not None:
        at = read_time(moment, query.view.tz)
        found = who_was_on(case, name, at, limit=most(query.view), for_people=for_people, everything=everything)
        show(found, query.view, empty="Nobody was on it, as far as the logs tell.")
        return
    with lists.hosts(case, (name,), must=True) as about:
        hosts = about.rows.read_all().to_pylist()
    wanted = SessionFilter(hosts=(name,), since=query.since, until=query.until)
    found = sessions(case, wanted, limit=most(query.view), for_people=for_people, everything=everything)
    show(found, query.view, empty="No session fits.", above=_lines(hosts, query.view) if for_people else ())


def _lines(hosts: list[dict[str, Any]], view: View) -> list[str]:
    """Headers for people, one for each host."""
    clock = wall_clock(view.tz)
    lines: list[str] = []
    for host in hosts:
        role = (host["role"] or "").replace("_", " ")
        seen = " to ".join(clock(microseconds(host[name])) for name in ("first_seen", "last_seen"))
        rows = {
            "Host": host["host"] + (f" ({role})" if role else ""),
            "Names": host["names"] if host["names"] != host["host"] else "",
            "Windows": host["os_name"] or "",
            "Seen": f"{seen} ({view.tz.key})",
            "Boots": f"{host['boots']:,}",
            "Sessions": f"{host['sessions']:,}, {host['open_sessions']:,} open at the end of its logs",
        }
        lines += [f"{name:9} {text}" for name, text in rows.items() if text]
        lines.append("")
    return lines
