"""Staged rows into the case: copies taken out, sorted, one write a day.

A record counts once however often it arrives. Whether copies are possible is read off the runs of record ids: only
where two runs of one log of one host overlap are its rows compared, in the engine, a slice at a time. A slice is a
range of hosts and hours of one day that fits into memory; rows of one record always fall into one slice.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from logontracks import schema
from logontracks.case import File, Writer
from logontracks.engines.duckdb import Connection, connect, files, literal

SLICE_ROWS = 120_000
MANY_FILES = 8  # of one day, before they are made into one again
ODD_DAY = "1601-01-01"  # stands for all days beyond sense, and for none
SENSIBLE = ("1990-01-01", "2090-01-01")
MEMORY = "640MB"

# First label of a host name, by which short and full names meet; as sources.envelope.tail works it out
_SHORT = "CASE WHEN CONTAINS({0}, ':') OR REGEXP_FULL_MATCH({0}, '[0-9.]+') THEN {0} ELSE SPLIT_PART({0}, '.', 1) END"
_COLUMNS = [column.name for column in schema.COLUMNS]
_RICHNESS = " + ".join(f"({name} IS NOT NULL)::INTEGER" for name in _COLUMNS if name != "data")


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
    condition: str  # SQL on (short, hour)
    inputs: tuple[Path, ...]
    number: int


def merge(
    writer: Writer,
    staged: Staged,
    *,
    without: set[str],
    jobs: int,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Merged:
    """Write what is staged as files of the case; nothing is committed.

    What the case says of the extents of the sources `without` is left out: they were read again.
    """
    connection = connect(threads=jobs, memory=MEMORY, spill=writer.staging / "spill")
    mapping = ", ".join(f"({number}, {literal(sha)}, {literal(form)})" for number, (sha, form) in staged.names.items())
    connection.execute("CREATE TABLE source_names (source INTEGER, source_sha256 VARCHAR, form VARCHAR)")
    if mapping:
        connection.execute(f"INSERT INTO source_names VALUES {mapping}")
    extents, counts = _extents(connection, writer, staged, without)
    _find_overlaps(connection, writer, staged)
    slices, replaced = _plan(connection, writer, staged)
    events: list[File] = []
    with ThreadPoolExecutor(max_workers=max(1, min(jobs, 3))) as pool:
        for file in pool.map(lambda part: _write(connection, writer, staged, part, replaced), slices):
            if file is not None:
                events.append(file)
                on_progress(file.rows)
    rows = sum(file.rows for file in events)
    return Merged(events, extents, counts, replaced, rows)


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
                FROM read_parquet({files(staged.runs)})),
            marked AS (SELECT *, CASE WHEN first_record_id = 1 + LAG(last_record_id) OVER w THEN 0 ELSE 1 END AS begins
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
        FROM read_parquet({files(staged.counts)}) JOIN source_names USING (source) GROUP BY ALL"""
    kept = f"source_sha256 NOT IN ({', '.join(map(literal, sorted(without) or ['']))})"
    for name, query in (("extents", "FROM new_runs"), ("event_counts", count_rows if staged.counts else "")):
        listed: tuple[File, ...] = getattr(writer.manifest, name)
        files_now = list(listed)
        old = [writer.folder / file.path for file in listed]
        if old and without:
            found = f"FROM read_parquet({files(old)}, union_by_name = true) WHERE {kept}"
            query = f"{query} UNION ALL BY NAME {found}" if query else found
            files_now = []
        if query:
            path = writer.staging / f"new-{name}.parquet"
            target = literal(str(path))
            connection.execute(f"COPY (FROM ({query}) ORDER BY ALL) TO {target} (FORMAT parquet, COMPRESSION zstd)")
            rows = connection.execute(f"SELECT COUNT(*) FROM read_parquet({target})").fetchall()[0][0]
            if rows:
                to = f"{name}/{_name([*(sha for sha, _ in staged.names.values()), str(bool(without))])}.parquet"
                writer.add(path, to)
                files_now.append(File(to, rows))
        made.append(files_now)
    return made[0], made[1]


