"""logontracks problems: what could not be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from logontracks.cli.options import View, say, with_case, with_view


@click.command("problems")
@with_case
@with_view
def command(case: Path, view: View) -> None:
    """What could not be read, or was read and may be wrong: file, place, and what to do.

    \b
    Example:
      logontracks problems --case ./case
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.output import render  # noqa: PLC0415 - fast start
    from logontracks.queries import problems  # noqa: PLC0415 - fast start

    with problems(Case(case), limit=view.limit + 1 if view.limit else 0) as answer:
        shown = render(answer.rows, replace(view, total=answer.total))
    if not shown and view.format == "table":
        say("No problems.")
