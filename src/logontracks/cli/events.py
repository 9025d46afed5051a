"""logontracks events: the records of a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from logontracks.cli.options import Query, say, with_query
from logontracks.errors import UsageError

Command = Callable[..., None]


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


def _texts(name: str, metavar: str, text: str) -> Callable[[Command], Command]:
    return click.option(f"--{name}", f"{name}s", metavar=metavar, multiple=True, help=text)


@click.command("events")
@with_query
@_texts("user", "NAME", "Account: name, DOMAIN\\name, name@domain or SID; * fits anything. May be given again.")
@_texts("host", "NAME", "Host that logged it: short or full name, * fits anything.")
@click.option("--event", "event_ids", metavar="ID,...", multiple=True, callback=_numbers, help="Event ids.")
@_texts("channel", "TEXT", "Log whose name holds this: security, system, terminalservices ...")
@_texts("address", "ADDRESS", "Client address; * fits anything.")
@click.option("--logon-id", "logon_ids", metavar="ID", multiple=True, callback=_numbers, help="Logon id, as 0x3e7.")
def command(query: Query, **wanted: Any) -> None:
    """The records of a case in the order of time, as a table in words or with all columns as JSON, CSV, Parquet.

    \b
    Examples:
      logontracks events --user "LARCH\\anna.berg" --since 2026-10-08 --until 2026-10-08
      logontracks events --host DC01 --event 4625,4771 --format csv --output failures.csv
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.output import render  # noqa: PLC0415 - fast start
    from logontracks.queries import EventFilter, events  # noqa: PLC0415 - fast start

    wanted["addresses"] = wanted.pop("addresss")
    with events(
        Case(query.case),
        EventFilter(**wanted, since=query.since, until=query.until),
        limit=query.limit + 1 if query.limit else 0,
        for_people=query.view.format == "table",
    ) as answer:
        shown = render(answer.rows, replace(query.view, total=answer.total))
    if not shown and query.view.format == "table":
        say("No event fits.")