def _find_overlaps(connection: Connection, writer: Writer, staged: Staged) -> None:
    """Make the table `doubled`: logs (short, channel) in which one record may stand more than once."""
    known = [writer.folder / file.path for file in writer.manifest.extents]
    old = f"UNION ALL BY NAME SELECT * FROM read_parquet({files(known)}, union_by_name = true)" if known else ""
    connection.execute(f"""
        CREATE TABLE doubled AS
        WITH runs AS (SELECT *, {_SHORT.format("LOWER(TRIM(computer))")} AS short, LOWER(TRIM(channel)) AS log
            FROM (SELECT * FROM new_runs {old})),
        before AS (SELECT *, MAX(last_record_id) OVER (PARTITION BY short, log
                ORDER BY first_record_id, last_record_id, source_sha256, first_time, records
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
            FROM runs WHERE first_record_id IS NOT NULL)
        SELECT DISTINCT short, log FROM before
        WHERE reached >= first_record_id OR records > last_record_id - first_record_id + 1
        UNION SELECT DISTINCT short, log FROM runs WHERE first_record_id IS NULL""")


def _plan(connection: Connection, writer: Writer, staged: Staged) -> tuple[list[_Slice], set[str]]:
    """The slices to write, and which event files of the case go into them."""
    if not staged.events:
        return [], set()
    day = f"""CASE WHEN day BETWEEN DATE '{SENSIBLE[0]}' AND DATE '{SENSIBLE[1]}' THEN day ELSE DATE '{ODD_DAY}' END"""
    connection.execute(f"""
        CREATE TABLE histogram AS
        SELECT filename AS file, CAST({day} AS VARCHAR) AS day, short, {_HOUR} AS hour, COUNT(*) AS many,
            BOOL_OR((short, LOWER(channel)) IN (SELECT (short, log) FROM doubled)) AS doubled
        FROM read_parquet({files(staged.events)}, filename = true, union_by_name = true) GROUP BY ALL""")
    days = connection.execute("SELECT day, BOOL_OR(doubled) FROM histogram GROUP BY day ORDER BY day").fetchall()
    there: dict[str, list[File]] = defaultdict(list)
    for file in writer.manifest.events:
        there[file.day or ""].append(file)
    replaced = {
        file.path for name, doubled in days for file in there[name] if doubled or len(there[name]) >= MANY_FILES
    }
    old = [writer.folder / path for path in sorted(replaced)]
    if old:
        connection.execute(f"""
            INSERT INTO histogram
            SELECT file, CAST({day} AS VARCHAR), short, hour, COUNT(*), TRUE FROM (
                SELECT filename AS file, CAST(time AS DATE) AS day, {_SHORT.format("computer_key")} AS short,
                    {_HOUR} AS hour
                FROM read_parquet({files(old)}, filename = true, union_by_name = true, hive_partitioning = false))
            GROUP BY ALL""")
    cells = connection.execute("""
        SELECT day, short, hour, SUM(many)::BIGINT, LIST(DISTINCT file) FROM histogram
        GROUP BY day, short, hour ORDER BY day, short, hour""").fetchall()
    slices: list[_Slice] = []
    pending: list[tuple[str, int]] = []
    inputs: set[str] = set()
    rows = 0
    current = ""

    def close() -> None:
        nonlocal rows
        if pending:
            low, high = pending[0], pending[-1]
            first, last = literal(low[0]), literal(high[0])
            condition = (
                f"short BETWEEN {first} AND {last} AND (short > {first} OR hour >= {low[1]})"
                f" AND (short < {last} OR hour <= {high[1]})"
            )
            paths = tuple(Path(name) for name in sorted(inputs))
            slices.append(_Slice(current, condition, paths, len(slices)))
        pending.clear()
        inputs.clear()
        rows = 0

    for name, short, hour, many, holding in cells:
        if name != current or rows + many > SLICE_ROWS:
            close()
            current = name
        pending.append((short, hour))
        inputs.update(holding)
        rows += many
    close()
    return slices, replaced


_HOUR = "COALESCE(epoch_us(time) // 600000000, 0)"
"""The unit slices are cut by: ten minutes. Copies of one record fall into the same second, so into the same unit."""


