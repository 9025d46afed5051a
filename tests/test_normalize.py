"""From the bytes of a log to the columns of the events table: every kind of event, normal form and hostile text."""

# ruff: noqa: DTZ001 - columns hold UTC without saying so
import csv
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logontracks import catalogue, normalize, schema
from logontracks.catalogue import Keep
from logontracks.normalize import PRIME, STAGED, Normalizer
from logontracks.simulate.evtx_writer import Event, Template, filetime, write_evtx
from logontracks.sources import evtx
from logontracks.sources.envelope import to_tables
from logontracks.sources.evtx_text import Common, Piece, collect

SECURITY = "Microsoft-Windows-Security-Auditing"
EVENTLOG = "Microsoft-Windows-Eventlog"
LSM = "Microsoft-Windows-TerminalServices-LocalSessionManager"
RCM = "Microsoft-Windows-TerminalServices-RemoteConnectionManager"
NTLM = "Microsoft-Windows-NTLM"
NETLOGON = "Microsoft-Windows-Security-Netlogon"
KERNEL_GENERAL = "Microsoft-Windows-Kernel-General"
AUDIT_SUCCESS, AUDIT_FAILURE = 0x8020000000000000, 0x8010000000000000

NOW = datetime(2026, 10, 1, 9, 30, 0, 123456, tzinfo=UTC)
SYSTEM_COLUMNS = {
    "source", "short", "day", "uid", "position", "form", "computer", "computer_key", "channel", "provider", "event_id",
    "version", "record_id", "time", "time_100ns", "time_precision_us", "outcome", "record_sid", "activity_id",
    "boot_hint", "data",
}  # fmt: skip
USER_DATA = {
    LSM: ("EventXML", "Event_NS"),
    RCM: ("EventXML", "Event_NS"),
    EVENTLOG: ("LogFileCleared", "http://manifests.microsoft.com/win/2004/08/windows/eventlog"),
    "Microsoft-Windows-TerminalServices-Gateway": ("EventInfo", "aag"),
}


def template(provider: str, event_id: int, version: int = 0) -> Template:
    """A kind of event with the fields of the catalogue, in the shape that Windows gives it."""
    event = catalogue.events()[provider.lower(), event_id]
    fields = catalogue.fields()[provider.lower(), event_id, version]
    named: Any = tuple(
        ("" if field.name.startswith("#") else field.name, field.type or "UnicodeString") for field in fields
    )
    return Template(event.provider, event_id, version, event.channel, named, user_data=USER_DATA.get(event.provider))


def record(kind: Template, written: dict[str, Any], **parts: Any) -> Event:
    """One event of that kind; fields that are not named are empty. Unnamed fields go by #1, #2 ..."""
    names = [name or f"#{place}" for place, (name, _) in enumerate(kind.fields, 1)]
    assert written.keys() <= set(names), written.keys() - set(names)
    empty = {"UnicodeString": "", "AnsiString": ""}
    values = [written.get(name, empty.get(type_)) for name, (_, type_) in zip(names, kind.fields, strict=True)]
    return Event(kind, parts.pop("ticks", filetime(NOW)), parts.pop("computer", "WS1.corp.local"), values, **parts)


def typed(row: dict[str, Any]) -> dict[str, Any]:
    """The columns that fields filled, without the copies in lower case, which are checked here."""
    for column in schema.COLUMNS:
        if column.folded_from:
            name = row[column.folded_from]
            assert row[column.name] == (name.lower() if name is not None else None)
    return {
        name: value
        for name, value in row.items()
        if value is not None and name not in SYSTEM_COLUMNS and not schema.BY_NAME[name].folded_from
    }


# data/columns.csv


