"""Cases of real logs with their tables, made once a test run, and their rows as tests compare them."""

import csv
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import making
import pytest
from conftest import SHARED

from logontracks import pipeline
from logontracks.case import Case

LOGS = SHARED / "logs"
HAND = Path(__file__).parent / "hand"
HOSTS = {
    "belkasoft": "host-belkasoft-win10-domain-member",
    "aptsim_win10": "host-aptsimulator-win10",
    "aptsim_server2022": "host-aptsimulator-server2022",
    "velociraptor_dc": "incident-velociraptor-rdp-dc",
    "edge_security": "evtx-parser-edge-cases/security.evtx",
    "jpcert_appendix1": "incident-jpcert-japanese-csv/Appendix1_Security.evtx",
}
"""Hosts whose boots and sessions were read out of raw records by hand, and their logs."""
GROUPS = ("evtx-attack-samples", "evtx-attackrange-win10", "evtx-deepbluecli", "evtx-mitre-offsec.lan", "evtx-yamato")
"""Folders with logs of many hosts."""


def real(name: str, factory: pytest.TempPathFactory) -> Case:
    """The case of logs under ../shared/logs, with its tables."""
    return shared(factory, name, lambda _: LOGS / name)


def shared(
    factory: pytest.TempPathFactory, name: str, source: Callable[[Path], Path], *, source_tz: str | None = None
) -> Case:
    """The case of what `source` finds or unpacks into a new folder. All workers of a test run share it, to read."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as unpacked, making.in_this_process():
            pipeline.ingest([source(Path(unpacked))], folder, jobs=2, source_tz=source_tz, patience=10)

    return Case(making.once(factory, name.replace("/", "-"), make))


def rows(case: Case, query: str) -> list[dict[str, Any]]:
    """The rows of a query over a case."""
    connection = case.connect()
    try:
        answer = connection.execute(query)
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    finally:
        connection.close()


def by_hand(host: str, table: str) -> Iterator[dict[str, str]]:
    """Rows that were derived by hand, as text."""
    with (HAND / f"{host}.{table}.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, strict=True)
