"""JSON in all dialects to envelopes.

dialects.py says what each calls the parts of a record, json_lines.py takes the objects out of a file, times.py finds
when each record happened, own_fields.py what it says of itself, and records.py keeps those that serve.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from logontracks.sources import dialects, json_lines, nxlog_fields, otlp, own_fields, times, xml_records
from logontracks.sources.dialects import Dialect
from logontracks.sources.envelope import Head, Kind
from logontracks.sources.records import Lines, Problems, Records, integers, whole

FIRST = 200  # objects that are looked at to tell the dialect


def recognizes(start: bytes) -> Dialect | str | None:
    """The dialect of a file that starts so; in words what was seen instead; None where it is no JSON.

    `start`: 64 KiB, or all there is.
    """
    how = json_lines.layout(start)
    if how is None:
        return None
    found: list[Any] = []
    for text in json_lines.first_texts(start, how):
        try:
            record = dialects.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and record.get("SourceModuleType") == "im_internal":  # NXLog about itself
            continue
        found.extend(filter(None, otlp.records(record)) if otlp.is_export(record) else [record])
        dialect = dialects.of_record(found[-1]) if found else None
        if dialect is not None:
            return dialect
        if len(found) >= FIRST:
            break
    if not found:
        return _of_a_beginning(json_lines.decoded(start)[1])
    return f"it is JSON, {dialects.seen(found[0])}"


def _of_a_beginning(text: str) -> Dialect | None:
    """NXLog by the beginning of a long line; a quote within a text has a backslash, so that no text looks so."""
    found = set(re.findall(r'[{,]\s*"(\w+)"\s*:\s*["\d]', text))
    told = {"EventTime", "EventReceivedTime", "SourceModuleType"} & found
    if {"EventID", "Hostname"} <= found and told:
        return dialects.of_name("nxlog")
    return None


def read(
    path: Path, source: int, start: int, end: int, *, form: str, activity: bool, source_tz: ZoneInfo | None
) -> Lines:
    """Read the objects that begin at bytes `start` up to, not including, `end`, of a file of the dialect `form`.

    `activity`: keep Security records of sessions beyond logons too. `source_tz`: zone of times that tell none.
    Any range gives the rows and counts of its objects, wherever it is cut; runs of record ids may be cut with it.
    """
    records = Records(source, form, activity=activity)
    with path.open("rb") as file:
        begin = file.read(json_lines.START)
        found = recognizes(begin)
        dialect = found if isinstance(found, Dialect) and found.name == form else dialects.of_name(form)
        how = json_lines.layout(begin) or json_lines.Layout()
        for lines in json_lines.objects(file, how, start, end, records.problems):
            _add(records, dialect, lines, source_tz)
    return records.lines()


def _add(records: Records, dialect: Dialect, lines: pa.Table, source_tz: ZoneInfo | None) -> None:
    if dialect.within[:1] == ("body",) or dialect.whole:
        lines = otlp.expanded(lines, records.problems)
    told = json_lines.parse(dialects.sql(dialect), lines, records.problems)
    if dialect.whole:
        xml_records.add(records, whole(told["position"]).to_pylist(), whole(told["xml"]).to_pylist())
        return
    events = _events(told, dialect, records.problems)
    events = times.replaced(events, times.times(events, source_tz)).drop_columns("xml")
    forms = {form for form, _ in dialect.fields}
    if forms == {"nxlog"}:
        with_data = partial(_nxlog, records=records)
    else:
        with_data = partial(_with_data, records=records, dialect=dialect)
    records.add(events, with_data, named="line" if forms <= {"nxlog", "map", "flat", "camel"} else None)


def _events(told: pa.Table, dialect: Dialect, problems: Problems) -> pa.Table:
    """The objects that are events of Windows."""
    has_host = pc.not_equal(pc.fill_null(told["computer"], ""), "")
    events = pc.and_(pc.is_valid(integers(whole(told["event_id"]), 31)), has_host)
    others = told.select(["position", "line"]).filter(pc.invert(events))
    if len(others):
        what = f"lines from here on are no Windows events: {_instead(others['line'][0].as_py(), dialect)}"
        problems.note("skipped", what, len(others), others["position"][0].as_py())
        told = told.filter(events)
    return told


def _instead(line: str, dialect: Dialect) -> str:
    """What a line is, or lacks, that is no event of the dialect."""
    try:
        other = dialects.of_record(dialects.loads(line))
    except (ValueError, RecursionError):
        other = None
    if other is not None and other.name != dialect.name:
        return f"the first one is of {other.name} and not of {dialect.name}; give it in a file of its own"
    return f"{dialect.called('event_id')} or {dialect.called('computer')} is missing"


# Their own fields


def _nxlog(kept: pa.Table, records: Records) -> pa.Table:
    return nxlog_fields.with_data(kept, records.heads, records.problems)


_PLAIN = r'^\{(?:"\w+":(?:"(?:[^"\\]|\\.)*"|-?\d+|null|true|false),?)*\}$'
"""An object of texts and numbers: it can stay as it is, unless it has fields that stand for something else."""


def _with_data(kept: pa.Table, records: Records, dialect: Dialect) -> pa.Table:
    """The records with their own fields as `data` in place of `line`."""
    found = json_lines.query_parts(_own_sql(dialect), kept, records.problems)
    own = whole(found["own"])
    maps = [at for at, (form, _) in enumerate(dialect.fields) if form == "map"]
    plain = pc.is_in(found["place"], value_set=pa.array(maps, found["place"].type))
    plain = whole(pc.and_(plain, pc.fill_null(pc.match_substring_regex(own, _PLAIN), fill_value=False)))
    plain = pc.and_(plain, pc.invert(pc.match_substring_regex(own, '"(?:Data|data|param1)":')))
    data = pc.if_else(pc.fill_null(plain, fill_value=False), own, None)
    asked = whole(pc.and_(pc.is_null(data), pc.is_valid(found["place"])))
    others = found.select(["position", "head", "place", "own"]).filter(asked)
    made = [
        _own(records, records.heads[number], dialect.fields[place][0], text, position)
        for position, number, place, text in zip(*(column.to_pylist() for column in others.columns), strict=True)
    ]
    data = pc.replace_with_mask(data, asked, pa.array(made, pa.string()))
    data = pc.if_else(pc.equal(data, "{}"), None, data)
    if dialect.moved:
        data = _with_moved(found, data, records, dialect)
    return found.drop_columns(["line", "place", "own", "moved"]).append_column("data", data)


def _own_sql(dialect: Dialect) -> str:
    """SQL for the own fields of a record as JSON: `place`, the first of the places that has them, from 0, and `own`.

    `moved`: the values that fields have elsewhere, where any has one.
    """
    places, moved = (
        ", ".join(f"'{dialects.json_path(path)}'" for _, path in paths) for paths in (dialect.fields, dialect.moved)
    )
    told = [f"NULLIF(CAST(told[{at + 1}] AS VARCHAR), 'null')" for at in range(len(dialect.fields))]
    place = " ".join(f"WHEN {text} IS NOT NULL THEN {at}" for at, text in enumerate(told))
    elsewhere = f"json_extract_string(line, [{moved}])" if moved else "CAST([] AS VARCHAR[])"
    return f"""
        SELECT CASE {place} END AS place, COALESCE({", ".join(told)}) AS own,
            CASE WHEN len(list_filter(moved, lambda text: text IS NOT NULL)) > 0 THEN moved END AS moved
        FROM (SELECT json_extract(line, [{places}]) AS told, {elsewhere} AS moved FROM lines)"""


def _with_moved(found: pa.Table, data: pa.Array, records: Records, dialect: Dialect) -> pa.Array:
    """The fields of records, and those that the sender has put elsewhere."""
    asked = pc.and_(pc.is_valid(data), whole(pc.is_valid(found["moved"])))
    names = [name for name, _ in dialect.moved]
    completed = []
    for number, values, text in zip(
        found["head"].filter(asked).to_pylist(),
        found["moved"].filter(asked).to_pylist(),
        data.filter(asked).to_pylist(),
        strict=True,
    ):
        kind = Kind(records.heads[number].provider.lower(), records.heads[number].event_id)
        told = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        completed.append(json_lines.dumps(own_fields.completed(kind, dialects.loads(text), told)))
    return pc.replace_with_mask(data, asked, pa.array(completed, pa.string()))


def _own(records: Records, which: Head, form: dialects.Fields, text: str, position: int) -> str | None:
    kind = Kind(which.provider.lower(), which.event_id)
    try:
        value = dialects.loads(text)
        if form == "positional":
            value = json.loads(value) if isinstance(value, str) else value
            found = own_fields.placed(kind, which.version, value if isinstance(value, list) else [])
        else:
            found = own_fields.READ[form](kind, value)
        return json_lines.dumps(found) or None
    except own_fields.NotCertainError as error:
        records.problems.note("doubt", f"{error}: they say only that it happened", offset=position)
    except (ValueError, RecursionError) as error:
        what = f"records have fields that cannot be read ({str(error)[:60]}): they say only that it happened"
        records.problems.note("doubt", what, offset=position)
    return None
