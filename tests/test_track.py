"""The story of an account: the night of the intrusion told in order, totals that agree with the tables, both forms."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from making_cases import Company, company, here, run
from making_tables import rows

from logontracks.case import Case
from logontracks.queries.track import usual_hours

NIGHT = ("--since", "2026-10-08 02:00", "--until", "2026-10-08 03:10")
USERS = ("anna.berg", "svc-backup", "adm-david", "clara.diaz")
HEADER = {
    "account_id", "account", "sid", "domain", "name", "upn", "kind", "names", "service_use", "local_host_id",
    "first_seen", "last_seen", "also_called", "sessions", "hosts", "desktops", "remote_desktops", "network_logons",
    "open_sessions", "admin_sessions", "kerberos", "ntlm", "weak", "failed_attempts", "home_machine", "usual_hours",
    "cannot_show",
}  # fmt: skip
STORY = {"rank", "account", "start_time", "end_time", "what", "count", "host", "source", "detail", "result", "id",
         "depth", "came_from_id"}  # fmt: skip
ATTACKER, WKS_101, APP01 = "203.0.113.57", "10.20.1.101", "10.20.0.41"


class Step(NamedTuple):
    """What must be in a story: from when until when (hours and minutes, or None), what, where, and from where."""

    start: str
    end: str | None
    what: str
    host: str
    source: str | None


STEPS = {
    "anna.berg": [
        Step("02:11", None, "NTLM checked", "DC01", "DESKTOP-7QK3V1H"),
        Step("02:11", "02:12", "network logon", "WKS-101", ATTACKER),
        Step("02:11", "03:04", "remote desktop", "WKS-101", ATTACKER),
        Step("02:19", None, "ticket for FS01", "DC01", WKS_101),
        Step("02:19", None, "network logon", "FS01", "WKS-101"),
        Step("02:26", "02:27", "network logon as svc-backup", "APP01", "WKS-101"),
        Step("02:26", "03:01", "application as svc-backup", "APP01", "APP01"),
        Step("02:43", "02:44", "network logon as adm-david", "DC02", "APP01"),
        Step("02:47", "02:48", "network logon as adm-david", "DC02", "APP01"),
    ],
    "svc-backup": [
        Step("02:26", None, "Kerberos logon", "DC01", WKS_101),
        Step("02:26", None, "ticket for APP01", "DC01", WKS_101),
        Step("02:26", "02:27", "network logon", "APP01", "WKS-101"),
        Step("02:26", "03:01", "application", "APP01", "APP01"),
    ],
    "adm-david": [
        Step("02:43", None, "Kerberos logon", "DC01", APP01),
        Step("02:43", None, "ticket for DC02", "DC01", APP01),
        Step("02:43", "02:44", "network logon", "DC02", "APP01"),
        Step("02:47", "02:48", "network logon", "DC02", "APP01"),
    ],
}
"""What simulate/intrusion.py does in the night to Thursday."""


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return company(tmp_path_factory)


def told(case: Path, *arguments: str) -> dict[str, Any]:
    done = run("track", *arguments, "--case", case, "--format", "json", "--limit", "0")
    assert done.code == 0, done.said
    found: dict[str, Any] = json.loads(done.text)
    return found


@pytest.fixture(scope="module")
def whole(firm):
    """The JSON form of each user's whole story."""
    return {user: told(firm.case, user) for user in USERS}


def minute(text: str | None) -> str | None:
    return text[11:16] if text else None


@pytest.mark.parametrize("user", STEPS)
def test_the_night_is_told_in_order(firm, user):
    story = told(firm.case, user, *NIGHT)["story"]
    found = [
        Step(
            minute(row["start_time"]),
            minute(row["end_time"]),
            row["what"],
            row["host"].partition(".")[0],
            row["source"],
        )
        for row in story
    ]
    place = -1
    for step in STEPS[user]:
        fitting = [
            at
            for at, row in enumerate(found)
            if row._replace(end=row.end if step.end else None) == step and (at > place or step in found[:at])
        ]
        assert fitting, (step, found)
        place = fitting[0]
    assert [row["start_time"] for row in story] == sorted(row["start_time"] for row in story)


def test_the_night_as_people_see_it(firm, capsysbinary):
    """The page that goes into a report: header, then the story with times, ends and ids."""
    done = here(capsysbinary, "track", "anna.berg", *NIGHT, "--case", firm.case)
    assert done.code == 0
    head, story = done.text.split("\n\n", 1)
    assert r"LARCH\anna.berg (person)" in head
    assert "WKS-101" in head.split("Home machine")[1].splitlines()[0]
    (desktop,) = (line for line in story.splitlines() if "remote desktop" in line)
    assert "2026-10-08 02:11:" in desktop
    assert "2026-10-08 03:04:" in desktop
    assert ATTACKER in desktop
    assert "user logged off" in desktop


