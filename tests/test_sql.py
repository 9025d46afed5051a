"""`logontracks sql` runs one SELECT, reads the case and nothing else, and writes nothing, whatever it is given."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from making_cases import Company, company, environment, here, run

from logontracks.case import Case
from logontracks.errors import QueryError, UsageError
from logontracks.queries.sql import sql

SECRET = "the secret"


@pytest.fixture(scope="session")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return company(tmp_path_factory)


@pytest.fixture(scope="module")
def own(firm: Company, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case of our own with a secret beside it, and links in it that point there."""
    folder = tmp_path_factory.mktemp("sql")
    assert run("ingest", firm.logs / "WKS-101" / "System.evtx", "--case", folder / "case").code == 0
    (folder / "secret.csv").write_text(f"a\n{SECRET}\n")
    if os.name != "nt":
        (folder / "case" / "link.csv").symlink_to(folder / "secret.csv")
        (folder / "case" / "up").symlink_to(folder)
    return folder / "case"


def ask(case: Path, text: str, **options) -> pa.Table:
    with sql(Case(case), text, **{"seconds": 300.0, **options}) as answer:
        return answer.rows.read_all()


def files(case: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in case.parent.rglob("*") if path.is_file()}


SELECTS = {
    "SELECT 1 AS a": [{"a": 1}],
    "select 1 AS a;": [{"a": 1}],
    " ; SELECT 1 AS a ;; ": [{"a": 1}],
    "-- ; COPY (SELECT 1) TO 'x'\nSELECT 1 AS a -- ; DROP VIEW events": [{"a": 1}],
    "/* ; */ SELECT 'a;b' AS \"x;y\" /* ; */": [{"x;y": "a;b"}],
    "VALUES (1)": [{"col0": 1}],
    "FROM (SELECT 1 AS a)": [{"a": 1}],
    "WITH x AS (SELECT 1 AS a) SELECT * FROM x": [{"a": 1}],
    "WITH x AS MATERIALIZED (SELECT 1 AS a) SELECT * FROM x": [{"a": 1}],
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i+1 FROM n WHERE i < 3) SELECT MAX(i) AS m FROM n": [{"m": 3}],
    "SELECT 1 AS a UNION ALL (SELECT 2 EXCEPT SELECT 3) ORDER BY a": [{"a": 1}, {"a": 2}],
    "SELECT SUM(i) AS n FROM range(4) AS t(i)": [{"n": 6}],
    "SELECT SUM(i)::INTEGER AS n FROM unnest([1, 2]) AS t(i)": [{"n": 3}],
    "SELECT * FROM (PIVOT (SELECT 'x' AS k, 1 AS v) ON k IN ('x') USING FIRST(v))": [{"x": 1}],
    "SELECT value AS v FROM (UNPIVOT (SELECT 1 AS a, 2 AS b) ON a, b) ORDER BY v": [{"v": 1}, {"v": 2}],
    "SELECT column_name FROM (DESCRIBE problems) LIMIT 1": [{"column_name": "source_sha256"}],
    "SELECT value FROM json_each('[7]')": [{"value": "7"}],
    "SELECT 'COPY_QUERY_NODE' AS type, {'type': 'COPY_QUERY_NODE'} AS s": [
        {"type": "COPY_QUERY_NODE", "s": {"type": "COPY_QUERY_NODE"}}
    ],
    "SELECT getvariable('x') AS a": [{"a": None}],
    "SELECT 1 AS a WHERE FALSE": [],
}  # fmt: skip


@pytest.mark.parametrize("text", SELECTS)
def test_a_select_gives_its_rows(own, text):
    assert ask(own, text).to_pylist() == SELECTS[text]


def test_the_tables_are_there(own):
    (row,) = ask(own, "SELECT COUNT(*) AS n, COUNT(DISTINCT source_sha256) AS files FROM events").to_pylist()
    assert row["n"] > 5
    assert row["files"] == 1
    assert ask(own, "SHOW TABLES")["name"].to_pylist()
    assert ask(own, "DESCRIBE events").num_rows > 100
    assert ask(own, "SUMMARIZE sources").num_rows == 10
    assert ask(own, "SELECT e.kept FROM sources AS e JOIN event_counts AS c ON e.sha256 = c.source_sha256").num_rows


