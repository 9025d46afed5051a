"""What we write as EVTX is read back alike by three independent readers, and its structure and checksums are sound."""

import io
import json
import re
import struct
import uuid
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import evtx
import pyevtx
import pytest
from Evtx.Evtx import Evtx
from hypothesis import given, settings
from hypothesis import strategies as st

from logontracks.simulate.binxml import VALUES
from logontracks.simulate.evtx_writer import Event, EvtxWriter, Template, filetime, write_evtx

REAL_LOGS = Path(__file__).parents[3] / "shared" / "logs"
SECURITY = "Microsoft-Windows-Security-Auditing"
SECURITY_GUID = "54849625-5478-4994-a5ba-3e3b0328c30d"
NS = "{http://schemas.microsoft.com/win/2004/08/events/event}"
NOW = filetime(datetime(2026, 10, 1, 9, 30, 0, 123456, tzinfo=UTC))

SID = "S-1-5-21-4230534742-2542757381-3142984815-1109"
EVERY_TYPE = tuple((f"A{name}", name) for name in VALUES)
EVERY_VALUE = {
    "UnicodeString": "Zoë <b>&amp; \U0001f600 \"'%1",
    "AnsiString": "plain",
    "SID": SID,
    "GUID": "{6a3b1b52-0c7f-4b3e-9f41-2d2f0d7a1c11}",
    "HexInt32": 0xC000006D,
    "HexInt64": 0xFFFFFFFFFFFFFFFF,
    "Pointer": 0x2A4,
    "UInt8": 255,
    "UInt16": 65535,
    "UInt32": 4294967295,
    "UInt64": 18446744073709551615,
    "Int32": -8,
    "Int64": -9,
    "Boolean": True,
    "FILETIME": datetime(2026, 10, 1, 11, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))),
}
LOGON = Template(
    SECURITY,
    4624,
    2,
    "Security",
    (
        ("SubjectUserSid", "SID"),
        ("TargetUserName", "UnicodeString"),
        ("TargetLogonId", "HexInt64"),
        ("LogonType", "UInt32"),
        ("LogonGuid", "GUID"),
        ("ProcessId", "Pointer"),
        ("IpAddress", "UnicodeString"),
    ),
    SECURITY_GUID,
    task=12544,
)
EVERYTHING = Template("Every-Type", 1, 3, "Every/Type", EVERY_TYPE, level=4, task=7, opcode=2)
CLEARED = Template(
    "Microsoft-Windows-Eventlog",
    1102,
    0,
    "Security",
    (("SubjectUserSid", "SID"), ("SubjectUserName", "UnicodeString"), ("SubjectLogonId", "HexInt64")),
    "fc65ddd8-d6ef-4962-83d5-6e5cfe9ce148",
    level=4,
    task=104,
    keywords=0x4020000000000000,
    user_data=("LogFileCleared", "http://manifests.microsoft.com/win/2004/08/windows/eventlog"),
)
UPTIME = Template(
    "EventLog",
    6013,
    0,
    "System",
    (("", "UnicodeString"),) * 7,
    level=4,
    keywords=0x80000000000000,
    qualifiers=32768,
)
BARE = Template("Bare", 1, 0, "System", ())


def logon(number: int = 0, **more: Any) -> Event:
    guid = str(uuid.UUID(int=number))
    values = ("S-1-5-18", f"user{number % 50}", 0x10000 + number, 3, guid, 0x2A4, f"10.0.0.{number % 250}")
    return Event(LOGON, NOW + number, "dc01.corp.example", values, **more)


def every_kind() -> list[Event]:
    """Each shape of template, each field type, each part of System once present and once absent."""
    values = tuple(EVERY_VALUE[name] for _, name in EVERY_TYPE)
    return [
        logon(activity_id="{cf7bdfdd-349c-0002-f0df-7bcf9c34d801}", keywords=0x8010000000000000),
        Event(EVERYTHING, NOW, "ws1", values, SECURITY_GUID, str(uuid.UUID(int=5)), SID, 4294967295, 77),
        Event(EVERYTHING, NOW + 10, "ws2.corp.example", (None,) * len(EVERY_TYPE)),
        Event(CLEARED, NOW, "dc01", (SID, "Administrator", 0x3E7), user_sid="S-1-5-18"),
        Event(UPTIME, NOW, "dc01", ("", "", "", "", "15", "60", "300 Eastern Standard Time")),
        Event(BARE, NOW, "ws1", ()),
        logon(7),
    ]


