"""What a record of Security up to Windows 2003 says: data/legacy_strings.csv names its strings, by how many there are.

The fields get the names they have in the event's modern form, so that one set of rules makes columns of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from logontracks import catalogue
from logontracks.sources.own_fields import NotCertainError

PROVIDER = "Security"


def fields(event_id: int, strings: Sequence[str], sid: str | None) -> dict[str, object]:
    """The strings by their names, what the number of the event says beside them, and whose `sid` the record has.

    Raises NotCertainError where no layout of the event has as many strings.
    """
    found: dict[str, object] = dict(_implied(event_id))
    if sid is not None and (name := _sid_fields().get(event_id)):
        found[name] = sid
    if not strings:
        return found
    layout = _layouts().get(event_id, {}).get(len(strings))
    if layout is None:
        known = sorted(_layouts().get(event_id, {}))
        what = f"records of {PROVIDER} {event_id} have {len(strings)} strings"
        counts = " or ".join(map(str, known))
        raise NotCertainError(f"{what}, and not {counts}" if known else f"{what}, whose order is not known")
    found |= dict(zip(layout, strings, strict=True))
    if sid in _accounts() and found.get("TargetUserSid") == sid and not found.get("TargetUserName"):
        found["TargetUserName"] = _accounts()[sid]  # an anonymous logon (540) is named by its SID alone
    return found


@cache
def _accounts() -> dict[str, str]:
    """Names of the accounts that every host has, by their SIDs."""
    return {
        row["sid"]: row["pattern"]
        for row in catalogue.table("special_accounts")
        if row["matches"] == "name" and row["pattern"].replace(" ", "").isalpha() and "*" not in row["sid"]
    }


@cache
def _sid_fields() -> dict[int, str]:
    """The field that the SID in the head of a record stands for: the strings have names only."""
    return {int(row["legacy_id"]): row["sid_field"] for row in catalogue.table("legacy_ids")}


@cache
def _layouts() -> dict[int, dict[int, tuple[str, ...]]]:
    """Names of the strings by event id and by their number; one that no modern event has goes by its label."""
    found: dict[int, dict[int, tuple[str, ...]]] = {}
    for row in catalogue.table("legacy_strings"):
        layouts = found.setdefault(int(row["legacy_id"]), {})
        count = int(row["string_count"])
        layouts[count] = (*layouts.get(count, ()), row["field"] or row["label"])
    return found


@cache
def _implied(event_id: int) -> dict[str, str]:
    """Why a logon failed, as far as the number of the event says it: all reasons it stands for agree in that."""
    rows = [row for row in catalogue.table("failure_reasons") if row["legacy_id"] == str(event_id)]
    found = {}
    for name, column in (
        ("Status", "host_status"),
        ("SubStatus", "host_substatus"),
        ("FailureReason", "failure_reason_id"),
    ):
        told = {row[column] for row in rows}
        if len(told) == 1 and " " not in (only := told.pop()):
            found[name] = only
    return found
