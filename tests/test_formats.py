"""The same events in every form make the same rows, but for what a form lacks; and what is in no form is told."""

import json
import random
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import making
import pytest
from evtx import PyEvtxParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making_dialects import FAILURE, FORMS, LAYOUTS, SUCCESS, Told, lines, xml
from making_evt import LegacyEvent, log

from logontracks import catalogue, schema, sources
from logontracks.case import Case
from logontracks.normalize import STAGED, Normalizer
from logontracks.simulate.evtx_writer import Event, filetime, write_evtx
from logontracks.simulate.templates import SECURITY, template
from logontracks.sources import (
    Rejected,
    dialects,
    evtx,
    find,
    json_lines,
    json_records,
    own_fields,
    pieces,
    xml_records,
)
from logontracks.sources.envelope import Kind, to_tables
from logontracks.sources.evtx_text import Common
from logontracks.sources.records import Problems
from logontracks.worker import _read_text

KINDS = [(4624, 2), (4624, 1), (4625, 0), (4634, 0), (4647, 0), (4648, 0), (4672, 0), (4688, 2), (4768, 0), (4769, 0),
         (4776, 0), (4778, 0), (4740, 0), (4800, 0)]  # fmt: skip
SID = "S-1-5-21-1004336348-1177238915-682003330-1106"
VALUES = {
    "SID": st.sampled_from([SID, "S-1-5-18", "S-1-0-0"]),
    "GUID": st.sampled_from(["{5c92d34f-85d3-2f5d-d036-759d7c97bfd7}", "{00000000-0000-0000-0000-000000000000}"]),
    "HexInt64": st.sampled_from([0, 0x3E7, 0x3A092, 0x1_2345_6789]),
    "HexInt32": st.sampled_from([0, 0xC000006D, 0xC0000234, 0x40810010, 0xFFFFFFFF]),
    "Pointer": st.sampled_from([0, 0x1F4]),
    "UnicodeString": st.sampled_from(
        ["anna", "-", "User32 ", "LARCH", "10.0.0.7", "::ffff:10.0.0.7", "49706", "%%1842", "%%2313", 'q"<&>\'',
         "ž\u20ac\U0001f600",
         r"C:\Windows\x.exe", "{", 'LogonId":', "a\tb"]
    ),
}  # fmt: skip
COUNTS = st.integers(0, 13)
# in units of 100 ns; of the last ones of a second a double knows no more than the next second
MOMENTS = st.integers(0, 36_000_000_000).filter(lambda moment: moment % 10_000_000 < 9_999_990)
BASE = filetime(datetime(2026, 10, 5, 12, tzinfo=UTC))
EPOCH = filetime(datetime(1970, 1, 1, tzinfo=UTC))


@st.composite
def events(draw):
    """An event as the writer of EVTX takes it."""
    event_id, version = draw(st.sampled_from(KINDS))
    kind = template(SECURITY, event_id, version)
    values = [draw(VALUES.get(type_, COUNTS)) for _, type_ in kind.fields]
    return Event(
        kind,
        BASE + draw(MOMENTS),
        draw(st.sampled_from(["WS1.larch.example", "DC1"])),
        values,
        activity_id=draw(st.none() | st.just("{245d3b9b-5e92-0000-b33b-c9128a82d601}")),
        user_sid=draw(st.none() | st.just(SID)),
        record_id=draw(st.integers(1, 1 << 40)),
        keywords=draw(st.sampled_from([SUCCESS, FAILURE])),
    )


def text_of(value):
    return "" if value is None else value if isinstance(value, str) else str(value)


def told_of(path, written):
    """The events of an EVTX file as texts, as Windows renders them: by the reader that the program has for them."""
    found = []
    for record, event in zip(PyEvtxParser(str(path)).records_json(), written, strict=True):
        own = json.loads(record["data"])["Event"].get("EventData") or {}
        names = [name for name, _ in event.template.fields]
        guids = {name for name, type_ in event.template.fields if type_ == "GUID"}
        fields = tuple(
            (name, f"{{{text_of(own.get(name))}}}" if name in guids and own.get(name) else text_of(own.get(name)))
            for name in names
        )
        found.append(
            Told(
                SECURITY, event.template.event_id, event.template.version, "Security", event.computer, event.record_id,
                event.filetime - EPOCH, event.keywords, fields, event.activity_id, event.user_sid,
            )
        )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def normalizer():
    return Normalizer()


