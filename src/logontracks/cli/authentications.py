"""logontracks authentications: what the controllers answered for."""

from __future__ import annotations

from typing import Any

import click

from logontracks.cli.options import Query, said, texts, with_query


@click.command("authentications")
@with_query
@texts("user", "NAME", "Account: name, DOMAIN\\name, name@domain or SID; * fits anything. May be given again.")
@texts("host", "NAME", "Host that answered: a domain controller, or for local accounts the host itself.")
@click.option(
    "--protocol",
    metavar="NAME",
    callback=said,
    help="kerberos, ntlm; or a step: ticket_granting, service, renewal, mapping.",
)
@click.option("--result", metavar="TEXT", callback=said, help="success, failure, or words that the result holds.")
@texts("service", "NAME", "Account or host that a ticket is for; * fits anything.")
@texts("address", "ADDRESS", "Client: address or claimed name; * fits anything.")
@click.option(
    "--weak", is_flag=True, help="Only with something weak: RC4 or DES, no pre-authentication, NTLM version 1."
)
@click.option("--all", "everything", is_flag=True, help="Also those of computer accounts.")
def command(query: Query, *, everything: bool, **wanted: Any) -> None:
    """Kerberos and NTLM authentications as domain controllers logged them, and those of local accounts.

    A service ticket shows what somebody meant to use; that it was used is in the sessions of that host.

    \b
    Examples:
      logontracks authentications --user anna.berg --result failure
      logontracks authentications --service FS01 --since 2026-10-08
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.authentications import AuthenticationFilter, authentications  # noqa: PLC0415 - fast start

    found = authentications(
        Case(query.case),
        AuthenticationFilter(since=query.since, until=query.until, **wanted),
        limit=most(query.view),
        for_people=people(query.view),
        everything=everything,
    )
    show(found, query.view, empty="No authentication fits.")
