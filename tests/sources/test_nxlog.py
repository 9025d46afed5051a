"""NXLog's flat JSON: the rules one by one on lines made for them, then real logs of whole labs."""

import csv
import io
import json
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from logontracks import catalogue
from logontracks.simulate.evtx_writer import Event, filetime
from logontracks.simulate.templates import EVENTLOG, LSM, RCM, SECURITY, template
from logontracks.sources import dialects, json_lines, json_records, records
from logontracks.sources import times as clocks
from logontracks.sources.database import query
from logontracks.sources.envelope import ENVELOPE, Kind
from logontracks.sources.nxlog_fields import ADDED
from logontracks.sources.records import Problems

LOGS = Path(os.environ.get("LOGONTRACKS_SHARED") or Path(__file__).parents[3] / "shared") / "logs"

LOGON = {
    "EventTime": "2020-09-22 14:53:01",
    "EventReceivedTime": "2020-09-22 14:53:03",
    "@timestamp": "2020-09-22T18:53:03.512Z",
    "Hostname": "WORKSTATION5.theshire.local",
    "Keywords": -9214364837600034816,
    "EventType": "AUDIT_SUCCESS",
    "SeverityValue": 2,
    "Severity": "INFO",
    "EventID": 4624,
    "SourceName": "Microsoft-Windows-Security-Auditing",
    "ProviderGuid": "{54849625-5478-4994-A5BA-3E3B0328C30D}",
    "Version": 2,
    "Task": 12544,
    "OpcodeValue": 0,
    "Opcode": "Info",
    "Category": "Logon",
    "RecordNumber": 1001,
    "ActivityID": "{245D3B9B-5E92-0000-B33B-C9128A82D601}",
    "ExecutionProcessID": 724,
    "ThreadID": 2980,
    "Channel": "Security",
    "Message": "An account was successfully logged on.",
    "SourceModuleName": "eventlog",
    "SourceModuleType": "im_msvistalog",
    "host": "wec.internal",
    "port": 53971,
    "tags": ["lab"],
    "type": "nxlog",
    "@version": "1",
    "TargetUserName": "pgustavo",
    "TargetLogonId": "0xa992d",
    "LogonType": "10",
}
OWN = {"TargetUserName": "pgustavo", "TargetLogonId": "0xa992d", "LogonType": "10"}
ABSENT = object()


def record(**changes):
    """A logon with other fields; `at_timestamp` stands for @timestamp, ABSENT takes a field away."""
    changes = {"@timestamp" if name == "at_timestamp" else name: value for name, value in changes.items()}
    return {name: value for name, value in {**LOGON, **changes}.items() if value is not ABSENT}


def local(**changes):
    """A logon whose only time is local."""
    return record(**{"at_timestamp": ABSENT, "EventReceivedTime": ABSENT, **changes})


def as_bytes(*lines, newline=b"\n", end=b"\n"):
    texts = [line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in lines]
    return newline.join(texts) + (end if texts else b"")


NXLOG = dialects.of_name("nxlog")
ASKED = tuple(path[0] for paths in NXLOG.paths.values() for path in paths)


def read_nxlog(*args, **options):
    return json_records.read(*args, form="nxlog", **options)


def is_nxlog(start):
    found = json_records.recognizes(start)
    return isinstance(found, dialects.Dialect) and found.name == "nxlog"


@pytest.fixture
def read(tmp_path):
    """Reads bytes, or lines given as objects or bytes, as one range."""

    def read(*lines, activity=True, zone=None, start=0, end=None):
        content = as_bytes(*lines)
        path = tmp_path / "log.json"
        path.write_bytes(content)
        found = read_nxlog(
            path,
            7,
            start,
            len(content) if end is None else end,
            activity=activity,
            source_tz=ZoneInfo(zone) if zone else None,
        )
        check_form(found)
        return found

    return read


def check_form(found):
    """What holds for whatever is read."""
    kinds = [kind for kind, _ in found.parts]
    assert len(kinds) == len(set(kinds))
    for kind, table in found.parts:
        assert table.column_names == ENVELOPE.names
        written = table.select(["provider", "event_id"]).to_pylist()
        assert {(row["provider"].lower(), row["event_id"]) for row in written} == {tuple(kind)}
        for field in ENVELOPE:
            found_type = table.schema.field(field.name).type
            assert field.type in {found_type, getattr(found_type, "value_type", None)}
    kept = sum(len(table) for _, table in found.parts)
    assert kept == sum(entry[1] for entry in found.extents.counts.values())
    timed = sum(entry[0] for entry in found.extents.counts.values())
    assert timed <= found.records
    assert timed == sum(run.records for run in found.extents.runs)


def rows(found):
    """All rows in the order of the file."""
    return sorted((row for _, table in found.parts for row in table.to_pylist()), key=lambda row: row["position"])


def times(found):
    return [row["time"] for row in rows(found)]


def said(found, kind):
    """Problems of one kind, as text and number of lost records."""
    return [(problem.what, problem.records_lost) for problem in found.problems if problem.kind == kind]


def parsed(content):
    """Lines with what every line is asked for."""
    problems = Problems()
    return json_lines.parse(dialects.sql(NXLOG), json_lines.split(0, content, problems), problems)


# The envelope


def test_a_record_becomes_an_envelope(read):
    (row,) = rows(read(LOGON))
    log_key = row.pop("log_key")
    assert log_key > 0
    assert json.loads(row.pop("data")) == OWN
    assert row == {
        "source": 7,
        "form": "nxlog",
        "position": 0,
        "provider": "Microsoft-Windows-Security-Auditing",
        "event_id": 4624,
        "version": 2,
        "outcome": "success",
        "channel": "Security",
        "computer": "WORKSTATION5.theshire.local",
        "computer_key": "workstation5.theshire.local",
        "short": "workstation5",
        "record_sid": None,
        "activity_id": "245d3b9b-5e92-0000-b33b-c9128a82d601",
        "boot_hint": datetime(2020, 9, 4, 7, 7, 38, 628395),  # noqa: DTZ001
        "record_id": 1001,
        "time": "2020-09-22T18:53:01Z",
        "written": None,
    }


def test_positions_are_bytes_of_lines(read):
    lines = [LOGON, record(TargetUserName="žluťoučký"), LOGON]
    starts = [0, len(as_bytes(*lines[:1])), len(as_bytes(*lines[:2]))]
    assert [row["position"] for row in rows(read(*lines))] == starts


def test_numbers_may_be_text(read):
    (row,) = rows(read(record(EventID="4624", Version="2", RecordNumber="1001", Keywords="0x8020000000000000")))
    assert (row["event_id"], row["version"], row["record_id"], row["outcome"]) == (4624, 2, 1001, "success")


