"""What the logs can and cannot answer: real hosts against rows that people read out of the raw records, and the answers
that rest on it."""

from datetime import datetime

import pytest
from making_cases import company, here
from making_scenarios import make_case, scenarios, shared_case
from making_tables import HOSTS, by_hand, real, rows

from logontracks import catalogue
from logontracks.queries.coverage import blind_spots, policy
from logontracks.queries.sessions import SessionFilter, sessions

# Real hosts. Every row of blind_spots of these logs is in the rows by hand, and each of those in blind_spots.


@pytest.mark.parametrize("host", HOSTS)
def test_blind_spots_are_those_found_by_hand(host, shared_logs, tmp_path_factory):
    case = real(HOSTS[host], tmp_path_factory)
    found = [
        (
            *(row[column] or "" for column in ("kind", "channel", "host")),
            *(time.isoformat(timespec="microseconds") if time else "" for time in (row["start_time"], row["end_time"])),
            "" if row["amount"] is None else str(row["amount"]),
            row["detail"] or "",
        )
        for row in rows(case, "SELECT * FROM blind_spots")
    ]
    wanted = [
        tuple(by[column] for column in ("kind", "channel", "host", "start_time", "end_time", "amount", "detail"))
        for by in by_hand(host, "blind_spots")
    ]
    assert sorted(found) == sorted(wanted)


SPANS = {
    "edge_security": ("Security", 1, 2261, 1, "2016-07-08T18:12:51", "2017-04-14T01:21:10", 0, 36, 40),
    "belkasoft": ("Security", 1, 5881, 1, "2020-04-01T19:57:52", "2021-02-14T02:37:00", 0, 19, 24),
    "velociraptor_dc": ("Security", 505853, 506641, 1, "2021-02-12T12:32:35", "2021-02-12T12:35:06", 1, 1, 1),
    "aptsim_win10": ("System", 1, 831, 1, "2022-03-10T16:33:50", "2022-03-10T21:38:34", 0, 1, 3),
    "aptsim_server2022": ("System", 1, 681, 1, "2023-10-18T02:44:40", "2023-10-18T05:44:40", 0, 2, 3),
}
"""Of one log: first and last record id, runs, first and last second, clears, stops (1100 or 6006) and starts (4608 or
6005), as counted in the raw records."""


@pytest.mark.parametrize("host", SPANS)
def test_spans_of_real_logs(host, shared_logs, tmp_path_factory):
    channel, *wanted = SPANS[host]
    (row,) = rows(real(HOSTS[host], tmp_path_factory), f"SELECT * FROM log_spans WHERE channel = '{channel}'")
    assert [row["first_record_id"], row["last_record_id"], row["runs"]] == wanted[:3]
    assert [row[column].replace(microsecond=0) for column in ("first_time", "last_time")] == [
        datetime.fromisoformat(text) for text in wanted[3:5]
    ]
    assert [row["clears"], row["stops"], row["starts"]] == wanted[5:]
    assert row["missing"] == 0
    assert row["part"] == 1
    assert row["records"] == row["last_record_id"] - row["first_record_id"] + 1


ROLES = {
    "edge_security": (None, None, None),
    "belkasoft": ("workstation", "fast startup", "Windows 10 1809"),
    "velociraptor_dc": ("domain_controller", "Kerberos tickets", "Windows Server 2016"),
    "aptsim_win10": ("workstation", "build", "Windows 10 21H2"),
    "aptsim_server2022": ("server", "build", "Windows Server 2022"),
}


@pytest.mark.parametrize("host", ROLES)
def test_roles_of_real_hosts(host, shared_logs, tmp_path_factory):
    (row,) = rows(real(HOSTS[host], tmp_path_factory), "SELECT * FROM hosts")
    assert (row["role"], row["role_by"], row["os_name"]) == ROLES[host]


# Texts


def test_every_kind_has_a_text_that_says_what_is_unsafe():
    settings = {row["name"]: row for row in catalogue.table("audit_policy")}
    for row in catalogue.table("blind_spots"):
        assert len(row["what"]) > 15
        assert len(row["unsafe"]) > 15
        if row["subcategory"]:
            setting = settings[row["subcategory"]]
            assert setting["how_to_set"].startswith("auditpol /set /subcategory:")
            assert setting["category"] in {"Account Logon", "Logon/Logoff"}  # the two that Windows 2003 has