# --- what each reader says, in one form -----------------------------------------------------------------------------


class Read(NamedTuple):
    record: int
    system: dict[str, str]
    fields: list[tuple[str, str]]
    user_data: str | None


_NOT_XML = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(record: int, xml: str) -> Read:
    """XML 1.0 has no control characters, these logs do: they pass the parser in disguise."""
    root = ET.fromstring(_NOT_XML.sub(lambda match: f"\ue0fe{ord(match[0]):06x}", xml))  # noqa: S314 - our own file

    def text(value: str | None) -> str:
        return re.sub("\ue0fe([0-9a-f]{6})", lambda match: chr(int(match[1], 16)), value or "")

    system = {}
    for element in root[0]:
        name = element.tag.removeprefix(NS)
        system[name] = text(element.text)
        system.update({f"{name}.{key}": text(value) for key, value in element.items()})
    payload = root[1]
    user_data = None
    if payload.tag == NS + "UserData":
        user_data = payload[0].tag
        payload = payload[0]
    fields = [(child.get("Name") or re.sub("{.*}", "", child.tag), text(child.text)) for child in payload]
    return Read(record, {key: value for key, value in system.items() if value.strip()}, fields, user_data)


def by_wheel(path: Path) -> list[Read]:
    parser = evtx.PyEvtxParser(str(path), validate_checksums=True, indent=False, number_of_threads=1)
    return [parse(record["event_record_id"], record["data"]) for record in parser.records()]


def by_libevtx(path: Path) -> list[Read]:
    file = pyevtx.file()
    file.open(str(path))
    try:
        assert not file.is_corrupted()
        assert file.number_of_recovered_records == 0
        records = map(file.get_record, range(file.number_of_records))  # one at a time: it keeps few chunks open
        return [parse(record.identifier, record.xml_string) for record in records]
    finally:
        file.close()


def by_python_evtx(path: Path) -> list[Read]:
    with Evtx(str(path)) as file:
        assert file.get_file_header().verify()
        assert all(chunk.verify() for chunk in file.chunks())
        return [parse(record.record_num(), record.xml()) for record in file.records()]


READERS = [by_wheel, by_libevtx, by_python_evtx]
every_reader = pytest.mark.parametrize("reader", READERS)
Reader = Callable[[Path], list[Read]]


def moment(text: str, reader: Reader) -> datetime:
    """python-evtx reckons times in floating point, now and then a microsecond off: milliseconds are asked of it."""
    time = datetime.fromisoformat(text)
    if reader is by_python_evtx:
        time += timedelta(microseconds=500)
        return time.replace(microsecond=time.microsecond // 1000 * 1000)
    return time


def time_of(ticks: int, reader: Reader) -> datetime:
    return moment((datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)).isoformat(), reader)


def meaning(text: str, field_type: str, reader: Reader) -> object:
    """The value behind a reader's spelling; None for an empty one."""
    if not text.strip():
        return None
    if field_type in ("UnicodeString", "AnsiString", "SID"):
        return text
    if field_type == "GUID":
        return uuid.UUID(text)
    if field_type == "Boolean":
        return text.lower() == "true"
    if field_type == "FILETIME":
        return moment(text, reader)
    return int(text, 0)


def expected(value: Any, field_type: str, reader: Reader) -> object:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if field_type == "GUID":
        return uuid.UUID(value)
    if field_type == "FILETIME":
        return time_of(value if isinstance(value, int) else filetime(value), reader)
    if field_type in ("Int32", "Int64") and value < 0 and reader is by_libevtx:
        return -value - 2 ** (31 if field_type == "Int32" else 63)
    return value