@cache
def rules() -> list[dict[str, str]]:
    text = (files("logontracks") / "data" / "columns.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), strict=True))


# Rules for fields that the catalogue does not list: what classic events carry beside their strings, and events of
# sessions that the catalogue does not describe.
BEYOND_THE_CATALOGUE = {("EventLog", "6008", "Binary"), (SECURITY, "", "SubjectUserDomainName")}


def kept_fields() -> dict[tuple[str, int], set[str]]:
    found: dict[tuple[str, int], set[str]] = {}
    for (provider, event_id, _), fields in catalogue.fields().items():
        if catalogue.events()[provider, event_id].keep is not Keep.NO:
            found.setdefault((provider, event_id), set()).update(field.name for field in fields)
    return found


def applies(rule: dict[str, str], provider: str, event_id: int) -> bool:
    return rule["provider"].lower() in {"", provider} and rule["event_id"] in {"", str(event_id)}


def test_columns_csv_is_sorted_and_unique():
    def place(row: dict[str, str]) -> tuple[Any, ...]:
        field = row["field"]
        order = (0, int(field[1:]), "") if field.startswith("#") else (1, 0, field)
        return row["provider"].lower(), int(row["event_id"] or -1), order, row["column"]

    places = [place(row) for row in rules()]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_every_field_has_a_column_or_a_reason():
    for (provider, event_id), names in kept_fields().items():
        known = {rule["field"] for rule in rules() if applies(rule, provider, event_id)}
        assert names <= known, (provider, event_id, names - known)


def test_every_rule_is_about_a_field_that_exists():
    kept = kept_fields()
    for rule in rules():
        found = any(applies(rule, *kind) and rule["field"] in names for kind, names in kept.items())
        beyond = (rule["provider"], rule["event_id"], rule["field"]) in BEYOND_THE_CATALOGUE
        assert found != beyond, rule
        assert rule["provider"] or not rule["event_id"], rule


def test_a_field_that_stays_in_data_says_why_and_has_no_other_rule():
    stays = {(rule["provider"], rule["event_id"], rule["field"]) for rule in rules() if not rule["column"]}
    for rule in rules():
        if rule["column"]:
            assert (rule["provider"], rule["event_id"], rule["field"]) not in stays, rule
        else:
            assert len(rule["note"]) > 4, rule
            assert not rule["form"], rule


def test_every_column_of_a_field_is_filled_by_some_rule():
    filled = {rule["column"] for rule in rules()}
    for column in schema.COLUMNS:
        assert (column.name in filled) == (column.form is not None), column


def test_columns_of_fields_and_of_the_record_are_all_the_columns():
    for column in schema.COLUMNS:
        by_field = column.form is not None or column.folded_from is not None
        assert by_field == (column.name not in SYSTEM_COLUMNS | {"source_sha256"}), column
    assert set(STAGED.names) == set(schema.NAMES) - {"source_sha256"} | {"source", "short", "day"}


@pytest.mark.parametrize("kind", [*normalize.known_fields(), normalize.UNKNOWN])
def test_no_two_fields_of_an_event_differ_in_case_alone(kind):
    # DuckDB holds them as a struct, whose names are blind to case.
    fields = {rule.field for rule in normalize.rules_of(kind)}
    assert len({field.lower() for field in fields}) == len(fields)


# Every kind of event: a value of its own for each field, and the columns that the rules promise

NUMBERS = {"UInt8": 200, "UInt16": 60_000, "Int32": 20_000, "Int64": 20_000}


def sample(type_: str, forms: list[str], n: int) -> tuple[Any, dict[str, Any]]:
    """A value for a field of a type and the forms that its rules ask for, and what each form makes of it."""
    match type_:
        case "SID":
            sid = f"S-1-5-21-1-2-3-{1000 + n}"
            return sid, {"sid": sid}
        case "GUID":
            guid = f"6a3b1b52-0c7f-4b3e-9f41-{n:012x}"
            return guid.upper(), {"guid": guid}
        case "FILETIME":
            moment = NOW + timedelta(seconds=n)
            return moment, {"time": moment.replace(tzinfo=None)}
        case "Boolean":
            return n % 2 == 0, {"yes_no": n % 2 == 0}
        case "HexInt64" if "logon_id" in forms:
            return (1 << 63) + n, {"logon_id": n - (1 << 63)}
        case "UnicodeString" | "AnsiString":
            return sample_text(set(forms), n)
        case _:
            number = NUMBERS.get(type_, 10_000) + n
            return number, {"integer": number, "text": str(number), "logon_id": number}


def sample_text(forms: set[str], n: int) -> tuple[str, dict[str, Any]]:
    if forms <= {"text"}:
        return f"Zoë {n} ", {"text": f"Zoë {n}"}
    if forms <= {"account_name", "account_domain"}:
        return f"DOM{n}\\user{n}", {"account_name": f"user{n}", "account_domain": f"DOM{n}"}
    if forms <= {"address", "port_behind"}:
        return f"10.1.2.{n}:{50_000 + n}", {"address": f"10.1.2.{n}", "port_behind": 50_000 + n}
    if forms <= {"text", "realm"}:
        return f"krbtgt/REALM{n}", {"text": f"krbtgt/REALM{n}", "realm": f"REALM{n}"}
    if forms <= {"text", "server"}:
        return f"cifs/fs{n}.corp.local:445", {"text": f"cifs/fs{n}.corp.local:445", "server": f"fs{n}.corp.local"}
    only = {
        "sid": (f"S-1-5-21-9-9-9-{n}", f"S-1-5-21-9-9-9-{n}"),
        "logon_id": (f"0x{0xABC00 + n:x}", 0xABC00 + n),
        "integer": (f"0x{0x1000 + n:X}", 0x1000 + n),
        "port": (str(40_000 + n), 40_000 + n),
        "yes_no": ("%%1843", False),
        "percent_id": (f"%%{2300 + n}", 2300 + n),
        "impersonation": ("%%1840", "delegation"),
        "list": (f"\r\n\t\tOne{n}\r\n\t\tTwo{n}", f"One{n} Two{n}"),
        "time": (f"10:0{n % 10}:00", None),  # 4616 version 0: the time of day without a zone
    }
    (form,) = forms
    return only[form][0], {form: only[form][1]}


def every_kind() -> list[tuple[str, int, int]]:
    return [key for key in catalogue.fields() if catalogue.events()[key[:2]].keep is not Keep.NO]


def expectation(key: tuple[str, int, int]) -> tuple[Event, dict[str, Any]]:
    """A record with a value in each field, and the columns it has to fill."""
    provider, event_id, _version = key
    mine = [(place, rule) for place, rule in enumerate(rules()) if applies(rule, provider, event_id)]
    written: dict[str, Any] = {}
    fills: dict[str, list[tuple[int, int, Any]]] = {}
    for n, field in enumerate(catalogue.fields()[key], 1):
        about = [(bool(rule["provider"]) + bool(rule["event_id"]), place, rule) for place, rule in mine]
        about = [(narrow, place, rule) for narrow, place, rule in about if rule["field"] == field.name]
        narrowest = max(narrow for narrow, _, _ in about)
        chosen = []
        for narrow, place, rule in about:
            if narrow == narrowest and rule["column"]:
                form = rule["form"] or str(schema.BY_NAME[rule["column"]].form)
                chosen.append((narrow, place, rule["column"], form))
        written[field.name], made = sample(field.type or "UnicodeString", [form for *_, form in chosen], n)
        for narrow, place, column, form in chosen:
            if made[form] is not None:
                fills.setdefault(column, []).append((-narrow, place, made[form]))
    expected = {column: min(found)[2] for column, found in fills.items()}
    return record(template(*key), written), expected


def read_back(path: Path, few: int) -> pa.Table:
    where = evtx.layout(path)
    assert where is not None
    common = Common(activity=True)
    piece = evtx.read(common, 7, path, where, 0, where.chunks)
    tables = to_tables(piece.rows, common.heads, common.tails)
    before, normalize.FEW = normalize.FEW, few
    try:
        staged, bad = Normalizer().rows(tables)
    finally:
        normalize.FEW = before
    assert not bad
    return staged.sort_by("position")


@pytest.fixture(scope="module")
def log_of_all_kinds(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("kinds") / "kinds.evtx"
    write_evtx(path, (expectation(key)[0] for key in every_kind()))
    return path


@pytest.fixture(scope="module")
def all_kinds(log_of_all_kinds) -> list[dict[str, Any]]:
    return read_back(log_of_all_kinds, 1_000_000).to_pylist()


def test_every_kind_comes_back(log_of_all_kinds, all_kinds):
    """By way of Python's JSON, as for few records, and by way of DuckDB's."""
    assert [(row["provider"].lower(), row["event_id"], row["version"]) for row in all_kinds] == every_kind()
    assert read_back(log_of_all_kinds, -1).to_pylist() == all_kinds


@pytest.mark.parametrize("key", every_kind(), ids=lambda key: "-".join(map(str, key)))
def test_every_rule_fills_its_column_and_nothing_else(all_kinds, key):
    row = all_kinds[every_kind().index(key)]
    _, expected = expectation(key)
    assert typed(row) == expected


# The important events, written out

ALICE, BOB = "S-1-5-21-1-2-3-1105", "S-1-5-21-1-2-3-1106"
GUID = "6a3b1b52-0c7f-4b3e-9f41-2d2f0d7a1c11"
SUBJECT = {
    "SubjectUserSid": "S-1-5-18",
    "SubjectUserName": "WS1$",
    "SubjectDomainName": "CORP",
    "SubjectLogonId": 0x3E7,
}
BY_SUBJECT = {"subject_sid": "S-1-5-18", "subject_name": "WS1$", "subject_domain": "CORP", "subject_logon_id": 0x3E7}
TARGET = {
    "TargetUserSid": ALICE,
    "TargetUserName": "Alice",
    "TargetDomainName": "CORP",
    "TargetLogonId": 0x3E7A1,
}
BY_TARGET = {"target_sid": ALICE, "target_name": "Alice", "target_domain": "CORP", "target_logon_id": 0x3E7A1}
ACCOUNT = {"TargetUserName": "Alice", "TargetDomainName": "CORP", "TargetSid": ALICE}
BY_ACCOUNT = {"target_name": "Alice", "target_domain": "CORP", "target_sid": ALICE}

LOGON = SUBJECT | TARGET | {
    "LogonType": 10,
    "LogonProcessName": "User32 ",
    "AuthenticationPackageName": "Negotiate",
    "WorkstationName": "WS1",
    "LogonGuid": GUID.upper(),
    "TransmittedServices": "-",
    "LmPackageName": "-",
    "KeyLength": 0,
    "ProcessId": 0x704,
    "ProcessName": "C:\\Windows\\System32\\svchost.exe",
    "IpAddress": "10.0.0.5",
    "IpPort": "0",
}  # fmt: skip
BY_LOGON = BY_SUBJECT | BY_TARGET | {
    "logon_type": 10,
    "logon_process": "User32",
    "auth_package": "Negotiate",
    "workstation": "WS1",
    "logon_guid": GUID,
    "key_length": 0,
    "process_id": 0x704,
    "process_name": "C:\\Windows\\System32\\svchost.exe",
    "source_address": "10.0.0.5",
}  # fmt: skip
LOGON_2 = LOGON | {
    "ImpersonationLevel": "%%1833",
    "RestrictedAdminMode": "%%1843",
    "TargetOutboundUserName": "adm-alice",
    "TargetOutboundDomainName": "OTHER",
    "VirtualAccount": "%%1843",
    "TargetLinkedLogonId": 0x3E7B2,
    "ElevatedToken": "%%1842",
}
BY_LOGON_2 = BY_LOGON | {
    "impersonation_level": "impersonation",
    "restricted_admin": False,
    "target_outbound_name": "adm-alice",
    "target_outbound_domain": "OTHER",
    "virtual_account": False,
    "target_linked_logon_id": 0x3E7B2,
    "elevated": True,
}
TGT = ACCOUNT | {
    "ServiceName": "krbtgt",
    "ServiceSid": "S-1-5-21-1-2-3-502",
    "TicketOptions": 0x40810010,
    "Status": 0,
    "TicketEncryptionType": 0x12,
    "PreAuthType": "2",
    "IpAddress": "::ffff:10.0.0.5",
    "IpPort": "49711",
    "CertIssuerName": "",
    "CertSerialNumber": "",
    "CertThumbprint": "",
}
BY_TGT = BY_ACCOUNT | {
    "service_name": "krbtgt",
    "service_sid": "S-1-5-21-1-2-3-502",
    "ticket_options": 0x40810010,
    "status": 0,
    "ticket_encryption_type": 0x12,
    "pre_auth_type": 2,
    "source_address": "10.0.0.5",
    "source_port": 49711,
}
KEYS = {
    "AccountSupportedEncryptionTypes": "0x27 (DES, RC4, AES-Sk)",
    "AccountAvailableKeys": "AES-SHA1, RC4",
    "ServiceSupportedEncryptionTypes": "0x1F",
    "ServiceAvailableKeys": "AES-SHA1, RC4",
    "DCSupportedEncryptionTypes": "0x1F",
    "DCAvailableKeys": "AES-SHA1, RC4",
    "ClientAdvertizedEncryptionTypes": "\n\t\tAES256-CTS-HMAC-SHA1-96\n\t\tRC4-HMAC-NT",
    "SessionKeyEncryptionType": 0x12,
}
BY_KEYS = {
    "service_available_keys": "AES-SHA1, RC4",
    "client_encryption_types": "AES256-CTS-HMAC-SHA1-96 RC4-HMAC-NT",
    "session_key_encryption_type": 0x12,
}
SERVICE_TICKET = {
    "TargetUserName": "alice@CORP.LOCAL",
    "TargetDomainName": "CORP.LOCAL",
    "ServiceName": "FS01$",
    "ServiceSid": "S-1-5-21-1-2-3-1200",
    "TicketOptions": 0x40810000,
    "TicketEncryptionType": 0x12,
    "IpAddress": "::ffff:10.0.0.5",
    "IpPort": "49712",
    "Status": 0,
    "LogonGuid": GUID,
    "TransmittedServices": "-",
}
BY_SERVICE_TICKET = {
    "target_name": "alice",
    "target_domain": "CORP.LOCAL",
    "service_name": "FS01$",
    "service_sid": "S-1-5-21-1-2-3-1200",
    "ticket_options": 0x40810000,
    "ticket_encryption_type": 0x12,
    "source_address": "10.0.0.5",
    "source_port": 49712,
    "status": 0,
    "logon_guid": GUID,
}
RENEWAL = {
    name: value for name, value in SERVICE_TICKET.items() if name not in {"Status", "LogonGuid", "TransmittedServices"}
}
BY_RENEWAL = {name: value for name, value in BY_SERVICE_TICKET.items() if name not in {"status", "logon_guid"}}
HASHES = {"RequestTicketHash": "cmVxdWVzdA==", "ResponseTicketHash": "cmVzcG9uc2U="}
BY_HASHES = {"request_ticket_hash": "cmVxdWVzdA==", "response_ticket_hash": "cmVzcG9uc2U="}
RDP_ACCOUNT = {
    "AccountName": "Alice",
    "AccountDomain": "CORP",
    "LogonID": 0x3E7A1,
    "SessionName": "RDP-Tcp#3",
    "ClientName": "LAPTOP7",
    "ClientAddress": "10.0.0.5",
}
BY_RDP_ACCOUNT = {
    "target_name": "Alice",
    "target_domain": "CORP",
    "target_logon_id": 0x3E7A1,
    "session_name": "RDP-Tcp#3",
    "workstation": "LAPTOP7",
    "source_address": "10.0.0.5",
}
IN_SESSION = TARGET | {"SessionId": 2}
BY_IN_SESSION = BY_TARGET | {"terminal_session": 2}
NPS = {
    "SubjectUserSid": ALICE,
    "SubjectUserName": "host/ws1.corp.local",
    "SubjectDomainName": "CORP",
    "FullyQualifiedSubjectUserName": "CORP\\WS1$",
    "CallingStationID": "AA-BB-CC-DD-EE-FF",
    "ClientName": "VPN1",
    "ClientIPAddress": "10.0.0.9",
    "AuthenticationType": "EAP",
}
BY_NPS = {
    "target_sid": ALICE,
    "target_name": "WS1$",
    "target_domain": "CORP",
    "calling_station": "AA-BB-CC-DD-EE-FF",
    "server_name": "VPN1",
}
OLD, NEW = NOW - timedelta(hours=2), NOW

IMPORTANT: list[tuple[str, int, int, dict[str, Any], dict[str, Any]]] = [
    (SECURITY, 4624, 0, LOGON, BY_LOGON),
    (SECURITY, 4624, 1, LOGON | {"ImpersonationLevel": "%%1840"}, BY_LOGON | {"impersonation_level": "delegation"}),
    (SECURITY, 4624, 2, LOGON_2, BY_LOGON_2),
    (
        SECURITY, 4624, 3, LOGON_2 | {"RemoteCredentialGuard": "%%1842"},
        BY_LOGON_2 | {"remote_credential_guard": True},
    ),
    (
        SECURITY, 4625, 0,
        {name: value for name, value in LOGON.items() if name not in {"TargetLogonId", "LogonGuid"}}
        | {"TargetUserSid": "S-1-0-0", "Status": 0xC000006D, "SubStatus": 0xC000006A, "FailureReason": "%%2313"},
        {name: value for name, value in BY_LOGON.items() if name not in {"target_logon_id", "logon_guid", "target_sid"}}
        | {"status": 0xC000006D, "sub_status": 0xC000006A, "failure_reason": 2313},
    ),
    (SECURITY, 4634, 0, TARGET | {"LogonType": 3}, BY_TARGET | {"logon_type": 3}),
    (SECURITY, 4647, 0, TARGET, BY_TARGET),
    (
        SECURITY, 4648, 0,
        SUBJECT
        | {
            "LogonGuid": "11111111-0c7f-4b3e-9f41-2d2f0d7a1c11",
            "TargetUserName": "bob",
            "TargetDomainName": "CORP.LOCAL",
            "TargetLogonGuid": GUID,
            "TargetServerName": "fs01.corp.local",
            "TargetInfo": "cifs/fs01.corp.local",
            "ProcessId": 4,
            "ProcessName": "",
            "IpAddress": "-",
            "IpPort": "-",
        },
        BY_SUBJECT
        | {
            "target_name": "bob",
            "target_domain": "CORP.LOCAL",
            "logon_guid": GUID,
            "target_server": "fs01.corp.local",
            "target_info": "cifs/fs01.corp.local",
            "process_id": 4,
        },
    ),
    (
        SECURITY, 4648, 0, SUBJECT | {"LogonGuid": GUID, "TargetUserName": "bob"},
        BY_SUBJECT | {"target_name": "bob"},  # the GUID is the one of who asked
    ),
    (
        SECURITY, 4672, 0, SUBJECT | {"PrivilegeList": "SeSecurityPrivilege\r\n\t\t\tSeBackupPrivilege"},
        BY_SUBJECT | {"privileges": "SeSecurityPrivilege SeBackupPrivilege"},
    ),
    (SECURITY, 4768, 0, TGT, BY_TGT),
    (
        SECURITY, 4768, 1,
        TGT | {"ResponseTicket": "dGlja2V0", "PreAuthType": "16", "CertThumbprint": "AB12"},
        BY_TGT | {"response_ticket_hash": "dGlja2V0", "pre_auth_type": 16, "cert_thumbprint": "AB12"},
    ),
    (
        SECURITY, 4768, 2, TGT | KEYS | {"ResponseTicket": "dGlja2V0", "PreAuthEncryptionType": 0x12},
        BY_TGT | BY_KEYS | {"response_ticket_hash": "dGlja2V0", "pre_auth_encryption_type": 0x12},
    ),
    (
        SECURITY, 4768, 0,
        TGT | {"Status": 0x6, "TicketEncryptionType": 0xFFFFFFFF, "PreAuthType": "-", "ServiceName": "krbtgt/CORP"},
        {name: value for name, value in BY_TGT.items() if name != "pre_auth_type"}
        | {"status": 6, "ticket_encryption_type": 0xFFFFFFFF, "service_name": "krbtgt/CORP"},
    ),
    (SECURITY, 4769, 0, SERVICE_TICKET, BY_SERVICE_TICKET),
    (SECURITY, 4769, 1, SERVICE_TICKET | HASHES, BY_SERVICE_TICKET | BY_HASHES),
    (SECURITY, 4769, 2, SERVICE_TICKET | HASHES | KEYS, BY_SERVICE_TICKET | BY_HASHES | BY_KEYS),
    (SECURITY, 4770, 0, RENEWAL, BY_RENEWAL),
    (SECURITY, 4770, 1, RENEWAL | HASHES, BY_RENEWAL | BY_HASHES),
    (
        SECURITY, 4771, 0,
        {
            "TargetUserName": "Alice",
            "TargetSid": ALICE,
            "ServiceName": "krbtgt/CORP.LOCAL",
            "TicketOptions": 0x40810010,
            "Status": 0x18,
            "PreAuthType": "2",
            "IpAddress": "::ffff:10.0.0.5",
            "IpPort": "49711",
        },
        {
            "target_name": "Alice",
            "target_sid": ALICE,
            "target_domain": "CORP.LOCAL",
            "service_name": "krbtgt/CORP.LOCAL",
            "ticket_options": 0x40810010,
            "status": 0x18,
            "pre_auth_type": 2,
            "source_address": "10.0.0.5",
            "source_port": 49711,
        },
    ),
    (
        SECURITY, 4776, 0,
        {
            "PackageName": "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0",
            "TargetUserName": "Alice",
            "Workstation": "LAPTOP7",
            "Status": 0xC0000064,
        },
        {
            "auth_package": "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0",
            "target_name": "Alice",
            "workstation": "LAPTOP7",
            "status": 0xC0000064,
        },
    ),
    (SECURITY, 4778, 0, RDP_ACCOUNT, BY_RDP_ACCOUNT),
    (
        SECURITY, 4779, 0, RDP_ACCOUNT | {"SessionName": "Console", "ClientAddress": "LOCAL", "ClientName": "Unknown"},
        BY_RDP_ACCOUNT | {"session_name": "Console", "source_address": "LOCAL", "workstation": "Unknown"},
    ),
    *((SECURITY, event_id, 0, IN_SESSION, BY_IN_SESSION) for event_id in (4800, 4801, 4802, 4803)),
    (
        SECURITY, 4740, 0, SUBJECT | ACCOUNT | {"TargetDomainName": "LAPTOP7"},
        BY_SUBJECT | {"target_name": "Alice", "target_sid": ALICE, "caller_computer": "LAPTOP7"},
    ),
    (SECURITY, 4767, 0, SUBJECT | ACCOUNT, BY_SUBJECT | BY_ACCOUNT),
    *((SECURITY, event_id, 0, SUBJECT | ACCOUNT, BY_SUBJECT | BY_ACCOUNT) for event_id in (4722, 4724, 4725)),
    (
        SECURITY, 4728, 0, SUBJECT | ACCOUNT | {"MemberName": "CN=Bob,DC=corp,DC=local", "MemberSid": BOB},
        BY_SUBJECT | BY_ACCOUNT | {"member_name": "CN=Bob,DC=corp,DC=local", "member_sid": BOB},
    ),
    (
        SECURITY, 4781, 0,
        SUBJECT
        | {"OldTargetUserName": "Alice", "NewTargetUserName": "Alice2", "TargetDomainName": "CORP", "TargetSid": ALICE},
        BY_SUBJECT
        | {
            "old_name": "Alice",
            "new_name": "Alice2",
            "target_name": "Alice2",
            "target_domain": "CORP",
            "target_sid": ALICE,
        },
    ),
    (
        SECURITY, 4616, 0,
        SUBJECT
        | {
            "PreviousDate": "01.10.2026", "PreviousTime": "09:30:00", "NewDate": "01.10.2026", "NewTime": "11:30:00",
            "ProcessId": 4, "ProcessName": "C:\\Windows\\System32\\svchost.exe",
        },
        BY_SUBJECT | {"process_id": 4, "process_name": "C:\\Windows\\System32\\svchost.exe"},
    ),
    (
        SECURITY, 4616, 1,
        SUBJECT
        | {"PreviousTime": OLD, "NewTime": NEW, "ProcessId": 4, "ProcessName": "C:\\Windows\\System32\\svchost.exe"},
        BY_SUBJECT
        | {
            "old_time": OLD.replace(tzinfo=None),
            "new_time": NEW.replace(tzinfo=None),
            "process_id": 4,
            "process_name": "C:\\Windows\\System32\\svchost.exe",
        },
    ),
    (
        SECURITY, 4719, 0,
        SUBJECT
        | {
            "CategoryId": "%%8273", "SubcategoryGuid": "0cce9215-69ae-11d9-bed3-505054503030",
            "AuditPolicyChanges": "%%8448, %%8450",
        },
        BY_SUBJECT | {"audit_subcategory": "0cce9215-69ae-11d9-bed3-505054503030", "audit_changes": "%%8448, %%8450"},
    ),
    (
        SECURITY, 4627, 0,
        SUBJECT
        | TARGET
        | {
            "LogonType": 3, "EventIdx": 1, "EventCountTotal": 1,
            "GroupMembership": "\r\n\t\t%{S-1-1-0}\r\n\t\t%{S-1-5-2}",
        },
        BY_SUBJECT | BY_TARGET | {"logon_type": 3, "group_sids": "S-1-1-0 S-1-5-2"},
    ),
    (
        SECURITY, 4688, 2,
        SUBJECT
        | {
            "NewProcessId": 0x10, "NewProcessName": "C:\\cmd.exe", "ProcessId": 0x20, "CommandLine": "cmd /c dir",
            "TargetUserSid": "S-1-0-0", "TargetUserName": "-", "TargetDomainName": "-", "TargetLogonId": 0x3E7A1,
            "ParentProcessName": "C:\\explorer.exe",
        },
        BY_SUBJECT
        | {
            "object_name": "C:\\cmd.exe", "process_id": 0x20, "process_name": "C:\\explorer.exe",
            "target_logon_id": 0x3E7A1,
        },
    ),
    (SECURITY, 6272, 2, NPS, BY_NPS),
    (
        SECURITY, 6273, 2,
        NPS
        | {
            "SubjectUserName": "CORP\\alice", "FullyQualifiedSubjectUserName": "corp.local/Users/Alice Smith",
            "ReasonCode": "16", "Reason": "Authentication failed",
        },
        BY_NPS | {"target_name": "alice", "reason_code": 16},
    ),
    (EVENTLOG, 1102, 0, SUBJECT, BY_SUBJECT),
    (EVENTLOG, 1102, 1, SUBJECT | {"ClientProcessId": 77, "ClientProcessStartKey": 1}, BY_SUBJECT | {"process_id": 77}),
    (
        EVENTLOG, 104, 0,
        {"SubjectUserName": "alice", "SubjectDomainName": "CORP", "Channel": "System", "BackupPath": ""},
        {"subject_name": "alice", "subject_domain": "CORP", "object_name": "System"},
    ),
    *(
        (
            LSM, event_id, 0, {"User": "CORP\\alice", "SessionID": 2, "Address": "10.0.0.5"},
            {"target_name": "alice", "target_domain": "CORP", "terminal_session": 2, "source_address": "10.0.0.5"},
        )
        for event_id in (21, 22, 24, 25)
    ),
    (LSM, 21, 0, {"User": "WS1\\bob", "SessionID": 1, "Address": "LOCAL"}, {
        "target_name": "bob", "target_domain": "WS1", "terminal_session": 1, "source_address": "LOCAL",
    }),
    *(
        (
            LSM, event_id, 0, {"User": "CORP\\alice", "SessionID": 2},
            {"target_name": "alice", "target_domain": "CORP", "terminal_session": 2},
        )
        for event_id in (23, 41, 42)
    ),
    (LSM, 39, 0, {"TargetSession": 2, "Source": 3}, {"terminal_session": 2, "other_terminal_session": 3}),
    (LSM, 40, 0, {"Session": 2, "Reason": 5}, {"terminal_session": 2, "reason_code": 5}),
    (
        RCM, 1149, 0, {"Param1": "alice", "Param2": "CORP", "Param3": "10.0.0.5"},
        {"target_name": "alice", "target_domain": "CORP", "source_address": "10.0.0.5"},
    ),
    (
        RCM, 1149, 0, {"Param1": "alice@corp.local", "Param2": "", "Param3": "10.0.0.5"},
        {"target_name": "alice", "target_domain": "corp.local", "source_address": "10.0.0.5"},
    ),
    (
        NTLM, 8001, 0,
        {
            "TargetName": "cifs/fs01.corp.local", "UserName": "(NULL)", "DomainName": "(NULL)", "CallerPID": 4,
            "ProcessName": "", "ClientLUID": 0x3E7, "ClientUserName": "WS1$", "ClientDomainName": "CORP",
            "MechanismOID": "1.3.6.1.4.1.311.2.2.10",
        },
        {
            "target_server": "fs01.corp.local", "target_info": "cifs/fs01.corp.local", "process_id": 4,
            "subject_logon_id": 0x3E7, "subject_name": "WS1$", "subject_domain": "CORP",
        },
    ),
    (
        NETLOGON, 8004, 0,
        {
            "SChannelName": "FS01", "UserName": "alice", "DomainName": "CORP", "WorkstationName": "LAPTOP7",
            "SChannelType": 2,
        },
        {"server_name": "FS01", "target_name": "alice", "target_domain": "CORP", "workstation": "LAPTOP7"},
    ),
    (
        KERNEL_GENERAL, 1, 2,
        {"NewTime": NEW, "OldTime": OLD, "Reason": 1, "ProcessName": "\\Device\\svchost.exe", "ProcessID": 4},
        {
            "new_time": NEW.replace(tzinfo=None), "old_time": OLD.replace(tzinfo=None), "reason_code": 1,
            "process_name": "\\Device\\svchost.exe", "process_id": 4,
        },
    ),
    (
        KERNEL_GENERAL, 12, 0,
        {"MajorVersion": 10, "MinorVersion": 0, "BuildVersion": 26100, "StartTime": OLD},
        {"os_build": 26100, "boot_time": OLD.replace(tzinfo=None)},
    ),
    (KERNEL_GENERAL, 13, 0, {"StopTime": NOW}, {"stop_time": NOW.replace(tzinfo=None)}),
    ("EventLog", 6005, 0, {"#1": ""}, {}),
    ("EventLog", 6006, 0, {"#1": ""}, {}),
    (
        "EventLog", 6008, 0, {"#1": "12:50:29 PM", "#2": "\u200e8/\u200e7/\u200e2020", "#5": "504236"},
        {"uptime_s": 504236},
    ),
    ("EventLog", 6009, 0, {"#1": "10.00.", "#2": "26100", "#4": "Multiprocessor Free", "#5": "0"}, {"os_build": 26100}),
    ("EventLog", 6011, 0, {"#1": "WIN-ABC", "#2": "WS1"}, {"old_name": "WIN-ABC", "new_name": "WS1"}),
    ("EventLog", 6013, 0, {"#5": "86400", "#6": "60", "#7": "0 UTC"}, {"uptime_s": 86400}),
    (
        "User32", 1074, 0,
        {
            "param1": "C:\\Windows\\System32\\shutdown.exe (WS1)", "param2": "WS1", "param3": "Other",
            "param4": "0x500ff",
            "param5": "restart", "param6": "", "param7": "CORP\\alice",
        },
        {
            "process_name": "C:\\Windows\\System32\\shutdown.exe (WS1)", "reason_code": 0x500FF,
            "shutdown_type": "restart", "subject_name": "alice", "subject_domain": "CORP",
        },
    ),
    (
        "Service Control Manager", 7045, 0,
        {
            "ServiceName": "evil", "ImagePath": "C:\\evil.exe", "ServiceType": "user mode service",
            "AccountName": "LocalSystem",
        },
        {"service_name": "evil", "object_name": "C:\\evil.exe"},
    ),
]  # fmt: skip


def test_important_events(road):
    """One log with all of them; what differs is told for all at once."""
    wrong = {}
    events = [record(template(*kind), written) for *kind, written, _ in IMPORTANT]
    rows = road(events)
    assert len(rows) == len(IMPORTANT)
    for row, (provider, event_id, version, _, expected) in zip(rows, IMPORTANT, strict=True):
        assert (row["provider"], row["event_id"], row["version"]) == (provider, event_id, version)
        if typed(row) != expected:
            found = typed(row)
            wrong[provider, event_id, version] = {
                name: (found.get(name), expected.get(name))
                for name in found.keys() | expected
                if found.get(name) != expected.get(name)
            }
    assert not wrong


def test_the_crash_time_of_6008_is_read_from_its_bytes(road):
    kind = template("EventLog", 6008)
    kind = replace(kind, fields=(*kind.fields, ("Binary", "UnicodeString")))
    written = {"#1": "12:50:29 PM", "Binary": "E4070800050007000C0032001D00E100E407080005000700130032001D00E100"}
    (row,) = road([record(kind, written)])
    assert typed(row) == {"stop_time": datetime(2020, 8, 7, 19, 50, 29, 225000)}


def test_a_later_version_is_read_by_name(road):
    """Version 9 of 4624: new fields at the start, in the middle and at the end, one old one gone."""
    fields = [*template(SECURITY, 4624, 3).fields]
    fields = [("NewFirst", "UInt32"), *fields[:7], ("NewMiddle", "UnicodeString"), *reversed(fields[7:])]
    fields = [*fields, ("NewLast", "SID")]
    fields = [field for field in fields if field[0] != "KeyLength"]
    kind = replace(template(SECURITY, 4624, 3), version=9, fields=tuple(fields))
    written = {name: value for name, value in LOGON_2.items() if name != "KeyLength"}
    written |= {"NewFirst": 7, "NewMiddle": "Bob", "NewLast": BOB, "RemoteCredentialGuard": "%%1843"}
    (row,) = road([record(kind, written)])
    assert row["version"] == 9
    expected = BY_LOGON_2 | {"remote_credential_guard": False}
    assert typed(row) == {name: value for name, value in expected.items() if name != "key_length"}
    assert json.loads(row["data"])["NewMiddle"] == "Bob"


def test_a_security_event_that_nobody_knows_is_read_by_name(road):
    logon = template(SECURITY, 4624)
    kind = replace(logon, event_id=5999, version=4, fields=(*logon.fields, ("Odd", "UInt8")))
    (row,) = road([record(kind, LOGON | {"Odd": 1})])
    assert typed(row) == BY_LOGON


def test_com_plus_writes_its_logon_ids_as_numbers(road):
    fields = (
        ("SubjectUserName", "UnicodeString"),
        ("SubjectUserDomainName", "UnicodeString"),
        ("SubjectLogonId", "UInt32"),
    )
    kind = replace(template(SECURITY, 4634), event_id=5890, fields=fields)
    by_system = record(kind, {"SubjectUserName": "SYSTEM", "SubjectLogonId": 999})
    by_alice = record(kind, {"SubjectUserName": "alice", "SubjectUserDomainName": "CORP", "SubjectLogonId": 0x3E7A1})
    (row,) = road([by_system, by_alice])  # what the system does belongs to no session
    assert typed(row) == {"subject_name": "alice", "subject_domain": "CORP", "subject_logon_id": 0x3E7A1}


# Normal forms, from the bytes to the column


@pytest.mark.parametrize(
    ("field", "written", "column", "expected"),
    [
        ("TargetUserName", "-", "target_name", None),
        ("TargetUserName", "", "target_name", None),
        ("TargetUserName", "  ", "target_name", None),
        ("TargetUserName", " alice ", "target_name", "alice"),
        ("TargetUserName", "ÅSA ÇELİK", "target_name_key", "åsa çeli̇k"),
        ("TargetUserName", "ΟΔΥΣΣΕΥΣ", "target_name_key", "οδυσσευς"),
        ("TargetUserName", "Администратор", "target_name_key", "администратор"),
        ("TargetUserName", "管理者", "target_name_key", "管理者"),
        ("TargetUserName", "A" * 20_000, "target_name_key", "a" * 20_000),
        ("TargetUserSid", "S-1-0-0", "target_sid", None),
        ("TargetUserSid", "S-1-5-7", "target_sid", "S-1-5-7"),
        ("LogonGuid", "00000000-0000-0000-0000-000000000000", "logon_guid", None),
        ("LogonGuid", GUID.upper(), "logon_guid", GUID),
        ("TargetLogonId", 0, "target_logon_id", None),
        ("TargetLogonId", 0x3E7, "target_logon_id", 0x3E7),
        ("TargetLogonId", 1 << 63, "target_logon_id", -(1 << 63)),
        ("TargetLogonId", (1 << 64) - 1, "target_logon_id", -1),
        ("LogonType", 0, "logon_type", 0),
        ("LogonType", 70_000, "logon_type", None),
        ("LogonProcessName", "Advapi  ", "logon_process", "Advapi"),
        ("LogonProcessName", "NtLmSsp ", "logon_process", "NtLmSsp"),
        ("IpAddress", "::ffff:10.0.0.5", "source_address", "10.0.0.5"),
        ("IpAddress", "fe80::1%12", "source_address", "fe80::1"),
        ("IpAddress", "-", "source_address", None),
        ("IpPort", "0", "source_port", None),
        ("IpPort", "-", "source_port", None),
        ("ElevatedToken", "%%1842", "elevated", True),
        ("ElevatedToken", "%%1843", "elevated", False),
        ("ElevatedToken", "-", "elevated", None),
        ("RestrictedAdminMode", "-", "restricted_admin", None),
        ("ImpersonationLevel", "%%1832", "impersonation_level", "identification"),
        ("KeyLength", 128, "key_length", 128),
        ("KeyLength", 0xFFFFFFFF, "key_length", None),
        ("ProcessId", 0, "process_id", 0),
    ],
)
def test_normal_form(road, field, written, column, expected):
    (row,) = road([record(template(SECURITY, 4624, 2), {field: written})])
    assert row[column] == expected


@pytest.mark.parametrize(
    ("kind", "field", "written", "column", "expected"),
    [
        ((SECURITY, 4625, 0), "FailureReason", "%%2313", "failure_reason", 2313),
        ((SECURITY, 4625, 0), "FailureReason", "%%9999999999", "failure_reason", None),
        ((SECURITY, 4625, 0), "Status", 0xC000006D, "status", 0xC000006D),
        ((SECURITY, 4777, 0), "Status", "0xC000006D", "status", 0xC000006D),
        ((SECURITY, 4777, 0), "Status", "0xc000006d", "status", 0xC000006D),
        ((SECURITY, 4777, 0), "Status", "3221225581", "status", 0xC000006D),
        ((SECURITY, 4771, 0), "PreAuthType", "-", "pre_auth_type", None),
        ((SECURITY, 4766, 0), "SubjectLogonId", "0x3E7", "subject_logon_id", 0x3E7),
        ((LSM, 21, 0), "Address", "::%16777216", "source_address", "::"),
        ((NTLM, 8003, 0), "Workstation", "(NULL)", "workstation", None),
    ],
)
def test_normal_form_of_other_events(road, kind, field, written, column, expected):  # noqa: PLR0917 - a table
    (row,) = road([record(template(*kind), {field: written})])
    assert row[column] == expected


# The System part

BOOT = datetime(2026, 9, 30, 6, 12, 44, 501234)


def test_system_columns(road):
    hint = ((BOOT - datetime(1601, 1, 1)) // timedelta(microseconds=1) * 10 + 7).to_bytes(8, "little").hex()
    activity = f"{{1200CE16-64B6-0000-{hint[:4]}-{hint[4:]}}}"
    (row,) = road(
        [
            record(
                template(SECURITY, 4634),
                TARGET,
                ticks=filetime(NOW) + 7,
                computer=" WS1.Corp.LOCAL ",
                record_id=4711,
                user_sid="S-1-5-18",
                activity_id=activity,
            )
        ]
    )
    data = json.loads(row["data"])
    assert {name: value for name, value in row.items() if name in SYSTEM_COLUMNS - {"uid", "data"}} == {
        "source": 7,
        "form": "evtx",
        "position": 1,
        "computer": "WS1.Corp.LOCAL",
        "computer_key": "ws1.corp.local",
        "short": "ws1",
        "channel": "Security",
        "provider": SECURITY,
        "event_id": 4634,
        "version": 0,
        "record_id": 4711,
        "time": NOW.replace(tzinfo=None),
        "day": NOW.date(),
        "time_100ns": 7,
        "time_precision_us": 1,
        "outcome": "success",
        "record_sid": "S-1-5-18",
        "activity_id": activity.strip("{}").lower(),
        "boot_hint": BOOT,
    }
    assert 0 <= row["uid"] < 1 << 62
    assert data["TargetUserName"] == "Alice"
    assert data["TargetUserSid"] == ALICE


@pytest.mark.parametrize(
    ("keywords", "outcome"),
    [
        (AUDIT_SUCCESS, "success"),
        (AUDIT_FAILURE, "failure"),
        (0x4020000000000000, "success"),  # 1102
        (0x8000000000000080, None),
        (0, None),
    ],
)
def test_outcome_is_told_by_the_keywords(road, keywords, outcome):
    (row,) = road([record(template(SECURITY, 4634), TARGET, keywords=keywords)])
    assert row["outcome"] == outcome


@pytest.mark.parametrize("spelling", [SECURITY.upper(), SECURITY.lower(), f" {SECURITY} "])
def test_the_provider_may_come_in_any_case(road, spelling):
    (row,) = road([record(replace(template(SECURITY, 4634), provider=spelling), TARGET)])
    assert row["provider"] == spelling.strip()
    assert typed(row) == BY_TARGET


@pytest.mark.parametrize(
    ("moment", "digit"),
    [
        (datetime(1601, 1, 1, tzinfo=UTC), 0),
        (datetime(1601, 1, 1, 0, 0, 0, 1, tzinfo=UTC), 9),
        (datetime(1950, 7, 1, 12, 0, 0, 999_999, tzinfo=UTC), 3),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 9),
        (datetime(1970, 1, 1, tzinfo=UTC), 1),
        (datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC), 9),
        (datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), 5),
    ],
)
def test_times_of_all_ages(road, moment, digit):
    (row,) = road([record(template(SECURITY, 4634), TARGET, ticks=filetime(moment) + digit)])
    assert row["time"] == moment.replace(tzinfo=None)
    assert row["day"] == moment.date()
    assert row["time_100ns"] in ({digit} if 1678 <= moment.year <= 2261 else {digit, None})
    assert row["time_precision_us"] == 1
    assert 0 <= row["uid"] < 1 << 62


