"""Logs of Windows 2000, XP and 2003: written, read, and compared with what libevt and real text lines say."""

import json
from datetime import datetime, timedelta

import pytest
from conftest import SHARED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making_evt import FAILURE, INFORMATION, LegacyEvent, log, record, ring, write

from logontracks import catalogue
from logontracks.normalize import Normalizer
from logontracks.sources import evt, legacy
from logontracks.sources.own_fields import NotCertainError
from logontracks.sources.records import Problems

LOGS = SHARED / "logs"
AT = datetime(2006, 3, 1, 8, 30)  # noqa: DTZ001 - UTC, as the writer wants it
USER = "S-1-5-21-487349131-2095749132-2248483902-19753"
LOGON_2003 = (
    *("anna", "LARCH", "(0x0,0x3A092)", "10", "User32  ", "Negotiate", "TS1", "{5c92d34f-85d3-2f5d-d036-759d7c97bfd7}"),
    *("TS1$", "LARCH", "(0x0,0x3E7)", "484", "-", "10.0.0.7", "3389"),
)


def rows(path, **options):
    """Rows of the events table, in the order of the file; and the problems."""
    found = evt.read(path, 0, 0, path.stat().st_size, **{"activity": True, **options})
    staged, bad = Normalizer().rows(found.parts)
    assert not bad
    return staged.sort_by("position").to_pylist(), found.problems


def read(tmp_path, *events, **options):
    return rows(write(tmp_path / "SecEvent.Evt", events, **options))


@pytest.mark.parametrize("dirty", [False, True])
def test_a_logon_of_2003(tmp_path, dirty):
    ((row,), problems) = read(tmp_path, LegacyEvent(528, AT, "TS1", LOGON_2003, number=77, sid=USER), dirty=dirty)
    assert not problems
    expected = {
        "form": "evt", "provider": "Security", "event_id": 528, "version": None, "channel": "Security",
        "computer": "TS1", "record_id": 77, "time": AT, "time_precision_us": 1_000_000, "outcome": "success",
        "record_sid": USER, "target_sid": USER, "target_name": "anna", "target_domain": "LARCH",
        "target_logon_id": 0x3A092, "logon_type": 10, "logon_process": "User32", "auth_package": "Negotiate",
        "workstation": "TS1", "logon_guid": "5c92d34f-85d3-2f5d-d036-759d7c97bfd7", "subject_name": "TS1$",
        "subject_logon_id": 0x3E7, "process_id": 484, "source_address": "10.0.0.7", "source_port": 3389,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("event_id", "count", "column", "value"),
    [
        (528, 8, "target_logon_id", 0x3A092),
        (528, 7, "target_logon_id", 0x3A092),
        (529, 13, "failure_reason", 2313),
        (529, 6, "failure_reason", 2313),
        (531, 6, "sub_status", 0xC0000072),
        (539, 13, "status", 0xC0000234),
        (534, 6, "status", 0xC000015B),
    ],
)
def test_layouts_are_chosen_by_the_number_of_strings(tmp_path, event_id, count, column, value):
    layout = legacy._layouts()[event_id][count]
    by_name = {"TargetUserName": "anna", "TargetLogonId": "(0x0,0x3A092)", "LogonType": "2", "IpPort": "1"}
    strings = tuple(by_name.get(name, "-") for name in layout)
    ((row,), problems) = read(tmp_path, LegacyEvent(event_id, AT, "PC1", strings, kind=FAILURE))
    assert not problems
    assert (row["target_name"], row["logon_type"], row[column]) == ("anna", 2, value)


def test_an_error_code_in_decimal(tmp_path):
    strings = ("MICROSOFT_AUTHENTICATION_PACKAGE_V1_0", "anna", "PC1", "3221225578")
    ((row,), _) = read(tmp_path, LegacyEvent(681, AT, "DC1", strings, kind=FAILURE))
    assert (row["target_name"], row["workstation"], row["status"]) == ("anna", "PC1", 0xC000006A)
    assert row["outcome"] == "failure"


def test_the_caller_of_a_lockout(tmp_path):
    strings = ("anna", "PC1", "%{S-1-5-21-1-2-3-1106}", "DC1$", "LARCH", "(0x0,0x3E7)")
    ((row,), _) = read(tmp_path, LegacyEvent(644, AT, "DC1", strings, sid="S-1-5-18"))
    assert (row["caller_computer"], row["target_sid"]) == ("PC1", "S-1-5-21-1-2-3-1106")
    assert (row["subject_name"], row["subject_sid"]) == ("DC1$", "S-1-5-18")


