"""The catalogue: every row of data/*.csv parses, is sorted, has its source, and agrees with real records."""

import csv
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from functools import cache
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from logontracks import catalogue
from logontracks.catalogue import Keep
from logontracks.models import model

DATA = files("logontracks") / "data"
LOGS = Path(__file__).parents[2] / "shared" / "logs"
SECURITY = "microsoft-windows-security-auditing"
LSM = "microsoft-windows-terminalservices-localsessionmanager"
KDC = "microsoft-windows-kerberos-key-distribution-center"

# The columns that name a row; for events.csv also the order of the file.
KEYS = {
    "audit_policy": ("name",),
    "boot_types": ("code",),
    "classic_strings": ("provider", "event_id", "field"),
    "dialects": ("dialect", "part", "choice"),
    "encryption_types": ("code",),
    "events": ("channel", "provider", "event_id"),
    "failure_reasons": ("reason",),
    "fields": ("provider", "event_id", "version", "position"),
    "form_lacks": ("lack",),
    "impersonation_levels": ("id",),
    "input_forms": ("form",),
    "kerberos_codes": ("code",),
    "legacy_ids": ("legacy_id",),
    "legacy_strings": ("legacy_id", "os", "string_count", "position"),
    "logon_processes": ("logon_process",),
    "logon_types": ("code",),
    "marks": ("provider", "event_id"),
    "no_fields": ("provider", "event_id", "version"),
    "parameters": ("name",),
    "path_rules": ("rule",),
    "percent_ids": ("id",),
    "preauth_types": ("code",),
    "rdp_disconnect_reasons": ("code",),
    "reserved_logon_ids": ("logon_id",),
    "session_names": ("pattern",),
    "shutdown_1074": ("position",),
    "sources": ("token",),
    "special_accounts": ("pattern",),
    "status_codes": ("code",),
    "supported_encryption_types": ("mask",),
    "ticket_options": ("mask",),
    "ticket_options_common": ("value",),
    "windows_builds": ("build",),
}
UNSOURCED = {"parameters", "path_rules", "sources"}
"""Choices of our own, each with its reason."""
TYPES = {
    "AnsiString", "Boolean", "FILETIME", "GUID", "HexInt32", "HexInt64", "Int32", "Int64", "Pointer", "SID",
    "UInt16", "UInt32", "UInt64", "UInt8", "UnicodeString",
}  # fmt: skip
NUMBER = re.compile(r"(?:%%)?(\d+|0x[0-9a-f]+)")


def natural(value):
    """Numbers of any spelling by value, after all texts; texts by their letters."""
    match = NUMBER.fullmatch(value)
    return (1, int(match[1], 16 if match[1].startswith("0x") else 10), "") if match else (0, 0, value.lower())


def names(provider, event_id, version):
    return [field.name for field in catalogue.fields()[provider, event_id, version]]


# Every file


