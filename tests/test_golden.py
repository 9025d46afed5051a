"""What each group of real logs yields, compared with tests/golden/<group>.txt; `make golden` rewrites them.

A golden text is reviewed by `git diff`: any change of it must be one that was meant. It holds counts, times, ids and
codes, but no free text: the logs have licences of their own, so names and other text stand there as short hashes.
"""

import hashlib
import tarfile
import zipfile
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from making_tables import LOGS, real, shared

from logontracks import schema
from logontracks.case import Case
from logontracks.engines.duckdb import Connection

GOLDEN = Path(__file__).parent / "golden"
EVTX = (
    "evtx-attack-samples",
    "evtx-attackrange-win10",
    "evtx-deepbluecli",
    "evtx-mitre-offsec.lan",
    "evtx-parser-edge-cases",
    "evtx-yamato",
    "host-aptsimulator-server2022",
    "host-aptsimulator-win10",
    "host-belkasoft-win10-domain-member",
    "incident-jpcert-japanese-csv",
    "incident-velociraptor-rdp-dc",
    "peer-winlogbeat-golden",
)
NXLOG = {"nxlog-json-dc-attackrange": 99_000_000, "otrf-multihost-json": 15_000_000}
"""Groups of packed JSON lines, and up to which size in bytes their members are read."""
OTHERS = ("legacy-evt", "peer-openxp-raw-norm")
"""Groups of files in other forms, as they are."""
MOST_BYTES = 215_000  # of all golden texts
SAMPLES = 10
RUNS = 6  # of one channel that are told one by one
PLAIN = {"form", "outcome", "impersonation_level", "channel", "provider"}  # words of ours or of Windows, not of a log


