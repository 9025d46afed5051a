"""What the models say of real authentications and failures, against rows that people read out of the raw records.

Rows of logs that are not read yet begin their `why` with EXTRA, and are left out. Where the models say the same in
other words, the tables here say which.
"""

import csv
import re
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import making
import pytest
from making_tables import HAND, LOGS, rows

from logontracks import catalogue, pipeline
from logontracks.case import Case

STEPS = {"tgt": "ticket_granting", "service": "service", "renewal": "renewal", "ntlm": "ntlm"}
KEYS = {"revoked_four": "kerberos_0x12", "user2user_required": "kerberos_0x1b", "badmatch": "kerberos_0x24"}
"""What the hand calls a Kerberos code that means several reasons, or none of an account."""
SECOND = timedelta(seconds=1)
FOUR = "Disabled, expired, locked out or outside its hours: four reasons, one code"
RESULTS = {
    "wrong password": ("The user exists, the password is wrong", "The pre-authentication was wrong (Wrong password)"),
    "clocks too far apart": ("The clocks are too far apart (More than the policy allows, 5 minutes by default)",),
    "user-to-user ticket required": ("The service gives only user-to-user tickets (The account asked for has no SPN)",),
    "account disabled, expired, locked out or outside logon hours": (
        f"The account of the client may not be used ({FOUR})",
    ),
}