NO_SELECTS = """
SELECT 1; SELECT 2
SELECT 1; COPY (SELECT 1) TO '{case}/x.csv'
COPY (SELECT 1) TO '{case}/x.csv'
COPY events TO '{case}/case.json'
COPY (SELECT 1) TO 'x.csv'
COPY events FROM '{case}/../secret.csv'
CREATE TABLE x AS SELECT 1
CREATE TEMP TABLE x AS SELECT 1
CREATE OR REPLACE VIEW events AS SELECT 1
CREATE MACRO f(x) AS x
CREATE MACRO f() AS TABLE FROM read_text('{case}/../secret.csv')
CREATE TYPE t AS ENUM ('a')
CREATE SECRET s (TYPE s3)
CREATE SEQUENCE s
DROP VIEW events
ALTER VIEW events RENAME TO gone
INSERT INTO events SELECT * FROM events
UPDATE events SET event_id = 1
DELETE FROM events
TRUNCATE events
MERGE INTO events USING problems ON TRUE WHEN MATCHED THEN DELETE
ATTACH '{case}/x.db'
ATTACH ':memory:' AS other
DETACH memory
USE memory
INSTALL httpfs
LOAD httpfs
FORCE INSTALL httpfs FROM 'http://localhost'
UPDATE EXTENSIONS
EXPORT DATABASE '{case}/x'
IMPORT DATABASE '{case}/x'
SET threads = 1
SET GLOBAL enable_external_access = true
SET lock_configuration = false
SET VARIABLE x = 1
RESET threads
PRAGMA version
PRAGMA database_list
PRAGMA json_execute_serialized_sql('x')
CALL pragma_version()
CALL force_checkpoint()
CHECKPOINT
VACUUM
ANALYZE
BEGIN
COMMIT
ROLLBACK
PREPARE p AS SELECT 1
EXECUTE p
DEALLOCATE p
EXPLAIN SELECT 1
EXPLAIN ANALYZE SELECT 1
SELECT 1 AS a INTO x
SELECT $1
SELECT ?
SELECT $name
PIVOT (SELECT 'x' AS k, 1 AS v) ON k USING FIRST(v)
COMMENT ON VIEW events IS 'x'
SELECT * FROM
SELEC 1
-- nothing
;
"""


@pytest.mark.parametrize(
    "text", [*NO_SELECTS.strip().split("\n"), "", "SELECT 1\0; COPY (SELECT 1) TO 'x'", "SELECT \udc80"]
)
def test_all_else_is_refused(own, text):
    before = files(own)
    with pytest.raises(QueryError) as refused:
        ask(own, text.format(case=own) if "{case}" in text else text)
    assert str(refused.value)
    assert refused.value.hint
    assert refused.value.exit_code == 2
    assert files(own) == before
    assert ask(own, "SELECT 1 AS a").num_rows == 1


