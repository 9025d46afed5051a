"""Values that no sane log holds: one odd host must not cost the case its tables."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from making_events import Row, given, worked_out

from logontracks import catalogue, models, schema

IDS = (0, 1, -1, 2**31, 2**52, 2**62 - 1, 2**63 - 1, -(2**63))
TIMES = tuple(
    datetime.fromisoformat(text)
    for text in (
        "0001-01-01",
        "1601-01-01",
        "1969-12-31 23:59:59",
        "2026-10-05 09:00:00",
        "2026-10-05 09:00:01",
        "9999-12-30 23:59:59.999999",
        "9999-12-31 23:59:59.999999",
    )
)
TEXTS = ("", " ", "'", "\\", "%", "_", "@", "$", "-", ".", "a@", "@a", "x" * 100_000, "S-1-5-21-1-2-3-500", "S-1-5-21-",
         "\u0130", "a" * 20 + "%" * 20, "anna", "LARCH", "host$")  # fmt: skip
KINDS = [(row["provider"], int(row["event_id"])) for row in catalogue.table("marks")]
BITS = {"BIGINT": 63, "INTEGER": 31, "SMALLINT": 15, "TINYINT": 7}
OWN = {"uid", "source_sha256", "form", "position", "computer", "channel", "provider", "event_id"}


def value(rng: random.Random, column: schema.Column) -> object:
    if rng.random() < 0.2:
        return None
    if column.type == "VARCHAR":
        return rng.choice(TEXTS)
    if column.type == "TIMESTAMP":
        return rng.choice(TIMES)
    if column.type == "BOOLEAN":
        return rng.random() < 0.5
    bits = BITS[column.type]
    return max(min(rng.choice(IDS), 2**bits - 1), -(2**bits))


def hostile(seed: int, many: int = 400) -> list[Row]:
    """Records of two odd hosts, every field at one end of its range or the other."""
    rng = random.Random(seed)
    rows = []
    for _ in range(many):
        provider, event_id = rng.choice(KINDS)
        row: Row = {column.name: value(rng, column) for column in schema.COLUMNS if column.name not in OWN}
        channel = rng.choice(("Security", "Security", "System", "Setup"))
        rows.append(row | {"computer": rng.choice(("ODD", "odd.larch.example")), "channel": channel,
                           "provider": provider, "event_id": event_id})  # fmt: skip
    return rows


def plain(computer: str) -> list[Row]:
    """A host like any other: one session."""
    common: Row = {"computer": computer, "channel": "Security", "provider": "Microsoft-Windows-Security-Auditing",
                   "target_logon_id": 0x31234, "logon_type": 2, "target_name": "anna", "target_domain": "LARCH",
                   "target_sid": "S-1-5-21-1-2-3-1104", "source_sha256": "b"}  # fmt: skip
    start = datetime.fromisoformat("2026-10-05 09:00:00")
    return [
        common | {"event_id": 4624, "version": 2, "record_id": 1, "time": start},
        common | {"event_id": 4634, "record_id": 2, "time": start + timedelta(hours=8)},
    ]


@pytest.mark.parametrize("seed", range(6))
def test_every_table_is_made_of_extreme_values_and_other_hosts_keep_their_sessions(seed: int, tmp_path: Path) -> None:
    connection = worked_out(hostile(seed) + plain("ws1"), tmp_path)
    found = connection.execute("SELECT duration_s, end_reason FROM sessions WHERE host = 'ws1'").fetchall()
    assert found == [(8 * 3600.0, "logoff")]
    for name in models.MODELS:
        connection.execute(f"SELECT COUNT(*) FROM {name}").fetchall()


@pytest.mark.parametrize("lower", [-(2**63), 2**63 - 2**17, 5])
def test_logon_ids_at_the_ends_of_64_bits_fall(lower: int, tmp_path: Path) -> None:
    first, _ = plain("ws1")
    rows = [first | {"target_logon_id": id_, "record_id": n} for n, id_ in enumerate((2**63 - 1, lower), 1)]
    connection = worked_out(rows, tmp_path, until="boots")
    assert connection.execute("SELECT COUNT(*) FROM boots").fetchall() == [(2,)]


@pytest.mark.parametrize("time", ["infinity", "-infinity", "290000-01-01", "0100-01-01 (BC)"])
def test_times_that_no_clock_shows_are_left_out(time: str, tmp_path: Path) -> None:
    connection = given(plain("ws1") + plain("ws2"))
    connection.execute("UPDATE events SET time = CAST(? AS TIMESTAMP) WHERE computer = 'ws2'", [time])
    connection.execute(
        "UPDATE extents SET first_time = CAST(? AS TIMESTAMP), last_time = NULL WHERE computer = 'ws2'", [time]
    )
    for name in models.MODELS:
        models.make(name, connection, tmp_path)
    assert connection.execute("SELECT host FROM sessions").fetchall() == [("ws1",)]


def test_a_log_that_seems_made_anew_for_each_record(tmp_path: Path) -> None:
    """Its places stay within 64 bits, and no record is told twice."""
    first, _ = plain("ws1")
    rows = [first | {"record_id": 5000 - n, "time": first["time"] + timedelta(minutes=n), "source_sha256": f"{n:064}",
                     "target_logon_id": 0x40000 + n} for n in range(3000)]  # fmt: skip
    connection = worked_out(rows, tmp_path, until="sessions")
    assert connection.execute(
        "SELECT COUNT(*), COUNT(DISTINCT uid), MAX(seq) < 1152921504606846976 FROM logged"
    ).fetchall() == [(3000, 3000, True)]
    assert connection.execute("SELECT COUNT(*) FROM sessions").fetchall() == [(3000,)]


def test_steps_of_a_clock_that_add_up_beyond_64_bits(tmp_path: Path) -> None:
    first, last = plain("ws1")
    step = {"computer": "ws1", "channel": "Security", "provider": "Microsoft-Windows-Security-Auditing",
            "event_id": 4616, "old_time": TIMES[0], "new_time": TIMES[-1],
            "time": first["time"]}  # fmt: skip
    rows = [first, *(step | {"record_id": 2 + n} for n in range(100)), last | {"record_id": 102}]
    connection = worked_out(rows, tmp_path, until="sessions")
    ((length, step_s),) = connection.execute("SELECT duration_s, clock_step_s FROM sessions").fetchall()
    assert length == 0
    assert step_s > 1e11


def test_the_engine_does_overflow() -> None:
    """What these tests guard against: were sums and differences endless, they would show nothing."""
    table = pa.table({"high": pa.array([2**63 - 1]), "low": pa.array([-(2**63)])})
    with pytest.raises(duckdb.OutOfRangeException):
        duckdb.connect().from_arrow(table).project("high - low").fetchall()
