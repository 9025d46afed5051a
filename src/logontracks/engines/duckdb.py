"""The embedded engine: DuckDB connections with the settings that every part of the program relies on."""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import duckdb

from logontracks.errors import UsageError

Connection = duckdb.DuckDBPyConnection
T = TypeVar("T")

LEAST_MEMORY = 16  # MB
_SIZE = re.compile(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,9})?) ?(?P<unit>[kmgt])i?b", re.IGNORECASE)
_MB = {"k": 0.001, "m": 1.0, "g": 1_000.0, "t": 1_000_000.0}


def connect(*, threads: int | None = None, memory: str | None = None, spill: Path | None = None) -> Connection:
    """An in-memory database. `memory` as DuckDB writes it ("600MB"), by default half of what the machine has; beyond
    it, work spills to the folder `spill`.

    No extension is loaded or looked for on the network, and time zones stay out: every time is plain UTC.
    Raises UsageError when `memory` is no size, or too little to work with.
    """
    if memory is not None:
        check_memory(memory)
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


def check_memory(size: str) -> None:
    """Raises UsageError when a text is no size of memory, or too little to work with."""
    told = _SIZE.fullmatch(size)
    if told is None:
        raise UsageError(f"{size!r} is no size of memory", "write 4GB or 600MB")
    if float(told["number"]) * _MB[told["unit"].lower()] < LEAST_MEMORY:
        raise UsageError(f"{size} is too little memory", f"give at least {LEAST_MEMORY}MB, better 1GB and more")


CORE = (
    "micros(t) AS epoch_us(t)",  # microseconds since 1970
    "value_at_first(x, t) AS arg_min(x, t)",  # x where t is least; rows without t or x do not count
    "value_at_last(x, t) AS arg_max(x, t)",
    # the same where several rows may have one t: the least x of them, and the greatest
    "least_at_first(x, t) AS arg_min(x, CASE WHEN t IS NOT NULL AND x IS NOT NULL THEN ROW(t, x) END)",
    "greatest_at_last(x, t) AS arg_max(x, CASE WHEN t IS NOT NULL AND x IS NOT NULL THEN ROW(t, x) END)",
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
    """What `work` finds on the connection. In a thread of its own: DuckDB may look for a Ctrl-C only after seconds.

    A Ctrl-C ends `work` wherever it is, in a query or in Python between two, and is raised when it has ended.
    """
    found: list[T] = []
    failed: list[BaseException] = []

    def worked() -> None:
        try:
            found.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            failed.append(error)
        ended.set()

    # only whether the thread lives counts: a Ctrl-C may arrive while it tells the outcome, which a future or an event
    # then never learns. A join that is interrupted takes the thread for ended (Python 3.11), so the event is waited for
    ended = threading.Event()
    thread = threading.Thread(target=worked, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            ended.wait(timeout=0.5)  # Windows does not wake up from an endless one
    except BaseException:
        while thread.is_alive():
            with suppress(duckdb.Error):  # it may refuse while the connection is in another call
                connection.interrupt()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0),
                ctypes.py_object(SystemExit),  # wherever in the thread it arrives, nothing is printed
            )
            thread.join(timeout=0.1)
        raise
    if failed:
        raise failed[0]
    return found[0]


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
