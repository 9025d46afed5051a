"""A small writer of .evt files, for tests: no real Security log of that time can be had."""

import struct
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

SUCCESS, FAILURE, INFORMATION = 8, 16, 4


class LegacyEvent(NamedTuple):
    """A record. `time` in UTC; the file keeps whole seconds."""

    event_id: int
    time: datetime
    computer: str
    strings: tuple[str, ...] = ()
    number: int = 1
    provider: str = "Security"
    kind: int = SUCCESS
    sid: str | None = None
    binary: bytes = b""


def sid_bytes(sid: str) -> bytes:
    _, revision, authority, *parts = sid.split("-")
    numbers = [int(part) for part in parts]
    return (
        struct.pack("<BB", int(revision), len(numbers))
        + int(authority).to_bytes(6, "big")
        + struct.pack(f"<{len(numbers)}I", *numbers)
    )


def record(event: LegacyEvent) -> bytes:
    names = b"".join(text.encode("utf-16-le") + b"\0\0" for text in (event.provider, event.computer))
    names += bytes(-(56 + len(names)) % 4)
    sid = sid_bytes(event.sid) if event.sid else b""
    strings = b"".join(text.encode("utf-16-le") + b"\0\0" for text in event.strings)
    sid_at = 56 + len(names)
    strings_at = sid_at + len(sid)
    data_at = strings_at + len(strings)
    body = names + sid + strings + event.binary
    body += bytes(-len(body) % 4)
    length = 56 + len(body) + 4
    seconds = int((event.time - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001 - UTC without saying so
    head = struct.pack(
        "<I4sIIIIHHHHIIIIII", length, b"LfLe", event.number, seconds, seconds, event.event_id, event.kind,
        len(event.strings), 2, 0, 0, strings_at, len(sid), sid_at, len(event.binary), data_at,
    )  # fmt: skip
    return head + body + struct.pack("<I", length)


def log(events: Iterable[LegacyEvent], *, dirty: bool = False) -> bytes:
    """A log that was never full. `dirty`: as it lies on the disk of a running host, where the header says nothing."""
    many = list(events)
    content = b"".join(map(record, many))
    end = 48 + len(content)
    first, following = (many[0].number, many[-1].number + 1) if many else (0, 1)
    told = (48, 48, 1, 0) if dirty else (48, end, following, first)
    header = struct.pack("<I4sIIIIIIIIII", 48, b"LfLe", 1, 1, *told, 1 << 20, 1 if dirty else 0, 0, 48)
    last = struct.pack("<10I", 40, 0x11111111, 0x22222222, 0x33333333, 0x44444444, 48, end, following, first, 40)
    return header + content + last


def ring(events: Iterable[LegacyEvent], *, cut: int) -> bytes:
    """A log that is full: the last record begins `cut` bytes before its end and goes on behind the header."""
    many = list(events)
    *before, last = map(record, many)
    content = b"".join(before)
    assert 56 <= cut < len(last)
    assert cut % 4 == 0
    rest = last[cut:]
    end = 48 + len(rest)
    told = (end + 40, end, many[-1].number + 1, many[0].number)
    newest = struct.pack("<10I", 40, 0x11111111, 0x22222222, 0x33333333, 0x44444444, *told, 40)
    size = end + len(newest) + len(content) + cut
    header = struct.pack("<I4sIIIIIIIIII", 48, b"LfLe", 1, 1, *told, size, 2, 0, 48)
    return header + rest + newest + content + last[:cut]


def write(path: Path, events: Iterable[LegacyEvent], **options: bool) -> Path:
    path.write_bytes(log(events, **options))
    return path
