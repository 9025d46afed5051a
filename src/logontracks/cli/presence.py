"""logontracks presence: when people were at their desktops."""

from __future__ import annotations

import click

from logontracks.cli.options import Query, texts, with_query


@click.command("presence")
@with_query
@texts("user", "NAME", "Account: name, DOMAIN\\name, name@domain or SID; * fits anything. May be given again.")
@texts("host", "NAME", "Host, by any name it ever had, short or full; * fits anything.")
def command(query: Query, users: tuple[str, ...], hosts: tuple[str, ...]) -> None:
    """Stretches of desktop sessions: active, locked, screen saver, disconnected, asleep.

    Only hosts that audit Other Logon/Logoff Events tell of locks; the log of terminal sessions tells of connections.

    \b
    Example:
      logontracks presence --user anna.berg --tz Europe/Berlin
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.sessions import SessionFilter, presence  # noqa: PLC0415 - fast start

    wanted = SessionFilter(users=users, hosts=hosts, since=query.since, until=query.until)
    found = presence(Case(query.case), wanted, limit=most(query.view), for_people=people(query.view))
    show(found, query.view, empty="No stretch fits: most hosts do not audit locks and connections.")
