"""case.json: what belongs to a case. What it does not list does not exist."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from logontracks import __version__, schema
from logontracks.errors import CaseError

FORMAT = 1
MANIFEST = "case.json"
WORKED_OUT = "tables"
TABLES: dict[str, tuple[schema.Column, ...]] = {
    "events": schema.COLUMNS,
    "extents": schema.EXTENTS,
    "event_counts": schema.EVENT_COUNTS,
    "problems": schema.PROBLEMS,
    "given_addresses": schema.GIVEN_ADDRESSES,
}
"""Tables that an ingest writes. The folder of each has its name."""

_OF_SOURCES = ("sources", "source_entries")  # views that are made of case.json
OWN_NAME = re.compile(r"[0-9a-f]{24}\.parquet")
TABLE_NAME = re.compile(r"[a-z_]+\.parquet")


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
    """A Parquet file of the case; `day` only for events. `path` is relative to the case, with slashes.

    `columns` is how many of the columns of today it has, None where that is not known: see `select`.
    """

    path: str
    rows: int
    day: str | None = None
    columns: int | None = None


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
    given_addresses: tuple[File, ...] = ()
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
        paths = sorted(file.path for file in (*self.events, *self.extents, *self.given_addresses))
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
        entries_of(entries)
        tables = {name: tuple(_file(name, file) for file in raw.get(name, ())) for name in TABLES}
        _each_once(file.path for files_of in tables.values() for file in files_of)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        raise CaseError(
            f"{folder / MANIFEST} is damaged ({what})", "restore it, or ingest the logs into a new case"
        ) from error
    try:
        worked_out = _tables(raw.get("tables"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
        raise CaseError(
            f"{folder / MANIFEST} is damaged where it lists the tables ({what})",
            f'restore it, or write "tables": null there and run `logontracks build --case {folder}`',
        ) from error
    return Manifest(entries, **tables, tables=worked_out, format=version, written_by=raw.get("written_by", ""))


def _file(table: str, raw: dict[str, Any]) -> File:
    """A file as case.json lists it. Raises ValueError on a path out of the table's folder: files that a commit
    replaces are removed, and who wrote case.json may be somebody else."""
    file = File(**raw)
    parts = PurePosixPath(file.path).parts
    own = OWN_NAME if table in TABLES else TABLE_NAME
    if table == "events":
        date.fromisoformat(file.day or "")
    if not isinstance(file.rows, int) or not isinstance(file.columns, int | None):
        raise TypeError(f"what it says of {file.path} are no numbers")
    if parts[:1] != (table,) or ".." in parts or "\\" in file.path or not own.fullmatch(parts[-1]):
        raise ValueError(f"{file.path!r} is no file of {table}")
    return file


def _tables(raw: dict[str, Any] | None) -> Tables | None:
    if raw is None:
        return None
    found = Tables(str(raw["of"]), str(raw["models"]), tuple(_file(WORKED_OUT, file) for file in raw["files"]))
    _each_once([*TABLES, *_OF_SOURCES, *(Path(file.path).stem for file in found.files)])
    return found


def _each_once(names: Iterable[str]) -> None:
    """Raises ValueError when a name comes twice, as it may where case.json was changed by hand."""
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"{name} is there {times} times")


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


def entries_of(sources: tuple[SourceEntry, ...]) -> pa.Table:
    """The sources as a table. Raises ValueError or TypeError where one is not of the types of _SOURCES."""
    return pa.Table.from_pylist([asdict(entry) for entry in sources], schema=_SOURCES)
