"""How long the tables take to work out, and in how much memory: for one million events, and for ten.

    python benchmarks/bench_models.py LOGS [--events 1000000 10000000] [--memory 4GB] [--ask]

LOGS are those of `logontracks simulate --form parquet`. Their events are written as many times as it takes, each time
some weeks later: the same hosts with longer logs. The busiest, a controller, goes on until a third of all is its own.
The cases made so are in a temporary folder. Prints a Markdown table: seconds, peak memory, both per million events. The
limit of memory is DuckDB's own; the peak is that of the process. `--ask` tells as well how long `track` and `explain`
take on each case, the start of Python included.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from logontracks.build import build
from logontracks.case import Case, writing
from logontracks.engines.duckdb import connect, literal
from logontracks.manifest import TABLES, File
from logontracks.queries.tables import give_functions

MADE = ("events", "extents", "event_counts")
SHARE = 1 / 3  # of the events are of one host


def multiplied(logs: Path, to: Path, events: int) -> int:
    """Write a case with about so many events. Gives the number of them."""
    connection = connect()
    for table in MADE:
        connection.execute(f"CREATE VIEW {table} AS FROM read_parquet({literal(f'{logs}/{table}/*.parquet')})")
    ((own, first, last, busiest, its),) = connection.execute("""
        SELECT SUM(many), MIN(first), MAX(last), max_by(computer, many), MAX(many)
        FROM (SELECT computer, COUNT(*) AS many, CAST(MIN(time) AS DATE) AS first, CAST(MAX(time) AS DATE) AS last
            FROM events GROUP BY computer)""").fetchall()
    weeks = (last - first).days // 7 + 2  # the first records tell of a start days before
    days = [first + timedelta(days=day) for day in range((last - first).days + 1)]  # a file each, as `ingest` writes
    whole = round(events * (1 - SHARE) / (own - its))  # times that all is written, and then the busiest host alone
    alone = max(0, round(events * SHARE / its) - whole)
    found = 0
    with writing(to) as writer:
        files: dict[str, list[File]] = {table: [] for table in MADE}
        for copy in range(whole + alone):
            kept = "TRUE" if copy < whole else f"computer = {literal(busiest)}"
            for table, made in files.items():
                staged = writer.staging / f"{table}-{copy}.parquet"
                query = f"SELECT * REPLACE ({', '.join(later(table, copy, weeks))}) FROM {table} WHERE {kept}"
                for day in days if table == "events" else (None,):
                    of_day = f"AND CAST(time AS DATE) = DATE '{day}'" if day else ""
                    ((rows,),) = connection.execute(
                        f"COPY ({query} {of_day}) TO {literal(str(staged))} (FORMAT parquet, COMPRESSION zstd)"
                    ).fetchall()
                    when = day and str(day + timedelta(weeks=weeks * copy))
                    made.append(File(writer.add(staged, table), rows, when, len(TABLES[table])))
                    found += rows if table == "events" else 0
        writer.commit(replace(writer.manifest, **{name: tuple(made) for name, made in files.items()}))
    return found


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


ASKED = {
    "account": "SELECT account FROM sessions WHERE kind = 'person' GROUP BY account ORDER BY COUNT(*) DESC, account",
    "session": "SELECT told('s', session_id) FROM sessions ORDER BY reconnects DESC NULLS LAST, session_id",
    "track": "SELECT told('t', track_id) FROM tracks ORDER BY hops DESC, track_id",
    "hop": "SELECT told('h', hop_id) FROM hops ORDER BY candidates DESC, hop_id",
    "link": "SELECT told('l', link_id) FROM links ORDER BY link_id",
    "address": "SELECT told('a', address_id) FROM addresses ORDER BY sightings DESC, address_id",
    "request": "SELECT told('r', request_id) FROM requests ORDER BY times DESC, request_id",
    "failure": "SELECT told('f', failure_id) FROM failures ORDER BY attempts DESC, failure_id",
}
"""Queries for what is asked about: of each kind the row that much hangs on."""


def asked(case: Path, rounds: int = 5) -> Iterator[tuple[str, float]]:
    """Each question to a case, and the seconds of its process: the middle of some rounds."""
    connection = Case(case).connect()
    give_functions(connection)
    rows = {kind: connection.execute(f"{query} LIMIT 1").fetchall() for kind, query in ASKED.items()}
    connection.close()
    for kind, found in rows.items():
        for (name,) in found:
            command, taken = "track" if kind == "account" else "explain", []
            for _ in range(rounds):
                begun = time.monotonic()
                subprocess.run(
                    [sys.executable, "-m", "logontracks", command, name, "--case", case],
                    check=True,
                    capture_output=True,
                )
                taken.append(time.monotonic() - begun)
            yield f"{command} {kind}", statistics.median(taken)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--ask", action="store_true", help="tell how long questions take")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.alone:
        begun = time.monotonic()
        build(wanted.logs, memory=wanted.memory)
        print(json.dumps([time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    print("| events | seconds | s per million | peak MB |\n|--:|--:|--:|--:|")
    for events in wanted.events:
        with tempfile.TemporaryDirectory() as folder:
            many = multiplied(wanted.logs, Path(folder) / "case", events)
            seconds, peak = measured(Path(folder) / "case", wanted.memory)
            answers = list(asked(Path(folder) / "case")) if wanted.ask else []
        print(f"| {many:,} | {seconds:.1f} | {seconds / many * 1e6:.2f} | {peak:,.0f} |", flush=True)
        for question, seconds in answers:
            print(f"| {question} | {seconds:.2f} | | |", flush=True)


if __name__ == "__main__":
    main()
