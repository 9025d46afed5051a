"""Real logs: their counts, the cutting against plain parsing, and Winlogbeat's reading of the same records."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import evtx as wheel
import pytest

from logontracks import catalogue
from logontracks.catalogue import Keep
from logontracks.sources import evtx
from logontracks.sources.evtx_text import Common, NotCleanError, Piece

LOGS = Path(__file__).parents[3] / "shared" / "logs"
PATHS = sorted(
    path.relative_to(LOGS).as_posix() for path in LOGS.rglob("*.evtx") if path.relative_to(LOGS).parts[0] != "damaged"
)
GOLDEN = [path for path in PATHS if path.startswith("peer-winlogbeat-golden/")]

every_log = pytest.mark.parametrize("name", PATHS or [pytest.param("", id="none")])


def test_there_are_logs(shared_logs):
    assert len(PATHS) == 107
    assert {row["path"] for row in manifest() if row["path"].endswith(".evtx") and row["records"]} == set(PATHS)


def read(common: Common, path: Path) -> tuple[Piece, bool]:
    """All that a file holds, and whether it read in one go."""
    where = evtx.layout(path)
    assert where is not None
    try:
        return evtx.read(common, 0, path, where, 0, where.chunks), True
    except NotCleanError:
        return evtx.read_carefully(common, 0, path, where, 0, where.chunks, lambda chunk: None), False


# Counts


@cache
def manifest() -> list[dict[str, str]]:
    with (LOGS / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


MANIFEST_CHANNELS = {
    "": "security",
    "SYS": "system",
    "LSM": "microsoft-windows-terminalservices-localsessionmanager/operational",
    "RCM": "microsoft-windows-terminalservices-remoteconnectionmanager/operational",
}
MANIFEST_IDS = {
    "": {
        1100, 1102, 4608, 4616, 4624, 4625, 4634, 4647, 4648, 4672, 4688, 4697, 4698, 4768, 4769, 4771, 4776, 4778,
        4779, 4800, 4801, 4964, 5140, 5145,
    },
    "SYS": {41, 1074, 6005, 6006, 6008},
    "LSM": {21, 22, 23, 24, 25, 39, 40},
    "RCM": {261, 1149},
}  # fmt: skip


# Where we read another number than the tool that made the manifest, and why.
OTHER_COUNTS: dict[str, tuple[int, dict[str, int]]] = {
    # The last chunk ends 704 bytes early, behind its last record: all 90 of its records are sound, the manifest has none.
    "evtx-parser-edge-cases/System2.evtx": (
        90, {"4608": 1, "4616": 2, "4624": 34, "4634": 7, "4648": 4, "4672": 29, "1100": 1},
    ),
    # Record 46741 has neither provider nor time nor channel: it is told as lost, the manifest counts it.
    "evtx-parser-edge-cases/sample_with_a_bad_chunk_magic.evtx": (-1, {}),
}  # fmt: skip


@every_log
def test_counts_are_those_of_the_manifest(shared_logs, name):
    row = next(row for row in manifest() if row["path"] == name)
    piece, _ = read(Common(activity=True), shared_logs / name)
    more, more_of = OTHER_COUNTS.get(name, (0, {}))
    found: Counter[str] = Counter()
    for (_, channel, _, event_id, _), (records, kept) in piece.extents.counts.items():
        assert 0 <= kept <= records
        for prefix, of in MANIFEST_CHANNELS.items():
            if channel.lower() == of and event_id in MANIFEST_IDS[prefix]:
                found[f"{prefix}{event_id}"] += records
    expected = Counter({key: int(count) for key, _, count in (item.partition(":") for item in row["counts"].split())})
    assert found == expected + Counter(more_of)
    assert piece.records == int(row["records"]) + more
    assert sum(run.records for run in piece.extents.runs) == piece.records
    assert sum(len(rows) for rows in piece.rows.values()) == sum(kept for _, kept in piece.extents.counts.values())


# Cutting and parsing


class Plain(NamedTuple):
    """A record as plain parsing of the wheel's JSON gives it."""

    position: int
    provider: str
    event_id: int
    version: int | None
    outcome: str | None
    channel: str
    computer: str
    record_sid: str | None
    record_id: int
    time: str
    written: str
    activity: str | None
    fields: dict[str, Any] | None


def value(element: Any) -> Any:
    return element.get("#text") if isinstance(element, dict) else element


