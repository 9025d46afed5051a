"""Staged rows into the case: copies taken out, sorted, one write a day.

A record counts once however often it arrives. Whether copies are possible is read off the runs of record ids: only
where two runs of one log of one host overlap are its rows compared, in the engine, a slice at a time. A slice is a
range of hosts and ten-minute slots of one day that fits into memory; rows of one record always fall into one slice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import count, pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logontracks import schema, staging
from logontracks.case import Writer, select
from logontracks.copies import Copies
from logontracks.engines.duckdb import Connection, connect, files, literal
from logontracks.manifest import File
from logontracks.normalize import STAGED

SLICE_ROWS = 40_000
ROW_GROUP = 30_720
MANY = 8  # a dictionary with more than a row in so many is not worth its place
MANY_FILES = 8  # of one day that are far from full, before they are made into one again
ODD_DAY = date(1601, 1, 1)  # stands for all days that have no folder of their own, and for none
SENSIBLE = (date(1990, 1, 1), date(2090, 1, 1))  # beyond these a day has no sense
MOST_DAYS = 2_000  # that have a folder of their own: a file costs some milliseconds, however little is in it
MEMORY = "400MB"

# First label of a host name, by which short and full names meet; as sources.envelope.tail works it out
_SHORT = (
    "CASE WHEN CONTAINS({0}, ':') OR REGEXP_FULL_MATCH({0}, '[.]*[0-9][0-9.]*') THEN {0}"
    " ELSE SPLIT_PART({0}, '.', 1) END"
)
_COLUMNS = [column.name for column in schema.COLUMNS]


@dataclass(frozen=True, slots=True)
class Staged:
    """What lies in the staging folder after reading. `names` has hash and form of a source by its number."""

    cells: list[Path]
    runs: list[Path]
    counts: list[Path]
    names: dict[int, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Merged:
    """Event files made for the case, those of it whose rows they hold as well, and all files of extents and counts."""

    events: list[File]
    extents: list[File]
    event_counts: list[File]
    replaced: set[str]
    rows: int


@dataclass(frozen=True, slots=True)
class _Slice:
    """Rows between two cuts of a folder, or of several that are small. `compare`: there may be copies among them."""

    folders: frozenset[date]
    low: staging.Cut
    high: staging.Cut
    batches: tuple[staging.Batch, ...]
    compare: bool
    load: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to write. `own` are the days that have a folder of their own, `replaced` the files that are written anew,
    `places` the order of the sources, by which one of several equal copies stays: those of a single host come first."""

    slices: list[_Slice]
    own: frozenset[date]
    replaced: set[str]
    places: Mapping[str, int]


def _parquet(paths: list[Path], *, filename: bool = False) -> str:
    options = ", filename = true" if filename else ""
    return f"read_parquet({files(paths)}, union_by_name = true, hive_partitioning = false{options})"