@pytest.mark.parametrize(
    ("keywords", "event_type", "outcome"),
    [
        (-9214364837600034816, ABSENT, "success"),
        (-9218868437227405312, ABSENT, "failure"),
        (-9214364837600035000, ABSENT, "success"),  # as JavaScript writes it: taken bit by bit it says failure
        ("9232379236109516800", ABSENT, "success"),
        ("0x8010000000000000", ABSENT, "failure"),
        (-9218868437227405312, "AUDIT_SUCCESS", "failure"),  # the keywords are Windows' own
        (0, "AUDIT_FAILURE", "failure"),
        (ABSENT, "audit_success", "success"),
        ("1e400", "AUDIT_SUCCESS", "success"),
        ([1], ABSENT, None),
        (36028797018963968, "INFO", None),
    ],
)
def test_outcome(read, keywords, event_type, outcome):
    (row,) = rows(read(record(Keywords=keywords, EventType=event_type)))
    assert row["outcome"] == outcome


def test_channels_of_the_catalogue_are_written_as_there(read):
    found = read(record(Channel="security"), record(Channel=" SECURITY "), record(Channel="Somewhere/Else"))
    assert [row["channel"] for row in rows(found)] == ["Security", "Security", "Somewhere/Else"]


def test_sid_of_the_writer_and_nothing_else(read):
    found = read(record(UserID="S-1-5-18"), record(UserID="SYSTEM"), record(UserID=""))
    assert [row["record_sid"] for row in rows(found)] == ["S-1-5-18", None, None]


def test_numbers_that_fit_nowhere_are_not_known(read):
    (row,) = rows(read(record(Version=99999, RecordNumber=str(1 << 70), ActivityID="none")))
    assert (row["version"], row["record_id"], row["boot_hint"]) == (None, None, None)


# Fields


def test_own_fields_are_what_nxlog_did_not_add(read):
    added = dict.fromkeys(ADDED, "x")
    line = {**added, **LOGON, "Domain": "NT AUTHORITY", "AccountType": "User", "AccountName": "SYSTEM"}
    line |= {"UserID": "S-1-5-18", "ProcessID": 4, "EventTimeUTC": ""}
    line.pop("ExecutionProcessID")
    (row,) = rows(read(line))
    assert json.loads(row["data"]) == OWN


ESCAPED = "(t)"  # a letter that is to be written as a number


@pytest.mark.parametrize("usual", [{}, {"ProcessID": 4}, {"Severity": "INFO", "ThreadID": 8}])
@pytest.mark.parametrize(
    "odd",
    [dict.fromkeys(ADDED, "x"), {"ProcessID": 4}, {"AccountName": "a", "UserID": "S-1-5-18", "Domain": "x"},
     {"UserData": "<UserData><x><Reason>5</Reason></x></UserData>"}, {"Data": "one"}, {f"Severi{ESCAPED}y": "x"}],
)  # fmt: skip
def test_fields_of_a_record_do_not_depend_on_those_around_it(read, usual, odd):
    """Most records of a log have the same fields beside their own; one that has others is read as it is alone."""
    strange = json.dumps({**odd, **LOGON}).replace(ESCAPED, r"\u0074").encode()
    (alone,) = rows(read(strange))
    (plain,) = rows(read({**LOGON, **usual}))
    among = rows(read({**LOGON, **usual}, strange, *[{**LOGON, **usual}] * 300))
    assert [row["data"] for row in among] == [plain["data"], alone["data"], *[plain["data"]] * 300]


def test_account_name_of_the_event_survives(read):
    """4778 and its like have one; NXLog's own belongs to UserID, which Security records do not have."""
    fields = {"EventID": 4778, "AccountName": "pgustavo", "AccountDomain": "THESHIRE", "LogonID": "0xa992d"}
    (row,) = rows(read(record(**fields)))
    assert json.loads(row["data"])["AccountName"] == "pgustavo"
    assert {"AccountName", "LogonID"} <= {f.name for f in catalogue.fields()[SECURITY.lower(), 4778, 0]}


def test_account_name_of_the_writer_is_no_field(read):
    """The service account of a 7045 is lost under the account that NXLog looked up for UserID."""
    line = record(
        EventID=7045, SourceName="Service Control Manager", Channel="System", ServiceName="npf", UserID="S-1-5-18"
    )
    (row,) = rows(read({**line, "Domain": "NT AUTHORITY", "AccountName": "SYSTEM", "AccountType": "User"}))
    assert json.loads(row["data"]).keys() == {*OWN, "ServiceName"}
    (row,) = rows(read({**line, "AccountName": "LocalSystem"}))
    assert json.loads(row["data"])["AccountName"] == "LocalSystem"


def test_process_id_of_the_event_survives_beside_the_renamed_one(read):
    line = record(EventID=1, SourceName="Microsoft-Windows-Kernel-General", Channel="System", ProcessID="1234")
    (row,) = rows(read(line))
    assert json.loads(row["data"])["ProcessID"] == "1234"
    line.pop("ExecutionProcessID")
    (row,) = rows(read(line))
    assert "ProcessID" not in json.loads(row["data"])


def test_an_event_without_fields_has_no_data(read):
    line = {name: value for name, value in LOGON.items() if name not in OWN}
    (row,) = rows(read({**line, "EventID": 4608}))
    assert row["data"] is None


def message(event_id, text, *, provider=LSM, **more):
    line = {name: value for name, value in LOGON.items() if name not in OWN}
    channel = "Security" if event_id == 1102 else f"{provider}/Operational"
    line |= {"Keywords": 1152921504606846976, "EventType": "INFO"}
    return {**line, "EventID": event_id, "Version": 0, "SourceName": provider, "Channel": channel, "Message": text} | {
        **more
    }


