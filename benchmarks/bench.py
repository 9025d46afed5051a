"""How fast logontracks reads event logs, beside the `evtx` wheel that does nothing but turn them into JSON; how long it
works on the tables and on a question; and how fast other readers are that pip can install.

Wheel and product get the same ranges of the same files in as many processes, in turn, and the middle one of several
runs counts. The ratio is what to look at: absolute times depend on the machine. Files are in the page cache. Memory is
measured in a run of its own: the sum of PSS (memory shared between processes counts once) over the process and all that
it started, every 50 ms; RSS where the system has no PSS.

Other readers (peers.py) read one file alone, each in one process, beside the wheel and the product with one job. They
are taken from the Python of --peers, so that a venv of its own can hold them: `pip install plaso python-evtx
libevtx-python`. Those that are not there are named, and nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import evtx
import make_data

from logontracks import pipeline, progress
from logontracks.build import build
from logontracks.case import Case
from logontracks.queries import sessions as session_queries
from logontracks.queries import track as track_queries
from logontracks.sources import Range, Source, find
from logontracks.sources.evtx import _Range as ChunkRange

HERE = Path(__file__).parent
QUICK = {"kept": 150_000, "mixed": 300_000, "big": 100_000}
CORES = os.cpu_count() or 1


class Run(NamedTuple):
    """One reading of a data set. `merge_s` is part of `seconds`; 0 where nothing is written."""

    seconds: float
    records: int
    kept: int = 0
    merge_s: float = 0


# The wheel alone


def _iterate(task: list[Range], offsets: dict[int, int]) -> int:
    """Have the wheel make the JSON of all records of the ranges, and look at none of them."""
    records = 0
    for part in task:
        with open(part.path, "rb", buffering=0) as file:  # noqa: PTH123 - as the product does
            chunks = ChunkRange(file, offsets[part.source] + (part.first << 16), part.count)
            for _ in evtx.PyEvtxParser(chunks, number_of_threads=1).records_json():
                records += 1
    return records


def wheel(folder: Path, jobs: int) -> Run:
    sources = [source for source in find([folder]) if isinstance(source, Source)]
    offsets = {source.number: source.layout.offset for source in sources if source.layout}
    tasks = pipeline._tasks(sources, jobs)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.3] * jobs))  # all are there before the clock starts
        begun = time.monotonic()
        handed = [pool.submit(_iterate, task, {part.source: offsets[part.source] for part in task}) for task in tasks]
        records = sum(future.result() for future in handed)
        return Run(time.monotonic() - begun, records)


# The product


class _Clock(progress._Silent):
    """Notes when the reading has ended."""

    merging_since: float = 0

    def phase(self, text: str) -> None:
        if text == "sorting and writing":
            self.merging_since = time.monotonic()


def ingest(folder: Path, jobs: int) -> Run:
    """A run in this process, into a case that is thrown away."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        clock = _Clock()
        begun = time.monotonic()
        done = pipeline.ingest([folder], Path(scratch) / "case", jobs=jobs, tables=False, watcher=clock)
        end = time.monotonic()
    return Run(end - begun, done.records, done.kept, end - clock.merging_since)


def tables(case: Path, _: int) -> Run:
    """The tables of a case, worked out."""
    begun = time.monotonic()
    build(case)
    return Run(time.monotonic() - begun, sum(file.rows for file in Case(case).manifest.events))


def track(case: Path, _: int) -> Run:
    """The track of the account that has most sessions, all rows of it."""
    connection = Case(case).connect()
    ((account,),) = connection.execute("""
        SELECT account FROM sessions WHERE kind = 'person' GROUP BY account ORDER BY COUNT(*) DESC, 1 LIMIT 1
        """).fetchall()  # fmt: skip
    connection.close()
    begun = time.monotonic()
    with track_queries.track(Case(case), account, tz=ZoneInfo("UTC")).story as story:
        rows = sum(batch.num_rows for batch in story.rows)
    return Run(time.monotonic() - begun, rows)


def sessions(case: Path, _: int) -> Run:
    """All sessions of a case."""
    begun = time.monotonic()
    with session_queries.sessions(Case(case), session_queries.SessionFilter()) as found:
        rows = sum(batch.num_rows for batch in found.rows)
    return Run(time.monotonic() - begun, rows)