def attribute(element: Any, name: str) -> Any:
    return (element or {}).get("#attributes", {}).get(name)


def parsed(record: dict[str, Any], position: int) -> Plain | None:
    """None for a record that is none: without a time."""
    event = json.loads(record["data"])["Event"]
    system = event["System"]
    time = attribute(system["TimeCreated"], "SystemTime")
    if time is None:
        return None
    keywords = int(value(system["Keywords"]) or "0", 16)
    version = value(system.get("Version"))  # classic events have none
    return Plain(
        position=position,
        provider=attribute(system["Provider"], "Name") or attribute(system["Provider"], "EventSourceName"),
        event_id=int(value(system["EventID"])),
        version=None if version is None else int(version),
        outcome="failure" if keywords & 1 << 52 else "success" if keywords & 1 << 53 else None,
        channel=value(system["Channel"]) or "",
        computer=value(system["Computer"]) or "",
        record_sid=attribute(system.get("Security"), "UserID"),
        record_id=record["event_record_id"],
        time=time,
        written=record["timestamp"][:28],
        activity=attribute(system.get("Correlation"), "ActivityID"),
        fields=fields_of(event),
    )


def fields_of(event: dict[str, Any]) -> dict[str, Any] | None:
    fields = event.get("EventData")
    if not isinstance(fields, dict):
        elements = [element for name, element in (event.get("UserData") or {}).items() if not name.startswith("#")]
        fields = elements[0] if elements else None
    if not isinstance(fields, dict):
        return None
    found = {}
    for name, element in fields.items():
        if name == "Data":
            unnamed = value(element)
            found["Data"] = unnamed if isinstance(unnamed, list) else [unnamed]
        elif not name.startswith(("#", "xmlns")):
            found[name] = element["#text"] if isinstance(element, dict) and "#text" in element else element
    return found


def records_of(path: Path) -> Iterator[Plain]:
    """Every record that the wheel gets out of a file, chunk by chunk."""
    raw = path.read_bytes()
    for at in range(4096, len(raw), 65536):
        chunk = raw[at : at + 65536].ljust(65536, b"\0")
        if not chunk.startswith(b"ElfChnk\0"):
            continue
        one_chunk = io.BytesIO(evtx._file_header(1) + chunk)
        records = wheel.PyEvtxParser(one_chunk, number_of_threads=1).records_json()
        number = 0
        for _ in range(10_000):
            try:
                record = next(records)
            except StopIteration:
                break
            except RuntimeError:
                continue
            plain = parsed(record, (at - 4096) + number + 1)
            if plain is not None:
                number += 1
                yield plain


class KeepAll(Common):
    """Keeps every record, so that every record can be compared."""

    def head(self, text: str, system: dict[str, Any]) -> int:
        index = super().head(text, system)
        self.keep[index] = 1
        return index


def cut(common: Common, piece: Piece) -> list[Plain]:
    found = []
    for kind, rows in piece.rows.items():
        for _, position, head, tail, record_id, time, written, activity, data in rows:
            heads, tails = common.heads[head], common.tails[tail]
            assert kind == (heads.provider.lower(), heads.event_id)
            assert tails.computer_key == tails.computer.lower()
            log = tails.channel, tails.computer, tails.record_sid
            fields = None if data is None else json.loads(data)
            found.append(Plain(position, *heads, *log, record_id, time, written, activity, fields))
    return sorted(found, key=lambda record: record.position)


RESERVED = {f"0x{int(row['logon_id'], 16):x}" for row in catalogue.table("reserved_logon_ids")}


def serves(record: Plain, *, activity: bool) -> bool:
    """Whether a record is to be kept: by the catalogue, or because it tells what a session did."""
    event = catalogue.events().get((record.provider.lower(), record.event_id))
    if event and event.keep is not Keep.ACTIVITY:
        return event.keep is Keep.LOGON
    ids = {value for name, value in (record.fields or {}).items() if name.endswith("LogonId") and value}
    return activity and record.channel.lower() == "security" and bool(ids - RESERVED)


@every_log
def test_cutting_gives_what_parsing_gives(shared_logs, name):
    plain = list(records_of(shared_logs / name))
    common = KeepAll(activity=True)
    piece, _ = read(common, shared_logs / name)
    assert cut(common, piece) == plain
    for activity in (True, False):
        common = Common(activity=activity)
        piece, _ = read(common, shared_logs / name)
        assert cut(common, piece) == [record for record in plain if serves(record, activity=activity)]