def check(read: Read, event: Event, reader: Reader, record_id: int, header_id: int | None = None) -> None:
    template = event.template
    assert read.record == (record_id if header_id is None else header_id)
    system: dict[str, Any] = {
        "Provider.Name": template.provider,
        "EventID": str(template.event_id),
        "Version": str(template.version),
        "Level": str(template.level),
        "Task": str(template.task),
        "Opcode": str(template.opcode),
        "EventRecordID": str(record_id),
        "Execution.ProcessID": str(event.process_id),
        "Execution.ThreadID": str(event.thread_id),
        "Channel": template.channel,
        "Computer": event.computer,
        "Provider.Guid": template.provider_guid,
        "EventID.Qualifiers": None if template.qualifiers is None else str(template.qualifiers),
        "Correlation.ActivityID": event.activity_id,
        "Correlation.RelatedActivityID": event.related_activity_id,
        "Security.UserID": event.user_sid,
        "Keywords": template.keywords if event.keywords is None else event.keywords,
    }
    got: dict[str, Any] = dict(read.system)
    for key in ("Provider.Guid", "Correlation.ActivityID", "Correlation.RelatedActivityID"):
        system[key] = system[key] and uuid.UUID(system[key])
        got[key] = got.get(key) and uuid.UUID(got[key])
    got["Keywords"] = int(got["Keywords"], 16)
    got["TimeCreated.SystemTime"] = moment(got["TimeCreated.SystemTime"], reader)
    system["TimeCreated.SystemTime"] = time_of(event.filetime, reader)
    assert {key: value for key, value in got.items() if value is not None} == {
        key: value for key, value in system.items() if value is not None
    }
    if template.user_data:
        assert read.user_data == f"{{{template.user_data[1]}}}{template.user_data[0]}"
    else:
        assert read.user_data is None

    written = [
        (name or "Data", field_type, value)
        for (name, field_type), value in zip(template.fields, event.values, strict=True)
    ]
    if reader is by_libevtx:  # leaves out what is NULL, as [MS-EVEN6] says; the others show it empty
        written = [field for field in written if field[2] is not None or field[1].endswith("String")]
    assert [name for name, _ in read.fields] == [name for name, _, _ in written]
    for (_, text), (name, field_type, value) in zip(read.fields, written, strict=True):
        assert meaning(text, field_type, reader) == expected(value, field_type, reader), name


# --- what the file itself says, without any reader ------------------------------------------------------------------


def words(data: bytes, offset: int, count: int) -> tuple[int, ...]:
    return struct.unpack_from(f"<{count}I", data, offset)


def hash_of(units: Iterable[int]) -> int:
    total = 0
    for unit in units:
        total = total * 65599 + unit
    return total % 2**32


def chunks_of(data: bytes) -> list[bytes]:
    """Every chunk, after the file header and the size of the file are found to agree with them."""
    magic, first, last, _, size, minor, major, block, count = struct.unpack_from("<8sQQQIHHHH", data)
    assert (magic, first, size, minor, major, block) == (b"ElfFile\0", 0, 128, 1, 3, 4096)
    assert words(data, 124, 1)[0] == zlib.crc32(data[:120])
    assert not any(data[44:120] + data[128:4096])
    assert len(data) == 4096 + 65536 * count
    assert last == count - 1
    return [data[start : start + 65536] for start in range(4096, len(data), 65536)]


def walk(chunk: bytes, table: int, buckets: int) -> Iterator[tuple[int, int]]:
    """(bucket, offset) of all entries of a hash table; each entry points to an older one of its bucket."""
    for bucket, head in enumerate(words(chunk, table, buckets)):
        offset = head
        while offset:
            yield bucket, offset
            older = words(chunk, offset, 1)[0]
            assert older < offset
            offset = older


