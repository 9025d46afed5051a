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
from pathlib import Path

from logontracks import schema
from logontracks.case import File, Writer
from logontracks.engines.duckdb import Connection, connect, files, literal
from logontracks.normalize import PRIME

SLICE_ROWS = 120_000
MANY_FILES = 8  # of one day that are far from full, before they are made into one again
ODD_DAY = "1601-01-01"  # stands for all days beyond sense, and for none
SENSIBLE = ("1990-01-01", "2090-01-01")
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

    events: list[Path]
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
    day: str
    condition: str  # SQL on (short, slot)
    new: tuple[Path, ...]
    old: tuple[Path, ...]
    number: int


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
        with ThreadPoolExecutor(max_workers=max(1, min(jobs, 3))) as pool:
            try:
                for file in pool.map(lambda part: _write(connection, writer, part, without, numbered=numbered), slices):
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
    if not staged.events and not replaced:
        return [], set()
    day = f"""CASE WHEN day BETWEEN DATE '{SENSIBLE[0]}' AND DATE '{SENSIBLE[1]}' THEN day ELSE DATE '{ODD_DAY}' END"""
    connection.execute("""
        CREATE TABLE histogram (file VARCHAR, day VARCHAR, short VARCHAR, slot BIGINT, many BIGINT, doubled BOOLEAN)""")
    if staged.events:
        connection.execute(f"""
            INSERT INTO histogram
            SELECT filename, CAST({day} AS VARCHAR), short, {_SLOT} AS slot, COUNT(*),
                BOOL_OR((short, LOWER(channel)) IN (SELECT (short, log) FROM doubled))
            FROM {_parquet(staged.events, filename=True)} GROUP BY filename, {day}, short, slot""")
    days = connection.execute("SELECT day, BOOL_OR(doubled) FROM histogram GROUP BY day ORDER BY day").fetchall()
    there: dict[str, list[File]] = defaultdict(list)
    for file in writer.manifest.events:
        there[file.day or ""].append(file)
    for name, doubled in days:
        small = [file.path for file in there[name] if file.rows < SLICE_ROWS // 2]
        if doubled:
            replaced.update(file.path for file in there[name])
        elif len(small) >= MANY_FILES:
            replaced.update(small)
    old = {writer.folder / path for path in replaced}
    if old:
        connection.execute(f"""
            INSERT INTO histogram
            SELECT file, CAST({day} AS VARCHAR), short, slot, COUNT(*), TRUE FROM (
                SELECT filename AS file, CAST(time AS DATE) AS day, {_SHORT.format("computer_key")} AS short,
                    {_SLOT} AS slot
                FROM {_parquet(sorted(old), filename=True)})
            GROUP BY ALL""")
    # a slice ends where the next cell would make it too large; the running sum is cut at multiples of the size
    found = connection.execute(f"""
        WITH cells AS (SELECT day, short, slot, SUM(many)::BIGINT AS many FROM histogram GROUP BY day, short, slot),
        numbered AS (SELECT day, short, slot, (SUM(many) OVER (PARTITION BY day ORDER BY short, slot
            ROWS UNBOUNDED PRECEDING) - many) // {SLICE_ROWS} AS part FROM cells)
        SELECT n.day, MIN(short), MAX(short), MIN_BY(slot, (short, slot)), MAX_BY(slot, (short, slot)),
            LIST(DISTINCT file ORDER BY file)
        FROM numbered AS n JOIN histogram USING (day, short, slot)
        GROUP BY n.day, part ORDER BY n.day, part""").fetchall()
    slices = []
    for number, (name, first, last, low, high, holding) in enumerate(found):
        condition = (
            f"short BETWEEN {literal(first)} AND {literal(last)} AND (short > {literal(first)} OR slot >= {low})"
            f" AND (short < {literal(last)} OR slot <= {high})"
        )
        paths = set(map(Path, holding))
        slices.append(_Slice(name, condition, tuple(sorted(paths - old)), tuple(sorted(paths & old)), number))
    return slices, replaced


def _to_replace(connection: Connection, writer: Writer, without: set[str]) -> set[str]:
    """The event files of the case that hold rows of sources that were read again."""
    if not without or not writer.manifest.events:
        return set()
    paths = {writer.folder / file.path: file.path for file in writer.manifest.events}
    events = _parquet(list(paths), filename=True)
    found = connection.execute(f"SELECT DISTINCT filename FROM {events} WHERE NOT {_kept(without)}").fetchall()
    return {paths[Path(name)] for (name,) in found}


_SLOT = "COALESCE(epoch_us(time) // 600000000, 0)"
"""The unit slices are cut by: ten minutes. Copies of one record fall into the same second, so into the same unit."""


def _write(connection: Connection, writer: Writer, part: _Slice, without: set[str], *, numbered: bool) -> File | None:
    """Write one slice, and put it into its place. `numbered`: all new rows have a record id."""
    cursor = connection.cursor()
    parts = []
    if part.new:
        named = f"SELECT *, {_SLOT} AS slot FROM {_parquet(list(part.new))} JOIN source_names USING (source, form)"
        parts.append(named if numbered else _with_uid(named))
    if part.old:
        parts.append(
            f"SELECT *, {_SHORT.format('computer_key')} AS short, CAST(time AS DATE) AS day, {_SLOT} AS slot "
            f"FROM {_parquet(list(part.old))} WHERE {_kept(without)}"
        )
    on_day = f"day = DATE '{part.day}'"
    if part.day == ODD_DAY:
        on_day = f"(day NOT BETWEEN DATE '{SENSIBLE[0]}' AND DATE '{SENSIBLE[1]}' OR day IS NULL)"
    rows = f"SELECT * FROM ({' UNION ALL BY NAME '.join(parts)}) WHERE {on_day} AND {part.condition}"
    doubled = "(short, LOWER(channel)) IN (SELECT (short, log) FROM doubled)"
    compared = cursor.execute(f"SELECT COUNT(*) FROM ({rows}) WHERE {doubled}").fetchall()[0][0]
    names = ", ".join(_COLUMNS)
    query = f"SELECT {names}, short FROM ({rows})"
    if compared:
        query = f"{query} WHERE NOT {doubled} UNION ALL SELECT {names}, short FROM ({_once(f'{rows} AND {doubled}')})"
    path = writer.staging / f"slice-{part.number}.parquet"
    cursor.execute(f"""
        COPY (SELECT {names} FROM ({query})
            ORDER BY short, time NULLS FIRST, record_id NULLS FIRST, uid, source_sha256, position)
        TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30720)""")
    ((written,),) = cursor.execute(f"SELECT COUNT(*) FROM {_parquet([path])}").fetchall()
    return File(writer.add(path, f"events/day={part.day}"), written, part.day) if written else None


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
