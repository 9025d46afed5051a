"""NXLog: flat JSON lines, often of a whole domain in one file, to envelopes.

nxlog_lines.py takes the lines apart, nxlog_time.py finds when each record happened, nxlog_fields.py what it says of
itself. Here records are counted, and those that serve are kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from logontracks import catalogue
from logontracks.engines.duckdb import literal
from logontracks.sources import nxlog_fields, nxlog_lines, nxlog_time
from logontracks.sources.envelope import (
    ENVELOPE,
    Extents,
    Head,
    Kind,
    Problem,
    Run,
    Tail,
    boot_hint,
    dictionary,
    guid,
    head,
    tail,
)
from logontracks.sources.nxlog_lines import Problems

T = TypeVar("T")


def recognizes(start: bytes) -> bool:
    """Whether a file that starts so is NXLog's flat JSON, by its first event. `start`: 64 KiB, or all there is."""
    lines = start.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines):
        if line.lstrip()[:1] != b"{":
            continue
        try:
            fields = json.loads(line.decode("utf-8", "replace"), strict=False)
        except (ValueError, RecursionError):
            if number < len(lines) - 1:
                continue
            return _looks_like(line)  # cut at the end of what was read
        if fields.get("SourceModuleType") == "im_internal":  # NXLog about itself
            continue
        return (
            isinstance(fields.get("Hostname"), str)
            and str(fields.get("EventID")).isdecimal()
            and any(name in fields for name in ("EventTime", "EventReceivedTime", "SourceModuleType"))
        )
    return False


def _looks_like(line: bytes) -> bool:
    """The same for the beginning of a long line; a quote within a text has a backslash, so that no text looks so."""
    found = set(re.findall(rb'[{,]\s*"(\w+)"\s*:\s*["\d]', line))
    return {b"EventID", b"Hostname"} <= found and bool(
        found & {b"EventTime", b"EventReceivedTime", b"SourceModuleType"}
    )


@dataclass(slots=True)
class Lines:
    """What one range of one source gave. `records` counts events, kept or not, repeated or not."""

    parts: list[tuple[Kind, pa.Table]] = field(default_factory=list)
    extents: Extents = field(default_factory=Extents)
    problems: list[Problem] = field(default_factory=list)
    records: int = 0


_SEEN = pa.schema(
    [
        ("position", pa.int64()),
        ("head", pa.int32()),
        ("tail", pa.int32()),
        ("record_id", pa.int64()),
        ("time", pa.int64()),
        ("way", pa.string()),
        ("quarters", pa.int64()),
        ("turn", pa.int8()),
        ("kept", pa.bool_()),
    ]
)
"""What stays of every record until the range is read: for its extents, and for doubts about times."""

_KEPT = pa.schema(
    [
        ("position", pa.int64()),
        ("head", pa.int32()),
        ("tail", pa.int32()),
        ("record_id", pa.int64()),
        ("time", pa.string()),
        ("activity_id", pa.string()),
        ("data", pa.string()),
    ]
)


def read(path: Path, source: int, start: int, end: int, *, activity: bool, source_tz: ZoneInfo | None) -> Lines:
    """Read the lines that begin at bytes `start` up to, not including, `end`.

    `activity`: keep Security records of sessions beyond logons too. `source_tz`: zone of times that tell none.
    Any range gives the rows and counts of its lines, wherever it is cut; runs of record ids may be cut with it.
    """
    problems = Problems()
    heads = _Common(_head, "SourceName", "EventID", "Version", "Keywords", "EventType")
    tails = _Common(_tail, "Channel", "Hostname", "UserID")
    all_seen, all_kept = [_SEEN.empty_table()], [_KEPT.empty_table()]
    with path.open("rb") as file:
        for offset, block in nxlog_lines.blocks(file, start, end, problems):
            lines = nxlog_lines.split(offset, block, problems)
            events = _events(nxlog_lines.parse(lines, problems), problems)
            records = _records(events, heads, tails, source_tz)
            wanted = _wanted(records, heads.made, tails.made, problems, activity=activity)
            kept = nxlog_fields.with_data(wanted, heads.made, problems)
            is_kept = pc.is_in(records["position"], value_set=_whole(kept["position"]))
            all_seen.append(records.append_column("kept", is_kept).select(_SEEN.names).cast(_SEEN))
            all_kept.append(_with_time(kept).select(_KEPT.names).cast(_KEPT))
    seen = pa.concat_tables(all_seen)
    return Lines(
        parts=list(_parts(pa.concat_tables(all_kept), heads.made, tails.made, source)),
        extents=_extents(seen, heads.made, tails.made),
        problems=[*problems.told(), *nxlog_time.doubts(seen.filter(seen["kept"]))],
        records=len(seen),
    )


# Records