def rows_of(parts, normalizer):
    staged, bad = normalizer.rows(parts)
    assert not bad
    return staged.to_pylist()


def of_evtx(path, normalizer):
    common = Common(activity=True)
    where = evtx.layout(path)
    piece = evtx.read(common, 7, path, where, 0, where.chunks)
    return rows_of(list(to_tables(piece.rows, common.heads, common.tails)), normalizer)


def read(path, source_tz=None):
    """Parts and problems of a file as the program reads it, range by range."""
    (source,) = find([path])
    assert not isinstance(source, Rejected), source.problem.what
    found = [_read_text(part) for part in pieces(source)]
    return source.form, [table for each in found for table in each.parts], [p for each in found for p in each.problems]


LOST = {
    "double": {"time"},
    "version": {"version"},
    "record_id": {"record_id", "uid"},
    "activity": {"activity_id", "boot_hint"},
    "sid": {"record_sid"},
}
TIMES = {"ms": 1000, "s": 1_000_000, "us": 1}


def comparable(row, lacks):
    """What has to be the same: all columns but those that tell of the file, and what the form lacks."""
    left_out = {"source", "position", "form", "data", "time_100ns", "time_precision_us", "day"}
    for lack in lacks:
        left_out |= LOST.get(lack, set())
    found = {name: value for name, value in row.items() if name not in left_out}
    step = timedelta(microseconds=next((TIMES[lack] for lack in lacks if lack in TIMES), 1))
    time = found.pop("time", None)
    steps = time and (time - datetime(1970, 1, 1)) // step  # noqa: DTZ001 - UTC without saying so
    return json.dumps(found | {"steps": steps}, default=str, sort_keys=True)


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def check(path, form, lacks, expected, normalizer):
    found_form, parts, problems = read(path)
    assert found_form == form
    assert [problem.what for problem in problems] == []
    found = rows_of(parts, normalizer)
    assert sorted(comparable(row, lacks) for row in found) == sorted(comparable(row, lacks) for row in expected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=4)
@given(written=st.lists(events(), min_size=1, max_size=6, unique_by=lambda event: event.record_id), data=st.data())
def test_the_same_events_in_every_form(tmp_path, normalizer, written, data):
    path = tmp_path / "x.evtx"
    write_evtx(path, written)
    told = told_of(path, written)
    expected = of_evtx(path, normalizer)
    for name, (form, write_one, lacks) in FORMS.items():
        layout = data.draw(st.sampled_from(sorted(LAYOUTS)), label=name)
        records = [write_one(each) for each in told]
        check(write(tmp_path, "any name", LAYOUTS[layout](records)), form, lacks, expected, normalizer)


def test_a_folder_of_all_forms_holds_each_record_once(tmp_path):
    """They are read together, in one task; copies go whatever form they have."""
    logs = tmp_path / "logs"
    logs.mkdir()
    own = {
        "TargetUserSid": SID,
        "TargetUserName": "anna",
        "TargetDomainName": "L",
        "TargetLogonId": 0x3A092,
        "LogonType": 3,
    }
    kind = template(SECURITY, 4634)
    written = [
        Event(
            kind,
            BASE + number * 10_000_000,
            "WS1",
            [own[name] for name, _ in kind.fields],
            record_id=number,
            keywords=SUCCESS,
        )
        for number in range(1, 4)
    ]
    write_evtx(logs / "a", written)
    told = told_of(logs / "a", written)
    (logs / "b").write_text("".join(map(xml, told)), "utf-8")
    for name, (_, write_one, lacks) in FORMS.items():
        if not lacks & {"record_id", "double"}:
            write(logs, name, lines([write_one(each) for each in told]).encode())
    making.ingest([logs], tmp_path / "case")
    with Case(tmp_path / "case").connect() as connection:
        rows = connection.execute("SELECT record_id, target_name, form FROM events ORDER BY ALL").fetchall()
        (forms,) = connection.execute("SELECT COUNT(DISTINCT form) FROM sources").fetchall()[0]
    assert [row[:2] for row in rows] == [(1, "anna"), (2, "anna"), (3, "anna")]
    assert forms > 12


