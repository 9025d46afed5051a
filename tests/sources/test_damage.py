"""Damaged EVTX files: the sound is read, what can be saved is saved, what is lost is told, nothing hangs or raises."""

import io
import random
import struct
import subprocess
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from logontracks.case import Case
from logontracks.pipeline import ingest
from logontracks.simulate.binxml import BINXML, END, FRAGMENT, Definition, Element, Substitution, Values
from logontracks.simulate.evtx_writer import Event, EvtxWriter, Template
from logontracks.sources import evtx, evtx_problems
from logontracks.sources.envelope import Problem

HEADER, CHUNK = evtx.HEADER_SIZE, evtx.CHUNK_SIZE
PATIENCE = 0.2  # a range may take 1.6 s, a chunk of a damaged one 1 s
MONDAY = 134_040_960_000_000_000  # a FILETIME in October 2025
SID = "S-1-5-21-4230534742-2542757381-3142984815-1109"
LOGON = Template(
    "Microsoft-Windows-Security-Auditing",
    4624,
    2,
    "Security",
    (
        ("TargetUserSid", "SID"),
        ("TargetUserName", "UnicodeString"),
        ("TargetLogonId", "HexInt64"),
        ("IpAddress", "UnicodeString"),
    ),
    "54849625-5478-4994-a5ba-3e3b0328c30d",
    task=12544,
)
RECORDS = 1000

Row = tuple[Any, ...]


# Sound logs


def written(computer: str, *, records: int = RECORDS, first_id: int = 1) -> bytearray:
    """A log of some chunks. Every record has its own user name; text values are `computer` and `user-NUMBER`."""
    target = io.BytesIO()
    with EvtxWriter(target, first_record_id=first_id) as writer:
        for number in range(records):
            values = (SID, f"user-{number + first_id:06}", 0x10000 + number, "10.0.0.7")
            writer.write(Event(LOGON, MONDAY + number * 10_000_000, computer, values))
    return bytearray(target.getvalue())


class Log:
    """A log, the places in it, and ways to damage it."""

    def __init__(self, computer: str, *, records: int = RECORDS, first_id: int = 1) -> None:
        self.computer = computer
        self.data = written(computer, records=records, first_id=first_id)
        self.chunks = (len(self.data) - HEADER) // CHUNK
        self._ids = [range(*self._first_and_last_id(chunk)) for chunk in range(self.chunks)]

    def _first_and_last_id(self, chunk: int) -> tuple[int, int]:
        first, last = struct.unpack_from("<QQ", self.data, self.at(chunk) + 24)
        return first, last + 1

    def at(self, chunk: int) -> int:
        return HEADER + chunk * CHUNK

    def ids(self, *chunks: int) -> set[int]:
        return {record_id for chunk in chunks for record_id in self._ids[chunk]}

    def ids_from(self, chunk: int) -> set[int]:
        return self.ids(*range(chunk, self.chunks))

    def record(self, chunk: int, number: int) -> tuple[int, int]:
        """(offset, size) of a record."""
        at = self.at(chunk) + 512
        for _ in range(number):
            at += int.from_bytes(self.data[at + 4 : at + 8], "little")
        return at, int.from_bytes(self.data[at + 4 : at + 8], "little")

    def put(self, at: int, value: bytes) -> None:
        self.data[at : at + len(value)] = value

    def flip(self, at: int) -> None:
        self.data[at] ^= 0xFF

    def seal_header(self, flags: int | None = None) -> None:
        if flags is not None:
            struct.pack_into("<I", self.data, 120, flags)
        struct.pack_into("<I", self.data, 124, zlib.crc32(self.data[:120]))

    def seal(self, chunk: int) -> None:
        """Make the checksums of a chunk match."""
        at = self.at(chunk)
        data = self.data[at : at + CHUNK]
        end = int.from_bytes(data[48:52], "little")
        struct.pack_into("<I", data, 52, zlib.crc32(data[512:end]))
        struct.pack_into("<I", data, 124, zlib.crc32(data[128:512], zlib.crc32(data[:120])))
        self.data[at : at + CHUNK] = data

    def noise(self, chunk: int) -> None:
        self.put(self.at(chunk), random.Random(chunk).randbytes(CHUNK))