def test_the_controller_s_night_shows_the_privileges(firm):
    named, again = (
        row for row in told(firm.case, "adm-david", *NIGHT)["story"] if row["what"] == "network logon"
    )  # fmt: skip
    assert "admin" in named["detail"]
    assert r"from LARCH\svc-backup" in named["detail"]  # 4648 names it
    assert "75 % sure" in again["detail"]  # the ticket is still good: who else could use it sits at the same host


def test_sessions_are_nested_under_those_they_came_from(firm):
    story = told(firm.case, "anna.berg", *NIGHT)["story"]
    depths = [(row["what"], row["depth"]) for row in story if row["rank"] in {1, 2}]
    assert depths == [
        ("network logon", 0),
        ("remote desktop", 0),
        ("network logon", 1),
        ("network logon as svc-backup", 1),
        ("application as svc-backup", 2),
        ("network logon as adm-david", 3),
        ("network logon as adm-david", 3),
    ]
    by_id = {row["id"]: row["what"] for row in story if row["id"]}
    assert [by_id[row["came_from_id"]] for row in story if row["depth"]] == [
        "remote desktop",
        "remote desktop",
        "network logon as svc-backup",
        "application as svc-backup",
        "application as svc-backup",
    ]


@pytest.mark.parametrize("user", USERS)
def test_the_json_form_is_complete(whole, user):
    found = whole[user]
    assert found.keys() == {"accounts", "story"}
    (header,) = found["accounts"]
    assert header.keys() == HEADER
    assert header["name"] == user
    assert header["kind"] == "person"
    for row in found["story"]:
        assert row.keys() == STORY
        assert row["account"] == header["account"] or " as " in row["what"]
        assert row["what"]
        assert row["host"]
        assert datetime.fromisoformat(row["start_time"]).tzinfo
        assert row["end_time"] is None or row["start_time"] <= row["end_time"]
    assert any(row["id"] for row in found["story"])


@pytest.mark.parametrize("user", USERS)
def test_totals_are_those_of_the_tables(firm, whole, user):
    (header,) = whole[user]["accounts"]
    mine = f"account_id = {header['account_id']}"

    def count(what: str) -> int:
        ((number,),) = (tuple(row.values()) for row in rows(Case(firm.case), f"SELECT {what}"))
        return int(number or 0)

    assert header["sessions"] == count(f"COUNT(*) FROM sessions WHERE {mine}") > 0
    assert header["hosts"] == count(f"COUNT(DISTINCT host_id) FROM sessions WHERE {mine}")
    for name, opened_by in (("desktops", "desktop"), ("remote_desktops", "remote_desktop")):
        assert header[name] == count(f"COUNT(*) FROM sessions WHERE {mine} AND opened_by = '{opened_by}'")
    assert header["admin_sessions"] == count(f"COUNT(*) FROM sessions WHERE {mine} AND admin")
    assert header["open_sessions"] == count(f"COUNT(*) FROM sessions WHERE {mine} AND end_reason = 'still_open'")
    for protocol in ("kerberos", "ntlm"):
        assert header[protocol] == count(f"COUNT(*) FROM authentications WHERE {mine} AND protocol = '{protocol}'")
    assert header["weak"] == count(f"COUNT(*) FROM authentications WHERE {mine} AND weak IS NOT NULL")
    assert header["failed_attempts"] == count(f"SUM(attempts) FROM failures WHERE {mine} AND noise IS NULL")


@pytest.mark.parametrize("user", USERS)
def test_folded_rows_count_all_there_is(firm, whole, user):
    """Nothing is lost or told twice by the folding, and --all unfolds it."""
    (header,) = whole[user]["accounts"]
    mine = f"account_id = {header['account_id']}"
    unfolded = told(firm.case, user, "--all")["story"]
    (granted,) = rows(Case(firm.case), f"SELECT COUNT(*) AS n FROM authentications WHERE {mine} AND success")
    (failed,) = rows(Case(firm.case), f"SELECT SUM(attempts) AS n FROM failures WHERE {mine}")
    for story in (whole[user]["story"], unfolded):
        by_rank: dict[int, int] = {}
        for row in story:
            by_rank[row["rank"]] = by_rank.get(row["rank"], 0) + (row["count"] or 1)
        own = [row for row in story if " as " not in row["what"]]
        assert sum(row["count"] for row in own if row["rank"] == 2) == header["network_logons"]
        assert sum(row["rank"] == 1 for row in own) == header["sessions"] - header["network_logons"]
        assert by_rank.get(4, 0) == granted["n"]
        assert by_rank.get(0, 0) == int(failed["n"] or 0)
    assert {row["count"] for row in unfolded if row["rank"] in {2, 4}} == {1}


