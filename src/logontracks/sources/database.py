"""The small database in which readers ask about many records at once; one for the process."""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from logontracks.engines.duckdb import Connection, connect


@cache
def _database() -> Connection:
    """Making one costs more than a small range."""
    connection = connect(threads=1, memory="512MB")
    connection.execute("SET preserve_insertion_order = true")
    return connection


def query(sql: str, lines: pa.Table) -> pa.Table:
    """What the database answers about the table `lines`."""
    _database().register("lines", lines)
    try:
        return _database().sql(sql).to_arrow_table()
    finally:
        _database().unregister("lines")
