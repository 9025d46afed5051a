"""Event logs of Windows 2000, XP and 2003 (.evt) to envelopes.

The format is plain: records of known length, each with a signature and its length at both ends ([MS-EVEN], winnt.h:
EVENTLOGRECORD). So they are found by looking through the whole file rather than by its header, which is out of date in
a file that was copied from a running host; records that a newer one has not yet overwritten are found as well. No
foreign parser is needed, and nothing to compile; libevt is the witness in the tests.
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
MANY = 5_000  # records that are taken in together
_RECORD = struct.Struct("<I4sIIIIHHHHIIIIII")
_SIGNATURE = b"LfLe"


def recognizes(start: bytes) -> bool:
    """Whether a file that starts so is an .evt: by its header."""
    return start.startswith(HEADER)


class Record(NamedTuple):
    """A record as it is in the file. `time`: when it happened, seconds since 1970 in UTC."""

    position: int
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
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        channel = _channel(data, path)
        many: list[Record] = []
        for record in records(data, start, end, found.problems):
            many.append(record)
            if len(many) >= MANY:
                _add(found, many, channel)
                many = []
        _add(found, many, channel)
    return found.lines()


# From a file to records


def records(data: mmap.mmap | bytes, start: int, end: int, problems: Problems) -> Iterator[Record]:
    """The records that begin in [start, end); what has the signature of one and is none is a problem."""
    at = max(start, len(HEADER))
    while (signature := data.find(_SIGNATURE, at + 4)) >= 0 and signature - 4 < end:
        position = signature - 4
        length = int.from_bytes(data[position:signature], "little")
        at = signature
        if not _RECORD.size + 4 <= length <= MAX_RECORD or length % 4:
            if position > 0:
                problems.lose(position, "what is there has the sign of a record and no length of one")
            continue
        raw = bytes(data[position : position + length])
        if len(raw) < length:  # the ring goes on behind the header
            raw += bytes(data[48 : 48 + length - len(raw)])
        if raw[-4:] != raw[:4]:
            problems.lose(position, "the record does not end where it says: it was overwritten in part")
            continue
        record = _record(position, raw)
        if record is None:
            problems.lose(position, "the record points beyond its end")
            continue
        at = max(position + length - 4, signature)
        yield record


def _record(position: int, raw: bytes) -> Record | None:
    """A record's parts; None where they lie outside of it."""
    _, _, number, time, _, event_id, kind, many, _, _, _, strings_at, sid_size, sid_at, data_size, data_at = (
        _RECORD.unpack_from(raw)
    )
    end = len(raw) - 4
    names = _texts(raw[_RECORD.size : end], 2)
    strings = _texts(raw[strings_at:end], many) if many else []
    if len(names) < 2 or len(strings) < many or sid_at + sid_size > end or data_at + data_size > end:
        return None
    return Record(
        position,
        number,
        time,
        event_id & 0xFFFF,  # the bits above say how bad it is
        kind,
        names[0],
        names[1],
        _sid(raw[sid_at : sid_at + sid_size]),
        strings,
        raw[data_at : data_at + data_size],
    )


def _texts(raw: bytes, many: int) -> list[str]:
    """So many texts of UTF-16, each with a zero behind it; fewer where there are not as many."""
    text = raw[: len(raw) & ~1].decode("utf-16-le", "replace")
    return text.split("\0", many)[:many] if text.count("\0") >= many else []


def _sid(raw: bytes) -> str | None:
    """[MS-DTYP] 2.4.2.2"""
    if len(raw) < 8 or len(raw) < 8 + 4 * raw[1]:
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
