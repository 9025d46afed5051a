"""Output and options: hostile text does no harm, values come back, times and files are what was asked for."""

import contextlib
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import click
import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from rich.cells import cell_len

from logontracks import progress
from logontracks.cli import options, output, watching
from logontracks.cli.options import Query, View, read_time, read_zone, visible
from logontracks.errors import CaseError, Error, SourceError, UsageError

BERLIN = ZoneInfo("Europe/Berlin")
moment = datetime.fromisoformat
SGR = re.compile(r"\x1b\[[0-9;]*m")
NASTY = """\x1b[31mred|\x1b]0;t\x07|\x9b2J|a\r\nb|\u202eexe.txt|\u2066x\u2069|ad\u200bmin|\u2028|\U000e0041tag|\ue000
\u0378|\u0301lone|\u3164|admin\u00a0|👨\u200d👩\u200d👧|[bold red]x[/] [link=http://x]y[/link] :skull:|=1+1|+1|-1|@x
\t=1|'=1|\uff1d1|"quoted", and; more||C137\\user|\\x1b|ÄÖÜ ß é|שלום
日本語のとても長い名前です日本語のとても長い名前です|Z\u0300\u0300\u0300\u0300\u0300\u0300\u0300\u0300"""
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
hostile = anything | st.sampled_from(re.split(r"\||(?<!\r)\n", NASTY))
cells = st.lists(st.none() | hostile, min_size=1, max_size=6)


class Stdout(io.TextIOWrapper):
    """A stdout in memory that may pass for a terminal."""

    def __init__(self, *, tty=False, encoding="utf-8"):
        self.bytes = io.BytesIO()
        self.tty = tty
        super().__init__(self.bytes, encoding)

    def isatty(self):
        return self.tty


@contextlib.contextmanager
def environment(**values):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
            patch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", **values}.items():
            patch.setenv(name, value)
        yield


def rendered(table, view=None, *, tty=False, encoding="utf-8", **env):
    stdout = Stdout(tty=tty, encoding=encoding)
    with environment(**env), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(io.StringIO()):
        output.render(pa.table(table).to_reader(), view or View())
        sys.stdout.flush()
        return stdout.bytes.getvalue()


def text(table, form="table", **view):
    return rendered(table, View(form, **view)).decode()


def lines(table, **view):
    """Cells of a piped table: two blanks or more stand between columns."""
    return [re.split(r" {2,}", line) for line in text(table, **view).splitlines()]


def all_seen(written):
    return all(char == "\n" or options.is_seen(char) for char in written)


@given(cells, hostile)
def test_json_holds_the_same_text_and_nothing_a_terminal_acts_on(values, name):
    for form in ("json", "jsonl"):
        written = text({name: pa.array(values, pa.string())}, form)
        assert all_seen(written)
        rows = json.loads(written) if form == "json" else [json.loads(line) for line in written.split("\n")[:-1]]
        if name != "data":
            assert rows == [{name: value} for value in values]


@given(cells, cells)
def test_csv_comes_back_but_for_escapes_and_apostrophe(left, right):
    length = min(len(left), len(right))
    table = {"left": pa.array(left[:length], pa.string()), "right": pa.array(right[:length], pa.string())}
    written = text(table, "csv")
    assert all_seen(written.replace("\r\n", "\n"))
    assert written.count("\r\n") == length + 1
    rows = list(csv.reader(io.StringIO(written, newline=""), strict=True))
    assert rows[0] == ["left", "right"]
    for row, *wanted in zip(rows[1:], left, right, strict=False):
        for cell, value in zip(row, wanted, strict=True):
            assert not cell.startswith(tuple("=+-@\uff1d\t\r"))
            plain = cell[1:] if re.match("'+[=+@\uff1d\uff0b\uff0d\uff20-]", cell) else cell
            assert plain == visible(value or "")


@given(cells)
def test_piped_table_is_plain_and_whole(values):
    written = text({"name": pa.array(values, pa.string()), "end": pa.array([7] * len(values))})
    assert all_seen(written)
    body = written.split("\n")[2:-1]
    for line, value in zip(body, values, strict=True):
        assert line.startswith(visible(value or ""))
        assert line.endswith("7")
    assert len({cell_len(line) for line in body}) == 1  # the last column stands under itself


