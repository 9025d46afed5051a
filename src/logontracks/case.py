"""A case: a folder of Parquet with one commit point. Add event files, read anything, lose nothing.

`case.json` says what belongs to the case; what it does not list does not exist. Every file is written elsewhere,
synced and renamed before case.json is replaced, so a kill at any moment leaves either the state before or the one
after. Readers need no lock. Writers hold an advisory lock of the operating system, which dies with its owner.

A file that a commit replaced is removed at once, so that the folder never says one thing twice to who reads it as it
is. A reader that was in the middle of it reads again from the new state: `Case.read`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import duckdb
import filelock
import pyarrow as pa

from logontracks import __version__, schema
from logontracks.engines.duckdb import Connection, connect, files
from logontracks.errors import CaseError

FORMAT = 1
MANIFEST = "case.json"
NEW = "case.json.new"  # the next case.json; in a folder without one it says that the first writer was killed
LOCK = ".lock"
STAGING = ".staging"
READ_ATTEMPTS = 20
WORKED_OUT = "tables"
TABLES: dict[str, tuple[schema.Column, ...]] = {
    "events": schema.COLUMNS,
    "extents": schema.EXTENTS,
    "event_counts": schema.EVENT_COUNTS,
    "problems": schema.PROBLEMS,
}
"""Tables that an ingest writes. The folder of each has its name."""

_OWN_NAME = re.compile(r"[0-9a-f]{24}\.parquet")
_TABLE_NAME = re.compile(r"[a-z_]+\.parquet")
_T = TypeVar("_T")


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
        same_times = self.form == "evtx" or (self.source_tz or None) == (source_tz or self.source_tz or None)
        return (self.activity or not activity) and same_times


@dataclass(frozen=True, slots=True)
class File:
    """A Parquet file of the case; `day` only for events. `path` is relative to the case, with slashes."""

    path: str
    rows: int
    day: str | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that were worked out from the events: `of` says from which, `models` by which state of the models."""

    of: str
    models: str
    files: tuple[File, ...] = ()

    def path(self, name: str) -> str:
        """Where a table is, relative to the case."""
        return f"{WORKED_OUT}/{self.of}-{self.models}/{name}.parquet"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What belongs to the case, as case.json holds it."""

    sources: tuple[SourceEntry, ...] = ()
    events: tuple[File, ...] = ()
    extents: tuple[File, ...] = ()
    event_counts: tuple[File, ...] = ()
    problems: tuple[File, ...] = ()
    tables: Tables | None = None
    format: int = FORMAT
    written_by: str = field(default=__version__)

    @property
    def paths(self) -> set[str]:
        worked_out = self.tables.files if self.tables else ()
        return {file.path for name in TABLES for file in getattr(self, name)} | {file.path for file in worked_out}

    @property
    def state(self) -> str:
        """Changes with the events: what tables that were worked out from them are compared with."""
        paths = sorted(file.path for file in (*self.events, *self.extents))
        return hashlib.sha256("\n".join(paths).encode()).hexdigest()[:12]


def load(folder: Path) -> Manifest:
    """The manifest of a case. Raises CaseError when there is none, or none that this version can read."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise CaseError(f"there is no case in {folder}", "make one with `logontracks ingest PATH --case DIR`") from None
    except NotADirectoryError:
        raise CaseError(f"{folder} is a file, not a case folder", "give the folder of a case with --case") from None
    except OSError as error:
        raise CaseError(f"the case in {folder} cannot be read: {error.strerror}", "check the permissions") from error
    try:
        raw = json.loads(content)
        version = int(raw["format"])
        if version > FORMAT:
            raise CaseError(
                f"the case in {folder} has format {version}; this version of logontracks reads up to {FORMAT}",
                "use the newer version that wrote it, or ingest the logs into a new case",
            )
        entries = tuple(SourceEntry(**entry) for entry in raw["sources"])
        tables = {name: tuple(_file(name, file) for file in raw[name]) for name in TABLES}
        worked_out = _tables(raw.get("tables"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        raise CaseError(
            f"{folder / MANIFEST} is damaged ({what})", "restore it, or ingest the logs into a new case"
        ) from error
    return Manifest(entries, **tables, tables=worked_out, format=version, written_by=raw.get("written_by", ""))


def _file(table: str, raw: dict[str, Any]) -> File:
    """A file as case.json lists it. Raises ValueError on a path out of the table's folder: files that a commit
    replaces are removed, and who wrote case.json may be somebody else."""
    file = File(**raw)
    parts = PurePosixPath(file.path).parts
    own = _OWN_NAME if table in TABLES else _TABLE_NAME
    if parts[:1] != (table,) or ".." in parts or "\\" in file.path or not own.fullmatch(parts[-1]):
        raise ValueError(f"{file.path!r} is no file of {table}")
    return file


def _tables(raw: dict[str, Any] | None) -> Tables | None:
    if raw is None:
        return None
    return Tables(str(raw["of"]), str(raw["models"]), tuple(_file(WORKED_OUT, file) for file in raw["files"]))


class Case:
    """A case opened for reading: what it held at that moment."""

    def __init__(self, folder: Path) -> None:
        """Raises CaseError when there is no case in the folder that can be read."""
        _check_name(folder)
        self.folder = folder
        self.manifest = load(folder)

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` finds, all of it in one state of the case.

        A writer removes the files that it replaced. Who comes upon such a gap reads again from the start, in the state
        that is current by then, and the case has this state from there on. So `work` changes nothing outside, and
        hands back what it has read: of a stream at least the first batch of a sorted query, which has read it all.

        Raises CaseError when a file is missing or damaged that the case still lists.
        """
        return self._again(lambda: work(self._connect()))

    def connect(self, *, worked_out: bool = True, **settings: Any) -> Connection:
        """A database with a view for each table of the case, and `sources`. While others write, use `read`.

        `worked_out`: with the tables that were worked out from the events. `settings` are those of
        `logontracks.engines.duckdb.connect`.
        """
        return self._again(lambda: self._connect(worked_out=worked_out, **settings))

    def _again(self, work: Callable[[], _T]) -> _T:
        for _ in range(READ_ATTEMPTS):
            try:
                return work()
            except (duckdb.Error, OSError) as error:  # OSError: in an Arrow stream
                if not _tells_of_a_file(error):
                    raise
                current = load(self.folder)
                if current == self.manifest:
                    raise _unreadable(self.folder, str(error)) from error
                self.manifest = current
        raise CaseError(f"the case in {self.folder} is written to faster than it can be read", "try again later")

    def _connect(self, *, worked_out: bool = True, **settings: Any) -> Connection:
        connection = connect(**settings)
        for name, columns in TABLES.items():
            listed = getattr(self.manifest, name)
            connection.execute(f"CREATE VIEW {name} AS {select(columns, [self.folder / f.path for f in listed])}")
        for file in self.manifest.tables.files if worked_out and self.manifest.tables else ():
            path = self.folder / file.path
            connection.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM read_parquet({files([path])})")
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
        return self.read(self._digest)

    def _digest(self, connection: Connection) -> str:
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


def select(columns: tuple[schema.Column, ...], paths: list[Path]) -> str:
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
    _check_name(folder)
    with plain_errors(folder):
        _current(folder)  # before anything is made in a folder that is none of ours
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK, fallback_to_soft=False)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise CaseError(
                f"another process is writing to the case in {folder}", "wait until it is done, or use another case"
            ) from None
        except NotImplementedError:
            raise CaseError(
                f"the disk that holds {folder} knows no locks", "give --case a folder on a local disk"
            ) from None
        try:
            writer = Writer(folder, _current(folder))
            try:
                writer.begin()
                yield writer
            finally:
                writer.clear()
        finally:
            lock.release()


def _current(folder: Path) -> Manifest:
    """What a writer begins with. Raises CaseError where there is no case and the folder is not free for one."""
    if not folder.is_dir():
        return Manifest()
    names = {path.name for path in folder.iterdir()}
    if MANIFEST in names:
        manifest = load(folder)
        for path in sorted(manifest.paths):
            if not (folder / path).is_file():
                raise _unreadable(folder, path)
        return manifest
    if names - {*TABLES, WORKED_OUT, LOCK, STAGING, NEW}:
        raise CaseError(f"{folder} is not empty and holds no case", "give --case a new folder")
    if NEW not in names and any(path.is_file() for name in TABLES for path in (folder / name).rglob("*")):
        raise CaseError(
            f"{folder} holds files of a case, but {MANIFEST} is gone",
            f"restore {MANIFEST}, or give --case a new folder",
        )
    return Manifest()


class Writer:
    """A case opened for writing. Made by `writing`."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.staging = folder / STAGING / secrets.token_hex(8)
        """Of this writer alone: a worker of a killed one may live on for a moment, and write into its own."""

    def begin(self) -> None:
        """Clear what killed writers left, and make room for this one."""
        self.clear()
        if not (self.folder / MANIFEST).exists():
            (self.folder / NEW).touch()
        self.staging.mkdir(parents=True)

    def clear(self) -> None:
        """Remove what case.json does not list: the remains of writers that were killed or failed."""
        try:
            listed = load(self.folder).paths if (self.folder / MANIFEST).exists() else set()
        except CaseError:
            return  # it was damaged meanwhile: who knows what belongs to it
        for name in (*TABLES, WORKED_OUT):
            own = _OWN_NAME if name in TABLES else _TABLE_NAME
            for path in sorted((self.folder / name).rglob("*"), reverse=True):
                if path.is_dir():
                    with suppress(OSError):
                        path.rmdir()  # only when empty
                elif own.fullmatch(path.name) and path.relative_to(self.folder).as_posix() not in listed:
                    with suppress(OSError):  # a reader may hold it open on Windows; the next writer removes it
                        path.unlink()
            with suppress(OSError):
                (self.folder / name).rmdir()
        shutil.rmtree(self.folder / STAGING, ignore_errors=True)
        with suppress(OSError):
            (self.folder / NEW).unlink()

    def add(self, staged: Path, to: str) -> str:
        """Sync a staged Parquet file and move it to a folder of the case; gives its new path, relative to the case.

        It is not part of the case yet. Its name follows from its content, so that no file ever changes.
        """
        with staged.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        path = f"{to}/{digest[:24]}.parquet"
        if path not in self.manifest.paths:
            self.place(staged, path)
        return path

    def place(self, staged: Path, path: str) -> None:
        """Sync a staged file and move it to this place in the case, of which it is not yet a part."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(staged)
        staged.replace(target)

    def commit(self, manifest: Manifest) -> None:
        """Make this the case, at once and for good; then remove the files that are no longer part of it."""
        for folder in {(self.folder / path).parent for path in manifest.paths - self.manifest.paths}:
            _sync(folder)
            _sync(folder.parent)
        new = self.folder / NEW
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
        for old in {(self.folder / path).parent for path in gone if path.startswith(f"{WORKED_OUT}/")}:
            with suppress(OSError):  # only when empty
                old.rmdir()


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


_GONE = ("no such file", "no files found", "cannot open file")
_DAMAGED = ("parquet", "unicode", "tprotocolexception")
_FULL = ("no space left", "not enough space", "disk quota", "max_temp_directory_size")


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into CaseError with what to do."""
    try:
        yield
    except OSError as error:
        raise _case_error(folder, error.errno, error.strerror or str(error)) from error
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        text = str(error)
        number = errno.ENOSPC if any(mark in text.lower() for mark in _FULL) else None
        raise _case_error(folder, number, text.splitlines()[0]) from error
    except duckdb.Error as error:
        if not _tells_of_a_file(error):
            raise
        raise _unreadable(folder, str(error)) from error


def _tells_of_a_file(error: Exception) -> bool:
    """Whether DuckDB found a Parquet file missing or damaged. What the reader of Parquet throws has no own class."""
    text = str(error).lower()
    if isinstance(error, duckdb.InvalidInputException):
        return any(mark in text for mark in _DAMAGED)
    if isinstance(error, duckdb.IOException | OSError):
        return any(mark in text for mark in _GONE + _DAMAGED)
    return type(error) is duckdb.Error


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


def _unreadable(folder: Path, what: str) -> CaseError:
    return CaseError(
        f"a file of the case in {folder} is missing or damaged: {what.splitlines()[0]}",
        "restore it, or ingest the logs into a new case",
    )


def _check_name(folder: Path) -> None:
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise CaseError(
            f"the name of the case folder {str(folder)!a} is not UTF-8", "give --case another name"
        ) from None