LSM_21 = (
    "Remote Desktop Services: Session logon succeeded:\r\n\r\nUser: THESHIRE\\pgustavo\r\nSession ID: 2\r\n"
    "Source Network Address: fe80::1"
)
RCM_1149 = (
    "Remote Desktop Services: User authentication succeeded:\r\n\r\nUser: pgustavo\r\nDomain: \r\n"
    "Source Network Address: 1.2.3.4"
)
CLEARED = (
    "The audit log was cleared.\r\nSubject:\r\n\tSecurity ID:\tS-1-5-21-1-2-3-500\r\n\tAccount Name:\twardog\r\n"
    "\tDomain Name:\tWS5\r\n\tLogon ID:\t0xC61D9"
)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (message(21, LSM_21), {"User": "THESHIRE\\pgustavo", "SessionID": "2", "Address": "fe80::1"}),
        (message(21, LSM_21.replace("\r", "")), {"User": "THESHIRE\\pgustavo", "SessionID": "2", "Address": "fe80::1"}),
        (
            message(23, "Abmeldung erfolgreich:\n\nBenutzer: A\\b\nSitzungs-ID: 3"),
            {"User": "A\\b", "SessionID": "3"},
        ),
        (message(42, "Fin :\n\nUtilisateur : A\\b\nID : 3"), {"User": "A\\b", "SessionID": "3"}),
        (message(39, "Session 2 has been disconnected by session 3"), {"TargetSession": "2", "Source": "3"}),
        (message(40, "Sitzung 2 wurde getrennt, Ursachencode 5"), {"Session": "2", "Reason": "5"}),
        (message(1149, RCM_1149, provider=RCM), {"Param1": "pgustavo", "Param2": "", "Param3": "1.2.3.4"}),
        (message(261, "Listener RDP-Tcp received a connection", provider=RCM), {"listenerName": "RDP-Tcp"}),
        (
            message(1102, CLEARED, provider=EVENTLOG),
            {
                "SubjectUserSid": "S-1-5-21-1-2-3-500",
                "SubjectUserName": "wardog",
                "SubjectDomainName": "WS5",
                "SubjectLogonId": "0xC61D9",
            },
        ),
        (
            message(1102, CLEARED.replace("S-1-5-21-1-2-3-500", "WS5\\wardog"), provider=EVENTLOG, Version=1),
            {"SubjectUserName": "wardog", "SubjectDomainName": "WS5", "SubjectLogonId": "0xC61D9"},
        ),
        (message(104, "The System log file was cleared.", provider=EVENTLOG), {"Channel": "System"}),
        (
            message(6009, "Microsoft (R) Windows (R) 10.00. 18363 Multiprocessor Free 0.", provider="EventLog"),
            {"Data": ["10.00.", "18363"]},
        ),
        (
            message(6013, "The system uptime is 16 seconds.", provider="EventLog"),
            {"Data": [None, None, None, None, "16"]},
        ),
    ],
)
def test_fields_that_only_the_message_tells(read, line, fields):
    found = read(line)
    assert [json.loads(row["data"]) for row in rows(found)] == [fields]
    assert not found.problems


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Remote Desktop Services: Session logon succeeded: User: A\\b Session ID: 2",
        LSM_21 + "\r\nOne: more",  # somebody's name has a line break
        "User: " + "x" * 5000,
        ABSENT,
    ],
)
def test_a_message_of_another_shape_is_not_guessed_at(read, text):
    line = message(21, text)
    found = read({name: value for name, value in line.items() if value is not ABSENT})
    assert [row["data"] for row in rows(found)] == [None]
    ((what, _),) = said(found, "doubt")
    assert what.startswith("1 records of microsoft-windows-terminalservices-localsessionmanager 21 have no fields")


XML = "<EventXML xmlns='Event_NS'><User>A&amp;B\\c</User><SessionID>2</SessionID><Address/></EventXML>"


@pytest.mark.parametrize(
    "also",
    [
        {"UserData": XML},
        {"UserData": {"EventXML": {"@xmlns": "Event_NS", "User": "A&B\\c", "SessionID": "2", "Address": ""}}},
        {"EventXML": f"<Event xmlns='x'><System><EventID>21</EventID></System><UserData>{XML}</UserData></Event>"},
    ],
)
def test_user_data_as_xml_or_objects(read, also):
    (row,) = rows(read(message(21, LSM_21, **also)))
    assert json.loads(row["data"]) == {"User": "A&B\\c", "SessionID": "2", "Address": ""}


def test_a_whole_event_as_xml_beside_its_fields_changes_nothing(read):
    xml = "<Event xmlns='x'><System><EventID>4624</EventID></System><EventData><Data>no</Data></EventData></Event>"
    (row,) = rows(read(record(EventXML=xml)))
    assert json.loads(row["data"]) == OWN


def test_one_unnamed_field_is_a_list(read):
    (row,) = rows(read(message(6013, "", provider="EventLog", Data="16")))
    assert json.loads(row["data"]) == {"Data": ["16"]}


def test_the_same_rows_as_from_evtx(read, road, normalizer):
    """LSM, 1149 and 1102 come out of messages here and out of UserData there."""
    when = datetime(2020, 9, 22, 18, 53, 1, tzinfo=UTC)
    host = LOGON["Hostname"]
    pairs = [
        (template(LSM, 21), ("THESHIRE\\pgustavo", 2, "fe80::1"), message(21, LSM_21)),
        (template(LSM, 40), (2, 5), message(40, "Session 2 has been disconnected, reason code 5")),
        (template(RCM, 1149), ("pgustavo", "", "1.2.3.4"), message(1149, RCM_1149, provider=RCM)),
        (
            template(EVENTLOG, 1102),
            ("S-1-5-21-1-2-3-500", "wardog", "WS5", 0xC61D9),
            message(1102, CLEARED, provider=EVENTLOG, Keywords=4620693217682128896),
        ),
        (
            template(SECURITY, 4634),
            ("S-1-5-21-1-2-3-500", "wardog", "WS5", 0xA992D, 10),
            record(
                EventID=4634,
                Version=0,
                TargetUserSid="S-1-5-21-1-2-3-500",
                TargetUserName="wardog",
                TargetDomainName="WS5",
            ),
        ),
    ]
    activity = "245d3b9b-5e92-0000-b33b-c9128a82d601"
    from_evtx = road(
        Event(kind, filetime(when), host, values, activity_id=activity, record_id=1001) for kind, values, _ in pairs
    )
    lines = read(*({**line, "RecordNumber": 1001} for _, _, line in pairs))
    staged, bad = normalizer.rows(lines.parts)
    assert not bad
    from_json = staged.sort_by("position").to_pylist()
    other = {"source", "form", "position", "data", "time_precision_us", "time_100ns", "record_sid"}
    for there, here in zip(from_evtx, from_json, strict=True):
        assert {n: v for n, v in here.items() if n not in other} == {n: v for n, v in there.items() if n not in other}


# Time


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2021-03-31T12:03:46.974060+03:00", "2021-03-31T09:03:46.974060Z"),
        ("2021-03-31 12:03:46.9740601 +0300", "2021-03-31T09:03:46.9740601Z"),
        ("2021-03-31T12:03:46.974060123Z", "2021-03-31T12:03:46.9740601Z"),
        ("2021-03-31T12:03:46z", "2021-03-31T12:03:46Z"),
        ("2021-03-31T12:03:46-05", "2021-03-31T17:03:46Z"),
        ("1600800810", "2020-09-22T18:53:30Z"),
        (1600800810123, "2020-09-22T18:53:30.123Z"),
        (1600800810123456, "2020-09-22T18:53:30.123456Z"),
    ],
)
def test_a_time_that_tells_its_zone(read, written, time):
    found = read(record(EventTime=written), local(EventTime=written), zone="Asia/Tokyo")
    assert times(found) == [time, time]
    assert not found.problems


