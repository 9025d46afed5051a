"""The models as files: their heads are true, and they keep to the SQL that all engines share."""

import re

import pytest

from logontracks import models
from logontracks.engines.duckdb import connect, give_core

SQL = [name for name in models.MODELS if models.model(name).sql]
each_model = pytest.mark.parametrize("name", SQL)
INPUTS = {"events", "given_addresses", "extents", "event_counts", *models.FACTS}


def body_of(name: str) -> str:
    """The SQL without head and comments."""
    sql = models.model(name).sql or ""
    return re.sub(r"--[^\n]*", "", sql.split("\n\n", 1)[1])


def read_by(name: str) -> set[str]:
    steps = set(re.findall(r"(?:\bWITH\s+|\)\s*,\s*)([a-z_]+) AS \(", body_of(name)))
    return set(re.findall(r"\b(?:FROM|JOIN)\s+([a-z_]+)\b", body_of(name))) - steps


@each_model
def test_the_head_names_the_tables_that_are_read(name: str) -> None:
    assert read_by(name) == models.model(name).reads


@pytest.mark.parametrize("name", models.MODELS)
def test_what_a_model_reads_is_there_by_then(name: str) -> None:
    before = set(models.MODELS[: models.MODELS.index(name)])
    assert models.model(name).reads
    assert models.model(name).reads <= before | INPUTS


@pytest.mark.parametrize("name", models.MODELS)
def test_a_table_is_forgotten_only_when_nothing_needs_it(name: str) -> None:
    gone = set(models.done_with(name))
    for later in models.MODELS[models.MODELS.index(name) + 1 :]:
        assert not gone & needed_by(later)


def needed_by(name: str) -> set[str]:
    """What is read to make a table, also by way of views."""
    reads = set(models.model(name).reads)
    views = {each for each in reads & set(models.MODELS) if models.model(each).view}
    return reads.union(*map(needed_by, views))


@each_model
def test_columns_of_the_head_are_those_of_the_table(name: str) -> None:
    found = models.model(name)
    if found.published:
        last = body_of(name).rpartition("\nSELECT")[2] if "UNION ALL" not in body_of(name) else body_of(name)
        assert {column.name for column in found.columns} <= set(re.findall(r"\bAS ([a-z][a-z0-9_]*)", last))


FORBIDDEN = {
    "::": r"::",
    "QUALIFY": r"\bQUALIFY\b",
    "ASOF": r"\bASOF\b",
    "EXCLUDE": r"\bEXCLUDE\b",
    "DISTINCT ON": r"\bDISTINCT\s+ON\b",
    "FILTER": r"\bFILTER\s*\(",
    "RECURSIVE": r"\bRECURSIVE\b",
    "regex": r"\bregexp_|\bSIMILAR TO\b|\brlike\b",
    "hash": r"\bhash\s*\(",
    "date_diff": r"\bdate_diff\b",
    "lists": r"\blist_|\bunnest\b|\[",
    "USING": r"\bUSING\s*\(",
    "EXISTS": r"\bEXISTS\s*\(",
    "LOWER": r"\bLOWER\s*\(",
    "backslash": r"\\",
}
"""What one of DuckDB, Spark and ClickHouse does not know, or takes for something else: only some can run a query for
each row, each folds other letters, and some take a backslash for an escape ($backslash stands for one)."""

_NO_KEY = "what it folds has no column in lower case: extents, counts, old names, servers, user principal names"
_DISPLAY = "DOMAIN\\name in an account for people, still written as a literal"
EXCEPTIONS = {
    ("account_lookup", "LOWER"): _NO_KEY,
    ("account_uses", "LOWER"): _NO_KEY,
    ("explicit_uses", "LOWER"): _NO_KEY,
    ("host_counts", "LOWER"): _NO_KEY,
    ("links", "LOWER"): _NO_KEY,
    ("log_runs", "LOWER"): _NO_KEY,
    ("requests", "LOWER"): _NO_KEY,
    ("seats", "LOWER"): _NO_KEY,
    ("session_sources", "LOWER"): _NO_KEY,
    ("skews", "LOWER"): _NO_KEY,
    ("accounts", "backslash"): _DISPLAY,
    ("blind_spots", "backslash"): _DISPLAY,
    ("sessions_told", "backslash"): _DISPLAY,
}
"""Models that are still to be rid of something, and why they have it."""


@each_model
@pytest.mark.parametrize("what", FORBIDDEN)
def test_models_keep_to_the_common_core(name: str, what: str) -> None:
    assert (name, what) in EXCEPTIONS or not re.search(FORBIDDEN[what], body_of(name), re.IGNORECASE)


def test_every_parameter_is_used() -> None:
    used = "".join(body_of(name) for name in SQL)
    used += "".join(
        (models.FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in ("boots", "starts", "attempts", "tracks")
    )
    for name in models.parameters():
        assert name in used or f"{name.removesuffix('_s')}_us" in used or f"{name.removesuffix('_us')}_s" in used


@pytest.mark.parametrize("order", ["ASC", "DESC"])
def test_rows_of_one_time_are_taken_in_no_order(order: str) -> None:
    connection = connect(threads=1)
    give_core(connection)
    rows = "(VALUES (3, 1), (2, 1), (7, 1), (5, 2), (9, 2), (1, NULL), (NULL, 0), (NULL, 3)) AS r(x, t)"
    found = connection.execute(
        f"SELECT least_at_first(x, t), greatest_at_last(x, t) FROM (SELECT * FROM {rows} ORDER BY x {order})"
    ).fetchall()
    assert found == [(2, 9)]
