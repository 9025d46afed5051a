"""A case as a folder: what it refuses and says why, what readers see meanwhile, disks that are full or closed."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from making import DAY, MONDAY, in_this_process, ingest, log, logoff, state, strangers

from logontracks import merge, models, pipeline, pool
from logontracks.build import is_current
from logontracks.case import Case, Writer, writing
from logontracks.cli import main
from logontracks.cli.options import run
from logontracks.errors import CaseError
from logontracks.manifest import FORMAT, MANIFEST
from logontracks.models import host_logs

HOUR = DAY // 24


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return log(tmp_path_factory.mktemp("logs") / "first.evtx", [logoff(i, MONDAY + i * HOUR) for i in range(1, 40)])


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of half of the first, and more."""
    return log(tmp_path_factory.mktemp("logs") / "second.evtx", [logoff(i, MONDAY + i * HOUR) for i in range(20, 60)])


@pytest.fixture
def case(tmp_path: Path, first: Path) -> Path:
    ingest([first], tmp_path / "case")
    return tmp_path / "case"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, first: Path, second: Path) -> str:
    return ingest([first, second], tmp_path_factory.mktemp("both") / "case")


def refused(paths: list[Path], case: Path, match: str) -> None:
    """The ingest ends with a CaseError that says so, and what to do."""
    with pytest.raises(CaseError, match=match) as told:
        ingest(paths, case)
    assert told.value.exit_code == 5
    assert told.value.hint


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is no case, or a damaged one


def test_no_case_yet(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "not" / "there"):
        with pytest.raises(CaseError, match="there is no case in") as told:
            Case(folder)
        assert told.value.hint


def test_file_in_its_place(tmp_path: Path, first: Path) -> None:
    path = tmp_path / "file"
    path.write_text("mine")
    refused([first], path, "is not a folder")
    refused([first], path / "case", "is not a folder")
    with pytest.raises(CaseError, match="is a file"):
        Case(path)
    assert path.read_text() == "mine"


def test_foreign_folder(tmp_path: Path, first: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "0123456789abcdef01234567.parquet").write_text("mine")
    before = contents(tmp_path)
    refused([first], tmp_path, "is not empty and holds no case")
    assert contents(tmp_path) == before


def test_foreign_files_in_a_case(case: Path, first: Path, second: Path, both: str) -> None:
    for name in ("notes.txt", "events/notes.txt", "events/day=2026-10-05/chart.parquet", "mine/a.txt"):
        (case / name).parent.mkdir(exist_ok=True)
        (case / name).write_text("mine")
    assert ingest([second], case) == both
    for name in ("notes.txt", "events/notes.txt", "events/day=2026-10-05/chart.parquet", "mine/a.txt"):
        assert (case / name).read_text() == "mine"


def with_format(value: object) -> Callable[[bytes], bytes]:
    return lambda text: json.dumps(json.loads(text) | {"format": value}).encode()


def with_path(path: object) -> Callable[[bytes], bytes]:
    def changed(text: bytes) -> bytes:
        manifest = json.loads(text)
        manifest["events"][0]["path"] = path
        return json.dumps(manifest).encode()

    return changed


def with_first(table: str, **values: object) -> Callable[[bytes], bytes]:
    def changed(text: bytes) -> bytes:
        manifest = json.loads(text)
        manifest[table][0] |= values
        return json.dumps(manifest).encode()

    return changed


