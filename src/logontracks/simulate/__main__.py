"""python -m logontracks.simulate OUT: write the logs of a small simulated domain."""

from pathlib import Path

import click

from logontracks.simulate.company import STORY, build


@click.command(help=f"Write the event logs of a simulated domain to OUT/<host>/<channel>.evtx.\n\n{STORY}")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--truth", type=click.Path(file_okay=False, path_type=Path), help="Folder for what really happened.")
@click.option("--seed", default=1, show_default=True, help="Another seed gives another week with the same story.")
def main(out: Path, truth: Path | None, seed: int) -> None:
    summary = build(out, seed=seed, truth=truth)
    for path, records in summary.files:
        click.echo(f"{records:7,}  {path}", err=True)
    begin, end = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (summary.first, summary.last))
    click.echo(f"{summary.records:7,}  records of {len(summary.hosts)} hosts, {begin} to {end} UTC", err=True)
    click.echo(f"\n{summary.story}", err=True)


if __name__ == "__main__":
    main()
