"""What a question gives: rows as a stream, to be read inside a `with`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Timer
from typing import Self

import pyarrow as pa

from logontracks.engines.duckdb import Connection, interruptible, literal


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of an answer, and how many there are in all where that is known. Read the rows inside a `with`.

    `notes` are sentences for the user: what a name was taken for, what is left out.
    """

    rows: pa.RecordBatchReader
    total: int | None
    connection: Connection = field(repr=False)
    source: Generator[pa.RecordBatch] | None = field(default=None, repr=False)
    timer: Timer | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()

    def told(self, *notes: str) -> Answer:
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what still runs for rows that nobody wants."""
        if self.source is not None:
            self.source.close()
        if self.timer is not None:
            stop(self.timer)
        self.connection.interrupt()
        self.rows.close()
        self.connection.close()


def answer(connection: Connection, query: str, total: int) -> Answer:
    reader, batches = stream(connection, query)
    return Answer(pa.RecordBatchReader.from_batches(reader.schema, batches), total, connection, batches)


def listed(connection: Connection, columns: str, rows: str, order: str, limit: int) -> Answer:
    """Columns of `rows`, SQL from FROM on, in that order, and how many there are without the limit; 0 is no limit."""
    total = number(connection, f"SELECT COUNT(*) {rows}")
    limited = f"LIMIT {limit}" if limit else ""
    return answer(connection, f"SELECT {columns} {rows} ORDER BY {order} {limited}", total)


def number(connection: Connection, query: str) -> int:
    """What a query of one number finds."""
    ((found,),) = interruptible(connection, lambda: connection.execute(query).fetchall())
    return int(found)


def stream(connection: Connection, query: str) -> tuple[pa.RecordBatchReader, Generator[pa.RecordBatch]]:
    """The rows as a stream, and its batches. The first is read at once: a sorted query has read all by then."""
    reader = interruptible(connection, lambda: connection.sql(query).to_arrow_reader(10_000))
    first = interruptible(connection, lambda: next(reader, None))

    def batches() -> Generator[pa.RecordBatch]:
        batch = first
        while batch is not None:
            yield batch
            batch = interruptible(connection, lambda: next(reader, None))

    return reader, batches()


def stop(timer: Timer) -> None:
    """Its thread holds the connection: Python ends noisily when both are still there."""
    timer.cancel()
    timer.join()


def moment(time: datetime) -> str:
    """SQL for a time, naive UTC."""
    return f"TIMESTAMP {literal(time.isoformat(' '))}"


def like(column: str, pattern: str) -> str:
    if "*" not in pattern:
        return f"{column} = {literal(pattern)}"
    escaped = pattern.replace("!", "!!").replace("%", "!%").replace("_", "!_").replace("*", "%")
    return f"{column} LIKE {literal(escaped)} ESCAPE '!'"
