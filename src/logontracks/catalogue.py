"""What we know of Windows events and their codes: data/*.csv as frozen look-ups, read when first asked for."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from io import StringIO
from types import MappingProxyType

_DATA = files("logontracks") / "data"
_NUMBER = re.compile(r"(?:%%)?(-?\d+|0x[0-9a-f]+)")


class Keep(StrEnum):
    """Whether a record is kept: LOGON always, ACTIVITY when it carries a logon id that is not reserved, NO never."""

    LOGON = "logon"
    ACTIVITY = "activity"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Event:
    """One kind of event. Empty text means that it does not apply: only Security events have a subcategory.

    An event of several subcategories has both columns joined by ";" in the same order. `outcome` is "success",
    "failure", "both" or "". `legacy_ids` are the numbers it had up to Windows 2003. `source` holds tokens of the
    table "sources", joined by ";".
    """

    provider: str
    event_id: int
    channel: str
    title: str
    category: str
    subcategory: str
    subcategory_guid: str
    outcome: str
    host_role: str
    legacy_ids: tuple[int, ...]
    keep: Keep
    use: str
    source: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event: its 1-based position in the record, its name, and its type ("" where it is not known)."""

    position: int
    name: str
    type: str
    source: str


@cache
def table(name: str) -> tuple[Mapping[str, str], ...]:
    """Rows of data/<name>.csv as written, in the order of the file.

    Raises KeyError, with the names there are, for any other name.
    """
    if name not in _names():
        raise KeyError(f"no table {name!r}; there are: {', '.join(sorted(_names()))}")
    lines = StringIO((_DATA / f"{name}.csv").read_text(encoding="utf-8"))
    return tuple(MappingProxyType(row) for row in csv.DictReader(lines, strict=True))


@cache
def events() -> Mapping[tuple[str, int], Event]:
    """Every event by (provider in lower case, event id): senders vary the case, and ids collide between providers."""
    rows = (
        Event(
            provider=row["provider"],
            event_id=int(row["event_id"]),
            channel=row["channel"],
            title=row["title"],
            category=row["category"],
            subcategory=row["subcategory"],
            subcategory_guid=row["subcategory_guid"],
            outcome=row["outcome"],
            host_role=row["host_role"],
            legacy_ids=tuple(int(legacy_id) for legacy_id in row["legacy_ids"].split()),
            keep=Keep(row["keep"]),
            use=row["use"],
            source=row["source"],
        )
        for row in table("events")
    )
    return MappingProxyType({(event.provider.lower(), event.event_id): event for event in rows})


@cache
def _modern() -> Mapping[int, tuple[str, int]]:
    return {int(row["legacy_id"]): (row["provider"].lower(), int(row["event_id"])) for row in table("legacy_ids")}


def modern(provider: str, event_id: int) -> tuple[str, int]:
    """The event (provider in lower case, id) that says today what this one said up to Windows 2003, or itself."""
    key = provider.lower(), event_id
    return _modern().get(event_id, key) if key[0] == "security" else key


def keep(provider: str, event_id: int) -> Keep:
    """What to do with a record of this kind; one we do not know is kept like ACTIVITY."""
    event = events().get(modern(provider, event_id))
    return event.keep if event else Keep.ACTIVITY


@cache
def reserved_logon_ids() -> frozenset[int]:
    """Logon ids that stand for no session of anyone: 0, and those that Windows keeps for itself."""
    return frozenset(int(row["logon_id"], 16) for row in table("reserved_logon_ids"))


@cache
def channels() -> frozenset[str]:
    """Channels, in lower case, that hold an event worth keeping, and the one that forwarded events arrive in."""
    kept = (event.channel.lower() for event in events().values() if event.keep is not Keep.NO)
    return frozenset({"forwardedevents", *kept})


@cache
def fields() -> Mapping[tuple[str, int, int], tuple[Field, ...]]:
    """Fields in their order by (provider in lower case, event id, version).

    An empty tuple means that the event is known to have no fields. A key that is absent means that we do not know:
    a version newer than ours, or a row of the table "no_fields" whose state is "unknown".
    """
    layouts: dict[tuple[str, int, int], list[Field]] = {
        (row["provider"].lower(), int(row["event_id"]), int(row["version"])): []
        for row in table("no_fields")
        if row["state"] == "none"
    }
    for row in table("fields"):
        key = (row["provider"].lower(), int(row["event_id"]), int(row["version"]))
        field = Field(position=int(row["position"]), name=row["field"], type=row["type"], source=row["source"])
        layouts.setdefault(key, []).append(field)
    return MappingProxyType({key: tuple(layout) for key, layout in layouts.items()})


def title(provider: str, event_id: int) -> str | None:
    """Name of an event; None when it is not in the catalogue."""
    event = events().get(modern(provider, event_id))
    return event.title if event else None


def code(table: str, value: str | int) -> str | None:
    """Meaning of a code in words; None when the table has no such code.

    The code may come in any spelling that logs use: 0xC000006A, 0xc000006a, 3221225578, -1073741718, %%2313 or 2313.
    Raises KeyError, with the names there are, for anything that is no code table.
    """
    return _meanings(table).get(_spelling(value))


def meanings(value: str) -> tuple[tuple[str, str, str, str, str, str], ...]:
    """All that the tables know of a code in any spelling: table, code as the table has it, name, meaning, more, source.

    A code that is written as hex is no decimal and no %% text, and the other way round.
    """
    found = []
    for name in sorted(_code_tables()):
        rows = table(name)
        key = next(iter(rows[0]))
        for row in rows:
            if _spelling(row[key]) == _spelling(value) and _same_kind(row[key], value):
                rest = (column for column in ("windows_reason", "note", "decimal") if row.get(column))
                more = "; ".join(row[column] for column in rest if column != "decimal")
                called = row.get("symbol") or row.get("name") or row.get("reason") or ""
                found.append((name, row[key], called, row["meaning"], more, row.get("source", "")))
    return tuple(found)


def _same_kind(own: str, asked: str) -> bool:
    """0x12 in a log is no logon type 18, and %%2313 is nothing but a text. A decimal may be any."""
    text = asked.strip().lower()
    if text.startswith("%%"):
        return own.startswith("%%")
    return own.lower().startswith("0x") or not text.startswith("0x")


@cache
def _names() -> frozenset[str]:
    return frozenset(file.name[:-4] for file in _DATA.iterdir() if file.name.endswith(".csv"))


@cache
def _meanings(name: str) -> Mapping[str | int, str]:
    """Meanings of a code table: one whose first column is the code and that has a column "meaning"."""
    rows = table(name)
    if "meaning" not in rows[0]:
        raise KeyError(f"{name!r} is no code table; these are: {', '.join(sorted(_code_tables()))}")
    key = next(iter(rows[0]))
    return MappingProxyType({_spelling(row[key]): row["meaning"] for row in rows})


def _code_tables() -> frozenset[str]:
    """Tables with a column "meaning", but for those that tell of positions in a record or of patterns of names."""
    names = (name for name in _names() if "meaning" in table(name)[0])
    return frozenset(name for name in names if next(iter(table(name)[0])) not in {"pattern", "position", "provider"})


def _spelling(value: str | int) -> str | int:
    """One form for all spellings of a code. Signed 32-bit numbers become unsigned, as status codes are shown."""
    if isinstance(value, str):
        text = value.strip().lower()
        match = _NUMBER.fullmatch(text)
        if not match:
            return text
        value = int(match[1], 16 if match[1].startswith("0x") else 10)
    return value + 2**32 if -(2**31) <= value < 0 else value
