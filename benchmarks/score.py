"""How often the tables are right: simulated companies are read into cases, and these compared with the truth.

    python benchmarks/score.py            measure, and write the table into docs/score.md
    python benchmarks/score.py --check    measure, and fail where a figure is below the one written there
    python benchmarks/score.py --building  the same companies as developers look at; nothing is written

The seeds of the score are not those that are looked at while a model is built: a model fitted to its score says
nothing. Every seed is simulated at every level of mess; the same seeds give the same figures on every machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "score.md"
BUILDING = (1, 2, 3, 4)
"""Seeds to look at while building."""
SCORE = (7001, 7002)
"""Seeds of the figures in the docs. Whoever looks at their logs to mend a model moves them to the others."""
MESS = (0, 1, 2, 3)
COMPANY = ("--hosts", "12", "--users", "10", "--days", "3")
SECONDS = 300  # one company takes some; one that takes so long hangs
JOBS = os.cpu_count() or 1

Figures = dict[tuple[str, str], dict[int, tuple[int, int | None]]]
"""Counted and correct by measure and level, then by mess; correct is None for what is not judged."""

_BEGIN, _END = "<!-- figures: written by make score -->", "<!-- end of figures -->"
_CELL = re.compile(r"([0-9.]+) % of ([0-9,]+)")


def measure(seeds: tuple[int, ...]) -> Figures:
    """Simulate, ingest and score each seed at each level of mess, and add up the seeds."""
    found: Figures = defaultdict(dict)
    with ThreadPoolExecutor(JOBS) as pool:
        for mess, rows in pool.map(lambda each: (each[1], _company(*each)), product(seeds, MESS)):
            for row in rows:
                key = row["measure"], row["level"]
                counted, correct = found[key].get(mess, (0, None))
                both = (correct or 0) + row["correct"] if row["correct"] is not None else correct
                found[key][mess] = counted + row["counted"], both
    return dict(found)


def _company(seed: int, mess: int) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        _run("simulate", "--out", folder, "--seed", seed, "--mess", mess, *COMPANY)
        _run("ingest", folder / "logs", "--case", folder / "case", "--jobs", 1)
        return json.loads(_run("score", folder / "case", folder / "truth", "--format", "json"))


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
        f"| Measure | Level | {' | '.join(f'Mess {mess}' for mess in MESS)} |",
        f"| --- | --- |{' --: |' * len(MESS)}",
    ]
    for (measured, level), by_mess in figures.items():
        cells = []
        for mess in MESS:
            counted, correct = by_mess.get(mess, (0, None))
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
        for mess, cell in zip(MESS, cells, strict=True):
            before = _CELL.fullmatch(cell)
            now = share(*figures.get((measured, level), {}).get(mess, (0, None)))
            if before and (now is None or now < float(before[1])):
                told.append(f"{measured}, {level}, mess {mess}: {now} %, was {before[1]} %")
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