@given(
    st.integers(
        min_value=filetime(datetime(1980, 1, 1, tzinfo=UTC)), max_value=filetime(datetime(2099, 1, 1, tzinfo=UTC))
    )
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_times_come_back_to_the_tick(road, ticks):
    (row,) = road([record(template(SECURITY, 4634), TARGET, ticks=ticks)])
    microseconds = (row["time"] - datetime(1601, 1, 1)) // timedelta(microseconds=1)
    assert microseconds * 10 + row["time_100ns"] == ticks


def test_uid_names_the_record_and_nothing_else(road):
    """Same for a copy of the record, another one for any other record."""
    kind = template(SECURITY, 4634)
    same = [
        record(kind, TARGET, record_id=5),
        record(kind, TARGET, record_id=5, computer="ws1"),  # short name
        record(
            kind, TARGET, record_id=5, computer="WS1.CORP.LOCAL", ticks=filetime(NOW) + 9_000
        ),  # finer or coarser time
        record(replace(kind, channel="SECURITY"), TARGET | {"TargetUserName": "bob"}, record_id=5),
    ]
    other = [
        record(kind, TARGET, record_id=6),
        record(kind, TARGET, record_id=5, computer="ws2"),
        record(kind, TARGET, record_id=5, ticks=filetime(NOW + timedelta(seconds=1))),
        record(template(SECURITY, 4647), TARGET, record_id=5),
        record(replace(kind, channel="Other"), TARGET, record_id=5),
    ]
    uids = [row["uid"] for row in road([*same, *other])]
    assert len(set(uids[: len(same)])) == 1
    assert len(set(uids)) == 1 + len(other)


def test_the_record_id_is_the_one_of_the_log_it_was_written_to(road):
    """An exported or forwarded log numbers its records anew; the System part keeps their own number."""
    rows = road(record(template(SECURITY, 4634), TARGET, record_id=number) for number in (9000, 17, 18))
    assert [row["record_id"] for row in rows] == [9000, 17, 18]


# Hostile text

HOSTILE = [
    '"',
    "\\",
    '\\"',
    "\\\\",
    '","EventData":{',
    '},"EventData":{"TargetUserName":"root',
    '},"UserData":{',
    '"Channel":"Application',
    '","Channel":"Security","Computer":"DC1',
    '"TimeCreated":{"#attributes":{"SystemTime":"1999-01-01T00:00:00.000000Z',
    '"ActivityID":"11111111-1111-1111-1111-111111111111',
    '"RenderingInfo":{',
    '"EventRecordID":1,',
    'LogonId":"0x5',
    '"#text":"x',
    '{"Data":[1]}',
    "a\tb\nc\rd",
    "\x1b[31mred\x1b[0m\x07\x08",
    "\x01\x1f\x7f\x80\x9f",
    "\u202egnp.exe",
    "\u2028\u2029\ufeff\uffff",
    "\U0001f600",
    "=cmd|' /C calc'!A0",
    "<script>&amp;</script>",
    "'; DROP TABLE events; --",
    "%s%n{}{0}${x}",
    "null",
    "[1]",
    "0x3e7",
    "a\u0000b",
]


@pytest.mark.parametrize("few", [1_000_000, -1], ids=["python", "duckdb"])
def test_hostile_text_is_text(tmp_path, few):
    """Whatever a name holds, it comes back as it is and changes nothing else."""
    path = tmp_path / "hostile.evtx"
    kind = template(SECURITY, 4624, 2)
    fields = ["TargetUserName", "TargetDomainName", "WorkstationName", "ProcessName", "SubjectUserName"]
    events = [
        record(kind, LOGON_2 | {field: name}, record_id=100 + n)
        for n, (name, field) in enumerate((name, field) for name in HOSTILE for field in fields)
    ]
    write_evtx(path, events)
    columns = dict(
        zip(fields, ["target_name", "target_domain", "workstation", "process_name", "subject_name"], strict=True)
    )
    rows = read_back(path, few).to_pylist()
    assert len(rows) == len(events)
    for n, row in enumerate(rows):
        name, field = HOSTILE[n // len(fields)], fields[n % len(fields)]
        written = name.replace("\0", "\ufffd")  # a NUL cannot be in a log
        assert typed(row) == BY_LOGON_2 | {columns[field]: written.strip(" \t\r\n")}
        assert json.loads(row["data"])[field] == written
        assert (row["channel"], row["computer"], row["event_id"]) == ("Security", "WS1.corp.local", 4624)
        assert (row["record_id"], row["time"]) == (100 + n, NOW.replace(tzinfo=None))


def test_hostile_names_of_computer_channel_and_provider(road):
    kind = replace(template(SECURITY, 4634), channel="Security")
    events = [record(kind, TARGET, computer=name) for name in HOSTILE]
    events += [record(replace(kind, channel=name), TARGET) for name in HOSTILE]
    for row, written in zip(road(events), HOSTILE * 2, strict=True):
        name = written.replace("\0", "\ufffd").strip()
        assert name in {row["computer"], row["channel"]}
        assert typed(row) == BY_TARGET
    # A provider nobody knows is kept in the Security log for the sake of its session.
    events = [record(replace(kind, provider=name), TARGET) for name in HOSTILE]
    rows = road(events)
    assert [row["provider"] for row in rows] == [name.replace("\0", "\ufffd").strip() for name in HOSTILE]
    assert all(typed(row) == BY_TARGET for row in rows)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=20))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_text(road, name, computer, channel):
    def plain(text: str) -> str:
        return text.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    kind = replace(template(SECURITY, 4634), channel=channel)
    (row,) = road([record(kind, TARGET | {"TargetUserName": name}, computer=computer)])
    assert row["target_name"] == normalized_text(plain(name))
    assert row["computer"] == plain(computer).strip()
    assert row["channel"] == plain(channel).strip()
    assert json.loads(row["data"])["TargetUserName"] == plain(name)