def test_a_field_named_utc_is_utc(read):
    found = read(
        local(EventTime="2020-09-22 14:53:01", EventTimeUTC="2020-09-22 18:53:01.5"),
        local(EventTime="2020-09-22T14:53:01-04:00", EventTimeUTC="2020-01-01 00:00:00"),
        local(EventTimeUTC="2020-09-22T18:53:01+00:00"),
        local(EventTime=ABSENT, EventTimeUTC="2020-09-22 18:53:01"),
    )
    assert times(found) == [
        "2020-09-22T18:53:01.5Z",
        "2020-09-22T18:53:01Z",
        "2020-09-22T18:53:01Z",
        "2020-09-22T18:53:01Z",
    ]


@pytest.mark.parametrize(
    ("event", "received", "arrival", "time"),
    [
        # the offset lies between the two times of arrival, however late that was
        ("2020-09-22 14:53:01", "2020-09-22 14:53:03", "2020-09-22T18:53:03.512Z", "2020-09-22T18:53:01Z"),
        ("2020-09-22 14:51:01", "2020-09-22 14:53:03", "2020-09-22T18:53:12.003Z", "2020-09-22T18:51:01Z"),
        ("2020-09-22 10:00:00", "2020-09-22 14:53:03", "2020-09-22T18:53:03Z", "2020-09-22T14:00:00Z"),
        ("2020-09-22 14:53:01.25", "2020-09-22 14:53:03", "2020-09-22T18:53:02.999Z", "2020-09-22T18:53:01.25Z"),
        ("2020-09-23 00:38:01", "2020-09-23 00:38:02", "2020-09-22T18:53:03Z", "2020-09-22T18:53:01Z"),  # Nepal
        ("2020-09-22 18:53:01", "2020-09-22 18:53:02", "2020-09-22T18:53:03Z", "2020-09-22T18:53:01Z"),  # UTC itself
        ("2020-09-23 08:53:01", "2020-09-23 08:53:02", "2020-09-22T18:53:03Z", "2020-09-22T18:53:01Z"),  # +14:00
        # without a time of receipt, between the event and its arrival
        ("2020-09-22 14:53:01", None, "2020-09-22T18:53:03.512Z", "2020-09-22T18:53:01Z"),
        ("2020-09-22 14:53:01", "yesterday", "2020-09-22T18:55:03.512Z", "2020-09-22T18:53:01Z"),
        # receipt with a zone is an arrival
        ("2020-09-22 14:53:01", "2020-09-22T20:53:03+02:00", None, "2020-09-22T18:53:01Z"),
        ("2020-09-22 14:53:01", "2020-09-22T18:53:03Z", "2020-09-22T18:53:03.512Z", "2020-09-22T18:53:01Z"),
        # Logstash made @timestamp of EventTime: then receipt says nothing, even a quarter of an hour later
        ("2020-09-22 14:53:01", "2020-09-22 15:08:02", "2020-09-22T18:53:01.000Z", "2020-09-22T18:53:01Z"),
        ("2020-09-22 14:53:01", "2020-09-22 14:55:30", "2020-09-22T18:53:01.000Z", "2020-09-22T18:53:01Z"),
        # @timestamp without a zone is UTC all the same
        ("2020-09-22 14:53:01", "2020-09-22 14:53:03", "2020-09-22 18:53:03.512", "2020-09-22T18:53:01Z"),
    ],
)
def test_the_offset_is_told_by_the_arrival(read, event, received, arrival, time):
    found = read(record(EventTime=event, EventReceivedTime=received, at_timestamp=arrival), zone="Asia/Tokyo")
    assert times(found) == [time]
    assert not found.problems


def test_an_arrival_hours_late_is_the_last_resort(read):
    late = record(EventReceivedTime=ABSENT, at_timestamp="2020-09-22T19:01:30.512Z")
    found = read(late, late)
    assert times(found) == ["2020-09-22T19:01:30.512Z"] * 2
    ((what, _),) = said(found, "doubt")
    assert what.startswith("2 records from here on have local times whose zone cannot be told")
    found = read(late, zone="America/New_York")
    assert times(found) == ["2020-09-22T18:53:01Z"]
    assert not found.problems


@pytest.mark.parametrize(
    ("event", "zone", "time"),
    [
        ("2020-09-22 14:53:01", "America/New_York", "2020-09-22T18:53:01Z"),
        ("2020-12-22 14:53:01.5", "America/New_York", "2020-12-22T19:53:01.5Z"),
        ("2020-09-22 14:53:01", "Asia/Kathmandu", "2020-09-22T09:08:01Z"),
        ("2020-09-22 14:53:01", "UTC", "2020-09-22T14:53:01Z"),
    ],
)
def test_a_local_time_in_the_zone_of_the_source(read, event, zone, time):
    found = read(local(EventTime=event), zone=zone)
    assert times(found) == [time]
    assert not found.problems


def test_the_hour_that_comes_twice_is_in_doubt(read):
    found = read(*[local(EventTime=f"2020-10-25 0{hour}:30:00") for hour in (1, 2, 3)], zone="Europe/Berlin")
    assert times(found) == ["2020-10-24T23:30:00Z", "2020-10-25T00:30:00Z", "2020-10-25T02:30:00Z"]
    ((what, _),) = said(found, "doubt")
    assert what.startswith("1 records are in the hour that comes twice")


def test_the_hour_that_does_not_exist_is_in_doubt(read):
    found = read(*[local(EventTime=f"2020-03-29 0{hour}:30:00") for hour in (1, 2, 3)], zone="Europe/Berlin")
    assert times(found) == ["2020-03-29T00:30:00Z", "2020-03-29T01:30:00Z", "2020-03-29T01:30:00Z"]
    ((what, _),) = said(found, "doubt")
    assert what.startswith("1 records are in the hour that --source-tz leaves out")


def test_a_local_time_is_never_taken_for_utc(read):
    other = local(EventID=5156, SourceName="Microsoft-Windows-Sysmon", Channel="Microsoft-Windows-Sysmon/Operational")
    reserved = local(EventID=4688, TargetLogonId="0x3e7")
    found = read(local(), other, local(), reserved)
    assert (found.records, rows(found), found.extents.runs) == (4, [], [])
    ((what, lost),) = said(found, "lost")
    assert "--source-tz" in what
    assert lost == 2
    assert len(found.problems) == 1


@pytest.mark.parametrize(
    "written", ["", "yesterday", "2020-13-01 00:00:00", "22/09/2020 14:53", "0001-01-01 00:00:00", {}]
)
def test_a_time_that_cannot_be_read(read, written):
    found = read(LOGON, record(EventTime=written))
    assert len(rows(found)) == 1
    assert said(found, "lost") == [("1 records from here on have no time that can be read", 1)]


