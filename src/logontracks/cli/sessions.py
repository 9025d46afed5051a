"""logontracks sessions: who was logged on where, since when, until when, and how that is known."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

import click

from logontracks.cli.options import Query, View, read_time, said, texts, with_query
from logontracks.errors import UsageError

_LENGTH = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>s|m|min|h|d)?", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@click.command("sessions")
@with_query
@texts("user", "NAME", "Account: name, DOMAIN\\name, name@domain or SID; * fits anything. May be given again.")
@texts("host", "NAME", "Host, by any name it ever had, short or full; * fits anything.")
@click.option(
    "--type",
    "types",
    metavar="TYPE",
    multiple=True,
    callback=said,
    help="Logon type, or how it was opened: 10, remote_desktop.",
)
@texts("address", "ADDRESS", "Client address; * fits anything.")
@click.option("--open", "open_only", is_flag=True, help="Only those still open at the end of the logs.")
@click.option("--overlap", metavar="TIME[..TIME]", help="Only those that were open at that time, or within that span.")
@click.option("--min", "least", metavar="LENGTH", help="Only those that lasted at least so long: 90s, 5m, 2h, 1d.")
@click.option("--unpaired", is_flag=True, help="Only those without a record of their start, or of their own end.")
@click.option(
    "--all", "everything", is_flag=True, help="Every session in a row of its own, also of computers and services."
)
def command(query: Query, overlap: str | None, least: str | None, *, everything: bool, **wanted: Any) -> None:
    """Logon sessions: who was on which host, from where, since when and until when, how they ended, how sure that is.

    A table for people counts the network logons of an account, host, source and day in one row, and leaves out
    computers, services and window managers; --all, --type and the other forms show each. --since and --until match by
    overlap.

    \b
    Examples:
      logontracks sessions --user anna.berg --since 2026-10-05
      logontracks sessions --host WKS-105 --overlap 2026-10-08T14:00..2026-10-08T15:00
      logontracks sessions --type remote_desktop --min 5m
    """
    from logontracks.case import Case  # noqa: PLC0415 - fast start
    from logontracks.cli.showing import most, people, show  # noqa: PLC0415 - fast start
    from logontracks.queries.sessions import SessionFilter, sessions  # noqa: PLC0415 - fast start

    chosen = SessionFilter(
        since=query.since,
        until=query.until,
        overlap=_span(overlap, query.view) if overlap is not None else None,
        least_s=read_length(least) if least is not None else None,
        **wanted,
    )
    case = Case(query.case)
    found = sessions(case, chosen, limit=most(query.view), for_people=people(query.view), everything=everything)
    show(found, query.view, empty="No session fits.")


def read_length(text: str) -> float:
    """Seconds of a length such as 90s, 5m, 2h or 1d; a number alone is seconds. Raises UsageError for anything else."""
    found = _LENGTH.fullmatch(text.strip())
    if not found:
        raise UsageError(f"{text!r} is no length of time", "Write 90s, 5m, 2h or 1d.")
    return float(found["number"]) * _SECONDS[(found["unit"] or "s").lower()]


def _span(text: str, view: View) -> tuple[datetime, datetime]:
    """A moment is a span of one microsecond; a day is that whole day."""
    begin, separator, end = text.partition("..")
    first = read_time(begin, view.tz)
    last = read_time(end if separator else begin, view.tz, end=True)
    if last == first < datetime.max:  # noqa: DTZ901 - UTC without a zone
        last += timedelta(microseconds=1)
    if last < first:
        raise UsageError("--overlap ends before it begins", "Write the earlier time first: A..B.")
    return first, last