def normalized_text(text: str) -> str | None:
    text = text.strip(" \t\r\n")
    return None if text in {"", "-", "(NULL)"} else text


def test_a_huge_field_is_read(road):
    privileges = "\r\n\t\t\t".join(f"Se{n}Privilege" for n in range(1500))
    (row,) = road([record(template(SECURITY, 4672), SUBJECT | {"PrivilegeList": privileges})])
    assert row["privileges"].split() == [f"Se{n}Privilege" for n in range(1500)]


# Shapes of the wheel's text that no writer of ours makes

BEFORE = (
    '{"Event":{"#attributes":{"xmlns":"http://schemas.microsoft.com/win/2004/08/events/event"},"System":{"Provider":'
    '{"#attributes":{"Name":"Microsoft-Windows-Security-Auditing","Guid":"54849625-5478-4994-A5BA-3E3B0328C30D"}},'
    '"EventID":4634,"Version":0,"Level":0,"Task":12545,"Opcode":0,"Keywords":"0x8020000000000000","TimeCreated":'
    '{"#attributes":{"SystemTime":"2026-10-01T09:30:00.123456Z"}},"EventRecordID":5,"Correlation":null,"Execution":'
    '{"#attributes":{"ProcessID":4,"ThreadID":8}},'
)
LOG = '"Channel":"Security","Computer":"ws1","Security":null}'
DATA = '"EventData":{"TargetUserName":"Alice","TargetLogonId":"0x3e7a1"}'
ALICE_BY_NAME = {"target_name": "Alice"}
ALICE_ALONE = ALICE_BY_NAME | {"target_logon_id": 0x3E7A1}