def apart(what: str, folder: Path, jobs: int = 1, *, measure_memory: bool = False) -> tuple[Run, int]:
    """A run in a process of its own, and the peak of its memory in bytes (0 when not measured)."""
    command = [sys.executable, __file__, "--run", what, str(jobs), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0
    while measure_memory and process.poll() is None:
        peak = max(peak, sum(map(_memory, _tree(process.pid))))
        time.sleep(0.05)
    answer, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{what} of {folder} failed")
    return Run(*json.loads(answer)), peak


def _tree(root: int) -> Iterator[int]:
    """The process and all that descend from it, as far as /proc tells."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
        children.setdefault(parent, []).append(int(path.parent.name))
    waiting = [root]
    while waiting:
        process = waiting.pop()
        yield process
        waiting += children.get(process, [])


def _memory(process: int) -> int:
    for file, name in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = Path(f"/proc/{process}/{file}").read_text().splitlines()
        except OSError:
            continue
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(name))
    return 0


# The table


def measure(folder: Path, rounds: int) -> None:
    """Rows of the table for one data set."""
    size = sum(path.stat().st_size for path in folder.rglob("*.evtx"))
    jobs_of = sorted({1, CORES})
    runs: dict[tuple[str, int], list[Run]] = {}
    for _ in range(rounds):
        for jobs in jobs_of:
            for what in ("wheel", "ingest"):
                runs.setdefault((what, jobs), []).append(apart(what, folder, jobs)[0])
    for jobs in jobs_of:
        peak = apart("ingest", folder, jobs, measure_memory=True)[1]
        alone, ours = (sorted(runs[what, jobs]) for what in ("wheel", "ingest"))
        rate = median(run.records / run.seconds for run in alone)
        own_rate = median(run.records / run.seconds for run in ours)
        merge_s = median(run.merge_s for run in ours)
        read_s = median(run.seconds - run.merge_s for run in ours)
        each = size / ours[0].records
        if ours[0].records != alone[0].records:
            raise SystemExit(f"{ours[0].records} records were read, the wheel found {alone[0].records}")
        cells = [
            folder.name if jobs == 1 else "",
            f"{size / 1e6:,.0f}" if jobs == 1 else "",
            f"{ours[0].records:,}" if jobs == 1 else "",
            f"{ours[0].kept / ours[0].records:.0%}" if jobs == 1 else "",
            str(jobs),
            f"{rate * each / 1e6:,.0f}",
            f"{rate:,.0f}",
            f"{own_rate * each / 1e6:,.0f}",
            f"{own_rate:,.0f}",
            f"{own_rate / rate:.2f}",
            f"{read_s:.1f}",
            f"{merge_s:.1f}",
            f"{peak / 1e6:,.0f}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


def measure_answers(folder: Path) -> None:
    """Rows of the second table: the tables of a case of one data set, and questions to them."""
    print("\n| what | records or rows | s | peak MB |\n|---|" + "--:|" * 3, flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        case = Path(scratch) / "case"
        pipeline.ingest([folder], case, jobs=CORES, tables=False)
        for what, told in (("tables", "all tables"), ("track", "track"), ("sessions", "sessions, all")):
            run, peak = apart(what, case, measure_memory=True)
            print(f"| {told} of {folder.name} | {run.records:,} | {run.seconds:.1f} | {peak / 1e6:,.0f} |", flush=True)


READERS = ("libevtx-python", "python-evtx", "plaso")


def measure_peers(folder: Path, python: str, seconds: float) -> None:
    """Rows of the third table: one file in one process, by all that can read it."""
    (path,) = folder.rglob("*.evtx")
    print("\n| one file, one process | records/s |\n|---|--:|", flush=True)
    ours = {what: apart(what, folder)[0] for what in ("wheel", "ingest")}
    for what, run in ours.items():
        print(f"| {what} | {run.records / run.seconds:,.0f} |", flush=True)
    for reader in READERS:
        command = [python, str(HERE / "peers.py"), reader, str(path), str(seconds)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        if told is None:
            print(f"| {reader} | not installed, or too slow to wait for |", flush=True)
            continue
        records = told[0] if told[0] >= 0 else ours["wheel"].records  # plaso reads all, and does not count
        print(f"| {reader} | {records / told[1]:,.0f} |", flush=True)


def _machine() -> str:
    """One line on what was measured on."""
    model, memory = platform.processor(), ""
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
        total = Path("/proc/meminfo").read_text().split()[1]
        memory = f", {int(total) / (1 << 20):.0f} GB RAM"
    packages = ", ".join(f"{name} {version(name)}" for name in ("logontracks", "duckdb", "pyarrow", "evtx"))
    return f"{CORES} cores {model}{memory}, {platform.platform()}, Python {platform.python_version()}, {packages}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE / "data", help="where make_data.py writes")
    parser.add_argument("--sets", nargs="+", choices=make_data.RECORDS, default=list(make_data.RECORDS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, once; kept in a folder beside")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="a Python that has other readers")
    parser.add_argument("--run", nargs=3, metavar=("WHAT", "JOBS", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        what, jobs, folder = args.run
        runs = {"wheel": wheel, "ingest": ingest, "tables": tables, "track": track, "sessions": sessions}
        print(json.dumps(runs[what](Path(folder), int(jobs))))
        return
    sizes: dict[str, Any] = QUICK if args.quick else make_data.RECORDS
    data = args.data / "quick" if args.quick else args.data
    make_data.make(data, {name: sizes[name] for name in args.sets})
    for scratch in data.glob("tmp*"):
        shutil.rmtree(scratch)  # of a run that was killed
    print(_machine() + "\n")
    print("| data | MB | records | kept | jobs | wheel MB/s | records/s | ingest MB/s | records/s | ratio", end="")
    print(" | read s | merge s | peak MB |\n|---|" + "--:|" * 12, flush=True)
    for name in args.sets:
        measure(data / name, 1 if args.quick else args.rounds)
    measure_answers(data / args.sets[0])
    make_data.make(data / "peers", {"big": 20_000 if args.quick else 100_000})
    measure_peers(data / "peers" / "big", args.peers, 5 if args.quick else 30)


if __name__ == "__main__":
    main()
