"""Records as rows of the events schema, and their logs as its extents: what reading them would give, without the text.

`data`, the record's own fields as JSON, stays empty: no table is worked out from it. The normal forms are those that
the schema describes, made anew from values whose kind is known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

import pyarrow as pa

from logontracks import catalogue, schema
from logontracks.schema import Form
from logontracks.simulate.evtx_writer import Event, FieldType, Template
from logontracks.simulate.host import filetime_us
from logontracks.simulate.logs import Log

_TYPES = {
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "SMALLINT": pa.int16(),
    "TINYINT": pa.int8(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
}
_REMEMBERED = 50_000  # values of a field; most come again
_NONE = frozenset(("", "-", "(NULL)", None))
_LEVELS = {"%%1832": "identification", "%%1833": "impersonation", "%%1840": "delegation"}
_YES_NO = {"%%1842": True, "%%1843": False, True: True, False: False}
_SUCCESS, _FAILURE = 1 << 53, 1 << 52  # of the keywords of a record


def arrow(columns: Iterable[schema.Column]) -> pa.Schema:
    return pa.schema([(column.name, _TYPES[column.type]) for column in columns])


EVENTS, EXTENTS, COUNTS = arrow(schema.COLUMNS), arrow(schema.EXTENTS), arrow(schema.EVENT_COUNTS)


def events(logs: Sequence[Log], source: str) -> pa.Table:
    """Rows of all records, sorted by host, time and record id. `source` is what they are said to come from."""
    by_kind: dict[int, list[Event]] = {}
    kinds: dict[int, Template] = {}
    for log in logs:
        for event, _, _ in log.records:
            by_kind.setdefault(id(event.template), []).append(event)
            kinds[id(event.template)] = event.template
    tables = [_rows(kinds[key], found, source) for key, found in by_kind.items()]
    table = pa.concat_tables(tables).sort_by(
        [("computer_key", "ascending"), ("time", "ascending"), ("record_id", "ascending")]
    )
    return table.set_column(EVENTS.get_field_index("uid"), "uid", pa.array(range(1, len(table) + 1), pa.int64()))


def _rows(kind: Template, found: Sequence[Event], source: str) -> pa.Table:
    """The records of one kind."""
    own = zip(*(event.values for event in found), strict=True) if kind.fields else ()
    values: dict[str, list[Any]] = {}
    for (field, form), column in zip(_numbered(kind), own, strict=True):
        for target, convert in _targets(kind.provider.lower(), kind.event_id, field, form):
            made = [convert(value) for value in column]
            before = values.get(target)
            values[target] = (
                made if before is None else [b if a is None else a for a, b in zip(before, made, strict=True)]
            )
    for each in schema.COLUMNS:
        if each.folded_from in values:
            values[each.name] = [value and value.lower() for value in values[each.folded_from or ""]]
    values |= {
        "computer": [event.computer for event in found],
        "computer_key": [event.computer.lower() for event in found],
        "record_id": [event.record_id for event in found],
        "time": [filetime_us(event.filetime) for event in found],
        "time_100ns": [event.filetime % 10 for event in found],
        "outcome": [_outcome(kind.keywords if each.keywords is None else each.keywords) for each in found],
        "record_sid": [event.user_sid for event in found],
        "activity_id": [event.activity_id for event in found],
        "boot_hint": [_boot_hint(event.activity_id) for event in found] if kind.channel == "Security" else [],
    }
    same: dict[str, object] = {
        "source_sha256": source,
        "form": "evtx",
        "channel": kind.channel,
        "provider": kind.provider,
        "event_id": kind.event_id,
        "version": kind.version,
        "time_precision_us": 1,
    }
    columns = []
    for each in EVENTS:
        if each.name in same:
            column = pa.repeat(pa.scalar(same[each.name], each.type), len(found))
        elif values.get(each.name):
            column = pa.array(values[each.name], pa.int64() if pa.types.is_timestamp(each.type) else each.type)
            column = column.cast(each.type)
        else:
            column = pa.nulls(len(found), each.type)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=EVENTS)


def _numbered(kind: Template) -> Iterator[tuple[str, FieldType]]:
    """Fields by the names that the catalogue has: unnamed ones by their places."""
    for place, (name, form) in enumerate(kind.fields, 1):
        yield name or f"#{place}", form


@cache
def _targets(provider: str, event_id: int, field: str, form: FieldType) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """The columns that a field fills, and how; a narrow rule of data/columns.csv hides a wider one."""
    rules = [
        row
        for row in catalogue.table("columns")
        if row["field"] == field
        and row["provider"].lower() in {"", provider}
        and row["event_id"] in {"", str(event_id)}
    ]
    width = max(((row["provider"] != "") + (row["event_id"] != "") for row in rules), default=0)
    found = []
    for row in rules:
        if row["column"] and (row["provider"] != "") + (row["event_id"] != "") == width:
            wanted = Form(row["form"]) if row["form"] else schema.BY_NAME[row["column"]].form
            found.append((row["column"], lru_cache(_REMEMBERED)(_forms(form)[wanted or Form.TEXT])))
    return tuple(found)


def _forms(form: FieldType) -> dict[Form, Callable[[Any], Any]]:
    """Each normal form, from a native value of this type."""
    is_time = form == "FILETIME"
    return {
        Form.TEXT: _text,
        Form.LIST: lambda value: _text(" ".join(str(value).split())),
        Form.SID: lambda value: None if value == "S-1-0-0" else _text(value),
        Form.GUID: lambda value: value if value and value.strip("0-") else None,
        Form.LOGON_ID: lambda value: _number(value) or None,
        Form.INTEGER: _number,
        Form.PORT: lambda value: _number(value) or None,
        Form.PORT_BEHIND: lambda value: _number(str(value).rpartition(":")[2]),
        Form.ADDRESS: _address,
        Form.YES_NO: _YES_NO.get,
        Form.PERCENT_ID: lambda value: _number(str(value).strip("%")),
        Form.IMPERSONATION: _LEVELS.get,
        Form.TIME: lambda value: filetime_us(value) if is_time else None,
        Form.ACCOUNT_NAME: lambda value: _text(str(value).rpartition("\\")[2].partition("@")[0]),
        Form.ACCOUNT_DOMAIN: lambda value: _text(str(value).rpartition("\\")[0] or str(value).partition("@")[2]),
        Form.REALM: lambda value: _text(str(value).partition("/")[2]) if str(value).startswith("krbtgt/") else None,
        Form.SERVER: lambda value: _text(str(value).rpartition("/")[2]),
        Form.UNEXPECTED_STOP: lambda _: None,
    }


def _outcome(keywords: int) -> str | None:
    return "failure" if keywords & _FAILURE else "success" if keywords & _SUCCESS else None


def _text(value: object) -> str | None:
    plain = None if value is None else str(value).strip()
    return None if plain in _NONE else plain


def _number(value: object) -> int | None:
    if isinstance(value, int):
        return int(value)
    plain = _text(value)
    return None if plain is None else int(plain, 0)


_ADDRESS = re.compile(r"(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?")


def _address(value: object) -> str | None:
    plain = _text(value)
    found = _ADDRESS.fullmatch(plain or "")
    return found[1] if found else plain


@cache
def _boot_hint(activity_id: str | None) -> int | None:
    """The whole time in the last eight bytes of an ActivityID of LSASS."""
    if activity_id is None:
        return None
    return filetime_us(int.from_bytes(bytes.fromhex(activity_id.replace("-", "")[16:]), "little"))


# --- what else a case holds -----------------------------------------------------------------------------------------


def extents(logs: Sequence[Log], source: str) -> pa.Table:
    """Runs of record ids without a gap, a log each."""
    rows = []
    for log in logs:
        by_id = sorted((event.record_id or 0, event.filetime, event.computer) for event, _, _ in log.records)
        channel = log.records[0].event.template.channel
        for _, run in groupby(enumerate(by_id), key=lambda each: (each[1][0] - each[0], each[1][2])):
            part = [record for _, record in run]
            times = [filetime_us(ticks) for _, ticks, _ in part]
            first, last = part[0][0], part[-1][0]
            rows.append((source, "evtx", part[0][2], channel, first, last, len(part), min(times), max(times)))
    return _table(EXTENTS, rows)


def counts(logs: Sequence[Log], source: str) -> pa.Table:
    """Records by host, log, kind and day."""
    found: dict[tuple[str, str, str, int, int], int] = {}
    for log in logs:
        for event, _, _ in log.records:
            kind = event.template
            key = (
                event.computer,
                kind.channel,
                kind.provider,
                kind.event_id,
                filetime_us(event.filetime) // _DAY_US,
            )
            found[key] = found.get(key, 0) + 1
    return _table(COUNTS, [(source, *key, count, count) for key, count in found.items()])


_DAY_US = 86_400_000_000


def _table(kind: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(kind)
    plain = {pa.timestamp("us"): pa.int64(), pa.date32(): pa.int32()}
    arrays = [
        pa.array(column, plain.get(each.type, each.type)).cast(each.type)
        for column, each in zip(columns, kind, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=kind)
