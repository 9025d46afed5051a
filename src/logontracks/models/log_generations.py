"""log_generations: one row for each log whose records are not simply those of their host and channel by their ids.

A log that was made anew counts from the start again. Runs of records of one host and channel belong to one log as long
as ids and times rise together; a later run whose ids do not go on is of a new log: the host was installed again, or a
virtual machine was set back. The first log of a host has no row. Of more than a hundred the rest count as one: nobody
makes a log anew so often. What lies in one file under the name of an image is of one machine: all its logs have rows.
Reads: log_runs, host_logs.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

if TYPE_CHECKING:
    from logontracks.engines.duckdb import Connection

_MOST = 100
_TYPES = pa.schema(
    [
        ("computer_key", pa.string()),
        ("source_sha256", pa.string()),
        ("host_id", pa.int64()),
        ("channel", pa.string()),
        ("generation", pa.int64()),
        ("first_record_id", pa.int64()),
        ("last_record_id", pa.int64()),
        ("first_time", pa.timestamp("us")),
        ("last_time", pa.timestamp("us")),
    ]
)


class _Log(NamedTuple):
    """Ids and times that the records of one log span; times in microseconds."""

    first_id: int
    last_id: int
    first_time: int
    last_time: int


def work(connection: Connection) -> pa.Table:
    """The table, from the runs of records."""
    names: dict[int, list[tuple[str, str | None]]] = defaultdict(list)
    for host, name, source in connection.execute(
        "SELECT host_id, computer_key, source_sha256 FROM host_logs ORDER BY ALL"
    ).fetchall():
        names[host].append((name, source))
    runs = connection.execute("""
        SELECT host_id, channel, first_id, last_id, epoch_us(first_time), epoch_us(last_time)
        FROM log_runs
        WHERE first_id IS NOT NULL AND epoch_us(first_time) IS NOT NULL AND epoch_us(last_time) IS NOT NULL
        ORDER BY 1, 2, 5, 3, 4, 6""")
    rows: list[tuple[object, ...]] = []
    key: tuple[int, str] | None = None
    logs: list[_Log] = []

    def told() -> None:
        if key is None:
            return
        for name, source in names[key[0]]:
            rows.extend((name, source, *key, number, *log) for number, log in enumerate(logs) if number or source)

    while batch := runs.fetchmany(100_000):
        for host, channel, *span in batch:
            if (host, channel) != key:
                told()
                key, logs = (host, channel), []
            run = _Log(*span)
            goes_on = logs and (run.first_id > logs[-1].last_id or run.first_time <= logs[-1].last_time)
            if goes_on or len(logs) == _MOST:
                last = logs[-1]
                logs[-1] = _Log(min(last.first_id, run.first_id), max(last.last_id, run.last_id), last.first_time,
                                max(last.last_time, run.last_time))  # fmt: skip
            else:
                logs.append(run)
    told()
    return pa.Table.from_arrays(
        [pa.array([row[at] for row in rows], field.type) for at, field in enumerate(_TYPES)], schema=_TYPES
    )
