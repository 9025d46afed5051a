"""logontracks score: how close a case comes to the truth of its logs."""

from __future__ import annotations

from pathlib import Path

import click

from logontracks.cli.options import View, with_view


@click.command("score")
@click.argument("case", metavar="CASE", type=click.Path(path_type=Path))
@click.argument("truth", metavar="TRUTH", type=click.Path(path_type=Path))
@with_view
@click.option("--wrong", metavar="N", type=click.IntRange(1, 10_000), help="The N worst examples of each, with ids.")
def command(case: Path, truth: Path, view: View, wrong: int | None) -> None:
    """How often a case is right, where the truth of its logs is known: those that were simulated.

    A row counts hosts, boots, accounts, sessions, presence minutes or attempts: those of the truth that are found,
    those of the tables that are true, or the claims of one certainty. Share is in percent. TRUTH is the folder that
    the simulator writes beside the logs.

    \b
    Examples:
      logontracks score case truth
      logontracks score case truth --wrong 5
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import show  # noqa: PLC0415 - fast start
    from logontracks.score import score  # noqa: PLC0415 - fast start

    show(score(Case(case), truth, wrong=wrong or 0), view, empty="Nothing is wrong." if wrong else "Nothing to count.")