def merge(
    writer: Writer,
    staged: Staged,
    *,
    without: set[str],
    jobs: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Merged:
    """Write what is staged as files of the case; nothing is committed.

    What the case says of the sources `without` is left out: they were read again.
    """
    with closing(connect(threads=jobs, memory=MEMORY, spill=writer.staging / "spill")) as connection:
        _name_sources(connection, staged)
        extents, counts = _extents(connection, writer, staged, without)
        _find_overlaps(connection, writer)
        sources = {number: sha256 for number, (sha256, _) in staged.names.items()}
        plan = _plan(connection, writer, staged, without, sources)
        events: list[File] = []

        def write(number: int) -> list[File]:
            return list(_write(connection, writer, sources, plan, number))

        with ThreadPoolExecutor(max_workers=max(1, min(jobs, 4))) as pool:
            try:
                for made in pool.map(write, range(len(plan.slices))):
                    events += made
                    on_progress(sum(file.rows for file in made))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return Merged(events, extents, counts, plan.replaced, sum(file.rows for file in events))


def _name_sources(connection: Connection, staged: Staged) -> None:
    mapping = ", ".join(f"({number}, {literal(sha)}, {literal(form)})" for number, (sha, form) in staged.names.items())
    connection.execute("CREATE TABLE source_names (source INTEGER, source_sha256 VARCHAR, form VARCHAR)")
    if mapping:
        connection.execute(f"INSERT INTO source_names VALUES {mapping}")


def _extents(
    connection: Connection, writer: Writer, staged: Staged, without: set[str]
) -> tuple[list[File], list[File]]:
    """Join runs that were cut where ranges met, add up the counts, and write both."""
    made: list[list[File]] = []
    if staged.runs:
        connection.execute(f"""
            CREATE TABLE new_runs AS
            WITH runs AS (SELECT * EXCLUDE (first_time, last_time), TRY_CAST(first_time AS TIMESTAMP) AS first_time,
                    TRY_CAST(last_time AS TIMESTAMP) AS last_time
                FROM {_parquet(staged.runs)}),
            marked AS (SELECT *, CASE WHEN first_record_id - 1 = LAG(last_record_id) OVER w THEN 0 ELSE 1 END AS begins
                FROM runs WINDOW w AS (PARTITION BY source, computer, channel
                    ORDER BY first_record_id, last_record_id, first_time, last_time, records)),
            numbered AS (SELECT *, SUM(begins) OVER (PARTITION BY source, computer, channel
                    ORDER BY first_record_id, last_record_id, first_time, last_time, records
                    ROWS UNBOUNDED PRECEDING) AS run FROM marked)
            SELECT source_sha256, form, computer, channel, MIN(first_record_id) AS first_record_id,
                MAX(last_record_id) AS last_record_id, CAST(SUM(records) AS BIGINT) AS records,
                MIN(first_time) AS first_time, MAX(last_time) AS last_time
            FROM numbered JOIN source_names USING (source)
            GROUP BY source_sha256, form, computer, channel, run""")
    else:
        columns = ", ".join(f"{column.name} {column.type}" for column in schema.EXTENTS)
        connection.execute(f"CREATE TABLE new_runs ({columns})")
    count_rows = f"""
        SELECT source_sha256, computer, channel, provider, event_id, TRY_CAST(day AS DATE) AS day,
            CAST(SUM(records) AS BIGINT) AS records, CAST(SUM(kept) AS BIGINT) AS kept
        FROM {_parquet(staged.counts)} JOIN source_names USING (source) GROUP BY ALL"""
    for name, new in (("extents", "FROM new_runs"), ("event_counts", count_rows if staged.counts else "")):
        listed: tuple[File, ...] = getattr(writer.manifest, name)
        files_now = list(listed)
        queries = [new] if new else []
        old = [writer.folder / file.path for file in listed]
        if old and (without or (staged.runs and len(old) >= MANY_FILES)):
            queries.append(f"FROM {_parquet(old)} WHERE {_kept(without)}")
            files_now = []
        if queries:
            query = " UNION ALL BY NAME ".join(queries)
            path = writer.staging / f"new-{name}.parquet"
            target = literal(str(path))
            connection.execute(f"COPY (FROM ({query}) ORDER BY ALL) TO {target} (FORMAT parquet, COMPRESSION zstd)")
            rows = connection.execute(f"SELECT COUNT(*) FROM {_parquet([path])}").fetchall()[0][0]
            if rows:
                files_now.append(File(writer.add(path, name), rows))
        made.append(files_now)
    return made[0], made[1]


def _find_overlaps(connection: Connection, writer: Writer) -> None:
    """Make the table `doubled`: logs (short, channel) in which one record may stand more than once."""
    known = [writer.folder / file.path for file in writer.manifest.extents]
    old = f"UNION ALL BY NAME SELECT * FROM {_parquet(known)}" if known else ""
    connection.execute(f"""
        CREATE TABLE all_runs AS
        SELECT *, {_SHORT.format("LOWER(TRIM(computer))")} AS short, LOWER(TRIM(channel)) AS log
        FROM (SELECT * FROM new_runs {old})""")
    connection.execute("""
        CREATE TABLE doubled AS
        WITH before AS (SELECT *, MAX(last_record_id) OVER (PARTITION BY short, log
                ORDER BY first_record_id, last_record_id, source_sha256, first_time, records
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
            FROM all_runs WHERE first_record_id IS NOT NULL)
        SELECT DISTINCT short, log FROM before
        WHERE reached >= first_record_id OR records - 1 > last_record_id - first_record_id
        UNION SELECT DISTINCT short, log FROM all_runs WHERE first_record_id IS NULL""")


def _kept(without: set[str]) -> str:
    """SQL that leaves out the rows of these sources."""
    return f"source_sha256 NOT IN ({', '.join(map(literal, sorted(without)))})" if without else "TRUE"


def _plan(connection: Connection, writer: Writer, staged: Staged, without: set[str], sources: dict[int, str]) -> _Plan:
    """The slices to write. Rows of the case that go into them are staged as well, and their sources numbered."""
    replaced = _to_replace(connection, writer, without)
    connection.execute("""
        CREATE TABLE histogram (file VARCHAR, batch INTEGER, day DATE, short VARCHAR, slot BIGINT, load BIGINT,
            compare BOOLEAN)""")
    _count(connection, staged.cells, "(short, LOWER(channel)) IN (SELECT (short, log) FROM doubled)")
    there: dict[date, list[File]] = defaultdict(list)
    for file in writer.manifest.events:
        there[date.fromisoformat(file.day or "")].append(file)
    days = connection.execute("SELECT day, SUM(load), BOOL_OR(compare) FROM histogram GROUP BY day").fetchall()
    own = _own_days({day: int(load) for day, load, _ in days if day}, set(there))
    folders: dict[date, bool] = {}
    for day, _, compare in days:
        folder = day if day in own else ODD_DAY
        folders[folder] = folders.get(folder, False) or compare
    if any(folders.values()) and ODD_DAY in there:
        folders[ODD_DAY] = True  # rows of any day may lie there
    for folder, compare in folders.items():
        small = [file.path for file in there[folder] if file.rows < SLICE_ROWS // 2]
        if compare:
            replaced.update(file.path for file in there[folder])
        elif len(small) >= MANY_FILES:
            replaced.update(small)
    _count(connection, _stage_again(connection, writer, replaced, without, sources), "TRUE")
    connection.execute("CREATE TABLE own (day DATE)")
    connection.execute("INSERT INTO own SELECT unnest(?::DATE[])", [sorted(own)])
    # a slice ends where the next cell would make it too large; the running sum is cut at multiples of the size
    found = connection.execute(f"""
        WITH placed AS (SELECT h.*, COALESCE(own.day, DATE '{ODD_DAY}') AS folder FROM histogram AS h
            LEFT JOIN own ON own.day = h.day),
        cells AS (SELECT folder, short, slot, SUM(load)::BIGINT AS load FROM placed GROUP BY folder, short, slot),
        numbered AS (SELECT folder, short, slot, (SUM(load) OVER (PARTITION BY folder ORDER BY short, slot
            ROWS UNBOUNDED PRECEDING) - load) // {SLICE_ROWS} AS part FROM cells)
        SELECT n.folder, MIN((short, slot)), MAX((short, slot)), LIST(DISTINCT (file, batch)), BOOL_OR(compare),
            SUM(placed.load)::BIGINT
        FROM numbered AS n JOIN placed USING (folder, short, slot)
        GROUP BY n.folder, part ORDER BY n.folder, part""").fetchall()
    parts = Counter(folder for folder, *_ in found)
    groups: list[list[_Slice]] = []
    room = 0
    for folder, low, high, inputs, compare, load in found:
        batches = tuple(sorted(staging.Batch(writer.staging / file, batch) for file, batch in inputs))
        part = _Slice(frozenset({folder}), staging.Cut(*low), staging.Cut(*high), batches, compare, load)
        whole = folder != ODD_DAY and parts[folder] == 1
        if whole and load <= room:  # small days are read together
            groups[-1].append(part)
            room -= load
        else:
            groups.append([part])
            room = SLICE_ROWS - load if whole else 0
    names = connection.execute("SELECT source_sha256, COUNT(DISTINCT short) FROM all_runs GROUP BY ALL").fetchall()
    hosts = dict(names)
    own_first = sorted(sources.values(), key=lambda sha256: (hosts.get(sha256, 0), sha256))
    places = {sha256: at for at, sha256 in enumerate(own_first)}
    return _Plan([_joined(group) for group in groups], own, replaced, places)


def _joined(group: list[_Slice]) -> _Slice:
    """Slices of whole folders as one."""
    return _Slice(
        frozenset().union(*(part.folders for part in group)),
        min(part.low for part in group),
        max(part.high for part in group),
        tuple(dict.fromkeys(batch for part in group for batch in part.batches)),
        any(part.compare for part in group),
        sum(part.load for part in group),
    )


def _count(connection: Connection, cells: list[Path], compare: str) -> None:
    """Add staged cells to the histogram."""
    if cells:
        connection.execute(f"""
            INSERT INTO histogram
            SELECT REPLACE(parse_filename(filename, true), 'cells', 'events') || '.arrow', batch, day, short, slot,
                SUM(load), BOOL_OR({compare})
            FROM {_parquet(cells, filename=True)} GROUP BY ALL""")


def _own_days(new: dict[date, int], there: set[date]) -> frozenset[date]:
    """The days that have a folder of their own: those that have one already, and of the new ones those with most rows.

    Days beyond sense have none, and no more than MOST_DAYS have one: a clock that runs wild would make a file of a row.
    """
    sensible = [day for day in new if SENSIBLE[0] <= day <= SENSIBLE[1]]
    sensible.sort(key=lambda day: (day not in there, -new[day], day))
    room = max(0, MOST_DAYS - len(there - set(sensible)))
    known = {day for day in sensible if day in there}
    return frozenset(known | set(sensible[:room]) | there - {ODD_DAY})


def _stage_again(
    connection: Connection, writer: Writer, paths: set[str], without: set[str], sources: dict[int, str]
) -> list[Path]:
    """Stage the rows of event files of the case like new ones; the cells of each."""
    numbers = {sha256: number for number, sha256 in sources.items()}
    free = count(-1, -1)  # those of sources that are read now are not negative
    cells: list[Path] = []
    for group in _together([file for file in writer.manifest.events if file.path in paths]):
        reader = connection.sql(f"""
            SELECT *, {_SHORT.format("computer_key")} AS short, CAST(time AS DATE) AS day
            FROM ({select(schema.COLUMNS, writer.folder, group)}) WHERE {_kept(without)}""").to_arrow_reader(2048)
        for rows in staging.heaped(map(_encoded, reader), SLICE_ROWS):
            sha256 = rows["source_sha256"].chunk(0)
            for new in set(sha256.dictionary.to_pylist()) - numbers.keys():
                numbers[new] = next(free)
            places = pa.array([numbers[each] for each in sha256.dictionary.to_pylist()], pa.int32())
            name = f"again.{len(cells)}"
            numbered = rows.drop_columns("source_sha256").append_column("source", places.take(sha256.indices))
            staging.write(writer.staging, name, numbered)
            cells.append(writer.staging / f"cells-{name}.parquet")
    sources.update({number: sha256 for sha256, number in numbers.items()})
    return cells


def _together(listed: list[File]) -> Iterator[list[File]]:
    """Files in groups that one query reads: it costs more than the few rows of a small one."""
    group: list[File] = []
    for file in sorted(listed, key=lambda file: (file.day or "", file.path)):
        if group and sum(each.rows for each in group) + file.rows > SLICE_ROWS:
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _encoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With text as staged rows have it."""
    for name in ("short", *_DICTIONARIES):
        batch = batch.set_column(batch.schema.get_field_index(name), name, batch[name].dictionary_encode())
    return batch


def _to_replace(connection: Connection, writer: Writer, without: set[str]) -> set[str]:
    """The event files of the case that hold rows of sources that were read again."""
    if not without or not writer.manifest.events:
        return set()
    paths = {writer.folder / file.path: file.path for file in writer.manifest.events}
    events = _parquet(list(paths), filename=True)
    found = connection.execute(f"SELECT DISTINCT filename FROM {events} WHERE NOT {_kept(without)}").fetchall()
    return {paths[Path(name)] for (name,) in found}


def _write(connection: Connection, writer: Writer, sources: dict[int, str], plan: _Plan, number: int) -> Iterator[File]:
    """Write one slice, and put it into its place. One that is too large for memory makes several files."""
    part = plan.slices[number]
    odd = ODD_DAY in part.folders
    fits = part.load <= 3 * SLICE_ROWS // 2
    days = plan.own if odd else part.folders

    def read() -> Iterator[pa.Table]:
        most = part.load + 1 if fits else SLICE_ROWS
        for rows in staging.read(part.batches, days, part.low, part.high, most=most, but=odd):
            yield _named(rows, sources)

    tables = list(read()) if fits else None
    copies = None
    if part.compare:
        copies = Copies(connection, plan.places)
        for rows in read() if tables is None else tables:
            copies.give(rows)
        copies.decide()
    for piece, given in enumerate(read() if tables is None else tables):
        rows = staging.in_order(copies.take(given) if copies else given, _ORDER if odd else ["day", *_ORDER])
        if not len(rows):
            continue
        ends = [len(rows)] if odd else pc.run_end_encode(rows["day"]).chunk(0).run_ends.to_pylist()
        for begin, end in pairwise([0, *ends]):
            own = rows.slice(begin, end - begin)
            day = ODD_DAY if odd else own["day"][0].as_py()
            path = writer.staging / f"slice-{number}-{piece}-{begin}.parquet"
            pq.write_table(
                pa.table({name: _written(own[name]) for name in _COLUMNS}),
                path,
                compression="zstd",
                compression_level=1,
                row_group_size=ROW_GROUP,
                use_dictionary=_DICTIONARIES,
                write_statistics=_STATISTICS,
                store_schema=False,
            )
            yield File(writer.add(path, f"events/day={day}"), len(own), str(day), len(_COLUMNS))


_ORDER = ["short", "time", "record_id", "uid", "source_sha256", "position"]
_DICTIONARIES = [column.name for column in schema.COLUMNS if column.type == "VARCHAR" and column.name != "data"]
_STATISTICS = ["computer", "computer_key", "channel", "event_id", "record_id", "time"]


def _written(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text with few distinct values as a dictionary, which each row group will have as a whole; else plain values."""
    if not pa.types.is_dictionary(values.type):
        return values
    few = MANY * sum(len(chunk.dictionary) for chunk in values.chunks) <= len(values)
    return values if few and values.type.value_type == pa.string() else values.cast(values.type.value_type)


def _named(rows: pa.Table, sources: dict[int, str]) -> pa.Table:
    """All columns of the schema, `short` and `day`, of the rows whose sources are known: others could not be hashed."""
    numbers = rows["source"].combine_chunks().dictionary_encode()
    if not set(numbers.dictionary.to_pylist()) <= set(sources):
        return _named(rows.filter(pc.is_in(rows["source"], pa.array(list(sources), pa.int32()))), sources)
    sha256 = pa.array([sources[number] for number in numbers.dictionary.to_pylist()], pa.string())
    made = {"source_sha256": pa.DictionaryArray.from_arrays(numbers.indices, sha256)}
    made |= {name: rows[name] for name in rows.column_names}
    return pa.table(
        {
            name: made[name] if name in made else pa.nulls(len(rows), STAGED.field(name).type)
            for name in [*_COLUMNS, "short", "day"]
        }
    )
