"""Damages EVTX files in many ways and reads them as the program does, with real worker processes.

Run it:  python tests/fuzz/fuzz_evtx.py --count 10000 --seed 1
What fails is told as SEED:NUMBER; `--only SEED:NUMBER` runs that one again, and REGRESSIONS in test_fuzz_short.py
keeps it.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from logontracks.errors import SourceError
from logontracks.normalize import STAGED
from logontracks.pipeline import ingest
from logontracks.pool import Result, read_all
from logontracks.simulate.evtx_writer import Event, EvtxWriter, Template
from logontracks.sources import Source, evtx, evtx_mend, find, pieces

SHARED = Path(__file__).parents[3] / "shared" / "logs"
HEADER, CHUNK = evtx.HEADER_SIZE, evtx.CHUNK_SIZE
FILES_A_TASK = 40
PATIENCE = 0.2  # a range of a file may take 1.6 s then, a chunk of a damaged one 1 s
INTERESTING = (0, 1, 2, 3, 7, 24, 27, 28, 0x7F, 0x80, 0xFF, 0x200, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
Row = tuple[Any, ...]
COLUMNS = ["source", "position", "record_id", "event_id", "time", "time_100ns", "computer", "channel", "data"]


# --- sound files ----------------------------------------------------------------------------------------------------

AUDITING = "Microsoft-Windows-Security-Auditing"
GUID = "54849625-5478-4994-a5ba-3e3b0328c30d"
SID = "S-1-5-21-4230534742-2542757381-3142984815-1109"
LOGON = Template(
    AUDITING,
    4624,
    2,
    "Security",
    (
        ("SubjectUserSid", "SID"),
        ("SubjectUserName", "UnicodeString"),
        ("TargetUserSid", "SID"),
        ("TargetUserName", "UnicodeString"),
        ("TargetDomainName", "UnicodeString"),
        ("TargetLogonId", "HexInt64"),
        ("LogonType", "UInt32"),
        ("WorkstationName", "UnicodeString"),
        ("LogonGuid", "GUID"),
        ("ProcessId", "Pointer"),
        ("IpAddress", "UnicodeString"),
        ("IpPort", "UnicodeString"),
    ),
    GUID,
    task=12544,
)
LOGOFF = Template(
    AUDITING,
    4634,
    0,
    "Security",
    (
        ("TargetUserSid", "SID"),
        ("TargetUserName", "UnicodeString"),
        ("TargetLogonId", "HexInt64"),
        ("LogonType", "UInt32"),
    ),
    GUID,
    task=12545,
)
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
PROCESS = Template(
    AUDITING,
    4688,
    2,
    "Security",
    (
        ("SubjectUserSid", "SID"),
        ("SubjectLogonId", "HexInt64"),
        ("NewProcessName", "UnicodeString"),
        ("CommandLine", "UnicodeString"),
    ),
    GUID,
    task=13312,
)
CLASSIC = Template("Classic", 7, 0, "Application", (("", "UnicodeString"), ("", "UnicodeString")), qualifiers=16384)
MONDAY = 134_040_960_000_000_000  # FILETIME of a day in October 2025


def events(count: int, *, computer: str = "WKS-101.corp.example", seed: int = 1) -> Iterator[Event]:
    """A plain log: logons, processes, logoffs, now and then a clear."""
    rng = random.Random(seed)
    for number in range(count):
        logon_id = 0x10000 + number // 3 * 7
        user = f"user{rng.randrange(40)}"
        moment = MONDAY + number * 12_345_678
        if number % 97 == 50:
            yield Event(CLEARED, moment, computer, (SID, user, logon_id))
        elif number % 3 == 0:
            values = (
                SID,
                "WKS-101$",
                SID,
                user,
                "CORP",
                logon_id,
                3,
                "WKS-7",
                None,
                4,
                f"10.0.{number % 250}.9",
                "50123",
            )
            yield Event(LOGON, moment, computer, values, activity_id="{6a3b1b52-0c7f-4b3e-9f41-2d2f0d7a1c11}")
        elif number % 3 == 1:
            command = f"cmd.exe /c echo {rng.randbytes(rng.randrange(120)).hex()} <b>&\"'"
            yield Event(PROCESS, moment, computer, (SID, logon_id, r"C:\Windows\System32\cmd.exe", command))
        else:
            yield Event(LOGOFF, moment, computer, (SID, user, logon_id, 3))


def written(
    count: int, *, computer: str = "WKS-101.corp.example", seed: int = 1, first: int = 1, dirty: bool = False
) -> bytes:
    target = io.BytesIO()
    with EvtxWriter(target, first_record_id=first, dirty=dirty) as writer:
        for event in events(count, computer=computer, seed=seed):
            writer.write(event)
    return target.getvalue()


def other_log() -> bytes:
    """A log that has nothing to do with logons."""
    target = io.BytesIO()
    with EvtxWriter(target) as writer:
        for number in range(300):
            writer.write(Event(CLASSIC, MONDAY + number * 10_000_000, "WKS-9", ("text " * (number % 50), str(number))))
    return target.getvalue()


@cache
def own_files() -> tuple[bytes, ...]:
    return (
        written(40),
        written(700),
        written(700, seed=2, computer="DC01", first=5000, dirty=True),
        written(2000, seed=3, first=1 << 40),
        other_log(),
    )


@cache
def shared_files() -> tuple[bytes, ...]:
    """Small real logs; none where there are none."""
    paths = sorted(path for path in SHARED.rglob("*.evtx") if path.stat().st_size <= 1_200_000)
    return tuple(path.read_bytes() for path in paths if "damaged" not in path.parts)


# --- damage ---------------------------------------------------------------------------------------------------------


class Variant(NamedTuple):
    name: str
    what: str  # the ways in which it was damaged
    data: bytes
    forged: bool  # checksums were made to match afterwards


def variant(seed: int, number: int) -> Variant:
    """The same file for the same numbers. Where there are no real logs it is made of one of our own instead."""
    rng = random.Random(f"{seed}:{number}")
    pool = own_files() if rng.random() < 0.7 else shared_files() or own_files()
    data = bytearray(rng.choice(pool))
    ways = [rng.choice(WAYS) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    for way in ways:
        way(rng, data)
    forged = rng.random() < 0.3
    if forged:
        _make_checksums_match(data)
    return Variant(f"{seed}:{number}", ", ".join(way.__name__[1:] for way in ways), bytes(data), forged)


def _chunk(rng: random.Random, data: bytearray) -> int:
    """Offset of some chunk."""
    chunks = max(1, -(-(len(data) - HEADER) // CHUNK))
    return HEADER + rng.randrange(chunks) * CHUNK


def _records_of(data: bytearray, at: int) -> list[tuple[int, int]]:
    found = []
    position = at + 512
    while data[position : position + 4] == b"**\0\0":
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        if size < 28 or position + size > min(at + CHUNK, len(data)):
            break
        found.append((position, size))
        position += size
    return found


def _put(rng: random.Random, data: bytearray, at: int, size: int | None = None) -> None:
    """An interesting value."""
    size = size or rng.choice((1, 2, 4, 8))
    value = rng.choice((*INTERESTING, rng.randrange(CHUNK), rng.getrandbits(64))) & ((1 << 8 * size) - 1)
    if at >= 0 and at + size <= len(data):
        data[at : at + size] = value.to_bytes(size, "little")


def _flip(rng: random.Random, data: bytearray) -> None:
    at = _chunk(rng, data)
    end = min(at + CHUNK, len(data))
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        if at < end:
            data[rng.randrange(at, end)] ^= 1 << rng.randrange(8)


def _flip_in_use(rng: random.Random, data: bytearray) -> None:
    if records := _records_of(data, _chunk(rng, data)):
        for _ in range(rng.choice((1, 1, 2, 5))):
            at, size = rng.choice(records)
            data[at + rng.randrange(size)] ^= 1 << rng.randrange(8)


def _definitions(rng: random.Random, data: bytearray) -> None:
    """The first records of a chunk hold its templates and names."""
    if records := _records_of(data, _chunk(rng, data)):
        at, size = records[min(rng.choice((0, 0, 1, 2)), len(records) - 1)]
        for _ in range(rng.choice((1, 1, 2, 4))):
            _put(rng, data, at + rng.randrange(24, size))


def _record_header(rng: random.Random, data: bytearray) -> None:
    if records := _records_of(data, _chunk(rng, data)):
        at, size = rng.choice(records)
        offset, width = rng.choice(((0, 4), (4, 4), (8, 8), (16, 8), (size - 4, 4), (24, 4), (28, 4), (34, 4)))
        _put(rng, data, at + offset, width)


def _values(rng: random.Random, data: bytearray) -> None:
    """Sizes and types of values, and the values."""
    if records := _records_of(data, _chunk(rng, data)):
        at, size = rng.choice(records)
        for _ in range(rng.choice((1, 2, 3))):
            _put(rng, data, at + rng.randrange(24, max(25, size)), rng.choice((1, 2, 4)))


def _chunk_header(rng: random.Random, data: bytearray) -> None:
    at = _chunk(rng, data)
    for _ in range(rng.choice((1, 1, 2))):
        offset, width = rng.choice(
            ((0, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 4), (52, 4), (120, 4))
        )
        _put(rng, data, at + offset, width)


def _tables(rng: random.Random, data: bytearray) -> None:
    at = _chunk(rng, data)
    for _ in range(rng.choice((1, 1, 3))):
        _put(rng, data, at + 128 + 4 * rng.randrange(96), 4)


def _file_header(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 3))):
        _put(rng, data, rng.randrange(128))


def _truncate(rng: random.Random, data: bytearray) -> None:
    at = rng.choice(
        (
            rng.randrange(len(data) + 1),
            rng.randrange(HEADER + 1),
            _chunk(rng, data),
            _chunk(rng, data) + rng.randrange(600),
        )
    )
    del data[at:]


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.choice((1, 8, 512, 4096, CHUNK)))


def _remove(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    del data[at : at + rng.choice((1, 8, 512, 4096, CHUNK))]


def _fill(rng: random.Random, data: bytearray) -> None:
    """Zeros, noise, text or bytes from elsewhere over some range."""
    at = rng.randrange(len(data) + 1)
    size = min(rng.choice((8, 64, 512, 4096, CHUNK)), len(data) - at)
    elsewhere = rng.randrange(len(data) - size + 1)
    fills = (
        bytes(size),
        rng.randbytes(size),
        b"\xff" * size,
        (b"abc " * size)[:size],
        data[elsewhere : elsewhere + size],
    )
    data[at : at + size] = rng.choice(fills)


def _chunks(rng: random.Random, data: bytearray) -> None:
    """Whole chunks: swapped, doubled, from another file, zeros, noise, appended."""
    one, two = _chunk(rng, data), _chunk(rng, data)
    first, second = data[one : one + CHUNK], data[two : two + CHUNK]
    if len(first) != CHUNK or len(second) != CHUNK:
        return
    foreign = rng.choice(own_files())
    match rng.randrange(6):
        case 0:
            data[one : one + CHUNK], data[two : two + CHUNK] = second, first
        case 1:
            data[one : one + CHUNK] = second
        case 2:
            data[one : one + CHUNK] = foreign[HEADER : HEADER + CHUNK]
        case 3:
            data[one : one + CHUNK] = bytes(CHUNK)
        case 4:
            data[one : one + CHUNK] = rng.randbytes(CHUNK)
        case _:
            data += rng.choice((second, rng.randbytes(rng.randrange(1, 2 * CHUNK)), bytes(3 * CHUNK)))


Way = Callable[[random.Random, bytearray], None]
WAYS: tuple[Way, ...] = (
    _flip,
    _flip_in_use,
    _definitions,
    _definitions,
    _record_header,
    _values,
    _values,
    _chunk_header,
    _tables,
    _file_header,
    _truncate,
    _insert,
    _remove,
    _fill,
    _chunks,
)


def _make_checksums_match(data: bytearray) -> None:
    if len(data) >= 128:
        data[124:128] = zlib.crc32(data[:120]).to_bytes(4, "little")
    for at in range(HEADER, len(data) - CHUNK + 1, CHUNK):
        chunk = data[at : at + CHUNK]
        if chunk[:8] == evtx_mend.CHUNK_MAGIC:
            end = int.from_bytes(chunk[48:52], "little")
            struct.pack_into("<I", chunk, 52, zlib.crc32(chunk[512:end]))
            struct.pack_into("<I", chunk, 124, zlib.crc32(chunk[128:512], zlib.crc32(chunk[:120])))
            data[at : at + CHUNK] = chunk


# --- what must hold -------------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    sources: dict[str, Source]  # by name of the file
    result: Result
    rows: dict[tuple[int, int], list[Row]]  # (source, chunk) -> what was kept of it
    seconds: float


def read(folder: Path, staging: Path, jobs: int) -> Reading:
    """All files of a folder, many of them in a task, as pipeline.ingest reads them."""
    staging.mkdir()
    found = list(find([folder]))
    sources = {Path(each.name).name: each for each in found if isinstance(each, Source)}
    ranges = [part for source in sources.values() for part in pieces(source)]
    tasks = [ranges[at : at + FILES_A_TASK] for at in range(0, len(ranges), FILES_A_TASK)]
    begun = time.monotonic()
    result = read_all(tasks, staging=staging, jobs=jobs, patience=PATIENCE) if tasks else Result()
    seconds = time.monotonic() - begun
    rows: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for task in result.tasks:
        for path in (staging / f"events-{task}.arrow", *staging.glob(f"events-{task}.*.arrow")):
            if path.exists():
                table = pa.ipc.open_file(path).read_all()
                table.validate(full=True)
                assert set(table.column_names) <= set(STAGED.names)
                values = [table[n].to_pylist() if n in table.column_names else [None] * len(table) for n in COLUMNS]
                for row in zip(*values, strict=True):
                    rows[row[0], row[1] >> 16].append(row[1:])
    for kept in rows.values():
        kept.sort(key=lambda row: row[0])
    return Reading(sources, result, rows, seconds)


@cache
def expected(jobs: int) -> dict[bytes, list[Row]]:
    """What each chunk of the sound files gives, without its place in the file."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "sound"
        folder.mkdir()
        for number, data in enumerate([*own_files(), *shared_files()]):
            (folder / f"{number}.evtx").write_bytes(data)
        reading = read(folder, Path(temporary) / "staging", jobs)
        given = {}
        for source in reading.sources.values():
            if reading.result.problems.get(source.number):
                continue
            for chunk, data in chunks_of(source):
                given[data] = places_off(reading.rows.get((source.number, chunk), []))
    return given