NO_CHANNEL = '"Computer":"ws1","Security":null}'
SHAPES: list[tuple[str, str, dict[str, Any]]] = [
    (f"{LOG},{DATA}", "Security", ALICE_ALONE),
    (f'{LOG},{DATA},"RenderingInfo":{{"Message":"}}x"}}', "Security", ALICE_ALONE),
    (f'{LOG},"EventData":null,"RenderingInfo":{{"Message":"x"}}', "Security", {}),
    (f'{LOG},"RenderingInfo":{{"Message":"x"}}', "Security", {}),
    (f'{LOG},"RenderingInfo":{{"Message":"x"}},{DATA}', "Security", ALICE_ALONE),
    (f'{LOG},"EventData":null', "Security", {}),
    (LOG, "Security", {}),
    (f'{LOG},"EventData":"text"', "Security", {}),
    (f'{LOG},"UserData":null', "Security", {}),
    (f'{LOG},"UserData":{{"#attributes":{{"x":1}},"X":{{"TargetUserName":"Alice"}}}}', "Security", ALICE_BY_NAME),
    (f'{LOG},"ProcessingErrorData":{{"ErrorCode":15005,"EventPayload":"00"}}', "Security", {}),
    (f'{LOG},"DebugData":{{"x":1}}', "Security", {}),
    (f'{LOG},"EventData":{{"#attributes":{{"Name":"x"}},"TargetUserName":"Alice"}}', "Security", ALICE_BY_NAME),
    (
        f'{LOG},"EventData":{{"TargetUserName":{{"#attributes":{{"x":"y"}},"#text":"Alice"}}}}',
        "Security",
        ALICE_BY_NAME,
    ),
    (f'"Channel":{{"#text":"Security"}},{NO_CHANNEL},{DATA}', "Security", ALICE_ALONE),
    # The channel of the fields is not the channel of the log.
    (f'"Channel":null,{NO_CHANNEL},"UserData":{{"X":{{"Channel":"System"}}}}', "", {}),
    (f'{NO_CHANNEL},"EventData":{{"Channel":"System","Computer":"dc1"}}', "", {}),
    (f'{NO_CHANNEL},"EventData":{{"Channel":"System"}}', "", {}),
]


