"""logontracks failures: what did not work, and why."""

from __future__ import annotations

from typing import Any

import click

from logontracks.cli.options import Query, said, texts, with_query


@click.command("failures")
@with_query
@texts("user", "NAME", "Account, or a name that was tried: name, DOMAIN\\name, name@domain or SID; * fits anything.")
@texts("host", "NAME", "Host that was to be logged on to.")
@texts("address", "ADDRESS", "Client: address or claimed name; * fits anything.")
@click.option(
    "--reason", metavar="TEXT", callback=said, help="Words of the reason, or a code: password, locked, 0xc000006a."
)
@click.option("--by", type=click.Choice(["reason", "user", "source", "host"]), help="Count attempts by one thing.")
@click.option(
    "--noise", is_flag=True, help="Also what is likely nothing that somebody tried: UAC prompts, computers ..."
)
def command(query: Query, by: Any, **wanted: Any) -> None:
    """Failed logons: one attempt each, whichever hosts logged it, with the exact reason.

    The host knows the reason best; where only a controller tells, every reason is told that its code can mean. Attempts
    that repeat the one before are counted in its row.

    \b
    Examples:
      logontracks failures --by source
      logontracks failures --user clara.diaz --since 2026-10-07
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.authentications import FailureFilter, failures  # noqa: PLC0415 - fast start

    found = failures(
        Case(query.case),
        FailureFilter(since=query.since, until=query.until, **wanted),
        by=by,
        limit=most(query.view),
        for_people=people(query.view),
    )
    show(found, query.view, empty="No failure fits.")