def check_chunk(chunk: bytes) -> list[int]:
    """Checksums, tables, and the chain of records of one chunk; the answer is its record ids."""
    magic, first_number, last_number, first_id, last_id = struct.unpack_from("<8sQQQQ", chunk)
    header_size, last_offset, end, events_crc = words(chunk, 40, 4)
    assert (magic, header_size) == (b"ElfChnk\0", 128)
    assert events_crc == zlib.crc32(chunk[512:end])
    assert words(chunk, 124, 1)[0] == zlib.crc32(chunk[:120] + chunk[128:512])
    assert not any(chunk[end:])

    names = {}
    for bucket, offset in walk(chunk, 128, 64):
        hashed, length = struct.unpack_from("<HH", chunk, offset + 4)
        units = struct.unpack_from(f"<{length}H", chunk, offset + 8)
        assert hashed == hash_of(units) % 65536
        assert bucket == hashed % 64
        assert chunk[offset + 8 + 2 * length :][:2] == b"\0\0"
        names[offset] = bytes(chunk[offset + 8 : offset + 8 + 2 * length]).decode("utf-16-le")
    assert len(set(names.values())) == len(names)

    definitions = {}
    for bucket, offset in walk(chunk, 384, 32):
        guid = chunk[offset + 4 : offset + 20]
        assert bucket == hash_of(struct.unpack("<8H", guid)) % 32
        assert chunk[offset - 10 : offset - 8] == b"\x0c\x01"
        assert chunk[offset - 8 : offset - 4] == guid[:4]
        assert words(chunk, offset - 4, 1)[0] == offset
        body = chunk[offset + 24 :][: words(chunk, offset + 20, 1)[0]]
        assert body.startswith((b"\x0f\1\1\0\x01", b"\x0f\1\1\0\x41"))
        assert words(body, 7, 1)[0] == len(body) - 4 - 7 - 1  # the root element ends before the end token
        assert body.endswith((b"\x03\0", b"\x04\0"))
        definitions[offset] = guid
    assert len(set(definitions.values())) == len(definitions)

    ids, at, used = [], 512, set()
    while at < end:
        magic, size, record_id, _ = struct.unpack_from("<4sIQQ", chunk, at)
        assert magic == b"**\0\0"
        assert size % 8 == 0
        assert words(chunk, at + size - 4, 1)[0] == size
        assert chunk[at + 24 : at + 28] == b"\x0f\1\1\0"
        system = words(chunk, at + 34, 1)[0]
        assert system in definitions
        values = at + 38 + (24 + words(chunk, system + 20, 1)[0] if system == at + 38 else 0)
        descriptors = struct.unpack_from("<I" + "HH" * 19, chunk, values)
        assert descriptors[0] == 19
        sizes, types = descriptors[1::2], descriptors[2::2]
        assert types[17] == 0x21
        payload = values + 80 + sum(sizes[:17])
        assert chunk[payload : payload + 6] == b"\x0f\1\1\0\x0c\1"
        definition = words(chunk, payload + 10, 1)[0]
        assert definition in definitions
        assert at + size - (values + 80 + sum(sizes)) <= 1 + 7 + 4  # end token, padding, size
        used |= {system, definition}
        ids.append(record_id)
        last_at, at = at, at + size
    assert at == end
    assert used == set(definitions)
    if ids:
        assert last_at == last_offset
        assert (first_id, last_id) == (ids[0], ids[-1])
        assert last_number - first_number + 1 == len(ids)
        assert ids == sorted(set(ids))
    return ids


def check_file(path: Path) -> list[list[int]]:
    return [check_chunk(chunk) for chunk in chunks_of(path.read_bytes())]


# --- tests ----------------------------------------------------------------------------------------------------------


@every_reader
def test_every_kind_of_event_reads_back(tmp_path: Path, reader: Reader):
    path = tmp_path / "log.evtx"
    events = every_kind()
    assert write_evtx(path, events) == len(events)
    check_file(path)
    read = reader(path)
    assert len(read) == len(events)
    for number, (got, event) in enumerate(zip(read, events, strict=True), 1):
        check(got, event, reader, number)


def test_libevtx_finds_its_own_properties(tmp_path: Path):
    path = tmp_path / "log.evtx"
    write_evtx(path, every_kind())
    file = pyevtx.file()
    file.open(str(path))
    uptime = file.get_record(4)
    assert (uptime.source_name, uptime.computer_name, uptime.channel_name) == ("EventLog", "dc01", "System")
    assert (uptime.event_identifier, uptime.event_identifier_qualifiers, uptime.event_version) == (6013, 32768, 0)
    assert [text or "" for text in uptime.strings] == ["", "", "", "", "15", "60", "300 Eastern Standard Time"]
    assert uptime.get_written_time_as_integer() == NOW
    assert file.get_record(3).user_security_identifier == "S-1-5-18"
    file.close()


def test_the_wheel_gives_the_same_as_json(tmp_path: Path):
    path = tmp_path / "log.evtx"
    write_evtx(path, every_kind())
    records = [json.loads(record["data"])["Event"] for record in evtx.PyEvtxParser(str(path)).records_json()]
    assert records[0]["System"]["Computer"] == "dc01.corp.example"
    assert records[0]["System"]["EventID"] == 4624
    assert records[0]["EventData"]["TargetLogonId"] == "0x10000"
    assert records[0]["EventData"]["LogonType"] == 3
    assert records[1]["EventData"]["AInt64"] == -9
    assert set(records[2]["EventData"].values()) <= {None, ""}
    assert records[3]["UserData"]["LogFileCleared"]["SubjectUserName"] == "Administrator"
    assert records[4]["EventData"]["Data"]["#text"][4:] == ["15", "60", "300 Eastern Standard Time"]


