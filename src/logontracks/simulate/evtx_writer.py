"""Writes EVTX files as Windows does: chunks, records, templates; the logs of a simulated domain go through here.

The layout is that of the libevtx format documentation and of real files. A record is two template instances, one in the
other: the System part, the same for all events, whose last value is the event's own part (EventData, or the content of
UserData), which has one template per provider, event id, version and shape. One thing differs from Windows: there the
System template holds the computer as literal text and is defined again for each computer; here the computer is a value
like the channel, so that ForwardedEvents of many computers cost nothing and all readers see the same XML.
"""

import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from logontracks.simulate.binxml import (
    BINXML,
    END,
    FRAGMENT,
    VALUES,
    Definition,
    Element,
    FieldType,
    Substitution,
    Table,
    filetime,
)

__all__ = ["Event", "EvtxWriter", "FieldType", "Template", "filetime", "write_evtx"]


@dataclass(frozen=True, slots=True)
class Template:
    """What all events of one kind share. `fields`: (name, type) in the order of the values; "" is an unnamed <Data>.

    `keywords`: 0x8020... audit success, 0x8010... audit failure. `qualifiers`: classic providers only. `user_data`:
    (element name, namespace) makes the fields children of that element in UserData, in place of EventData.
    """

    provider: str
    event_id: int
    version: int
    channel: str
    fields: tuple[tuple[str, FieldType], ...]
    provider_guid: str | None = None
    level: int = 0
    task: int = 0
    opcode: int = 0
    keywords: int = 0x8020000000000000
    qualifiers: int | None = None
    user_data: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `filetime` is its time in ticks, `values` come in the order of the template's fields, None is absent.

    `record_id` is the EventRecordID of the XML; None is the next of the file. `keywords`, when given, wins over the
    template's (audit failure: 0x8010000000000000).
    """

    template: Template
    filetime: int
    computer: str
    values: Sequence[object]
    activity_id: str | None = None
    related_activity_id: str | None = None
    user_sid: str | None = None
    process_id: int = 4
    thread_id: int = 8
    record_id: int | None = None
    keywords: int | None = None


_FILE_HEADER = struct.Struct("<8sQQQIHHHH76xI")
_FILE_HEADER_BYTES = 4096
_CHUNK_HEADER = struct.Struct("<8sQQQQIIII64xI")
_CHUNK_BYTES = 65_536
_RECORDS_START = 512
_MAX_CHUNKS = 0xFFFF  # the file header counts chunks with 16 bits: 4 GiB
_MAX_RECORD_ID = (1 << 63) - 1
_DIRTY = 1

_RECORD_HEADER = struct.Struct("<4sIQQ")
_INSTANCE = struct.Struct("<6sI")
_BEFORE_SYSTEM = _RECORD_HEADER.size + len(FRAGMENT) + _INSTANCE.size
_BEFORE_PAYLOAD = len(FRAGMENT) + _INSTANCE.size
_AFTER_PAYLOAD = len(END) + 4  # after the computer: the end token, padding, the size once more

# The values of the System part, at the places Windows gives them; Windows ends with the payload.
_SYSTEM_DESCRIPTORS = struct.Struct("<20I")
_LEVEL, _OPCODE, _TASK, _EVENT_ID, _QUALIFIERS, _KEYWORDS, _TIME, _ACTIVITY, _PROCESS, _THREAD = range(10)
_RECORD_ID, _VERSION, _USER, _RELATED, _PROVIDER, _PROVIDER_GUID, _CHANNEL, _PAYLOAD, _COMPUTER = range(10, 19)
_SYSTEM_COUNT = 19
_KEYWORDS_TIME = struct.Struct("<QQ")
_PROCESS_TO_RECORD_ID = struct.Struct("<IIQ")

_STRING, _GUID, _SID = VALUES["UnicodeString"], VALUES["GUID"], VALUES["SID"]


def _system(user_data: bool) -> Definition:
    def value(index: int, field_type: FieldType) -> Substitution:
        return Substitution(index, VALUES[field_type].declared, optional=True)

    def element(name: str, index: int, field_type: FieldType) -> Element:
        return Element(name, (), (value(index, field_type),), index)

    payload = Substitution(_PAYLOAD, BINXML, optional=True)
    system = Element(
        "System",
        (),
        (
            Element("Provider", (("Name", value(_PROVIDER, "UnicodeString")), ("Guid", value(_PROVIDER_GUID, "GUID")))),
            Element(
                "EventID", (("Qualifiers", value(_QUALIFIERS, "UInt16")),), (value(_EVENT_ID, "UInt16"),), _EVENT_ID
            ),
            element("Version", _VERSION, "UInt8"),
            element("Level", _LEVEL, "UInt8"),
            element("Task", _TASK, "UInt16"),
            element("Opcode", _OPCODE, "UInt8"),
            element("Keywords", _KEYWORDS, "HexInt64"),
            Element("TimeCreated", (("SystemTime", value(_TIME, "FILETIME")),)),
            element("EventRecordID", _RECORD_ID, "UInt64"),
            Element(
                "Correlation",
                (("ActivityID", value(_ACTIVITY, "GUID")), ("RelatedActivityID", value(_RELATED, "GUID"))),
            ),
            Element("Execution", (("ProcessID", value(_PROCESS, "UInt32")), ("ThreadID", value(_THREAD, "UInt32")))),
            element("Channel", _CHANNEL, "UnicodeString"),
            element("Computer", _COMPUTER, "UnicodeString"),
            Element("Security", (("UserID", value(_USER, "SID")),)),
        ),
    )
    namespace = "http://schemas.microsoft.com/win/2004/08/events/event"
    content = Element("UserData", (), (payload,), _PAYLOAD) if user_data else payload
    dependency = 0xFFFF if user_data else _PAYLOAD
    return Definition("logontracks", Element("Event", (("xmlns", namespace),), (system, content), dependency))


_SYSTEM = _system(user_data=False)
_SYSTEM_USER_DATA = _system(user_data=True)
_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def _payload(template: Template) -> Definition:
    """EventData, or the element in UserData.

    Windows makes every field a normal substitution. libevtx cannot read a NULL there, so all that can be NULL (text is
    empty instead) is optional here: libevtx then leaves the element out, as [MS-EVEN6] says, others show it empty.
    """
    kinds = [VALUES[field_type] for _, field_type in template.fields]
    places = [Substitution(place, kind.declared, optional=not kind.text) for place, kind in enumerate(kinds)]
    names = [name for name, _ in template.fields]
    if template.user_data is None:
        root = Element(
            "EventData",
            (),
            tuple(
                Element("Data", (("Name", name),) if name else (), (place,))
                for name, place in zip(names, places, strict=True)
            ),
        )
    else:
        parent, namespace = template.user_data
        for name in (parent, *names):
            if not _XML_NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of an element in UserData")
        children = tuple(Element(name, (), (place,)) for name, place in zip(names, places, strict=True))
        root = Element(parent, (("xmlns", namespace),) if namespace else (), children)
    return Definition(f"{template.provider} {template.event_id} {template.version}", root)


class _Compiled:
    """A template with all that stays the same from record to record."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.system = _SYSTEM if template.user_data is None else _SYSTEM_USER_DATA
        self.payload = _payload(template)
        self.values = [VALUES[field_type] for _, field_type in template.fields]
        self.pack_values = struct.Struct(f"<{len(self.values) + 1}I").pack
        byte, word = VALUES["UInt8"], VALUES["UInt16"]
        head = [byte[template.level], byte[template.opcode], word[template.task], word[template.event_id]]
        head.append(word[template.qualifiers])
        source = [_STRING[template.provider], _GUID[template.provider_guid], _STRING[template.channel]]
        self.head = b"".join(data for _, data in head)
        self.source = b"".join(data for _, data in source)
        self.head_descriptors = (
            _SYSTEM_COUNT,
            *(descriptor for descriptor, _ in head),
            8 | VALUES["HexInt64"].declared << 16,
            8 | VALUES["FILETIME"].declared << 16,
        )
        self.source_descriptors = tuple(descriptor for descriptor, _ in source)
        self.version = byte[template.version][1]

    def encode(self, values: Sequence[object]) -> bytes:
        """Substitution array and values of the payload. ValueError names the field at fault."""
        try:
            entries = [known[value] for known, value in zip(self.values, values, strict=True)]
        except (ValueError, TypeError):
            raise ValueError(self._explain(values)) from None
        if not entries:
            return self.pack_values(0)
        descriptors, data = zip(*entries, strict=True)
        return self.pack_values(len(entries), *descriptors) + b"".join(data)

    def _explain(self, values: Sequence[object]) -> str:
        kind = f"{self.template.provider} {self.template.event_id}"
        if len(values) != len(self.values):
            return f"{kind} has {len(self.values)} fields, {len(values)} values were given"
        for (name, _), known, value in zip(self.template.fields, self.values, values, strict=True):
            try:
                known[value]
            except (ValueError, TypeError) as error:
                return f"{kind}, field {name!r}: {error}"
        raise AssertionError(kind)


