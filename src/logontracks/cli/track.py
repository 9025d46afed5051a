"""logontracks track: the story of one account."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from logontracks.cli.options import Query, iso_clock, microseconds, opened, said, wall_clock, with_query


@click.command("track")
@click.argument("user", metavar="USER", callback=said)
@with_query
@click.option("--all", "everything", is_flag=True, help="Each network logon and ticket in a row of its own.")
def command(user: str, query: Query, *, everything: bool) -> None:
    """What an account did on all hosts, in the order of time, under a header of who it is.

    Sessions with their ends, failures with their reasons, locks and disconnects; network logons and tickets are
    counted, a row for each host, source and day. The header tells what the logs cannot show. --since and --until are
    for the story. USER is a name, DOMAIN\\name, name@domain or SID.

    \b
    Examples:
      logontracks track anna.berg --since 2026-10-08 --until 2026-10-08
      logontracks track "LARCH\\svc-backup" --format json --output svc-backup.json
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.track import track  # noqa: PLC0415 - fast start

    view = query.view
    found = track(
        Case(query.case),
        user,
        tz=view.tz,
        since=query.since,
        until=query.until,
        limit=most(view),
        for_people=people(view),
        everything=everything,
    )
    if view.format == "json":
        iso = iso_clock(view.tz)
        with found.story as story:
            told = {
                "accounts": [_plain(header, iso) for header in found.accounts],
                "story": [_plain(row, iso) for row in story.rows.read_all().slice(0, view.limit).to_pylist()],
            }
        with opened(view.output) as sink:
            sink.write((json.dumps(told, indent=1) + "\n").encode())
        return
    clock = wall_clock(view.tz)
    headers = [line for header in found.accounts for line in (*_lines(header, clock, view.tz.key), "")]
    show(found.story, view, empty="Nothing in that time.", above=headers if people(view) else ())


def _lines(header: dict[str, Any], clock: Any, zone: str) -> list[str]:
    """The header for people."""
    from logontracks.queries.tables import many  # noqa: PLC0415 - fast start

    kind = header["kind"] or "account"
    uses = ", used as a service" if header["service_use"] else ""
    counts = (
        f"{header['sessions']:,} on {many(header['hosts'], 'host')}: {header['desktops']:,} desktop,"
        f" {header['remote_desktops']:,} remote desktop, {header['network_logons']:,} network;"
        f" {header['admin_sessions']:,} as admin, {header['open_sessions']:,} open at the end"
    )
    asked = f"{header['kerberos']:,} Kerberos, {header['ntlm']:,} NTLM, {header['weak']:,} weak"
    rows = {
        "Account": f"{header['account']} ({kind}{uses})",
        "SID": header["sid"] or "not in the logs",
        "Also called": ", ".join(header["also_called"]),
        "UPN": header["upn"] or "",
        "Home machine": header["home_machine"] or "",
        "Usual hours": f"{header['usual_hours']} ({zone})" if header["usual_hours"] else "",
        "Seen": f"{clock(microseconds(header['first_seen']))} to {clock(microseconds(header['last_seen']))} ({zone})",
        "Sessions": counts if header["sessions"] else "none in the logs",
        "Asked for": asked,
        "Failed": many(header["failed_attempts"], "attempt") if header["failed_attempts"] else "",
    }
    lines = [f"{name:13} {text}" for name, text in rows.items() if text]
    return lines + [f"{'Not in logs' if not at else '':13} {text}" for at, text in enumerate(header["cannot_show"])]


def _plain(header: dict[str, Any], iso: Any) -> dict[str, Any]:
    return {name: iso(microseconds(value)) if isinstance(value, datetime) else value for name, value in header.items()}
