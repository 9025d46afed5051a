"""Events as XML to envelopes: what Event Viewer saves, what wevtutil prints, and XML in the JSON of others.

Events are cut out of the file before anything parses them, so that a damaged one costs itself alone, a file may be
larger than memory, and nothing outside of an event is ever read: no document type, so no entities of anyone's making.
"""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ET  # what it gets here begins at <Event, so that nothing can be declared in it
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from logontracks.sources import own_fields, times
from logontracks.sources.json_lines import decoded, dumps
from logontracks.sources.own_fields import local
from logontracks.sources.records import PARTS, Lines, Problems, Records, decimal

MAX_EVENT = 2 << 20  # bytes; a record of Windows has less than 64 KiB, and perhaps its message beside it
BLOCK = 4 << 20  # bytes read at once
MAX_TAG = 1 << 10  # bytes of what stands around events
DECLARATION = 1 << 10  # bytes in which a file declares how it is written
MANY = 2_000  # events that are taken in together
FORM = "xml"

_ROOT = re.compile(r"<Events?[\s/>]")
_OUTSIDE = re.compile(  # a comment may hold events, which are read: whether one began before a range nothing tells
    r"(?:[^<>]*-->)?(?:\s+|\ufeff|<\?[^<>]*\?>|</?Events(?:\s[^<>]*)?/?>|<!--(?:(?!-->).)*(?:-->|\Z))*", re.DOTALL
)
_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|&#(?:x0*[0-9a-fA-F]|x0*1[0-9a-fA-F]|0*[12]?\\d|0*3[01]);"
)
_WIDE = {
    "utf-16-le": re.compile(rb"(?:[ \t\r\n]\0)*<\0"),
    "utf-16-be": re.compile(rb"(?:\0[ \t\r\n])*\0<"),
}
_DECLARED = re.compile(r"""\s*<\?xml\s[^<>]*?encoding\s*=\s*["']([A-Za-z][\w.-]{0,40})["']""", re.ASCII)
_ONE_BYTE = re.compile(r"iso8859-\d+|cp(?:125\d|437|85\d|86\d)|koi8-[ru]")  # as Python names them


def recognizes(start: bytes) -> bool:
    """Whether a file that starts so is XML of events. `start`: 64 KiB, or all there is."""
    text = _plain(start)
    return text.startswith("<") and bool(_ROOT.search(text)) and ("<System" in text or "<Events" in text)


def seen(start: bytes) -> str | None:
    """What is wrong with XML that is none of events, in words; None where it is no XML."""
    if not re.match(r"<[?!A-Za-z]", _plain(start)):
        return None
    return "it begins as XML does, but with no <Event> that holds a <System>; prefixes as in <e:Event> are not read"


def _plain(start: bytes) -> str:
    return start.decode(_encoding(start)[0], "replace").lstrip("\ufeff \t\r\n")


def _encoding(start: bytes) -> tuple[str, str | None]:
    """How the text of a file that starts so is written, and what it declares where that is nothing we know.

    What it declares counts only for encodings of one byte a sign: those of more are told by the bytes themselves, and
    programs that convert a file leave the declaration as it was.
    """
    encoding, text = decoded(start[:DECLARATION])
    if encoding != "utf-8" or start.startswith(codecs.BOM_UTF8):
        return encoding, None
    wide = next((name for name, sign in _WIDE.items() if sign.match(start[:DECLARATION])), None)
    declared = _DECLARED.match(text)
    if wide or not declared:
        return wide or "utf-8", None
    try:
        name = codecs.lookup(declared[1]).name
    except LookupError:
        name = ""
    if _ONE_BYTE.fullmatch(name):
        return name, None
    return "utf-8", None if name == "ascii" or name.startswith("utf-") else declared[1]


class _Event(NamedTuple):
    """Text of an event, and where it begins in the file."""

    position: int
    text: str


def read(path: Path, source: int, start: int, end: int, *, activity: bool) -> Lines:
    """Read the events that begin at bytes `start` up to, not including, `end`.

    Any range gives the rows and counts of its events, wherever it is cut; runs of record ids may be cut with it.
    """
    records = Records(source, FORM, activity=activity)
    with path.open("rb") as file:
        encoding, unknown = _encoding(file.read(DECLARATION))
        if unknown:
            what = f"file declares the encoding {unknown}, which is not known: it was read as UTF-8"
            records.problems.note("doubt", what)
        many: list[_Event] = []
        for event in _cut(file, encoding, start, end, records.problems):
            many.append(event)
            if len(many) >= MANY:
                _add(records, many)
                many = []
        _add(records, many)
    return records.lines()


# From a file to events


def _cut(file: BinaryIO, encoding: str, start: int, end: int, problems: Problems) -> Iterator[_Event]:
    """The events that begin in [start, end). What lies between them and is no XML around events is told."""
    unit = len("<".encode(encoding))
    blank = b"|".join(re.escape(sign.encode(encoding)) for sign in " \t\r\n>")
    begin = re.compile(re.escape("<Event".encode(encoding)) + b"(?=" + blank + b")")
    close = "</Event>".encode(encoding)
    offset = start - start % unit
    file.seek(offset)
    data, at, ended = b"", 0, False  # what is before `at` is done with
    ours = offset == 0  # what lies before the first event of a range belongs to the range before
    while True:
        while not ended and len(data) - at <= MAX_EVENT:
            more = file.read(BLOCK)
            data, offset, at, ended = data[at:] + more, offset + at, 0, not more
        found = _next(begin, data, at, unit)
        behind = found if found >= 0 else len(data) if ended else _before_a_tag(data, at, encoding, unit)
        if ours and behind > at:
            _tell(data[at:behind], offset + at, encoding, problems)
        ours, at = False, behind
        if offset + at >= end or (found < 0 and ended):
            return
        if found < 0 or (len(data) - found <= MAX_EVENT and not ended):
            continue
        following = _next(begin, data, found + unit, unit)
        limit = min(following if following >= 0 else len(data), found + MAX_EVENT)
        stop = _find(data, close, found, limit, unit)
        if stop < 0:
            problems.lose(offset + found, "the event has no end, or is longer than any event can be")
            at = limit
        else:
            at, ours = stop + len(close), True
            yield _Event(offset + found, _text(data[found:at], offset + found, encoding, problems))


