"""The embedded engine: DuckDB connections with the settings that every part of the program relies on."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

import duckdb

Connection = duckdb.DuckDBPyConnection
T = TypeVar("T")


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


CORE = (
    "micros(t) AS epoch_us(t)",  # microseconds since 1970
    "value_at_first(x, t) AS arg_min(x, t)",  # x where t is least; rows without t or x do not count
    "value_at_last(x, t) AS arg_max(x, t)",
    "told_code(n) AS printf('0x%x', n)",
    "has_bit(n, mask) AS ((n & mask) <> 0)",
    "text_id(x) AS CAST(md5_number_lower(x) >> 3 AS BIGINT)",  # a 61-bit number that stands for a text
)
"""What models use that each engine has under another name."""


def give_core(connection: Connection) -> None:
    """Make the functions of the common core on a connection."""
    for function in CORE:
        connection.execute(f"CREATE MACRO {function}")


def interruptible(connection: Connection, work: Callable[[], T]) -> T:
    """What `work` finds on the connection. In a thread of its own: DuckDB may look for a Ctrl-C only after seconds."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(work)
        try:
            while not future.done():
                wait([future], timeout=0.5)  # Windows does not wake up from an endless one
        except BaseException:
            connection.interrupt()
            raise
        return future.result()


def literal(text: str) -> str:
    """Text as an SQL string. What is no UTF-8, as a shell may hand over, is spelled out: no table holds it."""
    return "'" + text.encode("utf-8", "backslashreplace").decode().replace("'", "''") + "'"


def files(paths: list[Path]) -> str:
    """A list of files for read_parquet, which takes `*`, `?` and `[` in a name for a pattern."""
    return "[" + ", ".join(literal(re.sub(r"[*?[]", r"[\g<0>]", str(path))) for path in paths) + "]"


def _half_of_memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 2 >> 20}MiB"
    except (AttributeError, ValueError, OSError):
        return "4GiB"  # Windows has no sysconf
