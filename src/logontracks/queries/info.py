"""What a case holds, and what of its sources could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from logontracks.case import Case
from logontracks.engines.duckdb import Connection, interruptible
from logontracks.queries.answer import Answer, listed


def problems(case: Case, *, limit: int = 0) -> Answer:
    """What could not be read, by source and place."""
    columns = "source, position, kind, what, records_lost, source_sha256"
    order = "source, TRY_CAST(regexp_extract(position, '[0-9]+') AS BIGINT) NULLS FIRST, position, kind, what"
    return case.read(lambda connection: listed(connection, columns, "FROM problems", order, limit))


@dataclass(frozen=True, slots=True)
class Info:
    """A case at a glance. `hosts` and `sources` are tables, times are naive UTC."""

    totals: dict[str, Any]
    hosts: pa.Table
    sources: pa.Table


def info(case: Case) -> Info:
    """Sources, hosts with what they logged and when, and totals."""
    return case.read(lambda connection: interruptible(connection, lambda: _info(case, connection)))


def _info(case: Case, connection: Connection) -> Info:
    sources = connection.sql("SELECT * FROM sources ORDER BY name, sha256").to_arrow_table()
    hosts = connection.sql("""
        SELECT arg_max(computer, time) AS host, COUNT(*) AS events, MIN(time) AS first, MAX(time) AS last,
            string_agg(DISTINCT log, ', ' ORDER BY log) AS logs
        FROM (
            SELECT *, replace(replace(replace(channel, 'Microsoft-Windows-', ''), 'TerminalServices-', ''),
                '/Operational', '') AS log
            FROM events
        ) GROUP BY computer_key ORDER BY computer_key""").to_arrow_table()
    ((kept, first, last),) = connection.execute("SELECT COUNT(*), MIN(time), MAX(time) FROM events").fetchall()
    ((files, size, records, duplicates),) = connection.execute(
        "SELECT COUNT(*), SUM(size_bytes), SUM(records), SUM(duplicates) FROM sources"
    ).fetchall()
    found = dict(connection.execute("SELECT kind, COUNT(*) FROM problems GROUP BY kind").fetchall())
    totals = {
        "case": str(case.folder),
        "format": case.manifest.format,
        "sources": files,
        "size_bytes": int(size or 0),
        "records": int(records or 0),
        "events": kept,
        "duplicates": int(duplicates or 0),
        "hosts": len(hosts),
        "first": first,
        "last": last,
        "problems": found.get("lost", 0) + found.get("doubt", 0),
        "skipped": found.get("skipped", 0),
    }
    return Info(totals, hosts, sources)