class _Encoded(NamedTuple):
    """A record but for its place in a chunk. `descriptors`: all of the System part up to the payload's."""

    ticks: int
    descriptors: tuple[int, ...]
    before: bytes
    payload: bytes
    computer: tuple[int, bytes]


_BETWEEN = (
    4 | VALUES["UInt32"].declared << 16,
    4 | VALUES["UInt32"].declared << 16,
    8 | VALUES["UInt64"].declared << 16,
    1 | VALUES["UInt8"].declared << 16,
)


class _Chunk:
    """64 KiB of records that stand for themselves: the names and templates they use are defined in it."""

    def __init__(self, first_number: int) -> None:
        self.data = bytearray(_RECORDS_START)
        self.names = Table(64)
        self.templates = Table(32)
        self.first_number = first_number
        self.first_id = 0
        self.last_id = 0
        self.count = 0
        self.last_offset = 0

    def define(self, definition: Definition, offset: int) -> tuple[bytes, int]:
        """(bytes to put at `offset`, empty when the chunk has the definition; its offset in the chunk)."""
        known = self.templates.offsets.get(definition.guid)
        if known is not None:
            return b"", known
        return definition.write(offset, self.names, self.templates), offset

    def finish(self) -> bytes:
        """The whole chunk, padded, with its tables and checksums.

        The record numbers of an empty chunk are -1 for none; all three readers take it as empty (no real log without
        records was at hand to compare with).
        """
        data = self.data
        end = len(data)
        numbers = [0xFFFFFFFFFFFFFFFF] * 4
        if self.count:
            numbers = [self.first_number, self.first_number + self.count - 1, self.first_id, self.last_id]
        crc = zlib.crc32(memoryview(data)[_RECORDS_START:])
        _CHUNK_HEADER.pack_into(data, 0, b"ElfChnk\0", *numbers, 128, self.last_offset, end, crc, 1)
        struct.pack_into("<96I", data, 128, *self.names.buckets, *self.templates.buckets)
        header_crc = zlib.crc32(memoryview(data)[128:_RECORDS_START], zlib.crc32(memoryview(data)[:120]))
        struct.pack_into("<I", data, 124, header_crc)
        return bytes(data.ljust(_CHUNK_BYTES, b"\0"))