WRITING = {
    "with copy": "WITH x AS (COPY (SELECT 1) TO '{case}/x.csv') SELECT * FROM x",
    "with copy over the case": "WITH x AS (COPY (SELECT 1) TO '{case}/case.json') SELECT * FROM x",
    "with insert": "WITH x AS (INSERT INTO events SELECT * FROM events RETURNING *) SELECT * FROM x",
    "with update": "WITH x AS (UPDATE events SET event_id = 1 RETURNING *) SELECT * FROM x",
    "with delete": "WITH x AS (DELETE FROM events RETURNING *) SELECT * FROM x",
    "text that runs": "FROM query('WITH x AS (COPY (SELECT 1) TO ''{case}/x.csv'') SELECT * FROM x')",
    "harmless text that runs": "FROM query('SELECT 1')",
    "table by name": "FROM query_table('events')",
    "serialized": "FROM {serialized}",
    "serialized, in text": "FROM query('FROM {serialized_quoted}')",
    "capitals": "FROM JSON_Execute_Serialized_SQL(json_serialize_sql('SELECT 1'))",
    "quoted": """FROM "query"('SELECT 1')""",
    "qualified": "FROM system.main.query('SELECT 1')",
}  # fmt: skip
PLACES = """
SELECT * FROM (FROM {x})
SELECT (SELECT 1 FROM {x}) AS a
SELECT 1 WHERE EXISTS (FROM {x})
SELECT * FROM events WHERE event_id IN (FROM {x})
SELECT 1 ORDER BY (SELECT 1 FROM {x})
SELECT 1 LIMIT (SELECT 1 FROM {x})
SELECT 1 GROUP BY (SELECT 1 FROM {x})
SELECT 1 QUALIFY (SELECT TRUE FROM {x})
WITH a AS (FROM {x}) SELECT 1
WITH RECURSIVE a AS (SELECT 1 UNION ALL FROM {x}) FROM a
SELECT 1 UNION FROM {x}
VALUES ((SELECT 1 FROM {x}))
SELECT * FROM range((SELECT 1 FROM {x}))
SELECT * FROM unnest((SELECT [1] FROM {x}))
SELECT * FROM range(3) AS t(i), LATERAL (FROM {x})
SELECT * FROM range(3) JOIN range(4) ON (SELECT TRUE FROM {x})
SELECT * FROM range(1) TABLESAMPLE 1%, {x}
SELECT * FROM (PIVOT (FROM {x}) ON k IN ('a') USING SUM(v))
SELECT CASE WHEN (SELECT 1 FROM {x}) THEN 1 END
SELECT list_transform([1], i -> (SELECT 1 FROM {x}))
SELECT SUM(1) OVER (ORDER BY (SELECT 1 FROM {x}))
SELECT SUM(1) FILTER (WHERE (SELECT 1 FROM {x}))
SELECT * REPLACE ((SELECT 1 FROM {x}) AS event_id) FROM events
DESCRIBE FROM {x}
SUMMARIZE FROM {x}
SELECT * FROM (SUMMARIZE FROM {x})
"""
SERIALIZED = "json_execute_serialized_sql(json_serialize_sql('WITH x AS (COPY (SELECT 1) TO ''{case}/x.csv'') FROM x'))"


@pytest.mark.parametrize(
    "text", [*WRITING.values(), *(line.replace("{x}", SERIALIZED) for line in PLACES.strip().split("\n"))]
)
def test_what_writes_or_runs_text_is_found_at_any_depth(own, text):
    serialized = SERIALIZED.format(case=own)
    before = files(own)
    with pytest.raises(QueryError, match="does more than select"):
        ask(own, text.format(case=own, serialized=serialized, serialized_quoted=serialized.replace("'", "''")))
    assert files(own) == before


READING = [
    f"SELECT * FROM {function}('{place}')"
    for function in ("read_text", "read_csv", "read_blob", "read_json", "read_parquet", "parquet_scan", "glob")
    for place in ("{outside}/secret.csv", "{outside}/*", "/etc/passwd", "{case}/link.csv", "{case}/up/secret.csv",
                  "{case}/../secret.csv", "secret.csv", "http://localhost:9/x", "s3://x/y", "gs://x/y")
]  # fmt: skip
SCANNING = """
SELECT * FROM '{outside}/secret.csv'
SELECT * FROM '{case}/link.csv'
SELECT * FROM '{case}/up/secret.csv'
SELECT * FROM '{case}/../secret.csv'
SELECT * FROM '{case}/up/*.csv'
SELECT * FROM '/etc/passwd'
SELECT * FROM 'http://localhost:9/x.csv'
SELECT * FROM case_folder
SELECT * FROM connection
SELECT * FROM text
SELECT * FROM sqlite_master AS m, '{outside}/secret.csv'
SELECT getenv('HOME')
SELECT * FROM duckdb_secrets()
SELECT * FROM which_secret('x', 's3')
SELECT * FROM duckdb_settings()
SELECT * FROM enable_logging()
SELECT * FROM enable_profiling()
SELECT * FROM checkpoint()
SELECT * FROM read_duckdb('{case}/x.db')
SELECT * FROM python_map_function()
SELECT * FROM arrow_scan(1, 2, 3)
SELECT * FROM pandas_scan(1)
"""