def chunks_of(source: Source) -> Iterator[tuple[int, bytes]]:
    where = source.layout
    assert where is not None
    data = source.path.read_bytes()
    for chunk in range(where.chunks):
        yield chunk, data[where.offset + chunk * CHUNK : where.offset + (chunk + 1) * CHUNK]


def places_off(rows: Iterable[Row]) -> list[Row]:
    """Rows with the number in the chunk in place of the position in the file."""
    return [(row[0] & 0xFFFF, *row[1:]) for row in rows]


def failures(reading: Reading, variants: Sequence[Variant], given: dict[bytes, list[Row]]) -> list[str]:
    """What is wrong: sound chunks that are not complete, and changes of which no problem tells."""
    wrong = []
    for each in variants:
        source = reading.sources.get(file_name(each))
        if source is None:
            if each.data[:8] == evtx.FILE_MAGIC or evtx_mend.CHUNK_MAGIC in (
                each.data[:8],
                each.data[HEADER : HEADER + 8],
            ):
                wrong.append(f"{each.name} ({each.what}): it was not read at all")
            continue
        problems = reading.result.problems.get(source.number, [])
        if any(problem.kind == "skipped" for problem in problems):
            continue
        kept = 0
        for chunk, data in chunks_of(source):
            rows = places_off(reading.rows.get((source.number, chunk), []))
            kept += len(rows)
            if data in given and rows != given[data]:
                rows_of = f"{len(rows)} of {len(given[data])} rows"
                wrong.append(f"{each.name} ({each.what}): chunk {chunk} is sound: {rows_of}; {problems}")
        if kept > reading.result.records.get(source.number, 0):
            wrong.append(
                f"{each.name} ({each.what}): {kept} rows of {reading.result.records.get(source.number)} records"
            )
        if (
            not each.forged
            and not source_is_whole(source, given)
            and not problems
            and source.layout
            and not source.layout.problem
        ):
            wrong.append(f"{each.name} ({each.what}): no problem tells of the damage")
    return wrong


