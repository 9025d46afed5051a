"""One record counts once, however it arrives: any order, any grouping, any copies, any slices."""

import json
import os
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import DAY, LOGOFF, LOGOFF_ASKED, MONDAY, SECOND, in_this_process, ingest, log, logoff, process

from logontracks import copies as copies_of
from logontracks import merge, pipeline, staging
from logontracks.case import Case
from logontracks.errors import SourceError
from logontracks.simulate.evtx_writer import Event, filetime

few = settings(max_examples=10, suppress_health_check=list(HealthCheck))

COMPUTERS = ("WS1", "ws1", "WS1.larch.example", "ws1.LARCH.example", "WS1.other.example", "WS2", "10.0.0.5", "10.0.0.6")
TIMES = (
    MONDAY,
    MONDAY + 5,  # below a microsecond: the same record
    MONDAY + 10,
    MONDAY + SECOND,
    MONDAY + DAY - 1,  # 23:59:59.9999999
    MONDAY + DAY,
    3 * SECOND,  # 1601
    filetime(datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)),
)


class Copy(NamedTuple):
    """A record as one file has it."""

    record_id: int
    time: int
    computer: str
    asked: bool
    channel: str
    poor: bool

    def event(self) -> Event:
        kind = replace(LOGOFF_ASKED if self.asked else LOGOFF, channel=self.channel)
        event = logoff(self.record_id, self.time, self.computer, kind)
        return (
            replace(event, values=["-" if value == "LARCH" else value for value in event.values])
            if self.poor
            else event
        )


copies = st.builds(
    Copy,
    record_id=st.integers(1, 3),
    time=st.sampled_from(TIMES),
    computer=st.sampled_from(COMPUTERS),
    asked=st.sampled_from([False, False, True]),
    channel=st.sampled_from(["Security", "Security", "security"]),
    poor=st.booleans(),
)
files = st.lists(st.lists(copies, min_size=1, max_size=8), min_size=1, max_size=4)