@pytest.mark.parametrize("text", [*READING, *SCANNING.strip().split("\n")])
def test_nothing_but_the_case_can_be_read(own, text):
    with pytest.raises(QueryError) as refused:
        ask(own, text.format(case=own, outside=own.parent))
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "1+" * 5000 + "1",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT " + "[" * 600 + "1" + "]" * 600,
        "SELECT " + "NOT " * 3000 + "TRUE",
        "SELECT * FROM (" * 900 + "SELECT 1" + ")" * 900,
    ],
)
def test_deep_nesting_is_refused_or_runs(own, text):
    try:
        rows = ask(own, text).num_rows
    except QueryError as error:
        rows = 1 if re.search(r"nested too deeply|expression depth", str(error)) else 0
    assert rows == 1


@pytest.mark.parametrize(
    "text",
    [
        "SELECT COUNT(*) FROM range(1000000000000)",
        "SELECT * FROM range(1000000000000)",
        "SELECT COUNT(*) FROM range(100000) AS a, range(100000) AS b, range(100000) AS c WHERE a.range + b.range < 0",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i FROM n) SELECT * FROM n",
    ],
)
def test_time_is_limited(own, text):
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"took longer than 0\.5 s") as late:
        ask(own, text, seconds=0.5, memory="400MB")
    assert "--seconds" in late.value.hint
    assert time.monotonic() - began < 20


def test_an_error_that_speaks_of_interrupts_is_no_timeout(own):
    with pytest.raises(QueryError, match="INTERRUPT me"):
        ask(own, "SELECT error('INTERRUPT me')")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT string_agg(repeat('x', 1000000), '') FROM range(1000000)",
        "SELECT list(range) FROM range(1000000000)",
    ],
)
def test_memory_is_limited(own, text):
    with pytest.raises(QueryError, match="Out of Memory") as bomb:
        ask(own, text, memory="50MB", seconds=60)
    assert "--memory" in bomb.value.hint
    assert "\n" not in str(bomb.value)


@pytest.mark.parametrize("size", ["", "4", "GB", "4XB", "-4GB", "4GB; SELECT 1", "4GB' --", "1e3GB"])
def test_what_is_no_size_of_memory(own, size):
    with pytest.raises(UsageError, match="is no size of memory"):
        ask(own, "SELECT 1", memory=size)


def test_sizes_of_memory(own):
    for size in ("1GB", "600MB", "0.5 GiB", "1gb"):
        assert ask(own, "SELECT 1 AS a", memory=size).num_rows == 1
    with pytest.raises(UsageError, match="1KB is too little memory"):
        ask(own, "SELECT 1", memory="1KB")


def test_errors_say_where(firm, capsysbinary):
    for text, words in (
        ("SELECT evnt_id FROM events", 'Referenced column "evnt_id" not found'),
        ("SELECT * FROM event", "Table with name event does not exist"),
        ("SELECT * FROM events WHERE", "syntax error"),
        ("SELECT CAST('x' AS INTEGER)", "Could not convert"),
        ("SELECT CASE WHEN range > 5 THEN error('early') END AS a FROM range(100)", "early"),
        ("SELECT CASE WHEN range > 500000 THEN error('late') END AS a FROM range(1000000)", "late"),
    ):
        done = here(capsysbinary, "sql", text, "--case", firm.case, "--format", "csv", "--limit", 0)
        assert done.code == 2
        assert done.said.startswith("Error: ")
        assert words in done.said
        assert "\nHint: " in done.said
        assert "Traceback" not in done.said