XML_FILES = {
    "event viewer": lambda texts: b'<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<Events>'
    + f"{''.join(texts)}</Events>".encode(),
    "wevtutil": lambda texts: "\r\n".join(texts).encode(),
    "powershell": lambda texts: "\r\n".join(texts).encode("utf-16"),
    "rendered": lambda texts: "".join(
        text.replace("</Event>", "<RenderingInfo><Message>Ein &lt;Event </Message></RenderingInfo></Event>")
        for text in texts
    ).encode(),
}  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=4)
@given(written=st.lists(events(), min_size=1, max_size=6, unique_by=lambda event: event.record_id))
@pytest.mark.parametrize("shape", XML_FILES)
def test_the_same_events_as_xml(tmp_path, normalizer, shape, written):
    path = tmp_path / "x.evtx"
    write_evtx(path, written)
    texts = [xml(each) for each in told_of(path, written)]
    content = XML_FILES[shape](texts)
    check(write(tmp_path, "any name", content), "xml", set(), of_evtx(path, normalizer), normalizer)


def test_a_time_that_was_a_floating_number_is_at_most_a_microsecond_off(tmp_path, normalizer):
    told = sample(40)
    _, parts, _ = read(write(tmp_path, "x", lines([FORMS["velociraptor"][1](each) for each in told]).encode()))
    exact = {each.record_id: timedelta(microseconds=each.ticks // 10) for each in told}
    for row in rows_of(parts, normalizer):
        off = row["time"] - datetime(1970, 1, 1) - exact[row["record_id"]]  # noqa: DTZ001 - UTC without saying so
        assert abs(off) <= timedelta(microseconds=1)


# Ranges


def sample(many, seed=1):
    """Events in the form the writers of dialects take."""
    chosen = random.Random(seed)
    fields = (("TargetUserName", "ann\u00e4"), ("TargetLogonId", "0x3a092"), ("LogonType", "3"))
    return [
        Told(SECURITY, 4634, 0, "Security", "WS1", number, 17_800_000_000_000_000 + chosen.randrange(10**12), SUCCESS,
             (("TargetUserSid", SID), *fields[:1], ("TargetDomainName", "L" * chosen.randrange(40)), *fields[1:]))
        for number in range(1, many + 1)
    ]  # fmt: skip


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in {"array", "concatenated"}])
def test_objects_of_a_file_cut_anywhere(monkeypatch, layout):
    monkeypatch.setattr(json_lines, "BLOCK", 500)
    content = LAYOUTS[layout]([FORMS["vector"][1](each) for each in sample(3)])  # a first, a last and one between
    how = json_lines.layout(content)
    assert len(content) > 2 * json_lines.BLOCK  # some block begins and ends within the content

    def read(start, end):
        tables = json_lines.objects(BytesIO(content), how, start, end, Problems())
        return [(row["position"], json.loads(row["line"])) for table in tables for row in table.to_pylist()]

    whole = read(0, len(content))
    assert [line["record_id"] for _, line in whole] == [1, 2, 3]
    for cut in range(len(content) + 1):
        assert read(0, cut) + read(cut, len(content)) == whole, cut


@pytest.mark.parametrize("layout", ["array", "concatenated"])
def test_objects_one_behind_the_other_are_read_in_blocks(monkeypatch, layout):
    content = LAYOUTS[layout]([FORMS["vector"][1](each) for each in sample(6)])
    how = json_lines.layout(content)
    assert how.run_on
    for size in (1, 50, 3000):
        monkeypatch.setattr(json_lines, "BLOCK", size)
        tables = json_lines.objects(BytesIO(content), how, 0, len(content), Problems())
        found = [row for table in tables for row in table.to_pylist()]
        for row in found:
            assert content[row["position"] :].startswith(row["line"].encode())
        assert [json.loads(row["line"])["record_id"] for row in found] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_xml_cut_anywhere(monkeypatch, encoding):
    monkeypatch.setattr(xml_records, "BLOCK", 500)
    monkeypatch.setattr(xml_records, "MAX_EVENT", 3000)
    texts = [xml(each) for each in sample(6)]
    texts[2] = texts[2].replace("</Event>", "")  # without an end
    texts[4] += "and more"
    content = ("<Events>" + "\r\n".join(texts) + "</Events>").encode(encoding)

    def read(start, end):
        problems = Problems()
        found = list(xml_records._cut(BytesIO(content), encoding, start, end, problems))
        return found, [problem.position for problem in problems.told()]

    whole = read(0, len(content))
    assert [event.text for event in whole[0]] == [
        text.removesuffix("and more") for at, text in enumerate(texts) if at != 2
    ]
    assert len(whole[1]) == 2
    for event in whole[0]:
        assert content[event.position :].startswith(event.text.encode(encoding))
    for cut in range(0, len(content), 7):
        before, behind = read(0, cut), read(cut, len(content))
        assert (before[0] + behind[0], before[1] + behind[1]) == whole, cut


