"""What only real logs had: found in them at the places that are cited, and now in simulated ones, but not in the demo.

docs/howto/simulate.md has them in plain words. A finder tells the records of one log that begin what it looks for, so
one function reads both sides.
"""

import json
import tarfile
import zipfile
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from evtx import PyEvtxParser

from logontracks.simulate.company import build
from logontracks.simulate.evtx_writer import filetime
from logontracks.simulate.generate import MONDAY, generate
from logontracks.simulate.host import DAY, date_of
from logontracks.simulate.jsonl import text
from logontracks.simulate.logs import collect

LOGS = Path(__file__).parents[3] / "shared" / "logs"
LSM = "LocalSessionManager"
NOBODY = ("-", "", None)
HOSTS, DAYS = 24, 14


class Row(NamedTuple):
    """A record: its number, the time that it shows, what it tells."""

    number: int
    time: datetime
    event_id: int
    data: Mapping[str, object]

    def __getitem__(self, name):
        return self.data.get(name)


Log = Sequence[Row]
Finder = Callable[[Log], Iterator[int]]


# --- finders --------------------------------------------------------------------------------------------------------


def near(log: Log, row: Row, seconds: float) -> Iterator[Row]:
    """Records beside one, not more than so many seconds away."""
    place = bisect_left(log, row.number, key=lambda other: other.number)
    for other in log[max(0, place - 200) : place + 200]:
        if other is not row and abs((other.time - row.time).total_seconds()) <= seconds:
            yield other


def taken_over(log: Log) -> Iterator[int]:
    """25 of a session that a new connection took from another one (40, reason 5) some seconds before."""
    for row in log:
        if row.event_id == 25:
            taken = [each for each in near(log, row, 5) if each.event_id == 40 and str(each["Reason"]) == "5"]
            if any(each.number < row.number and each["Session"] == row["SessionID"] for each in taken):
                yield row.number


def fetched_by_type_10(log: Log) -> Iterator[int]:
    """4624 of type 10 that is over in some seconds, with 4778 of another logon id in between."""
    for row in log:
        if row.event_id == 4624 and str(row["LogonType"]) == "10":
            beside = list(near(log, row, 8))
            over = any(each.event_id == 4634 and each["TargetLogonId"] == row["TargetLogonId"] for each in beside)
            if over and any(each.event_id == 4778 and each["LogonID"] != row["TargetLogonId"] for each in beside):
                yield row.number


def uac_prompt(log: Log) -> Iterator[int]:
    for row in log:
        if row.event_id == 4624 and row["LogonProcessName"] == "CredPro" and row["IpAddress"] == "::1":
            yield row.number


def uac_prompt_refused(log: Log) -> Iterator[int]:
    """4625 of the remembered password, with another for what was typed."""
    for row in log:
        if row.event_id == 4625 and str(row["LogonType"]) == "11" and row["LogonProcessName"] == "CredPro":
            beside = [each for each in near(log, row, 2) if each.event_id == 4625 and str(each["LogonType"]) == "2"]
            if any(each["TargetUserName"] == row["TargetUserName"] for each in beside):
                yield row.number


def ends_as_another_type(log: Log) -> Iterator[int]:
    """4634 that tells another type than the 4624 of its logon id did."""
    types: dict[object, str] = {}
    for row in log:
        if row.event_id == 4608:
            types = {}
        elif row.event_id == 4624:
            types[row["TargetLogonId"]] = str(row["LogonType"])
        elif row.event_id == 4634 and types.get(row["TargetLogonId"], str(row["LogonType"])) != str(row["LogonType"]):
            yield row.number


def anonymous(log: Log) -> Iterator[int]:
    for row in log:
        if row.event_id == 4624 and row["TargetUserSid"] == "S-1-5-7" and row["LmPackageName"] == "NTLM V1":
            yield row.number


def late_words(log: Log) -> Iterator[int]:
    """1100 with the number before that of a 4647 whose time is earlier."""
    for row, after in pairwise(log):
        if row.event_id == 1100 and after.event_id == 4647 and after.time < row.time:
            yield row.number


def dropped(log: Log) -> Iterator[int]:
    """1101 before the 4608 of its start, with a time behind it."""
    for place, row in enumerate(log):
        if row.event_id == 1101:
            start = next((each for each in log[place:] if each.event_id == 4608), None)
            if start and start.time < row.time:
                yield row.number


def false_alarm(log: Log) -> Iterator[int]:
    """41 of a host whose log says that it was shut down: 13 and no 6008 since the log service started."""
    told: set[int] = set()
    for row in log:
        if row.event_id == 6009:
            told = {each.event_id for each in near(log, row, 5) if each.number < row.number}
        elif row.event_id == 41 and row["BugcheckCode"] is not None:
            before = [each.event_id for each in log if row.number - 40 < each.number < row.number]
            if 6008 not in told and 6008 not in before and 13 in before:
                yield row.number


def link_local(log: Log) -> Iterator[int]:
    for row in log:
        if row.event_id == 4624 and str(row["IpAddress"]).lower().startswith("fe80:"):
            yield row.number