def test_offsets_of_several_zones_are_in_doubt(read):
    summer, winter = (
        LOGON,
        record(
            EventTime="2020-12-22 13:53:01",
            EventReceivedTime="2020-12-22 13:53:03",
            at_timestamp="2020-12-22T18:53:03Z",
        ),
    )
    assert not read(summer, winter).problems  # one zone, summer and winter
    late = record(at_timestamp="2020-09-22T19:08:04Z")
    ((what, _),) = said(read(summer, winter, late), "doubt")
    assert what.endswith("UTC -04:00 (1 records), -04:15 (1 records), -05:00 (1 records)")


WAYS = st.tuples(
    st.datetimes(datetime(1980, 1, 1), datetime(2099, 1, 1)).map(lambda time: time.replace(microsecond=0)),  # noqa: DTZ001
    st.integers(-48, 56).map(lambda quarters: timedelta(minutes=15 * quarters)),
    st.integers(0, 86400).map(lambda waited: timedelta(seconds=waited)),
    st.floats(0, 290).map(lambda travelled: timedelta(seconds=travelled)),
)


@settings(max_examples=20)
@given(st.lists(WAYS, min_size=1, max_size=20))
def test_whatever_the_zone_the_time_is_exact(ways):
    lines = [
        {
            "EventTime": str(moment + offset),
            "EventReceivedTime": str(moment + waited + offset),
            "@timestamp": (moment + waited + travelled).isoformat() + "Z",
        }
        for moment, offset, waited, travelled in ways
    ]
    fields = parsed(as_bytes(*lines))
    found = clocks.times(fields, None).to_pylist()
    for row, (moment, _, waited, travelled) in zip(found, ways, strict=True):
        if row["way"] == "received":
            assert clocks.iso(row["time"]) == f"{moment.isoformat()}Z"
        else:  # a whole number of quarters between event and arrival: the record says that it came at once
            assert row["way"] == "event"
            assert (waited + travelled) % timedelta(minutes=15) == timedelta()


@given(st.lists(st.from_regex(clocks._PLAIN, fullmatch=True) | st.none()))
@example(["2021-03-31T12:03:46.974060+03:00", "2021-03-31 12:03:46Z", None, "2021-03-31T12:03:46.974060123-11:30"])
@example(["2021-02-29T00:00:00Z", "2021-02-28T00:00:00Z"])
@example(["1602-01-01T00:00:00+14:00", "9998-12-31T23:59:59-14:00"])
@example(["0001-01-01T00:00:00+14:00", "2021-03-31T24:00:00Z"])
def test_times_read_together_are_those_read_one_by_one(texts):
    found = clocks._moments(pa.array(texts, pa.string())).to_pylist()
    for text, row in zip(texts, found, strict=True):
        assert (row["time"], row["digits"], row["zoned"]) == (clocks.moment(text) or (None, None, None)), text


@given(st.text() | st.from_regex(clocks._WRITTEN, fullmatch=True) | st.integers().map(str) | st.none())
def test_any_text_is_a_time_or_none(text):
    moment = clocks.moment(text)
    if moment is not None:
        assert clocks.iso(moment.time)[4] == "-"
        assert clocks.in_zone(moment, ZoneInfo("Europe/Berlin")) is None or not moment.zoned


# What is kept


@pytest.mark.parametrize("activity", [True, False])
def test_what_is_kept(read, activity):
    lines = [
        LOGON,
        record(EventID=4688, SubjectLogonId="0x3e7", TargetLogonId="0x0"),
        record(EventID=4688, SubjectLogonId="0x3e7", TargetLogonId="0xABC"),
        record(EventID=4688, SubjectLogonId="0x00000000000003E7", TargetLogonId="-"),
        record(EventID=9999, SubjectLogonId="0x3e71"),  # not known, of a session
        record(EventID=9999, TargetLogonId=ABSENT, Message='"SubjectLogonId":"0xabc"'),
        record(EventID=4688, Channel="Other", TargetLogonId="0xabc"),
        record(EventID=4625, SourceName="Microsoft-Windows-EventSystem", Channel="Application"),  # kept by nobody
    ]
    found = read(*lines, activity=activity)
    starts = [len(as_bytes(*lines[:at])) for at in ((0, 2, 4) if activity else (0,))]
    assert [row["position"] for row in rows(found)] == starts
    assert found.records == len(lines)
    assert sum(entry[0] for entry in found.extents.counts.values()) == len(lines)


def test_the_shared_rule():
    assert catalogue.keep("MICROSOFT-windows-security-auditing", 4624) is catalogue.Keep.LOGON
    assert catalogue.keep("microsoft-windows-eventsystem", 4625) is catalogue.Keep.NO
    assert catalogue.keep("nobody", 1) is catalogue.Keep.ACTIVITY
    assert {0, 0x3E7} <= catalogue.reserved_logon_ids()


# Extents


def test_runs_of_record_ids(read):
    lines = [record(RecordNumber=number, EventTime=f"2020-09-22 14:53:{number:02}") for number in (5, 1, 2, 9, 6, 2)]
    lines += [
        record(RecordNumber=3, Channel="system"),
        record(RecordNumber=4, Hostname="B"),
        record(RecordNumber=ABSENT),
    ]
    runs = read(*lines).extents.runs
    host = LOGON["Hostname"]
    found = [
        (r.computer, r.channel, r.first_id, r.last_id, r.records, r.first_time[-4:], r.last_time[-4:]) for r in runs
    ]
    assert found == [
        (host, "Security", None, None, 1, ":01Z", ":01Z"),
        (host, "Security", 1, 2, 3, ":01Z", ":02Z"),  # one of them came twice
        (host, "Security", 5, 6, 2, ":05Z", ":06Z"),
        (host, "Security", 9, 9, 1, ":09Z", ":09Z"),
        (host, "System", 3, 3, 1, ":01Z", ":01Z"),
        ("B", "Security", 4, 4, 1, ":01Z", ":01Z"),
    ]


def test_counts_by_utc_day(read):
    evening = record(
        EventTime="2020-09-22 22:53:01", EventReceivedTime="2020-09-22 22:53:03", at_timestamp="2020-09-23T02:53:03Z"
    )
    process = record(EventID=4688, TargetLogonId="0x3e7")
    host = LOGON["Hostname"]
    assert read(LOGON, evening, process, LOGON).extents.counts == {
        (host, "Security", SECURITY, 4624, "2020-09-22"): [2, 2],
        (host, "Security", SECURITY, 4624, "2020-09-23"): [1, 1],
        (host, "Security", SECURITY, 4688, "2020-09-22"): [1, 0],
    }


