"""One SELECT that a user wrote, kept from doing anything else."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import PurePosixPath
from threading import Event, Timer
from typing import Any

import duckdb
import pyarrow as pa

from logontracks.build import flaw
from logontracks.case import Case
from logontracks.engines.duckdb import Connection, literal
from logontracks.errors import QueryError
from logontracks.manifest import TABLES
from logontracks.queries.answer import Answer, stop, stream
from logontracks.queries.tables import give_functions


def sql(case: Case, text: str, *, limit: int = 0, seconds: float, memory: str | None = None) -> Answer:
    """The rows of one SELECT over the tables of the case.

    It can read nothing but the case and write nothing at all. Raises QueryError when the text is not exactly one
    SELECT, when it fails, or when it takes longer than `seconds`; UsageError when `memory` is no size.
    """
    too_late = Event()
    try:
        connection = case.connect(memory=memory)
        query = _one_select(connection, text)
        give_functions(connection)
        folder = literal(str(case.folder.resolve()) + "/")
        for setting in (
            f"allowed_directories = [{folder}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
    except duckdb.Error as error:
        raise _failed(error, case, seconds, too_late) from error

    def interrupt() -> None:
        too_late.set()
        connection.interrupt()

    timer = Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        reader, batches = stream(connection, query)
    except _STREAM_ERRORS as error:
        raise _failed(error, case, seconds, too_late) from error
    finally:
        if sys.exc_info()[0] is not None:
            stop(timer)

    def bounded() -> Generator[pa.RecordBatch]:
        left = limit or None
        try:
            for batch in batches:
                yield batch if left is None else batch.slice(0, left)
                left = None if left is None else left - min(left, len(batch))
                if left == 0:
                    return
        except _STREAM_ERRORS as error:
            raise _failed(error, case, seconds, too_late) from error

    rows = bounded()
    return Answer(pa.RecordBatchReader.from_batches(reader.schema, rows), None, connection, rows, timer)


_STREAM_ERRORS = (duckdb.Error, pa.ArrowException, OSError)  # OSError is what the Arrow stream makes of the first


def tables_of(case: Case) -> tuple[str, ...]:
    """Names of what can be selected from."""
    worked_out = case.manifest.tables.files if case.manifest.tables else ()
    return (*TABLES, "sources", *sorted(PurePosixPath(file.path).stem for file in worked_out))


def _failed(error: Exception, case: Case, seconds: float, too_late: Event) -> QueryError:
    if too_late.is_set():
        return QueryError(f"the query took longer than {seconds:g} s", "narrow it, or give it more with --seconds")
    text = str(error).strip()
    if isinstance(error, duckdb.OutOfMemoryException) or text.startswith("Out of Memory"):
        # what follows on other lines are settings that nobody can change here
        return QueryError(text.partition("\n")[0], "narrow it, or give it more memory with --memory")
    hint = f"tables: {', '.join(tables_of(case))}"
    if case.manifest.tables and (what := flaw(case)):
        hint = f"of the tables that were worked out, {what}: run `logontracks build --case {case.folder}`; {hint}"
    return QueryError(text, hint)


def _one_select(connection: Connection, text: str) -> str:
    hint = 'give one SELECT, such as "SELECT computer, COUNT(*) FROM events GROUP BY ALL"'
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise QueryError("it is no text in UTF-8", hint)
    try:
        statements = connection.extract_statements(text)
        if len(statements) != 1:
            raise QueryError(f"the text holds {len(statements)} statements", hint)
        ((verdict,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statements[0].query]).fetchall()
        parsed = json.loads(verdict)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise QueryError(str(error).strip(), hint) from error
    except RecursionError:
        raise QueryError("it is nested too deeply", hint) from None
    if parsed.get("error"):
        raise QueryError("it is no SELECT, or a PIVOT that does not list its columns with IN", hint)
    if strange := _beyond_selecting(parsed):
        raise QueryError(f"it does more than select from the tables: {', '.join(sorted(strange))}", hint)
    return statements[0].query.strip().rstrip(";")


_SELECTING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLE_FUNCTIONS = {
    "duckdb_columns", "duckdb_functions", "duckdb_tables", "duckdb_views", "generate_series", "json_each", "json_tree",
    "pragma_table_info", "pragma_version", "range", "repeat", "repeat_row", "unnest",
}  # fmt: skip
"""Those that make rows or describe tables. Others read files, run text as SQL or change how the engine works."""


def _beyond_selecting(parsed: Any) -> set[str]:
    """What a parsed query has, at any depth, that does more than select: WITH may hold a COPY TO that writes files.

    Not all is seen here: json_execute_serialized_sql() and query() run SQL that they are given as text.
    """
    found = set()
    waiting = [parsed]
    while waiting:
        tree = waiting.pop()
        match tree:
            case {"type": "TABLE_FUNCTION", "function": {"function_name": str(name)}}:
                if name.lower() not in _TABLE_FUNCTIONS:
                    found.add(f"{name}()")
            case {"type": str(kind)} if kind.endswith("_NODE") and kind not in _SELECTING:
                found.add(kind.removesuffix("_NODE").removesuffix("_QUERY"))
        waiting += tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return found