def many() -> list[Event]:
    """Enough for several chunks, of kinds that come and go, from several computers."""
    kinds = every_kind()
    return [
        replace(kinds[number // 7 % len(kinds)], filetime=NOW + number) if number % 7 == 0 else logon(number)
        for number in range(700)
    ]


def test_chunks_stand_alone(tmp_path: Path):
    path = tmp_path / "log.evtx"
    events = many()
    write_evtx(path, events)
    ids = check_file(path)
    assert len(ids) > 4
    assert [record_id for chunk in ids for record_id in chunk] == list(range(1, len(events) + 1))
    assert struct.unpack_from("<Q", path.read_bytes(), 24)[0] == len(events) + 1

    alone = tmp_path / "alone.evtx"
    data = path.read_bytes()
    for number, chunk in enumerate(chunks_of(data)):
        alone.write_bytes(data[:4096] + chunk)
        assert [read.record for read in by_wheel(alone)] == ids[number]


def test_a_chunk_defines_each_template_once(tmp_path: Path):
    path = tmp_path / "log.evtx"
    write_evtx(path, many())
    for chunk in chunks_of(path.read_bytes()):
        for template in (LOGON, UPTIME):
            text = template.fields[2][0] or "EventData"
            assert chunk.count(text.encode("utf-16-le")) <= 1


@every_reader
def test_many_chunks_read_back(tmp_path: Path, reader: Reader):
    path = tmp_path / "log.evtx"
    events = many() if reader is not by_python_evtx else many()[:230]  # python-evtx takes 10 ms a record
    write_evtx(path, events)
    assert len(chunks_of(path.read_bytes())) > 1
    read = reader(path)
    assert len(read) == len(events)
    for number, (got, event) in enumerate(zip(read, events, strict=True), 1):
        check(got, event, reader, number)


@every_reader
def test_a_log_without_records_has_one_empty_chunk(tmp_path: Path, reader: Reader):
    path = tmp_path / "log.evtx"
    assert write_evtx(path, []) == 0
    assert check_file(path) == [[]]
    assert reader(path) == []


@every_reader
def test_record_ids_go_on_leave_gaps_and_come_from_elsewhere(tmp_path: Path, reader: Reader):
    """Forwarded events keep the id of their own computer in the XML; the record's id never goes back."""
    path = tmp_path / "log.evtx"
    wanted = [None, 1005, None, 40, 2000, 41, None]
    with EvtxWriter(path, first_record_id=1000) as writer:
        answers = [writer.write(logon(record_id=record_id)) for record_id in wanted]
    assert answers == [1000, 1005, 1006, 40, 2000, 41, 2002]
    headers = [1000, 1005, 1006, 1007, 2000, 2001, 2002]
    assert check_file(path) == [headers]
    for got, answer, header in zip(reader(path), answers, headers, strict=True):
        check(got, logon(), reader, answer, header)


@pytest.mark.parametrize("number", [0, -1, 1 << 63])
def test_record_ids_have_bounds(tmp_path: Path, number: int):
    with pytest.raises(ValueError, match="no record id"):
        EvtxWriter(tmp_path / "log.evtx", first_record_id=number)
    with EvtxWriter(tmp_path / "log.evtx") as writer, pytest.raises(ValueError, match="no record id"):
        writer.write(logon(record_id=number))


def test_the_dirty_flag(tmp_path: Path):
    path = tmp_path / "log.evtx"
    flags = struct.Struct("<I")
    writer = EvtxWriter(path)
    writer.write(logon())
    writer._file.flush()
    assert flags.unpack_from(path.read_bytes(), 120) == (1,)  # as Windows does while the log is open
    writer.close()
    writer.close()
    assert flags.unpack_from(path.read_bytes(), 120) == (0,)
    write_evtx(path, [logon()], dirty=True)
    assert flags.unpack_from(path.read_bytes(), 120) == (1,)
    check_file(path)
    assert all(len(reader(path)) == 1 for reader in READERS)
    with pytest.raises(ValueError, match="closed"):
        writer.write(logon())


def test_a_stream_is_written_from_where_it_stands_and_left_open():
    stream = io.BytesIO(b"before")
    stream.seek(0, io.SEEK_END)
    assert write_evtx(stream, [logon(), logon(1)]) == 2
    data = stream.getvalue()
    assert data.startswith(b"before")
    assert stream.tell() == len(data)
    assert [check_chunk(chunk) for chunk in chunks_of(data[6:])] == [[1, 2]]


def test_the_same_events_give_the_same_bytes():
    one, two = io.BytesIO(), io.BytesIO()
    write_evtx(one, many())
    write_evtx(two, [replace(event, template=replace(event.template)) for event in many()])
    assert one.getvalue() == two.getvalue()


TEXT = Template("Text", 1, 0, "Text", (("Text", "UnicodeString"), ("Ansi", "AnsiString"), ("After", "UInt8")))


@every_reader
def test_long_strings(tmp_path: Path, reader: Reader):
    path = tmp_path / "log.evtx"
    texts = ["x" * 30_000, "short", "\U0001f600" * 15_000, "é" * 30_500]
    events = [Event(TEXT, NOW, "c", (text, "", 1)) for text in texts]
    write_evtx(path, events)
    assert len(check_file(path)) == 3
    for number, (got, event) in enumerate(zip(reader(path), events, strict=True), 1):
        check(got, event, reader, number)


def test_a_chunk_as_full_as_it_gets(tmp_path: Path):
    path = tmp_path / "log.evtx"
    free = []
    for length in range(31_704, 31_724):
        try:
            write_evtx(path, [Event(TEXT, NOW, "c", ("x" * length, "", 1))])
        except ValueError:
            break
        free.append(65536 - words(path.read_bytes(), 4096 + 48, 1)[0])
        assert [len(reader(path)) for reader in READERS] == [1, 1, 1]
    assert sorted(set(free)) == [8, 16, 24, 32]


@pytest.mark.parametrize(
    ("length", "what"), [(32_000, "Text 1: the event is too large for a chunk"), (32_768, "field 'Text'.*65,536 bytes")]
)
def test_what_is_too_large_is_refused_and_the_log_goes_on(tmp_path: Path, length: int, what: str):
    path = tmp_path / "log.evtx"
    with EvtxWriter(path) as writer:
        writer.write(logon())
        with pytest.raises(ValueError, match=what):
            writer.write(Event(TEXT, NOW, "c", ("x" * length, "", 1)))
        assert writer.write(logon(1)) == 2
    assert [record_id for chunk in check_file(path) for record_id in chunk] == [1, 2]
    assert len(by_wheel(path)) == 2


def test_a_file_has_at_most_65535_chunks(tmp_path: Path):
    with EvtxWriter(tmp_path / "log.evtx") as writer:
        writer._chunks = 0xFFFF - 1
        for number in range(2):
            writer.write(Event(TEXT, NOW, "c", ("x" * 12_000, "", number)))
        with pytest.raises(ValueError, match="65,535 chunks"):
            writer.write(Event(TEXT, NOW, "c", ("x" * 12_000, "", 2)))
        writer._chunks = 0


def test_any_string_can_be_written(tmp_path: Path):
    """Control characters stay; a NUL and lone surrogates, which no reader could give back, become U+FFFD."""
    path = tmp_path / "log.evtx"
    control = "".join(map(chr, range(1, 0x20))) + "\x7f\x85\x9f\u2028\u202e\ufdd0\ufffe\uffff"
    texts = {
        control: control,
        "a\0b": "a\ufffdb",
        "a\ud800b\udfff": "a\ufffdb\ufffd",
        "\ud83d\ude00": "\U0001f600",
        "]]><x>": "]]><x>",
    }
    write_evtx(path, [Event(TEXT, NOW, "c", (text, "ä\u0141\0", 1)) for text in texts])
    for reader in (by_wheel, by_libevtx):
        read = reader(path)
        assert [dict(got.fields)["Text"] for got in read] == list(texts.values())
        assert {dict(got.fields)["After"] for got in read} == {"1"}
    assert {dict(got.fields)["Ansi"] for got in by_wheel(path)} == {"ä??"}


WRONG = [
    ("UnicodeString", 5),
    ("AnsiString", b"x"),
    ("SID", "S-1"),
    ("SID", "S-1-5-4294967296"),
    ("SID", "S-1-281474976710656"),
    ("SID", 18),
    ("GUID", "{6a3b1b52}"),
    ("HexInt32", 1 << 32),
    ("HexInt64", -1),
    ("Pointer", 1 << 64),
    ("UInt8", 256),
    ("UInt16", "5"),
    ("UInt32", -1),
    ("UInt64", 1 << 64),
    ("Int32", 1 << 31),
    ("Int64", 1 << 63),
    ("Boolean", 2),
    ("FILETIME", datetime(2026, 10, 1)),  # noqa: DTZ001 - what must be refused
    ("FILETIME", datetime(1600, 1, 1, tzinfo=UTC)),
    ("FILETIME", -1),
    ("UInt32", [1]),
]


@pytest.mark.parametrize(("field_type", "value"), WRONG)
def test_a_wrong_value_is_named(field_type: Any, value: object):
    template = Template("Wrong", 77, 0, "Text", (("First", "UInt8"), ("Second", field_type)))
    with pytest.raises(ValueError, match="Wrong 77, field 'Second': "):
        write_evtx(io.BytesIO(), [Event(template, NOW, "c", (1, value))])


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (Event(TEXT, NOW, "c", ("only one",)), "has 3 fields, 1 values"),
        (Event(TEXT, -1, "c", ("", "", 1)), "keywords, time, process or thread"),
        (Event(TEXT, NOW, "c", ("", "", 1), process_id=1 << 32), "keywords, time, process or thread"),
        (Event(TEXT, NOW, "c", ("", "", 1), user_sid="Administrator"), "no SID"),
        (Event(TEXT, NOW, "c", ("", "", 1), activity_id="x"), "no GUID"),
        (Event(replace(TEXT, version=256), NOW, "c", ("", "", 1)), "no UInt8"),
        (Event(replace(TEXT, fields=(("x" * 70_000, "UInt8"),)), NOW, "c", (1,)), "65,535 characters"),
        (Event(replace(TEXT, user_data=("a b", "")), NOW, "c", ("", "", 1)), "cannot be the name of an element"),
        (Event(replace(UPTIME, user_data=("a", "")), NOW, "c", ("",) * 7), "cannot be the name of an element"),
    ],
)
def test_a_wrong_event_is_refused(event: Event, what: str):
    with pytest.raises(ValueError, match=what):
        write_evtx(io.BytesIO(), [event])


