"""EVTX: ranges of 64 KiB chunks to envelopes, by way of the `evtx` wheel.

The wheel turns a record into JSON text, which evtx_text.py takes apart. The wheel can spin for ever on damaged bytes
and cannot be interrupted, so everything here runs in a worker process that can be killed from outside (worker.py).

A range is first read in one go with checksums on. If anything about it is not clean, what was read is thrown away and
the range is read again chunk by chunk (`read_carefully`), which finds out what can be saved (evtx_mend.py) and says
what is lost.
File format: [MS-EVEN6] 2.2 and the libevtx format documentation.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import evtx

from logontracks.sources.envelope import Problem
from logontracks.sources.evtx_mend import (
    CHUNK_MAGIC,
    CHUNK_SIZE,
    MAX_RECORDS,
    RECORD_MAGIC,
    RECORDS_START,
    checksums_match,
    header_matches,
    mend,
    records_counted,
)
from logontracks.sources.evtx_problems import place
from logontracks.sources.evtx_text import (
    MAX_CHUNK_TEXT,
    Common,
    IrrelevantError,
    NotCleanError,
    Piece,
    collect,
    sound,
)

FILE_MAGIC = b"ElfFile\x00"
HEADER_SIZE = 4096
NO_CHECKSUMS = 4  # flag of a file and of a chunk


class Layout(NamedTuple):
    """Where the chunks of a file are."""

    offset: int  # of the first chunk
    chunks: int
    dirty: bool  # the file was copied while Windows was writing it
    checksums: bool
    problem: Problem | None
    counted: int = 0  # chunks that were in use when Windows last wrote the file header; 0 where that is not known
    last_id: int = 0  # of the newest record by the file header, where that stands in the last chunk; 0: not known


def layout(path: Path) -> Layout | None:
    """The layout of an EVTX file, or None when the bytes are not one. A damaged file header loses no chunk."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER_SIZE)
        if head.startswith(CHUNK_MAGIC):
            return Layout(0, -(-size // CHUNK_SIZE), dirty=True, checksums=True, problem=None)
        chunks = max(0, -(-(size - HEADER_SIZE) // CHUNK_SIZE))
        chunk_follows = _magic(file, HEADER_SIZE) == CHUNK_MAGIC
        if not head.startswith(FILE_MAGIC) or len(head) < 128:
            problem = Problem("file header", "doubt", "the file header is damaged; the chunks behind it were read")
            if head.startswith(FILE_MAGIC):
                problem = _ends_inside_header(size)
            elif not chunk_follows:
                return None
            return Layout(HEADER_SIZE, chunks, dirty=True, checksums=True, problem=problem)
        flags = int.from_bytes(head[120:124], "little")
        dirty, checksums = bool(flags & 1), not flags & NO_CHECKSUMS
        if zlib.crc32(head[:120]) != int.from_bytes(head[124:128], "little") and checksums:
            what = "the checksum of the file header does not match; chunks were read"
            return Layout(HEADER_SIZE, chunks, dirty, checksums, Problem("file header", "doubt", what))
        first_chunk, _, next_id = struct.unpack_from("<QQQ", head, 8)
        counted = int.from_bytes(head[42:44], "little")
        last_id = 0 if dirty or first_chunk else next_id - 1
        where = Layout(HEADER_SIZE, chunks, dirty, checksums, None, counted, last_id)
        if size < HEADER_SIZE:
            where = where._replace(problem=_ends_inside_header(size))
        elif counted > chunks:
            what = f"the file ends before them: its header counts {counted} chunks, {chunks} are there"
            last = _header(file, where, chunks - 1)
            lost = last_id - last.last_id if last and last_id > last.last_id else None
            where = where._replace(problem=Problem(place(chunks, counted - 1), "lost", what, lost), last_id=0)
        return where


def _magic(file: BinaryIO, at: int) -> bytes:
    file.seek(at)
    return file.read(8)


def _ends_inside_header(size: int) -> Problem:
    return Problem("file header", "lost", f"the file ends after {size} bytes, inside its header")


def _file_header(chunks: int) -> bytes:
    """A sound file header, so that damage in the real one does not matter."""
    start = struct.pack(
        "<8sQQQIHHHH76xI", FILE_MAGIC, 0, max(chunks - 1, 0), 1, 128, 1, 3, HEADER_SIZE, chunks & 0xFFFF, 0
    )
    return (start + struct.pack("<I", zlib.crc32(start[:120]))).ljust(HEADER_SIZE, b"\0")


class _Range(io.RawIOBase):
    """A range of chunks with a file header before it, as the wheel wants it, without a copy of the range."""

    def __init__(self, file: BinaryIO, start: int, chunks: int) -> None:
        self._file = file
        self._start = start
        self._header = _file_header(chunks)
        self._size = HEADER_SIZE + chunks * CHUNK_SIZE
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._size - self._at
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        if self._at < HEADER_SIZE:
            piece = self._header[self._at : self._at + wanted]
        else:
            self._file.seek(self._start + self._at - HEADER_SIZE)
            piece = self._file.read(wanted).ljust(wanted, b"\0")  # a cut last chunk is filled up
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at


def read(common: Common, source: int, path: Path, where: Layout, first: int, count: int) -> Piece:  # noqa: PLR0917
    """Read a range of chunks in one go. Raises NotCleanError when it does not read as a clean one does.

    A log under the name that Windows gives it, which has nothing to do with logons, is left out when its first, middle
    and last chunk hold that log alone; a problem of kind `skipped` tells so. Any other file may hold several logs.
    """
    with path.open("rb", buffering=0) as file:
        try:
            limits = list(_chunk_limits(file, where, first, count))
        except OSError as error:
            raise NotCleanError(str(error)) from error
        if not limits:
            return Piece()

        def attempt(at: int, many: int, limits: list[tuple[int, int]], *, may_skip: bool = False) -> Piece:
            piece = Piece()
            chunks = _Range(file, where.offset + at * CHUNK_SIZE, many)
            try:
                parser = evtx.PyEvtxParser(chunks, number_of_threads=1, validate_checksums=True)
                found: Any = parser.records_json()
                seen = collect(common, piece, source, found, limits, may_skip=may_skip)
            except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                raise NotCleanError(str(error)) from error
            if seen != limits[-1][1]:
                raise NotCleanError(f"{seen} records instead of {limits[-1][1]}")
            return piece

        try:
            own = path.stem.replace("%4", "/").lower()
            return attempt(first, count, limits, may_skip=len(limits) > 2 and own not in common.channels)
        except IrrelevantError:
            sample = Piece()
            for index in {0, len(limits) // 2, len(limits) - 1}:
                chunk, up_to = limits[index]
                records = up_to - (limits[index - 1][1] if index else 0)
                part = attempt(chunk, 1, [(chunk, records)])
                sample.extents.add(part.extents)
            logs = {run.channel for run in sample.extents.runs}
            if {log.lower() for log in logs} != {own}:
                return attempt(first, count, limits)
            return Piece(problems=[Problem("", "skipped", f"the log {logs.pop()} has nothing to do with logons")])


def _chunk_limits(file: BinaryIO, where: Layout, first: int, count: int) -> Iterator[tuple[int, int]]:
    """(chunk, records up to its end) of each chunk in use. Raises NotCleanError on a chunk header that is none."""
    total = 0
    unused = None
    for chunk in range(first, first + count):
        file.seek(where.offset + chunk * CHUNK_SIZE)
        head = file.read(RECORDS_START + 8)
        if head[:8] != CHUNK_MAGIC:
            if head.strip(b"\0") or chunk < where.counted:
                raise NotCleanError(f"chunk {chunk} has no header")
            unused = chunk  # Windows sets space aside in advance
            continue
        if unused is not None:
            raise NotCleanError(f"chunk {unused} was overwritten")
        if len(head) < RECORDS_START:
            raise NotCleanError(f"the file ends in the header of chunk {chunk}")
        if head[120] & NO_CHECKSUMS and where.checksums:
            raise NotCleanError(f"chunk {chunk} says that it has no checksums")  # the wheel would believe it
        first_number, last_number = struct.unpack_from("<qq", head, 8)
        records = last_number - first_number + 1
        if records <= 0 and int.from_bytes(head[48:52], "little") == RECORDS_START:
            continue  # an empty chunk
        if not 0 < records <= MAX_RECORDS:
            raise NotCleanError(f"chunk {chunk} counts {records} records")
        total += records
        yield chunk, total


def read_carefully(  # noqa: PLR0917 - as `read`, which is called where it is
    common: Common, source: int, path: Path, where: Layout, first: int, count: int, at_chunk: Callable[[int], None]
) -> Piece:
    """Read chunk by chunk, save what can be saved and tell what is lost. `at_chunk` is called before each chunk."""
    piece = Piece()
    empty: list[int] = []
    with path.open("rb") as file:
        for chunk in range(first, first + count):
            at_chunk(chunk)
            problem: Problem | None
            try:
                file.seek(where.offset + chunk * CHUNK_SIZE)
                raw = file.read(CHUNK_SIZE)
                if not raw.strip(b"\0"):
                    empty.append(chunk)
                    continue
                problem = _read_chunk(common, piece, source, file, raw, chunk, where)
            except OSError as error:
                problem = Problem(place(chunk), "lost", f"it cannot be read: {error.strerror or error}")
            if problem is not None:
                piece.problems.append(problem)
            piece.problems.extend(_overwritten(file, where, each) for each in empty)
            empty.clear()
        piece.problems.extend(_overwritten(file, where, each) for each in empty if each < where.counted)
    return piece


def _overwritten(file: BinaryIO, where: Layout, chunk: int) -> Problem:
    """Windows sets space aside behind the chunks in use, never between them."""
    what = "there are only zeros where a chunk should be"
    return Problem(place(chunk), "lost", what, _records_between(file, where, chunk))


def _read_chunk(  # noqa: PLR0917 - as above
    common: Common, piece: Piece, source: int, file: BinaryIO, raw: bytes, chunk: int, where: Layout
) -> Problem | None:
    at = place(chunk)
    missing = CHUNK_SIZE - len(raw)
    short = f"; the file ends {missing} bytes early" if missing else ""
    mended = mend(raw, trust=not where.checksums)
    if mended is None:
        what = "there is no chunk header where a chunk should start"
        if raw[:8] == CHUNK_MAGIC:
            what = "its header is damaged, and no record was found in it"
        return Problem(at, "lost", what + short, _records_between(file, where, chunk))
    records: list[dict[str, Any]] = []
    errors: list[str] = []
    room = MAX_CHUNK_TEXT
    try:
        parser = evtx.PyEvtxParser(io.BytesIO(_file_header(1) + mended.chunk), number_of_threads=1)
        found: Any = parser.records_json()
        for _ in range(2 * MAX_RECORDS):
            try:
                record = next(found)
            except StopIteration:
                break
            except RuntimeError as error:
                errors.append(_first_line(error))
                continue
            room -= len(record["data"])
            if room < 0:
                errors.append(f"from record {record['event_record_id']} on they are larger than a chunk can hold")
                break
            wrong = sound(common, record)
            if wrong is None:
                records.append(record)
            else:
                errors.append(wrong)
    except (RuntimeError, OSError) as error:
        errors.append(_first_line(error))
    if records:
        collect(common, piece, source, iter(records), [(chunk, len(records))])
    lost = max(mended.present - len(records), 0)
    if lost or errors:
        cause = f" ({errors[0]})" if errors else ""
        many = f"{lost} of {mended.present} records" if lost else "some records"
        return Problem(at, "lost", f"{many} cannot be read{cause}{short}", lost or None)
    if missing and not mended.told:
        return Problem(at, "lost", f"the file ends {missing} bytes early, inside this chunk")
    if where.checksums and not checksums_match(mended.original) and not _being_written(file, where, chunk):
        return Problem(at, "doubt", "the checksum does not match: records were read, and may have been altered")
    if mended.told and mended.told != len(records):
        what = f"its header counts {mended.told} records, {len(records)} were found and read"
        return Problem(at, "doubt", what)
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


class _Header(NamedTuple):
    """What a chunk header tells."""

    first_number: int
    last_number: int
    first_id: int
    last_id: int


def _header(file: BinaryIO, where: Layout, chunk: int) -> _Header | None:
    """The header of a chunk, when it has one that can be believed and records."""
    if not 0 <= chunk < where.chunks:
        return None
    file.seek(where.offset + chunk * CHUNK_SIZE)
    head = file.read(RECORDS_START)
    if len(head) < RECORDS_START or head[:8] != CHUNK_MAGIC or (where.checksums and not header_matches(head)):
        return None
    return _Header(*struct.unpack_from("<qqqq", head, 8)) if records_counted(head) else None


def records_told(path: Path, chunk: int) -> int | None:
    """How many records a chunk has by its header, without looking at them; None where that cannot be believed."""
    try:
        where = layout(path)
        with path.open("rb") as file:
            head = _header(file, where, chunk) if where else None
    except OSError:
        return None
    return head and head.last_number - head.first_number + 1


def _records_between(file: BinaryIO, where: Layout, chunk: int) -> int | None:
    """How many records the chunks held that have no header from here on, by the numbers of those around them.

    It is told with the first of them; None with the others, and where the numbers do not tell.
    """
    before = _header(file, where, chunk - 1)
    if before is None:
        return None
    behind = chunk + 1
    while behind < where.chunks and not _in_use(file, where, behind):
        behind += 1
    following = _header(file, where, behind)
    lost = 0
    if following is not None:
        lost = following.first_number - before.last_number - 1
    elif behind >= where.chunks:
        lost = where.last_id - before.last_id
    return lost if 0 < lost <= MAX_RECORDS * (behind - chunk) else None


def _in_use(file: BinaryIO, where: Layout, chunk: int) -> bool:
    """Whether there is a chunk, even if its header is damaged."""
    at = where.offset + chunk * CHUNK_SIZE
    return _magic(file, at) == CHUNK_MAGIC or _magic(file, at + RECORDS_START)[:4] == RECORD_MAGIC


def _being_written(file: BinaryIO, where: Layout, chunk: int) -> bool:
    """Whether Windows was writing to this chunk when the file was copied: the newest of a log that was not closed."""
    if not where.dirty:
        return False
    if chunk + 1 >= where.chunks or not _magic(file, where.offset + (chunk + 1) * CHUNK_SIZE).strip(b"\0"):
        return True
    own, following = _header(file, where, chunk), _header(file, where, chunk + 1)
    # in a log that goes round, the oldest follows the newest
    return own is not None and following is not None and following.first_number < own.first_number
