"""The embedded engine: DuckDB connections with the settings that every part of the program relies on."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import duckdb

Connection = duckdb.DuckDBPyConnection


def connect(*, threads: int | None = None, memory: str | None = None, spill: Path | None = None) -> Connection:
    """An in-memory database. `memory` as DuckDB writes it ("600MB"), by default half of what the machine has; beyond
    it, work spills to the folder `spill`.

    No extension is loaded or looked for on the network, and time zones stay out: every time is plain UTC.
    """
    connection = duckdb.connect()
    settings = {
        "autoinstall_known_extensions": "false",
        "enable_progress_bar": "false",
        "preserve_insertion_order": "false",
        "threads": str(threads or os.cpu_count() or 1),
        "temp_directory": str(spill or Path(tempfile.gettempdir()) / f"logontracks-{os.getpid()}"),
        "memory_limit": memory or _half_of_memory(),
    }
    for name, value in settings.items():
        connection.execute(f"SET {name} = {literal(value)}")
    return connection


def literal(text: str) -> str:
    """Text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def name(text: str) -> str:
    """Text as a quoted SQL name."""
    return '"' + text.replace('"', '""') + '"'


def files(paths: list[Path]) -> str:
    """A list of files for read_parquet."""
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def _half_of_memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 2 >> 20}MiB"
    except (AttributeError, ValueError, OSError):
        return "4GiB"  # Windows has no sysconf