def test_a_failed_answer_leaves_no_file(firm, tmp_path, capsysbinary):
    late = "SELECT CASE WHEN range > 500000 THEN error('late') END AS a FROM range(1000000)"
    for form in ("csv", "jsonl", "json", "parquet", "table"):
        done = here(
            capsysbinary, "sql", late, "--case", firm.case, "--format", form, "--output", tmp_path / "x", "--limit", 0
        )
        assert done.code == 2
        assert list(tmp_path.iterdir()) == []


def test_a_limit_ends_a_long_answer_early(firm, capsysbinary):
    began = time.monotonic()
    for form, lines in (("table", 7), ("csv", 6), ("jsonl", 5), ("json", 7)):
        query = ("sql", "SELECT * FROM range(1000000000000)", "--case", firm.case)
        done = here(capsysbinary, *query, "--format", form, "--limit", 5)
        assert done.code == 0
        assert len(done.text.splitlines()) == lines
        assert done.said == "First 5 rows; there are more (--limit 0 for all).\n"
    assert time.monotonic() - began < 20
    done = here(capsysbinary, "sql", "SELECT * FROM range(5)", "--case", firm.case, "--limit", 5)
    assert done.said == ""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_long_answer_needs_little_memory(firm):
    """Rows go out while others are still made: 500 MB of text, most of the memory is Python with its modules."""
    code = """
import sys
from pathlib import Path
from logontracks.cli import main
from logontracks.cli.options import run
code = run(main, sys.argv[1:])
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(peak) // 1024, file=sys.stderr)
sys.exit(code)"""
    query = "SELECT range, repeat('x', 1000) AS text FROM range(500000)"
    arguments = ["sql", query, "--case", firm.case, "--format", "csv", "--memory", "100MB"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout
    assert process.stderr
    size = 0
    while part := process.stdout.read(1 << 20):
        size += len(part)
    said = process.stderr.read().decode()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(60) == 0, said
    assert size > 500_000_000
    assert int(said) < 450, "MB"


@pytest.mark.parametrize("attempt", range(2))
@pytest.mark.parametrize(
    "arguments",
    [
        ("SELECT 1",),
        ("SELECT * FROM range(1000000)", "--limit", "3"),
        ("SELECT error('wrong')",),
        ("SELECT CASE WHEN range > 50000 THEN error('late') END AS a FROM range(100000)", "--limit", "0"),
        ("SELEC",),
        ("SELECT 1", "--output", "."),
        ("SELECT COUNT(*) FROM range(100000000000)", "--seconds", "0.3"),
        ("SELECT * FROM range(100000000000)", "--seconds", "0.3", "--limit", "0", "--format", "csv"),
    ],
)
def test_python_ends_without_noise(firm, arguments, attempt):
    """The engine complains on stderr when Python ends while something still holds it."""
    done = run("sql", *arguments, "--case", firm.case)
    assert "nanobind" not in done.said
    assert "Traceback" not in done.said
    assert all(line.startswith(("Error: ", "Hint: ", "First ", "       ")) for line in done.said.splitlines())


def test_ordinary_work(firm, capsysbinary):
    """What a responder asks: failures by account, first and last; times stay UTC whatever --tz is."""
    text = """
        SELECT target_name_key AS account, COUNT(*) AS failures, MIN(time) AS first, MAX(time) AS last
        FROM events WHERE event_id IN (4625, 4771) AND target_name IS NOT NULL
        GROUP BY ALL ORDER BY failures DESC, account"""
    rows = here(capsysbinary, "sql", text, "--case", firm.case, "--format", "jsonl").rows
    assert len(rows) > 3
    assert rows[0]["failures"] >= rows[-1]["failures"] >= 1
    assert all(row["first"] <= row["last"] for row in rows)
    berlin = here(capsysbinary, "sql", text, "--case", firm.case, "--format", "jsonl", "--tz", "Europe/Berlin").rows
    assert [row["failures"] for row in berlin] == [row["failures"] for row in rows]
    assert all(row["first"].endswith("+02:00") for row in berlin)
