"""logontracks hops: from which session each session came."""

from __future__ import annotations

from typing import Any

import click

from logontracks.cli.options import Query, path_options, with_query


@click.command("hops")
@with_query
@path_options
@click.option("--all", "everything", is_flag=True, help="Also the other sessions that came into question.")
def command(query: Query, *, everything: bool, **wanted: Any) -> None:
    """From which session on which machine each session came, what tells it, and how sure that is.

    Certainty runs from 0 to 1. Where several sessions came into question, their number is told. A machine without logs
    is named where its address or its own tickets tell it; loopback, shared addresses and silence stay unknown.

    \b
    Examples:
      logontracks hops --to FS01 --since 2026-10-08
      logontracks hops --switches --min-certainty 0.8
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.paths import PathFilter, hops  # noqa: PLC0415 - fast start

    found = hops(
        Case(query.case),
        PathFilter(since=query.since, until=query.until, **wanted),
        limit=most(query.view),
        for_people=people(query.view),
        everything=everything,
    )
    show(found, query.view, empty="No hop fits.")
