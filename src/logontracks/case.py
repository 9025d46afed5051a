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
import secrets
import shutil
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from logontracks import __version__, schema
from logontracks.engines.duckdb import Connection, connect, files
from logontracks.errors import CaseError
from logontracks.manifest import (
    FORMAT,
    MANIFEST,
    OWN_NAME,
    TABLE_NAME,
    TABLES,
    WORKED_OUT,
    File,
    Manifest,
    entries_of,
    load,
)

NEW = "case.json.new"  # the next case.json; in a folder without one it says that the first writer was killed
LOCK = ".lock"
STAGING = ".staging"
READ_ATTEMPTS = 20


_T = TypeVar("_T")


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
                    raise self._unreadable(error) from error
                self.manifest = current
        raise CaseError(f"the case in {self.folder} is written to faster than it can be read", "try again later")

    def _unreadable(self, error: Exception) -> CaseError:
        """What to do about a file that cannot be read: one of a table is made anew."""
        import pyarrow.parquet as pq  # noqa: PLC0415 - fast start

        for file in self.manifest.tables.files if self.manifest.tables else ():
            try:
                with pq.ParquetFile(self.folder / file.path) as parquet:
                    for _ in parquet.iter_batches():
                        pass
            except (OSError, pa.ArrowException):
                return CaseError(
                    f"{self.folder / file.path}, a table that was worked out, is missing or damaged",
                    f"run `logontracks build --again --case {self.folder}`",
                )
        return _unreadable(self.folder, str(error))

    def _connect(self, *, worked_out: bool = True, **settings: Any) -> Connection:
        connection = connect(**settings)
        connection.execute("SET python_enable_replacements = false")  # no variable of ours stands in for a table
        for name, columns in TABLES.items():
            connection.execute(f"CREATE VIEW {name} AS {select(columns, self.folder, getattr(self.manifest, name))}")
        for file in self.manifest.tables.files if worked_out and self.manifest.tables else ():
            path = self.folder / file.path
            try:
                connection.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM read_parquet({files([path])})")
            except duckdb.Error as error:
                if not _tells_of_a_file(error) or load(self.folder) != self.manifest:
                    raise
                # a table that is gone or damaged is missed by who asks for it alone
        connection.register("source_entries", entries_of(self.manifest.sources))
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

    def keep_records(self, connection: Connection, uids: Collection[int], days: Container[str] = ()) -> int:
        """Leave of `events` on a connection of this case the records with these ids alone; how many there are.

        Where they lie is looked for in one column, and first in these days (2026-10-08); the other columns are read
        there and nowhere else. So a few records of millions are found at once.
        """
        among = f"uid IN ({', '.join(map(str, uids)) or 'NULL'})"
        near: dict[bool, list[File]] = {True: [], False: []}
        for file in self.manifest.events:
            near[file.day in days].append(file)
        places: list[tuple[str, int]] = []
        for listed in near.values():
            if listed and len(places) < len(uids):
                paths = files([self.folder / file.path for file in listed])
                query = f"SELECT DISTINCT filename, file_row_number FROM read_parquet({paths}) WHERE {among}"
                places += connection.execute(query).fetchall()
        names = {Path(name).name for name, _ in places}
        held = [file for file in self.manifest.events if Path(file.path).name in names]
        at = f"file_row_number IN ({', '.join(str(row) for row in {row for _, row in places})})"
        rows = select(TABLES["events"], self.folder, held, f"{at} AND {among}")
        ((kept,),) = connection.execute(f"CREATE TABLE kept AS {rows}").fetchall()
        connection.execute("DROP VIEW events")
        connection.execute("ALTER TABLE kept RENAME TO events")
        return int(kept)

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


def select(columns: tuple[schema.Column, ...], folder: Path, listed: Sequence[File], where: str = "TRUE") -> str:
    """SQL for these columns of files of a case, `where` this is so; a column that a file lacks is NULL.

    Columns are only ever added, so a file that has as many has all. To compare them by name the engine keeps the heads
    of all files in memory, a fifth of a megabyte each; so it does that only where a file may lack one.
    """
    paths = files([folder / file.path for file in listed])
    empty = ", ".join(f"CAST(NULL AS {column.type}) AS {column.name}" for column in columns)
    names = ", ".join(column.name for column in columns)
    if not listed:
        return f"SELECT {empty} WHERE FALSE"
    if all(file.columns == len(columns) for file in listed):
        return f"SELECT {names} FROM read_parquet({paths}, hive_partitioning = false) WHERE {where}"
    return (
        f"SELECT {names} FROM (SELECT {empty} WHERE FALSE UNION ALL BY NAME "
        f"SELECT * FROM read_parquet({paths}, union_by_name = true, hive_partitioning = false) WHERE {where})"
    )


@contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    """Open a case for writing, making it if need be; locks it, and clears what an earlier writer left behind.

    Raises CaseError when another process is writing, the folder cannot be written, or the case cannot be read.
    """
    import filelock  # noqa: PLC0415 - fast start

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
        tables = manifest.tables
        if tables and not all((folder / file.path).is_file() for file in tables.files):
            manifest = replace(manifest, tables=None)  # they can be worked out again
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
            own = OWN_NAME if name in TABLES else TABLE_NAME
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
        if error.errno is None and _tells_of_a_file(error):  # in an Arrow stream
            raise _unreadable(folder, str(error)) from error
        raise _case_error(folder, error.errno, error.strerror or str(error)) from error
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        text = str(error)
        number = errno.ENOSPC if any(mark in text.lower() for mark in _FULL) else None
        if number is None and isinstance(error, duckdb.OutOfMemoryException):
            raise CaseError(
                f"there is too little memory: {text.splitlines()[0]}",
                "end other programs, and try again",
            ) from error
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
