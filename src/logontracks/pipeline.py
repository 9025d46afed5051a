"""The whole program on one screen: sources are read, normalized, merged into the case, committed."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from logontracks import address_list, progress, schema
from logontracks.build import is_current, work_out
from logontracks.case import Case, Writer, writing
from logontracks.errors import SourceError
from logontracks.manifest import File, Manifest, SourceEntry
from logontracks.merge import Staged, merge
from logontracks.pool import Result, read_all
from logontracks.sources import PIECE_BYTES, Range, Rejected, Source, find, pieces
from logontracks.sources.envelope import Problem

TASK_BYTES = 64 << 20  # of logs that a worker reads in one go, at most, and what goes over it
TASKS_A_JOB = 8  # at least, if there is so much to read


@dataclass(frozen=True, slots=True)
class Summary:
    """What an ingest did. Sizes in bytes, times in seconds."""

    files: int
    known: int  # files that were in the case already
    not_logs: int  # files in folders that hold no log we read
    records: int
    kept: int
    duplicates: int
    problems: int  # losses and doubts
    hosts: int
    first: datetime | None
    last: datetime | None
    bytes: int
    seconds: float  # without the tables
    addresses: int | None = None  # stretches of a given list; None without one
    sessions: int | None = None  # None where the tables were not worked out
    accounts: int | None = None
    failures: int | None = None
    tables_seconds: float = 0.0

    def lines(self) -> list[str]:
        """The closing sum, for people."""
        rate = f", {self.records / self.seconds:,.0f} records/s" if self.records and self.seconds else ""
        lines = []
        if self.files or self.addresses is None:
            lines += [
                f"Read     {self.files:,} files ({self.bytes / 1e6:,.1f} MB) in {self.seconds:.1f} s{rate}",
                f"Records  {self.records:,} read, {self.kept:,} kept, {self.duplicates:,} of them copies",
            ]
        if self.known:
            lines.append(f"Known    {self.known:,} files were in the case already")
        if self.not_logs:
            lines.append(f"Left     {self.not_logs:,} files that hold no log of a form we read")
        if self.addresses is not None:
            lines.append(f"List     {self.addresses:,} stretches of machines at addresses, in place of any before")
        if self.hosts and self.first and self.last:
            lines.append(
                f"Case     {self.hosts:,} hosts, {self.first:%Y-%m-%d %H:%M} to {self.last:%Y-%m-%d %H:%M} UTC"
            )
        if self.sessions is not None:
            lines.append(
                f"Tables   {self.sessions:,} sessions, {self.accounts:,} accounts, {self.failures:,} failed logons,"
                f" worked out in {self.tables_seconds:.1f} s"
            )
        return lines


def ingest(
    paths: Sequence[Path],
    case: Path,
    *,
    jobs: int | None = None,
    activity: bool = True,
    source_tz: str | None = None,
    patience: float = 1.0,
    addresses: Path | None = None,
    tables: bool = True,
    watcher: progress.Watcher = progress.SILENT,
) -> Summary:
    """Read files and folders into a case, and work out its tables unless `tables` is off. What is in the case already,
    and copies of records, add nothing. `addresses` is a list as `address_list` reads it; it replaces an earlier one.

    Raises SourceError when nothing in `paths`, or not all of `addresses`, can be read, CaseError when the case cannot
    be written.
    """
    begun = time.monotonic()
    given = address_list.read(addresses, ZoneInfo(source_tz) if source_tz else None) if addresses else None
    jobs = jobs or os.cpu_count() or 1
    found = list(find(paths, leave_out=case))
    rejected = [each for each in found if isinstance(each, Rejected)]
    sources = [each for each in found if isinstance(each, Source)]
    if not sources and (paths or given is None):
        named = [f"{each.name}: {each.problem.what}" for each in rejected if each.asked][:3]
        raise SourceError(
            "nothing to read" + (": " + "; ".join(named) if named else f" in {', '.join(map(str, paths))}"),
            "give logs in a form that `logontracks formats` lists, or a folder that holds some",
        )
    with writing(case) as writer:
        watcher.phase("comparing with the case")
        new, sha256 = _not_yet_read(sources, writer.manifest, activity=activity, source_tz=source_tz, jobs=jobs)
        watcher.start(sum(source.size_bytes for source in new), len(new))
        with ThreadPoolExecutor(max_workers=1) as hasher:
            try:
                hashes = {s.number: hasher.submit(_sha256, s.path) for s in new if s.number not in sha256}
                result = read_all(
                    _tasks(new, jobs),
                    staging=writer.staging,
                    jobs=jobs,
                    patience=patience,
                    on_progress=_safely(watcher),
                )
                sha256 |= {number: digest for number, future in hashes.items() if (digest := future.result())}
            finally:
                hasher.shutdown(wait=False, cancel_futures=True)
        new, unread = _without_unreadable(new, sha256, result)
        rejected += unread
        watcher.phase("sorting and writing")
        lost = _finish(writer, new, sha256, result, rejected, given=given, jobs=jobs)
        seconds = time.monotonic() - begun
        if tables and not is_current(Case(case)):
            work_out(writer, watcher=watcher)
    watcher.finish()
    return Summary(
        files=len(new),
        known=len(sources) - len(new),
        not_logs=sum(not each.asked for each in rejected),
        records=sum(result.records.get(source.number, 0) for source in new),
        kept=result.rows,
        problems=lost,
        addresses=None if given is None else len(given),
        bytes=sum(source.size_bytes for source in new),
        seconds=seconds,
        tables_seconds=time.monotonic() - begun - seconds,
        **_outcome(case, {sha256[source.number] for source in new}),
    )


def _outcome(case: Path, read: set[str]) -> dict[str, Any]:
    """What the case holds now, and how many kept records of these sources were copies of others."""
    held = Case(case)
    told = is_current(held)
    count = "(SELECT COUNT(*) FROM hosts)" if told else "COUNT(DISTINCT computer_key)"
    tables = ", ".join(f"(SELECT {what})" for what in (
        "COUNT(*) FROM sessions", "COUNT(*) FROM accounts", "SUM(attempts) FROM failures"))  # fmt: skip
    entries, ((hosts, first, last),), ((sessions, accounts, failures),) = held.read(
        lambda connection: (
            connection.sql("SELECT sha256, duplicates FROM sources").fetchall(),
            connection.sql(f"SELECT {count}, MIN(time), MAX(time) FROM events").fetchall(),
            connection.sql(f"SELECT {tables}").fetchall() if told else [(None, None, None)],
        )
    )
    return {
        "duplicates": sum(int(number) for sha256, number in entries if sha256 in read),
        "hosts": hosts,
        "first": first,
        "last": last,
        "sessions": sessions,
        "accounts": accounts,
        "failures": int(failures or 0) if told else None,
    }


def _not_yet_read(
    sources: list[Source], manifest: Manifest, *, activity: bool, source_tz: str | None, jobs: int
) -> tuple[list[Source], dict[int, str]]:
    """The sources that would add something, and the hashes worked out on the way: only files of equal size need one.

    A source that was read before keeps what its options asked for then: reading it again takes nothing away.
    """
    known = {entry.sha256: entry for entry in manifest.sources}
    sizes = Counter(source.size_bytes for source in sources)
    sizes.update({entry.size_bytes for entry in manifest.sources})
    same_size = [source for source in sources if sizes[source.size_bytes] > 1]
    with ThreadPoolExecutor(jobs) as hashers:
        digests = hashers.map(_sha256, [source.path for source in same_size])
        hashed = {source.number: digest for source, digest in zip(same_size, digests, strict=True)}
    sha256: dict[int, str] = {}
    new: list[Source] = []
    seen: set[str] = set()
    for source in sources:
        entry = None
        if source.number in hashed:
            digest = hashed[source.number]
            entry = known.get(digest or "")
            if digest in seen or (entry and entry.covers(activity=activity, source_tz=source_tz)):
                continue
            if digest:
                sha256[source.number] = digest
                seen.add(digest)
        keep = activity or (entry is not None and entry.activity)
        zone = source_tz or (entry.source_tz if entry else None)
        new.append(replace(source, activity=keep, source_tz=None if source.form == "evtx" else zone))
    return new, sha256


def _sha256(path: Path) -> str | None:
    """None when the file cannot be read, which reading its records tells more about."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _without_unreadable(
    sources: list[Source], sha256: dict[int, str], result: Result
) -> tuple[list[Source], list[Rejected]]:
    """Sources that were read to their end, and those where the disk refused: they stay out, to be read another time."""
    read: list[Source] = []
    unread: list[Rejected] = []
    for source in sources:
        why = result.unreadable.get(source.number) or (None if source.number in sha256 else "it is gone")
        if why is None:
            read.append(source)
        else:
            unread.append(Rejected(source.name, Problem("", "lost", f"it cannot be read: {why}"), asked=True))
    return read, unread


