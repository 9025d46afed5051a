"""logontracks coverage: what the logs can and cannot answer."""

from __future__ import annotations

import click

from logontracks.cli.options import Query, opened, texts, with_query


@click.command("coverage")
@with_query
@texts("host", "NAME", "Host, by any name it ever had, short or full; * fits anything.")
@click.option("--logs", "of_logs", is_flag=True, help="What is here of each log: first and last record, gaps.")
@click.option("--audit", "of_audit", is_flag=True, help="Which audit subcategories there are records of.")
@click.option(
    "--policy",
    metavar="ROLE",
    type=click.Choice(["domain_controller", "server", "workstation"]),
    help="A script that turns on what is needed: domain_controller, server or workstation.",
)
def command(query: Query, hosts: tuple[str, ...], policy: str | None, *, of_logs: bool, of_audit: bool) -> None:
    """What makes the logs tell less than they seem to: gaps, clears, clocks that were set, auditing that was changed or
    is off, hosts and controllers whose logs are missing; what cannot be concluded because of it, and how to turn it on.

    What is missing is said only where it must have happened.

    \b
    Examples:
      logontracks coverage
      logontracks coverage --host APP01 --logs
      logontracks coverage --policy domain_controller
    """
    from logontracks.queries import coverage  # noqa: PLC0415 - fast start

    if policy is not None:
        with opened(query.view.output) as sink:
            sink.write(("\n".join(coverage.policy(policy)) + "\n").encode())
        return
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start

    case, limit, for_people = Case(query.case), most(query.view), people(query.view)
    if of_logs:
        found = coverage.logs(case, hosts, limit=limit, for_people=for_people)
    elif of_audit:
        found = coverage.coverage(case, hosts, since=query.since, until=query.until, limit=limit, for_people=for_people)
    else:
        found = coverage.blind_spots(
            case, hosts, since=query.since, until=query.until, limit=limit, for_people=for_people
        )
    show(found, query.view, empty="Nothing stands out.")