def test_an_anonymous_logon_is_named_by_its_sid_alone(tmp_path):
    strings = ("", "", "(0x0,0x3A092)", "3", "NtLmSsp ", "NTLM", "PC2", "-")
    ((row,), _) = read(tmp_path, LegacyEvent(540, AT, "PC1", strings, sid="S-1-5-7"))
    assert (row["target_name"], row["target_sid"], row["workstation"]) == ("ANONYMOUS LOGON", "S-1-5-7", "PC2")
    ((row,), _) = read(tmp_path, LegacyEvent(540, AT, "PC1", strings, sid=USER))
    assert (row["target_name"], row["target_sid"]) == (None, USER)


@pytest.mark.parametrize("strings", [("a", "b"), ("a",) * 14])
def test_strings_that_cannot_be_placed_are_told_and_not_guessed(tmp_path, strings):
    ((row,), (problem,)) = read(tmp_path, LegacyEvent(528, AT, "PC1", strings))
    assert problem.kind == "doubt"
    assert f"{len(strings)} strings, and not 7 or 8 or 15" in problem.what
    assert json.loads(row["data"]) == {"Data": list(strings)}
    assert row["target_name"] is None


def test_what_sessions_did_is_kept_as_in_other_forms(tmp_path):
    layout = legacy._layouts()[592][6]

    def process(number, logon_id):
        values = {"SubjectLogonId": logon_id, "NewProcessName": r"C:\a.exe", "NewProcessId": "1536"}
        return LegacyEvent(592, AT, "PC1", tuple(values.get(name, "x") for name in layout), number=number)

    path = write(tmp_path / "log", [process(1, "(0x0,0x3A092)"), process(2, "(0x0,0x3E7)")])
    found, problems = rows(path)
    assert not problems
    assert [row["record_id"] for row in found] == [1]
    assert rows(path, activity=False)[0] == []


def test_other_logs(tmp_path):
    started = LegacyEvent(0x80000000 | 6005, AT, "PC1", (), provider="EventLog", kind=INFORMATION)
    shutdown = LegacyEvent(
        1074, AT, "PC1", ("explorer.exe", "PC1", "Other", "0x0", "restart", "", r"LARCH\anna"), provider="USER32"
    )
    path = write(tmp_path / "any name", [started, shutdown])
    found, problems = rows(path)
    assert not problems
    assert [(row["provider"], row["event_id"], row["channel"]) for row in found] == [
        ("EventLog", 6005, "System"),
        ("User32", 1074, "System"),
    ]


def test_a_full_log_goes_on_behind_its_header(tmp_path):
    events = [
        LegacyEvent(538, AT + timedelta(seconds=n), "PC1", ("u", "D", f"(0x0,0x{n}a)", "3"), n) for n in (1, 2, 3)
    ]
    for cut in (56, 60, 100):
        path = tmp_path / f"{cut}.evt"
        path.write_bytes(ring(events, cut=cut))
        found, problems = rows(path)
        assert not problems
        assert sorted(row["record_id"] for row in found) == [1, 2, 3]


def test_damage_costs_the_records_it_hits(tmp_path):
    events = [LegacyEvent(538, AT, "PC1", ("u", "D", f"(0x0,0x{n}a)", "3"), n) for n in range(1, 6)]
    content = bytearray(log(events))
    where = [record.position for record in evt.records(bytes(content), 0, len(content), Problems())]
    content[where[2]] ^= 0xFF  # a length
    content[where[4] + 44 : where[4] + 48] = b"\xff" * 4  # the place of the strings... of the SID
    path = tmp_path / "x.evt"
    path.write_bytes(content)
    found, problems = rows(path)
    assert [row["record_id"] for row in found] == [1, 2, 4]
    assert [problem.position for problem in problems if problem.kind == "lost"] == [
        f"byte {where[at]}" for at in (2, 4)
    ]