def _tasks(sources: list[Source], jobs: int) -> list[list[Range]]:
    """Ranges in groups: few groups cost less, many spread better over the workers.

    Large sources come first, so that no worker is late with one; small ones stay in the order of their names, so that
    the hosts of a group are neighbours in the slices they are merged in.
    """
    ranges = [(part, source) for source in sources for part in pieces(source)]
    ranges.sort(key=lambda each: (each[1].size_bytes < PIECE_BYTES, each[0].source, each[0].first))
    enough = sum(source.size_bytes for source in sources) // (TASKS_A_JOB * jobs)
    enough = min(max(enough, PIECE_BYTES), TASK_BYTES)
    tasks: list[list[Range]] = []
    size = enough
    for part, source in ranges:
        own = min(source.size_bytes, PIECE_BYTES)
        if size >= enough:
            tasks.append([])
            size = 0
        tasks[-1].append(part)
        size += own
    return tasks


def _safely(watcher: progress.Watcher) -> Callable[[int, int], None]:
    lock = Lock()

    def advance(size: int, records: int) -> None:
        with lock:
            watcher.advance(size, records)

    return advance


def _finish(
    writer: Writer,
    sources: list[Source],
    sha256: dict[int, str],
    result: Result,
    rejected: list[Rejected],
    *,
    given: pa.Table | None = None,
    jobs: int,
) -> int:
    """Merge what is staged, write the problems, commit. Returns how many problems are losses or doubts."""
    manifest = writer.manifest
    problems = _problems(sources, sha256, result, rejected)
    lost = sum(row["kind"] != "skipped" for row in problems)
    again = {entry.sha256 for entry in manifest.sources} & {sha256[source.number] for source in sources}

    def staged(name: str) -> list[Path]:
        done = set(map(str, result.tasks))
        return sorted(path for path in writer.staging.glob(f"{name}-*.parquet") if _task_of(path) in done)

    names = {source.number: (sha256[source.number], source.form) for source in sources}
    files = Staged(staged("cells"), staged("runs"), staged("counts"), names)
    merged = merge(writer, files, without=again, jobs=jobs)
    entries = {entry.sha256: entry for entry in manifest.sources}
    for source in sources:
        entries[sha256[source.number]] = SourceEntry(
            sha256=sha256[source.number],
            name=source.name,
            size_bytes=source.size_bytes,
            form=source.form,
            records=result.records.get(source.number, 0),
            activity=source.activity,
            source_tz=source.source_tz,
        )
    changed = replace(
        manifest,
        sources=tuple(entries.values()),
        events=tuple(f for f in manifest.events if f.path not in merged.replaced) + tuple(merged.events),
        extents=tuple(merged.extents),
        event_counts=tuple(merged.event_counts),
        problems=tuple(_write_problems(writer, problems, {source.name for source in sources}, again)),
        given_addresses=manifest.given_addresses if given is None else tuple(_write_given(writer, given)),
    )
    if changed != manifest or not manifest.sources:
        writer.commit(changed)
    return lost


