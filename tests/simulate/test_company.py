"""The simulated company: what its logs must have in common with real ones, and that the story is in them."""

import json
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from evtx import PyEvtxParser

from logontracks.simulate.company import STORY, build

NIGHT = "2026-10-08T0"  # Thursday before ten
MANAGERS = ("S-1-5-90-", "S-1-5-96-")


def attributes(element):
    return (element or {}).get("#attributes") or {}


def record(text):
    event = json.loads(text)["Event"]
    system = event["System"]
    event_id = system["EventID"]
    data = event.get("EventData") or next(iter((event.get("UserData") or {}).values()), None) or {}
    return SimpleNamespace(
        event_id=event_id["#text"] if isinstance(event_id, dict) else event_id,
        version=system["Version"],
        time=system["TimeCreated"]["#attributes"]["SystemTime"],
        number=system["EventRecordID"],
        computer=system["Computer"],
        channel=system["Channel"],
        keywords=system["Keywords"],
        activity=attributes(system["Correlation"]).get("ActivityID"),
        data=data,
    )


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    return build(tmp_path_factory.mktemp("company"), seed=1)


@pytest.fixture(scope="module")
def logs(summary):
    """Every file as the reader sees it: {(host, channel): records}."""
    read = {}
    for path, count in summary.files:
        rows = [record(row["data"]) for row in PyEvtxParser(str(path)).records_json()]
        assert len(rows) == count, path
        read[path.parent.name, path.stem] = rows
    return read


@pytest.fixture(scope="module")
def security(logs):
    return {host: rows for (host, channel), rows in logs.items() if channel == "Security"}


@pytest.fixture(scope="module")
def lives(security):
    """Security records per host and boot: a 4608 begins a new one."""
    found = {}
    for host, rows in security.items():
        number = 0
        for row in rows:
            number += row.event_id == 4608
            found.setdefault((host, number), []).append(row)
    return found


def logon_id(row, field="TargetLogonId"):
    return int(row.data[field], 16)


def own(row):
    """Whether a 4624 has an id of its own: not one of the reserved ids that come again."""
    return row.event_id == 4624 and logon_id(row) > 0x3E7


def seconds(earlier, later):
    return (datetime.fromisoformat(later.time) - datetime.fromisoformat(earlier.time)).total_seconds()


def test_same_seed_same_bytes(summary, tmp_path):
    again = build(tmp_path, seed=1)
    assert [path.read_bytes() for path, _ in summary.files] == [path.read_bytes() for path, _ in again.files]
    assert again.kinds == summary.kinds


def test_another_seed_keeps_the_story(tmp_path):
    other = build(tmp_path, seed=2)
    assert 15_000 < other.records < 40_000
    assert other.kinds["Security", 4740] == 2
    assert other.kinds["Security", 1102] == 1


def test_summary_counts_what_was_written(summary, logs):
    assert summary.records == sum(map(len, logs.values()))
    assert 15_000 < summary.records < 40_000
    assert summary.kinds["Security", 4624] == sum(
        row.event_id == 4624 for (_, channel), rows in logs.items() if channel == "Security" for row in rows
    )
    assert {host for host, _ in logs} == set(summary.hosts)


def test_record_numbers_rise_by_one(logs):
    for (host, channel), rows in logs.items():
        if channel != "ForwardedEvents":
            assert all(b.number == a.number + 1 for a, b in pairwise(rows)), (host, channel)
        assert len({row.computer for row in rows}) == 1


def test_security_records_are_in_the_order_of_time(security):
    assert all(a.time <= b.time for rows in security.values() for a, b in pairwise(rows))


def test_logon_ids_rise_within_a_boot_and_fall_at_its_end(lives):
    highest = {}
    for (host, number), rows in lives.items():
        ids = [logon_id(row) for row in rows if own(row) and not row.data["TargetUserSid"].startswith(MANAGERS)]
        assert all(a < b for a, b in pairwise(ids)), (host, number)
        highest[host, number] = max(ids)
        if number:
            assert min(ids) < highest[host, number - 1]


def test_activity_ids_tell_the_boot(lives):
    boots = {}
    for (host, number), rows in lives.items():
        times = {
            int.from_bytes(bytes.fromhex(row.activity.replace("-", "")[16:]), "little") for row in rows if row.activity
        }
        assert 1 <= len(times) <= 2
        assert max(times) - min(times) < 20_000  # 2 ms
        boots[host, number] = min(times)
        assert number == 0 or boots[host, number] > boots[host, number - 1]


