"""Work the tables out from the events of a case, and publish them: all at once, or none."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa

from logontracks import models, progress
from logontracks.case import Case, Writer, plain_errors, writing
from logontracks.engines.duckdb import check_memory, give_core, interruptible
from logontracks.errors import CaseError
from logontracks.manifest import File, Tables


def build(
    folder: Path, *, memory: str | None = None, again: bool = False, watcher: progress.Watcher = progress.SILENT
) -> bool:
    """Work out the tables of a case that are not there, or older than its events; `again`: in any case. False: there
    was nothing to do.

    Raises CaseError when there is no case, or it cannot be written; UsageError when `memory` is no size.
    """
    if memory is not None:
        check_memory(memory)
    Case(folder)  # says so when there is none, before a lock is made
    with writing(folder) as writer:
        if not again and is_current(Case(folder)):
            return False
        work_out(writer, memory=memory, watcher=watcher)
    return True


def is_current(case: Case) -> bool:
    """Whether the tables of a case are there, and worked out from the events it has now by the models of today."""
    return is_newest(case) and flaw(case) is None


def is_newest(case: Case) -> bool:
    """What case.json says of it, without a look at the files."""
    tables = case.manifest.tables
    return tables is not None and (tables.of, tables.models) == (case.manifest.state, models.version())


def flaw(case: Case) -> str | None:
    """What is wrong with the files of the tables, None where nothing is: each is there, with its columns and rows.

    Tables of another version may have other names and columns. What lies between head and foot of a file is not read.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - fast start

    tables = case.manifest.tables
    if tables is None:
        return "they have not been worked out"
    listed = {Path(file.path).stem: file for file in tables.files}
    wanted = {name: models.model(name).columns for name in models.MODELS if models.model(name).published}
    if tables.models == models.version() and listed.keys() != wanted.keys():
        return f"case.json does not list them as they are: {', '.join(sorted(listed.keys() ^ wanted.keys()))}"
    for name, file in listed.items():
        try:
            with pq.ParquetFile(case.folder / file.path) as parquet:
                rows, columns = parquet.metadata.num_rows, parquet.schema_arrow.names
        except (OSError, pa.ArrowException):
            return f"{file.path} is missing or damaged"
        if rows != file.rows or (
            tables.models == models.version() and columns != [column.name for column in wanted[name]]
        ):
            return f"{file.path} is not the file that was written"
    return None


def work_out(writer: Writer, *, memory: str | None = None, watcher: progress.Watcher = progress.SILENT) -> None:
    """Work out all tables, and make them part of the case.

    Raises CaseError when they cannot be written; the events of the case are none the worse for it.
    """
    try:
        with plain_errors(writer.folder):
            _work_out(writer, memory=memory, watcher=watcher)
    except CaseError as error:
        build_it = f"logontracks build --case {writer.folder}"
        if isinstance(error.__cause__, duckdb.OutOfMemoryException):
            hint = f"give them more: `{build_it} --memory SIZE`"
        else:
            room = sum((writer.folder / file.path).stat().st_size for file in writer.manifest.events) / 1e6
            hint = (
                f"{error.hint}; it takes about as much room as the events have, {room:,.0f} MB; then run `{build_it}`"
            )
        raise CaseError(f"the events are in the case, but its tables could not be worked out: {error}", hint) from error


def _work_out(writer: Writer, *, memory: str | None, watcher: progress.Watcher) -> None:
    tables = Tables(writer.manifest.state, models.version())
    connection = Case(writer.folder).connect(worked_out=False, memory=memory, spill=writer.staging / "spill")
    made: list[tuple[Path, int]] = []
    dropped: set[str] = set()
    try:
        give_core(connection)
        models.give_facts(connection)
        watcher.phase("working out sessions")
        for name in models.MODELS:
            found = interruptible(connection, partial(models.make, name, connection, writer.staging))
            made += [found] if found else []
            for old in set(models.done_with(name)) - dropped:
                models.drop(old, connection)
                dropped.add(old)
    finally:
        connection.close()
    files = []
    for path, rows in made:
        writer.place(path, tables.path(path.stem))
        files.append(File(tables.path(path.stem), rows))
    writer.commit(replace(writer.manifest, tables=replace(tables, files=tuple(files))))