class EvtxWriter:
    """Writes events to one EVTX file, chunk by chunk, so that memory stays small however long the log is.

    `target`: a path, or a binary file that can seek; the log begins where that file stands, and is left open.
    `dirty`: the file header says the log was not closed, as in a log copied from a running host; all else is in order.
    Use it in a `with` block, or call `close`: until then the header says dirty and counts nothing.
    """

    def __init__(self, target: Path | BinaryIO, *, first_record_id: int = 1, dirty: bool = False) -> None:
        self._next_id = _record_id(first_record_id)
        self._dirty = dirty
        self._owned = isinstance(target, Path)
        self._file: BinaryIO = target.open("wb") if isinstance(target, Path) else target
        self._start = self._file.tell()
        self._chunks = 0
        self._records = 0
        self._chunk = _Chunk(1)
        self._compiled: dict[Template, _Compiled] = {}
        self._by_identity: dict[int, _Compiled] = {}  # hashing a template costs more than all the rest of a look-up
        self._closed = False
        self._file.write(self._header(_DIRTY))

    def write(self, event: Event) -> int:
        """Add one event; the answer is its EventRecordID.

        An id that goes forward leaves a gap, as records lost between do. An id that goes back, as in ForwardedEvents,
        where every computer counts for itself, stands in the XML only: the record itself takes the next id of the file.

        ValueError, and nothing is written: a value that is not of its field's type, a wrong number of values, a record
        larger than a chunk (64 KiB less headers and template), a file beyond 65,535 chunks (4 GiB), a closed writer.
        """
        if self._closed:
            raise ValueError("the log is closed")
        template = event.template
        compiled = self._by_identity.get(id(template)) or self._compile(template)
        record_id = self._next_id if event.record_id is None else _record_id(event.record_id)
        payload = compiled.encode(event.values)
        activity, activity_data = _GUID[event.activity_id]
        related, related_data = _GUID[event.related_activity_id]
        user, user_data = _SID[event.user_sid]
        computer = _STRING[event.computer]
        try:
            keywords = template.keywords if event.keywords is None else event.keywords
            keywords_time = _KEYWORDS_TIME.pack(keywords, event.filetime)
            process = _PROCESS_TO_RECORD_ID.pack(event.process_id, event.thread_id, record_id)
        except struct.error as error:
            raise ValueError(f"keywords, time, process or thread of {event!r}: {error}") from None
        middle = compiled.head, keywords_time, activity_data, process, compiled.version, user_data, related_data
        before = b"".join((*middle, compiled.source))
        descriptors = (*compiled.head_descriptors, activity, *_BETWEEN, user, related, *compiled.source_descriptors)
        header_id = max(record_id, self._next_id)
        encoded = _Encoded(event.filetime, descriptors, before, payload, computer)
        while not self._append(compiled, header_id, encoded):
            if not self._chunk.count:
                raise ValueError(
                    f"{template.provider} {template.event_id}: the event is too large for a chunk of a log"
                )
            self._flush()
        self._next_id = header_id + 1
        self._records += 1
        return record_id

    def close(self) -> None:
        """Write what is left and the final header. A log without records has one empty chunk."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._chunk.count or not self._chunks:
                self._file.write(self._chunk.finish())
                self._chunks += 1
            end = self._file.tell()
            self._file.seek(self._start)
            self._file.write(self._header(_DIRTY if self._dirty else 0))
            self._file.seek(end)
        finally:
            if self._owned:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _compile(self, template: Template) -> _Compiled:
        known = self._compiled.get(template)
        if known is None:
            known = _Compiled(template)
            self._compiled[template] = known
            self._by_identity[id(template)] = known  # it keeps the template, so nothing else can take this identity
        return known

    def _append(self, compiled: _Compiled, header_id: int, record: _Encoded) -> bool:
        """Put the record into the current chunk; False, and nothing changed, if it has no room for it."""
        chunk = self._chunk
        start = len(chunk.data)
        marks = chunk.names.mark(), chunk.templates.mark()
        at = start + _BEFORE_SYSTEM
        system, system_offset = chunk.define(compiled.system, at)
        at += len(system) + _SYSTEM_DESCRIPTORS.size + len(record.before) + _BEFORE_PAYLOAD
        definition, definition_offset = chunk.define(compiled.payload, at)
        payload_end = at + len(definition) + len(record.payload) + len(END)
        end = payload_end + len(record.computer[1]) + _AFTER_PAYLOAD
        padding = -end % 8
        end += padding
        if end >= _CHUNK_BYTES:  # libevtx does not see the last record of a chunk that is full to the last byte
            chunk.names.undo(marks[0])
            chunk.templates.undo(marks[1])
            return False
        payload_size = payload_end - at + _BEFORE_PAYLOAD
        size = end - start
        chunk.data += b"".join(
            (
                _RECORD_HEADER.pack(b"**\0\0", size, header_id, record.ticks),
                FRAGMENT,
                _INSTANCE.pack(compiled.system.instance, system_offset),
                system,
                _SYSTEM_DESCRIPTORS.pack(*record.descriptors, payload_size | BINXML << 16, record.computer[0]),
                record.before,
                FRAGMENT,
                _INSTANCE.pack(compiled.payload.instance, definition_offset),
                definition,
                record.payload,
                END,
                record.computer[1],
                END,
                bytes(padding),
                size.to_bytes(4, "little"),
            )
        )
        chunk.first_id = chunk.first_id or header_id
        chunk.last_id = header_id
        chunk.last_offset = start
        chunk.count += 1
        return True

    def _flush(self) -> None:
        if self._chunks + 1 >= _MAX_CHUNKS:
            raise ValueError(f"an event log has at most {_MAX_CHUNKS:,} chunks of 64 KiB")
        self._file.write(self._chunk.finish())
        self._chunks += 1
        self._chunk = _Chunk(self._records + 1)

    def _header(self, flags: int) -> bytes:
        """The 4 KiB file header. The first one is written before anything is known and is patched at the end."""
        header = bytearray(_FILE_HEADER_BYTES)
        _FILE_HEADER.pack_into(
            header,
            0,
            b"ElfFile\0",
            0,
            max(self._chunks - 1, 0),
            self._next_id,
            128,
            1,
            3,
            _FILE_HEADER_BYTES,
            self._chunks,
            flags,
        )
        struct.pack_into("<I", header, 124, zlib.crc32(memoryview(header)[:120]))
        return bytes(header)


def _record_id(number: int) -> int:
    if not 1 <= number <= _MAX_RECORD_ID:
        raise ValueError(f"{number} is no record id: they go from 1 to {_MAX_RECORD_ID}")
    return number


def write_evtx(
    target: Path | BinaryIO, events: Iterable[Event], *, first_record_id: int = 1, dirty: bool = False
) -> int:
    """Write all `events` to one file; the answer is their number. Errors and options: `EvtxWriter`."""
    count = 0
    with EvtxWriter(target, first_record_id=first_record_id, dirty=dirty) as writer:
        for event in events:
            writer.write(event)
            count += 1
    return count