# Lines


def test_line_ends_byte_order_mark_and_blank_lines(tmp_path, read):
    expected = [row["data"] for row in rows(read(LOGON, record(LogonType="3")))]
    lines = LOGON, record(LogonType="3")
    for content in (
        as_bytes(*lines, newline=b"\r\n"),
        as_bytes(*lines, end=b""),
        b"\xef\xbb\xbf" + as_bytes(*lines),
        b"\n\r\n  \n" + as_bytes(*lines, newline=b"\n\n\t\n") + b"\n\n",
    ):
        found = read(content)
        assert [row["data"] for row in rows(found)] == expected
        assert not found.problems


def test_lines_that_are_no_json(read):
    found = read(LOGON, b"garbage", as_bytes(LOGON)[:200], b"\0" * 50, b"{}{}", LOGON)
    assert len(rows(found)) == found.records == 2
    problems = [problem for problem in found.problems if problem.kind == "lost"]
    assert [problem.records_lost for problem in problems] == [1] * 4
    assert problems[0].position == f"byte {len(as_bytes(LOGON))}"


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_bad_line_of_long_characters(read, before):
    """DuckDB's message quotes the line, cut at a byte."""
    found = read(LOGON, b"x" * before + "\u20ac".encode() * 60)
    assert (len(rows(found)), said(found, "lost")[0][1]) == (1, 1)


def test_many_bad_lines_are_told_as_a_sum(read):
    found = read(LOGON, *[b"garbage"] * 100)
    assert len(rows(found)) == 1
    assert len(found.problems) == records.MAX_PROBLEMS + 1
    assert sum(lost for _, lost in said(found, "lost")) == 100


def test_lines_that_are_no_events(read):
    about_itself = {"SourceModuleType": "im_internal", "EventTime": "2020-09-22 14:53:01", "Hostname": "A"}
    others = [about_itself, record(Hostname=ABSENT), record(EventID="none"), record(EventID=-1), b"[1]", b"null", b"7"]
    found = read(LOGON, *others)
    assert len(rows(found)) == found.records == 1
    ((what, _),) = said(found, "skipped")
    assert what.startswith("7 lines from here on are no Windows events")


@pytest.mark.parametrize(
    ("name", "read_as"),
    [
        (rb"half \ud800 pair", "half \ufffd pair"),
        (rb"\udc00\ud800", "\ufffd\ufffd"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (b"tab\tand\x01", "tab\tand\x01"),
        (b"latin \xe9\xff", "latin \ufffd\ufffd"),
        (b"surrogate \xed\xa0\x80", "surrogate \ufffd\ufffd\ufffd"),
        (rb"nul \u0000", "nul \0"),
        ("\ufffd".encode(), "\ufffd"),
    ],
)
def test_no_name_hides_a_record(read, name, read_as):
    """Accounts may be named with signs that no JSON may hold."""
    line = as_bytes(LOGON, end=b"").replace(b"pgustavo", name)
    found = read(LOGON, line, LOGON)
    data = [json.loads(row["data"])["TargetUserName"] for row in rows(found)]
    assert data == ["pgustavo", read_as, "pgustavo"]
    clean = name in {rb"\ud83d\ude00", rb"nul \u0000", "\ufffd".encode()}
    assert [problem.kind for problem in found.problems] == ([] if clean else ["doubt"])


def test_nothing_in_a_text_looks_like_a_field(read):
    text = '"LogonType":"2","EventID":4625,"UserData":"<a>b</a>","Data":"x","TargetLogonId":"0xbad"'
    found = read(record(TargetUserName=text, CommandLine="} {\n\r\u2028 \\\" '"))
    (row,) = rows(found)
    assert json.loads(row["data"]) == {**OWN, "TargetUserName": text, "CommandLine": "} {\n\r\u2028 \\\" '"}
    assert not found.problems


def test_of_a_field_that_comes_twice_the_first_counts(read):
    line = as_bytes(LOGON, end=b"").replace(b'"RecordNumber"', b'"RecordNumber": 5, "RecordNumber"')
    for content in (line, line.replace(b"pgustavo", rb"\ud800")):
        assert [row["record_id"] for row in rows(read(content))] == [5]


@pytest.mark.parametrize(
    "odd",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * 100_000,
        b"1" * 5000,
        b"1e999",
        b"NaN",
        b"-0",
        b'"' + b"x" * 3_000_000 + b'"',
    ],
)
def test_values_of_any_shape(read, normalizer, odd):
    line = as_bytes(LOGON, end=b"")[:-1] + b', "Odd": ' + odd + b"}"
    found = read(LOGON, line, LOGON)
    assert len(rows(found)) >= 2
    staged, _ = normalizer.rows(found.parts)
    assert len(staged) >= 2


def test_values_of_wrong_types(read):
    lines = [record(**{name: odd}) for name in ASKED for odd in (None, 1.5, True, [], {}, {"a": [1]}, "", "x" * 70_000)]
    found = read(*lines, LOGON)
    assert rows(found)[-1]["time"] == "2020-09-22T18:53:01Z"


def test_a_line_too_long_is_skipped_unread(read, monkeypatch):
    monkeypatch.setattr(json_lines, "BLOCK", 2048)
    monkeypatch.setattr(json_lines, "MAX_LINE", 5000)
    padding = 5000 - len(as_bytes(record(Padding=""), end=b""))
    fits, long, end = (record(Padding="x" * (padding + more)) for more in (0, 1, 100_000))
    found = read(LOGON, fits, long, LOGON, end, end)
    assert len(rows(found)) == 3
    at = len(as_bytes(LOGON, fits))
    assert said(found, "lost") == [("the line is longer than 5000 bytes", 1)] * 3
    assert found.problems[0].position == f"byte {at}"


# Ranges


def summary(found):
    """What must be the same however a file is cut."""
    return (
        [json.dumps(row, default=str) for row in rows(found)],
        {key: tuple(entry) for key, entry in found.extents.counts.items()},
        found.records,
        sum(problem.records_lost or 0 for problem in found.problems),
    )


def joined(parts):
    whole = records.Lines()
    for part in parts:
        whole.parts += part.parts
        whole.extents.add(part.extents)
        whole.problems += part.problems
        whole.records += part.records
    return whole


SMALL = {name: LOGON[name] for name in ("EventTime", "@timestamp", "Hostname", "EventID", "SourceName", "Channel")}


def cut_lines():
    lines = [SMALL, b"", {**SMALL, "N": "ž"}, b"bad", {**SMALL, "N": "x" * 300}, b"\xff", {**SMALL, "EventTime": "?"}]
    return b"\xef\xbb\xbf" + as_bytes(*lines, {**SMALL, "RecordNumber": 1}, newline=b"\r\n", end=b"")