def test_every_logoff_has_its_logon(lives):
    """Unless the session is older than the log, or than what a clear left of it."""
    for (host, number), rows in lives.items():
        opened = {logon_id(row) for row in rows if own(row)}
        first = min(opened)
        orphans = [row for row in rows if row.event_id == 4634 and logon_id(row) not in opened]
        assert all(logon_id(row) < first for row in orphans), (host, number)
        assert number == 0 or not orphans


def test_logoff_repeats_the_logon(lives):
    for rows in lives.values():
        opened = {logon_id(row): row for row in rows if own(row)}
        for row in rows:
            if row.event_id == 4634 and logon_id(row) in opened:
                logon = opened[logon_id(row)].data
                same = ("LogonType", "TargetUserName", "TargetUserSid")
                assert [row.data[field] for field in same] == [logon[field] for field in same]


def test_nothing_happens_in_a_session_that_has_ended(lives):
    for rows in lives.values():
        ended = set()
        for row in rows:
            if row.event_id != 4634:
                for field in ("SubjectLogonId", "TargetLogonId"):
                    assert row.data.get(field) not in ended
            else:
                ended.add(row.data["TargetLogonId"])


def test_linked_pairs_are_reciprocal(lives):
    linked = 0
    for rows in lives.values():
        logons = {logon_id(row): row for row in rows if own(row)}
        for number, row in logons.items():
            other = logon_id(row, "TargetLinkedLogonId")
            if other:
                linked += 1
                assert logon_id(logons[other], "TargetLinkedLogonId") == number
                assert {row.data["ElevatedToken"], logons[other].data["ElevatedToken"]} == {"%%1842", "%%1843"}
    assert linked > 100


def test_special_privileges_stand_next_to_their_logon(lives):
    """Before a network logon, after the one or two 4624 of any other (real logs: 370 of 370 and 1,919 of 1,921)."""
    seen = Counter()
    for rows in lives.values():
        logons = {logon_id(row): place for place, row in enumerate(rows) if own(row)}
        for place, row in enumerate(rows):
            if row.event_id != 4672 or logon_id(row, "SubjectLogonId") <= 0x3E7:
                continue
            logon = logons[logon_id(row, "SubjectLogonId")]
            kind = rows[logon].data["LogonType"]
            seen[kind] += 1
            if kind == 3:
                assert logon == place + 1
            else:
                assert 0 < place - logon <= 4
    assert seen[2] > 20
    assert seen[3] > 500
    assert seen[10] == 3


def test_a_ticket_guid_joins_desktops_and_not_network_logons(security):
    issued = defaultdict(set)
    for host in ("DC01", "DC02"):
        for row in security[host]:
            if row.event_id == 4769:
                issued[row.data["LogonGuid"]].add(row.data["ServiceName"])
    zero = "00000000-0000-0000-0000-000000000000"
    joined = Counter()
    for host, rows in security.items():
        for row in rows:
            if row.event_id == 4624 and row.data["LogonGuid"] != zero:
                process = row.data["LogonProcessName"].strip()
                found = issued.get(row.data["LogonGuid"], set())
                assert found <= {f"{host}$"}
                joined[process, bool(found)] += 1
            if row.event_id == 4624 and row.data["LogonProcessName"] == "NtLmSsp ":
                assert row.data["LogonGuid"] == zero
    assert joined["Kerberos", True] == 0 < joined["Kerberos", False]
    assert joined["User32", False] == joined["Negotiat", False] == 0 < joined["User32", True]


def test_ticket_hashes_chain_on_the_controller_that_has_them(security):
    """A service ticket bought with a ticket-granting ticket of the same week names it; DC01 is older and has none."""
    tickets, asked = set(), []
    for row in security["DC02"]:
        if row.event_id in (4768, 4769):
            assert row.version == 2
        if row.event_id == 4768:
            tickets.add(row.data["ResponseTicket"])
        elif row.event_id == 4770:
            tickets.add(row.data["ResponseTicketHash"])
        elif row.event_id == 4769:
            asked.append(row.data["RequestTicketHash"])
    assert len(asked) > 300
    assert set(asked) <= tickets
    assert all("ResponseTicket" not in row.data for row in security["DC01"])


def test_versions_differ_between_builds(security):
    for host, rows in security.items():
        versions = {row.version for row in rows if row.event_id == 4624}
        assert versions == {3 if host in ("APP01", "WKS-105") else 2}
    assert any("RemoteCredentialGuard" in row.data for row in security["APP01"])