def test_filetime():
    assert filetime(datetime(1601, 1, 1, tzinfo=UTC)) == 0
    assert filetime(datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == 116_444_736_000_000_000
    assert filetime(datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) % 10_000_000 == 10
    with pytest.raises(ValueError, match="time zone"):
        filetime(datetime(2026, 1, 1))  # noqa: DTZ001 - what must be refused
    with pytest.raises(ValueError, match="1601"):
        filetime(datetime(1600, 12, 31, tzinfo=UTC))


def test_what_is_remembered_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("logontracks.simulate.binxml._MAX_REMEMBERED", 10)
    known = VALUES["HexInt64"]
    for number in range(100):
        assert known[number] == (8 | 0x15 << 16, number.to_bytes(8, "little"))
    assert len(known) <= 10


# --- any template, any values ---------------------------------------------------------------------------------------

# What libevtx does not give back is not asked of it: U+FEFF or U+FFFE at the start of a text (taken for a byte order
# mark), < and & in an ANSI text and " in an attribute (left bare in its XML).
texts = st.text(max_size=300).filter(lambda text: not text.startswith(("\ufeff", "\ufffe")))
moments = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as asked
VALUE_OF: dict[str, st.SearchStrategy[Any]] = {
    "UnicodeString": texts,
    "AnsiString": st.text(st.characters(codec="ascii", exclude_characters="\0<&"), max_size=30),
    "SID": st.builds(
        lambda authority, parts: "-".join(map(str, ("S-1", authority, *parts))),
        st.integers(0, 15),
        st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=15),
    ),
    "GUID": st.uuids().map(str),
    "HexInt32": st.integers(0, 2**32 - 1),
    "HexInt64": st.integers(0, 2**64 - 1),
    "Pointer": st.integers(0, 2**64 - 1),
    "UInt8": st.integers(0, 255),
    "UInt16": st.integers(0, 2**16 - 1),
    "UInt32": st.integers(0, 2**32 - 1),
    "UInt64": st.integers(0, 2**64 - 1),
    "Int32": st.integers(-(2**31) + 1, 2**31 - 1),
    "Int64": st.integers(-(2**63) + 1, 2**63 - 1),
    "Boolean": st.booleans(),
    "FILETIME": moments.map(filetime) | moments,
}
assert set(VALUE_OF) == set(VALUES)
plain = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x2FF, exclude_categories=["Cc", "Zs"], exclude_characters='"'),
    min_size=1,
)
element_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,12}", fullmatch=True)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    user_data = draw(st.none() | st.tuples(element_names, st.just("urn:x")))
    names = element_names if user_data else st.just("") | plain
    fields = draw(st.lists(st.tuples(names, st.sampled_from(sorted(VALUES))), max_size=12))
    return Template(
        draw(plain),
        draw(st.integers(0, 65535)),
        draw(st.integers(0, 255)),
        draw(plain),
        tuple(fields),
        draw(st.none() | st.uuids().map(str)),
        draw(st.integers(0, 255)),
        draw(st.integers(0, 65535)),
        draw(st.integers(0, 255)),
        draw(st.integers(0, 2**64 - 1)),
        draw(st.none() | st.integers(0, 65535)),
        user_data,
    )


