"""logontracks links: the authentications behind sessions."""

from __future__ import annotations

import click

from logontracks.cli.options import Query, texts, with_query


@click.command("links")
@with_query
@texts("user", "NAME", "Account: name, DOMAIN\\name, name@domain or SID; * fits anything. May be given again.")
@texts("host", "NAME", "Host of the session, by any name it ever had; * fits anything.")
@click.option("--unmatched", is_flag=True, help="Sessions of people that no authentication is found for, and why.")
def command(query: Query, users: tuple[str, ...], hosts: tuple[str, ...], *, unmatched: bool) -> None:
    """The authentications at controllers that stand behind sessions on hosts, the rule that joins them, how sure it is.

    One ticket serves many logons for as long as it is good (ten hours by default): rule `ticket reuse`.

    \b
    Examples:
      logontracks links --user anna.berg --since 2026-10-08
      logontracks links --user bruno.costa --unmatched
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.paths import links  # noqa: PLC0415 - fast start

    found = links(
        Case(query.case),
        users=users,
        hosts=hosts,
        since=query.since,
        until=query.until,
        unmatched=unmatched,
        limit=most(query.view),
        for_people=people(query.view),
    )
    show(found, query.view, empty="No session fits.")
