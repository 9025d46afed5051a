"""The truth beside the logs: it says what the logs say where they speak, and more."""

import duckdb
import pytest
from evtx import PyEvtxParser

from logontracks.simulate.company import build
from tests.simulate.test_company import record


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return folder, build(folder / "logs", truth=folder / "truth")


@pytest.fixture(scope="module")
def truth(made):
    """A connection with a view a table."""
    folder, _ = made
    connection = duckdb.connect()
    for path in (folder / "truth").iterdir():
        connection.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM '{path}'")
    return connection


@pytest.fixture(scope="module")
def security(made):
    _, summary = made
    return [
        record(row["data"])
        for path, _ in summary.files
        if path.stem in ("Security", "ForwardedEvents")
        for row in PyEvtxParser(str(path)).records_json()
    ]


def test_each_logged_session_begins_in_the_logs_and_no_other_does(truth, security):
    told = {
        (row.computer.lower(), int(row.data["TargetLogonId"], 16))
        for row in security
        if row.event_id == 4624 and int(row.data["TargetLogonId"], 16) > 0x3E7
    }
    known = truth.execute(
        "SELECT host, unnest([logon_id, linked_logon_id]) AS id, logged FROM sessions ORDER BY 1"
    ).fetchall()
    logged = {(host, number) for host, number, is_logged in known if is_logged and number is not None}
    assert logged == told
    assert any(not is_logged for _, _, is_logged in known)


def test_sessions_start_when_their_4624_says(truth, security):
    starts = {
        (row.computer.lower(), int(row.data["TargetLogonId"], 16)): row.time for row in security if row.event_id == 4624
    }
    rows = truth.execute("SELECT host, logon_id, strftime(start_time, '%Y-%m-%dT%H:%M:%S') FROM sessions WHERE logged")
    late = 0
    for host, number, start in rows.fetchall():
        late += not starts[host, number].startswith(start)
    assert late < 30  # the second may end between


def test_truth_is_whole(truth):
    """Ends come after starts, presence lies within its session, and every reference leads somewhere."""

    def none(query):
        assert truth.execute(query).fetchall() == []

    none("SELECT * FROM sessions WHERE end_time < start_time OR (end_time IS NULL) <> (end_kind = 'open')")
    none("SELECT * FROM sessions ANTI JOIN boots USING (host, boot_no)")
    none("""SELECT * FROM sessions JOIN boots AS b USING (host, boot_no)
        WHERE sessions.start_time < b.start_time OR sessions.end_time > b.end_time""")
    none("SELECT session FROM sessions GROUP BY 1 HAVING COUNT(*) > 1")
    none("SELECT * FROM presence ANTI JOIN sessions USING (session)")
    none("""SELECT * FROM presence AS p JOIN sessions AS s USING (session)
        WHERE p.start_time < s.start_time OR p.end_time > s.end_time OR p.end_time <= p.start_time""")
    none("SELECT * FROM hops ANTI JOIN sessions ON to_session = session")
    none("SELECT * FROM hops ANTI JOIN sessions ON from_session = session WHERE from_session IS NOT NULL")
    none("SELECT * FROM authentications ANTI JOIN sessions USING (session) WHERE session IS NOT NULL")
    none("""SELECT * FROM hops AS h JOIN sessions AS s ON from_session = s.session
        WHERE h.time < s.start_time OR h.time > s.end_time""")


def test_the_night_is_told_hop_by_hop(truth):
    rows = truth.execute("""
        SELECT h.means, h.credential, split_part(s.host, '.', 1), split_part(s.account, '\\', 2)
        FROM hops AS h JOIN sessions AS s ON to_session = session WHERE h.attack = 'stolen_passwords' ORDER BY hop""")
    assert rows.fetchall() == [
        ("remote_desktop", "stolen", "wks-101", "anna.berg"),
        ("share", "same", "fs01", "anna.berg"),
        ("psexec", "stolen", "app01", "svc-backup"),
        ("psexec", "same", "app01", "svc-backup"),
        ("psexec", "stolen", "dc02", "adm-david"),
        ("share", "stolen", "dc02", "adm-david"),
    ]
    ((attempts, first),) = truth.execute(
        "SELECT COUNT(*), MIN(source_address) FROM attempts WHERE attack IS NOT NULL"
    ).fetchall()
    assert (attempts, first) == (2, "203.0.113.57")


def test_attempts_are_in_the_logs_once_however_often_they_are_logged(truth, security):
    rows = truth.execute("SELECT time, account, logged FROM attempts").fetchall()
    assert len(rows) == sum(row.event_id == 4625 for row in security if row.channel == "Security")
    assert all(logged for _, _, logged in rows)


def test_a_person_is_present_some_hours_of_a_working_day(truth):
    """Elif never logs off: she is active while she works, and her screen is locked at night."""
    rows = dict(
        truth.execute("""SELECT state, SUM(epoch(p.end_time) - epoch(p.start_time)) / 3600
            FROM presence AS p JOIN sessions USING (session) WHERE person = 'elif.firat' GROUP BY state""").fetchall()
    )
    assert 30 < rows["active"] < 50
    assert rows["locked"] > 60
