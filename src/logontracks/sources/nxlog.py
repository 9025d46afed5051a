"""NXLog: flat JSON lines, often of a whole domain in one file, to envelopes.

NXLog writes each event as one flat object: the record's System part and the event's own fields side by side. Where
both have a field of one name its own stays and the event's is lost (seen on Sysmon's EventType). Fields of UserData
are not written at all, only the message that was made of them; `_told` takes them out of it.

`EventTime` has no zone in most set-ups: it is local time of the collector, as `EventReceivedTime` is. What arrives
through Logstash also has `@timestamp`, UTC of the moment of arrival, so that the offset can be told from the two:
_OFFSETS. Sysmon's own UtcTime confirms it for all of 183,408 such records of real labs (median 0.5 s, by rounding).
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from logontracks import catalogue
from logontracks.engines.duckdb import Connection, connect, literal
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

MAX_LINE = 64 << 20  # bytes; a record of Windows has less than 64 KiB
BLOCK = 8 << 20  # bytes read at once
MAX_PROBLEMS = 20  # lines told one by one in each range; the rest as a sum

_READ = (
    *("EventTime", "EventTimeUTC", "EventReceivedTime", "@timestamp", "Hostname", "Channel", "SourceName", "EventID"),
    *("Version", "Keywords", "EventType", "RecordNumber", "UserID", "Domain", "AccountType", "ActivityID"),
    "ExecutionProcessID",
)
_OWN = (
    *_READ,
    *("Severity", "SeverityValue", "ProviderGuid", "Task", "TaskValue", "Opcode", "OpcodeValue", "Level", "Category"),
    *("Message", "ThreadID", "ExecutionThreadID", "RelatedActivityID", "EventTypeOrignal", "ERROR_EVT_UNRESOLVED"),
    *("EventXML", "UserData", "OpenWEC", "SourceModuleName", "SourceModuleType", "MessageSourceAddress"),
    *("@version", "@metadata", "host", "port", "tags", "type"),
)
"""What NXLog, Logstash and the labs' set-ups write beside the event's own fields."""

_SHAPE = literal(json.dumps(dict.fromkeys(_READ, "VARCHAR")))

# Not always NXLog's own: AccountName belongs to UserID and then comes with Domain and AccountType, as in no record of
# the Security log; ProcessID was renamed to ExecutionProcessID in newer versions.
_ACCOUNT = "(f.UserID IS NULL OR f.Domain IS NULL AND f.AccountType IS NULL)"
_PROCESS = "(f.ExecutionProcessID IS NOT NULL)"


def _patch(*also: str) -> str:
    return literal(json.dumps(dict.fromkeys((*_OWN, *also))))


_QUARTER = 900_000_000  # microseconds; every zone in use is a multiple of it away from UTC
_OFFSETS = f"""
    WITH ways AS (
        SELECT *, utc - event AS since_event, utc - received AS since_received,
            CAST(FLOOR((utc - event + {_QUARTER // 2}) / {_QUARTER}.0) AS BIGINT) AS by_event,
            CAST(FLOOR((utc - received + {_QUARTER // 2}) / {_QUARTER}.0) AS BIGINT) AS by_received
        FROM times)
    SELECT CASE
        WHEN event IS NULL THEN 'unreadable'
        WHEN zoned THEN 'zone'
        -- @timestamp was made of EventTime: nothing but whole quarters of an hour lies between them
        WHEN since_event = by_event * {_QUARTER} AND by_event BETWEEN -56 AND 56 THEN 'event'
        -- as NXLog received it, and as it arrived: a moment apart
        WHEN since_received - by_received * {_QUARTER} BETWEEN -60000000 AND 300000000
            AND by_received BETWEEN -56 AND 56 THEN 'received'
        WHEN since_event - by_event * {_QUARTER} BETWEEN -60000000 AND 300000000
            AND by_event BETWEEN -56 AND 56 THEN 'event'
        WHEN in_zone IS NOT NULL THEN 'source-tz'
        WHEN utc IS NOT NULL THEN 'arrival'
        ELSE 'local' END AS way,
        CASE way
            WHEN 'zone' THEN event
            WHEN 'event' THEN event + by_event * {_QUARTER}
            WHEN 'received' THEN event + by_received * {_QUARTER}
            WHEN 'source-tz' THEN in_zone
            WHEN 'arrival' THEN utc END AS time,
        CASE way WHEN 'event' THEN by_event WHEN 'received' THEN by_received END AS quarters
    FROM ways"""

_RUNS = """
    SELECT log, MIN(id) AS first_id, MAX(id) AS last_id, CAST(SUM(n) AS BIGINT) AS records,
        MIN(low) AS low, MAX(high) AS high
    FROM (SELECT log, id, COUNT(*) AS n, MIN(time) AS low, MAX(time) AS high,
            id - ROW_NUMBER() OVER (PARTITION BY log ORDER BY id) AS run
        FROM records GROUP BY log, id)
    GROUP BY log, run ORDER BY log, first_id NULLS FIRST"""


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


def read(path: Path, source: int, start: int, end: int, *, activity: bool, source_tz: ZoneInfo | None) -> Lines:
    """Read the lines that begin at bytes `start` up to, not including, `end`.

    `activity`: keep Security records of sessions beyond logons too. `source_tz`: zone of times that tell none.
    Any range gives the rows and counts of its lines, wherever it is cut; runs of record ids may be cut with it.
    """
    piece = _Piece(source, activity=activity, source_tz=source_tz)
    with path.open("rb") as file:
        for offset, block in _blocks(file, start, end, piece.too_long):
            piece.add(offset, block)
    return piece.done()


def _blocks(file: BinaryIO, start: int, end: int, too_long: Callable[[int], None]) -> Iterator[tuple[int, bytes]]:
    """Whole lines that begin in [start, end), many at a time, with the offset of the first; too long ones are told."""
    offset = _line_start(file, start)
    file.seek(offset)
    rest = b""
    while offset < end:
        more = file.read(BLOCK)
        block = rest + more
        if len(block) > MAX_LINE and block.find(b"\n", 0, MAX_LINE + 1) < 0:
            too_long(offset)
            offset = _line_start(file, offset + MAX_LINE + 1)
            file.seek(offset)
            rest = b""
            continue
        last = block.find(b"\n", end - 1 - offset) if offset + len(block) >= end else -1
        cut = last if last >= 0 else block.rfind(b"\n")
        if not more:
            cut = len(block) - 1
        if cut >= 0:
            yield offset, block[: cut + 1]
        if not more or last >= 0:
            return
        rest = block[cut + 1 :]
        offset += cut + 1


def _line_start(file: BinaryIO, at: int) -> int:
    """Offset of the first line that begins at `at` or behind it."""
    if at == 0:
        return 0
    file.seek(at - 1)
    at -= 1
    while more := file.read(min(BLOCK, 1 << 20)):
        found = more.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(more)
    return at


class _Moment(NamedTuple):
    """A time as written: microseconds since 1970 of its own clock or, `zoned`, of UTC, and its digits below seconds."""

    time: int
    digits: str
    zoned: bool


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times have no zone yet
_WRITTEN = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:[.,](\d+))? ?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII | re.IGNORECASE
)
_NUMBER = re.compile(r"\d{9,17}", re.ASCII)


def _moment(text: str | None) -> _Moment | None:
    """ISO 8601, with or without a zone, or a number of seconds, milli- or microseconds since 1970 in UTC."""
    text = (text or "").strip()
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return _counted(text) if _NUMBER.fullmatch(text) else None
    date, clock, digits, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{(zone or '').upper()}")
    except ValueError:
        return None
    if not 1601 < moment.year < 9999:
        return None
    offset = moment.utcoffset() or timedelta()
    micros = (moment.replace(tzinfo=None) - offset - _EPOCH) // timedelta(microseconds=1)
    return _Moment(micros + int(f"{digits or ''}000000"[:6]), (digits or "")[:7], zone is not None)


def _counted(text: str) -> _Moment:
    below = 0 if len(text) < 12 else 3 if len(text) < 15 else 6
    return _Moment(int(text) * 10 ** (6 - below), text[len(text) - below :], zoned=True)


def _in_zone(moment: _Moment | None, zone: ZoneInfo) -> tuple[int, int] | None:
    """UTC of a local time, and 1 where its hour comes twice (then the first is meant), -1 where it is skipped."""
    if moment is None or moment.zoned:
        return None
    local = _EPOCH + timedelta(microseconds=moment.time)
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return moment.time - first // timedelta(microseconds=1), (first > second) - (first < second)


_SCHEMA = pa.schema(
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


@cache
def _database() -> Connection:
    """One for the process: making one costs more than a small range."""
    connection = connect(threads=1, memory="512MB")
    connection.execute("SET preserve_insertion_order = true")
    return connection


@cache
def _channels() -> dict[str, str]:
    """Channels of the catalogue as it writes them, by their names in lower case."""
    return {event.channel.lower(): event.channel for event in catalogue.events().values() if event.channel}


class _Piece:
    """What was read of a range so far."""

    def __init__(self, source: int, *, activity: bool, source_tz: ZoneInfo | None) -> None:
        self._source = source
        self._activity = activity
        self._source_tz = source_tz
        self._database = _database()
        self._heads: dict[tuple[Any, ...], int] = {}
        self._tails: dict[tuple[Any, ...], int] = {}
        self._head: list[Head] = []
        self._tail: list[Tail] = []
        self._modes: list[int] = []  # by head: 0 not kept, 1 kept, 2 kept when it belongs to a session
        self._security: list[bool] = []  # by tail
        self._kept: list[pa.Table] = []
        self._ids: list[pa.Table] = []
        self._lines = Lines()
        self._bad: list[Problem] = []
        self._more_bad = 0
        self._notes: dict[str, int] = Counter()
        self._first: dict[str, int] = {}
        self._quarters: dict[int, int] = Counter()
        self._untold: dict[Kind, int] = Counter()

    # What is wrong

    def too_long(self, offset: int) -> None:
        self._lose(offset, f"the line is longer than {MAX_LINE} bytes")

    def _lose(self, offset: int, what: str) -> None:
        if len(self._bad) < MAX_PROBLEMS:
            self._bad.append(Problem(f"byte {offset}", "lost", what, 1))
        else:
            self._more_bad += 1

    def _note(self, what: str, count: int, offset: int) -> None:
        if count:
            self._notes[what] += count
            self._first.setdefault(what, offset)

    # Reading

    def add(self, offset: int, block: bytes) -> None:
        """Take whole lines that begin at `offset` of the file."""
        raw = block.split(b"\n")
        if not raw[-1]:
            raw.pop()
        if offset == 0 and raw and raw[0].startswith(b"\xef\xbb\xbf"):
            raw[0] = b"   " + raw[0][3:]
        binary = pa.array(raw, pa.binary())
        lengths = pc.add(pc.binary_length(binary).cast(pa.int64()), 1)
        ends = pc.add(pc.cumulative_sum(lengths), offset)
        positions = pc.subtract(ends, lengths)
        try:
            lines = binary.cast(pa.string())
        except pa.ArrowInvalid:
            lines = self._decode(raw, positions)
        self._take(*self._parse(positions, lines))

    def _decode(self, raw: list[bytes], positions: pa.Array) -> pa.Array:
        texts = [line.decode("utf-8", "replace") for line in raw]
        for at, (line, text) in enumerate(zip(raw, texts, strict=True)):
            if "\ufffd" in text and b"\xef\xbf\xbd" not in line:
                self._note("encoding", 1, positions[at].as_py())
        return pa.array(texts, pa.string())

    def _parse(self, positions: pa.Array, lines: pa.Array) -> tuple[pa.Array, pa.Array, pa.StructArray]:
        """The fields that are needed of the lines that are JSON; with the places of these lines, and the lines."""
        try:
            return positions, lines, self._transform(lines)
        except (duckdb.InvalidInputException, duckdb.OutOfMemoryException):
            positions, lines = self._good(positions, lines)
        try:
            return positions, lines, self._transform(lines)
        except (duckdb.InvalidInputException, duckdb.OutOfMemoryException):
            good: list[bool] = []
            for at, text in enumerate(lines.to_pylist()):
                good.append(self._sound(text))
                if not good[-1]:
                    self._lose(positions[at].as_py(), f"the line cannot be taken apart: {_shown(text)}")
            positions, lines = positions.filter(pa.array(good)), lines.filter(pa.array(good))
            return (
                positions,
                lines,
                pa.concat_arrays(
                    [self._transform(lines.slice(at, 1)) for at in range(len(lines))] or [self._transform(lines)]
                ),
            )

    def _good(self, positions: pa.Array, lines: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Lines that are JSON, or become it when signs that are no text are replaced; the others are told."""
        try:
            valid = self._query("SELECT json_valid(line) AS valid FROM lines", lines=pa.table({"line": lines}))
            good = valid["valid"].to_pylist()
        except duckdb.OutOfMemoryException:
            good = [self._sound(text) for text in lines.to_pylist()]
        texts = lines.to_pylist()
        for at, sound in enumerate(good):
            if sound or texts[at].isspace() or not texts[at]:
                continue
            position = positions[at].as_py()
            repaired = _repaired(texts[at])
            if repaired is None:
                self._lose(position, f"the line is no JSON object: {_shown(texts[at])}")
            else:
                self._note("repaired", 1, position)
                texts[at], good[at] = repaired, True
        mask = pa.array(good, pa.bool_())
        return positions.filter(mask), pa.array(texts, pa.string()).filter(mask)

    def _sound(self, text: str) -> bool:
        """Whether the database can take this line apart."""
        try:
            answer = self._database.execute(f"SELECT json_transform($1, {_SHAPE}) IS NOT NULL", [text]).fetchone()
        except (duckdb.InvalidInputException, duckdb.OutOfMemoryException):
            return False
        return answer is not None and bool(answer[0])

    def _transform(self, lines: pa.Array) -> pa.StructArray:
        found = self._query(f"SELECT json_transform(line, {_SHAPE}) AS f FROM lines", lines=pa.table({"line": lines}))
        return _whole(found["f"])

    def _query(self, sql: str, **tables: pa.Table) -> pa.Table:
        for name, table in tables.items():
            self._database.register(name, table)
        try:
            return self._database.sql(sql).to_arrow_table()
        finally:
            for name in tables:
                self._database.unregister(name)

    def _take(self, positions: pa.Array, lines: pa.Array, fields: pa.StructArray) -> None:
        """Count the records of these lines, and keep those that serve."""
        table = pa.table(
            {
                "position": positions,
                "line": lines,
                "fields": fields,
                "event_id": _integers(fields.field("EventID"), 31),
                "host": fields.field("Hostname"),
            }
        )
        events = pc.and_(pc.is_valid(table["event_id"]), pc.not_equal(pc.fill_null(table["host"], ""), ""))
        others = table.filter(pc.invert(events))
        if len(others):
            self._note("no event", len(others), others["position"][0].as_py())
            table = table.filter(events)
        if not len(table):
            return
        self._lines.records += len(table)
        fields = _whole(table["fields"])
        heads = self._numbered(self._heads, self._add_head, fields, "SourceName EventID Version Keywords EventType")
        tails = self._numbered(self._tails, self._add_tail, fields, "Channel Hostname UserID")
        modes = pa.array(self._modes, pa.int8()).take(heads)
        in_security = pa.array(self._security, pa.bool_()).take(tails)
        modes = pc.if_else(pc.and_(pc.equal(modes, 2), pc.invert(in_security)), pa.scalar(0, pa.int8()), modes)
        times, digits, turns = self._times(fields)
        record = pa.table(
            {
                "position": table["position"],
                "line": table["line"],
                "f": fields,
                "mode": modes,
                "head": heads,
                "tail": tails,
                "record_id": _integers(fields.field("RecordNumber"), 63),
                "way": times["way"],
                "time": times["time"],
                "quarters": times["quarters"],
                "turn": turns,
                "digits": digits,
            }
        )
        kept = self._keep(record.filter(pc.greater(modes, 0)))
        self._count(record, kept)
        kept = kept.filter(pc.is_valid(kept["time"]))
        if len(kept):
            self._kept.append(kept.select(_SCHEMA.names).cast(_SCHEMA))

    def _numbered(
        self, known: dict[tuple[Any, ...], int], add: Callable[..., None], fields: pa.StructArray, names: str
    ) -> pa.Array:
        """For each record the number of what it has in these fields; what is new gets a number and is added."""
        codes = pa.repeat(pa.scalar(0, pa.int64()), len(fields))
        values: list[tuple[Any, ...]] = [()]
        for name in names.split():
            column = fields.field(name).dictionary_encode(null_encoding="encode")
            distinct = column.dictionary.to_pylist()
            pairs = pc.add(pc.multiply(codes, len(distinct)), column.indices.cast(pa.int64())).dictionary_encode()
            values = [
                (*values[code // len(distinct)], distinct[code % len(distinct)])
                for code in pairs.dictionary.to_pylist()
            ]
            codes = pairs.indices.cast(pa.int64())
        numbers = []
        for value in values:
            number = known.get(value)
            if number is None:
                number = known[value] = len(known)
                add(*value)
            numbers.append(number)
        return pa.array(numbers, pa.int32()).take(codes)

    def _add_head(
        self, provider: str | None, event_id: str, version: str | None, keywords: str | None, event_type: str | None
    ) -> None:
        found = head(provider or "", int(event_id), _small(version), _keywords(keywords))
        if found.outcome is None:
            outcome = {"AUDIT_SUCCESS": "success", "AUDIT_FAILURE": "failure"}.get((event_type or "").strip().upper())
            found = found._replace(outcome=outcome)
        self._head.append(found)
        match catalogue.keep(found.provider, found.event_id):
            case catalogue.Keep.LOGON:
                self._modes.append(1)
            case catalogue.Keep.ACTIVITY:
                self._modes.append(2 if self._activity else 0)
            case catalogue.Keep.NO:
                self._modes.append(0)

    def _add_tail(self, channel: str | None, host: str, sid: str | None) -> None:
        channel = (channel or "").strip()
        channel = _channels().get(channel.lower(), channel)
        sid = (sid or "").strip()
        self._tail.append(tail(channel, host, sid if sid.startswith("S-1-") else None))
        self._security.append(channel == "Security")

    # Time

    def _times(self, fields: pa.StructArray) -> tuple[pa.Table, pa.Array, pa.Array]:
        """Way, UTC and offset of each record; its digits below seconds; whether its hour comes twice or not at all."""
        event = _utc_field(fields)
        moments, index = _distinct(event)
        received, received_index = _distinct(fields.field("EventReceivedTime"))
        arrival, arrival_index = _distinct(fields.field("@timestamp"))
        zone = self._source_tz
        placed = [_in_zone(moment, zone) if zone else None for moment in moments]
        utc = pc.coalesce(
            _column(arrival, arrival_index, lambda found: found.time),
            _column(received, received_index, lambda found: found.time if found.zoned else None),
        )
        times = pa.table(
            {
                "event": _column(moments, index, lambda found: found.time),
                "zoned": _column(moments, index, lambda found: found.zoned, pa.bool_()),
                "in_zone": _column(placed, index, lambda found: found[0]),
                "received": _column(received, received_index, lambda found: None if found.zoned else found.time),
                "utc": utc,
            }
        )
        found = self._query(_OFFSETS, times=times)
        by_arrival = pc.equal(found["way"], "arrival")
        digits = _column(moments, index, lambda found: found.digits, pa.string())
        if pc.any(by_arrival).as_py():
            digits = pc.if_else(by_arrival, _column(arrival, arrival_index, _digits, pa.string()), digits)
        return found, digits, _column(placed, index, lambda found: found[1])

    # Keeping and counting

    def _keep(self, records: pa.Table) -> pa.Table:
        """Those of the records that are kept, with the text of their time and their own fields as JSON."""
        try:
            return self._kept_of(records)
        except duckdb.OutOfMemoryException:
            if len(records) > 1:
                half = len(records) // 2
                return pa.concat_tables([self._keep(records.slice(0, half)), self._keep(records.slice(half))])
        self._lose(records["position"][0].as_py(), "the line takes too much memory")
        return self._kept_of(records.slice(0, 0))

    def _kept_of(self, records: pa.Table) -> pa.Table:
        reserved = ", ".join(literal(f"{number:x}") for number in sorted(catalogue.reserved_logon_ids()))
        ids = """regexp_extract_all(line, 'LogonId"\\s*:\\s*"0x0*([0-9A-Fa-f]+)"', 1)"""
        kept = self._query(
            f"""SELECT * EXCLUDE (line, data, f), NULLIF(data, '{{}}') AS data, f.ActivityID AS activity_id,
                CASE WHEN data = '{{}}' OR line LIKE '%"UserData"%' THEN line END AS whole
            FROM (
                SELECT * EXCLUDE (time, digits), epoch_us(time) AS moment,
                    strftime(time, '%Y-%m-%dT%H:%M:%S') || COALESCE('.' || NULLIF(digits, ''), '') || 'Z' AS time,
                    json_merge_patch(line, CASE
                        WHEN {_ACCOUNT} AND {_PROCESS} THEN {_patch()}
                        WHEN {_ACCOUNT} THEN {_patch("ProcessID")}
                        WHEN {_PROCESS} THEN {_patch("AccountName")}
                        ELSE {_patch("AccountName", "ProcessID")} END) AS data
                FROM (SELECT * REPLACE (make_timestamp(time) AS time) FROM records
                    WHERE CASE WHEN mode = 1 THEN true
                        ELSE len(list_filter({ids}, lambda id: LOWER(id) NOT IN ({reserved}))) > 0 END))""",
            records=records,
        )
        if kept["whole"].null_count == len(kept):
            return kept
        data = kept["data"].to_pylist()
        whole = kept["whole"].to_pylist()
        of = kept["head"].to_pylist()
        for at, line in enumerate(whole):
            if line is not None:
                data[at] = self._wrapped(self._head[of[at]], line, data[at])
        return kept.set_column(kept.column_names.index("data"), "data", pa.array(data, pa.string()))

    def _wrapped(self, which: Head, line: str, data: str | None) -> str | None:
        """The own fields of an event that has them in UserData, or has only a message."""
        try:
            fields = json.loads(line)
            found = json.loads(data) if data else {}
        except (ValueError, RecursionError):
            return data
        found.update(_user_data(fields.get("UserData")) or _user_data(fields.get("EventXML")))
        kind = Kind(which.provider.lower(), which.event_id)
        if not found and isinstance(fields.get("Message"), str):
            found = _told(kind, which.version, fields["Message"])
            if not found and (kind in _SENTENCES or kind in _LABELLED):
                self._untold[kind] += 1
        return _dumped(found) if found else None

    def _count(self, records: pa.Table, kept: pa.Table) -> None:
        """Extents of all records, and what is to be said about the times of those that are kept."""
        first = kept["position"][0].as_py() if len(kept) else 0
        for way, count in _tally(kept["way"]).items():
            if way in {"unreadable", "local", "arrival"}:
                at = kept.filter(pc.equal(kept["way"], way))["position"][0].as_py()
                self._note(way, count, at)
        by_zone = kept.filter(pc.equal(kept["way"], "source-tz"))
        for turn, count in _tally(by_zone["turn"]).items():
            if turn:
                self._note("twice" if turn > 0 else "skipped", count, first)
        for quarter, count in _tally(kept["quarters"].drop_null()).items():
            self._quarters[quarter] += count

        timed = records.select(["head", "tail", "record_id", "time", "position"])
        timed = timed.filter(pc.is_valid(timed["time"]))
        days = pc.cast(pc.cast(timed["time"], pa.timestamp("us")), pa.date32(), safe=False)
        is_kept = pc.is_in(timed["position"], value_set=_whole(kept["position"]))
        counted = (
            pa.table({"head": timed["head"], "tail": timed["tail"], "day": days, "kept": is_kept.cast(pa.int64())})
            .group_by(["head", "tail", "day"], use_threads=False)
            .aggregate([("kept", "count"), ("kept", "sum")])
        )
        for row in counted.to_pylist():
            which, log = self._head[row["head"]], self._tail[row["tail"]]
            key = (log.computer, log.channel, which.provider, which.event_id, row["day"].isoformat())
            entry = self._lines.extents.counts[key]
            entry[0] += row["kept_count"]
            entry[1] += row["kept_sum"]
        self._ids.append(timed.select(["tail", "record_id", "time"]))

    # The end

    def done(self) -> Lines:
        """All that was read."""
        self._lines.extents.runs.extend(self._runs())
        if self._kept:
            self._lines.parts.extend(self._parts(pa.concat_tables(self._kept)))
        self._lines.problems.extend(self._problems())
        return self._lines

    def _runs(self) -> Iterator[Run]:
        """Runs of record ids without a gap, whatever order the lines have."""
        logs: dict[tuple[str, str], int] = {}
        number = [logs.setdefault((log.computer, log.channel), len(logs)) for log in self._tail]
        if not self._ids:
            return
        ids = pa.concat_tables(self._ids).combine_chunks()
        log = pa.array(number, pa.int32()).take(_whole(ids["tail"]))
        records = pa.table({"log": log, "id": ids["record_id"], "time": ids["time"]})
        names = list(logs)
        for row in self._query(_RUNS, records=records).to_pylist():
            computer, channel = names[row["log"]]
            low, high = (_iso(row[name]) for name in ("low", "high"))
            yield Run(computer, channel, row["first_id"], row["last_id"], row["records"], low, high)

    def _parts(self, rows: pa.Table) -> Iterator[tuple[Kind, pa.Table]]:
        """Rows as ENVELOPE tables of one kind each, in the order of the file."""
        kinds: dict[Kind, int] = {}
        number = [kinds.setdefault(Kind(of.provider.lower(), of.event_id), len(kinds)) for of in self._head]
        of = pa.array(number, pa.int32()).take(_whole(rows["head"]))
        rows = rows.append_column("kind", of).sort_by([("kind", "ascending"), ("position", "ascending")])
        at = 0
        names = list(kinds)
        for row in rows.group_by("kind", use_threads=False).aggregate([([], "count_all")]).to_pylist():
            part = rows.slice(at, row["count_all"]).combine_chunks()
            at += row["count_all"]
            yield names[row["kind"]], self._envelopes(part)

    def _envelopes(self, rows: pa.Table) -> pa.Table:
        columns: dict[str, pa.Array] = {
            "source": pa.repeat(pa.scalar(self._source, pa.int32()), len(rows)),
            "form": pa.repeat(pa.scalar("nxlog"), len(rows)).dictionary_encode(),
            "position": rows["position"],
            "record_id": rows["record_id"],
            "time": rows["time"],
            "written": pa.nulls(len(rows), pa.string()),
            "data": rows["data"],
        }
        activity = _whole(rows["activity_id"]).dictionary_encode()
        plain = [guid(text) for text in activity.dictionary.to_pylist()]
        columns["activity_id"] = dictionary(activity.indices, plain, pa.string())
        columns["boot_hint"] = dictionary(
            activity.indices, [boot_hint(text) for text in plain], ENVELOPE.field("boot_hint").type
        )
        values: list[Any]
        for name in ("head", "tail"):
            encoded = _whole(rows[name]).dictionary_encode()
            common: list[Any] = self._head if name == "head" else self._tail
            values = [common[at] for at in encoded.dictionary.to_pylist()]
            for part in values[0]._fields:
                of_part = [getattr(value, part) for value in values]
                columns[part] = dictionary(encoded.indices, of_part, ENVELOPE.field(part).type)
        return pa.table({name: columns[name] for name in ENVELOPE.names})

    def _problems(self) -> Iterator[Problem]:
        yield from self._bad
        if self._more_bad:
            yield Problem("", "lost", f"{self._more_bad} more lines cannot be read", self._more_bad)
        for note, count in self._notes.items():
            place = f"byte {self._first[note]}"
            match note:
                case "encoding":
                    what = f"{count} lines from here on are not UTF-8; what is not reads as \ufffd"
                    yield Problem(place, "doubt", what)
                case "repaired":
                    what = f"{count} lines from here on have signs that JSON forbids, such as half of a surrogate pair"
                    yield Problem(place, "doubt", f"{what}; they were read, with \ufffd for these")
                case "no event":
                    what = f"{count} lines from here on are no Windows events: EventID or Hostname is missing"
                    yield Problem(place, "skipped", what)
                case "unreadable":
                    yield Problem(place, "lost", f"{count} records from here on have no time that can be read", count)
                case "local":
                    what = f"{count} records have local times without a zone; run again with --source-tz and their zone"
                    yield Problem("", "lost", what, count)
                case "arrival":
                    what = f"{count} records from here on have local times whose zone cannot be told"
                    yield Problem(place, "doubt", f"{what}: the time of their arrival (@timestamp) stands for them")
                case "twice":
                    what = f"{count} records are in the hour that comes twice when the clocks of --source-tz go back"
                    yield Problem("", "doubt", f"{what}; the first was taken")
                case "skipped":
                    what = f"{count} records are in the hour that --source-tz leaves out when its clocks go forward"
                    yield Problem("", "doubt", f"{what}: is it the right zone?")
        quarters = sorted(self._quarters)
        if quarters and (quarters[-1] - quarters[0] > 4 or (quarters[-1] - quarters[0]) % 4):
            found = ", ".join(f"{_hours(-quarter)} ({self._quarters[quarter]} records)" for quarter in quarters)
            yield Problem("", "doubt", f"times come from several zones, or some lines arrived very late: UTC {found}")
        for kind, count in self._untold.items():
            what = f"{count} records of {kind.provider} {kind.event_id} have only a message that we cannot read"
            yield Problem("", "doubt", f"{what}: their fields are empty")


def _whole(column: pa.Array | pa.ChunkedArray) -> Any:
    """The same as one array."""
    found = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _distinct(column: pa.Array) -> tuple[list[_Moment | None], pa.Array]:
    """Times of a column, each once, and which of them each row has."""
    encoded = column.dictionary_encode(null_encoding="encode")
    return [_moment(text) for text in encoded.dictionary.to_pylist()], encoded.indices


def _column(values: list[Any], index: pa.Array, get: Callable[[Any], Any], kind: pa.DataType | None = None) -> pa.Array:
    found = [None if value is None else get(value) for value in values]
    return pa.array(found, kind or pa.int64()).take(index)


def _digits(moment: _Moment) -> str:
    return moment.digits


def _utc_field(fields: pa.StructArray) -> pa.Array:
    """EventTime, or EventTimeUTC where that is given and the other tells no zone."""
    event, utc = fields.field("EventTime"), fields.field("EventTimeUTC")
    if utc.null_count == len(utc):
        return event
    zone = r"(?i)(Z|[+-]\d\d(:?\d\d)?)\s*$"
    written = pc.match_substring_regex(pc.utf8_slice_codeunits(utc, 10), zone)
    utc = pc.if_else(written, utc, pc.binary_join_element_wise(utc, "Z", ""))
    told = pc.fill_null(pc.match_substring_regex(pc.utf8_slice_codeunits(event, 10), zone), fill_value=False)
    return pc.if_else(told, event, pc.coalesce(utc, event))


def _integers(column: pa.Array, bits: int) -> pa.Array:
    """Decimal numbers that fit; others are None."""
    encoded = column.dictionary_encode()
    numbers = [_decimal(text, 1 << bits) for text in encoded.dictionary.to_pylist()]
    return pa.array(numbers, pa.int64()).take(encoded.indices)


def _decimal(text: str | None, below: int) -> int | None:
    plain = (text or "").strip()
    if not (plain.isascii() and plain.isdecimal() and len(plain) < 20):
        return None
    number = int(plain)
    return number if number < below else None


def _small(text: str | None) -> int | None:
    return _decimal(text, 1 << 15)


def _keywords(text: str | None) -> str | int | None:
    """As a whole number: JavaScript rounds the digits of its text, -9214364837600035000 instead of ...034816."""
    try:
        return int(float(text or ""))
    except (ValueError, OverflowError):
        return text


def _tally(column: Any) -> dict[Any, int]:
    return {row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist()}


def _iso(micros: int) -> str:
    moment = _EPOCH + timedelta(microseconds=micros)
    return f"{moment.isoformat(timespec='microseconds' if moment.microsecond else 'seconds')}Z"


def _hours(quarters: int) -> str:
    hours, rest = divmod(abs(quarters), 4)
    return f"{'-' if quarters < 0 else '+'}{hours:02}:{rest * 15:02}"


_HALF_PAIR = re.compile(r"[\ud800-\udfff]")


def _repaired(text: str) -> str | None:
    """A line that strict JSON refuses for the signs in its texts, written anew; None when it is no JSON object."""
    try:
        fields = json.loads(text, strict=False, object_pairs_hook=_first_of_each)
        return _dumped(fields) if isinstance(fields, dict) else None
    except (ValueError, RecursionError):
        return None


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name that comes twice the first counts, as it does for DuckDB."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _dumped(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _HALF_PAIR.sub("\ufffd", text)


def _shown(text: str) -> str:
    """The start of a line, safe to print."""
    return ascii(text[:40])


_LEAF = re.compile(r"<([A-Za-z_][\w.-]*)(?:\s[^<>]*)?(?:/>|>([^<]*)</\1\s*>)")


def _user_data(value: Any) -> dict[str, Any]:
    """Fields of UserData, as XML or as nested objects; {} for anything else."""
    while isinstance(value, dict):
        inner = [part for part in value.values() if isinstance(part, dict)]
        if not inner:
            return {name: part for name, part in value.items() if name[:1] not in "#@" and isinstance(part, str)}
        value = inner[0]
    if not isinstance(value, str) or "<" not in value:
        return {}
    start = value.find("<UserData")
    part = value[start:] if start >= 0 else "" if "<Event " in value or "<Event>" in value else value
    return {found[1]: html.unescape(found[2] or "") for found in _LEAF.finditer(part)}


_LSM = "microsoft-windows-terminalservices-localsessionmanager"
_RCM = "microsoft-windows-terminalservices-remoteconnectionmanager"
_EVENTLOG = "microsoft-windows-eventlog"

_LABELLED = frozenset(
    {Kind(_EVENTLOG, 1102), Kind(_EVENTLOG, 1105), Kind(_RCM, 1149)}
    | {Kind(_LSM, number) for number in (21, 22, 23, 24, 25, 41, 42)}
)
"""Messages that list the event's fields in their order, one a line behind a label, in whatever language."""

_SENTENCES: dict[Kind, tuple[re.Pattern[str], tuple[str, ...]]] = {
    Kind(_LSM, 39): (re.compile(r"\D*(\d+)\D+(\d+)\D*", re.ASCII), ("TargetSession", "Source")),
    Kind(_LSM, 40): (re.compile(r"\D*(\d+)\D+(\d+)\D*", re.ASCII), ("Session", "Reason")),
    Kind(_RCM, 261): (re.compile(r"Listener (\S+) received a connection\.?"), ("listenerName",)),
    Kind(_EVENTLOG, 104): (re.compile(r"The (.+) log file was cleared\."), ("Channel",)),
    Kind("eventlog", 6009): (re.compile(r"\D+([\d.]+) +(\d+) .*", re.ASCII), ("#1", "#2")),
    Kind("eventlog", 6011): (re.compile(r".+ from (\S+) to (\S+?)\.?"), ("#1", "#2")),
    Kind("eventlog", 6013): (re.compile(r"\D*(\d+)\D*", re.ASCII), ("#5",)),
}
"""Messages that have the fields in a sentence; numbers are found in any language."""

_LABEL = re.compile(r"(\s*)[^:\uff1a]{1,80}[:\uff1a](?:[ \t]+(.*))?")


def _told(kind: Kind, version: int | None, message: str) -> dict[str, Any]:
    """Fields of an event as its message tells them; {} when that has not exactly the shape we know."""
    message = message.strip()
    if kind in _SENTENCES:
        pattern, names = _SENTENCES[kind]
        found = pattern.fullmatch(message)
        return _named(dict(zip(names, found.groups(), strict=True))) if found else {}
    if kind not in _LABELLED:
        return {}
    layouts = catalogue.fields()
    layout = layouts.get((*kind, version or 0)) or layouts[(*kind, 0)]
    lines = [found for line in message.splitlines()[1:] if (found := _LABEL.fullmatch(line.rstrip()))]
    indented = [line for line in lines if line[1]]  # below a title of their own
    values = [(line[2] or "").strip() for line in indented or lines]
    if not 0 < len(values) <= len(layout):
        return {}
    return {
        known.name: value
        for known, value in zip(layout, values, strict=False)
        if known.type != "SID" or value.startswith("S-1-")  # a viewer may have put a name there
    }


def _named(fields: dict[str, str]) -> dict[str, Any]:
    """With unnamed fields, #1 and so on, as the list that they are in a record."""
    unnamed = {int(name[1:]): value for name, value in fields.items() if name[0] == "#"}
    if not unnamed:
        return dict(fields)
    return {"Data": [unnamed.get(at) for at in range(1, max(unnamed) + 1)]}
