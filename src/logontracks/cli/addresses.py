"""logontracks addresses: which machine had which address when."""

from __future__ import annotations

import click

from logontracks.cli.options import Query, texts, with_query


@click.command("addresses")
@with_query
@texts("host", "NAME", "Machine, also one without logs; * fits anything. May be given again.")
@texts("address", "ADDRESS", "IP address; * fits anything.")
def command(query: Query, hosts: tuple[str, ...], addresses: tuple[str, ...]) -> None:
    """Which machine had which address when, and what tells it.

    Best is the machine's own account, which asked a controller or logged on elsewhere from there; names that clients
    claim count where there is nothing better. Machines that take turns at an address share it.

    \b
    Examples:
      logontracks addresses --host WKS-101
      logontracks addresses --address 10.20.1.60 --since 2026-10-08
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries import paths  # noqa: PLC0415 - fast start

    found = paths.addresses(
        Case(query.case),
        hosts=hosts,
        wanted=addresses,
        since=query.since,
        until=query.until,
        limit=most(query.view),
        for_people=people(query.view),
    )
    show(found, query.view, empty="No record shows a machine at such an address.")