def test_one_endless_text_does_not_make_all_rows_as_long():
    written = text({"name": ["x" * 100_000, *["y"] * 50], "end": [7] * 51}).split("\n")
    assert written[2].split() == ["x" * 100_000, "7"]
    assert all(line.split() == ["y", "7"] and len(line) <= output.WIDEST + 6 for line in written[3:-1])


@given(cells, hostile, st.sampled_from(["20", "37", "60", "80", "200"]), st.booleans())
def test_terminal_table_keeps_to_its_width_and_writes_only_colours(values, name, width, colour):
    table = {name: pa.array(values, pa.string()), "workstation": pa.array(values[::-1], pa.string())}
    written = rendered(table, tty=True, COLUMNS=width, NO_COLOR="" if colour else "1").decode()
    plain = SGR.sub("", written)
    assert all_seen(plain)
    assert colour or plain == written
    assert all(cell_len(line) <= int(width) for line in plain.split("\n"))


@given(hostile)
def test_visible(value):
    shown = visible(value)
    assert all_seen(shown)
    assert not shown or not unicodedata.category(shown[0]).startswith("M")
    assert visible(shown) == shown
    assert visible("\x1b[2J\x7f\x85\u202e\u2028\U000e0041") == "\\x1b[2J\\x7f\\x85\\u202e\\u2028\\U000e0041"
    assert visible("\u3164\u2800a\ufe0f\u00a0") == "\\u3164\\u2800a\\ufe0f\\xa0"
    assert visible("\u0301a\u0301 C137\\Jörg 日本") == "\\u0301a\u0301 C137\\Jörg 日本"


def test_markup_is_text_and_what_was_spelled_out_is_red():
    written = rendered({"odd": ["\x1b"], "typed": ["\\x1b"], "markup": ["[bold]x[/bold] :skull:"]}, tty=True).decode()
    assert written.count("\\x1b") == 2
    assert written.count("\x1b[31m\\x1b\x1b[0m") == 1
    assert "[bold]x[/bold] :skull:" in written
    assert b"\\xc4rger" in rendered({"name": ["Ärger"]}, tty=True, encoding="ascii")


WIDE = {f"column{n}": [f"value {n} of a row"] for n in range(12)} | {"empty": pa.array([None], pa.string())}
VALUES = duckdb.sql("""SELECT TIMESTAMP '2026-10-05 08:12:44.123456' AS time, 999 AS target_logon_id,
    -1::BIGINT AS linked_logon_id, 3221225578 AS status, -1073741718 AS sub_status, true AS elevated, 90 AS duration_s,
    0.25::DOUBLE AS share, DATE '2026-10-05' AS day, NULL::VARCHAR AS workstation, 'ab' AS source_sha256
""").to_arrow_table()


def test_values_for_people():
    titles, _, row = lines(VALUES)
    wanted = "Time (UTC)|Target logon id|Linked logon id|Status|Sub status|Elevated|Duration (s)|Share|Day|Workstation"
    assert titles == [*wanted.split("|"), "Source SHA-256"]
    logon_ids = ["0x3e7", "0xffffffffffffffff", "0xc000006a", "0xc000006a"]
    assert row == ["2026-10-05 08:12:44", *logon_ids, "yes", "90", "0.25", "2026-10-05", "ab"]
    assert lines(VALUES, microseconds=True)[2][0] == "2026-10-05 08:12:44.123456"
    written = text({"count": [5, 1000], "name": ["a", "bcd"]})
    assert written == "Count  Name\n-----  ----\n    5  a\n 1000  bcd\n"


def test_values_for_programs():
    (row,) = json.loads(text(VALUES, "json"))
    assert (row["time"], row["workstation"]) == ("2026-10-05T08:12:44.123456Z", None)
    assert (row["target_logon_id"], row["status"], row["elevated"], row["share"]) == (999, 0xC000006A, True, 0.25)
    values = dict(zip(*csv.reader(text(VALUES, "csv").splitlines()), strict=True))
    assert (values["elevated"], values["linked_logon_id"], values["workstation"]) == ("true", "-1", "")


def test_numbers_stay_exact_where_the_reader_keeps_integers():
    written = text({"uid": [2**53 + 1, 2**63 - 1]}, "jsonl").splitlines()
    assert [json.loads(line)["uid"] for line in written] == [2**53 + 1, 2**63 - 1]
    # JavaScript, and jq before 1.7, read all numbers as floating point: the last digits go. Documented, not prevented.
    assert json.loads(written[0], parse_int=float)["uid"] != 2**53 + 1