def test_since_and_until_cut_the_story_and_not_the_header(firm, whole):
    day = told(firm.case, "anna.berg", "--since", "2026-10-08", "--until", "2026-10-08")
    assert day["accounts"] == whole["anna.berg"]["accounts"]
    assert 0 < len(day["story"]) < len(whole["anna.berg"]["story"])
    for row in day["story"]:
        assert row["start_time"] < "2026-10-09"
        assert (row["end_time"] or row["start_time"]) >= "2026-10-08"


def test_what_began_before_is_told_as_long_as_it_lasts(firm):
    """The disconnected session of which the password was taken began the day before."""
    story = told(firm.case, "adm-david", *NIGHT)["story"]
    (session,) = (row for row in story if row["what"] == "remote desktop")
    assert session["start_time"] < "2026-10-08"
    assert session["end_time"] > "2026-10-08T09"
    assert [row["what"] for row in story if row["what"] == "disconnected"] == ["disconnected"]


def test_an_empty_time_is_no_error(firm, capsysbinary):
    done = here(
        capsysbinary, "track", "anna.berg", "--since", "2026-10-04", "--until", "2026-10-04", "--case", firm.case
    )
    assert done.code == 0
    assert r"LARCH\anna.berg" in done.text


def test_several_accounts_of_a_name(firm, capsysbinary):
    """A header each, one story that says whose each row is."""
    found = told(firm.case, "*david*")
    assert [header["name"] for header in found["accounts"]] == ["adm-david", "david.engel"]
    assert {row["account"] for row in found["story"]} == {r"LARCH\adm-david", r"LARCH\david.engel"}
    done = here(capsysbinary, "track", "*david*", "--case", firm.case)
    assert "fits 2 accounts" in done.said
    assert "Account " in done.text.partition("Start time")[2].splitlines()[0]


@pytest.mark.parametrize(
    "name",
    [
        r"LARCH\svc-backup",
        r"larch.example\SVC-BACKUP",
        "svc-backup@larch.example",
        "S-1-5-21-2718281828-1414213562-1732050808-1141",
    ],
)
def test_each_way_to_name_an_account(firm, whole, name):
    assert told(firm.case, name)["accounts"] == whole["svc-backup"]["accounts"]


def test_a_name_that_nobody_has(firm, capsysbinary):
    done = here(capsysbinary, "track", "anna.borg", "--case", firm.case)
    assert done.code == 2
    assert not done.out
    assert "Did you mean anna.berg?" in done.said


# Hours


@pytest.mark.parametrize(
    ("hours", "told"),
    [
        ("8 8", None),
        ("8 9 17", "08:00 to 17:59"),
        ("7 7 8 8 12 2", "07:00 to 08:59"),
        ("22 22 23 23 23 0 0 1 12 15", "22:00 to 01:59"),
        ("0 3 6 9 12 15 18 21", None),
    ],
    ids=["too few", "all of three", "without a night", "a night shift", "at any hour"],
)
def test_usual_hours(hours, told):
    assert usual_hours([int(hour) for hour in hours.split()]) == told


# Controllers only


@pytest.fixture(scope="module")
def controllers(firm, tmp_path_factory):
    case = tmp_path_factory.mktemp("controllers") / "case"
    done = run("ingest", firm.logs / "DC01", firm.logs / "DC02", "--case", case, "--jobs", 2)
    assert done.code == 0, done.said
    return case


def test_controllers_alone_tell_clients_and_services(controllers, whole):
    """The tickets are the same ones, with and without the other hosts' logs."""
    found = told(controllers, "svc-backup")
    (header,) = found["accounts"]
    assert header["sessions"] == 0
    assert header["kerberos"] == whole["svc-backup"]["accounts"][0]["kerberos"]
    assert {row["what"] for row in found["story"]} == {"Kerberos logon", "ticket for APP01", "ticket for FS01"}
    assert {row["source"] for row in found["story"]} == {WKS_101, APP01}


def test_controllers_alone_cannot_say_when_sessions_end(controllers):
    (header,) = told(controllers, "svc-backup")["accounts"]
    assert any("when they ended, is not in the logs" in said for said in header["cannot_show"])


def test_visits_to_the_controllers_are_no_sessions_elsewhere(controllers):
    """Who only fetched policies from the controllers: where their desktop was, and until when, is not known."""
    (header,) = told(controllers, "anna.berg")["accounts"]
    assert header["sessions"] == header["network_logons"] > 0
    assert any("when they ended, is not in the logs" in said for said in header["cannot_show"])