def _task_of(staged: Path) -> str:
    return staged.stem.partition("-")[2].partition(".")[0]


def _problems(
    sources: list[Source], sha256: dict[int, str], result: Result, rejected: list[Rejected]
) -> list[dict[str, object]]:
    """Rows of the table `problems`. Files in a folder that are no logs are no problem, unless their names say so."""
    rows: list[dict[str, object]] = []
    for source in sources:
        header = source.layout.problem if source.layout else None
        found = [*([header] if header else []), *result.problems.get(source.number, [])]
        rows.extend(
            {"source_sha256": sha256[source.number], "source": source.name, **problem.as_dict()}
            for problem in dict.fromkeys(found)  # each range of a skipped log says so
        )
    rows.extend(
        {"source_sha256": None, "source": each.name, **each.problem.as_dict()}
        for each in rejected
        if each.asked or each.name.lower().endswith((".evtx", ".evt"))
    )
    return rows


def _write_problems(writer: Writer, rows: list[dict[str, object]], read: set[str], again: set[str]) -> list[File]:
    """All problems of the case as one file, each once. Of sources that were read `again` only what is said now counts.

    `read` are the names of all that were read now: what could not be opened before has no hash.
    """
    fields = [(column.name, pa.int64() if column.type == "BIGINT" else pa.string()) for column in schema.PROBLEMS]
    table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
    for file in writer.manifest.problems:
        old = pq.ParquetFile(writer.folder / file.path).read()
        hashed = pc.is_in(old["source_sha256"], pa.array(sorted(again), pa.string()))
        named = pc.and_(pc.is_null(old["source_sha256"]), pc.is_in(old["source"], pa.array(sorted(read), pa.string())))
        table = pa.concat_tables([old.filter(pc.invert(pc.or_(hashed, named))).cast(table.schema), table])
    if not len(table):
        return []
    table = (
        table.group_by(table.column_names, use_threads=False)
        .aggregate([])
        .sort_by([(n, "ascending") for n, _ in fields])
    )
    return [_write(writer, "problems", table)]


def _write_given(writer: Writer, given: pa.Table) -> list[File]:
    return [_write(writer, "given_addresses", given)] if len(given) else []


def _write(writer: Writer, name: str, table: pa.Table) -> File:
    """A table of one file."""
    path = writer.staging / f"{name}.parquet"
    pq.write_table(table, path, compression="zstd")
    return File(writer.add(path, name), len(table))