# Hostile and damaged input


@pytest.mark.parametrize(
    "start",
    [b"\x28\xb5\x2f\xfd\0", b"Rar!\x1a\x07\0", b"\x04\x22\x4d\x18", b"MSCF", b"logs".ljust(257, b"\0") + b"ustar\0"],
)
def test_an_archive_is_called_one(tmp_path, start):
    (found,) = find([write(tmp_path, "x", start + bytes(300))])
    assert isinstance(found, Rejected)
    assert "archive" in found.problem.what


@pytest.mark.parametrize("around", ["\ufeff\ufeff<Events>{}</Events>", "<?x a='1'?><Events/>{}<?y?>\n", "<Events/>"])
def test_what_may_stand_around_events(tmp_path, around):
    found = sample(2) if "{}" in around else []
    _, parts, problems = read(write(tmp_path, "x", around.format("<?z?>".join(map(xml, found))).encode()))
    assert sum(len(table) for _, table in parts) == len(found)
    assert not problems


@pytest.mark.parametrize("declared", ["ISO-8859-1", "windows-1252", "cp850", "Windows-1250"])
def test_xml_in_an_encoding_that_it_declares(tmp_path, declared):
    told = xml(sample(1)[0])
    assert "\u00e4" in told
    content = f"<?xml version='1.0' encoding=\"{declared}\" ?>\n<Events>{told}</Events>".encode(declared)
    _, parts, problems = read(write(tmp_path, "x", content))
    assert not problems
    (table,) = [table for _, table in parts]
    assert "ann\u00e4" in table["data"][0].as_py()


@pytest.mark.parametrize("declared", ["shift_jis", "rot13", "no-such-thing", "base64", "utf-16", "US-ASCII"])
def test_xml_that_declares_what_is_not_known_is_read_as_utf_8(tmp_path, declared):
    content = f'<?xml version="1.0" encoding="{declared}"?><Events>{xml(sample(1)[0])}</Events>'.encode()
    _, parts, problems = read(write(tmp_path, "x", content))
    assert [(each.kind, declared in each.what) for each in problems] == (
        [] if declared in {"utf-16", "US-ASCII"} else [("doubt", True)]
    )
    assert "ann\u00e4" in parts[0][1]["data"][0].as_py()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("before", ["", '\r\n<?xml version="1.0" encoding="utf-16"?>\r\n'])
def test_xml_in_utf_16_without_a_mark(tmp_path, encoding, before):
    content = (before + "\r\n".join(map(xml, sample(3)))).encode(encoding)
    form, parts, problems = read(write(tmp_path, "x", content))
    assert (form, problems) == ("xml", [])
    assert sum(len(table) for _, table in parts) == 3


@pytest.mark.parametrize("blanks", [1910, 1950, 1980, 1990])
def test_a_tag_at_the_end_of_what_is_looked_at_together_is_no_loss(monkeypatch, blanks):
    monkeypatch.setattr(xml_records, "BLOCK", 500)
    monkeypatch.setattr(xml_records, "MAX_EVENT", 1500)
    tag = "<Events xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>"
    content = (" " * blanks + tag + " " * 3000).encode()
    problems = Problems()
    assert not list(xml_records._cut(BytesIO(content), "utf-8", 0, len(content), problems))
    assert not list(problems.told())


def test_events_in_a_comment_are_read(tmp_path):
    first, second, third = (xml(each) for each in sample(3))
    content = f"<!-- a --><Events>{first}<!-- not now: {second} or never --><!-- b -->{third}</Events><!-- c -->"
    _, parts, problems = read(write(tmp_path, "x", content.encode()))
    assert sum(len(table) for _, table in parts) == 3
    assert not problems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_of_a_shape_that_is_not_read_is_called_so(tmp_path, encoding):
    text = xml(sample(1)[0]).replace("</", "</e:").replace("<", "<e:").replace("<e:/e:", "</e:")
    assert text.startswith("<e:Event ")
    (found,) = find([write(tmp_path, "x", text.encode(encoding))])
    assert isinstance(found, Rejected)
    assert "<e:Event> are not read" in found.problem.what


