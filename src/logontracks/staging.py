"""Rows on their way from the workers into the case: files of sorted batches, and which rows lie in which batch.

A batch holds rows of one day in the order they will have in the case, so that merging reads what it needs and finds
most of it sorted. Text stays dictionary-encoded from the worker to the case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH_LOAD = 4096
"""Load of a batch. A log that a collector wrote has all of its hosts in each of its parts: then every slice needs a
little of every file, and what it needs not of a batch is read in vain."""
LOAD_BYTES = 1024
"""Room that a row may take without counting for more than one: work is shared out by load, which is rows, and more
where they are large."""
MANY_DAYS = 100  # in one file: its clock runs wild, and its days are not worth batches of their own
SLOT_US = 600_000_000
"""The unit slices are cut by: ten minutes. Copies of one record fall into the same second, so into the same slot."""

# Typed, as Arrow looks for a module to make something of a plain number each time, which costs more than a batch does
_SLOT = pa.scalar(SLOT_US, pa.int64())
_FULL = pa.scalar(LOAD_BYTES, pa.int32())
_NONE = pa.scalar(0, pa.int64())
_ONE = pa.scalar(1, pa.int32())
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
    """Stage rows as `events-<name>.arrow`, and the load of each cell of each batch as `cells-<name>.parquet`.

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


def read(
    batches: Iterable[Batch], days: AbstractSet[date], low: Cut, high: Cut, *, most: int, but: bool = False
) -> Iterator[pa.Table]:
    """The rows of these batches on some days (`but`: on all others) from one cut to the other, both included.

    They come in tables of a load of `most` and at most a batch more.
    """
    yield from heaped(_read(batches, days, low, high, but=but), most)


def _read(
    batches: Iterable[Batch], days: AbstractSet[date], low: Cut, high: Cut, *, but: bool
) -> Iterator[pa.RecordBatch]:
    by_file: dict[Path, list[int]] = {}
    for path, number in batches:
        by_file.setdefault(path, []).append(number)
    for path, numbers in by_file.items():
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source, options=_ALONE) as file:
            for number in numbers:
                batch = file.get_batch(number)
                # a batch is sorted: where its first and its last row lie in a slice of a day, all do
                (first, begin), (last, end) = (_place(batch, at) for at in (0, len(batch) - 1))
                if but or first != last or first not in days or not low <= begin <= end <= high:
                    batch = batch.filter(_inside(batch, days, low, high, but=but))
                yield batch


def heaped(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.Table]:
    """The rows of the batches in tables of a load of `most` and at most a batch more."""
    found: list[pa.RecordBatch] = []
    load = 0
    for batch in batches:
        if not len(batch):
            continue
        found.append(batch)
        load += pc.sum(_load(batch)).as_py()
        if load >= most:
            yield _together(found)
            found, load = [], 0
    if found:
        yield _together(found)


def _together(batches: list[pa.RecordBatch]) -> pa.Table:
    """Batches as one table of one chunk. A column that one of them has dictionary-encoded is so in all."""
    encoded = {field.name for batch in batches for field in batch.schema if pa.types.is_dictionary(field.type)}
    tables = []
    for batch in batches:
        columns = {
            field.name: batch[field.name].dictionary_encode()
            if field.name in encoded and not pa.types.is_dictionary(field.type)
            else batch[field.name]
            for field in batch.schema
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries().combine_chunks()


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
    most = max(1, BATCH_LOAD * len(rows) // max(1, pc.sum(_load(rows)).as_py() or 0))
    begin = 0
    for end in ends:
        yield from rows.slice(begin, end - begin).to_batches(most)
        begin = end


def _load(rows: pa.Table | pa.RecordBatch) -> pa.Array | pa.ChunkedArray:
    """What each row counts for."""
    if "data" not in rows.schema.names:
        return pa.repeat(pa.scalar(1, pa.int64()), len(rows))
    size = pc.fill_null(pc.binary_length(rows["data"]), pa.scalar(0, pa.int32()))
    return pc.max_element_wise(pc.divide(size, _FULL), _ONE).cast(pa.int64())


def _slot(batch: pa.RecordBatch) -> pa.Array:
    return pc.fill_null(pc.divide(batch["time"].cast(pa.int64()), _SLOT), _NONE)


def _cells(batch: pa.RecordBatch, number: int) -> pa.Table:
    """Load of the cells: batch, day, short, channel, slot, load."""
    keys = {name: batch[name] for name in ("day", "short", "channel")}
    keys["slot"] = _slot(batch)
    rows = pa.table({**keys, "load": _load(batch)})
    cells = rows.group_by(list(keys), use_threads=False).aggregate([("load", "sum")])
    cells = cells.rename_columns([*keys, "load"]).append_column("batch", pa.repeat(number, len(cells)).cast(pa.int32()))
    return cells.cast(_CELLS)


_CELLS = pa.schema(
    [
        ("day", pa.date32()),
        ("short", pa.string()),
        ("channel", pa.string()),
        ("slot", pa.int64()),
        ("load", pa.int64()),
        ("batch", pa.int32()),
    ]
)


def _place(batch: pa.RecordBatch, row: int) -> tuple[date | None, Cut]:
    """Day and cell of a row."""
    time = batch["time"][row].value
    return batch["day"][row].as_py(), Cut(batch["short"][row].as_py(), (time or 0) // SLOT_US)


def _inside(batch: pa.RecordBatch, days: AbstractSet[date], low: Cut, high: Cut, *, but: bool) -> pa.Array:
    """Which rows lie on the days (`but`: on others) and between the cuts."""
    short, slot = batch["short"], _slot(batch)
    first, last = (pa.scalar(cut.short, pa.string()) for cut in (low, high))
    begin, end = (pa.scalar(cut.slot, pa.int64()) for cut in (low, high))

    def of_host(compare: Callable[[pa.Array, pa.Scalar], pa.Array], name: pa.Scalar) -> pa.Array:
        return compare(short.dictionary, name).take(short.indices)

    on_day = pc.is_in(batch["day"], pa.array(sorted(days), pa.date32()))
    if but:
        on_day = pc.invert(on_day)
    begun = pc.or_(of_host(pc.greater, first), pc.and_(of_host(pc.equal, first), pc.greater_equal(slot, begin)))
    unfinished = pc.or_(of_host(pc.less, last), pc.and_(of_host(pc.equal, last), pc.less_equal(slot, end)))
    return pc.and_(on_day, pc.and_(begun, unfinished))
