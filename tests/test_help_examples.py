"""The examples of all help texts, run over the demo case: what they name is there, and each shows something."""

import os
import shlex
import shutil
from importlib import import_module
from itertools import pairwise

import pytest
from making_cases import Company, company, here

from logontracks.case import Case
from logontracks.cli import COMMANDS

no_links = pytest.mark.skipif(os.name == "nt", reason="links to folders need rights on Windows")
SILENT = {"problems", "build", "simulate"}
"""Commands that have nothing to show of a case without fault, or write elsewhere."""


def examples() -> list[str]:
    lines = []
    for name in COMMANDS:
        help_text = import_module(f"logontracks.cli.{name}").command.help or ""
        own = [line.strip() for line in help_text.splitlines() if line.strip().startswith("logontracks ")]
        assert own, f"{name} --help has no example"
        assert all(line.split()[1] == name for line in own), f"an example of {name} is of another command"
        lines += own
    return lines


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return company(tmp_path_factory)


@no_links
@pytest.mark.parametrize("line", examples())
def test_an_example_shows_something(firm, tmp_path, monkeypatch, capsysbinary, line):
    """In a folder where the case and the evidence that examples name lie. What they ask for is known, and there."""
    _, command, *arguments = shlex.split(line)
    if command == "ingest":
        for name, host in (("dc01", "DC01"), ("ws-logs", "WKS-101")):
            shutil.copytree(firm.logs / host, tmp_path / "evidence" / name)
        if "--addresses" in arguments:  # a list alone goes to a case that is there
            shutil.copytree(firm.case, tmp_path / "case")
            (tmp_path / "leases.csv").write_text(
                "address,host,from\n10.20.1.60,copier-2f,2026-10-05\n", encoding="utf-8"
            )
    else:
        (tmp_path / "case").symlink_to(firm.case)
        (tmp_path / "truth").symlink_to(firm.truth)
    monkeypatch.chdir(tmp_path)
    for name in ("LOGONTRACKS_CASE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    done = here(capsysbinary, command, *arguments)
    assert done.code == 0, done.said
    files = [tmp_path / value for option, value in pairwise(arguments) if option == "--output"]
    answer = b"".join(file.read_bytes() for file in files) or done.out
    assert answer.strip() or done.said.strip()
    assert command != "ingest" or Case(tmp_path / "case").manifest.sources
    assert command in {*SILENT, "ingest", "simulate"} or len(answer.splitlines()) > 2, "no row, or no example of one"
    for said in ("No account", "No host", "Did you mean", "fits.", "Hint:", "older than"):
        assert said not in done.said, done.said