HOSTILE = {
    "entities": '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Events>{}</Events>',
    "outside": '<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:/etc/passwd"><Events>{}</Events>',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_xml_declares_means_nothing(tmp_path, name):
    good, bad = (xml(each) for each in sample(2))
    bad = bad.replace(">L", ">&b;L").replace('<Data Name="TargetDomainName"><', '<Data Name="TargetDomainName">&b;<')
    _, parts, problems = read(write(tmp_path, "x", HOSTILE[name].format(good + bad).encode()))
    assert sum(len(table) for _, table in parts) == 1
    assert any("what is there is no event" in problem.what for problem in problems)
    assert any("undefined entity" in problem.what for problem in problems)


@pytest.mark.parametrize(
    "what", ["<a>" * 300_000, "<a b='" + "x" * 1_000_000, "<![CDATA[" + "]" * 100_000, "&" * 10_000]
)
def test_monstrous_xml_costs_itself(tmp_path, what):
    first, second, third = (xml(each) for each in sample(3))
    second = second.replace("<EventData>", f"<EventData>{what}")
    _, parts, problems = read(write(tmp_path, "x", (first + second + third).encode()))
    assert sorted(row["record_id"] for _, table in parts for row in table.to_pylist()) == [1, 3]
    assert [problem.kind for problem in problems] == ["lost"]


@pytest.mark.parametrize("name", ["winlogbeat", "fluent bit, positional", "opentelemetry, otlp", "openwec rawjson"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(data=st.data())
def test_damaged_json_gives_problems_and_never_an_error(tmp_path, name, data):
    layout = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))]
    content = bytearray(layout([FORMS[name][1](each) for each in sample(5)]))
    content = content[: data.draw(st.integers(200, len(content)))]
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    (source,) = find([write(tmp_path, "x", bytes(content))])
    if not isinstance(source, Rejected):
        for part in pieces(source):
            found = _read_text(part)
            Normalizer().rows(found.parts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(data=st.data())
def test_damaged_xml_gives_problems_and_never_an_error(tmp_path, data):
    encoding = data.draw(st.sampled_from(["utf-8", "utf-16"]))
    content = bytearray("".join(xml(each) for each in sample(4)).encode(encoding))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    path = write(tmp_path, "x", bytes(content))
    found = xml_records.read(path, 0, 0, len(content), activity=True)
    Normalizer().rows(found.parts)


# What is no event among events


ODD = ["text", 7, None, True, -1.5]


def among(records, odd):
    return [*records[:1], *odd, *records[1:]]


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if not name.startswith("utf") and "concat" not in name])
def test_what_is_no_object_is_told_and_costs_no_event(tmp_path, layout):
    records = [FORMS["vector"][1](each) for each in sample(3)]
    found = _read_text(*pieces(next(find([write(tmp_path, "x", LAYOUTS[layout](among(records, ODD)))]))))
    assert found.records == 3
    assert sum(len(part) for _, part in found.parts) == 3
    assert {problem.kind for problem in found.problems} == {"skipped"}
    assert sum(int(problem.what.split()[0]) for problem in found.problems) == len(ODD)


@pytest.mark.parametrize("name", ["resourceLogs", "scopeLogs", "logRecords"])
def test_what_is_no_object_in_an_export_is_told_and_costs_no_event(tmp_path, name):
    first, *exports = [FORMS["opentelemetry, otlp"][1](each) for each in sample(3)]
    holder = first
    for outer in ("resourceLogs", "scopeLogs", "logRecords"):
        if outer == name:
            break
        holder = holder[outer][0]
    holder[name] = among(holder[name], ODD)
    content = lines([first, {"resourceLogs": [{"scopeLogs": 1}, {}]}, *exports, "text", {"other": 1}]).encode()
    found = _read_text(*pieces(next(find([write(tmp_path, "x", content)]))))
    assert found.records == 3
    told = sorted((problem.kind, int(problem.what.split()[0])) for problem in found.problems)
    assert told == [("skipped", 2), ("skipped", 6)]  # lines of other things; what ODD has, and a number for a list