def _events(lines: pa.Table, problems: Problems) -> pa.Table:
    """The lines that are events of Windows."""
    fields = _whole(lines["fields"])
    named = pc.not_equal(pc.fill_null(fields.field("Hostname"), ""), "")
    events = pc.and_(pc.is_valid(_integers(fields.field("EventID"), 31)), named)
    others = lines["position"].filter(pc.invert(events))
    if not len(others):
        return lines
    what = "lines from here on are no Windows events: EventID or Hostname is missing"
    problems.note("skipped", what, len(others), others[0].as_py())
    return lines.filter(events)


def _records(events: pa.Table, heads: _Common[Head], tails: _Common[Tail], source_tz: ZoneInfo | None) -> pa.Table:
    """The events with numbers of their heads and tails, their record ids, and what nxlog_time.times tells."""
    fields = _whole(events["fields"])
    times = nxlog_time.times(fields, source_tz)
    columns = {
        "position": events["position"],
        "line": events["line"],
        "fields": fields,
        "head": heads.numbers(fields),
        "tail": tails.numbers(fields),
        "record_id": _integers(fields.field("RecordNumber"), 62),
        "activity_id": fields.field("ActivityID"),
    }
    return pa.table(columns | dict(zip(times.column_names, times.columns, strict=True)))


