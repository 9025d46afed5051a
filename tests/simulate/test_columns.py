"""Rows written straight into the schema are those that reading the logs gives; copies are companies of their own."""

import json
from pathlib import Path

import duckdb
import pytest

from logontracks import schema
from logontracks.pipeline import ingest
from logontracks.simulate.deliver import simulate

SIZES = {"seed": 8, "hosts": 16, "days": 1, "mess": ["skew", "steps", "lost"]}
NOT_COMPARED = {"uid", "source_sha256", "position", "form", "data"}


def tables(connection, folder: Path, prefix: str) -> None:
    for name in ("events", "extents", "event_counts"):
        files = [str(path) for path in (folder / name).rglob("*.parquet")]
        connection.execute(f"CREATE VIEW {prefix}_{name} AS SELECT * FROM read_parquet({json.dumps(files)})")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Views of the tables as written (made_) and as read from EVTX (read_)."""
    folder = tmp_path_factory.mktemp("columns")
    for form in ("evtx", "parquet"):
        simulate(folder / form, form=form, **SIZES)
    ingest([folder / "evtx" / "logs"], folder / "case", jobs=2, tables=False)
    connection = duckdb.connect()
    tables(connection, folder / "parquet" / "logs", "made")
    tables(connection, folder / "case", "read")
    return connection


def test_columns_are_those_of_the_schema(both):
    described = both.execute("SELECT column_name, column_type FROM (DESCRIBE made_events)").fetchall()
    assert [(name, kind) for name, kind in described] == [(column.name, column.type) for column in schema.COLUMNS]


@pytest.mark.parametrize("column", [name for name in schema.NAMES if name not in NOT_COMPARED])
def test_rows_are_those_that_are_read(both, column):
    key = f"computer, channel, record_id, time, event_id, {column}"
    assert both.execute(f"SELECT {key} FROM made_events EXCEPT ALL SELECT {key} FROM read_events").fetchall() == []
    assert both.execute(f"SELECT {key} FROM read_events EXCEPT ALL SELECT {key} FROM made_events").fetchall() == []


@pytest.mark.parametrize("table", ["extents", "event_counts"])
def test_extents_and_counts_are_those_of_the_case(both, table):
    columns = [column.name for column in (schema.EXTENTS if table == "extents" else schema.EVENT_COUNTS)]
    names = ", ".join(name for name in columns if name != "source_sha256")
    sides = f"SELECT {names} FROM made_{table}", f"SELECT {names} FROM read_{table}"
    for one, other in (sides, sides[::-1]):
        assert both.execute(f"{one} EXCEPT ALL {other}").fetchall() == []


def test_lines_of_nxlog_are_read_as_the_same_records(tmp_path, both):
    simulate(tmp_path / "jsonl", form="jsonl", **SIZES)
    done = ingest([tmp_path / "jsonl" / "logs"], tmp_path / "case", jobs=1, tables=False)
    assert done.problems == 0
    connection = duckdb.connect()
    tables(connection, tmp_path / "case", "lines")
    for names in (
        "computer, channel, record_id, event_id, time, outcome, boot_hint",
        "computer, channel, record_id, target_name, target_sid, target_logon_id, logon_guid, source_address",
        "computer, channel, record_id, terminal_session, reason_code, uptime_s, os_build, boot_time, subject_logon_id",
    ):
        of_lines = connection.execute(f"SELECT {names} FROM lines_events ORDER BY ALL").fetchall()
        of_evtx = both.execute(f"SELECT {names} FROM read_events ORDER BY ALL").fetchall()
        assert next(((a, b) for a, b in zip(of_lines, of_evtx, strict=True) if a != b), None) is None


def test_copies_share_nothing(tmp_path):
    simulate(tmp_path, seed=3, hosts=510, days=1, form="parquet")
    connection = duckdb.connect()
    tables(connection, tmp_path / "logs", "made")
    for path in (tmp_path / "truth").iterdir():
        connection.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM '{path}'")
    ((hosts, sids, numbers, uids, rows),) = connection.execute("""SELECT
        (SELECT COUNT(DISTINCT host) FROM hosts), (SELECT COUNT(DISTINCT sid) FROM identities WHERE kind = 'computer'),
        (SELECT COUNT(DISTINCT session) - COUNT(*) FROM sessions), COUNT(DISTINCT uid), COUNT(*) FROM made_events
        """).fetchall()
    assert hosts == sids == 510
    assert numbers == 0
    assert uids == rows
    for column in ("computer", "target_sid", "source_address", "logon_guid", "response_ticket_hash"):
        shared = connection.execute(f"""
            SELECT {column} FROM (SELECT DISTINCT {column}, uid >> 32 AS copy FROM made_events
                WHERE {column} IS NOT NULL) GROUP BY 1 HAVING COUNT(*) > 1""").fetchall()
        known = {"LOCAL", "127.0.0.1", "::1", "203.0.113.57", "S-1-5-18", "S-1-5-19", "S-1-5-20", "S-1-5-7"}
        assert {each for (each,) in shared if not str(each).startswith("S-1-5-9")} <= known, column
    unknown = connection.execute(
        "SELECT computer_key FROM made_events ANTI JOIN hosts ON computer_key = host"
    ).fetchall()
    assert unknown == []
    assert connection.execute("""SELECT COUNT(*) FROM sessions AS s WHERE logged AND NOT EXISTS (FROM made_events AS e
        WHERE e.computer_key = s.host AND event_id = 4624 AND target_logon_id IN (s.logon_id, s.linked_logon_id))
        """).fetchall() == [(0,)]
