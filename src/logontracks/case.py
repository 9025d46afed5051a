"""A case: a folder of Parquet with one commit point. Add event files, read anything, lose nothing.

`case.json` says what belongs to the case; what it does not list does not exist. Every file is written elsewhere,
synced and renamed before case.json is replaced, so a kill at any moment leaves either the state before or the one
after. Readers need no lock. Writers hold an advisory lock of the operating system, which dies with its owner.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import filelock
import pyarrow as pa

from logontracks import __version__, schema
from logontracks.engines.duckdb import Connection, connect, files
from logontracks.errors import CaseError

FORMAT = 1
MANIFEST = "case.json"
STAGING = ".staging"
TABLES: dict[str, tuple[schema.Column, ...]] = {
    "events": schema.COLUMNS,
    "extents": schema.EXTENTS,
    "event_counts": schema.EVENT_COUNTS,
    "problems": schema.PROBLEMS,
}
"""Tables that an ingest writes. The folder of each has its name."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A file that was read into the case, and with which options."""

    sha256: str
    name: str
    size_bytes: int
    form: str
    records: int
    activity: bool
    source_tz: str | None = None

    def covers(self, *, activity: bool, source_tz: str | None) -> bool:
        """Whether reading the file again with these options would add nothing."""
        return (self.activity or not activity) and (self.source_tz or None) == (source_tz or self.source_tz or None)


@dataclass(frozen=True, slots=True)
class File:
    """A Parquet file of the case; `day` only for events. `path` is relative to the case."""

    path: str
    rows: int
    day: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What belongs to the case, as case.json holds it."""

    sources: tuple[SourceEntry, ...] = ()
    events: tuple[File, ...] = ()
    extents: tuple[File, ...] = ()
    event_counts: tuple[File, ...] = ()
    problems: tuple[File, ...] = ()
    tables: str | None = None  # folder of the worked-out tables that are current
    format: int = FORMAT
    written_by: str = field(default=__version__)

    @property
    def paths(self) -> set[str]:
        return {file.path for name in TABLES for file in getattr(self, name)}


def load(folder: Path) -> Manifest:
    """The manifest of a case. Raises CaseError when there is none, or none that this version can read."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CaseError(f"there is no case in {folder}", "make one with `logontracks ingest PATH --case DIR`") from None
    except NotADirectoryError:
        raise CaseError(f"{folder} is a file, not a case folder", "give the folder of a case with --case") from None
    except OSError as error:
        raise CaseError(f"the case in {folder} cannot be read: {error.strerror}", "check the permissions") from error
    try:
        raw = json.loads(text)
        version = raw["format"]
        if version > FORMAT:
            raise CaseError(
                f"the case in {folder} has format {version}; this version of logontracks reads up to {FORMAT}",
                "use the newer version that wrote it, or ingest the logs into a new case",
            )
        entries = tuple(SourceEntry(**entry) for entry in raw["sources"])
        tables = {name: tuple(File(**file) for file in raw[name]) for name in TABLES}
    except (ValueError, KeyError, TypeError) as error:
        raise CaseError(
            f"{folder / MANIFEST} is damaged ({error})", "restore it, or ingest the logs into a new case"
        ) from error
    return Manifest(entries, **tables, tables=raw.get("tables"), format=version, written_by=raw.get("written_by", ""))


class Case:
    """A case opened for reading: what it held at that moment."""

    def __init__(self, folder: Path) -> None:
        """Raises CaseError when there is no case in the folder that can be read."""
        self.folder = folder
        self.manifest = load(folder)

    def connect(self, *, threads: int | None = None, memory: str | None = None) -> Connection:
        """A database with a view for each table of the case, and `sources`."""
        connection = connect(threads=threads, memory=memory)
        for name, columns in TABLES.items():
            listed = getattr(self.manifest, name)
            connection.execute(f"CREATE VIEW {name} AS {_select(columns, [self.folder / f.path for f in listed])}")
        sources = pa.Table.from_pylist([asdict(entry) for entry in self.manifest.sources], schema=_SOURCES)
        connection.register("source_entries", sources)
        connection.execute("""
            CREATE VIEW sources AS
            SELECT e.*, COALESCE(c.kept, 0) AS kept, COALESCE(c.kept, 0) - COALESCE(k.many, 0) AS duplicates,
                COALESCE(p.problems, 0) AS problems
            FROM source_entries AS e
            LEFT JOIN (SELECT source_sha256, SUM(kept)::BIGINT AS kept FROM event_counts GROUP BY ALL) AS c
                ON c.source_sha256 = sha256
            LEFT JOIN (SELECT source_sha256, COUNT(*) AS many FROM events GROUP BY ALL) AS k ON k.source_sha256 = sha256
            LEFT JOIN (SELECT source_sha256, COUNT(*) AS problems FROM problems GROUP BY ALL) AS p
                ON p.source_sha256 = sha256""")
        return connection

    def digest(self) -> str:
        """One number for all that the case says, whatever order or files it is stored in."""
        connection = self.connect()
        parts = []
        for name, columns in TABLES.items():
            row = ", ".join(f"COALESCE(CAST({column.name} AS VARCHAR), '\x01')" for column in columns)
            query = f"SELECT COUNT(*), SUM(md5_number_lower(concat_ws('\x02', {row}))) FROM {name}"
            parts.append(connection.execute(query).fetchall()[0])
        return "-".join(f"{count}.{int(total or 0) % (1 << 64):016x}" for count, total in parts)


