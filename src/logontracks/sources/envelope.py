"""What every source hands over: events as written, in Arrow columns, before anything in them is understood."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

ENVELOPE = pa.schema(
    [
        ("source", pa.int32()),  # number of the source in this ingest
        ("form", pa.string()),
        ("position", pa.int64()),  # where in the source; rises in reading order
        ("provider", pa.string()),
        ("event_id", pa.int32()),
        ("version", pa.int16()),
        ("outcome", pa.string()),  # success, failure: from the audit keywords
        ("channel", pa.string()),
        ("computer", pa.string()),
        ("computer_key", pa.string()),
        ("short", pa.string()),  # first label of computer_key, by which short and full names of one host meet
        ("log_key", pa.int64()),  # stands for this log of this host in uids
        ("record_sid", pa.string()),
        ("activity_id", pa.string()),
        ("boot_hint", pa.timestamp("us")),  # start of the host, as the ActivityID of a Security record tells it
        ("record_id", pa.int64()),
        ("time", pa.string()),  # ISO 8601, UTC, as many digits as the record has
        ("written", pa.string()),  # the same from the record's header, where it may have one digit more
        ("data", pa.string()),  # JSON object: field name -> value; unnamed fields as the list "Data"
    ]
)
"""What few records differ in is dictionary-encoded, and worked out in Python once for each distinct value."""

ProblemKind = Literal["lost", "doubt", "skipped"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that could not be read, or was read and may be wrong. `position` is in words; empty: all of it."""

    position: str
    kind: ProblemKind
    what: str
    records_lost: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Kind(NamedTuple):
    """What an event is: ids mean something only together with their provider (in lower case)."""

    provider: str
    event_id: int


@dataclass(slots=True)
class Run:
    """Records of one log of one host without a gap in their ids. Times are ISO text, UTC."""

    computer: str
    channel: str
    first_id: int | None
    last_id: int | None
    records: int
    first_time: str
    last_time: str


@dataclass(slots=True)
class Extents:
    """What a piece of a source holds, kept or not: runs of record ids, and counts per kind and day."""

    runs: list[Run] = field(default_factory=list)
    counts: dict[tuple[str, str, str, int, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    """(computer, channel, provider, event id, day) -> [records, kept]"""

    def add(self, other: Extents) -> None:
        self.runs.extend(other.runs)
        for key, (records, kept) in other.counts.items():
            mine = self.counts[key]
            mine[0] += records
            mine[1] += kept


class Head(NamedTuple):
    """What the records of one kind have in common."""

    provider: str
    event_id: int
    version: int | None
    outcome: str | None


class Tail(NamedTuple):
    """What the records of one log of one host have in common."""

    channel: str
    computer: str
    computer_key: str
    short: str
    log_key: int
    record_sid: str | None


def head(provider: str, event_id: int, version: int | None, keywords: str | int | None) -> Head:
    """`keywords` as a number or text of one. Bits 52 and 53 say audit failure and success (winmeta.h)."""
    try:
        bits = int(str(keywords), 0)
    except ValueError:
        bits = 0
    outcome = "failure" if bits >> 52 & 1 else "success" if bits >> 53 & 1 else None
    return Head(provider.strip(), event_id, version, outcome)


def tail(channel: str, computer: str, record_sid: str | None) -> Tail:
    """Names of a log and its host in the forms that rows need."""
    computer = computer.strip()
    key = computer.lower()
    short = key if ":" in key or key.replace(".", "").isdigit() else key.partition(".")[0]
    digest = hashlib.sha256(f"{short}|{channel.strip().lower()}".encode("utf-8", "surrogatepass")).digest()
    return Tail(channel.strip(), computer, key, short, int.from_bytes(digest[:8], "big") >> 3, record_sid or None)


Row = tuple[int, int, int, int, int | None, str, str | None, str | None, str | None]
"""source, position, head, tail, record id, time, written (and " UTC" behind it), activity id, data"""


def to_tables(rows: dict[Kind, list[Row]], heads: list[Head], tails: list[Tail]) -> Iterator[tuple[Kind, pa.Table]]:
    """Rows of EVTX files as ENVELOPE tables of one kind each, which share their Arrow dictionaries."""
    if rows:
        table = _to_table(list(chain.from_iterable(rows.values())), heads, tails)
        begin = 0
        for kind, found in rows.items():
            yield kind, table.slice(begin, len(found))
            begin += len(found)


def _to_table(rows: list[Row], heads: list[Head], tails: list[Tail]) -> pa.Table:
    """What heads and tails hold becomes Arrow dictionaries."""
    source, position, head, tail, record_id, time, written, activity, data = zip(*rows, strict=True)
    columns: dict[str, pa.Array] = {
        "source": pa.array(source, pa.int32()),
        "form": pa.repeat("evtx", len(rows)),
        "position": pa.array(position, pa.int64()),
        "record_id": pa.array(record_id, pa.int64()),
        "time": pa.array(time, pa.string()),
        "written": pc.ascii_rtrim(pa.array(written, pa.string()), characters=" UTC"),
        "data": pa.array(data, pa.string()),
    }
    activities = pa.array(activity, pa.string()).dictionary_encode()
    columns["activity_id"] = _dictionary(
        activities.indices, map(guid, activities.dictionary.to_pylist()), "activity_id"
    )
    columns["boot_hint"] = _dictionary(
        activities.indices, map(boot_hint, activities.dictionary.to_pylist()), "boot_hint"
    )
    for index, values, names in ((head, heads, Head._fields), (tail, tails, Tail._fields)):
        indices = pa.array(index, pa.int32())
        for name in names:
            columns[name] = _dictionary(indices, (getattr(value, name) for value in values), name)
    return pa.table({name: columns[name] for name in ENVELOPE.names})


def _dictionary(indices: pa.Array, values: Iterable[Any], name: str) -> pa.Array:
    return dictionary(indices, list(values), ENVELOPE.field(name).type)


def dictionary(indices: pa.Array, values: list[Any], kind: pa.DataType) -> pa.Array:
    """A dictionary array of distinct values without None (which Parquet could not write) for indices into `values`."""
    number: dict[Any, int] = {}
    mapping = [None if value is None else number.setdefault(value, len(number)) for value in values]
    if len(number) < len(values):
        indices = pa.array(mapping, pa.int32()).take(indices)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(number), kind))


def first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json.loads: of a name that comes twice the first value counts, as it does for DuckDB."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def guid(text: str | None) -> str | None:
    """A GUID in lower case without braces; None for none or the zero GUID."""
    plain = (text or "").strip("{} ").lower()
    return plain if plain.strip("0-") else None


_EPOCH = datetime(1601, 1, 1)  # noqa: DTZ001 - times here are UTC without saying so
_PLAUSIBLE = range(*(((year - 1601) * 31556952 * 10_000_000) for year in (1980, 2100)))


def boot_hint(activity_id: str | None) -> datetime | None:
    """Start of the host, UTC, that the last 8 bytes of a Security record's ActivityID hold as a FILETIME.

    None where they hold no time between 1980 and 2100. Undocumented by Microsoft and found in 5,711 of 5,731 real
    records since Windows 10; the values of one boot differ by about a millisecond (domain reference 0.3).
    """
    if activity_id is None:
        return None
    try:
        ticks = int.from_bytes(bytes.fromhex(activity_id.strip("{}").replace("-", "")[16:]), "little")
    except ValueError:
        return None
    return _EPOCH + timedelta(microseconds=ticks // 10) if ticks in _PLAUSIBLE else None