# Answers that carry their reason


@pytest.fixture(scope="module")
def firm(tmp_path_factory):
    return company(tmp_path_factory).case


def reasons(case, **wanted):
    with sessions(case, SessionFilter(**wanted)) as found:
        return {
            (row["start_certainty"], row["end_reason"], row["why_unknown"]) for row in found.rows.read_all().to_pylist()
        }


def case_of(name, folder):
    """A case of one scenario alone; its hosts are called as the scenario does, with its number behind."""
    (scenario,) = (each for each in scenarios() if each.name == name)
    return make_case(folder, [scenario]), f"~{scenario.number}~"


MONDAY = "2026-10-05"
WHY = {
    "coverage/spans": {("exact", "shutdown", None)},
    "coverage/no-logoff": {("exact", "still_open", "no events of subcategory Logoff on ws1")},
    "coverage/no-logon": {
        ("unknown", "logoff", "no events of subcategory Logon on ws1"),
        ("unknown", "still_open", "no events of subcategory Logon on ws1; Security log of ws1 ends 10:01"),
    },
    "coverage/a-log-that-begins-with-ends": {("unknown", "logoff", "Security log of ws1 starts 09:00")},
    "coverage/a-selection-is-no-log-with-gaps": {
        ("exact", "still_open", "only a selection of the Security log of ws1 is here")
    },
    "ends/crash": {("exact", "crash", "ws1 crashed after 15:10")},
    "ends/only-the-next-start": {("exact", "restart", "no record tells how ws1 stopped before 16:00")},
    "ends/network-session-at-shutdown": {("exact", "shutdown", "no record of the end before srv1 shut down at 17:00")},
    "hosts/image-in-a-collector": {
        ("exact", "shutdown", "more than one machine wrote under the name image"),
        ("exact", "still_open", "Security log of ws1 ends 10:00"),
        ("exact", "still_open", "Security log of ws2 ends 10:30"),
        ("exact", "logoff", None),
    },
    "ends/network-session-still-open": {
        ("exact", "logoff", None),
        ("exact", "still_open", "no record of the end before the Security log of srv1 ends 15:00"),
    },
}
"""Start, end and why one of them is not known, of the sessions of a scenario; times without the day."""


@pytest.mark.parametrize("name", WHY)
def test_a_session_says_why_its_start_or_end_is_not_known(name, tmp_path_factory):
    (number,) = (each.number for each in scenarios() if each.name == name)
    mark = f"~{number}~"  # in the name of each host of the scenario
    found = {
        (*told, why and why.replace(mark, "").replace(f"{MONDAY} ", "").replace(" UTC", ""))
        for *told, why in reasons(shared_case(tmp_path_factory), hosts=(f"*{mark}*",))
    }
    assert found == WHY[name]


def test_a_cleared_log_says_by_whom(shared_logs, tmp_path_factory):
    found = reasons(real(HOSTS["velociraptor_dc"], tmp_path_factory), users=("vagrant",))
    assert ("unknown", "user_logoff",
            r"Security log of dc cleared by WINDOMAIN\vagrant at 2021-02-12 12:32 UTC") in found  # fmt: skip


def test_lists_for_people_evidence_and_track_tell_it(firm, capsysbinary):
    of_host = "Security log of WKS-105 starts 2026-10-05 00:21 UTC; WKS-105 crashed after 2026-10-08 14:30 UTC."
    done = here(capsysbinary, "sessions", "--host", "WKS-105", "--case", firm)
    assert f"1 session not known from start to end: {of_host}\n" in done.said
    assert "why" not in done.text.splitlines()[0].lower()
    done = here(capsysbinary, "evidence", "s-1ntqq", "--case", firm)
    assert done.said == f"1 session not known from start to end: {of_host}\n"
    done = here(capsysbinary, "track", "elif.firat", "--case", firm)
    assert f"1 session not known from start to end: {of_host}" in done.text


REACH = "Security log of WKS-101 starts 2026-10-05 00:27 UTC and ends 2026-10-11 23:38 UTC."