def with_events_twice(text: bytes) -> bytes:
    manifest = json.loads(text)
    return json.dumps(manifest | {"events": manifest["events"] * 2}).encode()


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda _: b"", "is damaged"),
        (lambda text: text[: len(text) // 2], "is damaged"),
        (lambda text: bytes(len(text)), "is damaged"),
        (lambda text: b"\xff" + text[1:], "is damaged"),
        (lambda _: b"[]", "is damaged"),
        (lambda _: b"null", "is damaged"),
        (lambda _: b"{}", "is damaged"),
        (lambda _: b"[" * 100_000, "is damaged"),
        (lambda text: text.replace(b"sha256", b"sha257", 1), "is damaged"),
        (with_format(None), "is damaged"),
        (with_format(FORMAT + 1), f"has format {FORMAT + 1}; this version"),
        (with_path("../../../etc/passwd"), "is damaged"),
        (with_path("events/../../0123456789abcdef01234567.parquet"), "is damaged"),
        (with_path("/events/0123456789abcdef01234567.parquet"), "is damaged"),
        (with_path(7), "is damaged"),
        (with_first("events", day="someday"), "is damaged"),
        (with_first("events", day=None), "is damaged"),
        (with_first("events", rows="many"), "is damaged"),
        (with_first("sources", size_bytes="large"), "is damaged"),
        (with_events_twice, "is damaged"),
        (with_path("events/day=2026-10-05/0123456789abcdef01234567.parquet"), "missing or damaged"),
    ],
)
def test_damaged_manifest(case: Path, first: Path, second: Path, damage: Callable[[bytes], bytes], match: str) -> None:
    manifest = case / MANIFEST
    manifest.write_bytes(damage(manifest.read_bytes()))
    before = contents(case)
    refused([first, second], case, match)
    assert contents(case) == before
    with pytest.raises(CaseError, match=match) as told:
        Case(case).digest()
    assert told.value.hint


def test_manifest_deleted(case: Path, second: Path) -> None:
    """The files may be all that is left of the logs: a new case does not begin by removing them."""
    (case / MANIFEST).unlink()
    before = contents(case)
    refused([second], case, "is gone")
    assert contents(case) == before
    with pytest.raises(CaseError, match="there is no case"):
        Case(case)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: None,
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"PAR1" + bytes(len(content) - 8) + b"PAR1",
        lambda content: content[:4] + bytes(2000) + content[2004:],
        lambda content: content[:-3000] + bytes(100) + content[-2900:],
    ],
)
def test_event_file_deleted_or_damaged(case: Path, second: Path, damage: Callable[[bytes], bytes | None]) -> None:
    file = sorted(case.glob("events/*/*.parquet"))[1]
    damaged = damage(file.read_bytes())
    if damaged is None:
        file.unlink()
    else:
        file.write_bytes(damaged)
    before = contents(case)
    with pytest.raises(CaseError, match="missing or damaged") as told:
        Case(case).digest()
    assert told.value.hint
    refused([second], case, "missing or damaged")
    assert contents(case) == before


def test_some_records_of_all(case: Path, second: Path) -> None:
    """As a query for them finds them, from several files and none."""
    ingest([second], case)
    reader = Case(case)
    assert len(reader.manifest.events) > 1
    uids = [uid for (uid,) in reader.connect().execute("SELECT uid FROM events ORDER BY time").fetchall()]
    days = {str(file.day) for file in reader.manifest.events}
    few = {min(days)}
    for some, where in (([], few), ([1], days), ([*uids[::7], 1], ()), (uids[::7], few), (uids[:3], few), (uids, days)):
        connection = reader.connect()
        query = "SELECT * FROM events ORDER BY time"
        expected = [row for row in connection.execute(query).fetchall() if row[0] in some]
        assert reader.keep_records(connection, some, where) == len(expected)
        assert connection.execute(query).fetchall() == expected


def test_some_records_of_none(tmp_path: Path) -> None:
    with writing(tmp_path / "case") as writer:
        writer.commit(writer.manifest)
    reader = Case(tmp_path / "case")
    connection = reader.connect()
    assert reader.keep_records(connection, [1]) == 0
    assert connection.execute("SELECT * FROM events").fetchall() == []


# Tables that were worked out, and what becomes of them


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, first: Path) -> Path:
    case = tmp_path_factory.mktemp("made") / "case"
    ingest([first], case, tables=True)
    return case


@pytest.fixture
def built(tmp_path: Path, made: Path) -> Path:
    """A case with tables."""
    return shutil.copytree(made, tmp_path / "built")


