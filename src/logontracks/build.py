"""Work the tables out from the events of a case, and publish them: all at once, or none."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from logontracks import models, progress
from logontracks.case import Case, File, Tables, Writer, plain_errors, writing
from logontracks.engines.duckdb import give_core, interruptible
from logontracks.errors import CaseError


def build(folder: Path, *, memory: str | None = None, watcher: progress.Watcher = progress.SILENT) -> bool:
    """Work out the tables of a case that are not there, or older than its events. False: there was nothing to do.

    Raises CaseError when there is no case, or it cannot be written.
    """
    Case(folder)  # says so when there is none, before a lock is made
    with writing(folder) as writer:
        if is_current(Case(folder)):
            return False
        work_out(writer, memory=memory, watcher=watcher)
    return True


def is_current(case: Case) -> bool:
    """Whether the tables of a case are there, and worked out from the events it has now by the models of today."""
    tables = case.manifest.tables
    return tables is not None and (tables.of, tables.models) == (case.manifest.state, models.version())


def work_out(writer: Writer, *, memory: str | None = None, watcher: progress.Watcher = progress.SILENT) -> None:
    """Work out all tables, and make them part of the case.

    Raises CaseError when they cannot be written; the events of the case are none the worse for it.
    """
    try:
        with plain_errors(writer.folder):
            _work_out(writer, memory=memory, watcher=watcher)
    except CaseError as error:
        room = sum((writer.folder / file.path).stat().st_size for file in writer.manifest.events) / 1e6
        raise CaseError(
            f"the events are in the case, but its tables could not be worked out: {error}",
            f"{error.hint}; it takes about as much room as the events have, {room:,.0f} MB; then run"
            f" `logontracks build --case {writer.folder}`",
        ) from error


def _work_out(writer: Writer, *, memory: str | None, watcher: progress.Watcher) -> None:
    tables = Tables(writer.manifest.state, models.version())
    connection = Case(writer.folder).connect(worked_out=False, memory=memory, spill=writer.staging / "spill")
    made: list[tuple[Path, int]] = []
    try:
        give_core(connection)
        models.give_facts(connection)
        watcher.phase("working out sessions")
        for name in models.MODELS:
            found = interruptible(connection, partial(models.make, name, connection, writer.staging))
            made += [found] if found else []
            for old in models.done_with(name):
                models.drop(old, connection)
    finally:
        connection.close()
    files = []
    for path, rows in made:
        writer.place(path, tables.path(path.stem))
        files.append(File(tables.path(path.stem), rows))
    writer.commit(replace(writer.manifest, tables=replace(tables, files=tuple(files))))