LOSSY = ['{"A": 1, "A": 2}', '{"A": NaN}', '{"A": 1e999}', "[1]", "{", '{"A":' * 5000 + "1" + "}" * 5000]


@pytest.mark.parametrize("data", ['{"A": "\\u001b", "n": [1, {"b": null}]}', '{"A": "\\ud800"}', *LOSSY])
def test_data_is_an_object_when_nothing_is_lost_by_it(data):
    written = text({"data": [data]}, "jsonl")
    assert written.isascii()
    assert json.loads(written) == {"data": data if data in LOSSY else json.loads(data)}


def test_whatever_a_query_returns_is_written():
    query = """SELECT 1 AS a, 2 AS a, 5::HUGEINT AS h, 'x'::BLOB AS b, 'nan'::DOUBLE AS n, -'inf'::DOUBLE AS i,
        TIMESTAMP 'infinity' AS t, TIMESTAMP '20260-01-01' AS far, TIMESTAMP '1601-01-01' AS old, DATE 'infinity' AS d,
        TIMESTAMP_NS '2026-01-01 00:00:00.123456789' AS ns, TIMESTAMPTZ '2026-01-01 00:00:00+02' AS tz,
        [{'k': TIMESTAMP '2026-01-01', 'd': 1.5::DECIMAL(4, 2)}] AS l, MAP {'k': 1} AS m, 'v'::ENUM ('v') AS e,
        {'n': TIMESTAMP_NS '2026-01-01 00:00:00.123456789'} AS deep, INTERVAL '3' DAY AS iv, TIME '01:02:03' AS ti"""
    table = duckdb.sql(query).to_arrow_table()
    (row,) = json.loads(text(table, "json", tz=BERLIN))
    assert (row["a"], row["a_2"], row["h"], row["b"], row["n"], row["i"]) == (1, 2, 5, "78", None, None)
    assert (row["t"], row["d"], row["old"]) == ("infinity", "infinity", "1601-01-01T00:00:00.000000Z")
    assert (row["ns"], row["tz"]) == ("2026-01-01T01:00:00.123456+01:00", "2025-12-31T23:00:00.000000+01:00")
    assert row["l"] == [{"k": "2026-01-01T01:00:00.000000+01:00", "d": 1.5}]
    assert (row["m"], row["e"], row["ti"]) == ([["k", 1]], "v", "01:02:03")
    for form in ("table", "csv"):
        assert "2026-01-01 00:00:00.123456789" in text(table, form)


def test_no_rows_and_no_values():
    table = pa.table({"name": pa.array([], pa.string()), "time": pa.array([], pa.timestamp("us"))})
    assert [text(table, form) for form in ("json", "jsonl", "csv")] == ["[]\n", "", "name,time\r\n"]
    assert text(table).splitlines()[0] == "Name  Time (UTC)"
    assert parquet.read_table(io.BytesIO(rendered(table, View("parquet")))).schema == table.schema
    assert text({"a": [None, "", "x"]}, "csv") == 'a\r\n""\r\n""\r\nx\r\n'  # a blank line would be no row
    assert text({"a": [None, ""], "b": [1, 2]}, "csv") == 'a,b\r\n,1\r\n"",2\r\n'


def test_times_in_a_zone():
    hours = [moment(f"2026-10-{time}") for time in ("24 22:00", "25 00:30", "25 01:30")]
    table = {"time": pa.array(hours, pa.timestamp("us"))}
    assert [row[0][10:] for row in lines(table, tz=BERLIN)[2:]] == [" 00:00:00", " 02:30:00+02:00", " 02:30:00+01:00"]
    assert '"2026-10-25T02:30:00.000000+01:00"' in text(table, "jsonl", tz=BERLIN)


@pytest.mark.parametrize("width", [20, 50, 100, 172, 173, 400])
def test_no_column_is_lost_at_any_width(width, capsys):
    with environment(COLUMNS=str(width), NO_COLOR="1"), contextlib.redirect_stdout(Stdout(tty=True)) as stdout:
        output.render(pa.table(WIDE).to_reader(), View())
    written = stdout.bytes.getvalue().decode()
    assert all(re.search(rf"Column{n}\b", written) for n in range(12))
    assert [int(n) for n in re.findall(r"value (\d+)", written)] == list(range(12))
    blocks = written.startswith("-- 1 --")
    assert blocks == (width < 173)  # 12 columns of at least 12, one of 5, gaps of 2
    assert ("Empty" in written) != blocks
    assert ("too narrow for 13 columns" in capsys.readouterr().err) == blocks