# Damage: name -> what is done, and what must come of it


@dataclass
class Expected:
    """`gone`: record ids that are lost. `changed`: ids whose values are other ones. The rest is as in the sound log.

    `problems`: (position, kind, records lost) of each.
    """

    gone: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    problems: list[tuple[str, str, int | None]] = field(default_factory=list)
    more: int = 0  # rows of other hosts


def lost(position: str, records: int | None) -> tuple[str, str, int | None]:
    return position, "lost", records


def doubt(position: str) -> tuple[str, str, None]:
    return position, "doubt", None


Damage = Callable[[Log], Expected]
DAMAGE: dict[str, Damage] = {}


def damage(function: Damage) -> Damage:
    DAMAGE[function.__name__.replace("_", "-")] = function
    return function


def places(name: str, at: Callable[[Log], int], outcome: Callable[[Log], Expected]) -> None:
    """A byte is turned round."""

    def flip(log: Log) -> Expected:
        log.flip(at(log))
        return outcome(log)

    DAMAGE[f"flipped-{name}"] = flip


@damage
def nothing(log: Log) -> Expected:
    return Expected()


@damage
def cut_inside_the_file_header(log: Log) -> Expected:
    del log.data[2000:]
    return Expected(gone=log.ids_from(0), problems=[lost("file header", None)])


@damage
def cut_inside_the_first_bytes_of_the_file_header(log: Log) -> Expected:
    del log.data[100:]
    return Expected(gone=log.ids_from(0), problems=[lost("file header", None)])


@damage
def header_only(log: Log) -> Expected:
    del log.data[HEADER:]
    return Expected(gone=log.ids_from(0), problems=[lost(f"chunks 0 to {log.chunks - 1}", None)])


@damage
def cut_between_chunks(log: Log) -> Expected:
    del log.data[log.at(2) :]
    gone = log.ids_from(2)
    return Expected(gone=gone, problems=[lost(f"chunks 2 to {log.chunks - 1}", len(gone))])


@damage
def cut_before_the_last_chunk(log: Log) -> Expected:
    last = log.chunks - 1
    del log.data[log.at(last) :]
    return Expected(gone=log.ids(last), problems=[lost(f"chunk {last}", len(log.ids(last)))])


def _cut_in_last(name: str, offset: int) -> None:
    def cut(log: Log) -> Expected:
        last = log.chunks - 1
        del log.data[log.at(last) + offset :]
        return Expected(gone=log.ids(last), problems=[lost(f"chunk {last}", len(log.ids(last)))])

    DAMAGE[name] = cut


_cut_in_last("cut-inside-the-mark-of-a-chunk", 5)
_cut_in_last("cut-inside-a-chunk-header", 20)
_cut_in_last("cut-inside-a-chunk-header-behind-its-numbers", 300)


@damage
def cut_behind_a_chunk_header(log: Log) -> Expected:
    last = log.chunks - 1
    del log.data[log.at(last) + 512 :]
    return Expected(gone=log.ids(last), problems=[lost(f"chunk {last}", len(log.ids(last)))])


