"""A worker process: reads ranges of sources and writes staged rows.

pool.py starts it as `python -m logontracks.worker`. It gets one task a line on stdin and answers with lines on stdout,
all of them JSON. While it reads foreign bytes a timer runs that ends the whole process: the `evtx` wheel can spin for
ever and hears no signal. The timer also ends a worker whose parent is gone.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import signal
import sys
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from logontracks import staging
from logontracks.normalize import Normalizer
from logontracks.sources import Range, evt, evtx, json_records, xml_records
from logontracks.sources.envelope import Extents, Kind, Problem, Row, to_tables
from logontracks.sources.evtx_mend import CHUNK_SIZE
from logontracks.sources.evtx_text import Common, NotCleanError, Piece
from logontracks.sources.records import Lines

ENOUGH_ROWS = 20_000  # of EVTX are normalized together: a statement costs a millisecond whatever it works on
ENOUGH_TEXT = 40_000  # of other forms, which come in columns and need less room: the fewer files, the fewer are merged
SECONDS_A_CHUNK = 5.0  # a chunk takes a millisecond
SECONDS_A_RANGE = 8.0  # and half a second for each MiB
MAX_MEMORY = 4 << 30  # bytes; a worker has about 200 MB, and sets 1.3 GB aside


class Worker:
    """What a worker keeps between tasks."""

    def __init__(self, staging: Path, *, patience: float) -> None:
        self._staging = staging
        self._patience = patience
        self._common = {activity: Common(activity=activity) for activity in (True, False)}
        self._normalizer = Normalizer()
        self._null = open(os.devnull, "wb")  # noqa: SIM115, PTH123 - the timer writes there as long as we live

    def run(self, task: int, ranges: list[Range]) -> dict[str, Any]:
        """Read the ranges and stage their rows; the answer says what there was."""
        for activity, common in self._common.items():
            if common.full():
                self._common[activity] = Common(activity=activity)
        rows: dict[bool, dict[Kind, list[Row]]] = {activity: defaultdict(list) for activity in self._common}
        tables: list[tuple[Kind, pa.Table]] = []
        extents: dict[int, Extents] = defaultdict(Extents)
        problems: dict[int, list[Problem]] = defaultdict(list)
        records: dict[int, int] = defaultdict(int)
        again: list[dict[str, Any]] = []
        unreadable: dict[int, str] = {}
        waiting, staged = 0.0, 0  # the part of what is enough
        for number, part in enumerate(ranges):
            try:
                if part.form == "evtx":
                    piece = self._read_evtx(part)
                    for kind, found in piece.rows.items():
                        rows[part.activity][kind].extend(found)
                        waiting += len(found) / ENOUGH_ROWS
                else:
                    with self._timer(self._range_seconds(part)):
                        lines = _read_text(part)
                    tables.extend(lines.parts)
                    waiting += sum(len(table) for _, table in lines.parts) / ENOUGH_TEXT
                    piece = lines
            except NotCleanError:
                again.extend(each.as_dict() for each in part.carefully())
                continue
            except OSError as error:
                unreadable[part.source] = error.strerror or str(error)
                continue
            extents[part.source].add(piece.extents)
            problems[part.source].extend(piece.problems)
            records[part.source] += piece.records
            if waiting >= 1:
                staged += self._stage(f"{task}.{number}", rows, tables, problems)
                waiting = 0
        staged += self._stage(str(task), rows, tables, problems)
        _write_extents(self._staging, task, extents)
        return {
            "done": task,
            "rows": staged,
            "records": dict(records),
            "problems": {source: [problem.as_dict() for problem in found] for source, found in problems.items()},
            "again": again,
            "unreadable": unreadable,
        }

    def _stage(
        self,
        name: str,
        rows: dict[bool, dict[Kind, list[Row]]],
        tables: list[tuple[Kind, pa.Table]],
        problems: dict[int, list[Problem]],
    ) -> int:
        """Normalize and stage what was read so far; gives the number of rows."""
        say({"at": None})  # whatever goes wrong here is not the last chunk's fault
        for activity, common in self._common.items():
            tables.extend(to_tables(rows[activity], common.heads, common.tails))
            rows[activity].clear()
        staged, bad = self._normalizer.rows(tables)
        tables.clear()
        for source, lost in Counter(source for source, _ in bad).items():
            problems[source].append(Problem("", "lost", f"{lost} records whose fields are no text", lost))
        if len(staged):
            staging.write(self._staging, name, staged)
        return len(staged)

    def _read_evtx(self, part: Range) -> Any:
        path = Path(part.path)
        where = evtx.layout(path)
        if where is None:
            what = "it was changed while it was read, and is no EVTX file any more"
            return Piece(problems=[Problem(part.place, "lost", what)])
        if not part.careful:
            with self._timer(self._range_seconds(part)):
                return evtx.read(self._common[part.activity], part.source, path, where, part.first, part.count)
        seconds = SECONDS_A_CHUNK * self._patience * (2 if part.count == 1 else 1)

        def begin_chunk(chunk: int) -> None:
            say({"at": chunk})
            faulthandler.dump_traceback_later(seconds, exit=True, file=self._null)

        try:
            return evtx.read_carefully(
                self._common[part.activity], part.source, path, where, part.first, part.count, at_chunk=begin_chunk
            )
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _range_seconds(self, part: Range) -> float:
        size = part.count * (CHUNK_SIZE if part.form == "evtx" else 1)
        return (SECONDS_A_RANGE + size / (2 << 20)) * self._patience

    @contextmanager
    def _timer(self, seconds: float) -> Iterator[None]:
        faulthandler.dump_traceback_later(seconds, exit=True, file=self._null)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _read_text(part: Range) -> Lines:
    """What a range of bytes holds. Where the file does not reach to its end any more, that is told."""
    path, end = Path(part.path), part.first + part.count
    if part.form in {evt.FORM, xml_records.FORM}:
        read = evt.read if part.form == evt.FORM else xml_records.read
        found = read(path, part.source, part.first, end, activity=part.activity)
    else:
        zone = ZoneInfo(part.source_tz) if part.source_tz else None
        found = json_records.read(
            path, part.source, part.first, end, form=part.form, activity=part.activity, source_tz=zone
        )
    if (left := path.stat().st_size) < end:  # the words are those of every range, so that a file says so once
        found.problems.append(Problem("", "doubt", f"the log became shorter while it was read: {left} bytes are left"))
    return found


RUNS = pa.schema(
    [
        ("source", pa.int32()),
        ("computer", pa.string()),
        ("channel", pa.string()),
        ("first_record_id", pa.int64()),
        ("last_record_id", pa.int64()),
        ("records", pa.int64()),
        ("first_time", pa.string()),
        ("last_time", pa.string()),
    ]
)
COUNTS = pa.schema(
    [
        ("source", pa.int32()),
        ("computer", pa.string()),
        ("channel", pa.string()),
        ("provider", pa.string()),
        ("event_id", pa.int32()),
        ("day", pa.string()),
        ("records", pa.int64()),
        ("kept", pa.int64()),
    ]
)


def _write_extents(staging: Path, task: int, extents: dict[int, Extents]) -> None:
    runs = [
        (source, r.computer, r.channel, r.first_id, r.last_id, r.records, r.first_time, r.last_time)
        for source, extent in extents.items()
        for r in extent.runs
    ]
    counts = [(source, *key, *numbers) for source, extent in extents.items() for key, numbers in extent.counts.items()]
    for name, schema, found in (("runs", RUNS, runs), ("counts", COUNTS, counts)):
        if found:
            columns = zip(*found, strict=True)
            table = pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
            pq.write_table(table, staging / f"{name}-{task}.parquet", compression="lz4")


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _bound_memory() -> None:
    """Let the system refuse more than MAX_MEMORY, where it can: Linux. The wheel ends its process then."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - other systems do not have it

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = MAX_MEMORY if hard == resource.RLIM_INFINITY else min(MAX_MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _bound_memory()
    # Arrow looks for this module whenever it is given a plain number: where there is none that takes a while each time
    sys.modules.setdefault("dateutil", None)  # type: ignore[arg-type]
    gc.disable()  # records make no cycles, and there are millions
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps a third more
    options = json.loads(sys.argv[1])
    worker = Worker(
        Path(options["staging"]),
        patience=options["patience"],
    )
    say({"ready": True})
    for line in sys.stdin:
        task = json.loads(line)
        try:
            answer = worker.run(task["id"], [Range(**part) for part in task["ranges"]])
        except (MemoryError, duckdb.OutOfMemoryException):
            os._exit(1)  # as the wheel does: the parent finds out which chunk asks for so much
        except OSError as error:
            answer = {"refused": [error.errno, error.strerror or str(error)]}
        except Exception:  # noqa: BLE001 - the rim of this process: the parent raises it again
            answer = {"bug": traceback.format_exc()}
        say(answer)
        gc.collect()
        gc.freeze()  # what lives on is not looked at again


if __name__ == "__main__":
    main()
