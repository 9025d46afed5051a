"""Event logs of Windows 2000, XP and 2003 (.evt) to envelopes.

The format is plain: records of known length, each with a signature and its length at both ends ([MS-EVEN], winnt.h:
EVENTLOGRECORD). So they are found by looking through the whole file rather than by its header, which is out of date in
a file that was copied from a running host; records that a newer one has not yet overwritten are found as well. What
is lost is told by their numbers. No foreign parser is needed, and nothing to compile; libevt is the witness in the
tests.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from logontracks import catalogue
from logontracks.sources import legacy, own_fields, times
from logontracks.sources.envelope import Head, Kind
from logontracks.sources.json_lines import dumps
from logontracks.sources.records import PARTS, Lines, Problems, Records

FORM = "evt"
HEADER = struct.pack("<I4sII", 48, b"LfLe", 1, 1)
MAX_RECORD = 1 << 20  # bytes; Windows writes at most 64 KiB
MANY, ENOUGH = 5_000, 16 << 20  # records, and bytes of them, that are taken in together
MAX_NAMES = 4096  # bytes; a program and a host have at most 255 signs each
_HEADER = struct.Struct("<16xIIIII12x")
_RECORD = struct.Struct("<I4sIIIIHHHHIIIIII")
_SIGNATURE = b"LfLe"
_MARK = struct.pack("<5I", 40, 0x11111111, 0x22222222, 0x33333333, 0x44444444)
_NEWEST = struct.Struct("<20xIIII4x")

Bytes = mmap.mmap | bytes


def recognizes(start: bytes) -> bool:
    """Whether a file that starts so is an .evt: by its header or, where that is damaged or missing, by a record."""
    return start.startswith(HEADER) or next(_frames(start, 0, len(start)), None) is not None


class Record(NamedTuple):
    """A record as it is in the file, of `size` bytes. `time`: when it happened, seconds since 1970 in UTC."""

    position: int
    size: int
    number: int
    time: int
    event_id: int
    kind: int
    provider: str
    computer: str
    sid: str | None
    strings: list[str]
    binary: bytes


def read(path: Path, source: int, start: int, end: int, *, activity: bool) -> Lines:
    """Read the records that begin at bytes `start` up to, not including, `end`, wherever they are in the log's ring."""
    found = Records(source, FORM, activity=activity)
    if not path.stat().st_size:
        return found.lines()  # nothing to map
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if start == 0 and (len(data) < _HEADER.size or data[: len(HEADER)] != HEADER):
            found.problems.note("doubt", "header of a log is missing, damaged or cut off", offset=0)
        channel = _channel(data, path)
        many: list[Record] = []
        size = 0
        for record in records(data, start, end, found.problems):
            many.append(record)
            size += record.size
            if len(many) >= MANY or size >= ENOUGH:
                _add(found, many, channel)
                many, size = [], 0
        _add(found, many, channel)
    return found.lines()


# From a file to records


def records(data: Bytes, start: int, end: int, problems: Problems) -> Iterator[Record]:
    """The records that begin in [start, end). What is lost between them is told: see `_Gaps`."""
    gaps = _Gaps(data, problems)
    for frame in _frames(data, start, end):
        gaps.before(frame)
        record = _record(frame.position, _piece(data, frame.position, frame.length), problems)
        if record is None:
            problems.lose(frame.position, "the record points beyond its end")
            continue
        yield record
    if start == 0 and end >= len(data):
        gaps.around()


class _Frame(NamedTuple):
    """Bytes that begin and end as a record does; it may go on behind the header. `length` in bytes."""

    position: int
    length: int
    number: int

    @property
    def end(self) -> int:
        return self.position + self.length


class _Newest(NamedTuple):
    """What the mark behind the newest record says, or the header, which may be out of date; 0 is not known.

    Places of the oldest record and behind the newest in bytes, the number that follows, the oldest one, and how large
    the file may become.
    """

    position: int
    begin: int
    end: int
    following: int
    oldest: int
    size: int = 0


def _frames(data: Bytes, start: int, end: int) -> Iterator[_Frame]:
    at = start + 4
    while (signature := data.find(_SIGNATURE, at)) >= 0 and signature - 4 < end:
        position, at = signature - 4, signature + 4
        length = int.from_bytes(data[position:signature], "little")
        if not _RECORD.size + 4 <= length <= MAX_RECORD or length % 4:
            continue
        if _piece(data, position + length - 4, 4) == data[position:signature]:
            number = int.from_bytes(_piece(data, position + 8, 4), "little")
            yield (frame := _Frame(position, length, number))
            at = frame.end + 4