def _write(connection: Connection, writer: Writer, staged: Staged, part: _Slice, replaced: set[str]) -> File | None:
    """Write one slice, and put it into its place."""
    cursor = connection.cursor()
    known = {writer.folder / path for path in replaced}
    new = [path for path in part.inputs if path not in known]
    old = [path for path in part.inputs if path in known]
    parts = []
    if new:
        parts.append(
            f"SELECT *, {_HOUR} AS hour FROM read_parquet({files(new)}, union_by_name = true) JOIN source_names USING (source, form)"
        )
    if old:
        parts.append(
            f"SELECT *, {_SHORT.format('computer_key')} AS short, CAST(time AS DATE) AS day, {_HOUR} AS hour "
            f"FROM read_parquet({files(old)}, union_by_name = true, hive_partitioning = false)"
        )
    on_day = f"day = DATE '{part.day}'"
    if part.day == ODD_DAY:
        on_day = f"(day NOT BETWEEN DATE '{SENSIBLE[0]}' AND DATE '{SENSIBLE[1]}' OR day IS NULL)"
    rows = f"SELECT * FROM ({' UNION ALL BY NAME '.join(parts)}) WHERE {on_day} AND {part.condition}"
    doubled = "(short, LOWER(channel)) IN (SELECT (short, log) FROM doubled)"
    compared = cursor.execute(f"SELECT COUNT(*) FROM ({rows}) WHERE {doubled}").fetchall()[0][0] if parts else 0
    names = ", ".join(_COLUMNS)
    query = f"SELECT {names}, short FROM ({rows})"
    if compared:
        query = f"{query} WHERE NOT {doubled} UNION ALL SELECT {names}, short FROM ({_once(f'{rows} AND {doubled}')})"
    path = writer.staging / f"slice-{part.number}.parquet"
    cursor.execute(f"""
        COPY (SELECT {names} FROM ({query}) ORDER BY short, time NULLS FIRST, record_id NULLS FIRST, uid, source_sha256, position)
        TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 30720)""")
    found = cursor.execute(f"""
        SELECT COUNT(*), COALESCE(MIN(uid), 0), COALESCE(MAX(uid), 0), CAST(SUM(uid % 4294967291) AS BIGINT),
            string_agg(DISTINCT source_sha256, ',' ORDER BY source_sha256)
        FROM read_parquet({literal(str(path))})""").fetchall()[0]
    if not found[0]:
        return None
    to = f"events/day={part.day}/{_name(map(str, found))}.parquet"
    writer.add(path, to)
    return File(to, found[0], part.day)


def _once(rows: str) -> str:
    """SQL that leaves one of each record's copies: the one that says most.

    Copies have the same host (a short and a full name are one when only one full name fits), log, record id, event
    id and time, compared at the coarsest precision among them. Without record ids only copies of one form are
    compared, by all they say, and the n-th of equal ones in one source is a copy of the n-th in another.
    """
    record = "PARTITION BY short, LOWER(channel), record_id, event_id, form_without_id, uid"
    return f"""
        SELECT * FROM (
            SELECT *, ROW_NUMBER() OVER (
                {record}, moment, host, nth
                ORDER BY {_RICHNESS} DESC, strlen(data) DESC NULLS LAST, source_sha256, position) AS choice
            FROM (
                SELECT *,
                    epoch_us(time) // MAX(time_precision_us) OVER ({record}) AS moment,
                    CASE WHEN MIN(full_name) OVER ({record}) <> MAX(full_name) OVER ({record}) THEN computer_key END AS host,
                    CASE WHEN record_id IS NULL THEN ROW_NUMBER() OVER (
                        PARTITION BY source_sha256, uid, record_id ORDER BY position) END AS nth
                FROM (
                    SELECT *, CASE WHEN CONTAINS(computer_key, '.') THEN computer_key END AS full_name,
                        CASE WHEN record_id IS NULL THEN form END AS form_without_id
                    FROM ({rows})
                )
            )
        ) WHERE choice = 1"""


def _name(parts: Iterable[str]) -> str:
    """A file name that follows from what the file holds."""
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:24]
