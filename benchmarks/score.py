"""How often the tables are right: simulated companies are read into cases, and these compared with the truth.

    python benchmarks/score.py            measure, and write the table into docs/score.md
    python benchmarks/score.py --check    measure, and fail where a figure is below the one written there
    python benchmarks/score.py --building  the same companies as developers look at; nothing is written

The seeds of the score are not those that are looked at while a model is built: a model fitted to its score says
nothing. Every seed is simulated at every level of mess, and once more clean with the logs of one server taken away:
what is told then with a certainty above 0.8 has to be true, or the run fails. The same seeds give the same figures on
every machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import duckdb

PAGE = Path(__file__).parents[1] / "docs" / "score.md"
BUILDING = (1, 2, 3, 4)
"""Seeds to look at while building."""
SCORE = (7001, 7002)
"""Seeds of the figures in the docs. Whoever looks at their logs to mend a model moves them to the others."""
MISSING = "One server's logs missing"
LOGS = ("Mess 0", "Mess 1", "Mess 2", "Mess 3", MISSING)
"""What the logs of a company are like: a column of the table each."""
ATTACKS = (
    *("remote_desktop", "stolen_service", "pass_the_hash", "overpass_the_hash", "psexec", "psexec_user", "wmi"),
    *("winrm", "spray_shares"),
)
COMPANY = ("--hosts", "12", "--users", "10", "--days", "3", *(f"--attack={name}" for name in ATTACKS))
SECONDS = 300  # one company takes some; one that takes so long hangs
JOBS = os.cpu_count() or 1

Figures = dict[tuple[str, str], dict[str, tuple[int, int | None]]]
"""Counted and correct by measure and level, then by the logs; correct is None for what is not judged."""

SURE = ("certainty 0.8 to 0.9", "certainty 0.9 to 1")
"""Levels of claims that have to be true."""

_BEGIN, _END = "<!-- figures: written by make score -->", "<!-- end of figures -->"
_CELL = re.compile(r"([0-9.]+) % of ([0-9,]+)")


def measure(seeds: tuple[int, ...]) -> Figures:
    """Simulate, ingest and score each seed with each kind of logs, and add up the seeds."""
    found: Figures = defaultdict(dict)
    with ThreadPoolExecutor(JOBS) as pool:
        for logs, rows in pool.map(lambda each: (each[1], _company(*each)), product(seeds, LOGS)):
            for row in rows:
                key = row["measure"], row["level"]
                counted, correct = found[key].get(logs, (0, None))
                both = (correct or 0) + row["correct"] if row["correct"] is not None else correct
                found[key][logs] = counted + row["counted"], both
    return dict(found)


def _company(seed: int, logs: str) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        mess = "0" if logs == MISSING else logs.removeprefix("Mess ")
        _run("simulate", "--out", folder, "--seed", seed, "--mess", mess, *COMPANY)
        if logs == MISSING:
            _take_away(folder, seed)
        _run("ingest", folder / "logs", "--case", folder / "case", "--jobs", 1)
        return json.loads(_run("score", folder / "case", folder / "truth", "--format", "json"))


def _take_away(folder: Path, seed: int) -> None:
    """The logs of one server; what was only there is no longer in the logs."""
    sessions = folder / "truth" / "sessions.parquet"
    hosts = duckdb.read_parquet(str(folder / "truth" / "hosts.parquet"))
    servers = [host for (host,) in hosts.filter("role = 'server'").order("host").project("host").fetchall()]
    gone = servers[seed % len(servers)]
    shutil.rmtree(folder / "logs" / gone.partition(".")[0].upper())
    left = duckdb.read_parquet(str(sessions)).project(f"* REPLACE (logged AND host <> '{gone}' AS logged)")
    duckdb.from_arrow(left.to_arrow_table()).write_parquet(str(sessions))  # read whole before it is written again


def _run(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "logontracks", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode not in {0, 4}:  # 4: files are damaged, as they are meant to be
        raise SystemExit(f"logontracks {' '.join(map(str, arguments))} failed:\n{done.stderr}")
    return done.stdout


def share(counted: int, correct: int | None) -> float | None:
    """Percent, cut to two places: 100 only where all is right."""
    return None if correct is None or not counted else correct * 10_000 // counted / 100


def table(figures: Figures) -> str:
    lines = [
        f"| Measure | Level | {' | '.join(LOGS)} |",
        f"| --- | --- |{' --: |' * len(LOGS)}",
    ]
    for (measured, level), by_logs in figures.items():
        cells = []
        for logs in LOGS:
            counted, correct = by_logs.get(logs, (0, None))
            part = share(counted, correct)
            cells.append(f"{part:g} % of {counted:,}" if part is not None else f"{counted:,}" if counted else "")
        lines.append(f"| {measured} | {level} | {' | '.join(cells)} |")
    return "\n".join(lines)


def fallen(figures: Figures, page: str) -> list[str]:
    """What is worse than the page says, or no longer there."""
    written = page.partition(_BEGIN)[2].partition(_END)[0]
    told = []
    for line in written.strip().splitlines()[2:]:
        measured, level, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for logs, cell in zip(LOGS, cells, strict=True):
            before = _CELL.fullmatch(cell)
            now = share(*figures.get((measured, level), {}).get(logs, (0, None)))
            if before and (now is None or now < float(before[1])):
                told.append(f"{measured}, {level}, {logs}: {now} %, was {before[1]} %")
    return told


def false_and_sure(figures: Figures) -> list[str]:
    """What is told with much certainty where logs are missing, and is false."""
    told = []
    for (measured, level), by_logs in figures.items():
        counted, correct = by_logs.get(MISSING, (0, None))
        if level in SURE and correct is not None and correct < counted:
            told.append(f"{measured}, {level}: {counted - correct} of {counted}")
    return told


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--check", action="store_true", help="fail where a figure is below the one in docs/score.md")
    way.add_argument("--building", action="store_true", help="score the seeds to look at while building")
    wanted = parser.parse_args()
    figures = measure(BUILDING if wanted.building else SCORE)
    print(table(figures))
    if false := false_and_sure(figures):
        raise SystemExit(f"false and told as sure, {MISSING.lower()}:\n  " + "\n  ".join(false))
    if wanted.building:
        return
    page = PAGE.read_text(encoding="utf-8")
    if wanted.check:
        if worse := fallen(figures, page):
            raise SystemExit("below what docs/score.md says:\n  " + "\n  ".join(worse))
        return
    before, _, rest = page.partition(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}\n{table(figures)}\n{_END}{rest.partition(_END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
