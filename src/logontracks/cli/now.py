"""logontracks now: what was open when the logs end."""

from __future__ import annotations

from pathlib import Path

import click

from logontracks.cli.options import View, texts, with_case, with_view


@click.command("now")
@with_case
@with_view
@texts("user", "NAME", "Account: name, DOMAIN\\name, name@domain or SID; * fits anything. May be given again.")
@texts("host", "NAME", "Host, by any name it ever had, short or full; * fits anything.")
@click.option(
    "--all", "everything", is_flag=True, help="Also computers, and network logons without a record of their end."
)
def command(case: Path, view: View, users: tuple[str, ...], hosts: tuple[str, ...], *, everything: bool) -> None:
    """The sessions that were still open when the logs of their host end, the last used first.

    As a table those of persons without network logons, and those of one account as a service or task on one host in one
    row; --all and the other forms show each. A network logon may be listed because no record tells its end: it need not
    have lasted.

    \b
    Example:
      logontracks now --host "WKS-*"
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.sessions import SessionFilter, at_the_end  # noqa: PLC0415 - fast start

    show(
        at_the_end(
            Case(case),
            SessionFilter(users=users, hosts=hosts),
            limit=most(view),
            for_people=people(view),
            everything=everything,
        ),
        view,
        empty="No session was open at the end of the logs.",
    )
