"""logontracks info: what a case holds."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from logontracks.cli.options import Clock, View, iso_clock, microseconds, opened, say, wall_clock, with_case, with_view


@click.command("info")
@with_case
@with_view
@click.option("--sources", "of_sources", is_flag=True, help="List the files that were read instead of the hosts.")
@click.option("--digest", is_flag=True, help="Also the digest of all the case says: equal cases have equal digests.")
def command(case: Path, view: View, *, of_sources: bool, digest: bool) -> None:
    """What a case holds: totals, and the hosts with the time their events span.

    As table and JSON; the other forms have the hosts (or sources) alone.

    \b
    Example:
      logontracks info --case ./case
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.output import render  # noqa: PLC0415 - fast start
    from logontracks.queries.info import info  # noqa: PLC0415 - fast start

    held = Case(case)
    found = info(held)
    totals: dict[str, Any] = dict(found.totals)
    if digest:
        totals["digest"] = held.digest()
    table = found.sources if of_sources else found.hosts
    view = replace(view, total=len(table))
    if view.format == "json":
        iso = iso_clock(view.tz)
        rows = [_timed(row, iso) for row in table.slice(0, view.limit).to_pylist()]
        whole = {**_timed(totals, iso), "source_list" if of_sources else "host_list": rows}
        with opened(view.output) as sink:
            sink.write((json.dumps(whole, indent=1) + "\n").encode())
        if len(rows) < len(table):
            say(f"First {len(rows):,} of {len(table):,} rows (--limit 0 for all).")
        return
    if view.format == "table":
        clock = wall_clock(view.tz, "microseconds" if view.microseconds else "seconds")
        render(table.to_reader(), view, above=_lines(totals, clock))
        return
    render(table.to_reader(), view)


def _lines(totals: dict[str, Any], clock: Clock) -> list[str]:
    """Totals for people."""
    lines = []
    for name, value in totals.items():
        text = f"{value:,}" if isinstance(value, int) else f"{value or ''}"
        if isinstance(value, datetime):
            text = clock(microseconds(value))
        lines.append(f"{name.replace('_', ' '):12} {text}".rstrip())
    return [*lines, ""]


def _timed(row: dict[str, Any], iso: Any) -> dict[str, Any]:
    return {name: iso(microseconds(value)) if hasattr(value, "tzinfo") else value for name, value in row.items()}
