"""Staged rows into the case: copies taken out, sorted, one write a day.

A record counts once however often it arrives. Whether copies are possible is read off the runs of record ids: only
where two runs of one log of one host overlap are its rows compared, in the engine, a slice at a time. A slice is a
range of hosts and ten-minute slots of one day that fits into memory; rows of one record always fall into one slice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logontracks import schema, staging
from logontracks.case import File, Writer
from logontracks.engines.duckdb import Connection, connect, files, literal
from logontracks.normalize import PRIME, STAGED

SLICE_ROWS = 40_000
ROW_GROUP = 30_720
MANY = 8  # a dictionary with more than a row in so many is not worth its place
MANY_FILES = 8  # of one day that are far from full, before they are made into one again
ODD_DAY = date(1601, 1, 1)  # stands for all days beyond sense, and for none
MEMORY = "640MB"

# First label of a host name, by which short and full names meet; as sources.envelope.tail works it out
_SHORT = (
    "CASE WHEN CONTAINS({0}, ':') OR REGEXP_FULL_MATCH({0}, '[.]*[0-9][0-9.]*') THEN {0}"
    " ELSE SPLIT_PART({0}, '.', 1) END"
)
_COLUMNS = [column.name for column in schema.COLUMNS]
_RICHNESS = " + ".join(f"({name} IS NOT NULL)::INTEGER" for name in _COLUMNS if name != "data")
_SAID = ", ".join(
    f"COALESCE(CAST({name} AS VARCHAR), chr(1))"
    for name in ["short", *_COLUMNS]
    if name not in {"uid", "source_sha256", "position", "computer", "computer_key"}
)
"""All that a record says, as far as copies of it say the same. Needed where it has no record id."""


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
    """Rows of one day between two cuts. `compare`: there may be copies among them."""

    number: int
    day: date
    low: staging.Cut
    high: staging.Cut
    new: tuple[staging.Batch, ...]
    old: tuple[Path, ...]
    compare: bool


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
        slices, replaced = _plan(connection, writer, staged, without)
        ((numbered,),) = connection.execute("SELECT COUNT(*) = COUNT(first_record_id) FROM new_runs").fetchall()
        events: list[File] = []

        def write(part: _Slice) -> File | None:
            return _write(connection, writer, staged, part, without, numbered=numbered)

        with ThreadPoolExecutor(max_workers=max(1, min(jobs, 4))) as pool:
            try:
                for file in pool.map(write, slices):
                    if file is not None:
                        events.append(file)
                        on_progress(file.rows)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return Merged(events, extents, counts, replaced, sum(file.rows for file in events))


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
        CREATE TABLE doubled AS
        WITH runs AS (SELECT *, {_SHORT.format("LOWER(TRIM(computer))")} AS short, LOWER(TRIM(channel)) AS log
            FROM (SELECT * FROM new_runs {old})),
        before AS (SELECT *, MAX(last_record_id) OVER (PARTITION BY short, log
                ORDER BY first_record_id, last_record_id, source_sha256, first_time, records
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
            FROM runs WHERE first_record_id IS NOT NULL)
        SELECT DISTINCT short, log FROM before
        WHERE reached >= first_record_id OR records - 1 > last_record_id - first_record_id
        UNION SELECT DISTINCT short, log FROM runs WHERE first_record_id IS NULL""")


def _kept(without: set[str]) -> str:
    """SQL that leaves out the rows of these sources."""
    return f"source_sha256 NOT IN ({', '.join(map(literal, sorted(without)))})" if without else "TRUE"