@given(anything, st.sampled_from(["20", "40"]))
def test_folding_loses_nothing(value, width):
    written = rendered({"name": [value]}, tty=True, COLUMNS=width, NO_COLOR="1").decode().split("\n")
    assert "".join(written[2:]).replace(" ", "") == visible(value).replace(" ", "")


def test_limit_is_told(capsys):
    table = {"n": list(range(10))}
    for total, told in [(None, "First 3 rows; there are more"), (1234, "First 3 of 1,234 rows")]:
        assert output.render(pa.table(table).to_reader(), View("jsonl", limit=3, total=total)) == 3
        out, err = capsys.readouterr()
        assert out.count("\n") == 3
        assert told in err
    assert text(table, "jsonl", limit=10).count("\n") == 10
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "parquet"])
def test_rows_are_written_while_others_are_still_to_come(form):
    stdout = Stdout()
    schema = pa.schema({"n": pa.int64()})
    seen = []

    def batches():
        for start in range(0, 1_000_000, 200_000):
            seen.append(len(stdout.bytes.getvalue()))
            yield pa.record_batch([pa.array(range(start, start + 200_000))], schema=schema)

    with contextlib.redirect_stdout(stdout):
        rows = output.render(pa.RecordBatchReader.from_batches(schema, batches()), View(form))
    assert rows == 1_000_000
    assert form == "parquet" or stdout.bytes.getvalue().count(b"\n") in {rows, rows + 1, rows + 2}
    assert seen == sorted(set(seen))


def test_parquet_keeps_types_and_is_not_for_a_terminal():
    table = VALUES.append_column("e", pa.array(["x"]).dictionary_encode())
    assert parquet.read_table(io.BytesIO(rendered(table, View("parquet")))).equals(table)
    with pytest.raises(UsageError, match="terminal"):
        rendered(table, View("parquet"), tty=True)


@pytest.mark.parametrize("form", get_args(options.Format))
def test_a_file_is_whole_or_as_it_was(form, tmp_path):
    goal = tmp_path / "answer"
    goal.write_text("before")

    def batches():
        yield VALUES.to_batches()[0]
        raise RuntimeError("the engine failed")

    with pytest.raises(RuntimeError, match="the engine failed"):
        output.render(pa.RecordBatchReader.from_batches(VALUES.schema, batches()), View(form, goal))
    assert goal.read_text() == "before"
    output.render(VALUES.to_reader(), View(form, goal))
    assert goal.read_bytes() == rendered(VALUES, View(form))
    assert [path.name for path in tmp_path.iterdir()] == ["answer"]


def test_folders_no_folders_and_links(tmp_path):
    with pytest.raises(UsageError, match="is a folder") as error:
        output.render(VALUES.to_reader(), View("csv", tmp_path))
    assert "Name a file" in error.value.hint
    with pytest.raises(UsageError, match="cannot write") as error:
        output.render(VALUES.to_reader(), View("csv", tmp_path / "no" / "x.csv"))
    assert "Make the folder" in error.value.hint
    if os.name != "nt":  # where links need rights
        (tmp_path / "link.csv").symlink_to(tmp_path / "goal.csv")
        output.render(pa.table({"a": [1]}).to_reader(), View("csv", tmp_path / "link.csv"))
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "goal.csv").read_bytes() == b"a\r\n1\r\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_full_disk_is_told_and_devices_are_not_replaced(form):
    with pytest.raises(Error, match="No space left") as error:
        output.render(VALUES.to_reader(), View(form, Path("/dev/full")))
    assert "more space" in error.value.hint
    output.render(VALUES.to_reader(), View(form, Path(os.devnull)))
    assert Path(os.devnull).is_char_device()
    ours, its = os.pipe()
    output.render(VALUES.to_reader(), View("csv", Path(f"/dev/fd/{its}")))  # as the shell's >(gzip) names it
    assert os.read(ours, 5) == b"time,"
    os.close(ours)
    os.close(its)