@pytest.fixture(scope="module")
def logs(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.getfixturevalue("shared_logs")
    return folder


def unpack(group: Path, to: Path, most_bytes: int) -> Path:
    """The JSON members of the group's archives, each under the name of its archive."""
    for archive in sorted(group.iterdir()):
        if archive.suffix.lower() == ".zip":
            with zipfile.ZipFile(archive) as packed:
                members = [
                    (each.filename, packed.read(each)) for each in packed.infolist() if each.file_size < most_bytes
                ]
        elif archive.name.endswith(".tar.gz"):
            with tarfile.open(archive) as packed:
                members = [(each.name, packed.extractfile(each).read()) for each in packed if each.size < most_bytes]  # type: ignore[union-attr]
        else:
            continue
        for name, data in members:
            path = to / archive.name.partition(".")[0] / Path(name).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return to


def group_of(factory: pytest.TempPathFactory, group: str) -> Case:
    """The case of a group, as all tests share it."""
    if group in EVTX:
        return real(group, factory)
    most = NXLOG.get(group)
    return shared(factory, group, lambda to: unpack(LOGS / group, to, most) if most else LOGS / group, source_tz="UTC")


def short(text: str) -> str:
    """What stands for a text: enough to see that it changed, nothing to read."""
    return "#" + hashlib.sha256(text.encode()).hexdigest()[:8]


def told(value: Any) -> str:
    match value:
        case None:
            return "-"
        case str():
            return short(value)
        case datetime():
            return value.isoformat(timespec="microseconds").replace("+00:00", "")
        case _:
            return str(value)


def golden(case: Case) -> Iterator[str]:
    """The lines of the golden text of a case."""
    connection = case.connect()
    yield "# What an ingest makes of these logs. Rewritten by `make golden`; text of the logs stands here as hashes."
    yield ""
    row = connection.execute(
        """SELECT COUNT(*), SUM(size_bytes), SUM(records), SUM(kept), SUM(duplicates), SUM(problems) FROM sources"""
    ).fetchall()[0]
    words = ("sources", "bytes", "records", "kept", "copies", "problems")
    yield " ".join(f"{word}={number}" for word, number in zip(words, row, strict=True))
    for row in connection.execute(
        "SELECT kind, COUNT(*), SUM(records_lost) FROM problems GROUP BY kind ORDER BY kind"
    ).fetchall():
        yield f"problems {row[0]}={row[1]} records_lost={told(row[2])}"
    yield from hosts(connection)
    yield from columns(connection)
    yield from samples(connection)


def hosts(connection: Connection) -> Iterator[str]:
    """Per host: events, times, runs of record ids of each channel, and counts of each event id."""
    summaries = connection.execute(
        "SELECT computer_key, COUNT(*), MIN(time), MAX(time) FROM events GROUP BY computer_key"
    ).fetchall()
    for host, many, first, last in sorted(summaries, key=lambda row: short(row[0])):
        yield ""
        yield f"host {short(host)} events={many} {told(first)} {told(last)}"
        runs = connection.execute(
            """SELECT channel, first_record_id, last_record_id, records, first_time, last_time
            FROM extents WHERE lower(computer) = ? ORDER BY ALL""",
            [host],
        ).fetchall()
        for channel, group in groupby(runs, key=lambda row: row[0]):
            of_channel = list(group)
            records = sum(run[3] for run in of_channel)
            yield f"  {channel} records={records} runs={len(of_channel)}"
            for _, low, high, number, begin, end in of_channel[:RUNS]:
                yield f"    {told(low)} to {told(high)} records={number} {told(begin)} {told(end)}"
            if len(of_channel) > RUNS:
                yield f"    and others {short(str(of_channel[RUNS:]))}"
            ids = connection.execute(
                """SELECT event_id, COUNT(*) FROM events WHERE computer_key = ? AND channel = ?
                GROUP BY event_id ORDER BY event_id""",
                [host, channel],
            ).fetchall()
            if ids:
                yield "    " + " ".join(f"{event_id}:{number}" for event_id, number in ids)


def columns(connection: Connection) -> Iterator[str]:
    """How many rows have each column, how many different values it has there, and a digest of them."""
    yield ""
    for column in schema.COLUMNS:
        many, distinct, digest = connection.execute(
            f"""SELECT COUNT({column.name}), COUNT(DISTINCT {column.name}),
            COALESCE(SUM(md5_number_lower(uid || ' ' || CAST({column.name} AS VARCHAR))), 0) % 4294967296 FROM events"""
        ).fetchall()[0]
        if many:
            yield f"column {column.name} rows={many} values={distinct} {int(digest):08x}"


def samples(connection: Connection) -> Iterator[str]:
    """All columns of a few rows."""
    rows = connection.execute(f"SELECT * FROM events ORDER BY uid, source_sha256 LIMIT {SAMPLES}").fetchall()
    names = [column.name for column in schema.COLUMNS]
    for row in rows:
        known = {name: value for name, value in zip(names, row, strict=True) if value is not None}
        yield ""
        yield f"row {known.pop('uid')}"
        for name, value in known.items():
            if name.endswith("_key"):
                continue  # follows from the column before
            yield f"  {name} {value if name in PLAIN else told(value)}"


@pytest.mark.parametrize("group", [*EVTX, *OTHERS, *NXLOG])
def test_real_logs_yield_what_they_did(logs, group, tmp_path_factory, request):
    text = "\n".join(golden(group_of(tmp_path_factory, group))) + "\n"
    kept = GOLDEN / f"{group}.txt"
    if request.config.getoption("--rewrite-golden"):
        kept.write_text(text, encoding="utf-8", newline="\n")
        return
    assert kept.is_file(), "there is no golden text of this group: `make golden` writes it"
    assert text.splitlines() == kept.read_text(encoding="utf-8").splitlines(), "if that was meant: `make golden`"


def test_every_group_of_evtx_files_has_a_golden_text(logs):
    groups = {path.relative_to(logs).parts[0] for path in logs.rglob("*.evtx")} - {"damaged"}
    assert groups == set(EVTX)


def test_golden_texts_are_those_of_the_groups_and_small():
    texts = {path.name: path.stat().st_size for path in GOLDEN.iterdir()}
    assert set(texts) == {f"{group}.txt" for group in (*EVTX, *OTHERS, *NXLOG)}
    assert sum(texts.values()) < MOST_BYTES


def test_golden_texts_hold_no_names():
    """Nothing that looks like an account, an address, a path or a host."""
    for path in GOLDEN.iterdir():
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            for word in line.split():
                name, _, _ = word.partition("=")
                ours = name in {column.name for column in schema.COLUMNS} or word.startswith("#")
                assert ours or "\\" not in word
                assert ours or "$" not in word
                assert not word.startswith("S-1-")
                assert word.count(".") < 3 or word.startswith(("Microsoft-", "#")), word
