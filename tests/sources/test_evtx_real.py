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
from logontracks.forms import integer
from logontracks.sources import evtx
from logontracks.sources.evtx_text import Common, NotCleanError, Piece, collect

LOGS = Path(__file__).parents[3] / "shared" / "logs"
PATHS = sorted(
    path.relative_to(LOGS).as_posix() for path in LOGS.rglob("*.evtx") if path.relative_to(LOGS).parts[0] != "damaged"
)
DAMAGED = {
    f"evtx-parser-edge-cases/{name}.evtx"
    for name in (
        "2-vss_0-Microsoft-Windows-TerminalServices-RemoteConnectionManager-Operational",
        "System2",
        "sample_with_a_bad_chunk_magic",
        "security_bad_string_cache",
    )
}
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
        return evtx.read_carefully(common, 0, path, where, 0, where.chunks, lambda _: None), False


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


@every_log
def test_counts_are_those_of_the_manifest(shared_logs, name):
    """Exactly, where a file is sound. Out of a damaged one we may save more than the manifest's tool did."""
    row = next(row for row in manifest() if row["path"] == name)
    piece, clean = read(Common(activity=True), shared_logs / name)
    found: Counter[str] = Counter()
    for (_, channel, _, event_id, _), (records, kept) in piece.extents.counts.items():
        assert 0 <= kept <= records
        for prefix, of in MANIFEST_CHANNELS.items():
            if channel.lower() == of and event_id in MANIFEST_IDS[prefix]:
                found[f"{prefix}{event_id}"] += records
    expected = Counter({key: int(count) for key, _, count in (item.partition(":") for item in row["counts"].split())})
    if clean:
        assert found == expected
        assert piece.records == int(row["records"])
        assert not piece.problems
    else:
        assert name in DAMAGED
        assert found >= expected
        assert piece.records >= int(row["records"]) - 1  # it may have counted a record without time and provider
        assert piece.problems
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
        record_id=system["EventRecordID"],
        time=time,
        written=record["timestamp"],
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


def chunks_of(path: Path) -> Iterator[tuple[int, list[dict[str, Any]], list[Plain]]]:
    """Number and records of each chunk: as the wheel gives them, and parsed."""
    raw = path.read_bytes()
    for chunk, at in enumerate(range(4096, len(raw), 65536)):
        bytes_ = raw[at : at + 65536].ljust(65536, b"\0")
        if not bytes_.startswith(b"ElfChnk\0"):
            continue
        found = wheel.PyEvtxParser(io.BytesIO(evtx._file_header(1) + bytes_), number_of_threads=1).records_json()
        records: list[dict[str, Any]] = []
        plain: list[Plain] = []
        for _ in range(10_000):
            try:
                record = next(found)
            except StopIteration:
                break
            except RuntimeError:
                continue
            one = parsed(record, (chunk << 16) + len(records) + 1)
            if one is not None:
                records.append(record)
                plain.append(one)
        yield chunk, records, plain


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


RESERVED = {int(row["decimal"]) for row in catalogue.table("reserved_logon_ids")}


def serves(record: Plain, *, activity: bool) -> bool:
    """Whether a record is to be kept: by the catalogue, or because it tells what a session did."""
    event = catalogue.events().get((record.provider.lower(), record.event_id))
    if event and event.keep is not Keep.ACTIVITY:
        return event.keep is Keep.LOGON
    ids = {integer(str(value)) for name, value in (record.fields or {}).items() if name.endswith("LogonId")}
    return activity and record.channel.lower() == "security" and bool(ids - RESERVED - {None})


@every_log
def test_cutting_gives_what_parsing_gives(shared_logs, name):
    """For every record: all of it where the wheel gives it, and what is kept where the program reads it."""
    common, piece = KeepAll(activity=True), Piece()
    plain = []
    for chunk, records, parsed_ones in chunks_of(shared_logs / name):
        assert collect(common, piece, 0, iter(records), [(chunk, len(records))]) == len(records)
        plain += parsed_ones
    assert cut(common, piece) == plain
    if name in DAMAGED:
        return  # what is saved from it is another test's matter
    for activity in (True, False):
        common = Common(activity=activity)
        piece, clean = read(common, shared_logs / name)
        assert clean
        assert cut(common, piece) == [record for record in plain if serves(record, activity=activity)]


# Winlogbeat's reading of the same records (field names of ECS and of winlog)