def _piece(data: Bytes, at: int, size: int) -> bytes:
    """So many bytes; what would be behind the end of the file is behind its header."""
    over = at + size - len(data)
    if over <= 0:
        return bytes(data[at : at + size])
    low = _HEADER.size + max(at - len(data), 0)
    return bytes(data[at : len(data)]) + bytes(data[low : _HEADER.size + over])


class _Gaps:
    """What lies between whole records, where records were.

    They lie one behind the other and are numbered so: the numbers around a gap tell how many were in it. Where these
    are out of order, as between newest and oldest, only what still has the signature of a record is one. Behind the
    mark of the newest record lies what it has overwritten, or nothing yet: that is no damage.
    """

    def __init__(self, data: Bytes, problems: Problems) -> None:
        self._data = data
        self._problems = problems
        self._first: _Frame | None = None
        self._last: _Frame | None = None

    def before(self, frame: _Frame) -> None:
        """Tell what is lost between this record and the one before."""
        if self._last is None:
            self._first = frame
        else:
            self._between(self._last.end, frame.position, self._last.number, frame.number)
        self._last = frame

    def around(self) -> None:
        """Tell what is lost before the first record of the file and behind its last."""
        head, low, high = self._header(), _HEADER.size, len(self._data)
        before = max(head.oldest, 1) - 1 if head.begin == low else None
        if self._mark(0, high) is None and (head.begin, head.end) != (0, 0):
            self._problems.note("doubt", "log has no mark of its newest record: it may be cut off", offset=high)
        first, last = self._first, self._last
        if first is None or last is None:
            self._between(low, high, before, head.following)
            return
        if 0 < last.end - high <= first.position - low:  # the log goes on behind its header
            low, before = low + last.end - high, last.number
        elif not self._mark(last.end, high):
            newest = self._mark(low, first.position)
            following = newest.following if newest else first.number
            behind = max(high, head.size) + first.position - low
            if 0 <= following - last.number - 1 <= _most(behind - last.end):
                self._tell(last.end, behind, last.number, following)
                before = None if newest is None else following - 1
                low = newest.position if newest else first.position
            else:
                self._tell(last.end, max(high, head.end), last.number, head.following)
        else:
            self._between(last.end, high, last.number, 0)
        self._between(low, first.position, before, first.number)

    def _between(self, low: int, high: int, before: int | None, following: int) -> None:
        mark = self._mark(low, high)
        if mark is None:
            self._tell(low, high, before, following)
            return
        self._tell(low, mark.position, before, mark.following)
        if mark.position < mark.begin <= high and mark.oldest:
            self._tell(mark.begin, high, mark.oldest - 1, following)

    def _mark(self, low: int, high: int) -> _Newest | None:
        at = self._data.find(_MARK, low, high)
        if not 0 <= at <= high - _NEWEST.size:
            return None
        return _Newest(at, *_NEWEST.unpack_from(self._data, at))

    def _header(self) -> _Newest:
        """What the header says; it may be out of date."""
        if self._data[: len(HEADER)] != HEADER or len(self._data) < _HEADER.size:
            return _Newest(0, 0, 0, 0, 0, 0)
        return _Newest(0, *_HEADER.unpack_from(self._data))

    def _tell(self, low: int, high: int, before: int | None, following: int) -> None:
        """Records between these bytes and these numbers; None and 0 are not known."""
        lost = following - before - 1 if before is not None and following else -1
        if not 0 <= lost <= _most(high - low):
            lost = self._signatures(low, high)
        if lost:
            what = "a record is" if lost == 1 else f"{lost} records are"
            self._problems.lose(low, f"{what} damaged or cut off there", lost)

    def _signatures(self, low: int, high: int) -> int:
        found = 0
        at = self._data.find(_SIGNATURE, low + 4, high)
        while at >= 0:
            header = self._data[at - 4 : at - 4 + len(HEADER)] == HEADER
            found += not header
            at = self._data.find(_SIGNATURE, at + (_HEADER.size if header else _RECORD.size + 4), high)
        return found