@pytest.mark.parametrize("name", KEYS)
def test_file_is_plain_csv(name):
    text = (DATA / f"{name}.csv").read_bytes().decode("utf-8")
    assert text.isprintable() or not [c for c in text if not c.isprintable() and c != "\n"]
    assert text.endswith("\n")
    rows = list(csv.reader(text.splitlines(), strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert all(cell == cell.strip() for row in rows for cell in row)


@pytest.mark.parametrize("name", KEYS)
def test_rows_are_unique_and_sorted(name):
    keys = [tuple(natural(row[column]) for column in KEYS[name]) for row in catalogue.table(name)]
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys)


@pytest.mark.parametrize("name", sorted(KEYS.keys() - UNSOURCED))
def test_every_row_has_a_known_source(name):
    known = {row["token"] for row in catalogue.table("sources")}
    for row in catalogue.table(name):
        assert row["source"], row
        assert set(row["source"].split(";")) <= known, row


def test_every_source_is_used():
    used = {
        token for name in KEYS.keys() - UNSOURCED for row in catalogue.table(name) for token in row["source"].split(";")
    }
    assert used == {row["token"] for row in catalogue.table("sources")}


@pytest.mark.parametrize("name", KEYS)
def test_no_stray_escapes_and_no_empty_meaning(name):
    for row in catalogue.table(name):
        assert row.get("meaning", "-"), row
        if name not in {"session_names", "special_accounts", "shutdown_1074"}:
            assert not any("\\" in cell for cell in row.values()), row


def test_marks_are_of_events_that_are_kept():
    for row in catalogue.table("marks"):
        event = catalogue.events()[catalogue.modern(row["provider"], int(row["event_id"]))]
        assert row["provider"] in {event.provider, "Security"}
        assert event.keep is not Keep.NO, row


def test_what_changed_its_number_has_the_mark_of_its_modern_event():
    marks = {(row["provider"], row["event_id"]): row["mark"] for row in catalogue.table("marks")}
    for row in catalogue.table("legacy_ids"):
        assert marks.get(("Security", row["legacy_id"])) == marks.get((row["provider"], row["event_id"])), row


def test_parameters_are_numbers_with_a_reason():
    for row in catalogue.table("parameters"):
        assert float(row["value"]) > 0
        assert row["unit"]
        assert row["reason"]
        assert row["unit"] != "s" or row["name"].endswith("_s")


def test_builds_of_windows_have_a_name():
    for row in catalogue.table("windows_builds"):
        names = [name for name in (row["workstation"], row["server"]) if name]
        assert names
        assert all(name.startswith("Windows ") for name in names)
        assert not row["workstation"].startswith("Windows Server")
        assert not row["server"] or row["server"].startswith("Windows Server")


# Events and their fields


def test_events_are_keyed_by_provider_in_lower_case_and_id():
    events = catalogue.events()
    assert len(events) == len(catalogue.table("events"))
    for (provider, event_id), event in events.items():
        assert provider == event.provider.lower()
        assert event_id == event.event_id
        assert event.title
        assert event.use
        assert event.outcome in {"success", "failure", "both", ""}
        assert event.keep in Keep


def test_subcategories_have_one_guid_and_one_category():
    guids = {}
    for event in catalogue.events().values():
        subcategories, event_guids = event.subcategory.split(";"), event.subcategory_guid.split(";")
        for subcategory, guid in zip(subcategories, event_guids, strict=True):
            assert guids.setdefault(subcategory, guid) == guid
            assert not guid or re.fullmatch(r"\{0cce92[0-9a-f]{2}-69ae-11d9-bed3-505054503030\}", guid)
        if event.provider.lower() == SECURITY:
            assert event.channel == "Security"
            assert event.subcategory
            assert event.category
            assert event.outcome
    assert len(set(guids.values())) == len(guids)
    # Anchors from Microsoft's constants: the first, one in the middle, the last.
    assert guids["Security State Change"].startswith("{0cce9210-")
    assert guids["Logon"].startswith("{0cce9215-")
    assert guids["Other Logon/Logoff Events"].startswith("{0cce921c-")
    assert guids["Credential Validation"].startswith("{0cce923f-")
    assert guids["Network Policy Server"].startswith("{0cce9243-")
    assert guids["Group Membership"].startswith("{0cce9249-")


def test_kept_events_have_fields_or_say_why_not():
    known = {(provider, event_id) for provider, event_id, _ in catalogue.fields()}
    excused = {(row["provider"].lower(), int(row["event_id"])) for row in catalogue.table("no_fields")}
    for key, event in catalogue.events().items():
        assert event.keep is Keep.NO or key in known | excused, key


def test_no_fields_says_none_or_unknown():
    with_fields = {(row["provider"], row["event_id"], row["version"]) for row in catalogue.table("fields")}
    for row in catalogue.table("no_fields"):
        key = (row["provider"], row["event_id"], row["version"])
        assert row["state"] in {"none", "unknown"}
        assert key not in with_fields
        layout = catalogue.fields().get((key[0].lower(), int(key[1]), int(key[2])))
        assert layout == (() if row["state"] == "none" else None)


def test_fields_are_numbered_without_gaps_and_typed():
    for key, layout in catalogue.fields().items():
        assert key[:2] in catalogue.events(), key
        assert [field.position for field in layout] == list(range(1, len(layout) + 1)), key
        assert len({field.name for field in layout}) == len(layout), key
        for field in layout:
            assert field.name
            assert field.type in TYPES or (field.type == "" and field.source == "field-unordered"), key


def test_classic_strings_name_unnamed_fields():
    for row in catalogue.table("classic_strings"):
        assert row["field"] in names(row["provider"].lower(), int(row["event_id"]), 0)


@pytest.mark.parametrize(
    ("event_id", "version", "count"),
    [
        (4624, 0, 20), (4624, 1, 21), (4624, 2, 27), (4624, 3, 28), (4625, 0, 21), (4634, 0, 5), (4647, 0, 4),
        (4648, 0, 14), (4672, 0, 5), (4768, 0, 14), (4768, 1, 15), (4768, 2, 24), (4769, 0, 11), (4769, 1, 13),
        (4769, 2, 21), (4776, 0, 4), (4778, 0, 6), (4779, 0, 6), (4608, 0, 0), (4688, 2, 15), (4663, 1, 13),
    ],
)  # fmt: skip
def test_number_of_fields(event_id, version, count):
    assert len(catalogue.fields()[SECURITY, event_id, version]) == count


def test_4624_grows_at_the_end_except_for_version_3():
    layouts = [names(SECURITY, 4624, version) for version in range(4)]
    assert layouts[1][:20] == layouts[0]
    assert layouts[1][20:] == ["ImpersonationLevel"]
    assert layouts[2][:21] == layouts[1]
    after = layouts[3].index("RestrictedAdminMode") + 1
    assert layouts[3][after] == "RemoteCredentialGuard"
    assert layouts[3][:after] + layouts[3][after + 1 :] == layouts[2]


def test_ticket_hashes_have_different_names_on_both_sides():
    assert names(SECURITY, 4768, 1)[-1] == "ResponseTicket"
    assert names(SECURITY, 4769, 1)[-2:] == ["RequestTicketHash", "ResponseTicketHash"]
    assert "PreAuthEncryptionType" in names(SECURITY, 4768, 2)
    assert "PreAuthEncryptionType" not in names(SECURITY, 4769, 2)


def test_user_data_events_carry_the_names_of_the_record():
    assert names("microsoft-windows-eventlog", 1108, 0) == ["ErrorCode", "EventID", "PublisherID"]
    assert names(LSM, 21, 0) == ["User", "SessionID", "Address"]


@pytest.mark.parametrize(
    ("event_id", "providers"),
    [
        (7001, {"microsoft-windows-winlogon": Keep.LOGON, "service control manager": Keep.NO}),
        (12, {"microsoft-windows-kernel-general": Keep.LOGON, "microsoft-windows-wininit": Keep.NO}),
        (4001, {"microsoft-windows-ntlm": Keep.LOGON, "microsoft-windows-wlan-autoconfig": Keep.NO}),
        (4625, {SECURITY: Keep.LOGON, "microsoft-windows-eventsystem": Keep.NO}),
        (
            1102,
            {
                "microsoft-windows-eventlog": Keep.LOGON,
                "microsoft-windows-terminalservices-clientactivexcore": Keep.LOGON,
            },
        ),
        (41, {"microsoft-windows-kernel-power": Keep.LOGON, LSM: Keep.LOGON, KDC: Keep.LOGON}),
    ],
)
def test_ids_collide_between_providers(event_id, providers):
    assert {
        provider: event.keep for (provider, id_), event in catalogue.events().items() if id_ == event_id
    } == providers


def test_keep():
    events = catalogue.events()
    assert events[SECURITY, 4688].keep is Keep.ACTIVITY
    assert events[SECURITY, 4697].keep is Keep.ACTIVITY
    assert events[SECURITY, 4720].keep is Keep.LOGON
    assert events[SECURITY, 4646].keep is Keep.NO
    for event in events.values():
        if event.keep is Keep.ACTIVITY:
            assert event.channel == "Security"  # only these carry the logon id of the subject
            assert any("SubjectLogonId" in names(event.provider.lower(), event.event_id, v) for v in versions(event))


def versions(event):
    return [key[2] for key in catalogue.fields() if key[:2] == (event.provider.lower(), event.event_id)]


def test_channels():
    channels = catalogue.channels()
    assert {"security", "system", "forwardedevents", "microsoft-windows-ntlm/operational"} <= channels
    assert "application" not in channels  # only a namesake of 4625 is in there
    assert channels == {channel.lower() for channel in channels}


def test_title():
    assert catalogue.title("MICROSOFT-Windows-Security-Auditing", 4634) == "An account was logged off"
    assert catalogue.title("Microsoft-Windows-Winlogon", 7001) != catalogue.title("Service Control Manager", 7001)
    assert catalogue.title("Nobody", 4634) is None


# Codes


@pytest.mark.parametrize(
    "value",
    ["0xC000006A", "0xc000006a", "0Xc000006A", " 0xc000006a ", "3221225578", 0xC000006A, -1073741718, "-1073741718"],
)
def test_status_code_in_any_spelling(value):
    assert catalogue.code("status_codes", value) == "The user exists, the password is wrong"


@pytest.mark.parametrize("value", ["%%2313", "2313", 2313])
def test_percent_id_in_any_spelling(value):
    assert catalogue.code("percent_ids", value) == "No such user, or wrong password"


def test_other_codes():
    assert catalogue.code("logon_types", 10) == catalogue.code("logon_types", "10") == "New session over RDP"
    assert catalogue.code("kerberos_codes", "0x18") == catalogue.code("kerberos_codes", 24)
    assert catalogue.code("encryption_types", -1) == catalogue.code("encryption_types", "0xFFFFFFFF")
    assert catalogue.code("encryption_types", "0x00000012") == catalogue.code("encryption_types", 18)
    assert catalogue.code("preauth_types", "-")
    assert catalogue.code("failure_reasons", "Bad_Password")
    assert catalogue.code("status_codes", "nonsense") is None
    assert catalogue.code("status_codes", "") is None


def test_unknown_tables_name_the_known_ones():
    with pytest.raises(KeyError, match=r"no table 'ntstatus'; there are: .*status_codes"):
        catalogue.table("ntstatus")
    with pytest.raises(KeyError, match="no table"):
        catalogue.table("../data/events")
    with pytest.raises(KeyError, match=r"'events' is no code table; these are: .*status_codes"):
        catalogue.code("events", 4624)


def test_look_ups_are_frozen():
    with pytest.raises(TypeError):
        catalogue.events()["x", 1] = None
    with pytest.raises(TypeError):
        catalogue.table("logon_types")[0]["code"] = "99"


def test_nothing_is_read_at_import():
    check = "from logontracks import catalogue as c; assert not c.table.cache_info().currsize"
    subprocess.run([sys.executable, "-W", "error", "-c", check], check=True)


def test_status_codes():
    for row in catalogue.table("status_codes"):
        assert re.fullmatch(r"0x[0-9a-f]{8}", row["code"])
        assert row["noise"] in {"yes", ""}
    noise = {row["code"] for row in catalogue.table("status_codes") if row["noise"]}
    # The list of Elastic and the UAC prompt
    assert {"0xc000015b", "0xc000005e", "0xc0000133", "0xc0000192", "0xc00000dc", "0xc000010b"} <= noise
    assert "0xc000006a" not in noise


def test_kerberos_codes_are_those_of_the_rfc():
    codes = {int(row["code"], 16) for row in catalogue.table("kerberos_codes")}
    for row in catalogue.table("kerberos_codes"):
        assert int(row["code"], 16) == int(row["decimal"])
    # RFC 4120 7.5.9: 0 to 29, 31 to 42, 44 to 52 and 60 to 76 are given out.
    assert {*range(30), *range(31, 43), *range(44, 53), *range(60, 77)} <= codes
    assert not codes & {30, 43}


def test_failure_reasons_use_known_codes():
    reasons = {row["reason"] for row in catalogue.table("status_codes")}
    legacy = {row["legacy_id"] for row in catalogue.table("legacy_ids")}
    for row in catalogue.table("failure_reasons"):
        assert row["reason"] in reasons
        for column in ("host_status", "host_substatus", "ntlm_status"):
            for value in filter(None, row[column].split(" or ")):
                assert catalogue.code("status_codes", value), row
        for value in filter(None, row["kdc_code"].split(" or ")):
            assert catalogue.code("kerberos_codes", value), row
        assert catalogue.code("percent_ids", row["failure_reason_id"])
        assert row["legacy_id"] in legacy | {""}
        assert row["confidence"] in {"high", "medium", "low"}


def test_common_ticket_options_are_the_sum_of_their_parts():
    masks = {row["name"]: int(row["mask"], 16) for row in catalogue.table("ticket_options")}
    for row in catalogue.table("ticket_options_common"):
        assert sum(masks[name] for name in row["meaning"].split(", ")) == int(row["value"], 16), row
    for row in catalogue.table("ticket_options"):
        assert int(row["mask"], 16) == 1 << (31 - int(row["bit"]))


def test_reserved_logon_ids():
    for row in catalogue.table("reserved_logon_ids"):
        assert int(row["logon_id"], 16) == int(row["decimal"])
    assert {int(row["decimal"]) for row in catalogue.table("reserved_logon_ids")} == {0, *range(994, 1000)}


def test_user_account_control_ids_come_in_pairs():
    text = {int(row["id"][2:]): row["text"] for row in catalogue.table("percent_ids")}
    for off in range(2049, 2068):
        if text[off].endswith("Disabled"):
            assert text[off + 32] == text[off].replace("Disabled", "Enabled")


@pytest.mark.parametrize(
    ("table", "yes", "no"),
    [
        ("special_accounts", ["WS1$", "DWM-3", "UMFD-12", "-", "", "krbtgt_20331", "MSOL_1a2b"], ["alice", "dwm"]),
        ("session_names", ["RDP-Tcp#127", "Console", "ICA-TCP#4", "31C5CE94259D4006A9E4#0"], ["Services"]),
    ],
)
def test_patterns(table, yes, no):
    patterns = [re.compile(row["pattern"], re.IGNORECASE) for row in catalogue.table(table)]
    assert [text for text in yes + no if any(pattern.fullmatch(text) for pattern in patterns)] == yes


def test_audit_policy_agrees_with_the_events():
    events = [event for event in catalogue.events().values() if event.subcategory]
    for row in catalogue.table("audit_policy"):
        if row["kind"] != "subcategory":
            continue
        ids = {int(id_) for id_ in re.findall(r"\d+", row["events"])}
        for event in events:
            if event.event_id in ids:
                assert row["name"] in event.subcategory.split(";"), event
                assert row["guid"] in event.subcategory_guid.split(";")
                assert row["category"] == event.category
        assert ids <= {event.event_id for event in events}


# Windows before Vista


def test_legacy_ids_agree_with_the_events():
    for row in catalogue.table("legacy_ids"):
        event = catalogue.events()[row["provider"].lower(), int(row["event_id"])]
        assert int(row["legacy_id"]) in event.legacy_ids
        # Microsoft's rule; whatever departs from it says so.
        assert int(row["event_id"]) == int(row["legacy_id"]) + 4096 or row["note"], row
    covered = {int(row["legacy_id"]) for row in catalogue.table("legacy_ids")}
    assert covered == {legacy_id for event in catalogue.events().values() for legacy_id in event.legacy_ids}


def test_legacy_strings_are_numbered_without_gaps():
    layouts = {}
    for row in catalogue.table("legacy_strings"):
        layouts.setdefault((row["legacy_id"], row["os"], row["string_count"]), []).append(int(row["position"]))
    for (legacy_id, _, count), positions in layouts.items():
        assert positions == list(range(1, int(count) + 1)), legacy_id
    # The number of strings tells the layouts of one event apart.
    assert set(Counter((legacy_id, count) for legacy_id, _, count in layouts).values()) == {1}


def test_legacy_strings_become_fields_of_the_modern_event():
    modern = {
        row["legacy_id"]: (row["provider"].lower(), int(row["event_id"])) for row in catalogue.table("legacy_ids")
    }
    odd = {
        (row["legacy_id"], row["field"])
        for row in catalogue.table("legacy_strings")
        if row["field"]
        and not any(
            row["field"] in {field.name for field in layout}
            for key, layout in catalogue.fields().items()
            if key[:2] == modern[row["legacy_id"]]
        )
    }
    # 549 told how the logon came about, 4675 does not.
    assert {legacy_id for legacy_id, _ in odd} <= {"549"}, odd


# Real records

needs_logs = pytest.mark.skipif(not LOGS.is_dir(), reason="the folder ../shared/logs is absent")
# The header of an NXLog record, which mixes it with the fields.
NXLOG = {
    "@timestamp", "@version", "AccountType", "ActivityID", "Category", "Channel", "Domain", "ERROR_EVT_UNRESOLVED",
    "EventID", "EventReceivedTime", "EventTime", "EventType", "EventTypeOrignal", "ExecutionProcessID", "Hostname",
    "Keywords", "Message", "Opcode", "OpcodeValue", "ProviderGuid", "RecordNumber", "RelatedActivityID", "Severity",
    "SeverityValue", "SourceModuleName", "SourceModuleType", "SourceName", "Task", "ThreadID", "UserID", "Version",
    "host", "port", "tags",
}  # fmt: skip
# What collectors add beside the fields of the event: NXLog copies the caller's process id, winlogbeat numbers strings.
ADDED = {
    "AccountName",
    "Binary",
    "Level",
    "ProcessID",
    "ProcessId",
    "TimeCreated",
    "param5",
    "param6",
    "param7",
    "type",
}


@cache
def kept():
    return {key for key, event in catalogue.events().items() if event.keep is not Keep.NO}


def evtx_records(path):
    from evtx import PyEvtxParser

    records = PyEvtxParser(str(path)).records()
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except RuntimeError:  # a damaged record; the next one may be whole
            continue
        try:
            yield ET.fromstring(re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "?", record["data"]))  # noqa: S314
        except ET.ParseError:
            continue


