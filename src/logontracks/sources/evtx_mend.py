"""A damaged EVTX chunk put in order, so that the `evtx` wheel reaches every record that is still there.

The wheel stops at the first record header that is wrong, and its look-ups can be led in circles by the tables of a
chunk, which it can do without. What a chunk is made of: [MS-EVEN6] 2.2 and the libevtx format documentation.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

CHUNK_MAGIC = b"ElfChnk\x00"
RECORD_MAGIC = b"**\x00\x00"
CHUNK_SIZE = 65536
RECORDS_START = 512  # in a chunk
MIN_RECORD = 28  # bytes: a record header and the size once more
MAX_RECORDS = (CHUNK_SIZE - RECORDS_START) // MIN_RECORD  # more records than that do not fit into a chunk
MAX_TICKS = 2650467743999999999  # FILETIME of the end of the year 9999; the wheel stops at a header that is beyond it


class Mended(NamedTuple):
    original: bytes  # filled up with zeros where the file ends early
    chunk: bytes  # what the wheel gets
    present: int  # records that it should have
    told: int  # the same by its own header and what follows its end; 0 where that cannot be believed


def mend(raw: bytes, *, trust: bool) -> Mended | None:
    """Put the headers of a chunk and of its records in order, so that the wheel reaches every record.

    None when there is no chunk: neither a header that can be believed nor a record.

    What is between two records that are sound becomes one record, whatever it is: the wheel reads it, or says why not
    and goes on. `trust`: the log has no checksums. Where the header of the chunk can be believed, records behind the
    end that it tells count when their ids go on: Windows may not have written the header again. Where it cannot, all
    records count, which may bring back some of an older use of the chunk.
    """
    chunk = bytearray(raw.ljust(CHUNK_SIZE, b"\0"))
    original = bytes(chunk)
    sound_header = header_matches(chunk) or (trust and chunk[:8] == CHUNK_MAGIC)
    told = records_counted(chunk) if sound_header else 0
    free = int.from_bytes(chunk[48:52], "little")
    believed = RECORDS_START <= free <= CHUNK_SIZE and (sound_header or _events_match(original))
    end = min(free if believed else -(-len(chunk.rstrip(b"\0")) // 8) * 8, len(raw))
    records = _records(chunk, end)
    if not believed:
        if not any(record.sound for record in records):
            return None
        until = next((index for index, record in enumerate(records) if record.sound and record.end == free), None)
        records = records[: until + 1] if until is not None else records  # the records confirm the end it tells
    while believed and records and (size := _size(chunk, records[-1].end, CHUNK_SIZE)):
        at = records[-1].end
        record_id = int.from_bytes(chunk[at + 8 : at + 16], "little")
        if record_id != records[-1].record_id + 1:
            break
        records.append(_Record(at, at + size, record_id, sound=True))
        told += told > 0
    present = max(told, _present(records))
    if records and not records[-1].sound and records[-1].end == len(raw) < CHUNK_SIZE:
        records.pop()  # the file ends in it; the wheel would read zeros as its values
    for record in records:
        _mend_record(chunk, record)
    last = records[-1] if records else _Record(0, RECORDS_START, 0, sound=False)
    no_id = min(set(range(len(records) + 1)) - {record.record_id for record in records})
    # the wheel stops at the record that has the id of the last one
    struct.pack_into("<8s4qIII", chunk, 0, CHUNK_MAGIC, 0, no_id, 0, no_id, 128, last.at, last.end)
    chunk[128:RECORDS_START] = bytes(RECORDS_START - 128)  # the wheel finds names and templates without the tables
    return Mended(original, bytes(chunk), present, told)


class _Record(NamedTuple):
    """A record of a chunk. Not sound: what lies there is perhaps one, or several."""

    at: int
    end: int
    record_id: int
    sound: bool


def _records(chunk: bytearray, end: int) -> list[_Record]:
    """All up to `end`, one behind the other."""
    found: list[_Record] = []
    at = RECORDS_START
    while at + MIN_RECORD <= end:
        size = _size(chunk, at, end)
        sound = size > 0
        if not sound:
            size = _own_size(chunk, at, end) or _next_sound(chunk, at + MIN_RECORD, end) - at
        found.append(_Record(at, at + size, int.from_bytes(chunk[at + 8 : at + 16], "little"), sound))
        at += size
    return found


def _size(chunk: bytearray, at: int, end: int) -> int:
    """Size of the record that starts there, 0 when none does."""
    return _own_size(chunk, at, end) if chunk[at : at + 4] == RECORD_MAGIC else 0


def _own_size(chunk: bytearray, at: int, end: int) -> int:
    """The size that stands at the start and the end of what starts there; 0 when it does not."""
    size = int.from_bytes(chunk[at + 4 : at + 8], "little")
    fits = MIN_RECORD <= size <= end - at
    return size if fits and chunk[at + size - 4 : at + size] == chunk[at + 4 : at + 8] else 0


def _next_sound(chunk: bytearray, start: int, end: int) -> int:
    at = chunk.find(RECORD_MAGIC, start, end)
    while at >= 0:
        if _own_size(chunk, at, end):
            return at
        at = chunk.find(RECORD_MAGIC, at + 1, end)
    return end


def _mend_record(chunk: bytearray, record: _Record) -> None:
    at, end, _, sound = record
    if not sound:
        struct.pack_into("<4sI", chunk, at, RECORD_MAGIC, end - at)
        struct.pack_into("<I", chunk, end - 4, end - at)
    if int.from_bytes(chunk[at + 16 : at + 24], "little") > MAX_TICKS:
        chunk[at + 16 : at + 24] = bytes(8)


def _present(records: list[_Record]) -> int:
    """How many records there should be. How many one that is not sound stands for, the ids around it tell."""
    count = 0
    for index, record in enumerate(records):
        around = 0
        if not record.sound and 0 < index < len(records) - 1:
            around = records[index + 1].record_id - records[index - 1].record_id - 1
        count += around if 0 < around <= MAX_RECORDS else 1
    return count


def records_counted(head: bytes | bytearray) -> int:
    """How many records a chunk header tells; 0 when no chunk can have so many."""
    first_number, last_number = struct.unpack_from("<qq", head, 8)
    told: int = last_number - first_number + 1
    return told if 0 < told <= MAX_RECORDS else 0


def header_matches(chunk: bytes | bytearray) -> bool:
    """Whether a chunk starts with a header whose checksum matches."""
    expected = int.from_bytes(chunk[124:128], "little")
    return chunk[:8] == CHUNK_MAGIC and zlib.crc32(chunk[128:512], zlib.crc32(chunk[:120])) == expected


def checksums_match(chunk: bytes) -> bool:
    return header_matches(chunk) and _events_match(chunk)


def _events_match(chunk: bytes) -> bool:
    end = int.from_bytes(chunk[48:52], "little")
    return zlib.crc32(chunk[RECORDS_START:end]) == int.from_bytes(chunk[52:56], "little")
