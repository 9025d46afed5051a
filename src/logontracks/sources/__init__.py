"""Which files hold logs, and in what form: decided by their first bytes, never by their names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from logontracks.sources import dialects, evt, evtx, evtx_mend, evtx_problems, json_lines, json_records, xml_records
from logontracks.sources.envelope import Problem

PIECE_BYTES = 16 << 20  # of one source that one worker reads in one go
ARCHIVES = (  # by their first bytes; tar has its sign later
    b"PK\x03\x04",
    b"\x1f\x8b",  # gzip
    b"7z\xbc\xaf",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",  # Zstandard
    b"\x04\x22\x4d\x18",  # LZ4
    b"Rar!",
    b"MSCF",  # cabinets of Windows
)
CAREFUL_CHUNKS = 64  # when it is read chunk by chunk: what they hold stays in memory, and forged ones are large


@dataclass(frozen=True, slots=True)
class Source:
    """A file with records. `number` is its place in this ingest, `name` what people see of its path.

    `activity`: keep what sessions did; `source_tz`: zone of times that have none.
    """

    number: int
    path: Path
    name: str
    form: str
    size_bytes: int
    layout: evtx.Layout | None = None
    whole: bool = False  # it can only be read from its first byte on
    activity: bool = True
    source_tz: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that holds no log we can read. `asked`: it was named itself rather than found in a folder."""

    name: str
    problem: Problem
    asked: bool


@dataclass(frozen=True, slots=True)
class Range:
    """Part of a source for one worker: chunks of an EVTX file, bytes of a text file."""

    source: int
    path: str
    form: str
    first: int
    count: int
    activity: bool = True
    source_tz: str | None = None
    careful: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def place(self) -> str:
        """In words, as problems tell it."""
        if self.form == "evtx":
            return evtx_problems.place(self.first, self.first + self.count - 1)
        return f"byte {self.first}"

    def carefully(self) -> list[Range]:
        """The range in the parts in which it is read when it does not read in one go, or a worker died of it."""
        return self.split(-(-self.count // CAREFUL_CHUNKS) if self.form == "evtx" else 1)

    def split(self, parts: int) -> list[Range]:
        """The range in so many equal parts, none of them empty, to be read carefully."""
        parts = max(1, min(parts, self.count))
        cuts = [self.first + self.count * part // parts for part in range(parts + 1)]
        return [replace(self, first=low, count=high - low, careful=True) for low, high in pairwise(cuts)]


def find(paths: Iterable[Path], *, leave_out: Path | None = None) -> Iterator[Source | Rejected]:
    """The sources in files and folders (recursive, in the order of their names), each file once.

    `leave_out` is a folder that is not looked into: the case itself. Links to folders are not followed.
    """
    seen: set[tuple[int, int]] = set()
    number = 0
    for path, written, asked in _files(paths, leave_out):
        name = written.encode("utf-8", "backslashreplace").decode()  # a name need not be UTF-8, what a case holds must
        try:
            status = path.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            if stat.S_ISDIR(status.st_mode):
                os.scandir(path).close()  # only folders that refused come here, and do so again
            found = _open(number, path, name, status.st_size) if stat.S_ISREG(status.st_mode) else "it is no plain file"
        except OSError as error:
            yield Rejected(name, Problem("", "lost", f"it cannot be opened: {error.strerror or error}"), asked=True)
            continue
        if isinstance(found, Source):
            number += 1
            yield found
        else:
            yield Rejected(name, Problem("", "lost", found), asked)


def _files(paths: Iterable[Path], leave_out: Path | None) -> Iterator[tuple[Path, str, bool]]:
    out = leave_out.resolve() if leave_out else None
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where the folder around it may not be looked into
            yield path, path.as_posix(), True
            continue
        unseen: list[OSError] = []
        for folder, folders, files in os.walk(path, onerror=unseen.append):
            folders[:] = sorted(f for f in folders if out is None or (Path(folder) / f).resolve() != out)
            for file in sorted(files):
                at = Path(folder) / file
                yield at, at.as_posix(), False
        for error in unseen:  # opening them fails again, and that is told
            yield Path(error.filename), Path(error.filename).as_posix(), True


def _open(number: int, path: Path, name: str, size: int) -> Source | str:
    """The source, or in words why it is none."""
    where = evtx.layout(path)
    if where is not None:
        return Source(number, path, name, "evtx", size, where)
    with path.open("rb") as file:
        start = file.read(json_lines.START)
    if not start:
        return "it is empty"
    if start.startswith(ARCHIVES) or start[257:262] == b"ustar":
        return "it is an archive: unpack it and give the folder"
    if evt.recognizes(start):
        return Source(number, path, name, evt.FORM, size, whole=True)
    if xml_records.recognizes(start):
        return Source(number, path, name, xml_records.FORM, size)
    dialect = json_records.recognizes(start)
    if isinstance(dialect, dialects.Dialect):
        how = json_lines.layout(start)
        return Source(number, path, name, dialect.name, size, whole=how is not None and how.run_on)
    if path.suffix.lower() == ".evtx":
        return "it is named .evtx but does not begin as an EVTX file does"
    if dialect is not None:
        known = ", ".join(each.name for each in dialects.dialects())
        return f"{dialect}, and of no dialect that is known: {known}"
    if other_xml := xml_records.seen(start):
        return other_xml
    return "its form is not known; `logontracks formats` lists those that are read"


def pieces(source: Source) -> list[Range]:
    """The ranges a source is read in."""
    if source.whole:
        step = total = source.size_bytes
    elif source.layout is not None:
        step, total = PIECE_BYTES // evtx_mend.CHUNK_SIZE, source.layout.chunks
    else:
        step, total = PIECE_BYTES, source.size_bytes
    return [
        Range(
            source.number,
            str(source.path),
            source.form,
            first,
            min(step, total - first),
            activity=source.activity,
            source_tz=source.source_tz,
        )
        for first in range(0, total, step)
    ]