@pytest.mark.parametrize(("behind", "channel", "expected"), SHAPES)
def test_shape(normalized, behind, channel, expected):
    text = f"{BEFORE}{behind}}}}}"
    json.loads(text)
    common, piece = Common(activity=True), Piece()
    found = {"data": text, "event_record_id": 1, "timestamp": "2026-10-01T09:30:00.1234567Z UTC"}
    # twice: what was learnt from the first one is used for the second
    assert collect(common, piece, 0, iter([found, found]), [(0, 2)]) == 2
    for row in normalized(common, piece).to_pylist():
        assert (row["computer"], row["channel"], row["record_id"]) == ("ws1", channel, 5)
        assert row["time"] == NOW.replace(tzinfo=None)
        assert typed(row) == expected


@pytest.mark.parametrize("digits", ["null", "-1", "18446744073709551616", '"x"'])
def test_a_record_without_a_number_has_the_one_of_its_header(normalized, digits):
    text = f"{BEFORE}{LOG},{DATA}}}}}".replace('"EventRecordID":5', f'"EventRecordID":{digits}')
    common, piece = Common(activity=True), Piece()
    found = {"data": text, "event_record_id": 77, "timestamp": "2026-10-01T09:30:00.1234567Z UTC"}
    collect(common, piece, 0, iter([found]), [(0, 1)])
    assert normalized(common, piece)["record_id"].to_pylist() == [77]