@st.composite
def events(draw: st.DrawFn, choice: list[Template]) -> Event:
    template = draw(st.sampled_from(choice))
    return Event(
        template,
        filetime(draw(moments)),
        draw(plain),
        [draw(st.none() | VALUE_OF[field_type]) for _, field_type in template.fields],
        draw(st.none() | st.uuids().map(str)),
        draw(st.none() | st.uuids().map(str)),
        draw(st.none() | VALUE_OF["SID"]),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 2**32 - 1)),
    )


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    choice = draw(st.lists(templates(), min_size=1, max_size=4))
    return draw(st.lists(events(choice), max_size=12))


def as_read(event: Event) -> Event:
    """What a reader can give back: NUL stands as U+FFFD."""
    values = [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in event.values]
    return replace(event, values=values)


@settings(max_examples=150, deadline=None)
@given(log=logs())
def test_any_log_reads_back(tmp_path_factory: pytest.TempPathFactory, log: list[Event]):
    path = tmp_path_factory.mktemp("any") / "log.evtx"
    write_evtx(path, log)
    check_file(path)
    for reader in (by_wheel, by_libevtx):
        read = reader(path)
        assert len(read) == len(log)
        for number, (got, event) in enumerate(zip(read, log, strict=True), 1):
            check(got, as_read(event), reader, number)