def _next(pattern: re.Pattern[bytes], data: bytes, at: int, unit: int) -> int:
    for found in pattern.finditer(data, at):
        if found.start() % unit == 0:
            return found.start()
    return -1


def _find(data: bytes, what: bytes, low: int, high: int, unit: int) -> int:
    at = data.find(what, low, high)
    while at >= 0 and (at - low) % unit:
        at = data.find(what, at + 1, high)
    return at


def _before_a_tag(data: bytes, at: int, encoding: str, unit: int) -> int:
    """Where what is cut at the end of the data begins: a tag or a comment, or else a few signs of one."""
    low = max(at, len(data) - MAX_TAG)
    opened, closed = (data.rfind(sign.encode(encoding), low) for sign in "<>")
    if opened > closed and opened % unit == 0:
        return opened
    return max(at, len(data) - 16 * unit)


def _tell(outside: bytes, position: int, encoding: str, problems: Problems) -> None:
    """What lies between events and is none."""
    text = outside.decode(encoding, "replace")
    known = _OUTSIDE.match(text)
    rest = text[known.end() :] if known else text
    if rest.strip():
        problems.lose(position, f"what is there is no event: {rest.strip()[:40]!a}")


def _text(raw: bytes, position: int, encoding: str, problems: Problems) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        what = f"events from here on are not {encoding.upper()}; what is not reads as \ufffd"
        problems.note("doubt", what, offset=position)
        return raw.decode(encoding, "replace")


# From events to what they say


def add(records: Records, positions: Sequence[int], texts: Iterable[str | None]) -> None:
    """Take in events that another form holds as texts; one that is none is lost."""
    many: list[_Event] = []
    for position, text in zip(positions, texts, strict=True):
        start = (text or "").find("<Event")
        if text is None or start < 0:
            records.problems.note("skipped", "lines from here on hold no event", offset=position)
        elif len(text) > MAX_EVENT:
            records.problems.lose(position, "the event is longer than any event can be")
        else:
            many.append(_Event(position, text[start:].rstrip("\ufeff \t\r\n\0")))
    for at in range(0, len(many), MANY):
        _add(records, many[at : at + MANY])


def _parsed(event: _Event, problems: Problems) -> ET.Element | None:
    try:
        return ET.fromstring(event.text)  # noqa: S314 - see the import
    except ET.ParseError as error:
        wrong = error
    better = _NO_TEXT.sub("\ufffd", event.text)
    if better != event.text:
        try:
            root = ET.fromstring(better)  # noqa: S314 - see the import
        except ET.ParseError as error:
            wrong = error
        else:
            what = "events from here on have signs that XML forbids; they were read, with \ufffd for these"
            problems.note("doubt", what, offset=event.position)
            return root
    problems.lose(event.position, f"the event is no XML: {wrong}")
    return None


def _add(records: Records, events: Sequence[_Event]) -> None:
    rows: list[tuple[int, *tuple[str | None, ...]]] = []
    data: dict[int, ET.Element] = {}
    for event in events:
        root = _parsed(event, records.problems)
        if root is None:
            continue
        parts = {local(child.tag): child for child in root}
        row = _system(parts.get("System"))
        if row is None:
            records.problems.lose(event.position, "the event tells no id or no host")
            continue
        rows.append((event.position, *row))
        own = parts.get("EventData") if parts.get("EventData") is not None else parts.get("UserData")
        if own is not None:
            data[event.position] = own
    if not rows:
        return
    names = ("position", *PARTS, "time")
    columns = zip(*rows, strict=True)
    told = pa.table(
        {
            name: pa.array(column, pa.int64() if name == "position" else pa.string())
            for name, column in zip(names, columns, strict=True)
        }
    )
    told = times.in_utc(told)
    records.add(told, partial(_with_data, data=data))


def _system(system: ET.Element | None) -> tuple[str | None, ...] | None:
    """PARTS and time of a record; None where it names no event or no host."""
    if system is None:
        return None
    part = {local(child.tag): child for child in system}

    def text(name: str) -> str | None:
        return part[name].text if name in part else None

    def attribute(name: str, *keys: str) -> str | None:
        return next((value for key in keys if name in part and (value := part[name].get(key))), None)

    if decimal(text("EventID"), 31) is None or not (text("Computer") or "").strip():
        return None
    told = {
        "provider": attribute("Provider", "Name", "EventSourceName"),
        "event_id": text("EventID"),
        "version": text("Version"),
        "keywords": text("Keywords"),
        "outcome": None,
        "channel": text("Channel"),
        "computer": text("Computer"),
        "record_sid": attribute("Security", "UserID"),
        "record_id": text("EventRecordID"),
        "activity_id": attribute("Correlation", "ActivityID"),
    }
    return (*(told[name] for name in PARTS), attribute("TimeCreated", "SystemTime"))


def _with_data(kept: pa.Table, data: dict[int, ET.Element]) -> pa.Table:
    texts = [
        dumps(own_fields.of_element(data[position])) if position in data else None
        for position in kept["position"].to_pylist()
    ]
    return kept.append_column("data", pa.array([text or None for text in texts], pa.string()))
