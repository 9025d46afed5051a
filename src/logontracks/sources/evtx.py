"""EVTX: ranges of 64 KiB chunks to envelopes, by way of the `evtx` wheel.

The wheel turns a record into JSON text, which evtx_text.py takes apart. The wheel can spin for ever on damaged bytes and cannot be interrupted, so everything here
runs in a worker process that can be killed from outside (worker.py).

A range is first read in one go with checksums on. If anything about it is not clean, what was read is thrown away and
the range is read again chunk by chunk (`read_carefully`), which finds out what can be saved and says what is lost.
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
from logontracks.sources.evtx_text import Common, IrrelevantError, NotCleanError, Piece, collect, sound

FILE_MAGIC = b"ElfFile\x00"
CHUNK_MAGIC = b"ElfChnk\x00"
RECORD_MAGIC = b"**\x00\x00"
HEADER_SIZE = 4096
CHUNK_SIZE = 65536
MAX_RECORDS = (CHUNK_SIZE - 512) // 24  # more records than that do not fit into a chunk


class Layout(NamedTuple):
    """Where the chunks of a file are."""

    offset: int  # of the first chunk
    chunks: int
    dirty: bool  # the file was copied while Windows was writing it
    checksums: bool
    problem: Problem | None


def layout(path: Path) -> Layout | None:
    """The layout of an EVTX file, or None when the bytes are not one. A damaged file header loses no chunk."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER_SIZE)
        if head.startswith(CHUNK_MAGIC):
            return Layout(0, -(-size // CHUNK_SIZE), dirty=True, checksums=True, problem=None)
        file.seek(HEADER_SIZE)
        chunk_follows = file.read(8) == CHUNK_MAGIC
    chunks = max(0, -(-(size - HEADER_SIZE) // CHUNK_SIZE))
    if head.startswith(FILE_MAGIC) and len(head) >= 128:
        flags = int.from_bytes(head[120:124], "little")
        sound = zlib.crc32(head[:120]) == int.from_bytes(head[124:128], "little") or flags & 4
        problem = None
        if not sound:
            problem = Problem(
                "file header", "doubt", "the checksum of the file header does not match; chunks were read"
            )
        return Layout(HEADER_SIZE, chunks, dirty=bool(flags & 1), checksums=not flags & 4, problem=problem)
    if chunk_follows:
        problem = Problem("file header", "doubt", "the file header is damaged; the chunks behind it were read")
        return Layout(HEADER_SIZE, chunks, dirty=True, checksums=True, problem=problem)
    if head.startswith(FILE_MAGIC):
        problem = Problem("file header", "lost", f"the file ends after {size} bytes, inside its header")
        return Layout(HEADER_SIZE, 0, dirty=False, checksums=True, problem=problem)
    return None


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


def read(common: Common, source: int, path: Path, where: Layout, first: int, count: int) -> Piece:
    """Read a range of chunks in one go. Raises NotCleanError when it does not read as a clean one does.

    A range of a log that has nothing to do with logons is left out, which a problem of kind `skipped` tells; its
    first, middle and last chunk are looked at before.
    """
    with path.open("rb", buffering=0) as file:
        limits = list(_chunk_limits(file, where.offset, first, count))
        if not limits:
            return Piece()

        def attempt(at: int, many: int, limits: list[tuple[int, int]], *, may_skip: bool = False) -> Piece:
            piece = Piece()
            chunks = _Range(file, where.offset + at * CHUNK_SIZE, many)
            try:
                parser = evtx.PyEvtxParser(chunks, number_of_threads=1, validate_checksums=True)
                seen = collect(common, piece, source, parser.records_json(), limits, may_skip=may_skip)
            except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                raise NotCleanError(str(error)) from error
            if seen != limits[-1][1]:
                raise NotCleanError(f"{seen} records instead of {limits[-1][1]}")
            return piece

        try:
            return attempt(first, count, limits, may_skip=len(limits) > 2)
        except IrrelevantError:
            sample = Piece()
            for index in {0, len(limits) // 2, len(limits) - 1}:
                chunk, up_to = limits[index]
                records = up_to - (limits[index - 1][1] if index else 0)
                part = attempt(chunk, 1, [(chunk, records)])
                sample.extents.add(part.extents)
            logs = {run.channel for run in sample.extents.runs}
            if any(log.lower() in common.channels for log in logs):
                return attempt(first, count, limits)
            names = ", ".join(sorted(logs))
            return Piece(problems=[Problem("", "skipped", f"the log {names} has nothing to do with logons")])


def _chunk_limits(file: BinaryIO, offset: int, first: int, count: int) -> Iterator[tuple[int, int]]:
    """(chunk, records up to its end) of each chunk in use. Raises NotCleanError on a chunk header that is none."""
    total = 0
    for chunk in range(first, first + count):
        file.seek(offset + chunk * CHUNK_SIZE)
        head = file.read(52)
        if head[:8] != CHUNK_MAGIC:
            if head.strip(b"\0"):
                raise NotCleanError(f"chunk {chunk} has no header")
            continue  # Windows sets space aside in advance
        first_number, last_number = struct.unpack_from("<qq", head, 8)
        records = last_number - first_number + 1
        if records <= 0 and int.from_bytes(head[48:52], "little") == 512:
            continue  # an empty chunk
        if not 0 < records <= MAX_RECORDS:
            raise NotCleanError(f"chunk {chunk} counts {records} records")
        total += records
        yield chunk, total


def read_carefully(
    common: Common, source: int, path: Path, where: Layout, first: int, count: int, at_chunk: Callable[[int], None]
) -> Piece:
    """Read chunk by chunk, save what can be saved and tell what is lost. `at_chunk` is called before each chunk."""
    piece = Piece()
    with path.open("rb") as file:
        for chunk in range(first, first + count):
            file.seek(where.offset + chunk * CHUNK_SIZE)
            raw = file.read(CHUNK_SIZE)
            if raw.strip(b"\0"):
                at_chunk(chunk)
                problem = _read_chunk(common, piece, source, raw, chunk, where)
                if problem is not None:
                    piece.problems.append(problem)
    return piece


def _read_chunk(common: Common, piece: Piece, source: int, raw: bytes, chunk: int, where: Layout) -> Problem | None:
    place = f"chunk {chunk}"
    if raw[:8] != CHUNK_MAGIC:
        return Problem(place, "lost", "there is no chunk header where a chunk should start")
    whole = raw.ljust(CHUNK_SIZE, b"\0")
    present = _records_told(whole)
    records: list[dict[str, Any]] = []
    errors: list[str] = []
    try:
        parser = evtx.PyEvtxParser(io.BytesIO(_file_header(1) + whole), number_of_threads=1).records_json()
        for _ in range(2 * MAX_RECORDS):
            try:
                record = next(parser)
            except StopIteration:
                break
            except RuntimeError as error:
                errors.append(_first_line(error))
                continue
            wrong = sound(common, record)
            if wrong is None:
                records.append(record)
            else:
                errors.append(wrong)
    except (RuntimeError, OSError) as error:
        errors.append(_first_line(error))
    if records:
        collect(common, piece, source, iter(records), [(chunk, len(records))])
    lost = max(present - len(records), 0)
    missing = CHUNK_SIZE - len(raw)
    if lost or errors:
        cause = f" ({errors[0]})" if errors else ""
        short = f"; the file ends {missing} bytes early" if missing else ""
        many = f"{lost} of {present} records" if lost else "some records"
        return Problem(place, "lost", f"{many} cannot be read{cause}{short}", lost or None)
    if missing:
        return Problem(place, "lost", f"the file ends {missing} bytes early, inside this chunk")
    if where.checksums and not _checksums_match(whole) and not (where.dirty and chunk == where.chunks - 1):
        return Problem(place, "doubt", "the checksum does not match: records were read, and may have been altered")
    return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _records_told(chunk: bytes) -> int:
    """How many records a chunk should have: what its record headers tell, or its own header if that is more."""
    found = 0
    at = 512
    end = min(int.from_bytes(chunk[48:52], "little") or CHUNK_SIZE, CHUNK_SIZE)
    while at + 24 <= end and chunk[at : at + 4] == RECORD_MAGIC:
        size = int.from_bytes(chunk[at + 4 : at + 8], "little")
        if size < 24:
            break
        found += 1
        at += size
    first_number, last_number = struct.unpack_from("<qq", chunk, 8)
    told = last_number - first_number + 1
    return max(found, told) if at < end and told <= MAX_RECORDS else found


def _checksums_match(chunk: bytes) -> bool:
    end = int.from_bytes(chunk[48:52], "little")
    header, events = (int.from_bytes(chunk[at : at + 4], "little") for at in (124, 52))
    return zlib.crc32(chunk[128:512], zlib.crc32(chunk[:120])) == header and zlib.crc32(chunk[512:end]) == events
