"""The small company as a case, made once a test run, and the command line run over it as a process."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from making import once

from logontracks.cli import main, options
from logontracks.simulate.company import build

SECONDS = 60  # a command that takes longer hangs


class Company(NamedTuple):
    """All folders are for reading: other tests use them too."""

    logs: Path
    case: Path
    truth: Path


class Done(NamedTuple):
    """What a process left behind."""

    code: int
    out: bytes
    said: str  # on stderr

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The answer of a command run with --format jsonl."""
        assert self.code == 0, self.said
        return [json.loads(line) for line in self.text.splitlines()]


def run(
    *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, seconds: float = SECONDS
) -> Done:
    """Run `logontracks` as a user would: no terminal, in a folder without a case."""
    done = subprocess.run(
        [sys.executable, "-m", "logontracks", *map(str, arguments)],
        cwd=cwd or Path(__file__).parent,
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


def here(capture: pytest.CaptureFixture[bytes], *arguments: object) -> Done:
    """The same within this process, which starts no other: for commands of which a test needs many."""
    capture.readouterr()
    code = options.run(main, [str(argument) for argument in arguments])
    out, said = capture.readouterr()
    return Done(code, out, said.decode())


def environment(**values: str) -> dict[str, str]:
    """Our own environment without what changes output."""
    ours = {"LOGONTRACKS_CASE", "COLUMNS", "NO_COLOR", "FORCE_COLOR"}
    return {name: value for name, value in os.environ.items() if name not in ours} | values


def company(factory: pytest.TempPathFactory) -> Company:
    """The mini company's logs, and a case that holds them. All workers of a test run share one."""

    def make(folder: Path) -> None:
        build(folder / "logs", truth=folder / "truth")
        done = run("ingest", folder / "logs", "--case", folder / "case", "--jobs", 2)
        assert done.code == 0, done.said

    folder = once(factory, "company", make)
    return Company(folder / "logs", folder / "case", folder / "truth")