EVENT_DATA_COLUMNS = {
    "AccountDomain": "target_domain",
    "AccountName": "target_name",
    "AuthenticationPackageName": "auth_package",
    "ClientAddress": "source_address",
    "ClientName": "workstation",
    "FailureReason": "failure_reason",
    "ImpersonationLevel": "impersonation_level",
    "IpAddress": "source_address",
    "IpPort": "source_port",
    "KeyLength": "key_length",
    "LmPackageName": "lm_package",
    "LogonGuid": "logon_guid",
    "LogonID": "target_logon_id",
    "LogonProcessName": "logon_process",
    "LogonType": "logon_type",
    "MemberName": "member_name",
    "MemberSid": "member_sid",
    "PackageName": "auth_package",
    "PreAuthType": "pre_auth_type",
    "ServiceFileName": "object_name",
    "ServiceName": "service_name",
    "ServiceSid": "service_sid",
    "SessionName": "session_name",
    "Status": "status",
    "SubStatus": "sub_status",
    "SubjectDomainName": "subject_domain",
    "SubjectLogonId": "subject_logon_id",
    "SubjectUserName": "subject_name",
    "SubjectUserSid": "subject_sid",
    "TargetDomainName": "target_domain",
    "TargetLogonId": "target_logon_id",
    "TargetSid": "target_sid",
    "TargetUserName": "target_name",
    "TargetUserSid": "target_sid",
    "TicketEncryptionType": "ticket_encryption_type",
    "TicketOptions": "ticket_options",
    "TransmittedServices": "transmitted_services",
    "UserPrincipalName": "user_principal_name",
    "Workstation": "workstation",
}
EVENT_DATA_WITHOUT_COLUMN = {
    "AccountExpires", "AllowedToDelegateTo", "DisplayName", "Dummy", "HomeDirectory", "HomePath", "LogonHours",
    "NewUacValue", "OldUacValue", "PasswordLastSet", "PrimaryGroupId", "PrivilegeList", "ProfilePath",
    "SamAccountName", "ScriptPath", "ServiceAccount", "ServiceStartType", "ServiceType", "SidHistory",
    "UserAccountControl", "UserParameters", "UserWorkstations",  # they stay in `data`
    "NewUACList", "StatusDescription", "TicketEncryptionTypeDescription", "TicketOptionsDescription",  # made by it
}  # fmt: skip
COLUMNS = {
    "event.code": "event_id",
    "event.outcome": "outcome",
    "event.provider": "provider",
    "host.name": "computer",
    "process.executable": "process_name",
    "process.pid": "process_id",
    "source.domain": "workstation",
    "source.ip": "source_address",
    "source.port": "source_port",
    "winlog.activity_id": "activity_id",
    "winlog.channel": "channel",
    "winlog.computer_name": "computer",
    "winlog.event_id": "event_id",
    "winlog.logon.type": "logon_type",
    "winlog.provider_name": "provider",
    "winlog.record_id": "record_id",
    "winlog.version": "version",
}
WITHOUT_COLUMN = re.compile(
    r"event\.(action|category|kind|module|type)|log\.level|related\..*|service\.type|winlog\.(api|opcode|keywords|task"
    r"|process\..*|provider_guid|logon\.failure\..*|user_data\.xml_name)|process\.name"
)
# user.* and winlog.logon.id are the account logged on in events about logons, and the one who acts in all others.
ABOUT_LOGONS = {4624, 4625, 4768, 4771, 4776, 4778}
LOGON_TYPES = {"Interactive": 2, "Network": 3, "Service": 5, "RemoteInteractive": 10}


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for name, branch in tree.items():
            yield from leaves(branch, f"{path}.{name}" if path else name)
    else:
        yield path, tree


def column_of(path: str, event_id: int) -> str | None:
    """The column that holds what Winlogbeat puts there; None for what is not in the events table."""
    if path in COLUMNS:
        return COLUMNS[path]
    first, _, last = path.rpartition(".")
    if first in {"winlog.event_data", "winlog.user_data"} and last != "xml_name":
        return None if last in EVENT_DATA_WITHOUT_COLUMN else EVENT_DATA_COLUMNS[last]
    part = {"id": "sid", "name": "name", "domain": "domain"}.get(last)
    role = "target" if event_id in ABOUT_LOGONS else "subject"
    match first:
        case "user":
            return f"{role}_{part}"
        case "user.target" if event_id in {4728, 4732}:
            return {"sid": "member_sid"}.get(part or "")  # its name is cut out of MemberName
        case "user.target" | "group" | "user.target.group":
            return f"target_{part}"
    if path == "winlog.logon.id":
        return f"{'subject' if event_id == 4625 else role}_logon_id"  # a failed logon has no session of its own
    if path == "service.name":
        return "service_name"
    assert WITHOUT_COLUMN.fullmatch(path), path
    return None


def as_number(text: Any) -> int | None:
    digits = str(text).removeprefix("%%")
    return None if digits == "-" else int(digits, 0)


def as_column(column: str, written: Any) -> Any:
    """Winlogbeat's value in our normal form."""
    match column:
        case "logon_type" if written in LOGON_TYPES:
            return LOGON_TYPES[written]
        case "subject_logon_id" | "target_logon_id" | "source_port":
            return as_number(written) or None
        case (
            "event_id" | "process_id" | "record_id" | "version" | "logon_type" | "key_length" | "failure_reason"
            | "status" | "sub_status" | "ticket_options" | "ticket_encryption_type" | "pre_auth_type"
        ):  # fmt: skip
            return as_number(written)
        case "impersonation_level":
            return {"%%1833": "impersonation"}[written]
        case "logon_guid" | "activity_id":
            guid = written.strip("{}").lower()
            return guid if guid.strip("0-") else None
    text = written.strip()
    return None if text in {"", "-", "S-1-0-0"} else text


@pytest.mark.parametrize("name", GOLDEN or [pytest.param("", id="none")])
def test_winlogbeat_reads_the_same(shared_logs, normalized: Callable[[Common, Piece], Any], name):
    common = Common(activity=True)
    piece, _ = read(common, shared_logs / name)
    rows = {row["record_id"]: row for row in normalized(common, piece).to_pylist()}
    golden = json.loads((shared_logs / f"{name}.golden.json").read_text(encoding="utf-8"))
    assert len(golden) == len(rows)
    compared: Counter[str] = Counter()
    for record in golden:
        row = rows[int(record["winlog"]["record_id"])]
        moment = datetime.strptime(record["@timestamp"][:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC)
        assert row["time"].replace(tzinfo=UTC) == moment
        # The wheel cuts the event's time to microseconds; the digit below is had where the record's header has the same
        # time, which it has not in an exported log.
        assert row["time_100ns"] in {None, int(record["@timestamp"][26:-1] or "0")}
        wrong = {}
        for path, written in leaves({name: branch for name, branch in record.items() if name != "@timestamp"}):
            column = column_of(path, row["event_id"])
            if column is None:
                continue
            compared[column] += 1
            expected = as_column(column, written)
            if row[column] != expected:
                wrong[path] = (written, column, row[column])
        assert not wrong, row["event_id"]
    assert len(compared) >= 10