@pytest.mark.parametrize("count", [1, 100])
def test_classic_events_may_have_fewer_strings(normalized, count):
    """Half of the records lack the fifth string, where 6013 has its seconds; some have none at all."""
    before = BEFORE.replace(SECURITY, "EventLog").replace('"EventID":4634', '"EventID":6013')
    data = [
        '{"Data":{"#text":["","","","","60","60","0 UTC"]},"Binary":null}',
        '{"Data":{"#text":["",""]},"Binary":null}',
        '{"Data":null,"Binary":null}',
        '{"Binary":null}',
        '{"Data":{"#text":"one"}}',
        "null",
    ]
    texts = [f'{before}{LOG.replace("Security", "System", 1)},"EventData":{fields}}}}}' for fields in data] * count
    common, piece = Common(activity=True), Piece()
    records = ({"data": text, "event_record_id": 1, "timestamp": "2026-10-01T09:30:00.1234567Z UTC"} for text in texts)
    collect(common, piece, 0, records, [(0, len(texts))])
    assert normalized(common, piece)["uptime_s"].to_pylist() == [60, None, None, None, None, None] * count


# Both ways of taking JSON apart

VALUES = st.one_of(
    st.text(max_size=10),
    st.integers(),
    st.booleans(),
    st.none(),
    st.lists(st.text('ab"\\', max_size=3), max_size=3),  # control characters in there are escaped in two ways
    st.dictionaries(st.text("ab", max_size=3), st.integers(), max_size=2),
    st.sampled_from(["0x3e7", "-", "%%1842", "S-1-0-0", "2026-10-01T00:00:00Z"]),
)


