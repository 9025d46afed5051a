"""How long the tables take to work out, and in how much memory: for one million events, and for ten.

    python benchmarks/bench_models.py CASE [--events 1500000 10500000] [--memory 4GB]

CASE is a case as `logontracks ingest` made it; its events are written as many times as it takes, each time under other
host names. The cases made so are in a temporary folder. Prints a Markdown table: seconds, peak memory, and both per
million events. The limit is DuckDB's own; the peak is that of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from logontracks.build import build
from logontracks.case import Case, writing
from logontracks.engines.duckdb import literal
from logontracks.manifest import File


def multiplied(case: Path, to: Path, times: int) -> int:
    """Write a case with the events and extents of another so many times. Gives the number of its events."""
    connection = Case(case).connect()
    with writing(to) as writer:
        files: dict[str, list[File]] = {"events": [], "extents": [], "event_counts": []}
        for copy in range(times):
            renamed = {
                "events": f"""SELECT * REPLACE ((hash(uid, {copy}) >> 3)::BIGINT AS uid,
                    '{copy}-' || computer AS computer, '{copy}-' || computer_key AS computer_key) FROM events""",
                "extents": f"SELECT * REPLACE ('{copy}-' || computer AS computer) FROM extents",
                "event_counts": f"SELECT * REPLACE ('{copy}-' || computer AS computer) FROM event_counts",
            }
            for table, query in renamed.items():
                staged = writer.staging / f"{table}-{copy}.parquet"
                connection.execute(f"COPY ({query}) TO {literal(str(staged))} (FORMAT parquet, COMPRESSION zstd)")
                ((rows,),) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchall()
                files[table].append(File(writer.add(staged, table), rows))
        writer.commit(replace(writer.manifest, **{name: tuple(made) for name, made in files.items()}))
    return sum(file.rows for file in files["events"])


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
