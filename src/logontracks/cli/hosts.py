"""logontracks hosts: the machines that wrote the logs."""

from __future__ import annotations

from pathlib import Path

import click

from logontracks.cli.options import View, said, with_case, with_view


@click.command("hosts")
@click.argument("names", metavar="[NAME...]", nargs=-1, callback=said)
@with_case
@with_view
def command(names: tuple[str, ...], case: Path, view: View) -> None:
    """The hosts of a case: all their names, what they are, first and last seen, how many sessions.

    \b
    Examples:
      logontracks hosts
      logontracks hosts "wks-*" --format csv --output hosts.csv
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.lists import hosts  # noqa: PLC0415 - fast start

    show(
        hosts(Case(case), names, limit=most(view), for_people=people(view)),
        view,
        empty="No host fits.",
    )
