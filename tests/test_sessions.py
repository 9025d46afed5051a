"""What has to hold for hosts, boots and sessions of any logs: of the small company, and of all real ones.

Scenarios hold the same (test_scenarios.py), and say what exactly comes out.
"""

from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import making
import pytest
from making_cases import company
from making_scenarios import shared_case
from making_tables import GROUPS, HOSTS, LOGS, real, rows

from logontracks.build import build
from logontracks.case import Case

REASONS = {"logoff", "user_logoff", "shutdown", "crash", "restart", "terminal_logoff", "log_cleared", "still_open"}
CERTAINTIES = {
    "logoff": {"exact"},
    "user_logoff": {"exact"},
    "terminal_logoff": {"exact"},
    "shutdown": {"exact", "bounded"},
    "crash": {"bounded"},
    "restart": {"bounded"},
    "log_cleared": {"unknown"},
    "still_open": {"unknown"},
}
MADE = ("company", "scenarios")
WORKED_OUT = ("hosts", "boots", "accounts", "sessions", "presence", "evidence")


@pytest.fixture(scope="module", params=[*MADE, *HOSTS.values(), *GROUPS])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name: str = request.param
    match name:
        case "company":
            return Case(company(tmp_path_factory).case)
        case "scenarios":
            return shared_case(tmp_path_factory)
    request.getfixturevalue("shared_logs")
    return real(name, tmp_path_factory)


def none(case: Case, query: str) -> None:
    """The query looks for what must not be."""
    assert rows(case, f"{query} LIMIT 5") == []


def test_no_end_before_its_start_unless_the_clock_was_set(case):
    """A record may be written a moment before one with an earlier time: two threads."""
    none(
        case,
        """SELECT * FROM sessions WHERE start_time IS NOT NULL AND clock_step_s >= 0
        AND epoch_us(COALESCE(end_time, end_time_max)) < epoch_us(start_time) - 1000000""",
    )
    none(
        case,
        """SELECT * FROM sessions WHERE start_time IS NOT NULL AND clock_step_s < 0
        AND epoch_us(end_time) < epoch_us(start_time) + clock_step_s * 1000000 - 1000000""",
    )


def test_no_exact_time_without_its_record(case):
    none(
        case,
        """SELECT * FROM sessions AS s WHERE s.start_certainty = 'exact' AND NOT EXISTS (
            SELECT 1 FROM evidence AS v JOIN events AS e ON e.uid = v.uid
            WHERE v.row_id = s.session_id AND v.role = 'start' AND e.event_id = 4624 AND e.time = s.start_time)""",
    )
    none(
        case,
        """SELECT * FROM sessions AS s WHERE s.end_reason IN ('logoff', 'user_logoff', 'terminal_logoff')
        AND NOT EXISTS (SELECT 1 FROM evidence AS v JOIN events AS e ON e.uid = v.uid
            WHERE v.row_id = s.session_id AND v.role = 'end' AND e.time = s.end_time
            AND e.event_id IN (4634, 4647, 23, 7002))""",
    )
    none(
        case,
        """SELECT * FROM sessions AS s WHERE s.end_reason = 'shutdown' AND NOT EXISTS (
            SELECT 1 FROM evidence AS v JOIN events AS e ON e.uid = v.uid
            WHERE v.row_id = s.session_id AND v.role = 'end'
            AND e.event_id IN (1100, 4609, 513, 6006, 13, 1074, 23, 7002))""",
    )
    none(
        case,
        """SELECT * FROM sessions AS s WHERE s.destroyed_time IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM evidence AS v JOIN events AS e ON e.uid = v.uid
            WHERE v.row_id = s.session_id AND v.role = 'destroyed' AND e.event_id = 4634
            AND e.time = s.destroyed_time)""",
    )


def test_all_evidence_is_there(case):
    """Every row rests on records of the case, and every record that is told is one."""
    none(case, "SELECT * FROM evidence AS v WHERE v.uid NOT IN (SELECT uid FROM events)")
    rest_on = " UNION ALL ".join(f"SELECT {key} FROM {table}" for table, key in keys(case).items())
    none(case, f"SELECT * FROM evidence WHERE row_id NOT IN ({rest_on})")
    none(case, "SELECT * FROM sessions WHERE session_id NOT IN (SELECT row_id FROM evidence)")
    none(case, "SELECT * FROM sessions WHERE end_uid IS NULL OR end_uid NOT IN (SELECT uid FROM events)")


def keys(case: Case) -> dict[str, str]:
    """The tables that evidence tells of, with their key; their ids are all different."""
    tables = {Path(file.path).stem for file in case.manifest.tables.files}
    known = {
        "sessions": "session_id",
        "boots": "boot_id",
        "failures": "failure_id",
        "authentications": "authentication_id",
    }
    return {table: key for table, key in known.items() if table in tables}


