"""logontracks accounts: who the logs name."""

from __future__ import annotations

from pathlib import Path

import click

from logontracks.cli.options import View, said, with_case, with_view


@click.command("accounts")
@click.argument("names", metavar="[NAME...]", nargs=-1, callback=said)
@with_case
@with_view
@click.option("--all", "everything", is_flag=True, help="Also computers and the accounts of Windows itself.")
def command(names: tuple[str, ...], case: Path, view: View, *, everything: bool) -> None:
    """The accounts of a case: SID, kind, first and last seen, how many sessions on how many hosts.

    NAME is a name, DOMAIN\\name, name@domain or SID, in any spelling and also after a rename; * fits anything.

    \b
    Examples:
      logontracks accounts
      logontracks accounts "LARCH\\*" --format json
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.lists import accounts  # noqa: PLC0415 - fast start

    show(
        accounts(Case(case), names, limit=most(view), for_people=people(view), everything=everything),
        view,
        empty="No account fits.",
    )
