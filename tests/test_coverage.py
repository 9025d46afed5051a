"""What the logs can and cannot answer: real hosts against rows that people read out of the raw records, and the answers
that rest on it."""

from datetime import datetime

import pytest
from making_tables import HOSTS, by_hand, real, rows

from logontracks import catalogue

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