def winrm_with_password(log: Log) -> Iterator[int]:
    """4624 of type 3 that NETWORK SERVICE asked for with a password, of which only the host's own name is told."""
    for row in log:
        by_service = row.event_id == 4624 and row["SubjectLogonId"] == "0x3e4" and str(row["LogonType"]) == "3"
        if by_service and str(row["LogonProcessName"]).strip() == "Advapi" and row["IpAddress"] in NOBODY:
            yield row.number


def user_to_user(log: Log) -> Iterator[int]:
    for row in log:
        if row.event_id == 4769 and row["Status"] == "0x1b":
            yield row.number


def logs_on_to_itself(log: Log) -> Iterator[int]:
    """4648 of a computer for itself, and its network logon from nowhere that is over at once."""
    for row in log:
        own = str(row["TargetUserName"]).lower()
        if row.event_id == 4648 and own.endswith("$") and own == str(row["TargetServerName"]).lower():
            beside = [each for each in near(log, row, 0.1) if str(each["TargetUserName"]).lower() == own]
            if {4624, 4634} <= {each.event_id for each in beside}:
                yield row.number


def disconnected_when_gone(log: Log) -> Iterator[int]:
    """24 of the session at the screen behind its 23, with the 39 of a session that takes from itself."""
    for row in log:
        if row.event_id == 24 and row["Address"] == "LOCAL":
            before = [each for each in near(log, row, 2) if each.number < row.number]
            gone = any(each.event_id == 23 and each["SessionID"] == row["SessionID"] for each in before)
            if gone and any(each.event_id == 39 and each["Source"] == row["SessionID"] for each in before):
                yield row.number


def nameless(log: Log) -> Iterator[int]:
    for row in log:
        if row.event_id == 4776 and row["Workstation"] in NOBODY:
            yield row.number


def set_at_the_start(log: Log) -> Iterator[int]:
    """4616 within a minute of 4608, by what runs in a virtual machine."""
    start = None
    for row in log:
        if row.event_id == 4608:
            start = row.time
        by_machine = row.event_id == 4616 and str(row["ProcessName"]).endswith("vmtoolsd.exe")
        if by_machine and start and abs(row.time - start) < timedelta(minutes=1):
            yield row.number


def not_granted(log: Log) -> Iterator[int]:
    for row in log:
        if row.event_id == 4625 and row["Status"] == "0xc000015b" and str(row["LogonType"]) == "10":
            yield row.number


def unlinked_halves(log: Log) -> Iterator[int]:
    """Both halves of a logon in one tick of the clock, with nothing that joins them."""
    for row, after in pairwise(log):
        both = row.event_id == after.event_id == 4624 and row.time == after.time
        same = (
            both and row["TargetUserSid"] == after["TargetUserSid"] and row["TargetLogonId"] != after["TargetLogonId"]
        )
        if same and "TargetLinkedLogonId" not in row.data and row["LogonProcessName"] == "User32 ":
            yield row.number


# --- the table ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deviation:
    """What real logs do. `places`: file under shared/logs, computer where the file has several, record numbers."""

    find: Finder
    channel: str
    places: tuple[tuple[str, str, tuple[int, ...]], ...]


BELKASOFT = "host-belkasoft-win10-domain-member/"
BELKASOFT_SESSIONS = f"{BELKASOFT}Microsoft-Windows-TerminalServices-LocalSessionManager-Operational.evtx"
VELOCIRAPTOR = "incident-velociraptor-rdp-dc/RDPAuth_"
PYTHON_EVTX = "evtx-parser-edge-cases/security.evtx"
JPCERT = "incident-jpcert-japanese-csv/Appendix1_Security.evtx"
ATTACKRANGE = "nxlog-json-dc-attackrange/T1047_attack_data.tar.gz"
OTRF = "otrf-multihost-json/"

