"""How long the tables take to work out, and in how much memory: for one million events, and for ten.

    python benchmarks/bench_models.py CASE [--events 1500000 10500000] [--memory 4GB]

CASE is a case as `logontracks ingest` made it; its events are written as many times as it takes, each time a
week or more later: the same hosts with longer logs, a third of it on one controller. The cases made so are in a
temporary folder. Prints a Markdown table: seconds, peak memory, and both per million events. The limit is DuckDB's own; the peak is that of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from logontracks.build import build
from logontracks.case import Case, writing
from logontracks.engines.duckdb import literal
from logontracks.manifest import TABLES, File


def multiplied(case: Path, to: Path, times: int) -> int:
    """Write a case with the events and extents of another so many times. Gives the number of its events."""
    connection = Case(case).connect()
    ((first, last),) = connection.execute(
        "SELECT CAST(MIN(time) AS DATE), CAST(MAX(time) AS DATE) FROM events"
    ).fetchall()
    weeks = (last - first).days // 7 + 1
    with writing(to) as writer:
        files: dict[str, list[File]] = {"events": [], "extents": [], "event_counts": []}
        for copy in range(times):
            for table, made in files.items():
                staged = writer.staging / f"{table}-{copy}.parquet"
                query = f"SELECT * REPLACE ({', '.join(later(table, copy, weeks))}) FROM {table}"
                connection.execute(f"COPY ({query}) TO {literal(str(staged))} (FORMAT parquet, COMPRESSION zstd)")
                ((rows,),) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchall()
                day = str(first) if table == "events" else None
                made.append(File(writer.add(staged, table), rows, day, len(TABLES[table])))
        writer.commit(replace(writer.manifest, **{name: tuple(made) for name, made in files.items()}))
    return sum(file.rows for file in files["events"])


def later(table: str, copy: int, weeks: int) -> Iterator[str]:
    """Columns of a table so many weeks later: other times, records and logon ids."""
    for column in TABLES[table]:
        name = column.name
        if name == "uid":
            yield f"(hash(uid, {copy}) >> 3)::BIGINT AS uid"
        elif column.type == "TIMESTAMP":
            yield f"{name} + INTERVAL '{7 * weeks * copy}' DAY AS {name}"
        elif column.type == "DATE":
            yield f"CAST({name} + INTERVAL '{7 * weeks * copy}' DAY AS DATE) AS {name}"
        elif name.endswith("record_id"):
            yield f"{name} + {copy * 100_000_000} AS {name}"
        elif name.endswith("logon_id"):  # those of the system itself stay
            yield f"CASE WHEN {name} > 65535 THEN {name} + {copy << 40} ELSE {name} END AS {name}"


def measured(case: Path, memory: str) -> tuple[float, float]:
    """Seconds and peak memory in MB of a build, in a process of its own."""
    told = subprocess.run(
        [sys.executable, __file__, str(case), "--memory", memory, "--alone"], check=True, capture_output=True, text=True
    )
    seconds, peak = json.loads(told.stdout)
    return seconds, peak


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.alone:
        begun = time.monotonic()
        build(wanted.case, memory=wanted.memory)
        print(json.dumps([time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    ((own,),) = Case(wanted.case).connect().execute("SELECT COUNT(*) FROM events").fetchall()
    print("| events | seconds | s per million | peak MB |\n|--:|--:|--:|--:|")
    for events in wanted.events:
        with tempfile.TemporaryDirectory() as folder:
            many = multiplied(wanted.case, Path(folder) / "case", max(1, round(events / own)))
            seconds, peak = measured(Path(folder) / "case", wanted.memory)
        print(f"| {many:,} | {seconds:.1f} | {seconds / many * 1e6:.2f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
