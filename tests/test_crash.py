"""A case survives whatever ends its writer: kill -9 at any moment, Ctrl-C, a worker that dies."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from making import DAY, MONDAY, ingest, log, logoff, state, strangers

from logontracks import pipeline
from logontracks.case import STAGING, Writer, writing
from logontracks.errors import CaseError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill -9")

MAKING = Path(__file__).with_name("making.py")
KILLS = 50  # spread over the run; of one process or all, in a new case or over one, with workers left or not


@dataclass(frozen=True)
class World:
    """Logs, a case with the first of them, and what the case says before and after all are in."""

    first: Path
    second: Path
    case: Path
    digests: dict[str, str]  # of the states none, first and both
    seconds: float  # that an ingest takes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The second folder holds copies of records of the first, so that event files of the case are replaced."""
    root = tmp_path_factory.mktemp("world")
    for host in ("WS1", "WS2"):
        name = f"{host}.larch.example"
        events = [logoff(i, MONDAY + i * DAY // 600, name) for i in range(1, 1001)]
        log(root / "first" / host / "Security.evtx", events[:700])
        log(root / "second" / host / "Security.evtx", events[400:])
        log(root / "second" / host / "Copy.evtx", events[300:500])
    first, second, case = root / "first", root / "second", root / "case"
    digests = {"none": "none", "first": ingest([first], case)}
    both = shutil.copytree(case, root / "both")
    digests["both"] = ingest([second], both)
    begun = time.monotonic()
    with started([first], root / "timed") as process:
        assert process.wait() == 0
    seconds = time.monotonic() - begun
    assert state(root / "timed") == digests["first"]
    return World(first, second, case, digests, seconds)


class started:  # noqa: N801 - reads as a verb
    """An ingest in a process group of its own; the group is gone when the block ends."""

    def __init__(self, paths: list[Path], case: Path) -> None:
        command = [sys.executable, str(MAKING), "ingest", str(case), *map(str, paths)]
        self._process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def workers(case: Path) -> list[int]:
    """Worker processes of ingests into this case that are alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if b"logontracks.worker" in command and os.fsencode(case / STAGING) in command:
            found.append(int(entry.name))
    return found


def assert_no_workers(case: Path) -> None:
    end = time.monotonic() + 15
    while left := workers(case):
        assert time.monotonic() < end, f"workers outlive their parent: {left}"
        time.sleep(0.02)


def begin(world: World, tmp_path: Path, over: bool) -> tuple[Path, list[Path], str, str]:
    """(case, paths, state before, state after) of an ingest into nothing or over a case."""
    case = tmp_path / "case"
    if over:
        shutil.copytree(world.case, case)
        return case, [world.second], "first", "both"
    return case, [world.first], "none", "first"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_a_random_moment(world: World, tmp_path: Path, number: int) -> None:
    """Moments are spread evenly over the run, a random one in each part. Every second time the whole group dies."""
    rng = random.Random(number)
    case, paths, before, after = begin(world, tmp_path, over=number % 4 >= 2)
    with started(paths, case) as process:
        time.sleep(1.2 * world.seconds * (number + rng.random()) / KILLS)
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        found = state(case)
        assert found in {world.digests[before], world.digests[after]}
        if number % 3:
            assert_no_workers(case)  # every third time the next writer comes while they are still there
        assert ingest(paths, case) == world.digests[after]
        assert_no_workers(case)
    assert strangers(case) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("over", [False, True])
def test_killed_at_every_step(world: World, tmp_path: Path, over: bool, part: int) -> None:
    """Between rename and commit, amid the writing of case.json, between commit and the removal of old files ..."""
    _, paths, before, after = begin(world, tmp_path, over=over)
    options = {"before": str(tmp_path / "case"), "work": str(tmp_path / "work"), "part": part, "parts": 4}
    command = [sys.executable, str(MAKING), "every-step", json.dumps(options | {"paths": list(map(str, paths))})]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
    told = [json.loads(line) for line in run.stdout.splitlines() if b'"step"' in line]
    for killed in told:
        assert killed["state"] in {world.digests[before], world.digests[after]}, killed
        assert killed["next"] == world.digests[after], killed
        assert killed["strangers"] == [], killed
    assert {killed["state"] for killed in told} == {world.digests[before], world.digests[after]}
    steps = {killed["step"] for killed in told}
    assert len(told) > 3
    assert steps & {"add", "commit", "write half", "write", "replace", "unlink"}


def test_worker_killed(world: World, tmp_path: Path) -> None:
    """What it was reading is read again."""
    case = tmp_path / "case"
    with started([world.first], case) as process:
        killed = 0
        while process.poll() is None and killed < 2:
            for worker in workers(case):
                with suppress(OSError):
                    os.kill(worker, signal.SIGKILL)
                    killed += 1
        process.wait()
    if process.returncode == 0:
        assert state(case) == world.digests["first"]
    assert state(case) in {"none", world.digests["first"]}  # a worker that cannot even start ends the ingest
    assert ingest([world.first], case) == world.digests["first"]
    assert strangers(case) == []


@pytest.mark.parametrize("number", range(6))
def test_interrupted(world: World, tmp_path: Path, number: int) -> None:
    """Ctrl-C, which all processes of a terminal get, or the parent alone."""
    case, paths, before, after = begin(world, tmp_path, over=number % 2 == 1)
    with started(paths, case) as process:
        end = time.monotonic() + 30
        while not (list(case.glob(f"{STAGING}/*")) and workers(case)) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        time.sleep(0.1 * number)
        if number < 3:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in {0, 1, -signal.SIGINT}
        assert workers(case) == []
    if process.returncode == 0:
        assert state(case) == world.digests[after]  # it was done before
    else:
        assert state(case) in {world.digests[before], world.digests[after]}
    assert not (case / STAGING).exists()
    if before != "none":
        assert strangers(case) == []
    assert ingest(paths, case) == world.digests[after]
    assert strangers(case) == []


def test_interrupted_while_writing(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, paths, before, after = begin(world, tmp_path, over=True)
    added = 0
    add = Writer.add

    def interrupted(self: Writer, staged: Path, to: str) -> str:
        nonlocal added
        added += 1
        if added == 4:
            raise KeyboardInterrupt
        return add(self, staged, to)

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ingest(paths, case)
    assert state(case) == world.digests[before]
    assert strangers(case) == []
    assert ingest(paths, case) == world.digests[after]


def test_second_writer_is_told_at_once(world: World, tmp_path: Path) -> None:
    case = shutil.copytree(world.case, tmp_path / "case")
    with writing(case):
        begun = time.monotonic()
        with pytest.raises(CaseError, match="another process is writing") as told:
            pipeline.ingest([world.second], case)
        assert time.monotonic() - begun < 2
    assert (told.value.exit_code, bool(told.value.hint)) == (5, True)
    assert state(case) == world.digests["first"]
    assert ingest([world.second], case) == world.digests["both"]


def test_lock_dies_with_its_owner(world: World, tmp_path: Path) -> None:
    case = shutil.copytree(world.case, tmp_path / "case")
    hold = (
        "import sys, time; from pathlib import Path; from logontracks.case import writing\n"
        "with writing(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", hold, str(case)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(CaseError, match="another process is writing"):
            ingest([world.second], case)
        assert state(case) == world.digests["first"]  # readers need no lock
        process.kill()
        process.wait()
        assert ingest([world.second], case) == world.digests["both"]
    assert strangers(case) == []