def test_a_copy_of_a_part_is_read_too(tmp_path):
    events = [LegacyEvent(538, AT, "PC1", ("u", "D", f"(0x0,0x{n}a)", "3"), n) for n in range(1, 6)]
    content = log(events)
    path = tmp_path / "x.evt"
    path.write_bytes(content[: len(content) * 2 // 3])
    assert 2 <= len(rows(path)[0]) <= 3


def logoffs(many):
    return [LegacyEvent(538, AT, "PC1", ("u", "D", f"(0x0,0x{n}a)", "3"), n) for n in range(1, many + 1)]


def found_in(tmp_path, content):
    """Numbers of the records, and the problems."""
    path = tmp_path / "x.evt"
    path.write_bytes(content)
    assert evt.recognizes(bytes(content[: 1 << 16]))
    found, problems = rows(path)
    return sorted(row["record_id"] for row in found), problems


@pytest.mark.parametrize("size", [1, 16, 48])
def test_a_damaged_header_costs_no_record(tmp_path, size):
    content = log(logoffs(5))
    numbers, (problem,) = found_in(tmp_path, bytes(size) + content[size:])
    assert numbers == [1, 2, 3, 4, 5]
    assert (problem.kind, problem.position, problem.records_lost) == ("doubt", "byte 0", None)
    assert "header" in problem.what
    assert found_in(tmp_path, content[48:])[0] == [1, 2, 3, 4, 5]


def test_a_header_that_is_cut_off(tmp_path):
    path = tmp_path / "x.evt"
    path.write_bytes(log([])[:20])
    found, (problem,) = rows(path)
    assert (found, problem.kind) == ([], "doubt")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(first=st.integers(0, 5000), size=st.integers(1, 3000), dirty=st.booleans(), value=st.sampled_from([0, 255]))
def test_what_is_lost_is_told_in_full(tmp_path, first, size, dirty, value):
    """Whatever bytes of sound records are overwritten: none of them vanishes without a word."""
    events = logoffs(40)
    content = bytearray(log(events, dirty=dirty))
    end = 48 + sum(len(record(event)) for event in events)
    first = 48 + first
    low, high = min(first, end), min(first + size, end)
    content[low:high] = bytes([value]) * (high - low)
    path = tmp_path / "x.evt"
    path.write_bytes(content)
    problems = Problems()
    read_again = list(evt.records(bytes(content), 0, len(content), problems))
    lost = sum(problem.records_lost or 0 for problem in problems.told())
    assert lost + len(read_again) == len(events)


def test_what_is_cut_off_is_told_by_the_header(tmp_path):
    content = log(logoffs(40))
    numbers, (lost, doubt) = found_in(tmp_path, content[:2500])
    assert (lost.kind, lost.records_lost) == ("lost", 40 - len(numbers))
    assert (doubt.kind, doubt.position) == ("doubt", "byte 2500")
    _, (lost, doubt) = found_in(tmp_path, log(logoffs(40), dirty=True)[:2500])
    assert (lost.records_lost, doubt.kind) == (1, "doubt")  # this header tells nothing: one is seen to be cut in two


def test_a_full_log_tells_what_is_lost_where_it_goes_on(tmp_path):
    events = logoffs(5)
    content = bytearray(ring([*events[1:], LegacyEvent(538, AT, "PC1", ("u", "D", "(0x0,0x6a)", "3"), 6)], cut=60))
    assert found_in(tmp_path, content) == ([2, 3, 4, 5, 6], [])
    content[-56:-52] = bytes(4)  # the signature of the last one
    numbers, (problem,) = found_in(tmp_path, content)
    assert (numbers, problem.position, problem.records_lost) == ([2, 3, 4, 5], f"byte {len(content) - 60}", 1)
    numbers, (problem,) = found_in(tmp_path, content[:-200])
    assert (numbers, problem.records_lost) == ([2, 3], 3)


@pytest.mark.parametrize("left", [0, 2500])
def test_a_log_that_is_cut_while_it_is_read(tmp_path, left):
    path = write(tmp_path / "x.evt", logoffs(40))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:left])
    found = evt.read(path, 0, 0, size, activity=True)
    assert found.records == max(left - 48, 0) // 124
    assert sum(problem.records_lost or 0 for problem in found.problems) == (40 - found.records if left else 0)


def test_logs_one_behind_the_other(tmp_path):
    more = [event._replace(number=event.number + 100) for event in logoffs(3)]
    assert found_in(tmp_path, log(logoffs(3)) + log(more)) == ([1, 2, 3, 101, 102, 103], [])


@pytest.mark.parametrize(("place", "value"), [(36, 4), (44, 8), (52, 55), (26, 0xFFFF)])
def test_parts_that_lie_outside_of_a_record(tmp_path, place, value):
    events = [LegacyEvent(528, AT, "PC1", LOGON_2003, n, sid=USER, binary=b"1234") for n in (1, 2, 3)]
    content = bytearray(log(events))
    at = 48 + len(record(events[0])) + place
    content[at : at + (2 if place == 26 else 4)] = value.to_bytes(2 if place == 26 else 4, "little")
    numbers, (problem,) = found_in(tmp_path, content)
    assert (numbers, problem.position, problem.records_lost) == ([1, 3], f"byte {at - place}", 1)


