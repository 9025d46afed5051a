"""`explain`: a row of each list under the ids that the lists show, and what is said of ids that mean nothing."""

import json
import re
from typing import Any

import pyarrow.parquet as pq
import pytest
from making_cases import Company, company, here

from logontracks import models

LISTS = {
    "sessions": "session_id", "failures": "failure_id", "hops": "hop_id", "tracks": "track_id", "links": "link_id",
    "addresses": "address_id",
}  # fmt: skip
_ID = re.compile(r"[a-z]-[0-9a-z]{13}")


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return company(tmp_path_factory)


@pytest.mark.parametrize("name", LISTS)
def test_a_row_is_told_as_in_its_list(firm: Company, capsysbinary: Any, name: str) -> None:
    listed = here(capsysbinary, name, "--case", firm.case, "--format", "jsonl", "--limit", 1).rows
    identity = listed[0][LISTS[name]]
    assert _ID.fullmatch(identity)
    told = json.loads(here(capsysbinary, "explain", identity, "--case", firm.case, "--format", "json").text)
    assert told["table"] == name
    assert {column: listed[0][column] for column in told["row"]} == told["row"]


@pytest.mark.parametrize("name", [name for name in models.MODELS if models.model(name).sorted_by])
def test_what_is_looked_up_lies_together(firm: Company, name: str) -> None:
    (path,) = firm.case.glob(f"tables/*/{name}.parquet")
    rows = pq.read_table(path).select(models.model(name).sorted_by)
    keys = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    assert keys == sorted(keys, key=lambda key: [(part is None, part) for part in key])  # what is not known stands last
    assert len(set(keys)) > 9


@pytest.mark.parametrize("text", ["r-0000000000000", "x-1", "h-!"])
def test_hints_name_commands_that_there_are(firm: Company, capsysbinary: Any, text: str) -> None:
    done = here(capsysbinary, "explain", text, "--case", firm.case)
    assert done.code == 2
    named = re.findall(r"`logontracks (\w+)`", done.said)
    assert named
    assert all(here(capsysbinary, name, "--help").code == 0 for name in named)


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "2e9"])
@pytest.mark.parametrize("asked", [("hops", "--min-certainty"), ("sql", "SELECT 1", "--seconds")])
def test_odd_numbers_are_refused(firm: Company, capsysbinary: Any, asked: tuple[str, ...], number: str) -> None:
    done = here(capsysbinary, *asked, number, "--case", firm.case)
    assert done.code == 2
    assert asked[-1] in done.said