_SOURCES = pa.schema(
    [
        ("sha256", pa.string()),
        ("name", pa.string()),
        ("size_bytes", pa.int64()),
        ("form", pa.string()),
        ("records", pa.int64()),
        ("activity", pa.bool_()),
        ("source_tz", pa.string()),
    ]
)


def _select(columns: tuple[schema.Column, ...], paths: list[Path]) -> str:
    """SQL for these columns of these files; a column that a file lacks is NULL."""
    empty = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in columns)
    names = ", ".join(column.name for column in columns)
    if not paths:
        return f"SELECT {empty} WHERE FALSE"
    return (
        f"SELECT {names} FROM (SELECT {empty} WHERE FALSE UNION ALL BY NAME "
        f"SELECT * FROM read_parquet({files(paths)}, union_by_name = true, hive_partitioning = false))"
    )


@contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    """Open a case for writing, making it if need be; locks it, and clears what an earlier writer left behind.

    Raises CaseError when another process is writing, the folder cannot be written, or the case cannot be read.
    """
    with plain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        manifest = load(folder) if (folder / MANIFEST).exists() else Manifest()
        if not (folder / MANIFEST).exists() and any(p.name not in {STAGING, ".lock"} for p in folder.iterdir()):
            known = {*TABLES, "tables"}
            if any(path.name not in known | {STAGING, ".lock", MANIFEST + ".new"} for path in folder.iterdir()):
                raise CaseError(f"{folder} is not empty and holds no case", "give --case a new folder")
        lock = filelock.FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise CaseError(
                f"another process is writing to the case in {folder}", "wait until it is done, or use another case"
            ) from None
        try:
            manifest = load(folder) if (folder / MANIFEST).exists() else manifest  # it may have changed before the lock
            writer = Writer(folder, manifest)
            writer.clear()
            writer.staging.mkdir()
            yield writer
        finally:
            shutil.rmtree(folder / STAGING, ignore_errors=True)
            lock.release()


class Writer:
    """A case opened for writing. Made by `writing`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.staging = folder / STAGING

    def clear(self) -> None:
        """Remove what case.json does not list: the remains of writers that were killed."""
        shutil.rmtree(self.staging, ignore_errors=True)
        listed = self.manifest.paths
        for name in TABLES:
            for path in sorted((self.folder / name).rglob("*"), reverse=True):
                if path.is_dir():
                    with suppress(OSError):
                        path.rmdir()  # only when empty
                elif path.relative_to(self.folder).as_posix() not in listed:
                    path.unlink()

    def add(self, staged: Path, to: str) -> None:
        """Sync a staged file and move it to its place (a path relative to the case). Not part of the case yet."""
        target = self.folder / to
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(staged)
        staged.replace(target)

    def commit(self, manifest: Manifest) -> None:
        """Make this the case, at once and for good; then remove the files that are no longer part of it."""
        for folder in {(self.folder / path).parent for path in manifest.paths - self.manifest.paths}:
            _sync(folder)
            _sync(folder.parent)
        new = self.folder / (MANIFEST + ".new")
        manifest = replace(manifest, written_by=__version__, format=FORMAT)
        new.write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
        _sync(new)
        new.replace(self.folder / MANIFEST)
        _sync(self.folder)
        gone = self.manifest.paths - manifest.paths
        self.manifest = manifest
        for path in gone:
            with suppress(OSError):  # a reader may hold it open on Windows; the next writer removes it
                (self.folder / path).unlink()


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or the names in a folder."""
    if os.name == "nt":
        if path.is_dir():
            return  # Windows cannot, and writes names through
        flags = os.O_RDWR | os.O_BINARY  # type: ignore[attr-defined,unused-ignore]
    else:
        flags = os.O_RDONLY
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into CaseError with what to do."""
    try:
        yield
    except OSError as error:
        raise _case_error(folder, error.errno, error.strerror or str(error)) from error
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        text = str(error)
        number = errno.ENOSPC if "space" in text.lower() or "max_temp_directory_size" in text else None
        raise _case_error(folder, number, text.splitlines()[0]) from error


def _case_error(folder: Path, number: int | None, what: str) -> CaseError:
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return CaseError(f"no space left for the case in {folder}", "make room or give --case a folder on another disk")
    if number in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return CaseError(
            f"the case in {folder} cannot be written: {what}", "give --case a folder that you may write to"
        )
    if number in {errno.ENOTDIR, errno.EEXIST}:
        return CaseError(f"{folder} is not a folder", "give --case a folder")
    return CaseError(f"the case in {folder} cannot be written: {what}", "check the disk, or give --case another folder")