def test_ids_are_of_one_row(case):
    for table, key in (
        ("sessions", "session_id"),
        ("boots", "boot_id"),
        ("hosts", "host_id"),
        ("accounts", "account_id"),
    ):
        none(case, f"SELECT {key}, COUNT(*) FROM {table} GROUP BY {key} HAVING COUNT(*) > 1")
    none(case, "SELECT boot_id FROM boots WHERE boot_id IN (SELECT session_id FROM sessions)")


def test_no_two_sessions_of_one_host_boot_and_logon_id(case):
    none(
        case,
        """SELECT host_id, boot_id, id, COUNT(*) FROM (
            SELECT host_id, boot_id, logon_id AS id FROM sessions
            UNION ALL SELECT host_id, boot_id, linked_logon_id FROM sessions WHERE linked_logon_id IS NOT NULL)
        GROUP BY ALL HAVING COUNT(*) > 1""",
    )
    none(case, "SELECT * FROM sessions WHERE logon_id IN (0, 994, 995, 996, 997, 998, 999)")


def test_every_ordinary_logon_is_behind_exactly_one_session(case):
    none(
        case,
        """SELECT e.uid, COUNT(DISTINCT s.session_id) FROM events AS e
        LEFT JOIN evidence AS v ON v.uid = e.uid AND v.role IN ('start', 'other_half', 'unlock', 'return', 'again')
        LEFT JOIN sessions AS s ON s.session_id = v.row_id
        WHERE e.provider = 'Microsoft-Windows-Security-Auditing' AND e.event_id = 4624 AND e.computer_key IS NOT NULL
            AND e.target_logon_id NOT IN (0, 994, 995, 996, 997, 998, 999)
        GROUP BY e.uid HAVING COUNT(DISTINCT s.session_id) <> 1""",
    )


def test_a_recorded_end_is_exact(case):
    """4634, 4647 or LocalSessionManager 23: `bounded` is not a safe answer where one of them is."""
    none(
        case,
        """SELECT s.* FROM sessions AS s JOIN evidence AS v ON v.row_id = s.session_id
        JOIN events AS e ON e.uid = v.uid
        WHERE s.end_certainty <> 'exact' AND v.role = 'end' AND e.event_id IN (4634, 4647, 23)""",
    )
    none(
        case,
        """SELECT s.* FROM sessions AS s JOIN boots AS b ON b.boot_id = s.boot_id AND b.host_id = s.host_id
        JOIN host_names AS n ON n.host_id = s.host_id
        JOIN events AS e ON e.computer_key = n.computer_key AND e.channel = 'Security' AND e.event_id = 4634
            AND e.target_logon_id = s.logon_id AND e.record_id >= COALESCE(b.security_from, 0)
            AND e.record_id < COALESCE(b.security_until, 4503599627370496)
        WHERE s.end_certainty <> 'exact' AND s.start_certainty = 'exact'""",
    )


def test_words(case):
    of_images = "host_id IN (SELECT host_id FROM host_names WHERE is_image)"
    for row in rows(case, f"SELECT DISTINCT end_reason, end_certainty, {of_images} AS mixed FROM sessions"):
        assert row["end_certainty"] in CERTAINTIES[row["end_reason"]] | ({"unknown"} if row["mixed"] else set()), row
    none(case, "SELECT * FROM sessions WHERE (end_time IS NULL) <> (end_certainty = 'unknown')")
    none(case, "SELECT * FROM sessions WHERE (start_time IS NULL) <> (start_certainty = 'unknown')")
    none(
        case,
        "SELECT * FROM sessions WHERE end_certainty <> 'bounded' AND COALESCE(end_time_min, end_time_max) IS NOT NULL",
    )


def test_bounds_hold_what_they_bound(case):
    none(case, "SELECT * FROM sessions WHERE end_certainty = 'bounded' AND end_time_min IS NULL")
    none(case, "SELECT * FROM sessions WHERE end_time < end_time_min OR end_time > end_time_max")
    none(case, "SELECT * FROM boots WHERE end_time < end_time_min OR end_time > end_time_max")
    none(case, "SELECT * FROM sessions WHERE duration_min_s < 0 OR duration_min_s IS NULL")
    none(case, "SELECT * FROM sessions WHERE duration_min_s > duration_max_s")
    none(case, "SELECT * FROM sessions WHERE duration_s < duration_min_s OR duration_s > duration_max_s")
    none(
        case,
        """SELECT * FROM sessions
        WHERE (duration_s IS NOT NULL) <> (start_certainty = 'exact' AND end_certainty = 'exact')""",
    )
    none(
        case,
        "SELECT * FROM sessions WHERE end_certainty = 'exact' AND start_certainty = 'exact' AND duration_max_s IS NULL",
    )