def by_both_ways(normalizer: Normalizer, data: pa.ChunkedArray) -> list[dict[str, pa.Array]]:
    """The fields of logons, taken out of JSON by Python and by DuckDB."""
    kind = normalize.Kind(SECURITY.lower(), 4624)
    names = sorted({rule.field for rule in normalize.rules_of(kind)})
    by_python, valid = normalize._parse_one_by_one(names, data)
    assert valid is None
    before, normalize.FEW = normalize.FEW, -1
    try:
        by_duckdb, valid = normalizer._fields(kind, data)
    finally:
        normalize.FEW = before
    assert valid is None
    return [by_python, by_duckdb]


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(LOGON_2, VALUES)), min_size=1, max_size=5))
@settings(max_examples=60)
def test_both_ways_of_taking_json_apart_agree(normalizer_of_its_own, fields):
    texts = [json.dumps(each, ensure_ascii=index % 2 == 0) for index, each in enumerate(fields)]
    data = pa.chunked_array([pa.array(texts, pa.string())])
    by_python, by_duckdb = by_both_ways(normalizer_of_its_own, data)
    for name in by_python:
        assert by_duckdb[name].to_pylist() == by_python[name].to_pylist(), name


@pytest.mark.parametrize("before", [0, 1, 2])
def test_bad_json_of_long_characters(normalizer_of_its_own, before):
    """DuckDB's message quotes the text, cut at a byte."""
    texts = ['{"TargetUserName":"alice"}', "x" * before + "\u20ac" * 60]
    data = pa.chunked_array([pa.array(texts * normalize.FEW, pa.string())])
    fields, valid = normalizer_of_its_own._fields(normalize.Kind(SECURITY.lower(), 4624), data)
    assert fields["TargetUserName"].to_pylist() == ["alice", None] * normalize.FEW
    assert valid is not None
    assert valid.to_pylist() == [True, False] * normalize.FEW


def test_of_a_field_that_comes_twice_the_first_counts(normalizer_of_its_own):
    data = pa.chunked_array(
        [['{"TargetUserName":"alice","TargetUserName":"bob"}', '{"TargetUserName":null,"TargetUserName":"bob"}']]
    )
    found = by_both_ways(normalizer_of_its_own, data)
    assert [fields["TargetUserName"].to_pylist() for fields in found] == [["alice", None]] * 2


@pytest.fixture(scope="module")
def normalizer_of_its_own() -> Normalizer:
    return Normalizer()


@pytest.mark.parametrize("count", [3, 300])
def test_a_record_whose_fields_are_no_json_is_told(normalizer, count):
    common = Common(activity=True)
    head = common.head("h", {"Provider": {"#attributes": {"Name": SECURITY}}, "EventID": 4634})
    tail = common.tail("t", {"Channel": "Security", "Computer": "ws1"})
    data: list[str | None] = ['{"TargetUserName":"alice"}', "{", None] * (count // 3)
    rows = [(3, n, head, tail, n, "2026-10-01T09:30:00.123456Z", None, None, text) for n, text in enumerate(data)]
    ((_, table),) = to_tables({normalize.Kind(SECURITY.lower(), 4634): rows}, common.heads, common.tails)
    staged, bad = normalizer.rows([(normalize.Kind(SECURITY.lower(), 4634), table)])
    assert staged["target_name"].to_pylist() == ["alice", None] * (count // 3)
    assert bad == [(3, n) for n, text in enumerate(data) if text == "{"]


IDS = st.integers(0, 9) | st.integers(0, (1 << 31) - 1) | st.just((1 << 31) - 1)


WIDE = st.sampled_from([[], [(5, (1 << 62) - 1, -1, -62_135_596_800)]])


@given(st.lists(st.tuples(st.integers(0, PRIME - 1) | st.just(PRIME - 1), st.none() | IDS, IDS, st.none() | IDS)), WIDE)
def test_uids_are_their_formula(records, wide):
    """In steps of 63 bits, and in Python where numbers are too large for them."""
    records = records + wide
    keys, ids, events, seconds = zip(*records, strict=True) if records else ((), (), (), ())
    table = pa.table(
        {
            "log_key": pa.array(keys, pa.int64()),
            "record_id": pa.array(ids, pa.int64()),
            "event_id": pa.array(events, pa.int32()),
        }
    )
    by_id, by_event, by_second = normalize.MIX
    assert normalize._uids(table, pa.chunked_array([pa.array(seconds, pa.int64())])).to_pylist() == [
        None if number is None else (key + number * by_id + event * by_event + (second or 0) * by_second) % PRIME
        for key, number, event, second in records
    ]


def test_nothing_gives_an_empty_table(normalizer):
    staged, bad = normalizer.rows([])
    assert staged.schema == STAGED
    assert (len(staged), bad) == (0, [])
