"""logontracks evidence: the records behind a session or failure."""

from __future__ import annotations

from pathlib import Path

import click

from logontracks.cli.options import View, said, with_case, with_view


@click.command("evidence")
@click.argument("row", metavar="ID", callback=said)
@with_case
@with_view
def command(row: str, case: Path, view: View) -> None:
    """The records that a session or a failure rests on, each with its part: start, other half, unlock, end ...

    ID is what the last column of `logontracks sessions` and `logontracks failures` shows; so much of it as makes it the
    only one is enough.

    \b
    Example:
      logontracks evidence s-0etbh --format json
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.lists import evidence  # noqa: PLC0415 - fast start

    show(
        evidence(Case(case), row, limit=most(view), for_people=people(view)),
        view,
        empty="No record is left of it: the tables are older than the events.",
    )