def test_boots_follow_each_other(case):
    none(
        case,
        """SELECT * FROM (SELECT host_id, boot_no, security_from, security_until,
            LAG(security_until) OVER (PARTITION BY host_id ORDER BY boot_no) AS before,
            ROW_NUMBER() OVER (PARTITION BY host_id ORDER BY boot_no) AS n FROM boots)
        WHERE n <> boot_no OR security_until < security_from OR (n > 1 AND security_from < before)""",
    )
    none(case, "SELECT * FROM boots WHERE (end_time IS NULL) <> (end_kind = 'running') AND end_kind <> 'shutdown'")


def test_presence_fills_its_session(case):
    """Stretches follow each other without gaps, from the start of the session to its end."""
    stretches = rows(
        case,
        """SELECT p.session_id, p.start_time, p.end_time, p.start_uid, p.end_uid, s.start_time AS begun,
            s.end_time AS ended
        FROM presence AS p JOIN sessions AS s ON s.session_id = p.session_id WHERE s.clock_step_s = 0
        ORDER BY p.session_id, p.start_time NULLS FIRST, p.end_time NULLS LAST""",
    )
    for _, group in groupby(stretches, key=lambda row: row["session_id"]):
        own = list(group)
        assert own[0]["start_time"] == own[0]["begun"] or own[0]["begun"] is None, own[0]
        assert own[-1]["end_time"] == own[-1]["ended"], own[-1]
        for one, next_ in pairwise(own):
            assert (one["end_time"], one["end_uid"]) == (next_["start_time"], next_["start_uid"]), (one, next_)
    none(case, "SELECT * FROM presence WHERE duration_s < 0")
    none(
        case,
        """SELECT s.* FROM sessions AS s WHERE duration_s IS NOT NULL AND active_s IS NOT NULL
        AND active_s + COALESCE(locked_s, 0) + COALESCE(disconnected_s, 0) > duration_s + 1""",
    )


def test_every_host_with_records_is_told(case):
    none(
        case,
        """SELECT DISTINCT computer_key FROM events
        WHERE computer_key IS NOT NULL AND computer_key NOT IN (SELECT computer_key FROM host_names)""",
    )
    none(case, "SELECT * FROM sessions WHERE host_id NOT IN (SELECT host_id FROM hosts)")
    none(
        case,
        "SELECT * FROM sessions WHERE account_id IS NOT NULL AND account_id NOT IN (SELECT account_id FROM accounts)",
    )


def digest(case: Case) -> dict[str, Any]:
    """All rows of each table."""
    return {table: sorted(map(str, (tuple(row.values()) for row in rows(case, f"SELECT * FROM {table}"))))
            for table in WORKED_OUT}  # fmt: skip


@pytest.mark.parametrize("name", ["belkasoft", "velociraptor_dc"])
def test_the_order_of_files_changes_nothing(name, shared_logs, tmp_path, tmp_path_factory):
    """Each file in an ingest of its own, the last one first."""
    files = sorted((LOGS / HOSTS[name]).rglob("*.evtx"), reverse=True)
    for path in files:
        making.ingest([path], tmp_path / "case", patience=10)
    build(tmp_path / "case")
    assert digest(Case(tmp_path / "case")) == digest(real(HOSTS[name], tmp_path_factory))


def test_sessions_keep_their_id_when_logs_are_added(shared_logs, tmp_path, tmp_path_factory):
    """Of a session whose logon is there, whatever other logs say of it."""
    logs = LOGS / HOSTS["belkasoft"]
    making.ingest([logs / "Security.evtx"], tmp_path / "case", patience=10)
    build(tmp_path / "case")
    query = "SELECT session_id, logon_id, start_time FROM sessions WHERE start_time IS NOT NULL ORDER BY ALL"
    alone = {tuple(row.values()) for row in rows(Case(tmp_path / "case"), query)}
    together = {tuple(row.values()) for row in rows(real(HOSTS["belkasoft"], tmp_path_factory), query)}
    assert len(together) > 100
    assert len(alone & together) >= len(together) - 6  # terminal sessions tell some returns apart from sessions


def test_the_company_is_told(tmp_path_factory):
    """The small company has people at desktops, who come by remote desktop, and who leave."""
    case = Case(company(tmp_path_factory).case)
    opened = {row["opened_by"] for row in rows(case, "SELECT DISTINCT opened_by FROM sessions WHERE kind = 'person'")}
    assert {"desktop", "remote_desktop", "network_share"} <= opened
    reasons = {row["end_reason"] for row in rows(case, "SELECT DISTINCT end_reason FROM sessions")}
    assert {"logoff", "user_logoff", "shutdown", "still_open"} <= reasons
    first, last = (rows(case, "SELECT MIN(time) AS a, MAX(time) AS b FROM events")[0][key] for key in "ab")
    assert isinstance(first, datetime)
    assert last - first > timedelta(days=1)
