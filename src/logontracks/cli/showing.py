"""An answer to the screen or a file, with what the user should know of it on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from logontracks.cli.options import View, say
from logontracks.cli.output import render

if TYPE_CHECKING:
    from logontracks.queries.answer import Answer


def people(view: View) -> bool:
    """Whether the rows are to be read by people: few columns, in words."""
    return view.format == "table"


def most(view: View) -> int:
    """How many rows to ask for: one more than are shown, so that it can be told that there are more. 0 is all."""
    return view.limit + 1 if view.limit else 0


def show(answer: Answer, view: View, *, empty: str, above: Sequence[str] = ()) -> None:
    """Write the rows, with lines `above` them; `empty` is said to people where there are none."""
    with answer:
        shown = render(answer.rows, replace(view, total=answer.total), above=above)
    if not shown and people(view):
        say(empty)
    for note in answer.notes:
        say(note)