@pytest.mark.parametrize("left", [0, 700])
@pytest.mark.parametrize(
    "content",
    [
        lines([FORMS["winlogbeat"][1](each) for each in sample(8)]).encode(),
        LAYOUTS["concatenated"]([FORMS["vector"][1](each) for each in sample(8)]),
        "".join(map(xml, sample(8))).encode(),
        log([LegacyEvent(512, datetime(2003, 1, 1), "PC1", (), number) for number in range(1, 30)]),  # noqa: DTZ001
    ],
    ids=["json", "json one behind the other", "xml", "evt"],
)
def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path, monkeypatch, content, left):
    monkeypatch.setattr(sources, "PIECE_BYTES", 1000)
    (source,) = find([write(tmp_path, "x", content)])
    ranges = pieces(source)
    assert source.whole or len(ranges) > 2
    source.path.write_bytes(content[:left])
    problems = {problem for part in ranges for problem in _read_text(part).problems}
    (told,) = [problem for problem in problems if "shorter" in problem.what]
    assert (told.kind, told.what.partition(": ")[2]) == ("doubt", f"{left} bytes are left")


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999"])
@pytest.mark.parametrize("name", ["winlogbeat", "fluent bit, map", "evtx_dump"])
def test_what_is_no_number_costs_itself(tmp_path, name, value):
    first, second, third = (json.dumps(FORMS[name][1](each)) for each in sample(3))
    assert '"LogonType": "3"' in second
    second = second.replace('"LogonType": "3"', f'"LogonType": {value}')
    _, parts, _ = read(write(tmp_path, "x", f"{first}\n{second}\n{third}\n".encode()))
    own = [json.loads(text) for _, table in parts for text in table["data"].to_pylist()]
    assert [each["TargetUserName"] for each in own] == ["ann\u00e4"] * 3
    assert [each.get("LogonType") for each in own] == ["3", None, "3"]


# What cannot be placed


def fluentbit(**changes):
    (told,) = sample(1)
    return {**FORMS["fluent bit, positional"][1](told), **changes}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Version": 9}, "version 9 of it is not known"),
        ({"StringInserts": ["a", "b"]}, "have 2 strings, and not 5"),
        ({"EventID": 4999}, "no layout of it is known"),
        ({"StringInserts": [1] * 1000}, "more than 256 strings"),
    ],
)
def test_strings_whose_place_is_not_certain_are_told_and_not_guessed(tmp_path, changes, why):
    _, parts, (problem,) = read(write(tmp_path, "x", lines([fluentbit(**changes)]).encode()))
    assert (problem.kind, why in problem.what) == ("doubt", True)
    for _, table in parts:
        assert table["data"].to_pylist() == [None]


def test_without_a_version_the_number_of_strings_has_to_be_that_of_one_layout():
    kind = Kind(SECURITY.lower(), 4624)
    counts = {len(layout) for key, layout in catalogue.fields().items() if key[:2] == tuple(kind)}
    assert own_fields.placed(kind, None, ["x"] * 27)["TargetLinkedLogonId"] == "x"
    with pytest.raises(own_fields.NotCertainError, match="0 layouts"):
        own_fields.placed(kind, None, ["x"] * (max(counts) + 1))


def test_signed_numbers_of_dotnet():
    layout = catalogue.fields()[SECURITY.lower(), 4625, 0]
    values = [-1073741715 if field.name == "Status" else {"Value": {"Value": "S-1-5-18"}} for field in layout]
    placed = own_fields.placed(Kind(SECURITY.lower(), 4625), 0, values)
    assert (placed["Status"], placed["SubjectUserSid"]) == (0xC000006D, "S-1-5-18")


def test_local_times_are_never_taken_for_utc(tmp_path):
    record = {
        "EventCode": 4634, "ComputerName": "WS1", "Logfile": "Security", "SourceName": SECURITY, "RecordNumber": 1,
        "Type": "Audit Success", "TimeGenerated": "2026-07-01 10:00:00",
        "InsertionStrings": [SID, "anna", "L", "0x3a092", "3"],
    }  # fmt: skip
    path = write(tmp_path, "x", lines([record]).encode())
    form, parts, (problem,) = read(path)
    assert (form, parts, problem.kind, problem.records_lost) == ("wmi", [], "lost", 1)
    assert "--source-tz" in problem.what
    making.ingest([path], tmp_path / "case", source_tz="Europe/Berlin")
    with Case(tmp_path / "case").connect() as connection:
        rows = connection.execute("SELECT CAST(time AS VARCHAR), target_logon_id, outcome FROM events").fetchall()
    assert rows == [("2026-07-01 08:00:00", 0x3A092, "success")]