def lines_of(blocks):
    found = []
    for offset, block in blocks:
        at = offset
        for line in block.splitlines(keepends=True):
            found.append((at, line))
            at += len(line)
    return found


@pytest.mark.parametrize("block", [1, 7, 64, 299])
def test_lines_of_a_file_cut_anywhere(monkeypatch, block):
    monkeypatch.setattr(json_lines, "BLOCK", block)
    monkeypatch.setattr(json_lines, "MAX_LINE", 300)
    content = cut_lines()
    expected, at = [], 0
    for line in content.splitlines(keepends=True):
        expected.append((at, line))
        at += len(line)
    (long,) = [each for each in expected if len(each[1]) > 301]
    expected.remove(long)
    file = io.BytesIO(content)
    for cut in range(len(content) + 1):
        problems = Problems()
        before = lines_of(json_lines.blocks(file, 0, cut, problems))
        assert before == [each for each in expected if each[0] < cut]
        behind = lines_of(json_lines.blocks(file, cut, len(content), problems))
        assert before + behind == expected
        assert [problem.position for problem in problems.told()] == [f"byte {long[0]}"]


def test_a_file_cut_anywhere_gives_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(json_lines, "BLOCK", 256)
    monkeypatch.setattr(json_lines, "MAX_LINE", 300)
    content = cut_lines()
    path = tmp_path / "log.json"
    path.write_bytes(content)

    def read(start, end):
        return read_nxlog(path, 0, start, end, activity=True, source_tz=None)

    whole = summary(read(0, len(content)))
    assert len(whole[0]) == 3
    assert whole[3] == 4
    for cut in range(0, len(content) + 1, 149):  # every byte is tried above, on the lines alone
        assert summary(joined([read(0, cut), read(cut, len(content))])) == whole
    pieces = [read(start, start + 120) for start in range(0, len(content) + 120, 120)]
    assert summary(joined(pieces)) == whole


def test_ranges_without_a_line(tmp_path):
    path = tmp_path / "log.json"
    for content in (b"", b"\n", as_bytes(SMALL)):
        path.write_bytes(content)
        for start, end in ((0, 0), (len(content), len(content) + 10), (5, 5), (3, 9), (10**9, 2 * 10**9)):
            found = read_nxlog(path, 0, start, end, activity=True, source_tz=None)
            assert (found.parts, found.records, found.problems) == ([], 0, [])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    lines=st.lists(
        st.sampled_from([as_bytes(SMALL, end=b""), b"", b"{", b"\xff\xfe", rb'{"a":"\ud800"}'])
        | st.binary(max_size=40),
        max_size=12,
    ),
    cuts=st.lists(st.integers(0, 2000), max_size=2),
    newline=st.sampled_from([b"\n", b"\r\n"]),
)
def test_any_bytes_cut_anywhere(tmp_path, lines, cuts, newline):
    content = newline.join(lines)
    path = tmp_path / "any.json"
    path.write_bytes(content)
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    whole = read_nxlog(path, 0, 0, len(content), activity=True, source_tz=None)
    check_form(whole)
    pieces = [read_nxlog(path, 0, start, end, activity=True, source_tz=None) for start, end in pairwise(edges)]
    assert summary(joined(pieces))[:3] == summary(whole)[:3]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


NEEDED = {"EventID", "Hostname", "SourceName", "EventTime", "EventTimeUTC", "@timestamp", "TargetLogonId"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(fields=st.dictionaries(st.sampled_from(ADDED) | st.text(max_size=8), JSON, max_size=8))
def test_any_fields(tmp_path, normalizer, fields):
    """A record among others is never lost by what one field holds, and harms no other."""
    path = tmp_path / "any.json"
    content = as_bytes(LOGON) + json.dumps({**LOGON, **fields}).encode() + b"\n" + as_bytes(LOGON)
    path.write_bytes(content)
    found = read_nxlog(path, 0, 0, len(content), activity=True, source_tz=None)
    check_form(found)
    kept = rows(found)
    assert kept[0]["data"] == kept[-1]["data"]
    if not fields.keys() & NEEDED:
        assert len(kept) == 3
    staged, bad = normalizer.rows(found.parts)
    assert len(staged) + len(bad) == len(kept)


# Recognition


def test_recognizes_nxlog():
    about_itself = {"SourceModuleType": "im_internal", "Hostname": "A", "Message": "nxlog started"}
    long = {"Padding": "x" * 70_000, **LOGON}
    for content in (
        as_bytes(LOGON),
        as_bytes(LOGON, newline=b"\r\n"),
        b"\xef\xbb\xbf" + as_bytes(LOGON),
        as_bytes(b"", b"garbage", about_itself, LOGON),
        as_bytes(record(EventTime=ABSENT, EventReceivedTime=ABSENT)),
        as_bytes({**LOGON, "Message": "x" * 70_000})[:65536],
        as_bytes(LOGON).replace(b"pgustavo", b"\xff"),
    ):
        assert is_nxlog(content)
    assert not is_nxlog(as_bytes(long)[:65536])  # nothing tells it from others


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[1, 2]",
        b"ElfFile\0",
        b"EventID,Hostname,EventTime\n4624,A,2020",
        {"@timestamp": "2019-05-18T20:19:20Z", "event_id": 4624, "beat": {"version": "6.7.0"}},
        {
            "@timestamp": "2019-05-18T20:19:20Z",
            "winlog": {"event_id": "4624", "computer_name": "A"},
            "host": {"name": "A"},
        },
        {"TimeGenerated": "2021-08-02T13:05:32Z", "EventID": 4624, "Computer": "DC01", "SourceSystem": "OpsManager"},
        {"Event": {"System": {"EventID": 4624, "Computer": "A"}}},
        {"EventID": {"Value": 4624}, "Hostname": "A", "EventTime": "x"},
        {"Message": '{"EventID":4624,"Hostname":"A","EventTime":"2020"}'},
        {"SourceModuleType": "im_file", "Hostname": "A", "EventReceivedTime": "2020-09-22 14:53:03"},
    ],
)
def test_recognizes_no_other(line):
    assert not is_nxlog(as_bytes(line))


@given(st.binary(max_size=300))
def test_recognizes_any_bytes(start):
    assert is_nxlog(start) in {True, False}


# Real logs


def archives():
    manifest = LOGS / "MANIFEST.csv"
    if not manifest.is_file():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"no real logs: {manifest} is absent"))]
    with manifest.open(encoding="utf-8", newline="") as file:
        listed = [row for row in csv.DictReader(file) if row["path"].startswith(("otrf-", "nxlog-"))]
    packed = [row for row in listed if row["path"].lower().endswith((".zip", ".tar.gz"))]
    return [pytest.param(row, id=Path(row["path"]).name) for row in packed]


