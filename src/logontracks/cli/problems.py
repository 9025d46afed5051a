"""logontracks problems: what could not be read."""

from __future__ import annotations

from dataclasses import replace

import click

from logontracks.cli.options import Query, with_query


@click.command("problems")
@with_query
def command(query: Query) -> None:
    """What could not be read, or was read and may be wrong: file, place, and what to do.

    \b
    Example:
      logontracks problems --case ./case
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.output import render  # noqa: PLC0415 - fast start
    from logontracks.queries import problems  # noqa: PLC0415 - fast start

    with problems(Case(query.case), limit=query.limit + 1 if query.limit else 0) as answer:
        render(answer.rows, replace(query.view, total=answer.total))
