"""What the models make of six real hosts, against rows that people read out of the raw records (tests/hand).

The `why` of a row names the records it rests on. Where a test accepts another answer, it says why.
"""

from datetime import datetime, timedelta
from typing import Any

import pytest
from making_tables import HOSTS, by_hand, real, rows

from logontracks.case import Case

HOW_ENDED = {"clean": "shutdown", "crash": "crash", "boundary": "restart", "open": "running"}
NOT_KEPT = timedelta(minutes=5)
"""By how much the end of a boot that is only bounded may lie before the one by hand: records that are of no use for
logons are not kept, and the last of a boot may be one of them. The bound is a lower one, so it stays true."""
CLOSE = timedelta(microseconds=2)  # hints of one boot differ; who reads them by hand may take another


@pytest.fixture(scope="module", params=HOSTS)
def host(request: pytest.FixtureRequest, shared_logs: Any) -> str:
    name: str = request.param
    return name


@pytest.fixture
def case(host: str, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return real(HOSTS[host], tmp_path_factory)


def time(text: str) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None


def number(text: str) -> int | None:
    return int(text, 0) if text else None


def test_boots(host, case):
    found = rows(case, "SELECT * FROM boots ORDER BY boot_no")
    wanted = list(by_hand(host, "boots"))
    assert [boot["boot_no"] for boot in found] == [int(boot["boot_no"]) for boot in wanted]
    for boot, by in zip(found, wanted, strict=True):
        start, end = time(by["start_time"]), time(by["end_time"])
        assert boot["end_kind"] == HOW_ENDED[by["how_it_ended"]], by
        assert boot["start_time"] == start or abs(boot["start_time"] - start) <= CLOSE, by
        if boot["end_time"] != end:
            assert boot["end_certainty"] == "bounded", by
            assert timedelta() <= end - boot["end_time"] <= NOT_KEPT, by


def test_sessions(host, case):
    found = rows(
        case,
        """SELECT s.*, b.boot_no, b.end_certainty AS boot_certainty
        FROM sessions AS s JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id""",
    )
    mine = {(row["boot_no"], row["logon_id"]): row for row in found}
    assert len(mine) == len(found)
    wanted = {(int(by["boot_no"]), number(by["logon_id"])): by for by in by_hand(host, "sessions")}
    sessions = {key: by for key, by in wanted.items() if by["kind"] == "session"}
    assert mine.keys() == sessions.keys()
    different = {key: found for key, by in sessions.items() if (found := list(differences(mine[key], by)))}
    assert different == {}


def differences(row, by):
    plain = {"start_certainty", "end_reason", "end_certainty", "domain", "name"}
    for column in plain:
        if (row[column] or "") != by[column]:
            yield column, row[column], by[column]
    for column in ("linked_logon_id", "logon_type"):
        if row[column] != number(by[column]):
            yield column, row[column], by[column]
    if (row["source_address"] or "") != by["source_address"]:
        yield "source_address", row["source_address"], by["source_address"]
    if by["admin"] and str(row["admin"]).lower() != by["admin"]:
        yield "admin", row["admin"], by["admin"]
    opened_by = row["opened_by"]
    # who reads records one by one does not look whether a share was used later on
    if by["opened_by"] not in {"", "unknown", opened_by, "network" if opened_by == "network_share" else None}:
        yield "opened_by", opened_by, by["opened_by"]
    for column in ("start_time", "end_time", "end_time_min", "end_time_max", "destroyed_time"):
        ours, theirs = row[column], time(by[column])
        if ours == theirs:
            continue
        lower_bound = column in {"end_time", "end_time_min"} and row["boot_certainty"] == "bounded"
        if lower_bound and ours and theirs and timedelta() <= theirs - ours <= NOT_KEPT:
            continue
        yield column, ours, by[column]


def test_unlocks_and_returns_are_evidence_of_the_session_they_came_back_to(host, case):
    """Their own logons make no session."""
    told = rows(
        case,
        """SELECT b.boot_no, e.target_logon_id AS id, s.logon_id AS parent, v.role
        FROM evidence AS v JOIN events AS e ON e.uid = v.uid JOIN sessions AS s ON s.session_id = v.row_id
        JOIN boots AS b ON b.host_id = s.host_id AND b.boot_id = s.boot_id
        WHERE e.event_id = 4624""",
    )
    roles = {"unlock_of": "unlock", "return_to": "return"}
    found = {(row["boot_no"], row["id"]): (row["parent"], row["role"]) for row in told}
    folded = [by for by in by_hand(host, "sessions") if by["kind"] in roles]
    for by in folded:
        assert found[int(by["boot_no"]), number(by["logon_id"])] == (number(by["parent"]), roles[by["kind"]]), by


def test_totals_of_a_log_of_583_logons(shared_logs, tmp_path_factory):
    """What was counted in security.evtx by other means: one machine under two names, started 40 times."""
    case = real(HOSTS["edge_security"], tmp_path_factory)

    def count(query: str) -> int:
        ((number,),) = (tuple(row.values()) for row in rows(case, query))
        return int(number)

    assert count("SELECT COUNT(*) FROM events WHERE event_id = 4624") == 583
    assert count("SELECT COUNT(*) FROM boots") == 40
    (host,) = rows(case, "SELECT names, boots FROM hosts")
    assert len(host["names"].split()) == 2
    assert host["boots"] == 40
    sessions = rows(case, "SELECT * FROM sessions")
    asked = [row for row in sessions if row["end_reason"] == "user_logoff"]
    assert len(asked) == 36
    assert [row["logon_id"] for row in asked if row["destroyed_time"]] == [0x38112]
    # eleven ids have a 4634: of three sessions that ended by it, of two unlocks, and of 0x38112
    destroyed = "SELECT DISTINCT target_logon_id FROM events WHERE event_id = 4634"
    assert count(f"SELECT COUNT(*) FROM ({destroyed})") == 11
    assert sum(row["end_reason"] == "logoff" for row in sessions) == 3
    # 78 ids of logons that nothing but the end of the host's life ended: each is the other half of one that has
    # an end, or of a session that ended with the host
    alone = """SELECT e.uid FROM events AS e JOIN boots AS b ON b.host_id = (SELECT MIN(host_id) FROM hosts)
        AND e.record_id >= COALESCE(b.security_from, 0) AND e.record_id < b.security_until
        WHERE e.event_id = 4624 AND e.target_logon_id > 1000 AND NOT EXISTS (
            SELECT 1 FROM events AS f WHERE f.event_id IN (4634, 4647) AND f.target_logon_id = e.target_logon_id
            AND f.record_id >= COALESCE(b.security_from, 0) AND f.record_id < b.security_until)"""
    assert count(f"SELECT COUNT(*) FROM ({alone})") == 78
    reasons = rows(
        case,
        f"""SELECT s.end_reason, COUNT(*) AS many FROM ({alone}) AS a JOIN evidence AS v ON v.uid = a.uid
        JOIN sessions AS s ON s.session_id = v.row_id WHERE v.role IN ('start', 'other_half') GROUP BY ALL""",
    )
    assert {row["end_reason"] for row in reasons} == {"logoff", "user_logoff", "shutdown", "restart"}
    assert sum(row["many"] for row in reasons) == 78


def test_a_workstation_answers_for_nobody(shared_logs, tmp_path_factory):
    """Appendix1 has 4624, 4634, 4647, 4648 and 4672 alone: no password was checked there, and none was wrong. That
    somebody used other credentials (4648 Security 3263) is a record of the one who did, and no authentication."""
    case = real(HOSTS["jpcert_appendix1"], tmp_path_factory)
    assert rows(case, "SELECT * FROM authentications") == []
    assert rows(case, "SELECT * FROM failures") == []
    (told,) = rows(case, "SELECT COUNT(*) AS records, SUM(CAST(event_id = 4648 AS INT)) AS asked FROM events")
    assert told == {"records": 403 - 5, "asked": 20}  # 4902, 4904, 4905, 5024 and 5033 are of no use for logons
