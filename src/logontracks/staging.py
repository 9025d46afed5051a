"""Rows on their way from the workers into the case: files of sorted batches, and which rows lie in which batch.

A batch holds rows of one day in the order they will have in the case, so that merging reads what it needs and finds
most of it sorted. Text stays dictionary-encoded from the worker to the case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logontracks.normalize import STAGED

BATCH_ROWS = 16_384
MANY_DAYS = 100  # in one file: its clock runs wild, and its days are not worth batches of their own
SENSIBLE = (date(1990, 1, 1), date(2090, 1, 1))  # beyond these a day has no sense
SLOT_US = 600_000_000
"""The unit slices are cut by: ten minutes. Copies of one record fall into the same second, so into the same slot."""

_FAST = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_ALONE = pa.ipc.IpcReadOptions(use_threads=False)


_NEEDED = {"source", "short", "day", "channel", "time", "record_id", "uid", "position"}


class Batch(NamedTuple):
    """One batch of a staged file."""

    path: Path
    number: int


class Cut(NamedTuple):
    """Where a slice begins or ends: a host, and a slot of it."""

    short: str
    slot: int


def write(folder: Path, name: str, rows: pa.Table) -> None:
    """Stage rows as `events-<name>.arrow`, and how many are in each cell of each batch as `cells-<name>.parquet`.

    Columns without any value are left out.
    """
    filled = [each for each in rows.column_names if each in _NEEDED or rows[each].null_count < len(rows)]
    rows = rows.select(filled)
    rows = in_order(rows.unify_dictionaries().combine_chunks(), ["day", "short", "time", "record_id", "position"])
    cells = []
    with pa.ipc.new_file(folder / f"events-{name}.arrow", rows.schema, options=_FAST) as file:
        for number, batch in enumerate(_batches(rows)):
            file.write_batch(batch)
            cells.append(_cells(batch, number))
    pq.write_table(pa.concat_tables(cells), folder / f"cells-{name}.parquet", compression="lz4", write_statistics=False)


def read(batches: Iterable[Batch], day: date | None, low: Cut, high: Cut) -> pa.Table:
    """The rows of these batches on a day (None: on days beyond sense) from one cut to the other, both included."""
    found: list[pa.Table] = []
    by_file: dict[Path, list[int]] = {}
    for path, number in batches:
        by_file.setdefault(path, []).append(number)
    for path, numbers in by_file.items():
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source, options=_ALONE) as file:
            for number in numbers:
                batch = file.get_batch(number)
                # a batch is sorted: where its first and its last row lie in a slice of a day, all do
                days, cuts = zip(*(_place(batch, at) for at in (0, len(batch) - 1)), strict=True)
                if day is None or set(days) != {day} or not low <= cuts[0] <= cuts[1] <= high:
                    batch = batch.filter(_inside(batch, day, low, high))
                found.append(pa.Table.from_batches([batch]))
    if not found:
        return STAGED.empty_table()
    return pa.concat_tables(found, promote_options="default").unify_dictionaries().combine_chunks()


def in_order(rows: pa.Table, by: list[str]) -> pa.Table:
    """The rows sorted, absent values first. The table has one chunk and one dictionary a column, or no rows."""
    if not len(rows):
        return rows
    keys = {}
    for name in by:
        values = rows[name].chunk(0)
        keys[name] = pc.rank(values.dictionary).take(values.indices) if pa.types.is_dictionary(values.type) else values
    order = pc.sort_indices(pa.table(keys), sort_keys=[(name, "ascending", "at_start") for name in by])
    if order.equals(pa.array(range(len(order)), pa.uint64())):
        return rows
    return rows.take(order)


def _batches(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    ends = pc.run_end_encode(rows["day"]).chunk(0).run_ends.to_pylist()
    if len(ends) > MANY_DAYS:
        ends = [len(rows)]
    begin = 0
    for end in ends:
        yield from rows.slice(begin, end - begin).to_batches(BATCH_ROWS)
        begin = end


def _slot(batch: pa.RecordBatch) -> pa.Array:
    return pc.fill_null(pc.divide(batch["time"].cast(pa.int64()), SLOT_US), 0)


def _cells(batch: pa.RecordBatch, number: int) -> pa.Table:
    """Rows a cell: batch, day, short, channel, slot, many."""
    keys = {name: batch[name] for name in ("day", "short", "channel")}
    keys["slot"] = _slot(batch)
    cells = pa.table(keys).group_by(list(keys), use_threads=False).aggregate([([], "count_all")])
    cells = cells.rename_columns([*keys, "many"]).append_column("batch", pa.repeat(number, len(cells)).cast(pa.int32()))
    return cells.cast(_CELLS)


_CELLS = pa.schema(
    [
        ("day", pa.date32()),
        ("short", pa.string()),
        ("channel", pa.string()),
        ("slot", pa.int64()),
        ("many", pa.int64()),
        ("batch", pa.int32()),
    ]
)


def _place(batch: pa.RecordBatch, row: int) -> tuple[date | None, Cut]:
    """Day and cell of a row."""
    time = batch["time"][row].value
    return batch["day"][row].as_py(), Cut(batch["short"][row].as_py(), (time or 0) // SLOT_US)


def _inside(batch: pa.RecordBatch, day: date | None, low: Cut, high: Cut) -> pa.Array:
    """Which rows lie on the day and between the cuts."""
    days, short, slot = batch["day"], batch["short"], _slot(batch)
    hosts = short.dictionary

    def of_host(compare: Callable[[pa.Array, str], pa.Array], name: str) -> pa.Array:
        return compare(hosts, name).take(short.indices)

    if day is None:
        on_day = pc.fill_null(pc.or_(pc.less(days, SENSIBLE[0]), pc.greater(days, SENSIBLE[1])), fill_value=True)
    else:
        on_day = pc.fill_null(pc.equal(days, day), fill_value=False)
    begun = pc.or_(
        of_host(pc.greater, low.short), pc.and_(of_host(pc.equal, low.short), pc.greater_equal(slot, low.slot))
    )
    unfinished = pc.or_(
        of_host(pc.less, high.short), pc.and_(of_host(pc.equal, high.short), pc.less_equal(slot, high.slot))
    )
    return pc.and_(on_day, pc.and_(begun, unfinished))