def test_each_workstation_starts_anew_once_and_one_crashes(logs):
    for number in range(101, 106):
        rows = logs[f"WKS-{number}", "System"]
        kinds = Counter(row.event_id for row in rows)
        crashes = number == 105
        assert kinds[1074] == kinds[6006] == kinds[13] == 1
        assert kinds[6005] == kinds[6009] == kinds[12] == 1 + crashes
        assert kinds[41] == kinds[6008] == crashes
        security = Counter(row.event_id for row in logs[f"WKS-{number}", "Security"])
        assert security[1100] == 1
        assert security[4608] == 1 + crashes
        assert any(a.time > b.time for a, b in pairwise(rows)), "records of the kernel are late in the log"


def test_lockout_is_told_by_two_controllers_and_undone(security):
    lockouts = [row for host in ("DC01", "DC02") for row in security[host] if row.event_id == 4740]
    assert {(row.data["TargetUserName"], row.data["TargetDomainName"]) for row in lockouts} == {
        ("clara.diaz", "WKS-103")
    }
    unlocked = [row for row in security["DC01"] if row.event_id == 4767]
    assert [row.data["SubjectUserName"] for row in unlocked] == ["adm-david"]
    before = [
        row
        for row in security["WKS-103"]
        if row.event_id == 4625 and 0 <= seconds(row, min(lockouts, key=lambda row: row.time)) < 70
    ]
    assert len(before) >= 4
    refused = [row for row in security["WKS-103"] if row.event_id == 4625 and row.data["Status"] == "0xc0000234"]
    assert len(refused) == 1


def test_remote_desktop_sessions(logs):
    """One session of APP01 is left on Wednesday and taken up on Thursday under its old logon id."""
    forwarded = logs["FS01", "ForwardedEvents"]
    left = next(row for row in forwarded if row.event_id == 4779)
    taken = next(row for row in forwarded if row.event_id == 4778)
    assert left.data["LogonID"] == taken.data["LogonID"]
    assert left.data["SessionName"] != taken.data["SessionName"]
    start = next(row for row in forwarded if own(row) and row.data["TargetLogonId"] == left.data["LogonID"])
    assert (start.data["LogonType"], start.data["ElevatedToken"]) == (10, "%%1843")
    end = next(row for row in forwarded if row.event_id == 4647 and row.data["TargetLogonId"] == left.data["LogonID"])
    assert start.time < left.time < taken.time < end.time
    sessions = logs["APP01", "Microsoft-Windows-TerminalServices-LocalSessionManager%4Operational"]
    assert [row.event_id for row in sessions] == [41, 42, 21, 22, 23, 40, 24, 41, 42, 21, 22, 40, 24, 25, 23, 40, 24]
    assert {row.data["Address"] for row in sessions if "Address" in row.data} == {"10.20.1.104"}


def test_forwarded_events_are_copies_and_outlive_the_clear(logs):
    kept = {row.number: row for row in logs["APP01", "Security"]}
    forwarded = logs["FS01", "ForwardedEvents"]
    assert logs["APP01", "Security"][0].event_id == 1102
    cleared = logs["APP01", "Security"][0].number
    assert {row.channel for row in forwarded} == {"Security"}
    assert {row.computer for row in forwarded} == {"APP01.larch.example"}
    assert any(row.number < cleared for row in forwarded)
    for row in forwarded:
        if row.number >= cleared:
            assert vars(kept[row.number]) == vars(row)