def command(*arguments: object) -> tuple[int, str]:
    """Exit code of a command, and what it says on stderr."""
    told = io.StringIO()
    with redirect_stderr(told), redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")):
        code = run(main, [str(each) for each in arguments])
    return code, told.getvalue()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def another(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def without_a_column(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.drop_columns("host"), path)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        truncated,
        another,
        without_a_column,
        lambda path: path.write_bytes(b"PAR1 no tables PAR1"),
    ],
)
def test_table_deleted_or_damaged(built: Path, second: Path, both: str, damage: Callable[[Path], object]) -> None:
    """All events are whole: what needs no tables works, what does says what to do, and build and ingest make them."""
    (path,) = built.glob("tables/*/sessions.parquet")
    damage(path)
    assert not is_current(Case(built))
    assert command("info", "--case", built) == (0, "")
    assert command("events", "--case", built)[0] == 0
    assert command("sql", "SELECT COUNT(*) FROM events", "--case", built)[0] == 0
    code, told = command("sessions", "--case", built)
    assert code == 5
    assert "sessions.parquet" in told
    assert f"`logontracks build --case {built}`" in told
    code, told = command("sql", "SELECT COUNT(host) FROM sessions", "--case", built)
    assert code == 2
    assert "logontracks build" in told
    copied = shutil.copytree(built, built.with_name("copied"))
    assert ingest([second], copied) == both
    assert strangers(copied) == []
    assert command("build", "--case", built) == (0, "The tables have been worked out.\n")
    assert is_current(Case(built))
    assert command("sessions", "--case", built)[0] == 0
    assert strangers(built) == []


def test_all_tables_deleted(built: Path, first: Path) -> None:
    shutil.rmtree(built / "tables")
    assert command("info", "--case", built) == (0, "")
    code, told = command("accounts", "--case", built)
    assert (code, "logontracks build" in told) == (5, True)
    ingest([first], built, tables=True)  # it is known, and the tables are made again
    assert is_current(Case(built))


def test_damage_within_a_table_is_told_by_who_reads_it(built: Path) -> None:
    """Not seen from outside: its head and foot are whole."""
    (path,) = built.glob("tables/*/sessions.parquet")
    content = path.read_bytes()
    path.write_bytes(content[:4] + b"\xff" * 3000 + content[3004:])
    code, told = command("sessions", "--case", built)
    assert code == 5
    assert "sessions.parquet" in told
    assert "logontracks build --again" in told
    assert command("build", "--case", built) == (0, "The tables are up to date.\n")
    assert command("build", "--again", "--case", built) == (0, "The tables have been worked out.\n")
    assert command("sessions", "--case", built)[0] == 0