@pytest.mark.parametrize("size", [7, 27, 12])
def test_a_sid_that_is_none_is_told(tmp_path, size):
    content = bytearray(log([LegacyEvent(528, AT, "PC1", LOGON_2003, 1, sid=USER)]))
    content[48 + 40 : 48 + 44] = size.to_bytes(4, "little")
    path = tmp_path / "x.evt"
    path.write_bytes(content)
    (row,), (problem,) = rows(path)
    assert (row["target_name"], row["record_sid"], problem.kind) == ("anna", None, "doubt")
    assert "SID" in problem.what


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(flips=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=30), cut=st.integers(49, 3000))
def test_any_damage_gives_problems_and_never_an_error(tmp_path, flips, cut):
    events = [LegacyEvent(528, AT, "PC1", LOGON_2003, n, sid=USER, binary=b"LfLe" * n) for n in range(1, 5)]
    content = bytearray(log(events)[:cut])
    for place, value in flips:
        if place < len(content):
            content[place] = value
    path = tmp_path / "x.evt"
    path.write_bytes(content)
    rows(path)


def test_libevt_reads_what_the_writer_writes(tmp_path):
    """So that the tests above are about the format, and not about one reading of it."""
    pyevt = pytest.importorskip("pyevt")
    path = write(
        tmp_path / "x.evt",
        [
            LegacyEvent(528, AT, "PC1", LOGON_2003, number=5, sid=USER),
            LegacyEvent(512, AT, "PC1", (), number=6, binary=b"\1\2\3"),
        ],
    )
    file = pyevt.file()
    file.open(str(path))
    assert (file.number_of_records, file.number_of_recovered_records) == (2, 0)
    first = file.get_record(0)
    assert (first.identifier, first.event_identifier, first.event_type) == (5, 528, 8)
    assert (first.source_name, first.computer_name, first.user_security_identifier) == ("Security", "PC1", USER)
    assert tuple(first.get_string(at) for at in range(first.number_of_strings)) == LOGON_2003
    assert first.written_time == AT
    file.close()


def test_a_real_log_as_libevt_reads_it(shared_logs):
    pyevt = pytest.importorskip("pyevt")
    path = shared_logs / "legacy-evt" / "SysEvent.Evt"
    content = path.read_bytes()
    problems = Problems()
    mine = {record.position: record for record in evt.records(content, 0, len(content), problems)}
    by_number = {record.number: record for record in mine.values()}
    file = pyevt.file()
    file.open(str(path))
    told = []
    for many, get in (
        (file.number_of_records, file.get_record),
        (file.number_of_recovered_records, file.get_recovered_record),
    ):
        for at in range(many):
            record = get(at)
            strings = [record.get_string(each) or "" for each in range(record.number_of_strings)]
            told.append((record.identifier, record.source_name, record.computer_name, strings))
    file.close()
    assert len(mine) == len(told) - 1 == 6500  # one was overwritten in its midst: libevt shows what now lies there
    differing = [
        number
        for number, provider, computer, strings in told
        if (provider, computer, strings)
        != (by_number[number].provider, by_number[number].computer, by_number[number].strings)
    ]
    assert len(differing) == 1
    assert [problem.kind for problem in problems.told()] == ["lost"]


def test_real_text_of_an_xp_host(shared_logs, tmp_path):
    """The lines of another tool have the strings of real records; written and read they say what the lines say."""
    lines = (shared_logs / "legacy-2003-text" / "rekall_evtlogs_xp_domain_member.txt").read_text().splitlines()
    events, known = [], []
    for number, line in enumerate(lines, 1):
        date, clock, _, computer, sid, provider, event_id, outcome, strings = line.split(" ", 8)
        time = datetime.fromisoformat(f"{date} {clock}").replace(tzinfo=None)
        values = tuple(text.strip("'") for text in strings.split("';'"))
        kind = FAILURE if outcome == "Failure" else 8
        events.append(LegacyEvent(int(event_id), time, computer, values, number, provider, kind, sid))
        known.append((int(event_id), values, sid))
    found, _ = rows(write(tmp_path / "SecEvent.Evt", events))
    logons = [row for row in found if row["event_id"] == 528]
    assert len(logons) == 2
    for row in logons:
        _, values, sid = known[row["record_id"] - 1]
        assert row["target_name"] == values[0]
        assert row["target_logon_id"] == int(values[2].strip("()").split(",")[1], 16)
        assert row["target_sid"] == sid
    (failure,) = [row for row in found if row["event_id"] == 537]
    assert failure["status"] == 0xC000005E
    assert failure["outcome"] == "failure"


def test_every_legacy_layout_makes_the_columns_of_its_modern_event():
    for row in catalogue.table("legacy_ids"):
        kind = catalogue.modern("Security", int(row["legacy_id"]))
        assert kind == (row["provider"].lower(), int(row["event_id"]))
        assert catalogue.keep("Security", int(row["legacy_id"])) is catalogue.keep(*kind)
        assert row["sid_field"] in {"", "TargetUserSid", "SubjectUserSid"}
    with pytest.raises(NotCertainError, match="order is not known"):
        legacy.fields(642, ["a"], None)
