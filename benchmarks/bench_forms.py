"""How fast each form is read: the same records in every form that is known, EVTX among them.

    python benchmarks/bench_forms.py [--megabytes 100] [--jobs 4] [--mixed] [FORM ...]

The records are those of a simulated company, copied until a file of the form has the size. All of them are kept, which
is the slow case; with --mixed five of six are what a busy host writes beside, and are not kept, as in the mixed set of
make_data.py. Prints a Markdown table:
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
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bench import apart
from make_data import Log
from making_dialects import FAILURE, FORMS, SUCCESS, Told, lines, xml

from logontracks.case import Case
from logontracks.pipeline import ingest
from logontracks.simulate.deliver import simulate
from logontracks.simulate.evtx_writer import filetime

COPY = 10_000_000  # record ids apart
NOISE = 5  # records that are not kept, for each that is


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


def with_noise(kept: list[Told]) -> list[Told]:
    """The records, each among five of SYSTEM's own noise on its host at its time, which are not kept."""
    begin = filetime(datetime(2026, 9, 7, tzinfo=UTC))
    noise = Log(Random("noise"), 0, begin, begin + 864_000_000_000, NOISE * len(kept), kept=0)
    found = []
    for number, told in enumerate(kept):
        found.append(replace(told, record_id=(NOISE + 1) * number))
        for more in range(1, NOISE + 1):
            event = noise.record()
            values = zip(event.template.fields, event.values, strict=True)
            fields = tuple(
                (name, f"{value:#x}" if kind.startswith("Hex") else str(value)) for (name, kind), value in values
            )
            of = replace(told, event_id=event.template.event_id, version=event.template.version, fields=fields)
            found.append(replace(of, record_id=(NOISE + 1) * number + more, keywords=SUCCESS))
    return found


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
    parser.add_argument("--mixed", action="store_true", help="five of six records are of kinds that are not kept")
    wanted = parser.parse_args()
    writers: dict[str, Callable[[Told], bytes]] = {"xml": lambda told: f"{xml(told)}\n".encode()}
    writers |= {name: partial(as_line, shape) for name, (_, shape, _) in FORMS.items()}
    print(f"| form, {wanted.jobs} jobs | MB | records | MB/s | records/s | core us | peak MB |\n|---|{'--:|' * 6}")
    with tempfile.TemporaryDirectory() as scratch:
        told = with_noise(records(Path(scratch))) if wanted.mixed else records(Path(scratch))
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
