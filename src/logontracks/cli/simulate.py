"""logontracks simulate: logs of a company that does not exist, with the truth beside them."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from logontracks.cli.options import say
from logontracks.errors import Error, UsageError

FORMS = ("evtx", "jsonl", "parquet")

if TYPE_CHECKING:
    from logontracks.simulate.deliver import Form


@click.command("simulate")
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--seed", default=1, show_default=True, help="Another seed gives another company.")
@click.option("--hosts", default=30, show_default=True, type=click.IntRange(min=8), help="Machines.")
@click.option("--users", type=click.IntRange(min=1), help="People, in shifts at need.  [default: one a desk]")
@click.option("--days", default=5, show_default=True, type=click.IntRange(1, 366), help="Days, from a Monday on.")
@click.option("--attack", "attacks", metavar="NAME", multiple=True, help="Write this attack into the logs.")
@click.option("--mess", metavar="LEVEL", multiple=True, help="What is wrong with the logs: 0 to 3, or a name.")
@click.option(
    "--form", type=click.Choice(("evtx", "jsonl", "parquet")), default="evtx", show_default=True, help="Of the logs."
)
def command(
    out: Path,
    *,
    seed: int,
    hosts: int,
    users: int | None,
    days: int,
    attacks: tuple[str, ...],
    mess: tuple[str, ...],
    form: Form,
) -> None:
    """Write the event logs of a simulated company into DIR/logs, and what really happened into DIR/truth.

    The truth is Parquet: who was in which session from when to when, present or away, what failed and why, which hop
    led to which, and what was an attack. The same options give the same bytes. --attack and --mess may be repeated; a
    name that is not known lists those that are.

    \b
    Example:
      logontracks simulate --out made --hosts 40 --attack pass_the_hash --attack insider
    """
    from logontracks.simulate.deliver import simulate  # noqa: PLC0415 - fast start

    try:
        done = simulate(out, seed=seed, hosts=hosts, users=users, days=days, attacks=attacks, mess=mess, form=form)
    except ValueError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        for part in ("logs", "truth"):  # that were not there before: half of them is worth nothing, and in the way
            shutil.rmtree(out / part, ignore_errors=True)
        hint = "Choose a place with more space." if error.errno == errno.ENOSPC else "Choose another place."
        raise Error(f"cannot write {out}: {error.strerror or error}", hint) from error
    say(f"{done.records:,} records and {done.sessions:,} sessions of {done.hosts} hosts are in {out}.")