class _Common(Generic[T]):
    """What records with the same text in some fields have in common: made once, and numbered."""

    def __init__(self, make: Callable[..., T], *fields: str) -> None:
        self.made: list[T] = []
        self._make = make
        self._fields = fields
        self._number_of: dict[tuple[str | None, ...], int] = {}

    def numbers(self, fields: pa.StructArray) -> pa.Array:
        """For each record its number; what is new is made."""
        codes = pa.repeat(pa.scalar(0, pa.int64()), len(fields))
        values: list[tuple[str | None, ...]] = [()]
        for name in self._fields:
            column = fields.field(name).dictionary_encode(null_encoding="encode")
            distinct = column.dictionary.to_pylist()
            pairs = pc.add(pc.multiply(codes, len(distinct)), column.indices.cast(pa.int64())).dictionary_encode()
            values = [
                (*values[code // len(distinct)], distinct[code % len(distinct)])
                for code in pairs.dictionary.to_pylist()
            ]
            codes = pairs.indices.cast(pa.int64())
        return pa.array([self._number(value) for value in values], pa.int32()).take(codes)

    def _number(self, value: tuple[str | None, ...]) -> int:
        if value not in self._number_of:
            self._number_of[value] = len(self.made)
            self.made.append(self._make(*value))
        return self._number_of[value]


def _head(
    provider: str | None, event_id: str, version: str | None, keywords: str | None, event_type: str | None
) -> Head:
    found = head(provider or "", int(event_id), _decimal(version, 15), _keywords(keywords))
    if found.outcome is None:
        outcome = {"AUDIT_SUCCESS": "success", "AUDIT_FAILURE": "failure"}.get((event_type or "").strip().upper())
        return found._replace(outcome=outcome)
    return found


def _tail(channel: str | None, host: str, sid: str | None) -> Tail:
    channel = (channel or "").strip()
    sid = (sid or "").strip()
    return tail(_channels().get(channel.lower(), channel), host, sid if sid.startswith("S-1-") else None)


@cache
def _channels() -> dict[str, str]:
    """Channels of the catalogue as it writes them, by their names in lower case."""
    return {event.channel.lower(): event.channel for event in catalogue.events().values() if event.channel}


def _keywords(text: str | None) -> str | int | None:
    """As a whole number: JavaScript rounds the digits of its text, -9214364837600035000 instead of ...034816."""
    try:
        return int(float(text or ""))
    except (ValueError, OverflowError):
        return text


def _integers(column: pa.Array, bits: int) -> pa.Array:
    """Decimal numbers that fit; others are None."""
    encoded = column.dictionary_encode()
    numbers = [_decimal(text, bits) for text in encoded.dictionary.to_pylist()]
    return pa.array(numbers, pa.int64()).take(encoded.indices)


def _decimal(text: str | None, bits: int) -> int | None:
    plain = (text or "").strip()
    if not (plain.isascii() and plain.isdecimal() and len(plain) < 20):
        return None
    number = int(plain)
    return number if number < 1 << bits else None


# What is kept


def _wanted(records: pa.Table, heads: list[Head], tails: list[Tail], problems: Problems, *, activity: bool) -> pa.Table:
    """The records that have to do with logons: by their kind or, Security's, by a logon id of a session in them."""
    keep = [catalogue.keep(each.provider, each.event_id) for each in heads]
    always = pa.array([each is catalogue.Keep.LOGON for each in keep], pa.bool_()).take(records["head"])
    if not activity:
        return records.filter(always)
    maybe = pa.array([each is catalogue.Keep.ACTIVITY for each in keep], pa.bool_()).take(records["head"])
    security = pa.array([each.channel == "Security" for each in tails], pa.bool_()).take(records["tail"])
    asked = records.select(["position", "line"]).filter(pc.and_(maybe, security))
    in_session = nxlog_lines.query_parts(_IN_SESSION, asked, problems)
    return records.filter(pc.or_(always, pc.is_in(records["position"], value_set=_whole(in_session["position"]))))


_RESERVED = ", ".join(literal(f"{number:x}") for number in sorted(catalogue.reserved_logon_ids()))
_IN_SESSION = f"""
    SELECT position FROM lines WHERE len(list_filter(
        regexp_extract_all(line, 'LogonId"\\s*:\\s*"0x0*([0-9A-Fa-f]+)"', 1), lambda id: LOWER(id) NOT IN ({_RESERVED})
    )) > 0"""


def _with_time(kept: pa.Table) -> pa.Table:
    """Those that have a time, as text."""
    timed = kept.filter(pc.is_valid(kept["time"]))
    return timed.set_column(timed.column_names.index("time"), "time", nxlog_time.texts(timed))


def _parts(kept: pa.Table, heads: list[Head], tails: list[Tail], source: int) -> Iterator[tuple[Kind, pa.Table]]:
    """Rows as ENVELOPE tables of one kind each, in the order of the file."""
    kinds: dict[Kind, int] = {}
    number = [kinds.setdefault(Kind(each.provider.lower(), each.event_id), len(kinds)) for each in heads]
    rows = kept.append_column("kind", pa.array(number, pa.int32()).take(_whole(kept["head"])))
    rows = rows.sort_by([("kind", "ascending"), ("position", "ascending")])
    at = 0
    names = list(kinds)
    for row in rows.group_by("kind", use_threads=False).aggregate([([], "count_all")]).to_pylist():
        yield names[row["kind"]], _envelopes(rows.slice(at, row["count_all"]), heads, tails, source)
        at += row["count_all"]


def _envelopes(rows: pa.Table, heads: list[Head], tails: list[Tail], source: int) -> pa.Table:
    columns: dict[str, Any] = {
        "source": pa.repeat(pa.scalar(source, pa.int32()), len(rows)),
        "form": pa.repeat(pa.scalar("nxlog"), len(rows)).dictionary_encode(),
        "position": rows["position"],
        "record_id": rows["record_id"],
        "time": rows["time"],
        "written": pa.nulls(len(rows), pa.string()),
        "data": rows["data"],
    }
    activity = _whole(rows["activity_id"]).dictionary_encode()
    guids = [guid(text) for text in activity.dictionary.to_pylist()]
    columns["activity_id"] = dictionary(activity.indices, guids, pa.string())
    boots = [boot_hint(text) for text in guids]
    columns["boot_hint"] = dictionary(activity.indices, boots, ENVELOPE.field("boot_hint").type)
    for name, made in (("head", heads), ("tail", tails)):
        encoded = _whole(rows[name]).dictionary_encode()
        common: list[Head] | list[Tail] = [made[at] for at in encoded.dictionary.to_pylist()]
        for part in common[0]._fields:
            values = [getattr(each, part) for each in common]
            columns[part] = dictionary(encoded.indices, values, ENVELOPE.field(part).type)
    return pa.table({name: columns[name] for name in ENVELOPE.names})


# Extents


_RUNS = """
    SELECT log, MIN(id) AS first_id, MAX(id) AS last_id, CAST(SUM(n) AS BIGINT) AS records,
        MIN(low) AS low, MAX(high) AS high
    FROM (SELECT log, id, COUNT(*) AS n, MIN(time) AS low, MAX(time) AS high,
            id - ROW_NUMBER() OVER (PARTITION BY log ORDER BY id) AS run
        FROM lines GROUP BY log, id)
    GROUP BY log, run ORDER BY log, first_id NULLS FIRST"""

_COUNTS = """
    SELECT head, tail, strftime(make_timestamp(time), '%Y-%m-%d') AS day, COUNT(*) AS records,
        COUNT(*) FILTER (kept) AS kept
    FROM lines GROUP BY ALL"""


def _extents(seen: pa.Table, heads: list[Head], tails: list[Tail]) -> Extents:
    """Runs of record ids without a gap, whatever order the lines have, and counts, of the records that have a time."""
    found = Extents()
    timed = seen.filter(pc.is_valid(seen["time"]))
    logs: dict[tuple[str, str], int] = {}
    number = [logs.setdefault((each.computer, each.channel), len(logs)) for each in tails]
    log = pa.array(number, pa.int32()).take(_whole(timed["tail"]))
    names = list(logs)
    ids = pa.table({"log": log, "id": timed["record_id"], "time": timed["time"]})
    for row in nxlog_lines.query(_RUNS, ids).to_pylist():
        low, high = nxlog_time.iso(row["low"]), nxlog_time.iso(row["high"])
        computer, channel = names[row["log"]]
        found.runs.append(Run(computer, channel, row["first_id"], row["last_id"], row["records"], low, high))
    for row in nxlog_lines.query(_COUNTS, timed).to_pylist():
        which, where = heads[row["head"]], tails[row["tail"]]
        entry = found.counts[where.computer, where.channel, which.provider, which.event_id, row["day"]]
        entry[0] += row["records"]
        entry[1] += row["kept"]
    return found


def _whole(column: pa.Array | pa.ChunkedArray) -> Any:
    """The same as one array."""
    found = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