OTHER_DIALECTS = {
    *("WindowsEvents.Zip", "cmd_dumping_ntds_dit_file_volume_shadow_copy.zip", "proxylogon_ssrf_rce_poc.zip"),
    *("metasploit_comsvcs_lsass_memory_dump.zip", "wmic_remote_xsl_jscript.zip", "empire_invoke_runas.tar.gz"),
    *("empire_mimikatz_opth.tar.gz", "empire_wdigest_downgrade.tar.gz"),
}
NO_MESSAGE = {"empire_persistence_registry_modification_run_keys_standard_user.zip": ["eventlog 6013"]}
LARGE = 16 << 20  # bytes; two blocks: larger files are not read a second time in thirds
CHANNELS = {
    "": "Security",
    "SYS": "System",
    "LSM": f"{LSM}/Operational",
    "RCM": f"{RCM}/Operational",
}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The one file of an archive, unpacked once. Some .tar.gz have lost their last bytes, behind all that counts."""
    folder = tmp_path_factory.mktemp("unpacked")

    @cache
    def file(packed):
        path = folder / f"{packed.name}.json"
        if packed.suffix.lower() == ".zip":
            with zipfile.ZipFile(packed) as archive:
                (name,) = archive.namelist()
                path.write_bytes(archive.read(name))
        else:
            content = zlib.decompressobj(47).decompress(packed.read_bytes())
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                member = next(member for member in archive if member.isfile() and "/._" not in f"/{member.name}")
                path.write_bytes(archive.extractfile(member).read())
        return path

    return lambda row: file(LOGS / row["path"])


def read_file(path, **more):
    more = {"activity": True, "source_tz": None, **more}
    return read_nxlog(path, 0, 0, path.stat().st_size, **more)


@pytest.mark.parametrize("row", archives())
def test_real_logs(row, unpacked, normalizer):
    path = unpacked(row)
    name = Path(row["path"]).name
    with path.open("rb") as file:
        recognized = is_nxlog(file.read(65536))
    assert recognized == (name not in OTHER_DIALECTS)
    if not recognized:
        return
    zoneless = row["path"].startswith("nxlog-")
    if zoneless:
        refused = read_file(path)
        assert (refused.records, rows(refused)) == (int(row["records"]), [])
        (problem,) = refused.problems
        assert problem.kind == "lost"
    found = read_file(path, source_tz=ZoneInfo("UTC") if zoneless else None)
    check_form(found)
    assert [problem.what for problem in found.problems] == [
        f"1 records of {kind} have no fields and no message that can be read: they say only that it happened"
        for kind in NO_MESSAGE.get(name, ())
    ]
    assert found.records == int(row["records"])
    kept_rows = rows(found)
    if zoneless:
        assert problem.records_lost == len(kept_rows)

    counted, kept = Counter(), Counter()
    for (_, channel, _, event_id, _), (many, of_them) in found.extents.counts.items():
        counted[channel, event_id] += many
        kept[channel, event_id] += of_them
    for entry in row["counts"].split():
        key, number = entry.split(":")
        prefix = key.rstrip("0123456789")
        which = CHANNELS[prefix], int(key.removeprefix(prefix))
        assert counted[which] == int(number), entry
        if which[1] not in {4688, 5145, 5140, 4697, 4698}:  # activity, if anything
            assert kept[which] == int(number), entry

    assert all(row["boot_hint"] is None or row["boot_hint"].isoformat() < row["time"] for row in kept_rows)
    staged, bad = normalizer.rows(found.parts)
    assert not bad
    assert len(staged) == len(kept_rows)
    logons = staged.filter(pc.equal(staged["event_id"], 4624))
    assert logons["target_logon_id"].null_count == logons["logon_type"].null_count == 0
    terminal = staged.filter(pc.is_in(staged["event_id"], pa.array([21, 22, 23, 24, 25, 40, 41, 42])))
    assert terminal["terminal_session"].null_count == 0

    size = path.stat().st_size
    if size > LARGE:
        return
    thirds = [
        read_nxlog(path, 0, size * at // 3, size * (at + 1) // 3, activity=True, source_tz=ZoneInfo("UTC"))
        for at in range(3)
    ]
    assert summary(joined(thirds)) == summary(found)


@pytest.mark.parametrize("row", archives())
def test_real_offsets_agree_with_sysmon(row, unpacked):
    """EventTime and the offset together are what Sysmon, which writes UTC itself, says in the same records."""
    if Path(row["path"]).name in OTHER_DIALECTS or row["path"].startswith("nxlog-"):
        return
    path = unpacked(row)
    fields = lines = parsed(path.read_bytes())
    found = clocks.times(fields, None)
    assert set(found["way"].to_pylist()) <= {"received", "event"}
    quarters = Counter(found["quarters"].to_pylist())
    expected = 20 if "2019" in row["first"] else 16  # UTC-5 in December 2019, UTC-4 in the summer of 2020
    assert set(quarters) == {expected}

    asked = query(
        "SELECT epoch_us(TRY_CAST(json_extract_string(line, '$.UtcTime') AS TIMESTAMP)) AS told FROM lines",
        lines.select(["line"]),
    )
    late = [
        (told - time) / 1e6
        for told, time in zip(asked["told"].to_pylist(), found["time"].to_pylist(), strict=True)
        if told is not None
    ]
    assert len(late) > 100
    late.sort()
    assert -1 < late[len(late) // 2] < 1  # EventTime is cut to whole seconds
    assert late[0] > -60  # Sysmon writes some records a while after what they tell
    assert late[-1] < 5


def test_a_real_reboot(unpacked):
    """A desktop of the lab restarts; the record of the clock being set holds its own UTC."""
    name = "empire_persistence_registry_modification_run_keys_standard_user.zip"
    row = next((p.values[0] for p in archives() if p.id == name), None)
    if row is None:
        pytest.skip("no real logs")
    found = read_file(unpacked(row))
    by_id = {kind: table.to_pylist() for kind, table in found.parts}
    (clock, *_) = by_id[Kind(SECURITY.lower(), 4616)]
    assert json.loads(clock["data"])["NewTime"].startswith(clock["time"][:-1])
    (start,) = by_id[Kind(SECURITY.lower(), 4608)]
    assert start["time"] == "2020-09-04T07:07:55Z"
    assert start["channel"] == "Security"
    hints = {str(r["boot_hint"]) for r in by_id[Kind(SECURITY.lower(), 4778)]}
    assert hints == {"2020-09-04 07:07:38.628395"}
    (logon,) = by_id[Kind(LSM.lower(), 21)]
    assert json.loads(logon["data"]) == {"User": "THESHIRE\\pgustavo", "SessionID": "2", "Address": "1.2.3.4"}