def evtx_layout(event):
    """Key of an EVTX record and the names of its fields in order; strings without a name as #1, #2 ..."""
    system = {part.tag.rpartition("}")[2]: part for part in event[0]}
    version = int(system["Version"].text) if "Version" in system else 0  # classic events have none
    key = (system["Provider"].get("Name", "").lower(), int(system["EventID"].text), version)
    fields = []
    for part in event[1:]:
        kind = part.tag.rpartition("}")[2]
        for data in part if kind == "EventData" else part[0] if kind == "UserData" else ():
            tag = data.tag.rpartition("}")[2]
            unnamed = 1 + sum(name.startswith("#") for name in fields)
            if tag != "Binary":
                fields.append(data.get("Name") or (f"#{unnamed}" if tag == "Data" else tag))
    return key, fields


@needs_logs
@pytest.mark.slow
def test_fields_of_real_evtx_records():
    seen = Counter()
    for path in sorted(LOGS.rglob("*.evtx")):
        if path.parent.name == "damaged":  # the reader never returns
            continue
        for event in evtx_records(path):
            try:
                key, fields = evtx_layout(event)
            except (AttributeError, TypeError, ValueError):  # a header that is damaged too
                continue
            if key[:2] in kept():
                assert names(*key) == fields, (path, key)
                seen[key] += 1
    assert len(seen) > 80
    assert seen[SECURITY, 4624, 2] > 1000