def edited(case: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    manifest = json.loads((case / MANIFEST).read_text())
    change(manifest["tables"]["files"])
    (case / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.append(files[0]),
        lambda files: files.append({"path": files[0]["path"].rpartition("/")[0] + "/events.parquet", "rows": 1}),
        lambda files: files.append({"path": files[0]["path"].rpartition("/")[0] + "/sources.parquet", "rows": 1}),
        lambda files: files[0].update(rows="many"),
        lambda files: files[0].pop("rows"),
    ],
)
def test_tables_listed_wrongly(built: Path, second: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    edited(built, change)
    for arguments in (["info"], ["sessions"], ["build"], ["ingest", second]):
        code, told = command(*arguments, "--case", built)
        assert code == 5
        assert "damaged where it lists the tables" in told
        assert f"logontracks build --case {built}" in told
    manifest = json.loads((built / MANIFEST).read_text()) | {"tables": None}  # what the hint says
    (built / MANIFEST).write_text(json.dumps(manifest))
    assert command("build", "--case", built)[0] == 0
    assert command("sessions", "--case", built)[0] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files.clear(),
        lambda files: [files.remove(each) for each in files[:] if "sessions" in each["path"]],
        lambda files: files.append(files.pop() | {"path": files[0]["path"].rpartition("/")[0] + "/nonsense.parquet"}),
        lambda files: files[0].update(rows=1_000),
    ],
)
def test_tables_cut_out_of_the_list(built: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    edited(built, change)
    assert command("info", "--case", built) == (0, "")
    assert not is_current(Case(built))
    assert command("build", "--case", built) == (0, "The tables have been worked out.\n")
    assert command("sessions", "--case", built)[0] == 0
    assert strangers(built) == []


@pytest.mark.parametrize("size", ["abc", "", "0", "-1GB", "1KB", "0MB", "4", "1e3GB", "99999999999999TB"])
def test_memory_to_build_with(built: Path, size: str) -> None:
    code, told = command("build", "--case", built, "--memory", size)
    assert code == 2
    assert "memory" in told
    assert "Hint: " in told


def test_too_little_memory_to_build_with(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(name: str, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        connection.sql("SELECT list(range) FROM range(1000000000)").fetchall()

    monkeypatch.setattr(models, "make", greedy)
    code, told = command("build", "--again", "--case", built, "--memory", "64MB")
    assert code == 5
    assert "too little memory" in told
    assert "--memory" in told.partition("Hint: ")[2]


# Ctrl-C


def spin() -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        sum(range(1000))


def interrupt_soon() -> threading.Timer:
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_ctrl_c_ends_a_query_that_sorts() -> None:
    """In a process of its own: a thread that hears of it while it tells its outcome may leave the program waiting."""
    program = """if True:
        import os, signal, threading
        from logontracks.engines.duckdb import connect, interruptible
        connection = connect()
        rows = "SELECT md5(CAST(range AS VARCHAR)) AS y, range AS x FROM range(100000000) ORDER BY y"
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            interruptible(connection, lambda: connection.execute(f"SELECT SUM(x) FROM ({rows})").fetchall())
        except KeyboardInterrupt:
            connection.close()
            print("closed")
        """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("closed\n", "", 0)


def test_ctrl_c_ends_a_python_model(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Case(built).digest()
    monkeypatch.setattr(host_logs, "work", lambda _: spin())
    begun = time.monotonic()
    interrupt_soon()
    code, told = command("build", "--again", "--case", built)
    assert time.monotonic() - begun < 10
    assert code == 130
    assert told.endswith("Interrupted.\n")
    assert not [thread for thread in threading.enumerate() if "worked" in thread.name]
    assert Case(built).digest() == before
    assert strangers(built) == []
    assert command("sessions", "--case", built)[0] == 0


@pytest.mark.parametrize(
    "name", ["day=1999-01-01", "form=x", "a [b] *?", "**", 'it\'s "quoted"', "new\nline", "%20{uuid}", "Größe 日志"]
)
def test_strange_folder_names(tmp_path: Path, first: Path, second: Path, both: str, name: str) -> None:
    """Names that DuckDB takes for patterns or partitions. A sibling that a pattern would find is there as well."""
    case = tmp_path / name / "case"
    ingest([first], tmp_path / "a b xy" / "case")
    ingest([first], case)
    assert ingest([second], case) == both
    assert strangers(case) == []


@pytest.mark.skipif(os.name == "nt", reason="names are not bytes there")
def test_folder_name_not_utf8(tmp_path: Path, first: Path) -> None:
    case = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    refused([first], case, "is not UTF-8")
    assert not case.exists()


def test_case_inside_the_logs(tmp_path: Path, first: Path, second: Path, both: str) -> None:
    shutil.copy(first, tmp_path / "first.evtx")
    case = tmp_path / "case"
    ingest([tmp_path], case)
    shutil.copy(second, tmp_path / "second.evtx")
    assert ingest([tmp_path], case) == both
    assert Case(case).read(lambda connection: connection.sql("SELECT * FROM problems").fetchall()) == []


def test_nothing_new_changes_nothing(case: Path, first: Path) -> None:
    before = contents(case)
    times = {path: path.stat().st_mtime_ns for path in case.rglob("*.*")}
    ingest([first], case)
    assert contents(case) == before
    assert {path: path.stat().st_mtime_ns for path in case.rglob("*.*")} == times


# Readers while others write


def test_reader_comes_upon_a_replaced_file(case: Path, second: Path, both: str) -> None:
    reader = Case(case)
    held = reader.connect()
    events = sorted(case.glob("events/*/*.parquet"))
    ingest([second], case)
    assert not all(path.exists() for path in events)  # else this test shows nothing
    with pytest.raises(duckdb.IOException):
        held.sql("SELECT * FROM events").fetchall()
    assert reader.read(lambda connection: connection.sql("SELECT COUNT(*) FROM events").fetchall()) == [(59,)]
    assert reader.digest() == both


def test_stream_comes_upon_a_replaced_file(case: Path, second: Path) -> None:
    """The gap may open after the first batch, where Arrow tells it as an OSError."""
    reader = Case(case)
    written = False

    def read_slowly(connection: duckdb.DuckDBPyConnection) -> int:
        nonlocal written
        batches = connection.sql("SELECT * FROM events").to_arrow_reader(10)
        if not written:
            written = True
            ingest([second], case)
        return sum(len(batch) for batch in batches)

    assert reader.read(read_slowly) in {39, 59}


def test_bug_of_a_reader_is_not_hidden(case: Path) -> None:
    with pytest.raises(duckdb.CatalogException):
        Case(case).read(lambda connection: connection.sql("SELECT * FROM nonsense").fetchall())
    with pytest.raises(OSError, match="of the reader"):
        Case(case).read(lambda _: (_ for _ in ()).throw(OSError(5, "of the reader")))


def test_readers_during_writes(tmp_path: Path) -> None:
    """Every state that a reader sees is one that a writer has committed, and no reader meets an error."""
    case = tmp_path / "case"
    logs = [
        log(tmp_path / f"{n}.evtx", [logoff(i, MONDAY + i * HOUR // 9) for i in range(1, n * 9)]) for n in range(1, 9)
    ]
    ingest(logs[:1], case)
    states = {state(case)}
    seen: list[str] = []
    errors: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        opened = Case(case)
        while not done.is_set():
            try:
                seen.append(Case(case).digest() if len(seen) % 2 else opened.digest())
            except Exception as error:  # noqa: BLE001 - shown below
                errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for path in logs[1:]:
            states.add(ingest([path], case))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert len(set(seen)) > 1
    assert set(seen) <= states


# Disks that are full or closed


def mounted(point: Path, size: str, *options: str) -> None:
    arguments = ",".join([f"size={size}", *options])
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", arguments, "logontracks", str(point)], check=True, capture_output=True
    )


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own, 8 MB, that can be made larger, smaller or read-only."""
    point = tmp_path / "disk"
    point.mkdir()
    try:
        mounted(point, "8m")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a small disk needs root and Linux: {error}")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


@pytest.mark.parametrize("stage", ["staging", "extents", "slice", "problems", "manifest"])
@pytest.mark.parametrize("over", [False, True])
def test_disk_full(
    disk: Path, monkeypatch: pytest.MonkeyPatch, first: Path, second: Path, both: str, *, stage: str, over: bool
) -> None:
    case = disk / "case"
    before = ingest([first], case) if over else "none"

    def full_before(owner: object, name: str) -> None:
        function = getattr(owner, name)

        def filled(*args: object, **options: object) -> object:
            if not (disk / "filler").exists():
                fill(disk)
            return function(*args, **options)

        patch.setattr(owner, name, filled)

    with monkeypatch.context() as patch:
        match stage:
            case "staging":
                full_before(pool._Pool, "_take")
            case "extents":
                full_before(merge, "_extents")
            case "slice":
                full_before(merge, "_write")
            case "problems":
                full_before(pipeline, "_write_problems")
            case "manifest":
                full_before(Writer, "commit")
        damaged = disk / "damaged.evtx"
        damaged.write_bytes(b"no log")
        refused([first, second, damaged], case, "no space left")
    assert (disk / "filler").exists()
    assert state(case) == before
    if over:
        assert strangers(case) == []
    (disk / "filler").unlink()
    assert ingest([first, second], case) == both
    assert strangers(case) == []


@pytest.mark.slow
def test_disk_full_at_any_size(disk: Path, second: Path, first: Path, both: str) -> None:
    """Real workers on disks of growing size, until it is enough."""
    case = disk / "case"
    before = ingest([first], case)
    used = sum(path.stat().st_blocks * 512 for path in disk.rglob("*")) >> 10
    told: list[tuple[int, bool, str]] = []
    for size in range(used + 8, used + 4096, 24):
        subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
        try:
            pipeline.ingest([second], case, jobs=1)
        except CaseError as error:
            told.append((error.exit_code, bool(error.hint), str(error)[:13]))
            tables = str(error).startswith("the events are in the case")  # only the tables have no room
            assert state(case) == (both if tables else before)
            assert strangers(case) == []
        else:
            break
    assert len(told) >= 2
    assert set(told) == {(5, True, "no space left"), (5, True, "the events ar")}
    assert is_current(Case(case))
    assert state(case) == both
    assert strangers(case) == []


def test_no_room_to_spill(disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparing copies needs more memory than there is, and then more disk than there is."""
    logs = [log(tmp_path / f"{n}.evtx", [logoff(i, MONDAY + i) for i in range(1 + n, 30_000)]) for n in range(2)]
    case = disk / "case"
    monkeypatch.setattr(merge, "MEMORY", "16MB")
    refused(logs, case, "no space left|cannot be written|too little memory")
    assert state(case) == "none"
    monkeypatch.setattr(merge, "MEMORY", "400MB")
    subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
    assert ingest(logs, case).startswith("29999.")


def test_read_only(disk: Path, first: Path, second: Path, both: str) -> None:
    case = disk / "case"
    before = ingest([first], case)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    refused([second], case, "cannot be written")
    refused([second], disk / "new", "cannot be written")
    assert state(case) == before
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert ingest([second], case) == both


def test_failing_ingest_leaves_the_case_as_it_was(
    case: Path, second: Path, both: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(case)
    with monkeypatch.context() as patch:

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a bug")

        patch.setattr(Writer, "commit", broken)
        with pytest.raises(RuntimeError, match="a bug"):
            ingest([second], case)
    assert contents(case) == before
    assert ingest([second], case) == both


def test_thread_of_the_pool_that_fails_ends_the_ingest(
    case: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only a worker may fail to start, also what starts it."""

    def no_processes(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(pool.subprocess, "Popen", no_processes)
    begun = time.monotonic()
    with pytest.raises(CaseError, match="temporarily unavailable"):
        pipeline.ingest([second], case)
    assert time.monotonic() - begun < 5
    assert strangers(case) == []


def test_source_that_cannot_be_read_to_its_end(
    case: Path, second: Path, tmp_path: Path, both: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays out as a whole and is told; the next ingest reads it, and takes back what it told."""
    other = log(tmp_path / "other.evtx", [logoff(i, MONDAY, "WS9") for i in range(1, 4)])
    hashed = pipeline._sha256
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_sha256", lambda path: None if path == other else hashed(path))
        with in_this_process():
            summary = pipeline.ingest([second, other], case)
    assert (summary.files, summary.problems) == (1, 1)
    told = Case(case).read(lambda connection: connection.sql("SELECT source, what FROM problems").fetchall())
    assert told == [(other.as_posix(), "it cannot be read: it is gone")]
    with in_this_process():
        assert pipeline.ingest([second, other], case).problems == 0
    hosts = "SELECT COUNT(DISTINCT computer), COUNT(*) FROM events"
    assert Case(case).read(lambda connection: connection.sql(hosts).fetchall()) == [(2, 62)]
    assert Case(case).read(lambda connection: connection.sql("FROM problems").fetchall()) == []


def test_lock_is_free_after_an_error(case: Path, second: Path, both: str) -> None:
    with pytest.raises(ZeroDivisionError), writing(case):
        raise ZeroDivisionError
    assert ingest([second], case) == both
