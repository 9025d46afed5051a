"""logontracks boots: when hosts started and stopped."""

from __future__ import annotations

import click

from logontracks.cli.options import Query, said, with_query


@click.command("boots")
@click.argument("names", metavar="[HOST...]", nargs=-1, callback=said)
@with_query
def command(names: tuple[str, ...], query: Query) -> None:
    """The lives of hosts between two starts: how each start and end is known, and how sure.

    \b
    Example:
      logontracks boots WKS-105
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.lists import boots  # noqa: PLC0415 - fast start

    show(
        boots(
            Case(query.case),
            names,
            since=query.since,
            until=query.until,
            limit=most(query.view),
            for_people=people(query.view),
        ),
        query.view,
        empty="No boot fits.",
    )
