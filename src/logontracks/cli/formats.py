"""logontracks formats: what can be read, and what each form lacks."""

from __future__ import annotations

import click

from logontracks.cli.options import View, with_view
from logontracks.errors import UsageError


@click.command("formats")
@click.argument("name", metavar="[FORM]", required=False)
@with_view
def command(name: str | None, view: View) -> None:
    """What can be read, and what each form lacks. With FORM: what that costs.

    A form is told by what is in a file, never by its name. It needs no case.

    \b
    Examples:
      logontracks formats
      logontracks formats nxlog
    """
    import pyarrow as pa  # noqa: PLC0415 - fast start

    from logontracks import catalogue  # noqa: PLC0415 - fast start
    from logontracks.cli.output import render  # noqa: PLC0415 - fast start

    forms = {row["form"]: row for row in catalogue.table("input_forms")}
    rows: list[tuple[str | None, ...]]
    columns: tuple[str, ...]
    if name is None:
        rows = [(each, row["reads"], row["lacks"].replace(";", ", ") or None) for each, row in forms.items()]
        columns = ("form", "reads", "lacks")
    elif name in forms:
        told = forms[name]["lacks"].split(";")
        rows = [(row["lack"], row["cost"]) for row in catalogue.table("form_lacks") if row["lack"] in told]
        columns = ("lacks", "cost")
    else:
        raise UsageError(f"there is no form {name}", f"There are: {', '.join(forms)}.")
    table = pa.table({head: pa.array([row[at] for row in rows], pa.string()) for at, head in enumerate(columns)})
    render(table.to_reader(), view)
