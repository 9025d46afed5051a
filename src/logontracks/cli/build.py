"""logontracks build: work the tables out again."""

from __future__ import annotations

from pathlib import Path

import click

from logontracks.cli.options import say, with_case


@click.command("build")
@with_case
@click.option("--memory", metavar="SIZE", help="Most memory to use, as 4GB.  [default: half of the machine's]")
@click.option("--again", is_flag=True, help="Also where they are up to date, as when a file of theirs is damaged.")
def command(case: Path, memory: str | None, *, again: bool) -> None:
    """Work out the tables of a case (sessions, hosts, accounts ...) from its events, where they are not up to date.

    `ingest` does so by itself unless told --no-build.

    \b
    Example:
      logontracks build --case ./case
    """
    from logontracks.build import build  # noqa: PLC0415 - fast start
    from logontracks.cli.watching import watching  # noqa: PLC0415 - fast start

    with watching() as watcher:
        done = build(case, memory=memory, again=again, watcher=watcher)
    say("The tables have been worked out." if done else "The tables are up to date.")
