"""logontracks info: what a case holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from logontracks.cli.options import Query, iso_clock, visible, wall_clock, with_query


@click.command("info")
@with_query
@click.option("--sources", "of_sources", is_flag=True, help="List the files that were read instead of the hosts.")
@click.option("--digest", is_flag=True, help="Also the digest of all the case says: equal cases have equal digests.")
def command(query: Query, *, of_sources: bool, digest: bool) -> None:
    """What a case holds: totals, and the hosts with the time their events span.

    \b
    Example:
      logontracks info --case ./case
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.output import render  # noqa: PLC0415 - fast start
    from logontracks.queries import info  # noqa: PLC0415 - fast start

    case = Case(query.case)
    found = info(case)
    totals: dict[str, Any] = dict(found.totals)
    if digest:
        totals["digest"] = case.digest()
    table = found.sources if of_sources else found.hosts
    if query.view.format == "table" and query.view.output is None:
        clock = wall_clock(query.view.tz)
        for name, value in totals.items():
            text = clock(_microseconds(value)) if name in {"first", "last"} and value else f"{value}"
            if isinstance(value, int):
                text = f"{value:,}"
            click.echo(f"{name.replace('_', ' '):12} {visible(text)}")
        click.echo()
    elif query.view.format == "json" and query.view.output is None:
        iso = iso_clock(query.view.tz)
        import json  # noqa: PLC0415 - fast start

        rows = [_timed(row, iso) for row in table.to_pylist()]
        click.echo(json.dumps({**_timed(totals, iso), "sources" if of_sources else "host_list": rows}, indent=1))
        return
    render(table.to_reader(), replace(query.view, total=len(table)))


def _microseconds(moment: Any) -> int:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - fast start

    return (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _timed(row: dict[str, Any], iso: Any) -> dict[str, Any]:
    return {name: iso(_microseconds(value)) if hasattr(value, "tzinfo") else value for name, value in row.items()}
