"""logontracks ingest: read logs into a case."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from logontracks.cli.options import read_zone, say, with_case
from logontracks.errors import UsageError

DAMAGED = 4  # exit code: done, but some input could not be read whole


@click.command("ingest")
@click.argument("names", metavar="PATH...", nargs=-1)
@with_case
@click.option("--jobs", metavar="N", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]")
@click.option(
    "--no-build", is_flag=True, help="Do not work out sessions and the other tables: `logontracks build` does."
)
@click.option("--no-activity", is_flag=True, help="Leave out what sessions did (processes, files, shares).")
@click.option("--source-tz", metavar="ZONE", help="Zone of logs whose times have none, as Europe/Berlin.")
@click.option(
    "--addresses",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Who had which address when: CSV with the columns address, host, from, until.",
)
def command(
    names: tuple[str, ...],
    case: Path,
    jobs: int | None,
    *,
    no_build: bool,
    no_activity: bool,
    source_tz: str | None,
    addresses: Path | None,
) -> int:
    """Read event logs into a case: EVTX, .evt, XML, JSON (`logontracks formats`), folders of them.

    What is in the case already adds nothing, and a record counts once however often it comes. Damaged files are read
    as far as they go; `logontracks problems` lists what was lost. Exit code 0 when all was read, 4 when something was
    lost, 3 when there was nothing to read, 5 when the case cannot be written.

    A list of --addresses, from a DHCP server or DNS, helps to tell machines by their addresses; without PATH it goes to
    the case as it is. The list that was given last counts.

    \b
    Examples:
      logontracks ingest evidence/dc01 evidence/ws-logs --case ./case
      logontracks ingest --addresses leases.csv --source-tz Europe/Berlin --case ./case
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.watching import watching  # noqa: PLC0415 - fast start
    from logontracks.pipeline import ingest  # noqa: PLC0415 - fast start

    if not names:
        if addresses is None:
            raise UsageError("there is nothing to read", "Name files or folders: logontracks ingest PATH...")
        Case(case)  # says so when there is none: a list alone makes no case
    if not all(names):
        raise UsageError("a PATH is empty", "Name files or folders; `.` is the current folder.")
    paths = [Path(name) for name in names]
    zone = read_zone(source_tz).key if source_tz else None
    with watching() as watcher:
        done = ingest(
            paths,
            case,
            jobs=jobs,
            activity=not no_activity,
            source_tz=zone,
            addresses=addresses,
            tables=not no_build,
            watcher=watcher,
        )
    for line in done.lines():
        say(line)
    if done.problems:
        told = f"{done.problems:,} problem{'' if done.problems == 1 else 's'}"
        say(f"         {told}: see `logontracks problems --case {case}`")
    sys.stderr.flush()
    return DAMAGED if done.problems else 0