def _most(size: int) -> int:
    """Records that so many bytes can have held."""
    return -(-max(size, 0) // (_RECORD.size + 4))


def _record(position: int, raw: bytes, problems: Problems) -> Record | None:
    """A record's parts; None where they lie outside of it."""
    _, _, number, time, _, event_id, kind, many, _, _, _, strings_at, sid_size, sid_at, data_size, data_at = (
        _RECORD.unpack_from(raw)
    )
    end = len(raw) - 4
    inside = all(
        at + size <= end and (at >= _RECORD.size or not size)
        for at, size in ((strings_at, 2 * many), (sid_at, sid_size), (data_at, data_size))
    )
    names = _texts(raw[_RECORD.size : min(end, _RECORD.size + MAX_NAMES)], 2)
    strings = _texts(raw[strings_at:end], many) if many and inside else []
    if not inside or len(names) < 2 or len(strings) < many:
        return None
    sid = _sid(raw[sid_at : sid_at + sid_size])
    if sid is None and sid_size:
        problems.note("doubt", "records from here on have a SID that is none; they are read without", offset=position)
    return Record(
        position,
        len(raw),
        number,
        time,
        event_id & 0xFFFF,  # the bits above say how bad it is
        kind,
        names[0],
        names[1],
        sid,
        strings,
        raw[data_at : data_at + data_size],
    )


def _texts(raw: bytes, many: int) -> list[str]:
    """So many texts of UTF-16, each with a zero behind it; fewer where there are not as many."""
    text = raw[: len(raw) & ~1].decode("utf-16-le", "replace")
    return text.split("\0", many)[:many] if text.count("\0") >= many else []


def _sid(raw: bytes) -> str | None:
    """[MS-DTYP] 2.4.2.2"""
    if len(raw) < 8 or raw[0] != 1 or len(raw) < 8 + 4 * raw[1]:
        return None
    parts = struct.unpack_from(f"<{raw[1]}I", raw, 8)
    return "-".join(("S", str(raw[0]), str(int.from_bytes(raw[2:8], "big")), *map(str, parts)))


def _channel(data: mmap.mmap, path: Path) -> str:
    """The log: by the first record of a program that writes only to one, else by the name Windows gives the file."""
    of_provider = {kind.provider: kind.channel for kind in _classic().values()}
    for _, record in zip(range(MANY), records(data, 0, len(data), Problems()), strict=False):
        if channel := of_provider.get(record.provider.lower()):
            return channel
    name = path.stem.lower()
    logs = {"sec": "Security", "sys": "System", "app": "Application"}
    return next((log for sign, log in logs.items() if sign in name), "")


class _Classic(NamedTuple):
    provider: str
    channel: str


def _classic() -> dict[str, _Classic]:
    """Programs that wrote to these logs, as the catalogue writes their names, by these in lower case."""
    known = {
        event.provider.lower(): event
        for event in catalogue.events().values()
        if event.channel in {"System", "Application"} and not event.provider.startswith("Microsoft-")
    }
    found = {name: _Classic(name, event.channel) for name, event in known.items()}
    return found | {legacy.PROVIDER.lower(): _Classic(legacy.PROVIDER.lower(), "Security")}


# From records to what they say


def _add(found: Records, many: list[Record], channel: str) -> None:
    if not many:
        return
    spelled = {event.provider.lower(): event.provider for event in catalogue.events().values()}
    rows = [
        {
            "provider": spelled.get(record.provider.lower(), record.provider),
            "event_id": str(record.event_id),
            "version": None,
            "keywords": None,
            "outcome": {8: "success", 16: "failure"}.get(record.kind),
            "channel": channel,
            "computer": record.computer,
            "record_sid": record.sid,
            "record_id": str(record.number),
            "activity_id": None,
        }
        for record in many
    ]
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in PARTS}
    columns["position"] = pa.array([record.position for record in many], pa.int64())
    columns["time"] = pa.array(
        [f"{datetime.fromtimestamp(record.time, UTC):%Y-%m-%dT%H:%M:%SZ}" for record in many], pa.string()
    )
    told = times.in_utc(pa.table(columns))
    by_position = {record.position: record for record in many}
    found.add(told, partial(_with_data, found=found, records=by_position))


def _with_data(kept: pa.Table, found: Records, records: dict[int, Record]) -> pa.Table:
    heads = found.heads
    texts = [
        _data(heads[number], records[position], found.problems)
        for position, number in zip(kept["position"].to_pylist(), kept["head"].to_pylist(), strict=True)
    ]
    return kept.append_column("data", pa.array([text or None for text in texts], pa.string()))


def _data(which: Head, record: Record, problems: Problems) -> str:
    kind = Kind(which.provider.lower(), which.event_id)
    try:
        if kind.provider == legacy.PROVIDER.lower():
            fields = legacy.fields(kind.event_id, record.strings, record.sid)
        else:
            fields = own_fields.placed(kind, None, record.strings)
    except own_fields.NotCertainError as error:
        if kind.provider == legacy.PROVIDER.lower():
            problems.note("doubt", f"{error}: they say only that it happened", offset=record.position)
        fields = {"Data": record.strings} if record.strings else {}
    if record.binary:
        fields["Binary"] = record.binary.hex()
    return dumps(fields)