def json_lines(path):
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as lines:
                    yield from lines
    else:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield from archive.extractfile(member)


def json_layout(record):
    """Key and names of one NXLog or winlogbeat record; the version is often missing, so it is left out."""
    if "event_data" in record:
        return (record.get("source_name") or "").lower(), int(record["event_id"]), set(record["event_data"] or ())
    if "SourceName" in record:
        return record["SourceName"].lower(), int(record["EventID"]), record.keys() - NXLOG
    return "", 0, set()


@needs_logs
@pytest.mark.slow
def test_fields_of_real_json_records():
    known = {}
    for (provider, event_id, _), layout in catalogue.fields().items():
        known.setdefault((provider, event_id), set()).update(field.name for field in layout)
    seen = Counter()
    for path in sorted([*LOGS.rglob("*.zip"), *LOGS.rglob("*.tar.gz")]):
        for line in json_lines(path):
            provider, event_id, fields = json_layout(json.loads(line))
            if (provider, event_id) in kept():
                assert fields - ADDED <= known.get((provider, event_id), set()), (path, provider, event_id)
                seen[provider, event_id] += 1
    assert len(seen) > 40
    assert seen[SECURITY, 4624] > 500


def test_each_rule_of_hops_and_links_is_told_in_words():
    for table, names in {"hops": ("named_sources", "hop_sources"), "links": ("links",)}.items():
        query = "".join(model(name).sql or "" for name in names)
        named = re.findall(r"'(\w+)' AS rule", query) + re.findall(r"(?:THEN|ELSE)\s+'(\w+)'", query)
        told = {row["rule"] for row in catalogue.table("path_rules") if row["table"] == table}
        assert set(named) == told, table