def source_is_whole(source: Source, given: dict[bytes, list[Row]]) -> bool:
    """Whether every chunk is one of a sound file, or one whose checksums match, or need not."""
    where = source.layout
    assert where is not None
    for _, data in chunks_of(source):
        full = data.ljust(CHUNK, b"\0")
        if (
            data.strip(b"\0")
            and data not in given
            and not evtx_mend.checksums_match(full)
            and not where.dirty
            and where.checksums
        ):
            return False
    return True


def file_name(each: Variant) -> str:
    return each.name.replace(":", "-") + ".evtx"


def run(variants: Sequence[Variant], *, jobs: int, whole: int) -> tuple[list[str], Reading]:
    """Read the variants together. Of so many of them a case is made as well."""
    given = expected(jobs)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "damaged"
        folder.mkdir()
        for each in variants:
            (folder / file_name(each)).write_bytes(each.data)
        reading = read(folder, Path(temporary) / "staging", jobs)
        wrong = failures(reading, variants, given)
        if whole:
            some = [folder / file_name(each) for each in variants[:whole]]
            with suppress(SourceError):  # not one of them may be left that is a log
                ingest(some, Path(temporary) / "case", jobs=jobs, patience=PATIENCE)
    return wrong, reading


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0, help="stop after so long; 0: when all are done")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--only", metavar="SEED:NUMBER")
    options = parser.parse_args()
    if options.only:
        seed, number = map(int, options.only.split(":"))
        each = variant(seed, number)
        wrong, reading = run([each], jobs=1, whole=1)
        print(each.what, "forged" if each.forged else "", *wrong, *reading.result.problems.get(0, []), sep="\n  ")
        return bool(wrong)
    begun = time.monotonic()
    told: Counter[str] = Counter()
    bad: list[str] = []
    done = 0
    while done < options.count and (not options.minutes or time.monotonic() - begun < 60 * options.minutes):
        numbers = range(done, min(done + options.batch, options.count))
        variants = [variant(options.seed, number) for number in numbers]
        wrong, reading = run(variants, jobs=options.jobs, whole=40)
        bad += wrong
        done = numbers.stop
        problems = [problem for found in reading.result.problems.values() for problem in found]
        told.update(problem.kind for problem in problems)
        told["chunks that ended a worker"] += sum(
            problem.what.startswith("reading it did not end") for problem in problems
        )
        print(
            f"{done:>6} in {time.monotonic() - begun:.0f} s, last {reading.seconds:.0f} s, {len(bad)} wrong",
            *wrong,
            sep="\n   ",
        )
        sys.stdout.flush()
    print(f"{done} variants in {time.monotonic() - begun:.0f} s: {len(bad)} wrong; told: {dict(told)}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