@pytest.mark.parametrize(
    "command",
    [
        ("sessions", "--host", "WKS-101", "--since", "2027-01-01"),
        ("presence", "--host", "WKS-101", "--since", "2027-01-01"),
        ("failures", "--host", "WKS-101", "--since", "2027-01-01"),
        ("authentications", "--host", "WKS-101"),
        ("events", "--host", "WKS-101", "--event", "4740"),
        ("boots", "WKS-101", "--since", "2027-01-01"),
        ("now", "--host", "WKS-101", "--user", "anna.berg"),
        ("host", "WKS-101", "--at", "2026-09-01"),
    ],
    ids=lambda command: command[0],
)
def test_an_empty_answer_says_how_far_the_logs_reach(firm, command, capsysbinary):
    done = here(capsysbinary, *command, "--case", firm)
    assert done.code == 0
    assert REACH in done.said.splitlines()
    assert not here(capsysbinary, *command, "--case", firm, "--format", "jsonl").text


def test_an_empty_answer_says_what_is_not_audited(firm, capsysbinary):
    said = here(capsysbinary, "sessions", "--since", "2027-01-01", "--case", firm).said.splitlines()
    assert "Security logs of 9 hosts start 2026-10-05 00:01 UTC and end 2026-10-11 23:59 UTC." in said
    assert any("failures are likely not audited: DC02." in line for line in said)
    said = here(capsysbinary, "sessions", "--since", "2027-01-01", "--host", "APP01", "--case", firm).said
    assert r"The log was cleared; other files have the records just before it: APP01, by LARCH\svc-backup at" in said
    assert (
        "There is no Security log of it in the case."
        in here(capsysbinary, "sessions", "--host", "NOWHERE", "--case", firm).said
    )


# Commands


def test_how_to_turn_it_on_is_told_by_command_and_by_path(tmp_path):
    for name, command, path in (
        ("no-logoff", 'auditpol /set /subcategory:"Logoff" /success:enable', "> Logon/Logoff > Audit Logoff"),
        ("ntlm-never-wrong", 'auditpol /set /subcategory:"Credential Validation" /success:enable /failure:enable',
            "> Account Logon > Audit Credential Validation"),
        ("old-windows-has-categories", None, "> Local Policies > Audit Policy > Audit logon events"),
    ):  # fmt: skip
        case, _ = case_of(f"coverage/{name}", tmp_path / name)
        with blind_spots(case) as found:
            (row,) = (row for row in found.rows.read_all().to_pylist() if row["subcategory"])
        assert row["how_to_set"] == command
        assert row["policy_path"].endswith(path)
        with blind_spots(case, for_people=True) as found:
            (row,) = (row for row in found.rows.read_all().to_pylist() if row["to_turn_it_on"])
        assert row["to_turn_it_on"] == command or row["to_turn_it_on"].endswith(path)


NEEDED = {
    "workstation": {"Logon", "Logoff", "Special Logon", "Other Logon/Logoff Events", "Credential Validation"},
    "server": {"Logon", "Logoff", "Special Logon", "Other Logon/Logoff Events", "Credential Validation"},
    "domain_controller": {"Logon", "Logoff", "Kerberos Authentication Service", "Kerberos Service Ticket Operations"},
}


@pytest.mark.parametrize("role", NEEDED)
def test_the_script_for_a_role_sets_what_it_needs(role):
    guids = {row["name"]: row["guid"] for row in catalogue.table("audit_policy")}
    lines = policy(role)
    for name in NEEDED[role]:
        (line,) = (line for line in lines if guids[name] in line)
        assert line.startswith("auditpol /set /subcategory:")
        assert "/success:enable" in line
    assert any(guids["Kerberos Authentication Service"] in line for line in lines) == (role == "domain_controller")
    assert all(line.startswith(("REM ", "auditpol ", "reg add ")) for line in lines)
    assert "Audit account logon events, Audit logon events" in "\n".join(lines)


def test_clients_without_a_log_are_one_row_for_people(firm, capsysbinary):
    names = "COPIER-2F, DESKTOP-7QK3V1H"
    (line,) = (
        line for line in here(capsysbinary, "coverage", "--case", firm).text.splitlines() if "calls itself" in line
    )
    assert line.startswith(names)
    assert len([row for row in here(capsysbinary, "coverage", "--case", firm, "--format", "jsonl").rows
                if row["kind"] == "no_named_log"]) == 2  # fmt: skip
    of_another = here(capsysbinary, "coverage", "--case", firm, "--host", "FS01").text
    assert "calls itself" not in of_another
    assert "COPIER-2F " in here(capsysbinary, "coverage", "--case", firm, "--host", "COPIER-2F").text
