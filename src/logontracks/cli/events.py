"""logontracks events: the records of a case."""

from __future__ import annotations

from typing import Any

import click

from logontracks.cli.options import Query, texts, with_query
from logontracks.errors import UsageError


def _numbers(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:  # noqa: ARG001
    """4624,4625 or 0x3e7, given once or more; as the signed numbers that columns have."""
    found: list[int] = []
    for value in values:
        try:
            numbers = [int(part, 0) for part in value.replace(",", " ").split()]
        except ValueError:
            numbers = []
        if not numbers or not all(0 <= number < 1 << 64 for number in numbers):
            raise UsageError(f"{value!r} is no number", f"Write {parameter.opts[0]} 4624,4625 or 0x3e7.")
        found += (number if number < 1 << 63 else number - (1 << 64) for number in numbers)
    return tuple(found)


@click.command("events")
@with_query
@texts("user", "NAME", "Account: name, DOMAIN\\name, name@domain or SID; * fits anything. May be given again.")
@texts("host", "NAME", "Host that logged it: short or full name, * fits anything.")
@click.option("--event", "event_ids", metavar="ID,...", multiple=True, callback=_numbers, help="Event ids.")
@texts("channel", "TEXT", "Log whose name holds this: security, system, terminalservices ...")
@texts("address", "ADDRESS", "Client address; * fits anything.")
@click.option("--logon-id", "logon_ids", metavar="ID", multiple=True, callback=_numbers, help="Logon id, as 0x3e7.")
def command(query: Query, **wanted: Any) -> None:
    """The records of a case in the order of time, as a table in words or with all columns as JSON, CSV, Parquet.

    \b
    Examples:
      logontracks events --user "LARCH\\anna.berg" --since 2026-10-08 --until 2026-10-08
      logontracks events --host DC01 --event 4625,4771 --format csv --output failures.csv
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.events import EventFilter, events  # noqa: PLC0415 - fast start

    found = events(
        Case(query.case),
        EventFilter(**wanted, since=query.since, until=query.until),
        limit=most(query.view),
        for_people=people(query.view),
    )
    show(found, query.view, empty="No event fits.")
