"""logontracks sql: one SELECT over the tables of a case."""

from __future__ import annotations

from pathlib import Path

import click

from logontracks.cli.options import Number, View, with_case, with_view


@click.command("sql")
@click.argument("text", metavar="SELECT")
@with_case
@with_view
@click.option(
    "--seconds", metavar="S", type=Number(0.1, 1e6), default=300.0, show_default=True, help="Time it may take."
)
@click.option("--memory", metavar="SIZE", help="Memory it may take, as 4GB.  [default: half of the machine's]")
def command(text: str, case: Path, view: View, seconds: float, memory: str | None) -> None:
    """The rows of one SELECT (DuckDB's dialect). It can read the case and nothing else, and write nothing.

    Tables: events, sources, problems, extents (runs of record ids), event_counts (also of records not kept),
    given_addresses, and those that were worked out: sessions, presence, failures, authentications, hosts, accounts,
    boots, evidence, hops ... Times are UTC. told_id(session_id) and told_failure(failure_id) are the ids that other
    commands show and take.

    \b
    Example:
      logontracks sql "SELECT computer, COUNT(*) AS n FROM events WHERE event_id = 4625 GROUP BY ALL ORDER BY n DESC"
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.output import render  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most  # noqa: PLC0415 - fast start
    from logontracks.queries.sql import sql  # noqa: PLC0415 - fast start

    with sql(Case(case), text, limit=most(view), seconds=seconds, memory=memory) as answer:
        render(answer.rows, view)