@pytest.mark.parametrize("form", get_args(options.Format))
def test_a_reader_that_goes_away_ends_it_quietly(form):
    program = f"""import pyarrow as pa; from logontracks.cli import options, output, watching
table = pa.table({{"n": [str(hash(n)) for n in range(200_000)]}})
output.render(table.to_reader(), options.View({form!r}))"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_help_does_not_wait_for_heavy_modules():
    program = "import sys, logontracks.cli.options, logontracks.cli.output; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert {"pyarrow", "duckdb", "rich"}.isdisjoint(loaded)


NO_TIMES = """soon|2026-13-01|2026-02-30|2026-10-05T25:00|05.10.2026|2026-10-05Z|20261005|\uff12026-10-05|2026-10-05T08
2026-10-05-08:12|2026-10-05T08:12+25:00|9999-12-32"""
WRONG = """--tz Europe/Berln|Hint: Did you mean Europe/Berlin
--since soon|Error: 'soon' is no time
--since 2026-10-06 --until 2026-10-05|Error: --until is not after --since
--format xml|xml
--limit -1|-1
--nonsense|nonsense"""
TIMES = """2026-10-05|UTC|2026-10-05 00:00:00|2026-10-06 00:00:00
2026-10-05|Europe/Berlin|2026-10-04 22:00:00|2026-10-05 22:00:00
2026-10-25|Europe/Berlin|2026-10-24 22:00:00|2026-10-25 23:00:00
2018-11-04|America/Sao_Paulo|2018-11-04 03:00:00|2018-11-05 02:00:00
2026-10-05 08:12|UTC|2026-10-05 08:12:00|2026-10-05 08:12:00
2026-10-05T08:12:44.5|Europe/Berlin|2026-10-05 06:12:44.500000|2026-10-05 06:12:44.500000
2026-10-05T08:12:44,123456789Z|Europe/Berlin|2026-10-05 08:12:44.123456|2026-10-05 08:12:44.123456
2026-10-05t08:12 +0530|Europe/Berlin|2026-10-05 02:42:00|2026-10-05 02:42:00
 2026-10-25T02:30+01:00 |Europe/Berlin|2026-10-25 01:30:00|2026-10-25 01:30:00