@pytest.mark.parametrize(
    "content",
    [b'{"a": 1, "b": 2}\n', b'[{"Timestamp": "2026", "Computer": "A", "Details": "x"}]', b'{"log": {"level": "info"}}'],
)
def test_an_unknown_shape_is_told_with_what_was_tried(tmp_path, content):
    (found,) = find([write(tmp_path, "x.json", content)])
    assert isinstance(found, Rejected)
    assert "it is JSON, an object with" in found.problem.what
    for dialect in dialects.dialects():
        assert dialect.name in found.problem.what


# The list of forms


def test_forms_lack_what_their_dialect_has_no_place_for():
    forms = {row["form"]: set(filter(None, row["lacks"].split(";"))) for row in catalogue.table("input_forms")}
    assert set(forms) == {"evtx", "evt", "xml"} | {each.name for each in dialects.dialects()}
    lacks = {row["lack"] for row in catalogue.table("form_lacks")}
    assert set().union(*forms.values()) == lacks
    at_times = {  # it has a place, and most exports leave it out
        "flat": {"record id", "version"}, "opentelemetry": {"version"},
        "sentinel-securityevent": {"record id", "version"},
        "sentinel-event": {"record id"}, "evtxecmd": {"whose it is"},
    }  # fmt: skip
    parts = {
        "record_id": "record id",
        "version": "version",
        "activity_id": "start of the host",
        "record_sid": "whose it is",
    }
    for each in dialects.dialects():
        if not each.whole:
            without = {lack for part, lack in parts.items() if part not in each.paths}
            assert without <= forms[each.name], each.name
            assert forms[each.name] & set(parts.values()) <= without | at_times.get(each.name, set()), each.name


def test_each_dialect_is_of_its_own_and_of_no_other():
    (told,) = sample(1)
    for form, write_one, _ in FORMS.values():
        record = write_one(told)
        if "resourceLogs" not in record:
            found = dialects.of_record(record)
            assert found is not None
            assert found.name == form


def test_positions_of_staged_rows_are_columns():
    assert {column.name for column in schema.COLUMNS} <= {*STAGED.names, "source_sha256"}


# Real logs


def real_pairs(shared: Path):
    for path in sorted((shared / "peer-winlogbeat-golden").glob("*.golden.json")):
        yield path, path.with_name(path.name.removesuffix(".golden.json"))


def test_winlogbeat_and_evtx_of_the_same_records_make_the_same_rows(shared_logs, normalizer):
    """The JSON of winlogbeat's own tests, beside the files it was made from."""
    compared = 0
    for path, source in real_pairs(shared_logs):
        form, parts, problems = read(path)
        assert (form, problems) == ("winlogbeat", []), path.name
        expected = {row["record_id"]: row for row in of_evtx(source, normalizer)}
        for row in rows_of(parts, normalizer):
            other = expected[row["record_id"]]
            for name in ("version", "activity_id", "boot_hint", "record_sid"):
                row[name] = other[name] = None  # the tests of winlogbeat leave them out
            assert comparable(row, set()) == comparable(other, set()), path.name
            compared += 1
    assert compared > 25


def test_normal_forms_of_a_peer_say_the_same(shared_logs):
    """Records in two shapes, and what another program makes of them: who, from where, which session."""
    compared = 0
    for path in sorted((shared_logs / "peer-openxp-raw-norm").glob("*4624*raw_*.txt")):
        (source,) = find([path])
        assert not isinstance(source, Rejected)
        case = json_records.read(path, 0, 0, path.stat().st_size, form=source.form, activity=True, source_tz=None)
        if not case.parts:
            assert "--source-tz" in case.problems[0].what
            continue
        (row,) = rows_of(case.parts, Normalizer())
        norm = json.loads(
            path.with_name(path.name.replace("_raw_", "_norm_").replace(".txt", ".json")).read_text("utf-8")
        )
        assert row["target_name"].lower() == norm["subject.account.name"]
        if "logon_type" in norm:
            assert row["logon_type"] == int(norm["logon_type"])
        if norm.get("src.ip"):
            assert row["source_address"] == norm["src.ip"]
        compared += 1
    assert compared >= 4


def test_lines_of_another_dialect_are_called_so(tmp_path):
    first, second = (lines([FORMS[name][1](each) for each in sample(3)]) for name in ("winlogbeat", "vector"))
    found = _read_text(*pieces(next(find([write(tmp_path, "x", (first + second).encode())]))))
    assert found.records == 3
    (problem,) = found.problems
    assert "3 lines" in problem.what
    assert "of vector and not of winlogbeat; give it in a file of its own" in problem.what
