"""logontracks explain: why a row says what it says."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from logontracks.cli.options import View, iso_clock, microseconds, opened, said, wall_clock, with_case, with_view


@click.command("explain")
@click.argument("row", metavar="ID", callback=said)
@with_case
@with_view
def command(row: str, case: Path, view: View) -> None:
    """Everything behind a session, failure, hop, track, link or address: its records in order with their own fields,
    the rules that join it to others, and what came into question and was rejected.

    ID is what lists show in their last column, links and addresses with --format json; so much of it as makes it the
    only one is enough.

    \b
    Examples:
      logontracks explain s-0etbh
      logontracks explain t-1fdm5 --format json
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.explain import explain  # noqa: PLC0415 - fast start

    found = explain(Case(case), row, limit=most(view), for_people=people(view))
    if view.format == "json":
        iso = iso_clock(view.tz)
        with found.records as records:
            told = {
                "table": found.table,
                "row": _plain(found.row, iso),
                "hops": [_plain(hop, iso) for hop in found.hops],
                "links": [_plain(link, iso) for link in found.links],
                "records": [_plain(record, iso) for record in records.rows.read_all().slice(0, view.limit).to_pylist()],
            }
        with opened(view.output) as sink:
            sink.write((json.dumps(told, indent=1) + "\n").encode())
        return
    above = list(_lines(found, wall_clock(view.tz))) if people(view) else []
    show(found.records, view, empty="No record is left of it: the tables are older than the events.", above=above)


def _lines(found: Any, clock: Any) -> list[str]:
    """What joins the row to others, for people."""
    lines = []
    for hop in found.hops:
        source = f"{hop['from_account'] or 'somebody'} at {hop['from_host'] or 'an unknown machine'}"
        name = f" ({hop['from_session_id'][:10]})" if hop["from_session_id"] else ""
        lines.append(
            f"Came from {source}{name} to {hop['to_account']} at {hop['to_host']} ({hop['to_session_id'][:10]}),"
            f" {clock(microseconds(hop['time']))}"
        )
        if hop["rule"] is None:
            lines[-1] = lines[-1].replace("Came from", "Not from", 1)
            lines.append(f"    {hop['says']}; {hop['why']}")
            continue
        lines.append(f"    by {hop['rule'].replace('_', ' ')}, certainty {hop['certainty']:.2f}: {hop['says']}")
        lines.append(f"    {hop['record']}; {hop['why']}")
    for link in found.links:
        lines.append(
            f"Authenticated at {link['controller']}, {clock(microseconds(link['time']))}:"
            f" {link['step'].replace('_', ' ')} from {link['client_address'] or 'an address that is not told'}"
        )
        lines.append(f"    by {link['rule'].replace('_', ' ')}, certainty {link['certainty']:.2f}: {link['says']}")
        when = "before" if link["apart_s"] >= 0 else "after"
        lines.append(f"    {link['record']}; {abs(link['apart_s']):.1f} s {when} the logon")
    return [*lines, ""] if lines else []


def _plain(row: dict[str, Any], iso: Any) -> dict[str, Any]:
    return {name: iso(microseconds(value)) if isinstance(value, datetime) else value for name, value in row.items()}