def _plan(connection: Connection, writer: Writer, staged: Staged, without: set[str]) -> tuple[list[_Slice], set[str]]:
    """The slices to write, and which event files of the case go into them."""
    replaced = _to_replace(connection, writer, without)
    if not staged.cells and not replaced:
        return [], set()
    connection.execute("""
        CREATE TABLE histogram (file VARCHAR, batch INTEGER, day DATE, short VARCHAR, slot BIGINT, many BIGINT,
            compare BOOLEAN)""")
    if staged.cells:
        connection.execute(f"""
            INSERT INTO histogram
            SELECT REPLACE(parse_filename(filename, true), 'cells', 'events') || '.arrow', batch, {_DAY}, short, slot,
                SUM(many), BOOL_OR((short, LOWER(channel)) IN (SELECT (short, log) FROM doubled))
            FROM {_parquet(staged.cells, filename=True)} GROUP BY ALL""")
    days = connection.execute("SELECT day, BOOL_OR(compare) FROM histogram GROUP BY day ORDER BY day").fetchall()
    there: dict[str, list[File]] = defaultdict(list)
    for file in writer.manifest.events:
        there[file.day or ""].append(file)
    for day, compare in days:
        files_of_day = there[str(day)]
        small = [file.path for file in files_of_day if file.rows < SLICE_ROWS // 2]
        if compare:
            replaced.update(file.path for file in files_of_day)
        elif len(small) >= MANY_FILES:
            replaced.update(small)
    old = [writer.folder / path for path in sorted(replaced)]
    if old:
        connection.execute(f"""
            INSERT INTO histogram
            SELECT file, NULL, {_DAY}, short, slot, COUNT(*), TRUE FROM (
                SELECT filename AS file, CAST(time AS DATE) AS day, {_SHORT.format("computer_key")} AS short,
                    {_SLOT} AS slot
                FROM {_parquet(old, filename=True)})
            GROUP BY ALL""")
    # a slice ends where the next cell would make it too large; the running sum is cut at multiples of the size
    found = connection.execute(f"""
        WITH cells AS (SELECT day, short, slot, SUM(many)::BIGINT AS many FROM histogram GROUP BY day, short, slot),
        numbered AS (SELECT day, short, slot, (SUM(many) OVER (PARTITION BY day ORDER BY short, slot
            ROWS UNBOUNDED PRECEDING) - many) // {SLICE_ROWS} AS part FROM cells)
        SELECT n.day, MIN((short, slot)), MAX((short, slot)), LIST(DISTINCT (file, batch)), BOOL_OR(compare),
            SUM(histogram.many)::BIGINT
        FROM numbered AS n JOIN histogram USING (day, short, slot)
        GROUP BY n.day, part ORDER BY n.day, part""").fetchall()
    slices: list[_Slice] = []
    for day, low, high, inputs, compare, many in found:
        new = sorted(staging.Batch(writer.staging / file, batch) for file, batch in inputs if batch is not None)
        known = sorted(Path(file) for file, batch in inputs if batch is None)
        # a flood may put more into one cell than memory holds: its batches part where nothing has to be compared
        step = len(new) if compare else max(1, len(new) * 2 * SLICE_ROWS // many)
        for begin in range(0, max(len(new), 1), max(step, 1)):
            batches, number = tuple(new[begin : begin + step]), len(slices)
            slices.append(_Slice(number, day, staging.Cut(*low), staging.Cut(*high), batches, tuple(known), compare))
    return slices, replaced


def _to_replace(connection: Connection, writer: Writer, without: set[str]) -> set[str]:
    """The event files of the case that hold rows of sources that were read again."""
    if not without or not writer.manifest.events:
        return set()
    paths = {writer.folder / file.path: file.path for file in writer.manifest.events}
    events = _parquet(list(paths), filename=True)
    found = connection.execute(f"SELECT DISTINCT filename FROM {events} WHERE NOT {_kept(without)}").fetchall()
    return {paths[Path(name)] for (name,) in found}


_SLOT = f"COALESCE(epoch_us(time) // {staging.SLOT_US}, 0)"
_DAY = f"""CASE WHEN day BETWEEN DATE '{staging.SENSIBLE[0]}' AND DATE '{staging.SENSIBLE[1]}' THEN day
    ELSE DATE '{ODD_DAY}' END"""


def _write(
    connection: Connection, writer: Writer, staged: Staged, part: _Slice, without: set[str], *, numbered: bool
) -> File | None:
    """Write one slice, and put it into its place. `numbered`: all new rows have a record id."""
    new = staging.read(part.new, None if part.day == ODD_DAY else part.day, part.low, part.high)
    named = _named(new, staged.names)
    if part.compare or not numbered:
        rows = _compared(connection, part, named, without, numbered=numbered)
    else:
        rows = staging.in_order(named, _ORDER).select(_COLUMNS)
    if not len(rows):
        return None
    path = writer.staging / f"slice-{part.number}.parquet"
    columns = {name: _written(rows[name]) for name in _COLUMNS}
    pq.write_table(
        pa.table(columns),
        path,
        compression="zstd",
        compression_level=1,
        row_group_size=ROW_GROUP,
        use_dictionary=_DICTIONARIES,
        write_statistics=_STATISTICS,
        store_schema=False,
    )
    return File(writer.add(path, f"events/day={part.day}"), len(rows), str(part.day))


_ORDER = ["short", "time", "record_id", "uid", "source_sha256", "position"]
_DICTIONARIES = [column.name for column in schema.COLUMNS if column.type == "VARCHAR" and column.name != "data"]
_STATISTICS = ["computer", "computer_key", "channel", "event_id", "record_id", "time"]


def _written(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text with few distinct values as a dictionary, which each row group will have as a whole; else plain values."""
    if not pa.types.is_dictionary(values.type):
        return values
    few = MANY * sum(len(chunk.dictionary) for chunk in values.chunks) <= len(values)
    return values if few and values.type.value_type == pa.string() else values.cast(values.type.value_type)


def _named(rows: pa.Table, names: dict[int, tuple[str, str]]) -> pa.Table:
    """All columns of the schema, and `short`, of the rows whose sources have names: the others' could not be hashed."""
    sources = rows["source"].combine_chunks().dictionary_encode()
    if not set(sources.dictionary.to_pylist()) <= set(names):
        return _named(rows.filter(pc.is_in(rows["source"], pa.array(list(names), pa.int32()))), names)
    sha256 = pa.array([names[number][0] for number in sources.dictionary.to_pylist()], pa.string())
    made = {"source_sha256": pa.DictionaryArray.from_arrays(sources.indices, sha256)}
    made |= {name: rows[name] for name in rows.column_names}
    return pa.table(
        {
            name: made[name] if name in made else pa.nulls(len(rows), STAGED.field(name).type)
            for name in [*_COLUMNS, "short"]
        }
    )


def _compared(connection: Connection, part: _Slice, new: pa.Table, without: set[str], *, numbered: bool) -> pa.Table:
    """The rows of a slice in order, with those that the case has already, each record once."""
    cursor = connection.cursor()
    cursor.register("new_rows", new)
    parts = ["FROM new_rows" if numbered else _with_uid("FROM new_rows")]
    if part.old:
        first, last = literal(part.low.short), literal(part.high.short)
        inside = (
            f"short BETWEEN {first} AND {last} AND (short > {first} OR slot >= {part.low.slot})"
            f" AND (short < {last} OR slot <= {part.high.slot})"
        )
        parts.append(
            f"SELECT * EXCLUDE (day, slot) FROM (SELECT *, {_SHORT.format('computer_key')} AS short, {_SLOT} AS slot,"
            f" CAST(time AS DATE) AS day FROM {_parquet(list(part.old))} WHERE {_kept(without)})"
            f" WHERE {_DAY} = DATE '{part.day}' AND {inside}"
        )
    names = ", ".join(_COLUMNS)
    rows = f"SELECT {names}, short FROM ({' UNION ALL BY NAME '.join(parts)})"
    doubled = "(short, LOWER(channel)) IN (SELECT (short, log) FROM doubled)"
    once = f"SELECT {names}, short FROM ({_once(f'{rows} WHERE {doubled}')})"
    query = f"SELECT {names} FROM ({rows} WHERE NOT {doubled} UNION ALL {once}) ORDER BY "
    return cursor.sql(query + ", ".join(f"{name} NULLS FIRST" for name in _ORDER)).to_arrow_table()


def _with_uid(rows: str) -> str:
    """SQL that gives rows without a record id their uid: of all they say, and of which of equal ones it is."""
    return f"""
        SELECT * EXCLUDE (said) FROM (
            SELECT * REPLACE (CAST(md5_number_lower(concat_ws(chr(2), said, CAST(ROW_NUMBER() OVER (
                PARTITION BY source_sha256, said ORDER BY position) AS VARCHAR))) % {PRIME} AS BIGINT) AS uid)
            FROM (SELECT *, concat_ws(chr(2), {_SAID}) AS said FROM ({rows}) WHERE record_id IS NULL))
        UNION ALL BY NAME SELECT * FROM ({rows}) WHERE record_id IS NOT NULL"""


def _once(rows: str) -> str:
    """SQL that leaves one of each record's copies: the one that says most.

    Copies have the same host, log, record id, event id and second; without record ids only copies of one form are
    compared, by all they say, and the n-th of equal ones in one source is a copy of the n-th in another. A host's
    full name goes before its short one, which may stand for any full one; then a finer time before a coarser one that
    it agrees with; then what says more. So the choice does not depend on the order in which copies arrive.
    """
    record = "PARTITION BY short, LOWER(channel), record_id, event_id, form_without_id, uid"
    step = "COALESCE(time_precision_us, 1)"
    return f"""
        SELECT * FROM (
            SELECT *, ROW_NUMBER() OVER (
                {record}, computer_key, step, moment
                ORDER BY {_RICHNESS} DESC, strlen(data) DESC NULLS LAST, source_sha256, position) AS choice
            FROM (
                SELECT *, epoch_us(time) // step AS moment,
                    MIN(step) OVER ({record}, computer_key) AS finest,
                    MIN(step) OVER ({record}, computer_key, epoch_us(time) // 1000) AS finest_of_ms
                FROM (
                    SELECT *, {step} AS step, CONTAINS(computer_key, '.') AS is_full,
                        BOOL_OR(CONTAINS(computer_key, '.')) OVER ({record}) AS full_is_known
                    FROM (SELECT *, CASE WHEN record_id IS NULL THEN form END AS form_without_id FROM ({rows}))
                )
                WHERE is_full OR NOT full_is_known
            )
            WHERE step <= CASE WHEN step > 1000 THEN finest ELSE finest_of_ms END
        ) WHERE choice = 1"""
