"""logontracks code: what a code means."""

from __future__ import annotations

import re

import click

from logontracks.cli.options import View, said, with_view
from logontracks.errors import UsageError

_BELOW_ZERO = re.compile(r"-[0-9]+")


class _Command(click.Command):
    """A number below zero, as old logs have codes, is no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        numbers = [each for each in args if _BELOW_ZERO.fullmatch(each)]
        if numbers:
            args = [*(each for each in args if each != "--" and each not in numbers), "--", *numbers]
        return super().parse_args(ctx, args)


@click.command("code", cls=_Command)
@click.argument("code", metavar="CODE", callback=said)
@with_view
def command(code: str, view: View) -> None:
    """What a code means, in every table that has it: NTSTATUS, Kerberos, logon types, %% texts, encryption ...

    Hex, decimal (signed or not) and %%2313 are all understood. It needs no case.

    \b
    Examples:
      logontracks code 0xC0000234
      logontracks code -1073741718
      logontracks code %%2313
    """
    import pyarrow as pa  # noqa: PLC0415 - fast start

    from logontracks import catalogue  # noqa: PLC0415 - fast start
    from logontracks.cli.output import render  # noqa: PLC0415 - fast start

    found = catalogue.meanings(code)
    if not found:
        raise UsageError(
            f"no table knows the code {code}", "Write it as logs do: 0xC000006A, 3221225578, %%2313 or 0x18."
        )
    columns = ("table", "code", "name", "meaning", "more", "source")
    rows = pa.table({name: pa.array([row[at] for row in found], pa.string()) for at, name in enumerate(columns)})
    render(rows.to_reader(), view)