9999-12-31|UTC|9999-12-31 00:00:00|9999-12-31 23:59:59.999999
9999-12-31T23:00|America/New_York|9999-12-31 23:59:59.999999|9999-12-31 23:59:59.999999
0001-01-01|Europe/Berlin|0001-01-01 00:00:00|0001-01-01 23:06:32"""


@pytest.mark.parametrize("line", TIMES.split("\n"))
def test_times_are_read(line):
    """Among them a day of 25 hours (2026-10-25), one from 01:00 (2018-11-04), and the ends of the calendar."""
    value, zone, since, until = line.split("|")
    assert str(read_time(value, ZoneInfo(zone))) == since
    assert str(read_time(value, ZoneInfo(zone), end=True)) == until


@pytest.mark.parametrize("value", ["", *re.split(r"[|\n]", NO_TIMES)])
def test_what_is_no_time(value):
    with pytest.raises(UsageError, match="is no time") as error:
        read_time(value, BERLIN, end=True)
    assert "2026-10-05T08:12" in error.value.hint


def test_times_that_clocks_skip_or_show_twice():
    with pytest.raises(UsageError, match=r"2026-03-29 02:30:00 in Europe/Berlin: the clocks skipped it") as error:
        read_time("2026-03-29T02:30", BERLIN)
    assert "2026-03-29T03:30:00+02:00" in error.value.hint
    with pytest.raises(UsageError, match="came twice") as error:
        read_time("2026-10-25T02:30", BERLIN)
    assert "2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00" in error.value.hint


@given(st.datetimes(moment("1971-01-01"), moment("2037-01-01")), st.sampled_from(["Europe/Berlin", "Asia/Kolkata"]))
def test_a_time_that_was_shown_can_be_asked_for(when, zone):
    shown = options.iso_clock(ZoneInfo(zone))((when.replace(tzinfo=UTC) - options._EPOCH) // datetime.resolution)
    assert read_time(shown, ZoneInfo("UTC")) == when


def test_zones():
    assert read_zone("europe/berlin").key.lower() == "europe/berlin"
    assert read_zone("utc").key.upper() == "UTC"
    for name in ("", "../../etc/passwd", "/etc/passwd", "Europe", "qqqqqqq", "\0", "Berlin", "Europe/Berln"):
        with pytest.raises(UsageError, match="no time zone") as error:
            read_zone(name)
        assert ("Did you mean Europe/Berlin" in error.value.hint) == ("Berl" in name)


def asked(*arguments):
    """The Query that a command gets, or the exit code."""
    got = []

    @click.command
    @options.with_query
    @click.option("--user")
    def command(query: Query, user):
        got.append(query)

    code = options.run(command, list(arguments))
    return got[0] if got else code


def test_query(monkeypatch, tmp_path):
    monkeypatch.delenv("LOGONTRACKS_CASE", raising=False)
    assert asked() == Query(Path("case"), View("table", limit=options.TABLE_ROWS))
    query = asked("--tz", "Europe/Berlin", "--since", "2026-10-05", "--until", "2026-10-05", "--user", "a")
    assert (query.since, query.until) == (moment("2026-10-04 22:00"), moment("2026-10-05 22:00"))
    assert (query.view.tz, query.limit) == (BERLIN, options.TABLE_ROWS)
    limits = [asked(*rest.split()).limit for rest in ("--limit 0", "--format json", "--format json --limit 5")]
    assert limits == [None, None, 5]
    formats = [
        asked("--output", *rest).view.format for rest in (["x.CSV"], ["x.parquet", "--format", "csv"], ["x.txt"])
    ]
    assert formats == ["csv", "csv", "table"]
    assert asked("--output", "-").view.output is None
    monkeypatch.setenv("LOGONTRACKS_CASE", str(tmp_path))
    assert asked().case == tmp_path
    assert asked("--case", "other").case == Path("other")


@pytest.mark.parametrize("line", WRONG.split("\n"))
def test_wrong_questions_end_with_2(line, capsys):
    arguments, told = line.split("|")
    assert asked(*arguments.split()) == 2
    assert told in capsys.readouterr().err


def test_report_and_run(capsys):
    assert options.report(SourceError("cannot read \x1b[2J\nHint: run it", "try\u202e")) == 3
    assert capsys.readouterr() == ("", "Error: cannot read \\x1b[2J\\x0aHint: run it\nHint: try\\u202e\n")
    assert options.report(CaseError("locked")) == 5
    assert options.report(KeyboardInterrupt()) == 130
    with pytest.raises(ZeroDivisionError):
        options.report(ZeroDivisionError("a bug"))
    interrupted = click.Command("x", callback=lambda: signal.raise_signal(signal.SIGINT))
    assert options.run(interrupted, []) == 130
    assert options.run(click.Command("x", callback=lambda: 4), []) == 4
    assert options.run(click.Command("x"), ["--help"]) == 0


def work(watcher):
    watcher.start(2_000_000, 3)
    watcher.phase("reading \x1b[2J")
    watcher.advance(1_000_000, 500)
    watcher.note("damaged: \u202efile")
    watcher.phase("building [bold]")
    watcher.finish()


def test_progress_off_a_terminal_is_a_line_in_ten_seconds(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    work(progress.SILENT)
    with watching.watching() as watcher:
        watcher.start(480_000_000, 2)
        watcher.phase("reading \x1b")
        for _ in range(60):
            clock[0] += 0.5
            watcher.advance(4_000_000, 1000)
        watcher.note("damaged: \u202efile")
    state = [(80, "0:50"), (160, "0:40"), (240, "0:30")]
    told = [f"reading \\x1b: {done} of 480 MB in 2 files, 2,000 records/s, {left} left\n" for done, left in state]
    assert capsys.readouterr() == ("", "".join([*told, "damaged: \\u202efile\n"]))


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_progress_on_a_terminal(env):
    stdout, stderr = Stdout(tty=True), Stdout(tty=True)
    with environment(**env), contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        with watching.watching() as watcher:
            watcher.start(1, 1)
            print("data", flush=True)
            work(watcher)
        stderr.flush()
    written = stderr.bytes.getvalue().decode()
    assert stdout.bytes.getvalue() == b"data\n"
    assert "damaged: \\u202efile\n" in written
    assert "\x1b[2J" not in written
    assert bool(SGR.search(written)) == (not env)
    assert ("\x1b" in written) == ("TERM" not in env)
    assert ("building [bold]" in written and "1 of 2 MB in 3 files" in written) == ("TERM" not in env)