def distinct(found: Sequence[Copy]) -> int:
    """How many records these copies are of: full names of hosts apart, a short one with any of them."""
    groups: dict[tuple[object, ...], set[tuple[str, int]]] = defaultdict(set)
    for copy in found:
        name = copy.computer.lower()
        short = name if name[0].isdigit() else name.partition(".")[0]
        key = (short, copy.record_id, copy.asked, copy.time // SECOND)
        groups[key].add((name, copy.time // 10))
    return sum(len({each for each in group if "." in each[0]}) or len(group) for group in groups.values())


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def groups_of(paths: Sequence[Path], rng: random.Random) -> list[list[Path]]:
    """The files in any order, in any groups, some in more than one."""
    shuffled = rng.sample(paths, len(paths)) + rng.sample(paths, rng.randint(0, len(paths)))
    groups: list[list[Path]] = [[]]
    for path in shuffled:
        if groups[-1] and rng.random() < 0.5:
            groups.append([])
        groups[-1].append(path)
    return groups


def kept(case: Path) -> int:
    return int(Case(case).read(lambda connection: connection.sql("SELECT COUNT(*) FROM events").fetchall())[0][0])


@pytest.mark.slow
@few
@given(files, st.randoms(use_true_random=False), st.sampled_from([1, 3, 120_000]), st.sampled_from([0, 1, 2, 2_000]))
def test_order_and_grouping_change_nothing(
    contents: list[list[Copy]], rng: random.Random, slice_rows: int, most_days: int
) -> None:
    with folder() as root, pytest.MonkeyPatch.context() as patch:
        paths = [log(root / f"{n}.evtx", [copy.event() for copy in found]) for n, found in enumerate(contents)]
        whole = ingest(paths, root / "whole")
        assert kept(root / "whole") == distinct([copy for found in contents for copy in found])
        patch.setattr(merge, "SLICE_ROWS", slice_rows)
        patch.setattr(copies_of, "PART_ROWS", slice_rows)
        patch.setattr(staging, "BATCH_LOAD", slice_rows)
        for group in groups_of(paths, rng):
            patch.setattr(merge, "MOST_DAYS", rng.choice([most_days, 2_000]))
            apart = ingest(group, root / "apart")
        assert apart == whole


class Line(NamedTuple):
    """An event as a line of NXLog that has no record number."""

    logon_id: int
    second: int
    host: str

    def text(self) -> str:
        return json.dumps(
            {
                "EventTime": f"2026-10-05T23:59:{50 + self.second:02}Z",
                "Hostname": self.host,
                "EventID": 4634,
                "Channel": "Security",
                "SourceName": "Microsoft-Windows-Security-Auditing",
                "SourceModuleType": "im_msvistalog",
                "Keywords": "9232379236109516800",
                "TargetUserName": "anna.berg",
                "TargetLogonId": f"0x{self.logon_id:x}",
                "LogonType": "3",
            }
        )


lines = st.builds(Line, st.integers(0x10000, 0x10001), st.integers(8, 9), st.sampled_from(["WS1", "WS1", "WS2"]))


def texts(root: Path, contents: Sequence[Sequence[Line]]) -> list[Path]:
    paths = []
    for number, found in enumerate(contents):
        path = root / f"{number}.json"
        path.write_text("".join(f"{line.text()}\n" for line in found))
        paths.append(path)
    return paths


@pytest.mark.slow
@few
@given(st.lists(st.lists(lines, min_size=1, max_size=8), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_lines_without_record_ids(contents: list[list[Line]], rng: random.Random) -> None:
    """Equal lines of one file are as many records; the n-th of them in another file is a copy of the n-th here."""
    with folder() as root:
        paths = texts(root, contents)
        whole = ingest(paths, root / "whole")
        most = {line: max(found.count(line) for found in contents) for found in contents for line in found}
        assert kept(root / "whole") == sum(most.values())
        for group in groups_of(paths, rng):
            apart = ingest(group, root / "apart")
        assert apart == whole
        unnamed = "SELECT COUNT(*) - COUNT(DISTINCT uid) FROM events"
        assert Case(root / "apart").read(lambda connection: connection.sql(unnamed).fetchall()) == [(0,)]


def test_a_line_of_the_case_is_no_richer_than_its_copy(tmp_path: Path) -> None:
    """It has its uid already; of equal ones the hash of the file decides, whichever came first."""
    line = Line(0x10000, 8, "WS1")
    paths = texts(tmp_path, [[line], [line, line]])
    whole = ingest(paths, tmp_path / "whole")
    for number, order in enumerate((paths, paths[::-1])):
        for path in order:
            last = ingest([path], tmp_path / f"case{number}")
        assert last == whole


def test_copies_of_every_kind(tmp_path: Path) -> None:
    """The same records again as a part, forwarded in another order under the short name, and in other cases."""
    events = [logoff(i, MONDAY + i * DAY // 150) for i in range(1, 200)]
    rng = random.Random(1)
    paths = [
        log(tmp_path / "whole.evtx", events),
        log(tmp_path / "part.evtx", events[50:90]),
        log(tmp_path / "forwarded.evtx", [replace(e, computer="WS1") for e in rng.sample(events, 120)]),
        log(tmp_path / "case.evtx", [replace(e, computer="ws1.LARCH.EXAMPLE") for e in events[10:20]]),
    ]
    whole = ingest(paths, tmp_path / "whole")
    assert kept(tmp_path / "whole") == 199
    for number in range(3):
        for path in rng.sample(paths, 4):
            last = ingest([path], tmp_path / f"case{number}")
        assert last == whole


def test_richest_copy_is_kept(tmp_path: Path) -> None:
    rich = Copy(1, MONDAY, "WS1", asked=False, channel="Security", poor=False)
    poor = rich._replace(poor=True)
    paths = [log(tmp_path / "poor.evtx", [poor.event()]), log(tmp_path / "rich.evtx", [rich.event()])]
    for number, order in enumerate((paths, paths[::-1])):
        for path in order:
            ingest([path], tmp_path / f"case{number}")
        domains = Case(tmp_path / f"case{number}").read(lambda c: c.sql("SELECT target_domain FROM events").fetchall())
        assert domains == [("LARCH",)]


PAIRS = [
    (logoff(7, MONDAY), logoff(7, MONDAY), 1),
    (logoff(7, MONDAY), logoff(7, MONDAY, "WS1"), 1),
    (logoff(7, MONDAY, "WS1.larch.example"), logoff(7, MONDAY, "WS1.other.example"), 2),
    (logoff(7, MONDAY, "10.0.0.5"), logoff(7, MONDAY, "10.0.0.6"), 2),
    (logoff(7, MONDAY, "fe80::1"), logoff(7, MONDAY, "fe80::2"), 2),
    (logoff(7, MONDAY), logoff(7, MONDAY + 30 * DAY), 2),  # a log that was made anew: its ids begin again
    (logoff(7, MONDAY), logoff(7, MONDAY, kind=LOGOFF_ASKED), 2),
    (logoff(7, MONDAY), logoff(8, MONDAY), 2),
    (logoff(7, MONDAY + DAY - 1), logoff(7, MONDAY + DAY), 2),
    (logoff(7, MONDAY + DAY - 1), logoff(7, MONDAY + DAY - 2), 1),  # less than a microsecond apart
    (logoff(7, 0), logoff(7, 0), 1),  # 1601
    (logoff(7, MONDAY, "..."), logoff(7, MONDAY, "..."), 1),
    (logoff(7, MONDAY, ""), logoff(7, MONDAY, ""), 1),
    (logoff(7, MONDAY, "WS'1\n"), logoff(7, MONDAY, "WS'1\n"), 1),
    (logoff(7, MONDAY, "ЖУРНАЛ.larch.example"), logoff(7, MONDAY, "журнал.larch.example"), 1),
]
"""Two events, and of how many records they are."""


def test_identity(tmp_path: Path) -> None:
    """Each pair with record ids of its own, so that all are of one case and none of one pair meets another."""
    pairs = [[replace(event, record_id=event.record_id + 10 * n) for event in pair[:2]] for n, pair in enumerate(PAIRS)]
    paths = [
        log(tmp_path / "one.evtx", [*(one for one, _ in pairs), logoff(1000, MONDAY, "WS9")]),
        log(tmp_path / "other.evtx", [*(other for _, other in pairs), logoff(2000, MONDAY, "WS8")]),
    ]
    digests = {ingest(paths, tmp_path / "both")}
    for number, order in enumerate((paths, paths[::-1])):
        for path in order:
            last = ingest([path], tmp_path / f"case{number}")
        digests.add(last)
    assert len(digests) == 1
    query = "SELECT record_id // 10, COUNT(*) FROM events WHERE record_id < 1000 GROUP BY ALL ORDER BY ALL"
    found = Case(tmp_path / "both").read(lambda connection: connection.sql(query).fetchall())
    assert found == [(n, records) for n, (_, _, records) in enumerate(PAIRS)]


def test_many_ingests_of_a_day_become_few_files(tmp_path: Path) -> None:
    """Of each host its own log, so that no copies make files be written again."""
    paths = [log(tmp_path / f"{n}.evtx", [logoff(i, MONDAY, f"WS{n}") for i in range(1, 5)]) for n in range(12)]
    case = tmp_path / "case"
    most = 0
    for path in paths:
        last = ingest([path], case)
        most = max(most, *(len(list(case.glob(f"{name}/**/*.parquet"))) for name in ("events", "extents")))
    assert most <= merge.MANY_FILES
    assert last == ingest(paths, tmp_path / "whole")


def test_full_files_are_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "SLICE_ROWS", 20)
    everything = [
        log(tmp_path / f"{n}.evtx", [logoff(i, MONDAY + i * 600 * SECOND, f"WS{n}") for i in range(20)[1:]])
        for n in range(12)
    ]
    case = tmp_path / "case"
    ingest(everything[:11], case)
    before = set(case.glob("events/*/*.parquet"))
    assert len(before) > merge.MANY_FILES
    last = ingest(everything[11:], case)
    assert before < set(case.glob("events/*/*.parquet"))
    assert last == ingest(everything, tmp_path / "whole")


@pytest.mark.parametrize("slice_rows", [1, 7, 20])
def test_slices_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slice_rows: int) -> None:
    events = [logoff(i, MONDAY + i * 97 * SECOND, f"WS{i % 3}.larch.example") for i in range(1, 40)]
    paths = [log(tmp_path / "a.evtx", events[:25]), log(tmp_path / "b.evtx", events[15:])]
    whole = ingest(paths, tmp_path / "whole")
    monkeypatch.setattr(merge, "SLICE_ROWS", slice_rows)
    for path in paths:
        last = ingest([path], tmp_path / "sliced")
    assert last == whole
    assert len(list((tmp_path / "sliced").glob("events/*/*.parquet"))) > len(
        list((tmp_path / "whole").glob("events/*/*.parquet"))
    )


def test_a_flood_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More records of one host and moment than a slice should hold, and no copies among them."""
    paths = [log(tmp_path / f"{n}.evtx", [logoff(n * 30 + i, MONDAY) for i in range(30)[1:]]) for n in range(6)]
    whole = ingest(paths, tmp_path / "whole")
    monkeypatch.setattr(merge, "SLICE_ROWS", 10)
    for name in ("PIECE_BYTES", "TASK_BYTES"):
        monkeypatch.setattr(pipeline, name, 1)  # each file is staged by itself
    assert ingest(paths, tmp_path / "parts") == whole
    assert len(list((tmp_path / "parts").glob("events/*/*.parquet"))) == 6


def lengths_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fills with the lengths of the tables that merging holds at once."""
    read, lengths = staging.read, []

    def noted(*args: object, **options: object) -> Iterator[pa.Table]:
        for rows in read(*args, **options):
            lengths.append(len(rows))
            yield rows

    monkeypatch.setattr(staging, "read", noted)
    return lengths


@pytest.mark.parametrize("step", [0, 1])
def test_a_flood_of_copies_is_compared_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Two logs that overlap have more records of a host in ten minutes than a slice should hold."""
    paths = [
        log(tmp_path / f"{n}.evtx", [logoff(i, MONDAY + i * step * SECOND) for i in range(n * 50, n * 50 + 200)[1:]])
        for n in range(2)
    ]
    whole = ingest(paths, tmp_path / "whole")
    monkeypatch.setattr(merge, "SLICE_ROWS", 20)
    monkeypatch.setattr(copies_of, "PART_ROWS", 30)
    monkeypatch.setattr(staging, "BATCH_LOAD", 10)
    lengths = lengths_read(monkeypatch)
    assert ingest(paths, tmp_path / "parts") == whole
    for path in paths:
        last = ingest([path], tmp_path / "apart")
    assert last == whole
    assert kept(tmp_path / "parts") == 249
    assert 0 < max(lengths) <= 30


def test_large_records_count_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.loads(Line(0x10000 + i, 8, "WS1").text()) | {"Filler": "x" * 20_000} for i in range(40)]
    (tmp_path / "a.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    whole = ingest([tmp_path / "a.json"], tmp_path / "whole")
    monkeypatch.setattr(merge, "SLICE_ROWS", 100)
    monkeypatch.setattr(staging, "BATCH_LOAD", 40)
    lengths = lengths_read(monkeypatch)
    assert ingest([tmp_path / "a.json"], tmp_path / "parts") == whole
    assert 0 < max(lengths) <= 7


def test_small_days_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = lengths_read(monkeypatch)
    case = tmp_path / "case"
    ingest([log(tmp_path / "a.evtx", [logoff(i, MONDAY + i * DAY) for i in range(1, 61)])], case)
    assert lengths == [60]
    found = sorted(path.parent.name for path in case.glob("events/*/*.parquet"))
    assert len(found) == 60
    days = f"SELECT DISTINCT 'day=' || CAST(time AS DATE) FROM read_parquet('{case}/events/{found[7]}/*.parquet')"
    assert Case(case).read(lambda connection: connection.sql(days).fetchall()) == [(found[7],)]


def test_a_clock_that_runs_wild_makes_no_file_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days beyond the most share the odd day, and copies on them are found whichever folder they lie in."""
    events = [logoff(i, MONDAY + (i * 37 % 101) * DAY + i) for i in range(1, 90)]
    paths = [log(tmp_path / "a.evtx", events[:60]), log(tmp_path / "b.evtx", events[30:])]
    whole = ingest(paths, tmp_path / "whole")
    assert len(list((tmp_path / "whole").glob("events/*"))) == 89
    for most in (0, 5, 40):
        monkeypatch.setattr(merge, "MOST_DAYS", most)
        case = tmp_path / f"case{most}"
        assert ingest(paths, case) == whole
        assert len(list(case.glob("events/*"))) == most + 1
        assert len(list(case.glob("events/day=1601-01-01/*.parquet"))) == 1
        ingest(paths[:1], tmp_path / f"apart{most}")
        monkeypatch.setattr(merge, "MOST_DAYS", 2_000)
        assert ingest(paths[1:], tmp_path / f"apart{most}") == whole


def test_files_of_small_days_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an ingest writes them again."""
    paths = [log(tmp_path / f"{n}.evtx", [logoff(i, MONDAY + i * DAY + n) for i in range(1, 61)]) for n in range(2)]
    ingest(paths[:1], tmp_path / "case")
    lengths = lengths_read(monkeypatch)
    last = ingest(paths[1:], tmp_path / "case")
    assert lengths == [120]
    assert last == ingest(paths, tmp_path / "whole")


def test_activity_later_equals_activity_at_once(tmp_path: Path) -> None:
    events = [(process if i % 3 == 0 else logoff)(i, MONDAY + i * 600 * SECOND) for i in range(1, 200)]
    paths = [log(tmp_path / "a.evtx", events[:150]), log(tmp_path / "b.evtx", events[100:])]
    at_once = ingest(paths, tmp_path / "at_once")
    case = tmp_path / "case"
    ingest(paths[:1], case, activity=False)
    assert kept(case) == 100
    ingest(paths, case, activity=False)
    assert ingest(paths, case) == at_once
    assert ingest(paths, case, activity=False) == at_once  # nothing is taken away again


def test_lines_read_again_in_another_zone_replace_the_old_ones(tmp_path: Path) -> None:
    line = json.loads(Line(0x10000, 8, "WS1").text()) | {
        "EventTime": "2026-10-05 03:00:00"
    }  # in Tokyo that is on the day before
    (tmp_path / "a.json").write_text(json.dumps(line) + "\n")
    case = tmp_path / "case"
    ingest([tmp_path / "a.json"], case, source_tz="UTC")
    again = ingest([tmp_path / "a.json"], case, source_tz="Asia/Tokyo")
    assert again == ingest([tmp_path / "a.json"], tmp_path / "at_once", source_tz="Asia/Tokyo")
    assert kept(case) == 1


# Files: what is one, and what is none


@pytest.fixture
def events() -> list[Event]:
    return [logoff(i, MONDAY + i) for i in range(1, 30)]


def run(paths: Sequence[Path], case: Path) -> pipeline.Summary:
    with in_this_process():
        return pipeline.ingest(list(paths), case, tables=False)


def test_same_file_under_many_names(tmp_path: Path, events: list[Event]) -> None:
    logs = tmp_path / "logs"
    path = log(logs / "a" / "one.evtx", events)
    shutil.copy(path, logs / "two.evtx")
    os.link(path, logs / "hard.evtx")
    (logs / "soft.evtx").symlink_to(path)
    (logs / "loop").symlink_to(logs, target_is_directory=True)
    (logs / "broken").symlink_to(logs / "nothing")
    (logs / "empty").mkdir()
    summary = run([logs, path, logs / "a", logs / "soft.evtx"], tmp_path / "case")
    assert (summary.files, summary.records, summary.kept) == (1, 29, 29)
    assert ingest([logs], tmp_path / "case") == Case(tmp_path / "case").digest()
    assert kept(tmp_path / "case") == 29


def test_what_is_no_log(tmp_path: Path, events: list[Event]) -> None:
    logs = tmp_path / "logs"
    log(logs / "good.evtx", events)
    (logs / "notes.txt").write_text("mine")
    (logs / "empty.evtx").touch()
    (logs / "false.evtx").write_text("no log")
    os.mkfifo(logs / "pipe")
    (logs / "socket.evtx").symlink_to("/dev/null")
    summary = run([logs, tmp_path / "nothing"], tmp_path / "case")
    assert (summary.files, summary.kept) == (1, 29)
    told = Case(tmp_path / "case").read(lambda c: c.sql("SELECT source FROM problems ORDER BY ALL").fetchall())
    assert [name for (name,) in told] == [
        (tmp_path / name).as_posix() for name in ("logs/empty.evtx", "logs/false.evtx", "logs/socket.evtx", "nothing")
    ]
    assert run([logs, tmp_path / "nothing"], tmp_path / "case").known == 1


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.mkdir(), lambda path: path.write_text("mine")])
def test_nothing_to_read(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "logs")
    with pytest.raises(SourceError) as told:
        run([tmp_path / "logs"], tmp_path / "case")
    assert (told.value.exit_code, bool(told.value.hint)) == (3, True)
    assert not (tmp_path / "case").exists()


def test_file_that_the_system_refuses(tmp_path: Path, events: list[Event]) -> None:
    """Root may read anything, but not a process's memory from its beginning."""
    log(tmp_path / "good.evtx", events)
    summary = run([tmp_path / "good.evtx", Path("/proc/self/mem")], tmp_path / "case")
    assert (summary.files, summary.problems) == (1, 1)
    told = Case(tmp_path / "case").read(lambda c: c.sql("SELECT source, what FROM problems").fetchall())
    assert told[0][0] == "/proc/self/mem"
    assert told[0][1].startswith("it cannot be opened")


@pytest.mark.parametrize("name", [b"new\nline.evtx", b'it\'s "quoted".evtx', b"\xff\xfe.evtx", b"a [b] *?.evtx", b"-x"])
def test_strange_file_names(tmp_path: Path, events: list[Event], name: bytes) -> None:
    """With a real worker: the name also goes through a pipe."""
    path = tmp_path / os.fsdecode(name)
    log(path, events)
    path.write_bytes(path.read_bytes()[:-1000])  # so that its name is told as a problem, too
    pipeline.ingest([path], tmp_path / "case", jobs=1, tables=False)
    case = Case(tmp_path / "case")
    told = case.read(lambda c: c.sql("SELECT name FROM sources UNION SELECT source FROM problems").fetchall())
    assert len(told) == 1
    told[0][0].encode()
    assert kept(tmp_path / "case") == 29
    assert pipeline.ingest([path], tmp_path / "case", jobs=1, tables=False).known == 1
