"""How fast each form is read: the same records in every form that is known, EVTX among them.

    python benchmarks/bench_forms.py [--megabytes 100] [--jobs 4] [FORM ...]

The records are those of a simulated company, copied until a file of the form has the size. Prints a Markdown table:
what ingest read a second, without the tables, the microseconds of a core that a record took, all processes and their
start together, and the peak of their memory. Reading ends with a case that is thrown away. On a machine that others use
too the seconds say little, and those of the cores more.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bench import apart
from making_dialects import FAILURE, FORMS, SUCCESS, Told, lines, xml

from logontracks.case import Case
from logontracks.pipeline import ingest
from logontracks.simulate.deliver import simulate

COPY = 10_000_000  # record ids apart


def records(folder: Path) -> list[Told]:
    """The kept records of a company of twelve hosts in a day."""
    simulate(folder, seed=1, hosts=12, users=10, days=1)
    ingest([folder / "logs"], folder / "case", tables=False)
    rows = Case(folder / "case").connect().execute("""
        SELECT provider, event_id, version, channel, computer, record_id, epoch_us(time), outcome, activity_id,
            record_sid, data
        FROM events WHERE provider = 'Microsoft-Windows-Security-Auditing' AND data IS NOT NULL
        ORDER BY time""").fetchall()  # fmt: skip
    return [
        Told(provider, event_id, version or 0, channel, computer, record_id, micros * 10,
             FAILURE if outcome == "failure" else SUCCESS,
             tuple((name, str(text)) for name, text in json.loads(data).items() if not name.startswith("#")),
             activity_id, sid)
        for provider, event_id, version, channel, computer, record_id, micros, outcome, activity_id, sid, data in rows
    ]  # fmt: skip


def as_line(shape: Callable[[Told], dict[str, Any]], told: Told) -> bytes:
    """A record as a line of JSON."""
    return lines([shape(told)]).encode()


def copied(told: list[Told], size: int, write: Callable[[Told], bytes]) -> Iterator[bytes]:
    """Records of so many bytes together, each copy with record ids of its own."""
    written = 0
    for copy in count():
        for each in told:
            line = write(replace(each, record_id=each.record_id + copy * COPY))
            yield line
            written += len(line)
            if written >= size:
                return


def _cores() -> float:
    """Seconds of cores that processes which have ended took."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("forms", nargs="*", metavar="FORM", choices=[*FORMS, "xml", []])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=4)
    wanted = parser.parse_args()
    writers: dict[str, Callable[[Told], bytes]] = {"xml": lambda told: f"{xml(told)}\n".encode()}
    writers |= {name: partial(as_line, shape) for name, (_, shape, _) in FORMS.items()}
    print(f"| form, {wanted.jobs} jobs | MB | records | MB/s | records/s | core us | peak MB |\n|---|{'--:|' * 6}")
    with tempfile.TemporaryDirectory() as scratch:
        told = records(Path(scratch))
        for name in wanted.forms or writers:
            folder = Path(scratch) / "form"
            folder.mkdir()
            with (folder / "log").open("wb") as file:
                for line in copied(told, wanted.megabytes * 1_000_000, writers[name]):
                    file.write(line)
                size = file.tell() / 1e6
            before = _cores()
            run, peak = apart("ingest", folder, wanted.jobs, measure_memory=True)
            each = (_cores() - before) / run.records * 1e6
            print(
                f"| {name} | {size:,.0f} | {run.records:,} | {size / run.seconds:,.0f} |"
                f" {run.records / run.seconds:,.0f} | {each:.1f} | {peak / 1e6:,.0f} |",
                flush=True,
            )
            (folder / "log").unlink()
            folder.rmdir()


if __name__ == "__main__":
    main()