@damage
def cut_inside_a_record(log: Log) -> Expected:
    at, size = log.record(2, 30)
    del log.data[at + size // 2 :]
    gone = {record_id for record_id in log.ids(2) if record_id >= min(log.ids(2)) + 30}
    behind = log.ids_from(3)
    problems = [lost("chunk 2", len(gone)), lost(f"chunks 3 to {log.chunks - 1}", len(behind))]
    return Expected(gone=gone | behind, problems=problems)


@damage
def cut_between_records(log: Log) -> Expected:
    del log.data[log.record(2, 30)[0] :]
    gone = {record_id for record_id in log.ids(2) if record_id >= min(log.ids(2)) + 30}
    behind = log.ids_from(3)
    problems = [lost("chunk 2", len(gone)), lost(f"chunks 3 to {log.chunks - 1}", len(behind))]
    return Expected(gone=gone | behind, problems=problems)


@damage
def cut_behind_the_last_record(log: Log) -> Expected:
    last = log.chunks - 1
    at, size = log.record(last, len(log.ids(last)) - 1)
    del log.data[at + size :]
    return Expected()


def _doubt(log: Log) -> Expected:
    return Expected(problems=[doubt("chunk 2")])


for _name, _offset in {
    "mark-of-a-chunk": 2,
    "first-number-of-a-chunk": 8,
    "last-number-of-a-chunk": 17,
    "first-id-of-a-chunk": 24,
    "last-record-of-a-chunk": 44,
    "end-of-a-chunk": 49,
    "checksum-of-the-records": 52,
    "checksum-of-a-chunk-header": 124,
    "names-of-a-chunk": 131,
    "templates-of-a-chunk": 390,
}.items():
    places(_name, lambda log, o=_offset: log.at(2) + o, _doubt)

# The header of a record is mended from those around it.
for _name, _offset in {
    "mark-of-a-record": 0,
    "size-of-a-record": 4,
    "size-of-a-record-more-than-the-chunk": 7,
    "id-of-a-record": 8,
    "id-of-a-record-beyond-all-ids": 15,
    "time-of-a-record": 16,
    "time-of-a-record-beyond-the-calendar": 23,
    "second-size-of-a-record": -4,
}.items():

    def _in_record(log: Log, o: int = _offset) -> int:
        at, size = log.record(2, 40)
        return at + (o if o >= 0 else size + o)

    places(_name, _in_record, _doubt)


def _one_lost(log: Log) -> Expected:
    return Expected(gone={min(log.ids(2)) + 40}, problems=[lost("chunk 2", 1)])


places("fragment-of-a-record", lambda log: log.record(2, 40)[0] + 24, _one_lost)
places("template-reference-of-a-record", lambda log: log.record(2, 40)[0] + 36, _one_lost)


@damage
def record_header_all_zero(log: Log) -> Expected:
    log.put(log.record(2, 40)[0], bytes(24))
    return Expected(problems=[doubt("chunk 2")])


@damage
def record_all_zero(log: Log) -> Expected:
    at, size = log.record(2, 40)
    log.put(at, bytes(size))
    return _one_lost(log)


@damage
def three_records_all_noise(log: Log) -> Expected:
    at = log.record(2, 40)[0]
    end = log.record(2, 43)[0]
    log.put(at, random.Random(1).randbytes(end - at))
    first = min(log.ids(2)) + 40
    return Expected(gone={first, first + 1, first + 2}, problems=[lost("chunk 2", 3)])


@damage
def last_record_of_a_chunk_without_mark(log: Log) -> Expected:
    log.flip(log.record(2, len(log.ids(2)) - 1)[0])
    return Expected(problems=[doubt("chunk 2")])


@damage
def chunk_header_and_a_record_header(log: Log) -> Expected:
    log.put(log.at(2), bytes(512))
    log.flip(log.record(2, 40)[0] + 4)
    return Expected(problems=[doubt("chunk 2")])


@damage
def template_of_all_records(log: Log) -> Expected:
    """The first record of a chunk holds the template of them all."""
    at = log.record(2, 0)[0] + 24 + 4 + 10 + 24  # behind headers of record, fragment, instance and definition
    log.put(at, b"\xee" * 8)
    gone = log.ids(2)
    return Expected(gone=gone, problems=[lost("chunk 2", len(gone))])


@damage
def first_record_without_mark(log: Log) -> Expected:
    log.flip(log.at(2) + 512)
    return Expected(problems=[doubt("chunk 2")])


@damage
def text_of_a_value(log: Log) -> Expected:
    record_id = min(log.ids(2)) + 40
    at = log.data.index(f"user-{record_id:06}".encode("utf-16-le"))
    log.put(at, "evil".encode("utf-16-le"))
    return Expected(changed={record_id}, problems=[doubt("chunk 2")])


@damage
def chunk_of_another_file(log: Log) -> Expected:
    """Every chunk is sound: that records are missing is for the coverage to tell."""
    other = Log(f"other-{log.computer}")
    log.put(log.at(2), bytes(other.data[log.at(1) : log.at(2)]))
    return Expected(gone=log.ids(2), more=len(other.ids(1)))


@damage
def chunk_doubled(log: Log) -> Expected:
    log.data[log.at(2) : log.at(2)] = log.data[log.at(1) : log.at(2)]
    return Expected()


@damage
def chunks_swapped(log: Log) -> Expected:
    one, two = bytes(log.data[log.at(1) : log.at(2)]), bytes(log.data[log.at(2) : log.at(3)])
    log.put(log.at(1), two + one)
    return Expected()


@damage
def chunk_all_zero(log: Log) -> Expected:
    log.put(log.at(2), bytes(CHUNK))
    return Expected(gone=log.ids(2), problems=[lost("chunk 2", len(log.ids(2)))])


@damage
def last_chunk_all_zero(log: Log) -> Expected:
    last = log.chunks - 1
    log.put(log.at(last), bytes(CHUNK))
    return Expected(gone=log.ids(last), problems=[lost(f"chunk {last}", len(log.ids(last)))])


@damage
def chunk_all_noise(log: Log) -> Expected:
    log.noise(2)
    return Expected(gone=log.ids(2), problems=[lost("chunk 2", len(log.ids(2)))])


@damage
def chunks_all_noise(log: Log) -> Expected:
    log.noise(2)
    log.noise(3)
    gone = log.ids(2, 3)
    return Expected(gone=gone, problems=[lost("chunks 2 to 3", len(gone))])


@damage
def first_chunk_all_noise(log: Log) -> Expected:
    log.noise(0)
    return Expected(gone=log.ids(0), problems=[lost("chunk 0", None)])


@damage
def last_chunk_all_noise(log: Log) -> Expected:
    last = log.chunks - 1
    log.noise(last)
    return Expected(gone=log.ids(last), problems=[lost(f"chunk {last}", len(log.ids(last)))])


@damage
def noise_behind_a_sound_chunk_header(log: Log) -> Expected:
    log.put(log.at(2) + 512, random.Random(2).randbytes(CHUNK - 512))
    return Expected(gone=log.ids(2), problems=[lost("chunk 2", len(log.ids(2)))])


@damage
def file_header_all_zero(log: Log) -> Expected:
    log.put(0, bytes(HEADER))
    return Expected(problems=[doubt("file header")])


@damage
def file_header_flipped(log: Log) -> Expected:
    log.flip(24)
    return Expected(problems=[doubt("file header")])


@damage
def absurd_number_of_chunks(log: Log) -> Expected:
    struct.pack_into("<H", log.data, 42, 0xFFFF)
    return Expected(problems=[doubt("file header")])


@damage
def absurd_number_of_chunks_and_a_checksum_that_matches(log: Log) -> Expected:
    struct.pack_into("<H", log.data, 42, 0xFFFF)
    log.seal_header()
    return Expected(problems=[lost(f"chunks {log.chunks} to 65534", None)])


@damage
def no_file_header(log: Log) -> Expected:
    del log.data[:HEADER]
    return Expected()


@damage
def few_bytes_appended(log: Log) -> Expected:
    log.data += random.Random(3).randbytes(1000)
    return Expected(problems=[lost(f"chunk {log.chunks}", None)])


@damage
def much_appended(log: Log) -> Expected:
    """One row, however much it is."""
    log.data += random.Random(3).randbytes(300 * CHUNK)
    return Expected(problems=[lost(f"chunks {log.chunks} to {log.chunks + 299}", None)])


@damage
def chunk_header_counts_too_many(log: Log) -> Expected:
    struct.pack_into("<Q", log.data, log.at(2) + 16, max(log.ids(2)) + 17)
    log.seal(2)
    return Expected(problems=[lost("chunk 2", 17)])


@damage
def chunk_header_counts_too_few(log: Log) -> Expected:
    struct.pack_into("<Q", log.data, log.at(2) + 16, max(log.ids(2)) - 17)
    log.seal(2)
    return Expected(problems=[doubt("chunk 2")])


@damage
def chunk_header_counts_absurdly_many(log: Log) -> Expected:
    struct.pack_into("<Q", log.data, log.at(2) + 16, 1 << 60)
    log.seal(2)
    return Expected()


@damage
def space_set_aside(log: Log) -> Expected:
    log.data += bytes(15 * CHUNK)
    return Expected()


@damage
def dirty_and_the_last_checksum_is_stale(log: Log) -> Expected:
    log.seal_header(flags=1)
    log.flip(log.at(log.chunks - 1) + 52)
    return Expected()


@damage
def dirty_and_the_last_checksum_is_stale_and_space_set_aside(log: Log) -> Expected:
    log.seal_header(flags=1)
    log.flip(log.at(log.chunks - 1) + 52)
    log.data += bytes(15 * CHUNK)
    return Expected()


@damage
def dirty_and_another_checksum_is_stale(log: Log) -> Expected:
    log.seal_header(flags=1)
    log.flip(log.at(2) + 52)
    return Expected(problems=[doubt("chunk 2")])


@damage
def dirty_and_the_newest_records_are_not_counted(log: Log) -> Expected:
    """Windows wrote records behind the end that the chunk header tells."""
    log.seal_header(flags=1)
    last = log.chunks - 1
    count = len(log.ids(last)) - 5
    struct.pack_into("<QQQ", log.data, log.at(last) + 16, *(max(log.ids(last)) - 5,) * 2, 0)
    struct.pack_into("<Q", log.data, log.at(last) + 32, max(log.ids(last)) - 5)
    at, size = log.record(last, count - 1)
    struct.pack_into("<III", log.data, log.at(last) + 40, 128, at - log.at(last), at + size - log.at(last))
    end = int.from_bytes(log.data[log.at(last) + 48 : log.at(last) + 52], "little")
    head = log.data[log.at(last) : log.at(last) + 512]
    struct.pack_into("<I", log.data, log.at(last) + 124, zlib.crc32(head[128:512], zlib.crc32(head[:120])))
    assert end < CHUNK
    return Expected()


@damage
def closed_and_the_last_checksum_is_stale(log: Log) -> Expected:
    last = log.chunks - 1
    log.flip(log.at(last) + 52)
    return Expected(problems=[doubt(f"chunk {last}")])


@damage
def log_without_checksums(log: Log) -> Expected:
    log.seal_header(flags=4)
    for chunk in range(log.chunks):
        struct.pack_into("<I", log.data, log.at(chunk) + 52, 0)
        struct.pack_into("<II", log.data, log.at(chunk) + 120, 4, 0)
    return Expected()


@damage
def log_without_checksums_and_only_the_file_says_so(log: Log) -> Expected:
    log.seal_header(flags=4)
    for chunk in range(log.chunks):
        struct.pack_into("<I", log.data, log.at(chunk) + 52, 0)
    return Expected()


@damage
def chunk_that_says_it_has_no_checksums(log: Log) -> Expected:
    """Found by the fuzzer: the wheel believes this flag, which no checksum covers."""
    struct.pack_into("<I", log.data, log.at(2) + 120, 4)
    record_id = min(log.ids(2)) + 40
    log.put(log.data.index(f"user-{record_id:06}".encode("utf-16-le")), "evil".encode("utf-16-le"))
    return Expected(changed={record_id}, problems=[doubt("chunk 2")])


@damage
def names_in_a_circle(log: Log) -> Expected:
    """The wheel follows the names of a chunk for ever, and without a checksum that stops it."""
    for bucket in range(64):
        name = int.from_bytes(log.data[log.at(2) + 128 + 4 * bucket :][:4], "little")
        if name:
            struct.pack_into("<I", log.data, log.at(2) + name, name)
    log.seal(2)
    return Expected()


@damage
def templates_in_a_circle(log: Log) -> Expected:
    for bucket in range(32):
        template = int.from_bytes(log.data[log.at(2) + 384 + 4 * bucket :][:4], "little")
        if template:
            struct.pack_into("<I", log.data, log.at(2) + template, template)
    log.seal(2)
    return Expected()


@damage
def record_ids_beyond_all_ids(log: Log) -> Expected:
    """With checksums that match: nothing else would stop them."""
    for number in (40, 41):
        at, size = log.record(2, number)
        record_id = struct.pack("<Q", min(log.ids(2)) + number)
        end = at + size
        log.put(at + 8, b"\xff" * 8)
        log.put(log.data.index(record_id, at + 16, end), b"\xff" * 8)
    log.seal(2)
    first = min(log.ids(2)) + 40
    return Expected(gone={first, first + 1}, more=2)


# The tests


class Outcome(NamedTuple):
    rows: dict[str, dict[int, Row]]  # by computer and record id
    more: dict[str, int]  # rows of other hosts, by source
    problems: dict[str, list[Problem]]  # by source
    seconds: float


def outcome(folder: Path, case: Path) -> Outcome:
    begun = time.monotonic()
    ingest([folder], case, jobs=2, patience=PATIENCE, tables=False)
    seconds = time.monotonic() - begun
    connection = Case(case).connect()
    names = {sha256: Path(name).stem for sha256, name in connection.sql("SELECT sha256, name FROM sources").fetchall()}
    rows: dict[str, dict[int, Row]] = defaultdict(dict)
    more: dict[str, int] = defaultdict(int)
    query = "SELECT source_sha256, computer, record_id, event_id, time, target_name, data FROM events"
    for sha256, computer, record_id, *values in connection.sql(query).fetchall():
        name = names[sha256]
        if computer == name and record_id is not None and 0 < record_id < 1 << 60:
            rows[name][record_id] = tuple(values)
        else:
            more[name] += 1
    problems: dict[str, list[Problem]] = defaultdict(list)
    for source, *problem in connection.sql(
        "SELECT source, position, kind, what, records_lost FROM problems ORDER BY ALL"
    ).fetchall():
        problems[Path(source).stem].append(Problem(*problem))
    return Outcome(rows, more, problems, seconds)


@cache
def expectations() -> dict[str, tuple[Log, Expected]]:
    found = {}
    for name, function in DAMAGE.items():
        log = Log(name)
        found[name] = log, function(log)
    return found


@pytest.fixture(scope="module")
def all_damage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """All damaged logs in one folder, read together. Every log is of another host, so that none is a copy."""
    folder = tmp_path_factory.mktemp("damage") / "logs"
    folder.mkdir()
    for name, (log, _) in expectations().items():
        (folder / f"{name}.evtx").write_bytes(log.data)
    (folder / "text.evtx").write_text("This is a text.\n" * 1000)
    (folder / "empty.evtx").write_bytes(b"")
    return outcome(folder, folder.parent / "case")


@pytest.mark.parametrize("name", DAMAGE)
def test_what_can_be_read_is_read_and_what_is_lost_is_told(all_damage, name):
    _, expected = expectations()[name]
    rows = all_damage.rows[name]
    assert {record_id for record_id in range(1, RECORDS + 1) if record_id not in rows} == expected.gone
    assert set(rows) <= set(range(1, RECORDS + 1))
    sound = all_damage.rows["nothing"]
    assert {record_id for record_id, row in rows.items() if row != sound[record_id]} == expected.changed
    assert all_damage.more[name] == expected.more
    problems = [(problem.position, problem.kind, problem.records_lost) for problem in all_damage.problems[name]]
    assert problems == expected.problems, all_damage.problems[name]
    assert sum(problem.records_lost or 0 for problem in all_damage.problems[name]) in {0, len(expected.gone), 17}


def test_what_is_no_log_but_named_so_is_told(all_damage):
    assert [problem.kind for problem in all_damage.problems["text"]] == ["lost"]
    assert [problem.kind for problem in all_damage.problems["empty"]] == ["lost"]


def test_all_of_it_takes_a_bounded_time(all_damage):
    assert all_damage.seconds < 120


# What the wheel never returns from


@pytest.fixture
def spinning(shared_logs: Path) -> bytes:
    return (shared_logs / "damaged" / "evtx_0.14.0_reader_never_returns.evtx").read_bytes()


def test_a_log_on_which_the_wheel_spins(tmp_path, spinning):
    """Alone, among others, and as a chunk of a log that is sound otherwise."""
    folder = tmp_path / "logs"
    folder.mkdir()
    long = Log("long", records=3200)
    assert long.chunks >= 20
    long.put(long.at(7), spinning[HEADER : HEADER + CHUNK])
    (folder / "a.evtx").write_bytes(written("a", records=100))
    (folder / "b.evtx").write_bytes(spinning)
    (folder / "long.evtx").write_bytes(long.data)
    (folder / "z.evtx").write_bytes(written("z", records=100))
    found = outcome(folder, tmp_path / "case")
    assert set(found.rows["a"]) == set(found.rows["z"]) == set(range(1, 101))
    assert set(found.rows["long"]) == set(range(1, 3201)) - long.ids(7)
    assert {name: [problem.position for problem in problems] for name, problems in found.problems.items()} == {
        "b": ["chunk 0"],
        "long": ["chunk 7"],
    }
    assert all(problem.kind == "lost" for problems in found.problems.values() for problem in problems)
    assert found.seconds < 60


# What the wheel makes too much of


def repeated(name: str, times: int, declared: int) -> Definition:
    """A template that names its one value over and over."""
    text = tuple(Substitution(0, declared) for _ in range(times))
    return Definition(name, Element("EventData", (), (Element("Data", (("Name", "TargetUserName"),), text),)))


def bomb(log: Log, chunk: int, *times: int) -> None:
    """Put a chunk into a log whose last record is 1,000 letters, times each of the numbers."""
    target = io.BytesIO()
    with EvtxWriter(target) as writer:
        value, declared = ("A" * 1000).encode("utf-16-le"), 0x01
        for number, many in enumerate(times):
            template = Template("Bomb", number, 0, "Security", (("Value", "UnicodeString"),))
            compiled = writer._compile(template)
            compiled.payload = repeated(f"bomb {number}", many, declared)
            compiled.values = [Values(lambda data: data, declared)]
            writer.write(Event(template, MONDAY, log.computer, (value,)))
            where = writer._chunk.templates.offsets[compiled.payload.guid]
            instance = struct.pack("<6sI", compiled.payload.instance, where)
            value = FRAGMENT + instance + struct.pack("<II", 1, len(value) | declared << 16) + value + END
            declared = BINXML
    log.put(log.at(chunk), target.getvalue()[HEADER : HEADER + CHUNK])


def test_templates_that_multiply_do_not_fill_memory_or_time(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    text = Log("text")  # 100 MB from one chunk: it can be made, and is refused
    bomb(text, 2, 1000, 100)
    end = Log("end")  # 10 TB: making it ends the worker, by memory or by time
    bomb(end, 2, 1000, 1000, 1000, 10)
    (folder / "text.evtx").write_bytes(text.data)
    (folder / "end.evtx").write_bytes(end.data)
    found = outcome(folder, tmp_path / "case")
    for log in (text, end):
        assert set(found.rows[log.computer]) == set(range(1, RECORDS + 1)) - log.ids(2)
        (problem,) = found.problems[log.computer]
        assert (problem.position, problem.kind) == ("chunk 2", "lost")
    assert found.problems["end"][0].records_lost == 4
    assert found.seconds < 60


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds what a process can have")
def test_a_worker_dies_rather_than_take_all_memory(tmp_path):
    log = Log("end")
    bomb(log, 0, 1000, 1000, 1000, 10)
    (tmp_path / "end.evtx").write_bytes(log.data)
    program = (
        "import sys, evtx; from logontracks import worker; worker.MAX_MEMORY = 600 << 20; worker._bound_memory();"
        "print(next(evtx.PyEvtxParser(sys.argv[1], number_of_threads=1).records_json()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "end.evtx"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode not in {0, 1}
    assert b"memory allocation" in done.stderr


# How problems are told


def test_many_problems_of_a_log_are_told_in_few_rows():
    odd = [Problem(evtx_problems.place(chunk), "lost", f"{chunk} is odd", chunk) for chunk in range(1, 4001, 2)]
    bad = [Problem(evtx_problems.place(chunk), "doubt", "bad") for chunk in range(9000, 5000, -1)]
    told = evtx_problems.condense([*bad, *odd, Problem("", "skipped", "s"), Problem("", "skipped", "s")])
    assert told[0] == Problem("", "skipped", "s")
    assert told[1] == Problem("chunk 1", "lost", "1 is odd", 1)
    assert len(told) == 1 + evtx_problems.MAX_PROBLEMS + 2
    assert sum(problem.records_lost or 0 for problem in told) == sum(range(1, 4001, 2))
    assert told[-2].position == "chunks 401 to 3999"
    assert told[-2].what == "1800 more chunks of these, such as: 401 is odd"
    assert told[-1].position == "chunks 5001 to 9000"


def test_what_is_said_of_consecutive_chunks_is_said_once():
    problems = [
        Problem(evtx_problems.place(chunk), "lost", "gone", lost)
        for chunk, lost in ((5, 7), (6, None), (8, None), (7, 3))
    ]
    assert evtx_problems.condense(problems) == [Problem("chunks 5 to 8", "lost", "gone", 10)]


# Real logs


@pytest.mark.parametrize(
    "name",
    [
        "evtx-parser-edge-cases/security.evtx",
        "evtx-parser-edge-cases/post-Security.evtx",
        "host-aptsimulator-win10/Security.evtx",
    ],
)
def test_real_logs_are_read_around_the_damage(shared_logs, tmp_path, name):
    raw = (shared_logs / name).read_bytes()
    used = [chunk for chunk in range((len(raw) - HEADER) // CHUNK) if raw[HEADER + chunk * CHUNK :][:8] == b"ElfChnk\0"]
    victim = used[len(used) // 2]
    start = HEADER + victim * CHUNK
    noise = random.Random(name).randbytes(CHUNK)
    flipped = bytearray(raw)
    for at in random.Random(name).sample(range(start, start + CHUNK), 20):
        flipped[at] ^= 0xFF
    damaged = {
        "cut": raw[: start + 20_000],
        "noise": raw[:start] + noise + raw[start + CHUNK :],
        "zero": raw[:start] + bytes(CHUNK) + raw[start + CHUNK :],
        "flipped": bytes(flipped),
    }

    def read(data: bytes, case: str) -> tuple[dict[int, set[Row]], list[Problem]]:
        folder = tmp_path / case
        folder.mkdir()
        (folder / "log.evtx").write_bytes(data)
        ingest([folder / "log.evtx"], folder / "case", jobs=1, patience=PATIENCE, tables=False)
        connection = Case(folder / "case").connect()
        rows: dict[int, set[Row]] = defaultdict(set)
        query = "SELECT position, record_id, computer, event_id, time, data FROM events"
        for position, *row in connection.sql(query).fetchall():
            rows[position >> 16].add(tuple(row))
        problems = connection.sql("SELECT position, kind, what, records_lost FROM problems").fetchall()
        return rows, [Problem(*problem) for problem in problems]

    sound, none = read(raw, "sound")
    assert not [problem for problem in none if problem.kind != "skipped"]
    for case, data in damaged.items():
        rows, problems = read(data, case)
        for chunk in used:
            if chunk < victim or (chunk > victim and case != "cut"):
                assert rows[chunk] == sound[chunk], (case, chunk)
        if sum(map(len, rows.values())) < sum(map(len, sound.values())):
            assert any(problem.kind == "lost" for problem in problems), case
        assert any(problem.position.startswith(("chunk", "chunks")) for problem in problems), case