def test_intrusion_stands_in_the_logs_in_order(logs):
    def find(log, event_id, **values):
        rows = logs[log]
        return next(
            row
            for row in rows
            if row.event_id == event_id
            and row.time.startswith(NIGHT)
            and all(str(row.data[field]) == value for field, value in values.items())
        )

    desk, forwarded, files, controller = (
        ("WKS-101", "Security"),
        ("FS01", "ForwardedEvents"),
        ("FS01", "Security"),
        ("DC02", "Security"),
    )
    manager = "Microsoft-Windows-TerminalServices-{}%4Operational"
    steps = [
        find(desk, 4625, TargetUserName="aberg", SubStatus="0xc0000064", WorkstationName="DESKTOP-7QK3V1H"),
        find(desk, 4624, TargetUserName="anna.berg", LogonType="3", IpAddress="203.0.113.57"),
        find(("WKS-101", manager.format("RemoteConnectionManager")), 1149, Param3="203.0.113.57"),
        desktop := find(desk, 4624, TargetUserName="anna.berg", LogonType="10"),
        find(("WKS-101", manager.format("LocalSessionManager")), 21, Address="203.0.113.57"),
        find(files, 4624, TargetUserName="anna.berg", LogonType="3", IpAddress="10.20.1.101"),
        find(files, 5145, RelativeTargetName="scripts\\nightly-backup.cmd", SubjectUserName="anna.berg"),
        first := find(desk, 4648, TargetUserName="svc-backup", TargetServerName="APP01.larch.example"),
        find(forwarded, 4672, SubjectUserName="svc-backup"),
        network := find(forwarded, 4624, TargetUserName="svc-backup", LogonType="3", IpAddress="10.20.1.101"),
        installed := find(forwarded, 4697, ServiceName="PSEXESVC"),
        inner := find(forwarded, 4624, TargetUserName="svc-backup", LogonType="2"),
        second := find(forwarded, 4648, TargetUserName="adm-david", TargetServerName="DC02.larch.example"),
        admin := find(controller, 4624, TargetUserName="adm-david", LogonType="3", IpAddress="10.20.0.41"),
        find(controller, 5140, ShareName="\\\\*\\ADMIN$", SubjectUserName="adm-david"),
        service := find(controller, 4697, ServiceName="WinSyncSvc"),
        find(controller, 5140, ShareName="\\\\*\\C$", SubjectUserName="adm-david"),
        clear := find(("APP01", "Security"), 1102, SubjectUserName="svc-backup"),
        find(desk, 4647, TargetUserName="anna.berg"),
    ]
    assert [row.time for row in steps] == sorted(row.time for row in steps)
    assert first.data["SubjectLogonId"] == desktop.data["TargetLogonId"]
    assert installed.data["SubjectLogonId"] == network.data["TargetLogonId"]
    assert second.data["SubjectLogonId"] == inner.data["TargetLogonId"] == clear.data["SubjectLogonId"]
    assert service.data["SubjectLogonId"] == admin.data["TargetLogonId"]
    for client, address, server in (("anna.berg", "10.20.1.101", "FS01$"), ("adm-david", "10.20.0.41", "DC02$")):
        assert any(
            row.data["IpAddress"] == f"::ffff:{address}" and row.data["ServiceName"] == server
            for host in ("DC01", "DC02")
            for row in logs[host, "Security"]
            if row.event_id == 4769 and row.time.startswith(NIGHT) and row.data["TargetUserName"].startswith(client)
        )


def test_windows_spells_one_domain_in_many_ways(security):
    rows = [row for host in ("DC01", "DC02") for row in security[host]]
    assert {row.data["TargetDomainName"] for row in rows if row.event_id == 4768} == {
        "LARCH",
        "LARCH.EXAMPLE",
        "larch.example",
    }
    network = [row for row in rows if row.event_id == 4624 and row.data["LogonProcessName"] == "Kerberos"]
    assert {row.data["TargetDomainName"] for row in network} == {"LARCH.EXAMPLE"}
    addresses = {row.data["IpAddress"] for row in rows if row.event_id in (4768, 4769)}
    assert "::1" in addresses
    assert all(address == "::1" or address.startswith("::ffff:") for address in addresses)


def test_some_logoffs_never_come(security):
    rows = security["FS01"]
    opened = {row.data["TargetLogonId"] for row in rows if own(row) and row.data["LogonType"] == 3}
    closed = {row.data["TargetLogonId"] for row in rows if row.event_id == 4634}
    assert 0 < len(opened - closed) < len(opened) / 10


def test_failures_are_audited_as_failures(security):
    for rows in security.values():
        for row in rows:
            status = row.data.get("Status", "0x0")
            failed = row.event_id in (4625, 4771) or (row.event_id in (4768, 4769, 4776) and status != "0x0")
            assert (row.keywords == "0x8010000000000000") == failed or row.event_id in (1100, 1102)


def test_command(tmp_path):
    from logontracks.simulate.__main__ import main

    result = CliRunner().invoke(main, [str(tmp_path / "logs"), "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "APP01" in result.stderr
    assert (tmp_path / "logs" / "DC01" / "Security.evtx").stat().st_size > 1_000_000
    assert "clear the Security log of APP01" in " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    assert STORY.split()[-3:] == ["they", "log", "off."]
