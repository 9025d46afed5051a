"""logontracks tracks: the ways that people went from machine to machine."""

from __future__ import annotations

from typing import Any

import click

from logontracks.cli.options import Query, path_options, with_query


@click.command("tracks")
@with_query
@path_options
@click.option("--all", "everything", is_flag=True, help="Also ways of a single hop with one credential.")
def command(query: Query, *, everything: bool, **wanted: Any) -> None:
    """The ways that people went from machine to machine, each from its root to its end, with the accounts they used.

    A way that was gone more than once is one row. Labels: one credential, clear switch (the account changed), unclear
    (several sessions came into question where it changed), service, own admin. The certainty is that of all its hops
    together.

    \b
    Examples:
      logontracks tracks --switches
      logontracks tracks --from WKS-101 --to DC02
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.paths import PathFilter, tracks  # noqa: PLC0415 - fast start

    found = tracks(
        Case(query.case),
        PathFilter(since=query.since, until=query.until, **wanted),
        limit=most(query.view),
        for_people=people(query.view),
        everything=everything,
    )
    show(found, query.view, empty="No track fits.")
