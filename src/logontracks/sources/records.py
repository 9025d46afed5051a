"""Records that a form tells as columns of text, to envelopes: all are counted, and those that serve are kept.

The readers of XML, JSON and .evt find the parts of a record, each in its way; from there on there is one way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from logontracks import catalogue
from logontracks.engines.duckdb import literal
from logontracks.sources import times
from logontracks.sources.database import query
from logontracks.sources.envelope import (
    ENVELOPE,
    Extents,
    Head,
    Kind,
    Problem,
    ProblemKind,
    Run,
    Tail,
    boot_hint,
    dictionary,
    guid,
    head,
    tail,
)

T = TypeVar("T")
MAX_PROBLEMS = 20  # records told one by one in each range; the rest as a sum

HEAD = ("provider", "event_id", "version", "keywords", "outcome")
TAIL = ("channel", "computer", "record_sid")
PARTS = (*HEAD, *TAIL, "record_id", "activity_id")
"""What a record says around its own fields, each as text or None."""


@dataclass(slots=True)
class Lines:
    """What one range of one source gave. `records` counts events, kept or not, repeated or not."""

    parts: list[tuple[Kind, pa.Table]] = field(default_factory=list)
    extents: Extents = field(default_factory=Extents)
    problems: list[Problem] = field(default_factory=list)
    records: int = 0


class Problems:
    """What is wrong with the records of a range: the first that are lost one by one, the rest as sums."""

    def __init__(self) -> None:
        self._lost: list[Problem] = []
        self._more_lost = 0
        self._sums: dict[tuple[ProblemKind, str], tuple[int, int | None]] = {}

    def lose(self, offset: int, what: str, count: int = 1) -> None:
        """The record at this offset cannot be read, or so many from there on."""
        if len(self._lost) < MAX_PROBLEMS:
            self._lost.append(Problem(f"byte {offset}", "lost", what, count))
        else:
            self._more_lost += count

    def note(self, kind: ProblemKind, what: str, count: int = 1, offset: int | None = None) -> None:
        """So many records, the first at this offset; what has the same words becomes one problem."""
        before, first = self._sums.get((kind, what), (0, offset))
        self._sums[kind, what] = before + count, first

    def told(self) -> Iterator[Problem]:
        yield from self._lost
        if self._more_lost:
            yield Problem("", "lost", f"{self._more_lost} more lines cannot be read", self._more_lost)
        for (kind, what), (count, first) in self._sums.items():
            lost = count if kind == "lost" else None
            yield Problem("" if first is None else f"byte {first}", kind, f"{count} {what}", lost)


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


class Records:
    """The records of one range, batch by batch.

    `activity`: keep Security records of sessions beyond logons too.
    """

    def __init__(self, source: int, form: str, *, activity: bool) -> None:
        self.problems = Problems()
        self._source = source
        self._form = form
        self._activity = activity
        self._heads = _Common(_head, *HEAD)
        self._tails = _Common(_tail, *TAIL)
        self._seen = [_SEEN.empty_table()]
        self._kept = [_KEPT.empty_table()]

    @property
    def heads(self) -> list[Head]:
        return self._heads.made

    def add(self, told: pa.Table, with_data: Callable[[pa.Table], pa.Table], *, named: str | None = None) -> None:
        """Take in records: their `position`, PARTS, what times.times tells, and columns of the reader's own.

        `with_data` gets those that may be kept, with the number of their `head`, and returns the same with their own
        fields as `data`, but for those that are lost. `named`: a column whose text holds the names of these fields.
        """
        numbers = {
            "head": self._heads.numbers(told),
            "tail": self._tails.numbers(told),
            "record_id": integers(whole(told["record_id"]), 62),
        }
        told = told.drop_columns([*HEAD, *TAIL, "record_id"])
        for name, values in numbers.items():
            told = told.append_column(name, values)
        kept = self._of_sessions(with_data(self._may_be_kept(told, named)))
        is_kept = pc.is_in(told["position"], value_set=whole(kept["position"]))
        self._seen.append(told.append_column("kept", is_kept).select(_SEEN.names).cast(_SEEN))
        timed = kept.filter(pc.is_valid(kept["time"]))
        timed = timed.set_column(timed.column_names.index("time"), "time", times.texts(timed))
        self._kept.append(timed.select(_KEPT.names).cast(_KEPT))

    def lines(self) -> Lines:
        """All that was taken in."""
        seen = pa.concat_tables(self._seen)
        return Lines(
            parts=list(self._parts(pa.concat_tables(self._kept))),
            extents=_extents(seen, self._heads.made, self._tails.made),
            problems=[*self.problems.told(), *times.doubts(seen.filter(seen["kept"]))],
            records=len(seen),
        )

    def _of(self, told: pa.Table, keep: catalogue.Keep) -> pa.Array:
        mine = [catalogue.keep(each.provider, each.event_id) is keep for each in self._heads.made]
        return pa.array(mine, pa.bool_()).take(whole(told["head"]))

    def _may_be_kept(self, told: pa.Table, named: str | None) -> pa.Table:
        """Records that have to do with logons by their kind, and those of Security that may belong to a session."""
        always = self._of(told, catalogue.Keep.LOGON)
        if not self._activity:
            return told.filter(always)
        security = pa.array([each.channel == "Security" for each in self._tails.made], pa.bool_())
        maybe = pc.and_(self._of(told, catalogue.Keep.ACTIVITY), security.take(whole(told["tail"])))
        if named and pc.any(maybe).as_py():
            asked = told.select(["position", named]).filter(maybe)
            asked = asked.filter(pc.match_substring(asked[named], "ogonId"))
            maybe = pc.and_(maybe, pc.is_in(told["position"], value_set=whole(asked["position"])))
        return told.filter(pc.or_(always, maybe))

    def _of_sessions(self, kept: pa.Table) -> pa.Table:
        """Without those that are kept for their session and name none."""
        always = self._of(kept, catalogue.Keep.LOGON)
        asked = kept.select(["position", "data"]).filter(pc.invert(always))
        if not len(asked):
            return kept
        in_session = query(_IN_SESSION, asked)
        return kept.filter(pc.or_(always, pc.is_in(kept["position"], value_set=whole(in_session["position"]))))

    def _parts(self, kept: pa.Table) -> Iterator[tuple[Kind, pa.Table]]:
        """Rows as ENVELOPE tables of one kind each, in the order of the file."""
        kinds: dict[Kind, int] = {}
        number = [kinds.setdefault(Kind(each.provider.lower(), each.event_id), len(kinds)) for each in self._heads.made]
        rows = kept.append_column("kind", pa.array(number, pa.int32()).take(whole(kept["head"])))
        rows = rows.sort_by([("kind", "ascending"), ("position", "ascending")])
        at = 0
        names = list(kinds)
        for row in rows.group_by("kind", use_threads=False).aggregate([([], "count_all")]).to_pylist():
            yield names[row["kind"]], self._envelopes(rows.slice(at, row["count_all"]))
            at += row["count_all"]

    def _envelopes(self, rows: pa.Table) -> pa.Table:
        columns: dict[str, Any] = {
            "source": pa.repeat(pa.scalar(self._source, pa.int32()), len(rows)),
            "form": pa.repeat(pa.scalar(self._form), len(rows)),  # as in EVTX: one task may hold both
            "position": rows["position"],
            "record_id": rows["record_id"],
            "time": rows["time"],
            "written": pa.nulls(len(rows), pa.string()),
            "data": rows["data"],
        }
        activity = whole(rows["activity_id"]).dictionary_encode()
        guids = [guid(text) for text in activity.dictionary.to_pylist()]
        columns["activity_id"] = dictionary(activity.indices, guids, pa.string())
        boots = [boot_hint(text) for text in guids]
        columns["boot_hint"] = dictionary(activity.indices, boots, ENVELOPE.field("boot_hint").type)
        for name, made in (("head", self._heads.made), ("tail", self._tails.made)):
            encoded = whole(rows[name]).dictionary_encode()
            common: list[Head] | list[Tail] = [made[at] for at in encoded.dictionary.to_pylist()]
            for part in common[0]._fields:
                values = [getattr(each, part) for each in common]
                columns[part] = dictionary(encoded.indices, values, ENVELOPE.field(part).type)
        return pa.table({name: columns[name] for name in ENVELOPE.names})


# What records have in common


class _Common(Generic[T]):
    """What records with the same text in some columns have in common: made once, and numbered."""

    def __init__(self, make: Callable[..., T], *columns: str) -> None:
        self.made: list[T] = []
        self._make = make
        self._columns = columns
        self._number_of: dict[tuple[str | None, ...], int] = {}

    def numbers(self, told: pa.Table) -> pa.Array:
        """For each record its number; what is new is made."""
        codes = pa.repeat(pa.scalar(0, pa.int64()), len(told))
        values: list[tuple[str | None, ...]] = [()]
        for name in self._columns:
            column = whole(told[name]).dictionary_encode(null_encoding="encode")
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


def _head(provider: str | None, event_id: str, version: str | None, keywords: str | None, outcome: str | None) -> Head:
    found = head(provider or "", decimal(event_id, 31) or 0, decimal(version, 15), _keywords(keywords))
    return found._replace(outcome=_outcome(outcome) or _outcome(keywords)) if found.outcome is None else found


def _outcome(text: str | None) -> str | None:
    """AUDIT_SUCCESS, "Audit Failure" in a list of keywords, or one word."""
    words = set(re.findall("[A-Z]+", (text or "").upper()))
    found = words & {"SUCCESS", "FAILURE"}
    return found.pop().lower() if len(found) == 1 and words <= {"AUDIT", *found} | found else None


def _keywords(text: str | None) -> str | int | None:
    """As a whole number: JavaScript rounds the digits of its text, -9214364837600035000 instead of ...034816."""
    try:
        return int(float(text or ""))
    except (ValueError, OverflowError):
        return text


def _tail(channel: str | None, host: str, sid: str | None) -> Tail:
    channel = (channel or "").strip()
    sid = (sid or "").strip()
    return tail(_channels().get(channel.lower(), channel), host, sid if sid.startswith("S-1-") else None)


@cache
def _channels() -> dict[str, str]:
    """Channels of the catalogue as it writes them, by their names in lower case."""
    return {event.channel.lower(): event.channel for event in catalogue.events().values() if event.channel}


def integers(column: pa.Array, bits: int) -> pa.Array:
    """Decimal numbers that fit; others are None."""
    if pc.all(pc.match_substring_regex(column, r"^\d{1,18}$")).as_py():
        numbers = column.cast(pa.int64())
        return pc.if_else(pc.less(numbers, 1 << bits), numbers, None)
    encoded = column.dictionary_encode()
    numbers = [decimal(text, bits) for text in encoded.dictionary.to_pylist()]
    return pa.array(numbers, pa.int64()).take(encoded.indices)


def decimal(text: str | None, bits: int) -> int | None:
    plain = (text or "").strip()
    if not (plain.isascii() and plain.isdecimal() and len(plain) < 20):
        return None
    number = int(plain)
    return number if number < 1 << bits else None


def _spellings() -> Iterator[str]:
    """How forms write the logon ids that stand for no session: 0x3e7, 999, and (0x0,0x3e7) up to Windows 2003."""
    for number in sorted(catalogue.reserved_logon_ids()):
        yield from (f"0x{number:x}" if number else "0x", str(number), f"(0x0,0x{number:x})")


_IN_SESSION = f"""
    SELECT position FROM lines WHERE len(list_filter(
        regexp_extract_all(data, 'LogonId"\\s*:\\s*"?(\\(0x[0-9A-Fa-f]+,0x[0-9A-Fa-f]+\\)|0x[0-9A-Fa-f]+|\\d+)', 1),
        lambda id: regexp_replace(LOWER(id), '^0x0+', '0x') NOT IN ({", ".join(map(literal, _spellings()))})
    )) > 0"""


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
    """Runs of record ids without a gap, whatever order the records have, and counts, of those that have a time."""
    found = Extents()
    timed = seen.filter(pc.is_valid(seen["time"]))
    logs: dict[tuple[str, str], int] = {}
    number = [logs.setdefault((each.computer, each.channel), len(logs)) for each in tails]
    log = pa.array(number, pa.int32()).take(whole(timed["tail"]))
    names = list(logs)
    ids = pa.table({"log": log, "id": timed["record_id"], "time": timed["time"]})
    for row in query(_RUNS, ids).to_pylist():
        low, high = times.iso(row["low"]), times.iso(row["high"])
        computer, channel = names[row["log"]]
        found.runs.append(Run(computer, channel, row["first_id"], row["last_id"], row["records"], low, high))
    for row in query(_COUNTS, timed).to_pylist():
        which, where = heads[row["head"]], tails[row["tail"]]
        entry = found.counts[where.computer, where.channel, which.provider, which.event_id, row["day"]]
        entry[0] += row["records"]
        entry[1] += row["kept"]
    return found


def whole(column: pa.Array | pa.ChunkedArray) -> Any:
    """The same as one array."""
    found = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found