# --- against real files ---------------------------------------------------------------------------------------------

REAL = REAL_LOGS / "evtx-mitre-offsec.lan" / "ID4624-Success_login_with_Golden_ticket.evtx"
needs_real_logs = pytest.mark.skipif(
    not REAL.exists(), reason=f"{REAL} is not there: real logs are no part of this project"
)


def elements(chunk: bytes, offset: int) -> list[tuple[str, ...]]:
    """The System template at `offset` as python-evtx's parts: names, attributes, and where each value goes."""
    from Evtx.Evtx import ChunkHeader
    from Evtx.Nodes import AttributeNode, OpenStartElementNode, TemplateNode

    header = ChunkHeader(chunk, 0)

    def parts(node: Any) -> Iterator[tuple[str, ...]]:
        for child in node.children():
            if isinstance(child, OpenStartElementNode):
                yield ("element", child.tag_name(), hex(child.token()), hex(child.unknown0()))
                yield from parts(child)
            elif isinstance(child, AttributeNode):
                yield ("attribute", child.attribute_name().string(), hex(child.token()))
                yield from parts(child)
            elif hasattr(child, "index"):
                yield ("value", str(child.index()), hex(child.type()), hex(child.token()))
            elif hasattr(child, "value"):
                yield ("text", child.value().string())

    return list(parts(TemplateNode(chunk, offset, header, header)))


@needs_real_logs
def test_the_system_template_is_that_of_windows_but_for_the_computer(tmp_path: Path):
    path = tmp_path / "log.evtx"
    write_evtx(path, [logon()])
    ours = elements(path.read_bytes()[4096:], 0x226)
    theirs = elements(REAL.read_bytes()[4096:], 0x226)
    computer = ours.index(("element", "Computer", "0x1", "0x12"))
    assert ours[computer + 1] == ("value", "18", "0x1", "0xe")
    assert theirs[computer][:2] == ("element", "Computer")
    assert ours[:computer] + ours[computer + 2 :] == theirs[:computer] + theirs[computer + 2 :]


@needs_real_logs
def test_the_checks_of_this_file_hold_for_a_real_chunk():
    """So that what they ask of our chunks is what Windows does."""
    chunk = REAL.read_bytes()[4096 : 4096 + 65536]
    end = words(chunk, 48, 1)[0]
    assert words(chunk, 52, 1)[0] == zlib.crc32(chunk[512:end])
    assert words(chunk, 124, 1)[0] == zlib.crc32(chunk[:120] + chunk[128:512])
    for bucket, offset in walk(chunk, 128, 64):
        hashed, length = struct.unpack_from("<HH", chunk, offset + 4)
        assert hashed == hash_of(struct.unpack_from(f"<{length}H", chunk, offset + 8)) % 65536
        assert bucket == hashed % 64
    for bucket, offset in walk(chunk, 384, 32):
        assert bucket == hash_of(struct.unpack_from("<8H", chunk, offset + 4)) % 32
