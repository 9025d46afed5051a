"""logontracks problems: what could not be read."""

from __future__ import annotations

from pathlib import Path

import click

from logontracks.cli.options import View, with_case, with_view


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
    from logontracks.cli.showing import most, show  # noqa: PLC0415 - fast start
    from logontracks.queries.info import problems  # noqa: PLC0415 - fast start

    show(problems(Case(case), limit=most(view)), view, empty="No problems.")