DEVIATIONS = (
    Deviation(
        taken_over,
        LSM,
        ((f"{VELOCIRAPTOR}LocalSessionManager.evtx", "", (176,)), (BELKASOFT_SESSIONS, "", (46, 62, 69))),
    ),
    Deviation(fetched_by_type_10, "Security", ((f"{VELOCIRAPTOR}Security.evtx", "", (506508, 506510)),)),
    Deviation(
        uac_prompt, "Security", ((f"{BELKASOFT}Security.evtx", "", (2069, 2141, 5682)), (PYTHON_EVTX, "", (812, 817)))
    ),
    Deviation(uac_prompt_refused, "Security", ((f"{BELKASOFT}Security.evtx", "", (2199, 2264, 2268, 5578)),)),
    Deviation(ends_as_another_type, "Security", ((f"{BELKASOFT}Security.evtx", "", (1384, 2249)),)),
    Deviation(
        anonymous,
        "Security",
        ((PYTHON_EVTX, "", (32, 78, 172)), (JPCERT, "", (3173,)), (f"{VELOCIRAPTOR}Security.evtx", "", (506188,))),
    ),
    Deviation(
        late_words,
        "Security",
        ((PYTHON_EVTX, "", (273, 300)), (f"{BELKASOFT}Security.evtx", "", (3245, 3678, 5779))),
    ),
    Deviation(dropped, "Security", ((f"{BELKASOFT}Security.evtx", "", (2370, 5458, 5689)), (PYTHON_EVTX, "", (2198,)))),
    Deviation(false_alarm, "System", ((f"{BELKASOFT}System.evtx", "", (1162, 1621)),)),
    Deviation(
        link_local,
        "Security",
        (
            (ATTACKRANGE, "win-dc-6178966.attackrange.local", (220304, 220307, 220319)),
            ("evtx-attack-samples/LM_WMI_4624_4688_TargetHost.evtx", "", (563265,)),
        ),
    ),
    Deviation(
        winrm_with_password, "Security", ((ATTACKRANGE, "win-dc-6178966.attackrange.local", (220291, 220337, 220342)),)
    ),
    Deviation(
        user_to_user,
        "Security",
        (
            (f"{OTRF}covenant_dcom_iertutil_dll_hijack.zip", "MORDORDC.theshire.local", (780644, 780649)),
            (f"{OTRF}empire_dcom_shellwindows_stager.zip", "MORDORDC.theshire.local", (624792,)),
        ),
    ),
    Deviation(logs_on_to_itself, "Security", ((JPCERT, "", (3207, 3230)),)),
    Deviation(disconnected_when_gone, LSM, ((BELKASOFT_SESSIONS, "", (109, 120)),)),
    Deviation(
        nameless,
        "Security",
        (
            (f"{VELOCIRAPTOR}Security.evtx", "", (506483,)),
            ("evtx-attack-samples/LM_ScheduledTask_ATSVC_target_host.evtx", "", (566824, 566828)),
        ),
    ),
    Deviation(set_at_the_start, "Security", ((PYTHON_EVTX, "", (259, 292, 2039)),)),
    Deviation(unlinked_halves, "Security", ((PYTHON_EVTX, "", (128, 167, 1288)),)),
    Deviation(not_granted, "Security", ((f"{BELKASOFT}Security.evtx", "", (1018, 1105, 3205)),)),
)


# --- both sides -----------------------------------------------------------------------------------------------------


def of_evtx(path: Path) -> Iterator[Row]:
    for record in PyEvtxParser(str(path)).records_json():
        event = json.loads(record["data"])["Event"]
        system = event["System"]
        event_id = system["EventID"]
        data = event.get("EventData") or next(iter((event.get("UserData") or {}).values()), None)
        yield Row(
            system["EventRecordID"],
            datetime.fromisoformat(system["TimeCreated"]["#attributes"]["SystemTime"]),
            event_id["#text"] if isinstance(event_id, dict) else event_id,
            data if isinstance(data, dict) else {},
        )


def of_lines(path: Path, computer: str) -> Iterator[Row]:
    """The Security log of one computer in an archive of JSON lines as NXLog writes them."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            text_of = [archive.read(name) for name in archive.namelist() if name.endswith(".json")]
    else:
        with tarfile.open(path) as archive:
            members = [each for each in archive if each.isfile() and not Path(each.name).name.startswith(".")]
            text_of = [archive.extractfile(each).read() for each in members]
    for line in b"\n".join(text_of).splitlines():
        if computer.encode() in line and b'"Security"' in line:
            fields = json.loads(line)
            if fields.get("Hostname") == computer and fields["Channel"] == "Security":
                yield Row(
                    fields["RecordNumber"], datetime.fromisoformat(fields["EventTime"]), fields["EventID"], fields
                )


def of_company(hosts, days) -> Iterator[tuple[str, list[Row]]]:
    """Channel and records of each log of a company."""
    begin = filetime(MONDAY)
    for log in collect(hosts, begin, begin + days * DAY):
        rows = []
        for number, written in enumerate(log.records, 1):
            event = written.event
            pairs = zip(event.template.fields, event.values, strict=True)
            data = {name: None if value is None else text(value, form) for (name, form), value in pairs}
            rows.append(Row(number, date_of(event.filetime).astimezone(UTC), event.template.event_id, data))
        yield log.channel, rows


@pytest.fixture(scope="module")
def simulated():
    company = generate(21, hosts=HOSTS, users=None, days=DAYS)
    return list(of_company(company.truth.hosts, DAYS))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    files = build(tmp_path_factory.mktemp("demo")).files
    return [(path.stem, list(of_evtx(path))) for path, _ in files]


def found(logs, deviation: Deviation) -> int:
    return sum(len(list(deviation.find(rows))) for channel, rows in logs if deviation.channel in channel)


each = pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.find.__name__)


@each
def test_simulated_logs_have_it(simulated, deviation):
    assert found(simulated, deviation)


@each
def test_the_demo_company_is_as_it_was(demo, deviation):
    assert found(demo, deviation) == 0


@each
def test_real_logs_have_it_where_it_is_cited(deviation):
    if not LOGS.is_dir():
        pytest.skip(f"no real logs at {LOGS}")
    for name, computer, numbers in deviation.places:
        path = LOGS / name
        rows = of_lines(path, computer) if computer else of_evtx(path)
        log = sorted(rows, key=lambda row: row.number)
        assert set(numbers) <= set(deviation.find(log)), name
