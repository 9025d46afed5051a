"""Worker processes: hands out ranges, survives workers that die, and narrows down what killed them.

A range on which a worker died is read again carefully, chunk by chunk; the worker says each chunk before it begins,
so the next death names its chunk. That chunk becomes a problem, and what is before and behind it is read.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Condition, Thread, current_thread
from typing import Any

from logontracks.sources import Range
from logontracks.sources.envelope import Problem
from logontracks.sources.evtx import records_told
from logontracks.sources.evtx_mend import CHUNK_SIZE
from logontracks.sources.evtx_problems import condense, place

MIN_TEXT = 1 << 20  # bytes of a text file that are given up together


@dataclass(slots=True)
class Result:
    """What all workers read. `records` and `problems` are by number of the source."""

    tasks: list[int] = field(default_factory=list)  # whose staged files are complete
    rows: int = 0
    records: dict[int, int] = field(default_factory=dict)
    problems: dict[int, list[Problem]] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)  # sources where the disk refused, and why


def read_all(
    tasks: Sequence[list[Range]],
    *,
    staging: Path,
    jobs: int,
    patience: float = 1.0,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Result:
    """Read all ranges with so many workers; what they find lies in `staging` afterwards.

    `on_progress` gets bytes and records of each finished task, from any thread. Raises RuntimeError with the worker's
    traceback when a worker has a bug, and OSError when the disk refuses what a worker writes.
    """
    options = {"staging": str(staging), "patience": patience}
    pool = _Pool(tasks, json.dumps(options), staging / "workers.log", on_progress)
    pool.run(max(1, min(jobs, len(tasks))))
    pool.result.problems = {source: condense(found) for source, found in pool.result.problems.items()}
    return pool.result


class _Pool:
    def __init__(
        self, tasks: Sequence[list[Range]], options: str, log: Path, on_progress: Callable[[int, int], None]
    ) -> None:
        self.result = Result()
        self._options = options
        self._log = log
        self._on_progress = on_progress
        self._waiting: deque[list[Range]] = deque(tasks)
        self._unfinished = len(tasks)
        self._next_id = 0
        self._failure: Exception | None = None
        self._changed = Condition()
        self._processes: dict[Thread, subprocess.Popen[str]] = {}

    def run(self, jobs: int) -> None:
        threads = [Thread(target=self._serve, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        try:
            with self._changed:
                while self._unfinished and self._failure is None:
                    self._changed.wait(1.0)
        finally:
            with self._changed:
                self._unfinished = 0
                self._changed.notify_all()
            for process in list(self._processes.values()):
                if self._failure is not None or sys.exc_info()[0] is not None:
                    process.kill()
                elif process.stdin:
                    process.stdin.close()
            for thread in threads:
                thread.join(timeout=10)
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            self._drive()
        except Exception as error:  # noqa: BLE001 - the rim of this thread: `run` raises it again
            self._fail(error)

    def _drive(self) -> None:
        """One thread drives one worker process, and starts another when it dies."""
        process: subprocess.Popen[str] | None = None
        while (task := self._take()) is not None:
            if process is None:
                process = self._start()
            if process is None:
                return
            answer, at = _ask(process, *task)
            if answer is None:
                _end(process)
                self._died(task[1], at)
                process = None
            elif "bug" in answer:
                self._fail(RuntimeError(answer["bug"]))
            elif "refused" in answer:
                self._fail(OSError(*answer["refused"]))
            else:
                self._done(*task, answer)
        if process is not None:
            if process.stdin:
                process.stdin.close()  # it ends by itself then
            process.wait()
            _end(process)

    def _start(self) -> subprocess.Popen[str] | None:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "logontracks.worker", self._options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            )
        with self._changed:
            self._processes[current_thread()] = process
            stopped = not self._unfinished  # `run` has killed the processes it knew
        ready = not stopped and process.stdout is not None and "ready" in process.stdout.readline()
        if not ready:
            _end(process)
            with self._changed:
                stopped = not self._unfinished
            if not stopped:
                why = self._log.read_text(errors="replace")[-4000:]
                self._fail(RuntimeError(f"a worker process could not start:\n{why}"))
            return None
        return process

    def _take(self) -> tuple[int, list[Range]] | None:
        with self._changed:
            while self._unfinished and not self._waiting:
                self._changed.wait()
            if not self._unfinished:
                return None
            self._next_id += 1
            return self._next_id, self._waiting.popleft()

    def _done(self, task: int, ranges: list[Range], answer: dict[str, Any]) -> None:
        records = {int(source): count for source, count in answer["records"].items()}
        again = [Range(**part) for part in answer["again"]]
        with self._changed:
            self.result.tasks.append(task)
            self.result.rows += answer["rows"]
            for source, count in records.items():
                self.result.records[source] = self.result.records.get(source, 0) + count
            for source, problems in answer["problems"].items():
                self.result.problems.setdefault(int(source), []).extend(Problem(**problem) for problem in problems)
            self.result.unreadable.update({int(source): why for source, why in answer["unreadable"].items()})
            self._finish([[part] for part in again])
        size = sum(_size(part) for part in ranges) - sum(_size(part) for part in again)
        self._on_progress(size, sum(records.values()))

    def _died(self, ranges: list[Range], at: int | None) -> None:
        follow: list[list[Range]] = []
        if len(ranges) > 1:
            follow = [[part] for part in ranges]
        elif not ranges[0].careful and ranges[0].form == "evtx":
            follow = [[part] for part in ranges[0].carefully()]
        else:
            follow = [[part] for part in self._give_up(ranges[0], at)]
        with self._changed:
            self._finish(follow)

    def _give_up(self, part: Range, at: int | None) -> list[Range]:
        """Note as a problem what cannot be read; what is around it."""
        if part.form == "evtx" and (at is not None or part.count == 1):
            chunk = part.first if at is None else at
            end = part.first + part.count
            around = [
                replace(part, first=part.first, count=chunk - part.first),
                replace(part, first=chunk + 1, count=end - chunk - 1),
            ]
            around = [rest for rest in around if rest.count > 0]
            if around:  # once more alone, and with more time: the disk may have been slow
                return [*around, replace(part, first=chunk, count=1)]
            what = "reading it did not end in time, or ended the reader: the chunk was left out"
            self._note(part.source, Problem(place(chunk), "lost", what, records_told(Path(part.path), chunk)))
            return around
        if part.form != "evtx" and part.count <= MIN_TEXT:
            what = f"reading {part.count} bytes from there did not end, or ended the reader: they were left out"
            self._note(part.source, Problem(part.place, "lost", what))
            return []
        return part.split(2)

    def _note(self, source: int, problem: Problem) -> None:
        with self._changed:
            self.result.problems.setdefault(source, []).append(problem)

    def _finish(self, follow: list[list[Range]]) -> None:
        self._waiting.extend(follow)
        self._unfinished += len(follow) - 1
        self._changed.notify_all()

    def _fail(self, what: Exception) -> None:
        with self._changed:
            self._failure = self._failure or what
            self._unfinished = 0
            self._changed.notify_all()


def _end(process: subprocess.Popen[str]) -> None:
    """End a worker, however it is, and leave nothing of it."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(OSError):  # what was not sent to it does not matter any more
                pipe.close()


def _ask(process: subprocess.Popen[str], task: int, ranges: list[Range]) -> tuple[dict[str, Any] | None, int | None]:
    """The worker's answer, or None when it died; and the chunk it was at."""
    at: int | None = None
    message = {"id": task, "ranges": [part.as_dict() for part in ranges]}
    try:
        if process.stdin is None or process.stdout is None:
            return None, None
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if "at" in answer:
                at = answer["at"]
            else:
                return answer, at
    except (OSError, ValueError):
        pass  # it died while we talked
    return None, at


def _size(part: Range) -> int:
    return part.count * (CHUNK_SIZE if part.form == "evtx" else 1)
