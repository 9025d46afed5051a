"""Small logs made for a test, and the program run over them within this process.

`python tests/making.py` also runs an ingest that ends itself or the disk at a chosen step: test_crash.py.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import pytest

from logontracks import case as cases
from logontracks import pipeline
from logontracks.case import Case
from logontracks.errors import CaseError
from logontracks.pool import Result, _Pool
from logontracks.simulate.evtx_writer import Event, Template, filetime, write_evtx
from logontracks.simulate.templates import SECURITY, template
from logontracks.sources import Range
from logontracks.sources.evtx_problems import condense
from logontracks.worker import Worker

SECOND = 10_000_000
DAY = 86_400 * SECOND
MONDAY = filetime(datetime(2026, 10, 5, tzinfo=UTC))
USER = "S-1-5-21-1004336348-1177238915-682003330-1106"
LOGOFF: Template = template(SECURITY, 4634)
LOGOFF_ASKED: Template = template(SECURITY, 4647)
PROCESS: Template = template(SECURITY, 4688, 2)


def logoff(record_id: int, time: int, computer: str = "WS1.larch.example", kind: Template = LOGOFF) -> Event:
    """A record with a name and a logon id that follow from its number. `time` in FILETIME ticks."""
    own = {
        "TargetUserSid": USER,
        "TargetUserName": f"user{record_id % 7}",
        "TargetDomainName": "LARCH",
        "TargetLogonId": 0x10000 + record_id,
        "LogonType": 3,
    }
    return Event(kind, time, computer, [own[name] for name, _ in kind.fields], record_id=record_id)


def process(record_id: int, time: int, computer: str = "WS1.larch.example") -> Event:
    """A record that is kept only as activity of a session."""
    own = {"SubjectUserSid": USER, "SubjectLogonId": 0x10000 + record_id, "NewProcessName": r"C:\a.exe"}
    values = [own.get(name, 0 if kind not in {"SID", "UnicodeString"} else None) for name, kind in PROCESS.fields]
    return Event(PROCESS, time, computer, values, record_id=record_id)


def log(path: Path, events: Iterable[Event]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_evtx(path, events)
    return path


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` makes, once a test run: all workers share it, to read."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, done = root / "once" / name, root / "once" / f"{name}.done"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{folder}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            make(folder)
            done.touch()
    return folder


def read_here(tasks: Sequence[list[Range]], **options: Any) -> Result:
    """What pool.read_all does, with one worker in this process: no time goes into starting another."""
    staging = options["staging"]
    pool = _Pool(tasks, "", staging / "workers.log", options["on_progress"])
    worker = Worker(staging, patience=options["patience"])
    try:
        while (task := pool._take()) is not None:
            pool._done(*task, json.loads(json.dumps(worker.run(*task))))
    finally:
        worker._null.close()
    pool.result.problems = {source: condense(found) for source, found in pool.result.problems.items()}
    return pool.result


@contextmanager
def in_this_process() -> Iterator[None]:
    """pipeline.ingest starts no processes."""
    pool = pipeline.read_all
    pipeline.read_all = read_here
    try:
        yield
    finally:
        pipeline.read_all = pool


def ingest(paths: Iterable[Path], case: Path, **options: Any) -> str:
    """The digest of the case after an ingest within this process; tables are worked out only when asked for."""
    with in_this_process():
        pipeline.ingest(list(paths), case, jobs=2, **{"tables": False, **options})
    return Case(case).digest()


def state(case: Path) -> str:
    """The digest of a case, or "none" where there is none yet."""
    try:
        return Case(case).digest()
    except CaseError as error:
        if not str(error).startswith("there is no case in"):
            raise
        return "none"


def strangers(case: Path) -> list[str]:
    """Files in a case that belong to no one; none once a writer was there and is gone."""
    listed = Case(case).manifest.paths | {"case.json", ".lock"}
    found = {path.relative_to(case).as_posix() for path in case.rglob("*") if path.is_file()}
    empty = {path.relative_to(case).as_posix() for path in case.rglob("*") if path.is_dir() and not any(path.iterdir())}
    return sorted((found ^ listed) | empty)


Step = Callable[[str, Callable[[], None]], None]


def at_every_step(step: Step) -> None:
    """Have `step` called with what is about to be done before each change to the disk that Python makes.

    Writing case.json is two steps: half of it, and all of it.
    """
    for name in ("replace", "unlink"):
        _before(os, name, step)
    _before(cases.Writer, "add", step)
    _before(cases.Writer, "commit", step)
    write_text = Path.write_text

    def written(path: Path, text: str, **options: Any) -> int:
        step("write half", lambda: write_text(path, text[: len(text) // 2], **options) and None)
        step("write", lambda: None)
        return write_text(path, text, **options)

    Path.write_text = written  # type: ignore[method-assign,assignment]


def _before(owner: Any, name: str, step: Step) -> None:
    function = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        step(name, lambda: None)
        return function(*args, **options)

    setattr(owner, name, wrapped)


def die_at(number: int) -> list[str]:
    """Kill this process before its step of that number; the answer fills with the names of all steps."""
    steps: list[str] = []

    def step(name: str, half: Callable[[], None]) -> None:
        if len(steps) == number:
            half()
            os.kill(os.getpid(), signal.SIGKILL)
        steps.append(name)

    at_every_step(step)
    return steps


def _in_child(work: Callable[[], Any]) -> Any:
    """What `work` gives, done in a fork of this process; None when it killed itself."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            os.write(writing, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    assert status == 0, status
    return json.loads(answer)


def kill_at_every_step(before: Path, work: Path, paths: list[Path], part: int, parts: int) -> None:
    """Kill an ingest into copies of the case `before` at each step; print a JSON line for each: what was found then.

    Everything happens in forks of a process that has started no thread.
    """

    def fresh() -> Path:
        shutil.rmtree(work, ignore_errors=True)
        if before.exists():
            shutil.copytree(before, work)
        return work

    def undisturbed() -> list[str]:
        steps = die_at(-1)
        ingest(paths, case)
        return steps

    def killed(number: int) -> None:
        die_at(number)
        ingest(paths, case)

    def after() -> dict[str, Any]:
        return {"state": state(case), "next": ingest(paths, case), "strangers": strangers(case)}

    case = fresh()
    steps = _in_child(undisturbed)
    for number in range(part, len(steps), parts):
        case = fresh()
        assert _in_child(lambda number=number: killed(number)) is None
        print(json.dumps({"number": number, "step": steps[number], **_in_child(after)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "every-step":
        options = json.loads(sys.argv[2])
        kill_at_every_step(
            Path(options["before"]),
            Path(options["work"]),
            [Path(path) for path in options["paths"]],
            options["part"],
            options["parts"],
        )
    else:
        pipeline.ingest([Path(path) for path in sys.argv[3:]], Path(sys.argv[2]), jobs=2)