def by_hand(table: str) -> Iterator[dict[str, str]]:
    with (HAND / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        yield from (row for row in csv.DictReader(file, strict=True) if not row["why"].startswith("EXTRA"))


AUTHENTICATIONS = list(by_hand("authentications"))
FAILURES = list(by_hand("failures"))


def file_of(row: dict[str, str]) -> str:
    return row.get("source" if "record_id" in row else "log") or ""


def group(source: str) -> str:
    return source.partition("/")[0]


GROUPS = sorted({group(file_of(row)) for row in (*AUTHENTICATIONS, *FAILURES)})


@pytest.fixture(scope="module")
def cases(shared_logs: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """A case for each folder of logs, of those files that the rows name. All workers of a test run share them."""

    def make(folder: Path) -> None:
        name = folder.name.removeprefix("hand-")
        files = {file_of(row) for row in (*AUTHENTICATIONS, *FAILURES) if group(file_of(row)) == name}
        sources = [unpacked(LOGS / file, folder / "logs" / file) for file in sorted(files)]
        with making.in_this_process():
            pipeline.ingest(sources, folder / "case", jobs=2, patience=10, source_tz="UTC")

    return {name: Case(making.once(tmp_path_factory, f"hand-{name}", make) / "case") for name in GROUPS}


def unpacked(path: Path, to: Path) -> Path:
    """What an archive holds, in a folder; another file as it is."""
    if not path.name.endswith((".zip", ".tar.gz")):
        return path
    to.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(to)  # noqa: S202 - our own collection of logs
    else:
        with tarfile.open(path) as archive:
            archive.extractall(to, filter="data")
    return to


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def record_keys(row: dict[str, str]) -> list[tuple[str, int]]:
    """Host and record id of each record of a failure."""
    return [(host.lower(), int(number)) for _, host, number in (each.split(":") for each in row["record_ids"].split())]


@pytest.fixture(scope="module")
def authentications(cases: dict[str, Case]) -> dict[tuple[str, str, int], dict[str, Any]]:
    found = {}
    for name, case in cases.items():
        for row in rows(
            case,
            """SELECT a.*, e.computer, e.record_id FROM authentications AS a
            JOIN events AS e ON e.uid = a.authentication_id""",
        ):
            found[name, row["computer"].lower(), row["record_id"]] = row
    return found


@pytest.mark.parametrize(
    "row", AUTHENTICATIONS, ids=[f"{row['event_id']}-{row['record_id']}" for row in AUTHENTICATIONS]
)
def test_authentication(authentications, row):
    told = authentications[group(row["source"]), row["host"].lower(), int(row["record_id"])]
    assert dict(of_authentication(told)) == dict(by(row))


def by(row: dict[str, str]) -> Iterator[tuple[str, object]]:
    """A row by hand, as the models would say it."""
    yield "event_id", int(row["event_id"])
    yield "time", moment(row["time"])
    yield "step", STEPS[row["kind"]]
    yield "name", row["account_name"] or None
    yield "domain", row["account_domain"] or None
    yield "client", row["client"].lower() or None
    yield "service", row["service"] or None
    yield "service_host", row["service_host"] or None
    yield "success", row["result"] == "success"
    yield "result", row["result"] == "success" or row["result"] in RESULTS
    code, _, name = row["ticket_etype"].partition(" ")
    yield "ticket", name or None
    assert not code or name in {each["symbol"] for each in catalogue.table("encryption_types")}
    yield "pre_auth", row["pre_auth"].partition(" ")[2] or None
    yield "weak", row["weak"] == "yes"
    yield "delegation", None if row["delegated"] in {"", "no"} else row["delegated"].replace("-", "_").replace(" ", "_")
    yield "scope", row["scope"] or None


def of_authentication(told: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield from ((column, told[column]) for column in ("event_id", "time", "step", "name", "domain"))
    client = told["client_address"] or told["workstation"]
    yield "client", client.lower() if client else None
    yield "service", told["service_name"]
    yield "service_host", told["service_host"]
    yield "success", told["success"]
    yield "result", told["success"] or any(told["result"] in each for each in RESULTS.values())
    yield "ticket", told["ticket_encryption"]
    yield "pre_auth", told["pre_auth"]
    yield "weak", told["weak"] is not None
    yield "delegation", told["delegation"]
    yield "scope", told["scope"]


@pytest.fixture(scope="module")
def failures(cases: dict[str, Case]) -> dict[tuple[str, str, int], dict[str, Any]]:
    """The failure that each record is evidence of."""
    found = {}
    for name, case in cases.items():
        for row in rows(
            case,
            """SELECT f.*, e.computer, e.record_id, e.time, v.role FROM failures AS f
            JOIN evidence AS v ON v.row_id = f.failure_id JOIN events AS e ON e.uid = v.uid""",
        ):
            key = name, row["computer"].lower(), row["record_id"]
            assert key not in found
            found[key] = row
    return found


@pytest.mark.parametrize("row", FAILURES, ids=[row["record_ids"].rpartition(":")[2] for row in FAILURES])
def test_failure(failures, row):
    told = [failures[group(row["log"]), *key] for key in record_keys(row)]
    assert len({each["failure_id"] for each in told}) == 1
    assert sorted(each["role"] for each in told) == sorted(row["layers"].split("+"))
    assert dict(of_failure(told[0])) == dict(failure_by(row))
    assert min(each["time"] for each in told) == moment(row["first_time"])


def failure_by(row: dict[str, str]) -> Iterator[tuple[str, object]]:
    yield "layers", row["layers"].replace("+", " ")
    yield "name", row["account_name"].lower() or None
    yield "domain", row["account_domain"].lower() or None
    yield "address", row["source"] or None
    yield "workstation", row["workstation"] or None
    yield "host", row["target_host"] or None
    yield "logon_type", int(row["logon_type"]) if row["logon_type"] else None
    yield "logon_process", row["logon_process"] or None
    yield "program", row["process"].lower() or None
    yield "reason_key", KEYS.get(row["reason_key"], row["reason_key"])
    yield "codes", [code.removesuffix("/0x0") for code in re.split(r"; ", row["codes"])]
    yield "noise", bool(row["noise"])


def of_failure(told: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "layers", told["layers"]
    yield "name", told["name"].lower() if told["name"] else None
    yield "domain", told["domain"].lower() if told["domain"] else None
    yield "address", told["source_address"]
    yield "workstation", told["workstation"]
    yield "host", told["target_host"]
    yield "logon_type", told["logon_type"]
    yield "logon_process", told["logon_process"]
    program = told["process_name"]
    yield "program", PurePosixPath(program.replace("\\", "/")).name.lower() if program else None
    yield "reason_key", told["reason_key"]
    yield "codes", re.findall(r"\d{4} \S+", told["codes"])
    yield "noise", told["noise"] is not None


def test_no_other_failure(failures):
    """All failures of these logs are in the rows by hand, and no record is in two."""
    known = {(group(row["log"]), *key) for row in FAILURES for key in record_keys(row)}
    logs = {group(row["log"]) for row in FAILURES}
    assert {key for key in failures if key[0] in logs} - known == set()


def test_attempts_are_counted_and_folded_as_by_hand(failures):
    """Rows by hand have one attempt each; those with one `fold` repeat the one before."""
    attempts: Counter[tuple[str, int]] = Counter()
    folds = defaultdict(set)
    for number, row in enumerate(FAILURES):
        log = group(row["log"])
        told = failures[log, *record_keys(row)[0]]
        attempts[log, told["failure_id"]] += int(row["attempts"])
        folds[log, row["fold"] or number].add(told["failure_id"])
    assert attempts == {(key[0], told["failure_id"]): told["attempts"] for key, told in failures.items() if (
        key[0], told["failure_id"]) in attempts}  # fmt: skip
    assert {key: len(ids) for key, ids in folds.items() if len(ids) > 1} == {}
    assert len({ids for key, each in folds.items() for ids in each}) == len(folds)
